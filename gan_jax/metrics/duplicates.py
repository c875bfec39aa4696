"""How many different images a generator has, from how soon it repeats itself."""

import math

import numpy as np

from gan_jax.data.base import Data
from gan_jax.metrics.base import Context, Extractor, Identity, Metric, fake_features, identity_of, real_features, whole
from gan_jax.metrics.neighbours import squared_distances, squared_radii

FEW = 1000  # samples that are enough where repeats are common
COMMON = 1000  # pairs among these


def birthday(features: Extractor, *, n: int = 5000, quantile: float = 0.01, orders: int = 200, seed: int = 0) -> Metric:
  """Support size by the birthday paradox: s^2 / (2 ln 2), with s the smallest batch that holds two alike with probability 1/2.

  Arora and Zhang, 2017 (arXiv:1706.08224). Two samples are alike if they are closer than all but a share `quantile` of n distinct real examples
  are to their nearest neighbour. s is found over `orders` random orders of n samples: in each, where the first repeat comes. Values
  "birthday_batch_FEATURES_nN" (s) and "birthday_support_FEATURES_nN"; infinite where no two samples are alike.

  Traps: what counts as alike decides the answer, so it is calibrated on real data and a perfect sampler of a finite set scores about its size, or
  the ceiling that `quantile` sets; the estimate is for a uniform support, and a generator with favourites scores lower. Samples that are not
  finite are all alike.

  >>> from gan_jax.data import ring
  >>> from gan_jax.metrics import pixels
  >>> list(birthday(pixels(), n=1000).identity(ring()))
  ['birthday_batch_pixels_n1000', 'birthday_support_pixels_n1000']
  """
  whole("n", n, 2)
  whole("orders", orders, 20)
  if not 0 < quantile < 1:
    raise ValueError(f"quantile must lie between 0 and 1, got {quantile!r}")

  def names(data: Data) -> tuple[str, str]:
    ending = f"{features(data).name}_n{n}"
    return f"birthday_batch_{ending}", f"birthday_support_{ending}"

  def score(samples: np.ndarray, context: Context) -> dict[str, float]:
    extractor = features(context.data)
    fake, _ = fake_features(context, extractor, samples, n)
    key = ("alike", extractor.identity, n, quantile)
    if key not in context.memory:
      context.memory[key] = float(np.quantile(squared_radii(real_features(context, extractor, n), 1), quantile))
    batch = half_batch(fake, context.memory[key], orders, seed)
    return dict(zip(names(context.data), (batch, support(batch)), strict=True))

  def identity(data: Data) -> dict[str, Identity]:
    return identity_of(data, names(data), n=n, features=features(data), quantile=quantile, orders=orders, seed=seed)

  return Metric(score, identity, n)


def half_batch(rows: np.ndarray, squared_threshold: float, orders: int = 200, seed: int = 0) -> float:
  """The smallest s so that, in at least half of the random orders, two of the first s rows are within the threshold; inf if no two are."""
  pairs = alike(rows[:FEW], squared_threshold)
  if len(pairs[0]) < COMMON:  # rare repeats: look at all, and there are few to keep
    pairs = alike(rows, squared_threshold)
  else:
    rows = rows[:FEW]
  if not len(pairs[0]):
    return math.inf
  rng, first = np.random.default_rng(seed), np.empty(orders, int)
  for order in range(orders):
    place = rng.permutation(len(rows))
    first[order] = np.maximum(place[pairs[0]], place[pairs[1]]).min() + 1
  return float(np.sort(first)[(orders - 1) // 2])


def support(batch: float) -> float:
  """s^2 / (2 ln 2): how large a uniform support has its first repeat after s draws, in the median."""
  return batch**2 / (2 * math.log(2))


def alike(rows: np.ndarray, squared_threshold: float) -> tuple[np.ndarray, np.ndarray]:
  """(i, j), i < j: the pairs of rows whose squared distance is at most the threshold."""
  firsts, seconds = [np.zeros(0, int)], [np.zeros(0, int)]
  for start, squared in squared_distances(rows, rows):
    i, j = np.nonzero(squared <= squared_threshold)
    keep = i + start < j
    firsts.append(i[keep] + start)
    seconds.append(j[keep])
  return np.concatenate(firsts), np.concatenate(seconds)
