"""Triangles as data sets: fixed splits and an endless stream, with whatever is true of an image as its condition. Everything is rendered."""

import functools
import hashlib
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gan_jax.data.base import Assignment, Batch, Data, Modes, Rows, count, pixels, uniform
from gan_jax.data.triangles.attributes import ATTRIBUTES, HUES, NAMES, TEXTURES, Pairs, attribute, bins, combinations
from gan_jax.data.triangles.captions import VOCABULARY
from gan_jax.data.triangles.renderer import parameters, render
from gan_jax.data.triangles.verifier import Verdict, verify

VERSION = 1  # of the renderer: identities hang on it
SPLITS = {"train": 50_000, "val": 5_000, "test": 5_000}
CHUNK = 256  # images rendered at once on the host
Condition = Literal["class", "caption", "edges", "mask", "segmentation", "background", "lowres", "attributes", "vertices"]


def triangles(size: int = 32, split: Literal["train", "val", "test", "stream"] = "train", *, condition: Condition | None = None,
              label: Sequence[str] = ("type",), only: Mapping[str, Sequence[str]] | None = None, pairs: Pairs = "all",
              num_images: int | None = None, modes: Sequence[str] | None = None) -> Data:
  """Triangles of four types, three sizes and six colours on backgrounds of five other colours and six textures; 2,160 combinations, each alike.

  Images are [n, size, size, 3] in [-1, 1], of 256 levels; all sizes draw the same records. Image i of a split is rendered from the key of the split
  and i whenever it is needed: nothing is stored, nothing is downloaded.

  size: a multiple of 4 from 16 on; textures are too fine to be read well at 16.
  split: "train" (50,000 images), "val" (5,000), "test" (5,000), or "stream": new ones in every batch, from the batch's key.
  condition: what a batch carries as "condition":
    class         int32 [n]: the number of the attributes in `label`, ("type", "fill") being 6 type + fill; of those that `only` allows
    caption       int32 [n, 14]: words by number (`captions.text` reads them)
    attributes    int32 [n, 5]: type, size, fill, background, texture
    edges, mask   [n, H, W, 1] in [-1, 1]: the outline; the triangle's share of each pixel
    segmentation  [n, H, W, 12] of 0 and 1: six textures, then six fills
    background    [n, H, W, 3] in [-1, 1]: the image without its triangle
    lowres        [n, H / 4, W / 4, 3] in [-1, 1]: means of 4 x 4 pixels
    vertices      [n, 3, 2]: the corners in pixels
  only: what attributes are restricted to, {"texture": ("plain",), "size": ("large",)}.
  pairs: "seen" leaves four pairs of fill and texture out, "held_out" has them alone (`attributes.HELD_OUT`).
  num_images: of the split, instead of the number above.
  modes: the attributes whose combinations are the modes, ("type", "size", "fill") for 72 of them, as the verifier reads them in samples. A sample is
    of high quality if it shows a triangle of one of them: nearly all true images do (`verifier.verify`).

  ValueError: no such split, condition, attribute or value.

  >>> data = triangles(16, condition="class", label=("type", "fill"))
  >>> data.abstract(8)["image"].shape, data.num_classes
  ((8, 16, 16, 3), 24)
  """
  if count("size", size, 16) % 4:
    raise ValueError(f"size must be a multiple of 4, got {size}")
  if split not in (*SPLITS, "stream"):
    raise ValueError(f'no split "{split}"; there are {", ".join(SPLITS)} and stream')
  if split == "stream" and num_images is not None:
    raise ValueError("num_images is for a split of so many images; the stream has no end")
  allowed = combinations(only, pairs)
  classes = Classes(allowed, tuple(label))
  made, num_classes = _made(condition, classes), len(classes) if condition == "class" else None
  shape, told, known = (size, size, 3), VOCABULARY if condition == "caption" else (), None
  if modes is not None:
    reading = Reading(allowed, tuple(modes), classes)
    known = Modes(reading.law, reading, quality=1.0)

  if split == "stream":
    def draw(table: Any, key: Array, n: int) -> Batch:
      return _batch(_drawn(jax.random.split(key, n), allowed, size, made))

    return Data("triangles", shape, draw, known, (-1.0, 1.0), num_classes=num_classes, vocabulary=told)

  number = count("num_images", SPLITS[split] if num_images is None else num_images)
  own = hashlib.sha256(repr((VERSION, split, number, size, allowed.tolist(), condition, tuple(label))).encode()).hexdigest()
  source = Rendered(split, number, size, allowed, made, classes, own)
  columns = ("image",) if made is None else ("image", "condition")
  rows = Rows(source, uniform(number), lambda examples: {**examples, "image": pixels(examples["image"])}, columns)

  def draw_split(table: Any, key: Array, n: int) -> Batch:
    return _batch(_drawn(_keys(split, rows.index(key, n)), allowed, size, made))

  return Data("triangles", shape, draw_split, known, (-1.0, 1.0), rows=rows, num_classes=num_classes, vocabulary=told)


class Classes:
  """The combinations of the attributes in `label` that occur, by number."""

  def __init__(self, allowed: np.ndarray, label: tuple[str, ...]):
    for name in label:
      attribute(name)
    held = np.unique(bins(allowed, label))
    every = [" ".join(names) for names in itertools.product(*(ATTRIBUTES[name] for name in label))]
    self.label, self.names = label, tuple(every[number] for number in held)
    self._places = np.full(len(every), -1, np.int32)
    self._places[held] = np.arange(len(held))

  def __len__(self) -> int:
    return len(self.names)

  def of(self, attributes: np.ndarray) -> np.ndarray:
    """The classes [N] of attributes [N, 5]; -1 for one that does not occur."""
    return self._places[bins(attributes, self.label)]

  def drawn(self, attributes: Array) -> Array:
    """The same in JAX, of one record [5]."""
    number: Array | int = 0
    for name in self.label:
      number = number * len(ATTRIBUTES[name]) + attributes[NAMES.index(name)]
    return jnp.asarray(self._places)[number]


class Reading:
  """`Modes.assign` of triangles: what the verifier reads in samples. `law` [K] are the probabilities of the modes that occur."""

  def __init__(self, allowed: np.ndarray, modes: tuple[str, ...], classes: "Classes"):
    self.allowed, self.modes, self.classes = allowed, modes, classes
    for name in modes:
      attribute(name)
    if not modes:
      raise ValueError("modes: one attribute at least, such as (\"type\",)")
    self._held, counts = np.unique(bins(allowed, modes), return_counts=True)
    self.law = counts / len(allowed)
    self._last: tuple[bytes, Verdict] | None = None

  def __call__(self, samples: np.ndarray) -> Assignment:
    found = self.verdict(samples)
    number = bins(found.attributes, self.modes)
    place = np.minimum(np.searchsorted(self._held, number), len(self._held) - 1)  # a neighbour, of one that does not occur
    return Assignment(place, found.triangle_ok & (self._held[place] == number), None)

  def verdict(self, samples: np.ndarray) -> Verdict:
    """`verify(samples)`; that of the last samples is kept, for modes and metrics look at the same."""
    given = np.ascontiguousarray(samples, np.float32)
    key = hashlib.sha256(given.data).digest()
    if self._last is None or self._last[0] != key:
      self._last = key, verify(given)
    return self._last[1]


class Rendered:
  """A split as a source: its images by number, rendered when they are asked for."""

  kind = "memory"

  def __init__(self, split: str, number: int, size: int, allowed: np.ndarray, made: Callable | None, classes: Classes, identity: str):
    self.split, self.number, self.allowed, self.made, self.identity = split, number, allowed, made, identity
    self.shape, self.classes, self._classes = (size, size, 3), classes.names, classes

  def __len__(self) -> int:
    return self.number

  @functools.cached_property
  def attributes(self) -> np.ndarray:
    """[N, 5] int32."""
    return self._in_chunks(np.arange(self.number), lambda keys: jax.vmap(lambda key: parameters(key, self.allowed).attributes)(keys))

  @functools.cached_property
  def vertices(self) -> np.ndarray:
    """[N, 3, 2] float32, in pixels."""
    size = self.shape[0]
    return self._in_chunks(np.arange(self.number), lambda keys: jax.vmap(lambda key: parameters(key, self.allowed).vertices * size)(keys))

  @functools.cached_property
  def labels(self) -> np.ndarray:
    """[N] int32, the number of the attributes in `label`."""
    return self._classes.of(self.attributes)

  def rows(self, index: np.ndarray) -> dict[str, np.ndarray]:
    size = self.shape[0]

    def everything(keys: Array) -> dict[str, Array]:
      drawn = _drawn(keys, self.allowed, size, lambda made: {"condition": self.made(made) if self.made else 0, "attributes": made["attributes"]})
      return {"image": drawn["image"], **drawn["condition"]}

    found = self._in_chunks(np.asarray(index).reshape(-1), everything)
    label = self._classes.of(found.pop("attributes"))
    if self.made is None:
      found.pop("condition")
    return {**found, "label": label}

  def _in_chunks(self, index: np.ndarray, make: Callable[[Array], Any]) -> Any:
    """`make(keys [CHUNK])` of all these examples, one after the other, by one program."""
    program = jax.jit(lambda index: make(_keys(self.split, index)))
    padded = np.concatenate([index, np.zeros(-len(index) % CHUNK or (0 if len(index) else CHUNK), index.dtype)])
    parts = [jax.tree.map(np.asarray, program(padded[start : start + CHUNK])) for start in range(0, len(padded), CHUNK)]
    return jax.tree.map(lambda *leaves: np.concatenate(leaves)[: len(index)], *parts)


def stream(data: Data, n: int, seed: int) -> dict[str, np.ndarray]:
  """n images that are in no split of `data`, of the same combinations: "image" [n, H, W, 3] in [-1, 1], "attributes" and "vertices"."""
  assert data.modes is not None and isinstance(data.modes.assign, Reading)
  made = _drawn(jax.random.split(jax.random.fold_in(jax.random.key(seed), 2718), n), data.modes.assign.allowed, data.shape[0],
                lambda made: {"attributes": made["attributes"], "vertices": made["vertices"]})  # fmt: skip
  return {"image": np.asarray(pixels(made["image"])), **jax.tree.map(np.asarray, made["condition"])}


def rendered(size: int, split: str, number: int) -> Iterator[dict[str, np.ndarray]]:
  """The first images of a split, one after the other, with what is true of each.

  "image" uint8 [H, W, 3], "mask" uint8 [H, W, 1] (255 is covered), "segmentation" uint8 [H, W, 1], "vertices", "tokens", "attributes".
  """
  for start in range(0, number, CHUNK):
    found = jax.tree.map(np.asarray, _truths(_split_key(split), jnp.arange(start, start + CHUNK), size))
    for k in range(min(CHUNK, number - start)):
      yield {name: values[k] for name, values in found.items()}


@functools.partial(jax.jit, static_argnums=2)
def _truths(key: Array, index: Array, size: int) -> dict[str, Array]:
  names = ("vertices", "tokens", "attributes")
  made = _drawn(_of(key, index), combinations(), size, lambda made: {
    **{name: made[name] for name in names}, "mask": jnp.round(255 * made["mask"]).astype(jnp.uint8),
    "segmentation": made["segmentation"].astype(jnp.uint8)[..., None],
  })  # fmt: skip
  return {"image": made["image"], **made["condition"]}


def _keys(split: str, index: Array) -> Array:
  """The keys of images `index` of a split."""
  return _of(_split_key(split), index)


def _split_key(split: str) -> Array:
  return jax.random.fold_in(jax.random.key(3141), list(SPLITS).index(split))


def _of(key: Array, index: Array) -> Array:
  return jax.vmap(lambda number: jax.random.fold_in(key, number))(index)


def _drawn(keys: Array, allowed: np.ndarray, size: int, made: Callable[[dict[str, Array]], Any] | None) -> dict[str, Any]:
  """{"image": uint8 [n, H, W, 3], "condition"?}. One jitted piece, so that it is compiled whole where nothing around it is."""

  @jax.jit
  def pictures(keys: Array) -> dict[str, Any]:
    def one(key: Array) -> dict[str, Any]:
      drawn = render(parameters(key, allowed), size)
      image = jnp.round((drawn["image"] + 1) * 127.5).astype(jnp.uint8)
      return {"image": image} if made is None else {"image": image, "condition": made(drawn)}

    return jax.vmap(one)(keys)

  return pictures(keys)


def _batch(drawn: dict[str, Array]) -> Batch:
  return {**drawn, "image": pixels(drawn["image"])}


def _made(condition: str | None, classes: Classes) -> Callable[[dict[str, Array]], Array] | None:
  """From what is true of one image to its condition."""
  makers: dict[str, Callable[[dict[str, Array]], Array]] = {
    "class": lambda made: classes.drawn(made["attributes"]),
    "caption": lambda made: made["tokens"],
    "edges": lambda made: 2 * made["edges"] - 1,
    "mask": lambda made: 2 * made["mask"] - 1,
    "segmentation": lambda made: jax.nn.one_hot(made["segmentation"], len(TEXTURES) + len(HUES)),
    "background": lambda made: made["background"],
    "lowres": lambda made: made["lowres"],
    "attributes": lambda made: made["attributes"],
    "vertices": lambda made: made["vertices"],
  }
  if condition is None:
    return None
  if condition not in makers:
    raise ValueError(f'no condition "{condition}"; there are {", ".join(makers)}')
  if condition == "class" and not classes.label:
    raise ValueError(f"label: a class is made of one attribute at least, of {', '.join(NAMES)}")
  return makers[condition]
