"""A source of arrays at another size or with other channels."""

import hashlib

import numpy as np

from gan_jax.data.base import Source
from gan_jax.data.sources import pictures


class Fitted:
  """`source` with images of [size, size, channels]; see `fitted`."""

  def __init__(self, source: Source, size: int | None, channels: int):
    self.source, self.size, self.channels = source, size, channels
    self.kind, self.classes, self.labels = source.kind, source.classes, source.labels
    self.shape = (size or source.shape[0], size or source.shape[1], channels)

  @property
  def identity(self) -> str:
    return hashlib.sha256(repr((self.source.identity, self.shape)).encode()).hexdigest()

  def __len__(self) -> int:
    return len(self.source)

  def rows(self, index: np.ndarray) -> dict[str, np.ndarray]:
    found = self.source.rows(index)
    return {name: self._images(values) if name in ("image", "source") else values for name, values in found.items()}

  def _images(self, images: np.ndarray) -> np.ndarray:
    out = np.empty((len(images), self.size or images.shape[1], self.size or images.shape[2], self.channels), np.uint8)
    for row, image in enumerate(images):
      out[row] = pictures.from_array(np.asarray(image), self.kind, self.channels, self.size)
    return out


def fitted(source: Source, size: int | None = None, channels: int | None = None) -> Source:
  """`source` with the shorter side of its images scaled to `size` and the middle cut out, as grey (channels 1) or RGB (3); as they are by default.

  >>> from gan_jax.data.sources import memory
  >>> fitted(memory(np.zeros((2, 8, 10), np.uint8)), size=4, channels=3).rows(np.array([1]))["image"].shape
  (1, 4, 4, 3)
  """
  channels = channels or source.shape[-1]
  return source if (size or source.shape[0], size or source.shape[1], channels) == source.shape else Fitted(source, size, channels)
