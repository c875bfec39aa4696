"""A player's network: how it is made, called with the parameters of a state, and sampled from."""

from __future__ import annotations

import dataclasses
import inspect
import warnings
import zlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from gan_jax.core import Batch, GanState, PyTree, check_batch, own_key


def straight(start: PyTree, end: PyTree, t: Array) -> PyTree:
  """The line from `start` to `end`, at t in [0, 1]. Leaves of whole numbers stay at the start."""
  return jax.tree.map(lambda a, b: (1 - t) * a + t * b if jnp.issubdtype(a.dtype, jnp.inexact) else a, start, end)


class Prior(NamedTuple):
  """Where latents come from: `sample(key, n) -> [n, ...]`; `between(start, end, t)` is a way from one to another that keeps to likely latents.

  `log_density(z) -> [n]`, up to a constant, is there where it has a gradient to follow. A prior that is trained is noise and a module: `front(G)` is
  the generator with that module before it, so its parameters are G's, and `sample` draws what the module takes.
  """

  sample: Callable[[Array, int], PyTree]
  between: Callable[[PyTree, PyTree, Array], PyTree] = straight
  log_density: Callable[[PyTree], Array] | None = None
  front: Callable[[nn.Module], nn.Module] | None = None


class Calls:
  """A player's network with the parameters of `state`. Every forward starts from the state's collections (spectral vectors, batch statistics),
  so real and fake meet the same weights; `new_state` is the mean of what the forwards so far would leave behind.

  `key` is for networks that draw noise of their own as `make_rng("dropout")`: each forward has other noise, and each device of `axis_name`."""

  def __init__(self, module: nn.Module, name: str, state: GanState, train: bool = True, key: Array | None = None, axis_name: str | None = None):
    self.module, self.params, self.network_state = module, state.params[name], state.model_state[name]["network"]
    self.train = train
    self.key = None if key is None else jax.random.fold_in(own_key(key, axis_name), zlib.crc32(name.encode()) % 2**31)
    self.forwards = 0
    self.updates: list[PyTree] = []

  def __call__(self, *inputs: Any) -> Array:
    out, update = self._apply(list(self.network_state), *inputs)
    self.updates.append(update)
    return out

  def _apply(self, mutable: list[str], *inputs: Any) -> tuple[Any, PyTree]:
    rngs = {} if self.key is None else {"dropout": jax.random.fold_in(self.key, self.forwards)}
    self.forwards += 1
    return self.module.apply({"params": self.params, **self.network_state}, *inputs, mutable=mutable, train=self.train, rngs=rngs)

  def features(self, *inputs: Any) -> Array:
    """What the network sows as `features`, flattened to `[B, F]`."""
    h = self.sown("features", *inputs)
    return h.reshape(len(h), -1)

  def sown(self, name: str, *inputs: Any) -> PyTree:
    """What the network, or the nearest of its layers, sows under the name."""
    _, sown = self._apply([*self.network_state, "intermediates"], *inputs)
    level = [sown.get("intermediates", {})]
    while level:
      for found in level:
        if name in found:
          return found[name][0]
      level = [inner for found in level for inner in found.values() if isinstance(inner, Mapping)]
    raise ValueError(f"{type(self.module).__name__} sows no {name!r}; {_SOWN_BY.get(name, f'use a layer that sows {name!r}')}")

  def new_state(self) -> PyTree:
    updates = [update for update in self.updates if update]
    mean = lambda *leaves: sum(leaves) / len(leaves) if jnp.issubdtype(leaves[0].dtype, jnp.inexact) else leaves[0]
    return jax.tree.map(mean, *updates) if updates else self.network_state


@dataclasses.dataclass(frozen=True)
class Sampler:
  """Draws from G, at evaluation (population statistics where the network keeps any): `sampler(state, key, batch)` gives one example a row of
  `batch`. Its halves: `latent(key, n)`, and `generate(state, latent, batch)`, of which only `batch["condition"]` is looked at. What G sows on the way
  is `sown(state, name, latent, batch)`, as the layers that a picture is made of; None in games whose samples are more than G's output."""

  latent: Callable[[Array, int], PyTree]
  generate: Callable[[GanState, PyTree, Batch], Any]
  between: Callable[[PyTree, PyTree, Array], PyTree] = straight
  sown: Callable[[GanState, str, PyTree, Batch], PyTree] | None = None

  def __call__(self, state: GanState, key: Array, batch: Batch) -> Any:
    return self.generate(state, self.latent(key, len(check_batch(batch)["image"])), batch)

  def unconditional(self, state: GanState, latent: PyTree) -> Any:
    return self.generate(state, latent, {})


def sampler(generator: nn.Module, prior: Prior) -> Sampler:
  """The sampler of every game whose samples are G(z) or G(z, condition)."""

  def generate(state: GanState, latent: PyTree, batch: Batch) -> Any:
    variables = {"params": state.params["generator"], **state.model_state["generator"]["network"]}
    return generator.apply(variables, latent, *given(batch.get("condition")), train=False)

  def sown(state: GanState, name: str, latent: PyTree, batch: Batch) -> PyTree:
    return Calls(generator, "generator", state, train=False).sown(name, latent, *given(batch.get("condition")))

  return Sampler(prior.sample, generate, prior.between, sown)


def judge_of(discriminator: nn.Module) -> Callable[[GanState, Array, Batch], tuple[Array, Array]]:
  """D's output of each example and its features `[n, F]`, at evaluation, without a view. See `Game.judge`."""

  def judge(state: GanState, examples: Array, batch: Batch) -> tuple[Array, Array]:
    calls = Calls(discriminator, "discriminator", state, train=False)
    inputs = (examples, *given(batch.get("condition")))
    return calls(*inputs), calls.features(*inputs)

  return judge


def init_network(module: nn.Module, key: Array, *inputs: Any) -> tuple[PyTree, PyTree]:
  """`(params, other collections)`. The shapes are those of one device, so the module is initialised off its axis.

  Raises:
    ValueError: the module does not take these inputs, or no `train`.
  """
  try:
    inspect.signature(type(module).__call__).bind(module, *inputs, train=False)
  except TypeError as error:
    shapes = ", ".join(str(tuple(jnp.shape(x))) for x in jax.tree.leaves(inputs))
    raise ValueError(
      f"{type(module).__name__} is called with inputs of shape {shapes} (the last is the condition, where a batch has one) and train = True or False,"
      f" and its __call__ does not take them: {error}"
    ) from error
  variables = dict(on_axis(module, None).init(key, *inputs, train=False))
  variables.pop("intermediates", None)
  return variables.pop("params"), variables


def on_axis(module: nn.Module, axis_name: str | None) -> nn.Module:
  """The module with its cross-sample layers (minibatch layers, BatchNorm) tied to the mapped axis, if it has a field for it.

  Raises:
    ValueError: it is no linen module.
  """
  if not isinstance(module, nn.Module):
    what = f"the class {module.__name__}" if inspect.isclass(module) else f"a {type(module).__name__}"
    raise ValueError(f"a player is a flax.linen module with its settings, as networks.mlp(2) or MyGenerator(width=64), and this is {what}")
  return module.clone(axis_name=axis_name) if hasattr(module, "axis_name") else module


def in_front(generator: nn.Module, prior: Prior) -> nn.Module:
  """The generator with what is trained of its prior before it."""
  check_kind("prior", prior, Prior, "priors.normal(64)")
  return generator if prior.front is None else prior.front(generator)


def untrained(prior: Prior, game: str) -> Prior:
  """The prior, if it has nothing to train: some games look at the latents themselves, which a trained one makes inside the generator."""
  if check_kind("prior", prior, Prior, "priors.normal(64)").front is not None:
    raise ValueError(f"a prior that is trained makes its latents inside the generator, and {game} looks at them; use normal or uniform")
  return prior


def health(real_logits: Array, fake_logits: Array) -> dict[str, Array]:
  """Metrics of D: mean logits, and the share of samples on the right side of 0."""
  accuracy = (jnp.mean(real_logits > 0) + jnp.mean(fake_logits < 0)) / 2
  return {"real_logits": real_logits.mean(), "fake_logits": fake_logits.mean(), "accuracy": accuracy}


def flat_logits(logits: Array) -> Array:
  """`[B]` or `[B, 1] -> [B]`, and maps of patches `[B, h, w, S] -> [B * h * w * S]`: a patch counts as an example does, so that losses are means over
  patches. Anything else is no logit an example."""
  if logits.ndim == 4:
    return logits.reshape(-1)
  if logits.ndim == 2 and logits.shape[1] == 1:
    return logits[:, 0]
  if logits.ndim != 1:
    raise ValueError(f"the discriminator's output is of shape {logits.shape[1:]} an example; this game needs one logit (out = 1)")
  return logits


def flat_features(outputs: Array) -> Array:
  """`[B]` or `[B, ...] -> [B, F]`."""
  return outputs.reshape(len(outputs), -1)


def check_kind(name: str, value: Any, kind: type, example: str) -> Any:
  """The value. Raises ValueError if it is something else, as the function that makes one."""
  if not isinstance(value, kind):
    raise ValueError(f"{name} is {value!r:.80}; needs {'an' if kind.__name__[0] in 'AEIO' else 'a'} {kind.__name__}, as {example} gives one")
  return value


def warn_of_own_batches(module: nn.Module, network_state: PyTree, axis_name: str | None) -> None:
  """A BatchNorm that does not know of the mapped axis sees its own device's rows alone, and nothing else would say so."""
  if axis_name is not None and "batch_stats" in network_state and not hasattr(module, "axis_name"):
    name = type(module).__name__
    warnings.warn(
      f"{name} keeps batch statistics and has no field axis_name, so each device normalises by its own rows alone: add axis_name: str | None = None"
      " to it, and hand it to nn.BatchNorm",
      stacklevel=2,
    )


def check_optimizers(optimizers: Mapping[str, Any], players: tuple[str, ...]) -> None:
  if not isinstance(optimizers, Mapping):
    raise ValueError(f"optimizers is a {type(optimizers).__name__}; needs a mapping with an optax transformation for each of {', '.join(players)}")
  missing = [name for name in players if name not in optimizers]
  extra = [name for name in optimizers if name not in players]
  if missing or extra:
    what = f"no optimizer for {missing[0]!r}" if missing else f"an optimizer for {extra[0]!r}, who is not a player"
    raise ValueError(f"{what}; optimizers has the keys {', '.join(players)}")


_SOWN_BY = {
  "features": "add self.sow('intermediates', 'features', h) before its last layer",
  "slice": 'its last layer must be "SlicedDense"',
  "recognition": 'it must look at its features with networks.recognition (across = {"name": "recognition", "size": ...})',
}


def given(condition: Any) -> tuple:
  return () if condition is None else (condition,)
