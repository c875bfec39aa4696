"""Two clouds compared by k-nearest-neighbour balls: are samples where real ones are, and are real ones where samples are?

Distances are Euclidean, of features in float64, and computed in blocks: 10,000 against 10,000 never stands in memory whole.
"""

from collections.abc import Iterator

import numpy as np

from gan_jax.data.base import Data
from gan_jax.metrics.base import (
  Context,
  Extractor,
  Features,
  Identity,
  Metric,
  against,
  ending,
  fake_features,
  identity_of,
  real_features,
  whole,
)

BLOCK = 1000  # rows at once
SAME = 1e-12  # squared distances below this share of the squared lengths are rounding


def precision_recall(features: Extractor, *, k: int = 5, n: int = 5000, reference: Data | None = None) -> Metric:
  """Improved precision and recall, from balls around each point that reach to its k-th nearest neighbour in its own set.

    precision = share of samples in at least one real ball        recall = share of real ones in at least one sample's ball

  Kynkäänniemi et al., 2019 (arXiv:1904.06991): n on both sides, self not a neighbour, distance <= radius. Values "precision_kK_FEATURES_nN" and
  "recall_kK_FEATURES_nN". A sample that is not finite is in no ball and has none.

  Traps: recall is fooled by a few far-off samples, whose balls are huge; precision by a few far-off real ones. Both depend on n and on k, which
  are in the name. Read them with `density_coverage`.

  >>> from gan_jax.data import ring
  >>> from gan_jax.metrics import pixels
  >>> list(precision_recall(pixels(), k=3).identity(ring()))
  ['precision_k3_pixels_n5000', 'recall_k3_pixels_n5000']
  """

  def score(samples: np.ndarray, context: Context) -> dict[str, float]:
    fake, finite, real, radii = _clouds(context, features, reference, samples, k, n)
    precision = inside(fake[finite], real, radii).sum() / n
    recall = inside(real, fake[finite], squared_radii(fake[finite], k)).mean() if finite.sum() > k else 0.0
    return dict(zip(_names(("precision", "recall"), features(context.data), k, n, reference), (float(precision), float(recall)), strict=True))

  return _metric(score, ("precision", "recall"), features, k, n, reference)


def density_coverage(features: Extractor, *, k: int = 5, n: int = 5000, reference: Data | None = None) -> Metric:
  """Density and coverage, both from balls around real points, that reach to their k-th nearest real neighbour.

    density = mean number of real balls a sample is in, over k         coverage = share of real balls with at least one sample inside

  Naeem et al., 2020 (arXiv:2002.09797): distance < radius. Values "density_kK_FEATURES_nN" and "coverage_kK_FEATURES_nN". Outliers among samples
  do not move coverage, as they do recall. A perfect sampler has density 1 and coverage about 1 - 2^-k, .97 at k = 5; density can exceed 1.

  >>> from gan_jax.data import ring
  >>> from gan_jax.metrics import pixels
  >>> list(density_coverage(pixels()).identity(ring()))
  ['density_k5_pixels_n5000', 'coverage_k5_pixels_n5000']
  """

  def score(samples: np.ndarray, context: Context) -> dict[str, float]:
    fake, finite, real, radii = _clouds(context, features, reference, samples, k, n)
    balls, covered = 0, np.zeros(n, bool)
    for _, squared in squared_distances(fake[finite], real):
      hit = squared < radii
      balls, covered = balls + hit.sum(), covered | hit.any(axis=0)
    names = _names(("density", "coverage"), features(context.data), k, n, reference)
    return dict(zip(names, (float(balls / (k * n)), float(covered.mean())), strict=True))

  return _metric(score, ("density", "coverage"), features, k, n, reference)


def squared_distances(first: np.ndarray, second: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
  """(start, [b, m]): squared distances of rows start ... start + b of `first` to all rows of `second`, block by block. Equal rows are at 0."""
  middle = second.mean(axis=0) if len(second) else 0.0  # lengths, and with them rounding, are least about the middle
  first, second = first - middle, second - middle
  lengths = (second**2).sum(axis=1)
  for start in range(0, len(first), BLOCK):
    block = first[start : start + BLOCK]
    scale = (block**2).sum(axis=1)[:, None] + lengths
    squared = scale - 2 * block @ second.T
    squared[squared < SAME * scale] = 0.0
    yield start, squared


def squared_radii(points: np.ndarray, k: int) -> np.ndarray:
  """[n] squared distance of each point to its k-th nearest neighbour among the others."""
  radii = np.empty(len(points))
  for start, squared in squared_distances(points, points):
    rows = np.arange(len(squared))
    squared[rows, start + rows] = np.inf
    radii[start : start + len(squared)] = np.partition(squared, k - 1, axis=1)[:, k - 1]
  return radii


def inside(points: np.ndarray, centers: np.ndarray, radii: np.ndarray) -> np.ndarray:
  """[n] bool: which points are in at least one of the balls, distance <= radius."""
  found = np.zeros(len(points), bool)
  for start, squared in squared_distances(points, centers):
    found[start : start + len(squared)] = (squared <= radii).any(axis=1)
  return found


def _clouds(context: Context, features: Extractor, reference: Data | None, samples: np.ndarray, k: int,
            n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
  """(fake [n, F], which are finite [n], real [n, F], squared radii of the real ones [n]); the last is kept for the next samples."""
  extractor, other = features(context.data), against(context, reference)
  fake, finite = fake_features(context, extractor, samples, n)
  real = real_features(other, extractor, n)
  key = ("radii", extractor.identity, k, n)
  if key not in other.memory:
    other.memory[key] = squared_radii(real, k)
  return fake, finite, real, other.memory[key]


def _names(pair: tuple[str, str], extractor: Features, k: int, n: int, reference: Data | None) -> tuple[str, ...]:
  return tuple(f"{name}_k{k}_{extractor.name}_{ending(n, reference)}" for name in pair)


def _metric(score, pair: tuple[str, str], features: Extractor, k: int, n: int, reference: Data | None) -> Metric:
  whole("k", k)
  if whole("n", n) <= k:
    raise ValueError(f"a ball to the {k}th neighbour needs more than {k} samples, got n = {n}")

  def identity(data: Data) -> dict[str, Identity]:
    extractor = features(data)
    return identity_of(data, _names(pair, extractor, k, n, reference), n=n, features=extractor, reference=reference, k=k)

  return Metric(score, identity, n)
