"""What a data set is: examples on the device or on the host, a law that draws batches and, where it is known, the truth about its modes.

`Data.draw` is pure JAX, so batches can be drawn inside a jitted, vmapped, scanned training loop; what is large comes in through `Data.table`.
`Data.modes` is numpy: it scores samples after training. A mode is a place where the data has mass; `Modes.assign` says which one a sample
belongs to, and whether it is good enough to count as "high quality".

A finite set has a `Source`, its examples by number on the host, and `Rows`, the law that makes batches of them. Small sets live on the device
as the table; larger ones stay on the host and are fed in (`stream.py`). The law is the same JAX computation either way, and so are its batches.
"""

import math
import numbers
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

Batch = dict[str, Array]
PyTree = Any

DEVICE_BYTES = 2**30  # a set of more than this is streamed
CHUNK = 4096  # examples read at once
LEVELS = (np.arange(256) / 127.5 - 1).astype(np.float32)  # the 256 pixel values


class DataFormatError(ValueError):
  """A data set that is broken, incomplete, or not what its place promises; the message names the file, and the offset where there is one."""


class Assignment(NamedTuple):
  """Where N samples landed. A sample with a NaN or an infinity in it gets mode 0, high_quality False, radius inf."""

  mode: np.ndarray  # [N] int, the nearest mode or the predicted class
  high_quality: np.ndarray  # [N] bool
  radius: np.ndarray | None  # [N] distance to the mode in units of its sigma; None for images
  confidence: np.ndarray | None = None  # [N] in [0, 1], how sure the classifier is of the mode; None without one


class Reader(Protocol):
  """A data set's own classifier, as metrics use it: features of images [N, *shape] in [-1, 1], and what they hang on."""

  @property
  def identity(self) -> str:
    """sha256 hex."""

  def features(self, images: np.ndarray) -> np.ndarray:
    """[N, F] float32."""


class Modes(NamedTuple):
  """The truth about K modes. `quality` and `radius_statistic` are what samples of the law itself score."""

  probabilities: np.ndarray  # [K], sums to 1: the law the data is drawn from
  assign: Callable[[np.ndarray], Assignment]  # samples [N, *shape] -> Assignment
  quality: float  # P(a sample of the law is high quality)
  centers: np.ndarray | None = None  # [K, D], for plots
  dimension: int = 2  # directions in which a mode has spread
  radius_statistic: float | None = None  # E[radius^2 / dimension | high quality] under the law; None without radii
  classifier: Reader | None = None  # that `assign` reads classes with; takes images of the data set's own shape


class Source(Protocol):
  """The examples of a finite set by number, on the host: arrays in memory, a folder of files, a prepared TFDS set."""

  kind: str  # "idx", "npz", "npy", "folder", "pairs", "captions", "tfds" or "memory"
  classes: tuple[str, ...]  # their names; () without labels

  @property
  def shape(self) -> tuple[int, ...]:
    """Of one image, (H, W, C)."""

  @property
  def identity(self) -> str:
    """sha256 hex: of the content in memory, or of names, sizes and times of files."""

  @property
  def labels(self) -> np.ndarray | None:
    """[N] int32, the class of every example, without reading any image; None without labels."""

  def __len__(self) -> int: ...

  def rows(self, index: np.ndarray) -> dict[str, np.ndarray]:
    """Examples `index` [n]: "image" uint8 [n, H, W, C], and what there is of "label" int32 [n], "source" uint8 [n, H, W, C] (of pairs; "image" is
    then the target) and "caption" [n] str.

    DataFormatError: a file that turns out broken, or gone.
    """


class Rows(NamedTuple):
  """How batches are made of a source. Wrappers (`stacked`, `long_tail`) put another index law, or another collation, in its place.

  An index law is run on the host and on devices, so it must be exact: integers and comparisons, no logarithms (`jax.random.categorical`).
  """

  source: Source
  index: Callable[[Array, int], Array]  # type: ignore[assignment]  # (key, n) -> int32 [n] or [n, k]; pure JAX
  collate: Callable[[dict[str, Array]], Batch]  # examples ([n, ...] or [n, k, ...]) -> {"image": float32 in [-1, 1], "condition"?}; pure JAX
  columns: tuple[str, ...] = ("image",)  # what of an example `collate` reads: all that the device is given


class Data(NamedTuple):
  """A data set. `draw(table, key, n)` gives {"image": [n, *shape] float32, "condition"?: [n, ...]} and holds nothing large nor that changes."""

  name: str
  shape: tuple[int, ...]  # of one example: (2,) for points, (8, 8, 3) for images
  draw: Callable[[PyTree, Array, int], Batch]  # pure JAX; not for a streamed set
  modes: Modes | None
  value_range: tuple[float, float] | None = None  # (-1., 1.) for images, None for points
  table: PyTree = ()  # arrays on the device; an argument of compiled programs, so that none holds a copy
  rows: Rows | None = None  # where examples come from, of a finite set
  streamed: bool = False  # batches are fed from `rows`, and the table is ()
  num_classes: int | None = None  # set where "condition" is a class, int32 in [0, num_classes)
  vocabulary: tuple[str, ...] = ()  # set where "condition" is a caption, int32 [n, L]: word k is number k + 2, see `tokens`

  def sample(self, key: Array, n: int) -> Batch:
    """A batch of n, the one that training would see for this key. A streamed set reads it on the host: then not inside jit."""
    if not self.streamed:
      return self.draw(self.table, key, n)
    assert self.rows is not None
    examples = take(self.rows.source, np.asarray(self.rows.index(key, n)), self.rows.columns)
    return self.rows.collate(jax.tree.map(jnp.asarray, examples))

  def conditions(self, key: Array, n: int) -> Batch:
    """What such a batch holds beside the image: {"condition": [n, ...]}, or {}."""
    return {name: value for name, value in self.sample(key, n).items() if name != "image"}

  def abstract(self, n: int) -> dict[str, jax.ShapeDtypeStruct]:
    """Shapes and dtypes of a batch of n; reads and computes nothing."""
    key = jax.eval_shape(lambda: jax.random.key(0))
    if not self.streamed:
      return jax.eval_shape(lambda table, key: self.draw(table, key, n), self.table, key)
    assert self.rows is not None
    return jax.eval_shape(self.rows.collate, abstract_examples(self.rows, n))


def from_rows(name: str, shape: tuple[int, ...], rows: Rows, *, modes: Modes | None = None, value_range: tuple[float, float] | None = (-1.0, 1.0),
              num_classes: int | None = None, of: Data | None = None, device_bytes: int = DEVICE_BYTES) -> Data:
  """A data set whose batches are made of `rows`: on the device where the examples fit in `device_bytes`, streamed where they do not.

  of: a data set over the same source, whose table (or streaming) this one shares.

  >>> from gan_jax.data.sources import memory
  >>> source = memory(np.arange(12, dtype=np.uint8).reshape(3, 2, 2, 1))
  >>> data = from_rows("tiny", (2, 2, 1), Rows(source, uniform(len(source)), unconditional))
  >>> data.sample(jax.random.key(0), 5)["image"].shape, data.streamed
  ((5, 2, 2, 1), False)
  """
  if of is not None and of.rows is not None and of.rows.source is rows.source and set(rows.columns) <= set(of.rows.columns):
    table, streamed = of.table, of.streamed
  else:
    example = rows.source.rows(np.zeros(1, np.int64))
    streamed = len(rows.source) * sum(example[column].nbytes for column in rows.columns) > device_bytes
    table = () if streamed else _load(rows)

  def draw(table: PyTree, key: Array, n: int) -> Batch:
    if streamed:
      raise ValueError(f"{name} is streamed: its batches come from the host (gan_jax.data.stream)")
    index = rows.index(key, n)
    return rows.collate({column: table[column].at[index].get(mode="clip") for column in rows.columns})

  return Data(name, shape, draw, modes, value_range, table, rows, streamed, num_classes)


def take(source: Source, index: np.ndarray, columns: tuple[str, ...]) -> dict[str, np.ndarray]:
  """Examples `index` (of any shape) of a source: {column: [*index.shape, ...]}. On the host."""
  flat = source.rows(index.reshape(-1))
  return {column: flat[column].reshape(*index.shape, *flat[column].shape[1:]) for column in columns}


def abstract_examples(rows: Rows, n: int) -> dict[str, jax.ShapeDtypeStruct]:
  """Shapes and dtypes of the examples behind a batch of n."""
  index = jax.eval_shape(lambda key: rows.index(key, n), jax.eval_shape(lambda: jax.random.key(0)))
  example = rows.source.rows(np.zeros(1, np.int64))
  return {column: jax.ShapeDtypeStruct((*index.shape, *example[column].shape[1:]), example[column].dtype) for column in rows.columns}


def uniform(size: int) -> Callable[[Array, int], Array]:
  """The index law of plain training: each of `size` examples alike, with replacement."""

  def index(key: Array, n: int) -> Array:
    return jax.random.randint(key, (n,), 0, size)

  return index


def pixels(images: Array) -> Array:
  """uint8 -> float32 in [-1, 1], x / 127.5 - 1. From a table: as arithmetic, its last bit would hang on what XLA fuses it with."""
  return jnp.asarray(LEVELS)[images.astype(jnp.int32)]


def unconditional(examples: dict[str, Array]) -> Batch:
  """The collation of plain training: the images alone."""
  return {"image": pixels(examples["image"])}


def pick(table: Array, key: Array, n: int) -> Batch:
  """`Data.draw` of a finite training set of points: uniformly, with replacement, from the table [num_points, *shape]."""
  return {"image": table[uniform(len(table))(key, n)]}


def _load(rows: Rows) -> dict[str, Array]:
  """All examples, on the device."""
  size = len(rows.source)
  parts = [take(rows.source, np.arange(start, min(start + CHUNK, size)), rows.columns) for start in range(0, size, CHUNK)]
  return {column: jnp.asarray(np.concatenate([part.pop(column) for part in parts])) for column in rows.columns}


def measure(points: np.ndarray, weights: np.ndarray, assign: Callable[[np.ndarray], Assignment], num_modes: int,
            dimension: int) -> tuple[np.ndarray, float, float]:
  """(probabilities [K], quality, radius_statistic) of a law given as points [M, D] with weights [M] that sum to 1."""
  found = assign(points)
  assert found.radius is not None
  probabilities = np.bincount(found.mode, weights, num_modes)
  if (probabilities <= 0).any():
    raise ValueError(f"mode {probabilities.argmin()} has no mass of its own: no sample is nearest to it")
  good = weights * found.high_quality
  return probabilities / probabilities.sum(), float(good.sum()), float(good @ found.radius**2 / good.sum() / dimension)


def finite_rows(samples: np.ndarray) -> np.ndarray:
  """[N] bool: which samples [N, ...] hold only finite numbers."""
  return np.isfinite(samples).reshape(len(samples), -1).all(axis=1)


def positive(name: str, value: float) -> float:
  """`value` as a float, or a ValueError that names the setting."""
  if isinstance(value, bool) or not isinstance(value, numbers.Real) or not math.isfinite(value) or value <= 0:
    raise ValueError(f"{name} must be a positive number, got {value!r}")
  return float(value)


def count(name: str, value: int, minimum: int = 1) -> int:
  """`value` as an int of at least `minimum`, or a ValueError that names the setting."""
  if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < minimum:
    raise ValueError(f"{name} must be a whole number of at least {minimum}, got {value!r}")
  return int(value)


def relative_weights(weights: object, num_modes: int) -> np.ndarray:
  """[K] probabilities from relative weights; None is the uniform law."""
  if weights is None:
    return np.full(num_modes, 1 / num_modes)
  array = numeric("weights", weights)
  if array.shape != (num_modes,):
    raise ValueError(f"weights must be one number for each of the {num_modes} modes, got shape {array.shape}")
  if (array <= 0).any():
    raise ValueError(f"weights must be positive, got {array.min():g}; leave a mode out rather than give it no weight")
  return array / array.sum()


def numeric(name: str, values: object) -> np.ndarray:
  """`values` as a float64 array of finite numbers, or a ValueError that names the setting."""
  try:
    array = np.asarray(values, np.float64)
  except (TypeError, ValueError):
    raise ValueError(f"{name} must be numbers, got {values!r}") from None
  if not np.isfinite(array).all():
    raise ValueError(f"{name} must be finite, got NaN or infinity")
  return array
