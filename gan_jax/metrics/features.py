"""Where distances between images are measured. Each builder gives an `Extractor`: the features for one data set.

None of these is Inception, so no distance measured here is an FID: that name asks for the weights of 2015 (`inception_2015.py`).
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gan_jax.data.base import Data
from gan_jax.metrics.base import Extractor, Features, digest, whole

BATCH = 500  # images at once; the last batch is filled up, so that there is one program
GRID = 2  # cells a side over which the last layer is averaged
SLOPE = 0.2


def pixels() -> Extractor:
  """The numbers of an image, or a point, as they are.

  Sees brightness and position before content, so a shift of one pixel is far; exact and free, and right for points.

  >>> from gan_jax.data import ring
  >>> pixels()(ring()).extract(np.zeros((3, 2))).shape
  (3, 2)
  """

  def extractor(data: Data) -> Features:
    flatten = lambda images: np.asarray(images).reshape(len(images), -1)
    return Features(flatten, "pixels", digest("pixels", tuple(data.shape)), size=int(np.prod(data.shape)))

  return extractor


def random_conv(seed: int = 0, features: tuple[int, ...] = (32, 64, 64)) -> Extractor:
  """A convolutional network with random weights, fixed by a seed.

  3x3 kernels of stride 2 and leaky ReLU, one layer for each of `features`; the last one is averaged over a grid of 2x2. Nothing is trained and
  nothing is downloaded, so it favours no data set; Naeem et al., 2020 (arXiv:2002.09797), use random networks for data that ImageNet has not
  seen. The weights are numpy's of that seed, scaled by sqrt(2 / fan_in), and their hash is the identity.

  ValueError: data that are no images.
  """
  seed, widths = whole("seed", seed, 0), tuple(whole("features", width) for width in features)

  def extractor(data: Data) -> Features:
    if len(data.shape) != 3:
      raise ValueError(f"random_conv needs images, and {data.name} is of shape {tuple(data.shape)}; use pixels")
    rng, kernels, channels = np.random.default_rng(seed), [], data.shape[-1]
    for width in widths:
      kernels.append((rng.standard_normal((3, 3, channels, width)) * np.sqrt(2 / (9 * channels))).astype(np.float32))
      channels = width
    apply = functools.partial(_convolve, tuple(kernels))
    sides = [min(GRID, -(-side // 2 ** len(widths))) for side in data.shape[:2]]
    identity = digest("random_conv", GRID, SLOPE, tuple(data.shape), *kernels)
    return Features(lambda images: in_batches(apply, images), "random_conv", identity, size=sides[0] * sides[1] * channels)

  return extractor


def classifier() -> Extractor:
  """The last hidden layer of the data set's own classifier, the one that tells its modes apart.

  Sees what the labels are about and forgets the rest; the better it was trained, the less it sees inside a class. Values of two classifiers
  do not compare: the identity is that of their weights.

  ValueError: the data set has no classifier.
  """

  def extractor(data: Data) -> Features:
    reader = getattr(data.modes, "classifier", None)
    if reader is None:
      raise ValueError(f"classifier features need a data set with a classifier of its own, and {data.name} has none; use random_conv")
    return Features(reader.features, "classifier", reader.identity)

  return extractor


def in_batches(apply: Callable[[Array], Array], images: np.ndarray, size: int = BATCH) -> np.ndarray:
  """`apply` on [N, ...], `size` at a time: memory is bounded, and one program serves every N."""
  parts = []
  for start in range(0, len(images), size):
    part = np.asarray(images[start : start + size], np.float32)
    filled = np.concatenate([part, np.zeros((size - len(part), *part.shape[1:]), np.float32)])
    parts.append(np.asarray(apply(jnp.asarray(filled)))[: len(part)])
  return np.concatenate(parts)


@jax.jit
def _convolve(kernels: tuple[Array, ...], images: Array) -> Array:
  h = images
  for kernel in kernels:
    h = jax.lax.conv_general_dilated(h, kernel, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"), precision="highest")
    h = jnp.where(h > 0, h, SLOPE * h)
  rows, columns = (_cells(size) for size in h.shape[1:3])
  cells = jnp.einsum("gh,nhwc,kw->ngkc", rows, h, columns, precision="highest")
  return cells.reshape(len(h), -1)


def _cells(size: int) -> np.ndarray:
  """[G, size]: the matrix that averages over G neighbouring stretches of almost equal length."""
  parts = np.array_split(np.arange(size), min(GRID, size))
  return np.stack([np.bincount(part, minlength=size) / len(part) for part in parts]).astype(np.float32)
