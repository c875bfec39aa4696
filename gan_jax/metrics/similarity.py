"""How alike two random images of a generator look: multi-scale structural similarity, over pairs."""

from typing import Literal

import numpy as np

from gan_jax.data.base import Data, finite_rows
from gan_jax.metrics.base import Assignment, Context, Identity, Metric, assignment, identity_of, whole

WEIGHTS = np.array([0.0448, 0.2856, 0.3001, 0.2363, 0.1333])  # of the scales, Wang et al., 2003
WINDOW, SIGMA = 11, 1.5
LUMINANCE, CONTRAST = 0.01**2, 0.03**2  # (K L)^2 with L = 1
BLOCK = 250  # pairs at once


def ms_ssim(*, scales: int = 3, n: int = 2000, pairs: Literal["any", "class"] = "any", seed: int = 0) -> Metric:
  """Mean multi-scale structural similarity of n / 2 pairs of samples: the higher, the less diverse.

  Wang et al., 2003, as a measure of diversity Odena et al., 2017 (arXiv:1610.09585). Images are taken to [0, 1], means are over channels. Scales
  after the first `scales` are dropped and the weights of those left add up to 1; a window that no longer fits shrinks, sigma with it. So three
  scales serve 28 and 32 pixels, where the usual five do not fit, and values with other scales do not compare. Value "ms_ssim_sS_nN".

  pairs: "any" are random pairs; "class" are pairs of one class, that asked for or else read by the data's own classifier, as in the paper.
  Traps: it compares with nothing real, so read it beside the perfect sampler's; noise is dissimilar. Samples that are not finite are alike.

  >>> from gan_jax.data import sklearn_digits
  >>> list(ms_ssim(scales=2, n=500).identity(sklearn_digits()))
  ['ms_ssim_s2_n500']
  """
  whole("n", n, 2)
  if not 1 <= whole("scales", scales) <= len(WEIGHTS):
    raise ValueError(f"scales must be 1 to {len(WEIGHTS)}, got {scales}")
  if pairs not in ("any", "class"):
    raise ValueError(f'pairs must be "any" or "class", got {pairs!r}')
  name = f"ms_ssim_s{scales}_{'class_' if pairs == 'class' else ''}n{n}"

  def score(samples: np.ndarray, context: Context) -> dict[str, float]:
    if len(samples) < n:
      raise ValueError(f"ms_ssim needs {n} samples, got {len(samples)}; generate more (evaluation.num_samples) or set a smaller n")
    images = np.asarray(samples[:n], np.float64)
    images = np.where(finite_rows(images)[:, None, None, None], images, 0.0) / 2 + 0.5
    first, second = _any_pairs(n, seed) if pairs == "any" else _class_pairs(_classes(samples, context)[:n], seed)
    if not len(first):
      return {name: 1.0}
    values = [similarity(images[first[at : at + BLOCK]], images[second[at : at + BLOCK]], scales) for at in range(0, len(first), BLOCK)]
    return {name: float(np.concatenate(values).mean())}

  def identity(data: Data) -> dict[str, Identity]:
    if len(data.shape) != 3:
      raise ValueError(f"ms_ssim needs images, and {data.name} is of shape {tuple(data.shape)}")
    least = 3 * 2 ** (scales - 1)
    if min(data.shape[:2]) < least:
      size = min(data.shape[:2])
      raise ValueError(f"ms_ssim at {scales} scales needs images of at least {least} pixels, and {data.name} has {size}; set fewer scales")
    if pairs == "class" and data.modes is None:
      raise ValueError(f'ms_ssim with pairs = "class" needs a data set with known classes, and {data.name} has none')
    return identity_of(data, (name,), n=n, scales=scales, pairs=pairs, seed=seed, range="[0, 1]")

  return Metric(score, identity, n)


def similarity(first: np.ndarray, second: np.ndarray, scales: int = 3) -> np.ndarray:
  """[n] multi-scale structural similarity of images [n, H, W, C] in [0, 1]: l_S^w_S prod_s cs_s^w_s, negative contrasts as 0."""
  weights = WEIGHTS[:scales] / WEIGHTS[:scales].sum()
  total = np.ones(len(first))
  for scale, weight in enumerate(weights):
    last = scale == scales - 1
    value = structural_similarity(first, second, contrast_only=not last)
    total *= np.maximum(value, 0) ** weight
    if not last:
      first, second = _halve(first), _halve(second)
  return total


def structural_similarity(first: np.ndarray, second: np.ndarray, contrast_only: bool = False) -> np.ndarray:
  """[n] structural similarity of images [n, H, W, C] in [0, 1], mean over the windows that fit whole and over channels; or its contrast factor."""
  rows, columns = (_windows(size) for size in first.shape[1:3])
  blur = lambda x: np.einsum("ih,nhwc,jw->nijc", rows, x, columns, optimize=True)
  mean_1, mean_2 = blur(first), blur(second)
  variances = blur(first**2) - mean_1**2 + blur(second**2) - mean_2**2
  covariance = blur(first * second) - mean_1 * mean_2
  value = (2 * covariance + CONTRAST) / (variances + CONTRAST)
  if not contrast_only:
    value = value * (2 * mean_1 * mean_2 + LUMINANCE) / (mean_1**2 + mean_2**2 + LUMINANCE)
  return value.mean(axis=(1, 2, 3))


def _windows(size: int) -> np.ndarray:
  """[places, size]: a Gaussian window at every place where it fits whole."""
  width = min(WINDOW, size)
  offsets = np.arange(width) - (width - 1) / 2
  window = np.exp(-(offsets**2) / (2 * (SIGMA * width / WINDOW) ** 2))
  window /= window.sum()
  matrix = np.zeros((size - width + 1, size))
  for place in range(len(matrix)):
    matrix[place, place : place + width] = window
  return matrix


def _halve(images: np.ndarray) -> np.ndarray:
  """Means of 2x2 pixels; an odd last row or column is left out."""
  n, height, width, channels = images.shape
  even = images[:, : height // 2 * 2, : width // 2 * 2]
  return even.reshape(n, height // 2, 2, width // 2, 2, channels).mean(axis=(2, 4))


def _classes(samples: np.ndarray, context: Context) -> np.ndarray:
  if context.conditions is not None and context.conditions.ndim == 1:
    return np.asarray(context.conditions)
  found: Assignment = assignment(context, samples)
  return found.mode


def _any_pairs(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
  order = np.random.default_rng(seed).permutation(n)[: n // 2 * 2]
  return order[: n // 2], order[n // 2 :]


def _class_pairs(classes: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
  """Disjoint random pairs inside each class."""
  rng, firsts, seconds = np.random.default_rng(seed), [np.zeros(0, int)], [np.zeros(0, int)]
  for kind in np.unique(classes):
    members = rng.permutation(np.flatnonzero(classes == kind))
    half = len(members) // 2
    firsts.append(members[:half])
    seconds.append(members[half : 2 * half])
  return np.concatenate(firsts), np.concatenate(seconds)
