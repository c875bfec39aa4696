"""What is compiled for an arm: all its seeds are one XLA program, on every layout of devices."""

import functools
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from gan_jax import core
from gan_jax.core import PyTree
from gan_jax.data import stream
from gan_jax.data.base import Data, DataFormatError, abstract_examples
from gan_jax.lab import numerics, resolve, strategy
from gan_jax.lab.errors import DataError, GanJaxError, blame

SLICE = 1000  # examples a convolutional generator draws at once
SLICE_NUMBERS = 2**24  # and numbers that any other does: sample() needs no more memory for more examples
CHUNK_BYTES = 2**26  # of streamed examples, in one piece to the devices
CONDITIONS = 2**31 - 1  # folded into a sampling key: the key of its conditions

Keys = dict[str, Array]


class Program(NamedTuple):
  """The functions of an arm. States, keys and what comes out are `[S, ...]`.

  `init(keys, table)` gives the first states, on one device. `advance(states, totals, keys, feed, rounds)` plays `rounds` rounds, adds every
  round's metrics to `totals` (at first `totals(S)`) and gives both; its arguments are laid out by `layout`. `sample(states, keys, n, conditions)`
  draws on one device, in slices; `conditions(keys, n)` are those of the data's law, {} without.
  """

  layout: strategy.Layout
  seeds: str  # "vmap" or "map": see strategy.over_seeds
  init: Callable[[Keys, PyTree], core.GanState]
  totals: Callable[[int], dict[str, np.ndarray]]
  advance: Callable[..., tuple[core.GanState, dict[str, Array]]]
  conditions: Callable[[Array, int], dict[str, Array]]
  sample: Callable[..., np.ndarray]


def program(experiment: resolve.Experiment, layout: strategy.Layout | None = None, seeds: str | None = None) -> Program:
  """`keys` is `{"init", "data", "run"}`, each `[S]`. A round's batch is a function of (seed, round) alone, whatever the layout."""
  layout = layout or strategy.jit()
  how = seeds or strategy.over_seeds()
  data, size = experiment.data, experiment.round_size
  whole = core.build(experiment.game)
  plain = layout.axis_name is None and layout.spread is None
  game = experiment.game if plain else experiment.place(layout.axis_name, layout.spread)
  spread = layout.spread or (lambda rows: rows)

  def drawn(table: PyTree, state: core.GanState, keys: Keys) -> core.Batch:
    return spread(data.draw(table, jax.random.fold_in(keys["data"], state.step), size))

  def streamed(feed: PyTree, state: core.GanState, keys: Keys) -> core.Batch:
    del keys
    assert data.rows is not None
    number = state.step - feed["first"]
    return data.rows.collate(spread(jax.tree.map(lambda x: lax.dynamic_index_in_dim(x, number, keepdims=False), feed["examples"])))

  batch_of = streamed if data.streamed else drawn
  feed_axis = 0 if data.streamed else None

  def advance_by(game: core.Game) -> numerics.Advance:
    step = core.build(game).step

    def advance_one(
      state: core.GanState, totals: dict[str, Array], keys: Keys, feed: PyTree, rounds: Array
    ) -> tuple[core.GanState, dict[str, Array]]:
      # The number of rounds is an argument, so that a last, shorter stretch is the same program.
      def body(number: Array, carry: tuple) -> tuple:
        state, logs = step(carry[0], batch_of(feed, carry[0], keys), keys["run"])
        return state, jax.tree.map(jnp.add, carry[1], logs)

      return lax.fori_loop(0, rounds, body, (state, totals))

    return advance_one

  @functools.cache  # tracing a round takes tenths of a second, and sums begin anew at every check
  def logs() -> dict[str, jax.ShapeDtypeStruct]:
    return jax.eval_shape(lambda state, batch, key: whole.step(state, batch, key)[1], experiment.shapes, data.abstract(size), jax.random.key(0))

  def totals(num_seeds: int) -> dict[str, np.ndarray]:
    return {name: np.zeros((num_seeds, *log.shape), log.dtype) for name, log in logs().items()}

  over_seeds = lambda advance: strategy.each_seed(advance, how, (0, 0, 0, feed_axis, None))
  advance = layout.compile(over_seeds(advance_by(game)), feed_axis)
  if game.patience is not None:
    fast = layout.compile(over_seeds(numerics.with_verdict(advance_by(game._replace(patience=None)))), feed_axis, ())
    advance = numerics.careful(fast, advance, layout.fetch)
  return Program(layout, how, _init(data, size, whole, how), totals, advance, _conditions(data), _sample(experiment, whole, how))


def seed_keys(seeds: tuple[int, ...]) -> Keys:
  """The keys of each seed, `[S]` each: the same for every arm, so arms start alike and see the same data."""
  names = ("init", "data", "run", "monitor", "evaluate")
  split = jax.vmap(lambda seed: jax.random.split(jax.random.key(seed), len(names)))(jnp.asarray(seeds, jnp.uint32))
  return {name: split[:, number] for number, name in enumerate(names)}


def feeds(data: Data, layout: strategy.Layout, keys: Array, rounds: range, every: int, n: int) -> Iterator[tuple[PyTree, int]]:
  """What `rounds` are played on, as `(feed, how many rounds)`, for one or more calls of `advance`; no piece crosses a multiple of `every`.

  A set on the device is its table, the same each time. Of a streamed one come the `n` examples of each of the next rounds, read ahead on the host,
  and the number of the first of these rounds.

  Raises:
    DataError: a file of a streamed set turns out broken, or gone, or its source raises.
  """
  if not rounds:
    return
  firsts = [rounds.start, *range((rounds.start // every + 1) * every, rounds.stop, every)]
  stretches = [range(first, stop) for first, stop in zip(firsts, [*firsts[1:], rounds.stop], strict=True)]
  if not data.streamed:
    table = layout.replicate(data.table)
    yield from ((table, len(stretch)) for stretch in stretches)
    return
  assert data.rows is not None
  size = sum(math.prod(x.shape) * x.dtype.itemsize for x in abstract_examples(data.rows, n).values()) * len(keys)
  pieces = math.ceil(every * size / CHUNK_BYTES)
  spans = [span for stretch in stretches for span in stream.spans(stretch.start, stretch.stop, math.ceil(every / min(pieces, every)))]
  try:
    for (start, stop), examples in zip(spans, stream.batches(data.rows, keys, spans, n), strict=True):
      first = layout.place(np.full(len(keys), start, np.int32))
      yield {"first": first, "examples": layout.stream(jax.tree.map(lambda x: np.moveaxis(x, 1, 0), examples))}, stop - start
  except (DataFormatError, OSError) as error:
    raise DataError(f"{data.name}: {error}") from error
  except GanJaxError:
    raise
  except Exception as error:  # of a source of the user's own
    raise DataError(f"{data.name}: {blame(error)}{''.join(f' ({note})' for note in getattr(error, '__notes__', ()))}") from error


def _init(data: Data, size: int, algorithm: core.Algorithm, how: str) -> Callable[[Keys, PyTree], core.GanState]:
  if not data.streamed:
    return jax.jit(strategy.each_seed(lambda keys, table: algorithm.init(keys["init"], data.draw(table, keys["data"], size)), how, (0, None)))
  first = jax.jit(strategy.each_seed(algorithm.init, how, (0, 0)))
  return lambda keys, table: first(keys["init"], _stacked([data.sample(key, size) for key in keys["data"]]))


def _conditions(data: Data) -> Callable[[Array, int], dict[str, Array]]:
  def of(table: PyTree, key: Array, n: int) -> dict[str, Array]:
    batch = data.draw(table, jax.random.fold_in(key, CONDITIONS), n)
    return {name: value for name, value in batch.items() if name != "image"}

  compiled = jax.jit(jax.vmap(of, in_axes=(None, 0, None)), static_argnums=2)

  def conditions(keys: Array, n: int) -> dict[str, Array]:
    if set(data.abstract(1)) == {"image"}:
      return {}
    if not data.streamed:
      return compiled(data.table, keys, n)
    return _stacked([data.conditions(jax.random.fold_in(key, CONDITIONS), n) for key in keys])

  return conditions


def _convolutional(shapes: core.GanState) -> bool:
  """Whether any player has kernels of images, `[H, W, C, D]`."""
  leaves = jax.tree_util.tree_leaves_with_path(shapes.params)
  return any(leaf.ndim == 4 and jax.tree_util.keystr(path[-1:], simple=True) == "kernel" for path, leaf in leaves)


def _sample(experiment: resolve.Experiment, algorithm: core.Algorithm, how: str) -> Callable[..., np.ndarray]:
  conditions_of = _conditions(experiment.data)
  most = SLICE if _convolutional(experiment.shapes) else max(1, SLICE_NUMBERS // math.prod(experiment.data.shape))

  def every(states: core.GanState, keys: Array, conditions: dict[str, Array], n: int) -> Array:
    def one(state: core.GanState, key: Array, conditions: dict[str, Array]) -> Array:
      return algorithm.sample(state, key, {"image": jnp.zeros((n, 1)), **conditions})

    return strategy.each_seed(one, how, (0, 0, 0))(states, keys, conditions)

  compiled = jax.jit(every, static_argnums=3)

  def sample(states: core.GanState, keys: Array, n: int, conditions: dict[str, Array] | None = None) -> np.ndarray:
    """`[S, n, ...]` by `keys` `[S]` and `conditions` (`{"condition": [S, n, ...]}`; those of the data's law by default)."""
    conditions = conditions_of(keys, n) if conditions is None else conditions
    if n <= most:
      return np.asarray(compiled(states, keys, conditions, n))
    parts = []
    for number, start in enumerate(range(0, n, most)):
      rows = np.minimum(np.arange(start, start + most), n - 1)  # the last slice is cut from a whole one: one program
      own = jax.vmap(jax.random.fold_in, in_axes=(0, None))(keys, number)
      parts.append(np.asarray(compiled(states, own, {name: value[:, rows] for name, value in conditions.items()}, most))[:, : n - start])
    return np.concatenate(parts, axis=1)

  return sample


def _stacked(batches: list[Any]) -> Any:
  return jax.tree.map(lambda *leaves: jnp.stack(leaves), *batches)
