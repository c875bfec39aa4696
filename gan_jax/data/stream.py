"""Examples of sets too large for the device, read ahead on the host while the device trains.

The order is the index law of `Rows` under the very keys that a set on the device would be indexed with, so batch number `round` of a seed is a
function of (seed, round) alone: restarts, threads and devices do not come into it, and a streamed run sees what a run on the device sees.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence

import jax
import numpy as np
from jax import Array

from gan_jax.data.base import Rows, take

THREADS = 8
READ_AHEAD = 2  # spans


def batches(rows: Rows, keys: Array, spans: Sequence[tuple[int, int]], n: int, *, threads: int = THREADS,
            read_ahead: int = READ_AHEAD) -> Iterator[dict[str, np.ndarray]]:
  """The examples of each span of rounds in turn, {column: [R, S, n, ...]}: `rows.columns`, as the source has them, ready for `rows.collate`.

  keys: the data keys of S seeds, [S]; a round's batch is that of `fold_in(key, round)`, as in training on the device.
  spans: (first round, last + 1) of each item, none of which is empty. R is the longest; what a shorter one lacks is filled with zeros, so that
    one compiled program takes them all.
  n: examples of a round.
  threads: how many rounds may be read at a time. read_ahead: for how many spans of rounds, beside the one that is being used.

  DataFormatError, OSError: where a file turns out broken, or gone; anything a source raises has a note with the round and the example.

  >>> from gan_jax.data.base import unconditional, uniform
  >>> from gan_jax.data.sources import memory
  >>> rows = Rows(memory(np.zeros((9, 8, 8), np.uint8)), uniform(9), unconditional)
  >>> keys = jax.random.split(jax.random.key(0), 2)
  >>> [span["image"].shape for span in batches(rows, keys, [(0, 3), (3, 4)], 5)]
  [(3, 2, 5, 8, 8, 1), (3, 2, 5, 8, 8, 1)]
  """
  import grain  # seconds, that only streamed sets pay

  rounds = [number for start, stop in spans for number in range(start, stop)]
  longest = max(stop - start for start, stop in spans)
  index = law(rows, keys, n)
  options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=max(threads, read_ahead * longest))

  def read_round(number: int) -> dict[str, np.ndarray]:
    chosen = index(rounds[number])
    try:
      return take(rows.source, chosen, rows.columns)
    except Exception as error:
      error.add_note(f"round {rounds[number]}, example {_culprit(rows, chosen)}")
      raise

  examples = grain.MapDataset.range(len(rounds)).map(read_round).to_iter_dataset(options)
  waiting = iter(examples)
  for start, stop in spans:
    read = [next(waiting) for _ in range(start, stop)]
    out = {name: np.zeros((longest, *read[0][name].shape), read[0][name].dtype) for name in rows.columns}
    for number, example in enumerate(read):
      for name, values in example.items():
        out[name][number] = values
    yield out


def spans(start: int, stop: int, length: int) -> list[tuple[int, int]]:
  """The rounds from `start` to `stop` in spans of `length`, the last of what is left.

  >>> spans(10, 17, 3)
  [(10, 13), (13, 16), (16, 17)]
  """
  return [(first, min(first + length, stop)) for first in range(start, stop, length)]


def law(rows: Rows, keys: Array, n: int) -> Callable[[int], np.ndarray]:
  """`round -> index [S, n(, k)]`: which examples each seed sees in it. Computed on the host's processor, so that it never waits for the device."""
  data, kind = np.asarray(jax.random.key_data(keys)), jax.random.key_impl(keys)

  @jax.jit
  def index(data: Array, number: Array) -> Array:
    return jax.vmap(lambda key: rows.index(jax.random.fold_in(key, number), n))(jax.random.wrap_key_data(data, impl=kind))

  def of_round(number: int) -> np.ndarray:
    with _on_host():
      return np.asarray(index(data, np.int32(number)))

  return of_round


def _culprit(rows: Rows, index: np.ndarray) -> str:
  """Which of the examples cannot be read alone."""
  for number in np.unique(index):
    try:
      rows.source.rows(np.array([number]))
    except Exception:
      return str(number)
  return f"one of {index.size}"


def _on_host() -> contextlib.AbstractContextManager:
  try:
    return jax.default_device(jax.local_devices(backend="cpu")[0])
  except RuntimeError:  # JAX_PLATFORMS names accelerators alone
    return contextlib.nullcontext()
