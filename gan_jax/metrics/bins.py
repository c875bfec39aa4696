"""Which parts of feature space get too few or too many samples, where nothing is known about modes."""

import numpy as np
from scipy.special import ndtri, xlogy

from gan_jax.data.base import Data
from gan_jax.metrics.base import Context, Extractor, Identity, Metric, against, ending, fake_features, identity_of, real_features, whole

MOST_DIMENSIONS = 1000  # with more, a sixth of them, drawn at random


def ndb(features: Extractor, *, bins: int = 100, n: int = 5000, seed: int = 0, alpha: float = 0.05, reference: Data | None = None) -> Metric:
  """Share of statistically different bins, NDB / K, and the Jensen-Shannon divergence of the two histograms of bins in nats.

  Bins are k-means cells of n real feature vectors, each divided by its standard deviation; a bin differs if a two-proportion z test with pooled
  variance rejects equal shares at `alpha`. Richardson and Weiss, 2018 (arXiv:1805.12462). Values "ndb_kK_FEATURES_nN" and "ndb_js_kK_...".

  Traps: a perfect sampler scores about alpha and not 0; the test grows stronger with n, so n is the same on both sides and in the name; bins of
  pixels see brightness. A sample that is not finite is in no bin, which all bins notice.

  >>> from gan_jax.data import ring
  >>> from gan_jax.metrics import pixels
  >>> list(ndb(pixels(), bins=50).identity(ring()))
  ['ndb_k50_pixels_n5000', 'ndb_js_k50_pixels_n5000']
  """
  whole("bins", bins, 2)
  if whole("n", n) < bins:
    raise ValueError(f"ndb cannot make {bins} bins of n = {n} real samples; set bins to at most n")
  if not 0 < alpha < 1:
    raise ValueError(f"alpha must lie between 0 and 1, got {alpha!r}")

  def names(data: Data) -> tuple[str, str]:
    rest = f"k{bins}_{features(data).name}_{ending(n, reference)}"
    return f"ndb_{rest}", f"ndb_js_{rest}"

  def score(samples: np.ndarray, context: Context) -> dict[str, float]:
    extractor, other = features(context.data), against(context, reference)
    fake, finite = fake_features(context, extractor, samples, n)
    key = ("bins", extractor.identity, bins, n, seed)
    if key not in other.memory:
      other.memory[key] = Bins(real_features(other, extractor, n), bins, seed)
    fitted = other.memory[key]
    counts = fitted.count(fake[finite])
    values = different_bins(counts, fitted.counts, n, n, alpha), js_of_counts(np.append(counts, n - finite.sum()), np.append(fitted.counts, 0))
    return dict(zip(names(context.data), values, strict=True))

  def identity(data: Data) -> dict[str, Identity]:
    return identity_of(data, names(data), n=n, features=features(data), reference=reference, bins=bins, seed=seed, alpha=alpha)

  return Metric(score, identity, n)


class Bins:
  """k-means cells of whitened real vectors [n, F], with the real `counts` [K]."""

  def __init__(self, real: np.ndarray, bins: int, seed: int):
    from sklearn.cluster import KMeans

    size = real.shape[1]
    rng = np.random.default_rng(seed)
    self.kept = np.sort(rng.choice(size, size // 6, replace=False)) if size > MOST_DIMENSIONS else np.arange(size)
    spread = real[:, self.kept].std(axis=0)
    constant = spread <= 1e-6 * np.abs(real[:, self.kept]).max(axis=0)  # whose rounding would drown the others
    self.spread = np.where(constant, 1.0, spread)
    self.means = KMeans(bins, n_init=1, random_state=seed).fit(real[:, self.kept] / self.spread).cluster_centers_
    self.counts = self.count(real)

  def count(self, rows: np.ndarray) -> np.ndarray:
    from scipy.spatial import cKDTree

    nearest = cKDTree(self.means).query(rows[:, self.kept] / self.spread)[1] if len(rows) else np.zeros(0, int)
    return np.bincount(nearest, minlength=len(self.means))


def different_bins(first: np.ndarray, second: np.ndarray, n: int, m: int, alpha: float = 0.05) -> float:
  """Share of bins whose counts, of n and m, a two-sided two-proportion z test with pooled variance tells apart."""
  pooled = (first + second) / (n + m)
  deviation = np.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
  gap = np.abs(first / n - second / m)
  return float((gap > ndtri(1 - alpha / 2) * deviation).mean())


def js_of_counts(first: np.ndarray, second: np.ndarray) -> float:
  """Jensen-Shannon divergence of two histograms, in nats; at most ln 2."""
  p, q = first / first.sum(), second / second.sum()
  middle = np.where(p + q > 0, (p + q) / 2, 1.0)
  return float((xlogy(p, p / middle) + xlogy(q, q / middle)).sum() / 2)
