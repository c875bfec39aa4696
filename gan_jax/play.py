"""Two-player games: what a term of the objective can see (`Play`), and `gan()`, which assembles objective, terms, view and prior into a Game."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax import Array

from gan_jax.calls import (
  Calls,
  Prior,
  check_kind,
  check_optimizers,
  flat_features,
  flat_logits,
  given,
  health,
  in_front,
  init_network,
  judge_of,
  on_axis,
  sampler,
  warn_of_own_batches,
)
from gan_jax.core import Aux, Batch, Game, GanState, Player, PyTree, draw, gather, mean_over, with_entry

_COIN = 2**31 - 1  # no view has so many parts
# Names of metrics that every player logs, or D: a term of such a name would hide them.
RESERVED = ("loss", "adversarial", "gradient_norm", "real_logits", "fake_logits", "accuracy")


class Look(NamedTuple):
  """What a view may use: its own key, the round, and `draw(sampler, n)` for per-example noise of the global batch.

  `draw_alike(sampler, n)` gives the real and the fake examples of one turn the same noise, row by row. `memory` is what the view remembers.
  `chance` is the probability with which an augmentation acts on an example (None: always); `sometimes(x, changed)` throws that coin.
  """

  key: Array
  step: Array
  axis_name: str | None
  key_alike: Array | None = None
  memory: PyTree = ()
  chance: Array | float | None = None

  def draw(self, sampler: Callable[[Array, int], PyTree], n: int) -> PyTree:
    return draw(sampler, self.key, n, self.axis_name)

  def draw_alike(self, sampler: Callable[[Array, int], PyTree], n: int) -> PyTree:
    return draw(sampler, self.key if self.key_alike is None else self.key_alike, n, self.axis_name)

  def sometimes(self, x: Array, changed: Array) -> Array:
    if self.chance is None:
      return changed
    coin = self.part(_COIN).draw(lambda key, n: jax.random.uniform(key, (n, *[1] * (x.ndim - 1))), len(x))
    return jnp.where(coin < self.chance, changed, x)

  def part(self, number: int) -> Look:
    """With keys of its own, for one of several that look."""
    alike = None if self.key_alike is None else jax.random.fold_in(self.key_alike, number)
    return self._replace(key=jax.random.fold_in(self.key, number), key_alike=alike)


class View(NamedTuple):
  """How D sees examples: `apply(x, look) -> x'`, on real and fake alike; `size` examples make one D input.

  A view may tell D something beside the example, `context(n, look) -> [n / size, K]`, the same for the k-th real and the k-th fake input; D is
  called with it after the condition. And it may remember: `init() -> memory` starts the memory, `update(play, memory) -> memory` moves it in
  D's turn, `look.memory` is how it was before the turn. It lives in D's model_state.
  """

  apply: Callable[[Array, Look], Array]
  size: int = 1
  context: Callable[[int, Look], Array] | None = None
  init: Callable[[], PyTree] | None = None
  update: Callable[[Any, PyTree], PyTree] | None = None  # (Play, memory) -> memory


identity = View(lambda x, look: x)


def _nothing(name: str, x: Array) -> PyTree:
  raise ValueError(f"no network sows {name!r} here")


def _no_outputs(x: Array) -> Array:
  raise ValueError("no discriminator here")


_NO_EXAMPLES: Any = None


def _no_condition(x: Array, condition: PyTree) -> Array:
  raise ValueError("no conditions here")


def _no_prior(key: Array, n: int) -> PyTree:
  raise ValueError("no prior here")


class Play(NamedTuple):
  """One turn of a two-player game, as its terms see it.

  `real`, `fake`: what D sees, after the view, `[B, ...]`. `latent`: `[B * pack, Z]`, before the view.
  `generate(z)` gives G's raw output, `discriminate(x)` the logits `[B]` of viewed inputs, `features(x)` D's last hidden layer `[B, F]`,
  `outputs(x)` D's raw output, and `sown(name, x)` whatever else one of D's layers sows under a name. `prior` is where latents come from, and
  `examples` `[B * pack, ...]` are the real ones before the view. `under(x, condition)` is `discriminate` with another condition.
  `mean(x)` is the mean over the global batch and `gather(x)` its rows, on however many devices; `draw(sampler, n)` gives noise for n rows.
  """

  real: Array
  fake: Array
  latent: PyTree
  condition: PyTree
  real_logits: Array
  fake_logits: Array
  generate: Callable[[PyTree], Array]
  discriminate: Callable[[Array], Array]
  features: Callable[[Array], Array]
  state: GanState
  key: Array
  axis_name: str | None
  sown: Callable[[str, Array], PyTree] = _nothing
  outputs: Callable[[Array], Array] = _no_outputs
  prior: Prior = Prior(_no_prior)
  examples: Array = _NO_EXAMPLES
  under: Callable[[Array, PyTree], Array] = _no_condition

  def mean(self, x: Array, axis: int | None = None) -> Array:
    return mean_over(jnp.mean(x, axis), self.axis_name)

  def gather(self, x: Array) -> Array:
    return gather(x, self.axis_name)

  def draw(self, sampler: Callable[[Array, int], PyTree], n: int) -> PyTree:
    return draw(sampler, self.key, n, self.axis_name)


Term = Callable[[Play], Array]


class StatefulTerm(NamedTuple):
  """A term with memory: `init() -> memory`, `apply(play, memory) -> (value, memory)`. The memory lives in the player's model_state."""

  init: Callable[[], PyTree]
  apply: Callable[[Play, PyTree], tuple[Array, PyTree]]


class Objective(NamedTuple):
  """What each player minimises. D's value and G's value are scalars, means over the batch.

  Where D is a feature map, `witness(real, fake)` makes logits of its outputs `[B, F]`: given those of the global batch, real and fake, a function
  from outputs `[n, F]` to logits `[n]`. They are what penalties, views and metrics look at. None: D's output is its logit.
  `of_logits`: whether G's value is made of `fake_logits`, and so may be asked of some of them.
  """

  discriminator: Term
  generator: Term
  witness: Callable[[Array, Array], Callable[[Array], Array]] | None = None
  of_logits: bool = True


def gan(
  generator: nn.Module,
  discriminator: nn.Module,
  objective: Objective,
  *,
  prior: Prior,
  optimizers: Mapping[str, optax.GradientTransformation],
  discriminator_terms: Mapping[str, Term | StatefulTerm] | None = None,
  generator_terms: Mapping[str, Term | StatefulTerm] | None = None,
  view: View = identity,
  n_critic: int = 1,
  ema_decay: float | None = None,
  axis_name: str | None = None,
) -> Game:
  """The game of a generator and a discriminator.

  Args:
    generator: linen module, `(z [B, Z] (, condition), *, train) -> [B, ...]`, examples like the batch's.
    discriminator: linen module, `(x [B, ...] (, condition), *, train) -> logits [B] or [B, 1]`. `train` is False at evaluation. A module of one's own
      that has BatchNorm needs a field `axis_name: str | None = None`, handed to it, to be the same on many devices; its dropout draws from the
      stream "dropout".
    objective: the adversarial pair, e.g. `objectives.non_saturating()`.
    prior: where latents come from, e.g. `priors.normal(64)`.
    optimizers: `{"generator": ..., "discriminator": ...}`, optax transformations.
    discriminator_terms, generator_terms: named additions to each player's loss; the names become metric names.
    view: what D sees of an example, e.g. `views.pack(2)`.
    n_critic: D's turns per round.
    ema_decay: keep an exponential moving average of G's parameters, `ema <- decay * ema + (1 - decay) * params`.
    axis_name: the mapped axis that the global batch is spread over (pmap, `vmap(axis_name=)`).

  A batch is `{"image": [B, ...]}` of floats and, where the players are told something, `"condition": [B, ...]`; it has no other key.

  Raises:
    ValueError: what is no module, objective, prior or view; an optimiser that is missing or for nobody, n_critic < 1, a term that is no number or has
      the name of a metric; and at `init` or `step`, a batch of another kind, or that does not divide into packs.
  """
  check_optimizers(optimizers, ("generator", "discriminator"))
  check_kind("objective", objective, Objective, "objectives.hinge()")
  check_kind("view", view, View, "views.pack(2)")
  if not isinstance(n_critic, int) or n_critic < 1:
    raise ValueError(f"n_critic is {n_critic}; a discriminator needs a whole number of turns a round, at least 1")
  for named in (discriminator_terms, generator_terms):
    if not isinstance(named or {}, Mapping):
      raise ValueError(f"terms have names: {{'r1': penalties.r1(0.1)}}, and these are a {type(named).__name__}")
    for name in (name for name in named or {} if name in RESERVED):
      raise ValueError(f'a term called "{name}" would hide the metric of that name; call it something else')
  generator, discriminator = on_axis(in_front(generator, prior), axis_name), on_axis(discriminator, axis_name)
  modules = {"generator": generator, "discriminator": discriminator}
  terms = {"generator": dict(generator_terms or {}), "discriminator": dict(discriminator_terms or {})}
  adversarial = {"generator": objective.generator, "discriminator": objective.discriminator}

  def set_up(state: GanState, batch: Batch, key: Array) -> tuple[Play, dict[str, Calls]]:
    latent_key, real_key, fake_key, term_key = jax.random.split(key, 4)
    noise_key = jax.random.fold_in(key, 5)
    calls = {name: Calls(module, name, state, key=noise_key, axis_name=axis_name) for name, module in modules.items()}
    condition = batch.get("condition")
    generate = lambda z: calls["generator"](z, *given(condition))
    latent = draw(prior.sample, latent_key, len(batch["image"]), axis_name)
    memory = state.model_state["discriminator"].get("view", ())
    look = Look(real_key, state.step, axis_name, jax.random.fold_in(key, 4), memory)
    real = view.apply(batch["image"], look)
    made = generate(latent)
    if jnp.shape(made)[1:] != batch["image"].shape[1:]:
      raise ValueError(f"the generator makes examples of shape {jnp.shape(made)[1:]}, the batch's are {batch['image'].shape[1:]}")
    fake = view.apply(made, look._replace(key=fake_key))
    conditions: tuple[Array, ...] = () if condition is None else (view_condition(condition, view),)
    if view.context is not None:
      conditions += (view.context(len(batch["image"]), look),)
    outputs = lambda x: calls["discriminator"](x, *conditions)
    read: Callable[[Array], Array] = flat_logits
    if objective.witness is not None:
      read = objective.witness(*(gather(flat_features(outputs(x)), axis_name) for x in (real, fake)))
    discriminate = lambda x: read(outputs(x))
    real_logits, fake_logits = discriminate(real), discriminate(fake)
    under = lambda x, other: read(calls["discriminator"](x, other, *conditions[1:]))
    play = Play(
      real, fake, latent, condition, real_logits, fake_logits, generate, discriminate,
      features=lambda x: calls["discriminator"].features(x, *conditions), state=state, key=term_key, axis_name=axis_name,
      sown=lambda name, x: calls["discriminator"].sown(name, x, *conditions), outputs=outputs, prior=prior,
      examples=batch["image"], under=_no_condition if condition is None else under,
    )  # fmt: skip
    return play, calls

  def loss_of(name: str) -> Callable[..., tuple[Array, Aux]]:
    def loss(params: PyTree, state: GanState, batch: Batch, key: Array) -> tuple[Array, Aux]:
      play, calls = set_up(with_entry(state, name, params=params), batch, key)
      network_state = calls[name].new_state()  # of the two forwards above, not of the calls that terms make
      value, memory, metrics = add_terms(adversarial[name](play), terms[name], play, state.model_state[name]["memory"])
      model_state = {"network": network_state, "memory": memory}
      if name == "discriminator":
        metrics |= health(play.real_logits, play.fake_logits)
        if view.update is not None:
          model_state["view"] = view.update(play, state.model_state[name]["view"])
      return value, Aux(model_state, metrics)

    return loss

  def init_of(name: str) -> Callable[[Array, Batch], tuple[PyTree, PyTree]]:
    def init(key: Array, batch: Batch) -> tuple[PyTree, PyTree]:
      for other in (other for other in batch if other not in ("image", "condition")):
        raise ValueError(f'the batch has "{other}", at which nobody looks: what players are told is called "condition"')
      told: tuple[Array, ...] = ()
      if name == "generator":
        inputs = prior.sample(key, len(batch["image"]))
        condition = batch.get("condition")
      else:
        # On this device alone: noise and global batches do not matter for shapes.
        look = Look(key, jnp.zeros((), jnp.int32), None, memory=() if view.init is None else view.init())
        inputs = view.apply(batch["image"], look)
        condition = None if batch.get("condition") is None else view_condition(batch["condition"], view)
        told = () if view.context is None else (view.context(len(batch["image"]), look),)
      params, network_state = init_network(modules[name], key, inputs, *given(condition), *told)
      warn_of_own_batches(modules[name], network_state, axis_name)
      memory = {n: term.init() for n, term in terms[name].items() if isinstance(term, StatefulTerm)}
      model_state = {"network": network_state, "memory": memory}
      if name == "discriminator" and view.init is not None:
        model_state["view"] = view.init()
      return params, model_state

    return init

  decays = {"generator": ema_decay, "discriminator": None}
  return Game(
    players={name: Player(init_of(name), loss_of(name), optimizers[name], decays[name]) for name in ("discriminator", "generator")},
    turns=(("discriminator",),) * n_critic + (("generator",),),
    sample=sampler(generator, prior),
    axis_name=axis_name,
    pack_size=view.size,
    judge=None if view.size > 1 or view.context is not None else judge_of(discriminator),
  )


def add_terms(value: Array, terms: Mapping[str, Term | StatefulTerm], play: Play, memory: Mapping[str, PyTree]) -> tuple[Array, dict, dict]:
  """`value` plus every term, each with a key of its own; the memories they leave, and each term's value by name."""
  if value is None or jnp.shape(value):
    what = "nothing" if value is None else f"an array of shape {jnp.shape(value)}"
    raise ValueError(f"an objective gives each player a number, a mean over the batch, and this one gives {what}")
  memory, metrics = dict(memory), {"adversarial": value}
  for number, (name, term) in enumerate(terms.items()):
    own = play._replace(key=jax.random.fold_in(play.key, number))
    if isinstance(term, StatefulTerm):
      extra, memory[name] = term.apply(own, memory[name])
    else:
      extra = term(own)
    if callable(extra) or isinstance(extra, StatefulTerm) or jnp.shape(extra):
      uncalled = callable(extra) or isinstance(extra, StatefulTerm)
      what = "a function: call it with its settings, as r1(0.1)" if uncalled else f"an array of shape {jnp.shape(extra)}"
      raise ValueError(f'a term gives a number, and "{name}" gives {what}')
    value, metrics[name] = value + extra, extra
  return value, memory, metrics


def view_condition(condition: Array, view: View) -> Array:
  """The condition of each D input. A pack shows D one condition, so its members must share it: not something a sample can promise."""
  if view.size > 1:
    raise ValueError("packing and a per-sample condition exclude each other: a pack has one D input but several conditions")
  return condition


def plain(view: View, game: str) -> View:
  """The view, if all it does is to show: games of their own keep no memory for it, and tell their discriminators nothing."""
  if view.context is not None or view.init is not None:
    raise ValueError(f"a view that remembers, or that tells D more than the example, needs the game gan; {game} takes views that only show")
  return view


__all__ = ["Look", "Objective", "Play", "StatefulTerm", "Term", "View", "gan", "identity"]
