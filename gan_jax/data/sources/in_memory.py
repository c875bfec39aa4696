"""Examples that are arrays in memory: what IDX and npz files are read into, and what a test or a notebook makes by hand."""

import functools
import hashlib

import numpy as np

from gan_jax.data.base import DataFormatError


class Memory:
  """Arrays of equal length as a source; see `memory`."""

  def __init__(self, columns: dict[str, np.ndarray], classes: tuple[str, ...], kind: str):
    self.columns, self.classes, self.kind = columns, classes, kind
    self.shape = columns["image"].shape[1:]

  @functools.cached_property
  def identity(self) -> str:
    """sha256 of names, shapes and content."""
    digest = hashlib.sha256(repr((self.classes, [(k, v.dtype.str, v.shape) for k, v in self.columns.items()])).encode())
    for values in self.columns.values():
      digest.update(np.ascontiguousarray(values).data)
    return digest.hexdigest()

  @property
  def labels(self) -> np.ndarray | None:
    return self.columns.get("label")

  def __len__(self) -> int:
    return len(self.columns["image"])

  def rows(self, index: np.ndarray) -> dict[str, np.ndarray]:
    return {name: values[index] for name, values in self.columns.items()}


def memory(images: np.ndarray, labels: np.ndarray | None = None, *, source: np.ndarray | None = None, classes: tuple[str, ...] | None = None,
           kind: str = "memory") -> Memory:
  """A source of images uint8 [N, H, W, C] (or [N, H, W], which is one channel) and, if given, labels [N] in 0 ... K - 1.

  source: uint8 images [N, H', W', C'] that the images are made from, for translation.
  classes: the K names; "0" ... "K - 1" by default, where K is the largest label plus one.
  DataFormatError: no images, another dtype or shape, or columns of unlike length.

  >>> memory(np.zeros((4, 8, 8), np.uint8), np.array([0, 1, 1, 0])).classes
  ('0', '1')
  """
  columns = {"image": _images("images", images)}
  if labels is not None:
    labels = np.asarray(labels)
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
      raise DataFormatError(f"labels must be whole numbers of shape [N], got {labels.dtype} of shape {labels.shape}")
    if len(labels) != len(columns["image"]):
      raise DataFormatError(f"{len(columns['image']):,} images but {len(labels):,} labels")
    if labels.min() < 0 or (classes is not None and labels.max() >= len(classes)):
      wrong = labels.min() if labels.min() < 0 else labels.max()
      raise DataFormatError(f"a label is {wrong}; labels are 0 to {(labels.max() if classes is None else len(classes) - 1)}")
    columns["label"] = labels.astype(np.int32)
    classes = tuple(str(k) for k in range(labels.max() + 1)) if classes is None else tuple(classes)
  if source is not None:
    columns["source"] = _images("source", source)
    if len(columns["source"]) != len(columns["image"]):
      raise DataFormatError(f"{len(columns['image']):,} images but {len(columns['source']):,} source images")
  return Memory(columns, classes if labels is not None and classes is not None else (), kind)


def _images(name: str, images: np.ndarray) -> np.ndarray:
  images = np.asarray(images)
  images = images[..., None] if images.ndim == 3 else images
  if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] not in (1, 3):
    raise DataFormatError(f"{name} must be uint8 of shape [N, H, W], [N, H, W, 1] or [N, H, W, 3], got {images.dtype} of shape {images.shape}")
  if 0 in images.shape:
    raise DataFormatError(f"{name}: there are none, shape {images.shape}")
  return images
