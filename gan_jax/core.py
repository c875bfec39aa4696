"""Games of players and turns: the one mechanism under every method.

A GAN is a game of named players. A player is `(init, loss, optimizer)`; its loss may look at the whole state but is differentiated only in
the player's own parameters. A round is a list of turns; the players named in one turn move at once. `build(game)` gives the pure functions
`init`, `step` and `sample`, which run unchanged under jit, scan, vmap, pmap and jit on a sharded batch.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import struct
from jax import Array, lax

PyTree = Any
Batch = Mapping[str, Array]  # {"image": [B, ...], "condition"?: [B, ...]}
Metrics = Mapping[str, Array]


class GanState(struct.PyTreeNode):
  """Everything that changes, as one pytree: the same under jit, pmap and vmap, and in the checkpoint."""

  step: Array
  params: Mapping[str, PyTree]
  model_state: Mapping[str, PyTree]
  opt_state: Mapping[str, PyTree]
  ema: Mapping[str, PyTree]
  skipped: Mapping[str, Array] = struct.field(default_factory=dict)  # of a game with patience: [turns, in a row, last round, which array] per player


class Aux(NamedTuple):
  """What a loss returns beside its value: the player's new model_state, and metrics to log.

  `opt_state` is the optimiser's state that the update starts from, where it is not that of the game's state (ExtraAdam has moved it on the way).
  """

  model_state: PyTree
  metrics: Metrics
  opt_state: PyTree = None


Loss = Callable[[PyTree, GanState, Batch, Array], tuple[Array, Aux]]


class Player(NamedTuple):
  """`init(key, batch) -> (params, model_state)`; `loss(params, state, batch, key) -> (value, Aux)`.

  A player who pursues different things in one round has a loss for each: `parts`, by name. A turn asks for one as "player.part".
  """

  init: Callable[[Array, Batch], tuple[PyTree, PyTree]]
  loss: Loss
  optimizer: optax.GradientTransformation
  ema_decay: float | None = None
  parts: Mapping[str, Loss] = {}


Turns = tuple[tuple[str, ...], ...]  # of moves: a player's name, or "player.part"


def fresh(turn: int, visit: int) -> int:
  """Every turn draws its own latents and noise."""
  del visit
  return turn


def shared(turn: int, visit: int) -> int:
  """The k-th turns of all players draw the same latents and noise, so D and G of one round meet the same fakes."""
  del turn
  return visit


def keep(state: GanState) -> GanState:
  """Nothing happens at the end of a round."""
  return state


class Game(NamedTuple):
  """Players, the turns of one round, and how to draw from the generator.

  `sample(state, key, batch)` draws one example for each row of `batch`, with the parameters in `state`.
  `axis_name` is the mapped axis that the global batch is spread over (None: the batch is whole, or jit sees it sharded).
  `noise(turn, visit)` numbers the draws of a round: turns with one number share latents and noise (`fresh` or `shared`).
  `end(state)` is what happens after the last turn of a round, to all players at once; `state.step` then counts the rounds played.
  `judge(state, examples, batch)` is what D says of examples at evaluation, its output and its features `[n, F]`; None where it sees no single ones.
  `patience` is after how many turns in a row that were not finite nobody moves any more; None: turns are taken whatever they hold.
  `gradient_norms` logs the norm of every move's gradient.
  """

  players: Mapping[str, Player]
  turns: Turns
  sample: Callable[[GanState, Array, Batch], PyTree]
  axis_name: str | None = None
  noise: Callable[[int, int], int] = fresh
  pack_size: int = 1
  end: Callable[[GanState], GanState] = keep
  judge: Callable[[GanState, Array, Batch], tuple[Array, Array]] | None = None
  patience: int | None = None
  gradient_norms: bool = False


class Algorithm(NamedTuple):
  """`init(key, batch) -> state`; `step(state, batch, key) -> (state, metrics)`; `sample(state, key, batch) -> examples`."""

  init: Callable[[Array, Batch], GanState]
  step: Callable[[GanState, Batch, Array], tuple[GanState, Metrics]]
  sample: Callable[[GanState, Array, Batch], PyTree]


def build(game: Game) -> Algorithm:
  """The pure pair `init`, `step` (and `sample`) of a game.

  `step` folds `state.step` into its key, so callers pass one run key for ever and a resumed run is exact. Its batch is cut into as many
  slices as the busiest player has turns; a player's k-th turn sees slice k. The slices are strided (row i goes to slice i mod k), which
  makes them the same rows on one device and on many.

  >>> import jax, optax
  >>> from gan_jax import build, gan, networks, objectives, priors
  >>> game = gan(networks.mlp(2), networks.mlp(1), objectives.non_saturating(), prior=priors.normal(8),
  ...            optimizers={"generator": optax.sgd(.1), "discriminator": optax.sgd(.1)})
  >>> algorithm = build(game)
  >>> batch = {"image": jax.numpy.ones((4, 2))}
  >>> state, metrics = algorithm.step(algorithm.init(jax.random.key(0), batch), batch, jax.random.key(1))
  >>> int(state.step), sorted(metrics)[:2]
  (1, ['discriminator/accuracy', 'discriminator/adversarial'])

  Raises:
    ValueError: a turn names an unknown player, or a batch cannot be cut into turns.
  """
  for names in game.turns:
    for name in names:
      player, _, part = name.partition(".")
      if player not in game.players:
        raise ValueError(f"turn {names} names {player!r}, who is not a player; players: {', '.join(game.players)}")
      if part and part not in game.players[player].parts:
        raise ValueError(f"turn {names} names {name!r}, which is no part of {player}; parts: {', '.join(game.players[player].parts) or 'none'}")
  visits = _visits(game.turns)
  num_slices = slices_per_round(game)

  def init(key: Array, batch: Batch) -> GanState:
    first = _cut(check_batch(batch), num_slices)[0]
    keys = dict(zip(sorted(game.players), jax.random.split(key, len(game.players)), strict=True))
    pairs = {name: player.init(keys[name], first) for name, player in game.players.items()}
    params = {name: pair[0] for name, pair in pairs.items()}
    return GanState(
      step=jnp.zeros((), jnp.int32),
      params=params,
      model_state={name: pair[1] for name, pair in pairs.items()},
      opt_state={name: player.optimizer.init(params[name]) for name, player in game.players.items()},
      # A copy: a donated state may not hold one buffer twice.
      ema={n: jax.tree.map(jnp.copy, params[n]) for n, player in game.players.items() if player.ema_decay is not None},
      skipped={} if game.patience is None else {name: jnp.zeros(4, jnp.int32) for name in game.players},
    )

  def step(state: GanState, batch: Batch, key: Array) -> tuple[GanState, Metrics]:
    _check_axis(game.axis_name)
    key = jax.random.fold_in(key, state.step)
    slices = _cut(check_batch(batch), num_slices)
    metrics: dict[str, Array] = {}
    for turn, (names, visit) in enumerate(zip(game.turns, visits, strict=True)):
      turn_key = jax.random.fold_in(key, game.noise(turn, visit))
      state, turn_metrics = take_turn(game, names, state, slices[visit], turn_key)
      metrics.update(turn_metrics)
    return game.end(state.replace(step=state.step + 1)), metrics

  return Algorithm(init, step, game.sample)


def take_turn(game: Game, names: tuple[str, ...], state: GanState, batch: Batch, key: Array) -> tuple[GanState, Metrics]:
  """Move the named players at once: the only place with a gradient, a `pmean` and an optimiser update."""
  moved = state
  metrics: dict[str, Array] = {}
  for move in names:
    name, _, part = move.partition(".")
    player = game.players[name]
    loss = player.parts[part] if part else player.loss
    (value, aux), grads = jax.value_and_grad(loss, has_aux=True)(state.params[name], state, batch, key)
    grads, model_state, logs = mean_over((grads, aux.model_state, {"loss": value, **aux.metrics}), game.axis_name)
    if game.gradient_norms:
      logs["gradient_norm"] = optax.tree.norm(grads)
    start = state.opt_state[name] if aux.opt_state is None else aux.opt_state
    updates, opt_state = player.optimizer.update(grads, start, state.params[name])
    params = optax.apply_updates(state.params[name], updates)
    entries = {"params": params, "model_state": model_state, "opt_state": opt_state}
    if player.ema_decay is not None:
      entries["ema"] = optax.incremental_update(params, state.ema[name], 1 - player.ema_decay)
    if game.patience is not None:
      entries = _if_finite(game.patience, state, name, logs["loss"], grads, entries)
    moved = with_entry(moved, name, **entries)
    metrics.update({f"{move}/{key}": log for key, log in logs.items()})
  return moved, metrics


def broken(before: PyTree, after: PyTree) -> Array:
  """For each array of `after`, whether it holds NaN or an infinity where `before` was finite. `[number of arrays]` bool."""

  def one(old: Array, new: Array) -> Array:
    return (jnp.isfinite(old) & ~jnp.isfinite(new)).any() if jnp.issubdtype(new.dtype, jnp.inexact) else jnp.zeros((), bool)

  return jnp.stack([one(old, new) for old, new in zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True)])


def given_up(state: GanState, patience: int) -> Array:
  """Whether a player has lost its patience: then nobody moves any more."""
  return jnp.stack([count[..., 1] >= patience for count in state.skipped.values()]).any(0)


def _if_finite(patience: int, state: GanState, name: str, loss: Array, grads: PyTree, entries: dict[str, PyTree]) -> dict[str, PyTree]:
  """What a move leaves behind: its entries; the old ones, and a count, where its loss, its gradient or an entry is not finite.

  All of it has been through `pmean`, so every replica decides alike.
  """
  old = {field: getattr(state, field)[name] for field in entries}
  bad = broken((jnp.zeros(()), state.params[name], old), (loss, grads, entries))
  over, fine, count = given_up(state, patience), ~bad.any(), state.skipped[name]
  noted = jnp.where(fine, count.at[1].set(0), jnp.stack([count[0] + 1, count[1] + 1, state.step, jnp.argmax(bad).astype(jnp.int32)]))
  kept = jax.tree.map(lambda new, old: jnp.where(fine & ~over, new, old), entries, old)
  return {**kept, "skipped": jnp.where(over, count, noted)}


def mover(move: str) -> str:
  """Who moves: "generator" of "generator" and of "generator.diffusion"."""
  return move.partition(".")[0]


def slices_per_round(game: Game) -> int:
  """How many slices a round's batch is cut into: the number of turns of the busiest player."""
  return max(_visits(game.turns)) + 1


def with_entry(state: GanState, name: str, **fields: PyTree) -> GanState:
  """`state` with one player's entry replaced in the given fields, e.g. `with_entry(state, "generator", params=p)`."""
  return state.replace(**{field: {**getattr(state, field), name: entry} for field, entry in fields.items()})


def with_ema(state: GanState) -> GanState:
  """`state` with averaged parameters in place of the raw ones, for the players that keep an average."""
  return state.replace(params={**state.params, **state.ema})


def mean_over(tree: PyTree, axis_name: str | None) -> PyTree:
  """The mean over the mapped axis; the tree itself where there is none. Integer leaves (counters, alike everywhere) pass."""
  if axis_name is None:
    return tree
  return jax.tree.map(lambda x: lax.pmean(x, axis_name) if jnp.issubdtype(x.dtype, jnp.inexact) else x, tree)


def draw(sampler: Callable[[Array, int], PyTree], key: Array, n: int, axis_name: str | None) -> PyTree:
  """`n` rows of `sampler(key, rows)`. Under an axis every device draws the global batch's rows and keeps its own: the noise does not depend on
  the number of devices."""
  if axis_name is None:
    return sampler(key, n)
  whole = sampler(key, n * lax.axis_size(axis_name))
  return jax.tree.map(lambda x: lax.dynamic_slice_in_dim(x, lax.axis_index(axis_name) * n, n), whole)


def gather(x: Array, axis_name: str | None) -> Array:
  """The rows of every device, in order: `[B, ...] -> [devices * B, ...]`."""
  return x if axis_name is None else lax.all_gather(x, axis_name, tiled=True)


def own_key(key: Array, axis_name: str | None) -> Array:
  """A key that every device has for itself."""
  return key if axis_name is None else jax.random.fold_in(key, lax.axis_index(axis_name))


def own_rows(x: Array, n: int, axis_name: str | None) -> Array:
  """The inverse of `gather`: this device's `n` rows."""
  return x if axis_name is None else lax.dynamic_slice_in_dim(x, lax.axis_index(axis_name) * n, n)


def check_batch(batch: Batch) -> Batch:
  """The batch. Raises ValueError if it is none, or holds whole numbers in place of examples."""
  if not isinstance(batch, Mapping) or "image" not in batch:
    what = f"has the keys {', '.join(map(str, batch))}" if isinstance(batch, Mapping) else f"is of type {type(batch).__name__}"
    raise ValueError(f'a batch is {{"image": [B, ...]}}, and "condition" where players are told one; this {what}')
  for leaf in jax.tree.leaves(batch["image"]):
    if not jnp.issubdtype(jnp.result_type(leaf), jnp.inexact):
      raise ValueError(f'batch["image"] is of {jnp.result_type(leaf)}; examples are floats in the range of the generator, as bytes / 127.5 - 1')
  return batch


def _check_axis(axis_name: str | None) -> None:
  if axis_name is not None:
    try:
      lax.axis_size(axis_name)
    except NameError as error:
      remedy = f'call it under pmap or vmap with axis_name="{axis_name}", or make the game without axis_name'
      raise ValueError(f'the game spreads its batches over the axis "{axis_name}", and this step is not under it; {remedy}') from error


def _visits(turns: Turns) -> list[int]:
  """For each turn, how often its players have moved before in this round."""
  seen: dict[str, int] = {}
  visits = []
  for names in turns:
    movers = [mover(name) for name in names]
    visits.append(max(seen.get(name, 0) for name in movers))
    for name in movers:
      seen[name] = seen.get(name, 0) + 1
  return visits


def _cut(batch: Batch, num_slices: int) -> list[Batch]:
  """Strided slices: row i belongs to slice i mod num_slices."""
  if num_slices == 1:
    return [batch]
  rows = len(jax.tree.leaves(batch)[0])
  if rows % num_slices:
    raise ValueError(f"batch of {rows} cannot be cut into {num_slices} turns; use a multiple of {num_slices}")
  strided = jax.tree.map(lambda x: x.reshape(rows // num_slices, num_slices, *x.shape[1:]), batch)
  return [jax.tree.map(lambda x, k=k: x[:, k], strided) for k in range(num_slices)]
