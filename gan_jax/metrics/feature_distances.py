"""Distances between two laws, seen through features: of two Gaussians (Fréchet), and of two means in a kernel's space.

Both are called FID and KID only where the features are Inception's of 2015; `Features.title` sees to that.
"""

import numpy as np

from gan_jax.data.base import Data
from gan_jax.metrics.base import (
  Context,
  Extractor,
  Identity,
  Metric,
  against,
  ending,
  fake_features,
  identity_of,
  real_features,
  whole,
)


def frechet(features: Extractor, *, n: int = 5000, reference: Data | None = None) -> Metric:
  """Fréchet distance of the Gaussians fitted to features of n samples and of n real ones.

    |m - m'|^2 + Tr(S + S' - 2 (S S')^(1/2))

  Heusel et al., 2017 (arXiv:1706.08500). Value: "fd_FEATURES_nN", or "fid_nN" with Inception of 2015. Infinite if a sample is not finite.

  Traps: the bias falls only as 1 / n, so n is in the name and a perfect sampler does not score 0; covariances are float64, since float32 loses
  the small eigenvalues; n must exceed the number of features, or the covariance is singular. Blind to what two moments do not show.

  reference: another data set to compare with, such as the test split; without it, the training law.

  >>> from gan_jax.data import ring
  >>> from gan_jax.metrics import pixels
  >>> list(frechet(pixels(), n=500).identity(ring()))
  ['fd_pixels_n500']
  """
  whole("n", n, 2)

  def title(data: Data) -> str:
    return f"{features(data).title('fd')}_{ending(n, reference)}"

  def score(samples: np.ndarray, context: Context) -> dict[str, float]:
    extractor, other = features(context.data), against(context, reference)
    fake, finite = fake_features(context, extractor, samples, n)
    real = real_features(other, extractor, n)
    enough(extractor.name, real.shape[1])
    return {title(context.data): frechet_distance(fake, real) if finite.all() else np.inf}

  def identity(data: Data) -> dict[str, Identity]:
    enough(features(data).name, features(data).size)
    return identity_of(data, (title(data),), n=n, features=features(data), reference=reference)

  def enough(name: str, size: int | None) -> None:
    if size is not None and n <= size:
      raise ValueError(f"frechet needs more samples than features: {name} has {size}, n = {n}; set a larger n, or use kernel_distance")

  return Metric(score, identity, n)


def kernel_distance(features: Extractor, *, n: int = 5000, subset: int = 1000, subsets: int = 100, seed: int = 0,
                    reference: Data | None = None) -> Metric:
  """Mean over random subsets of the unbiased squared maximum mean discrepancy with the kernel (x.y / F + 1)^3.

  Bińkowski et al., 2018 (arXiv:1801.01401). Value: "kd_FEATURES_nN", or "kid_nN" with Inception of 2015. Unbiased: a perfect sampler scores 0 on
  average, and single values can be negative; it works with fewer samples than features, where `frechet` does not. Infinite if a sample is not
  finite.

  Traps: an implementation that divides by the count of one set for both is wrong where they differ, so both are `subset` here; the features'
  scale matters, so values of two extractors do not compare.

  >>> from gan_jax.data import ring
  >>> from gan_jax.metrics import pixels
  >>> list(kernel_distance(pixels(), n=2000, subsets=10).identity(ring()))
  ['kd_pixels_n2000']
  """
  whole("subset", subset, 2)
  whole("subsets", subsets)
  if n < subset:
    raise ValueError(f"kernel_distance takes subsets of {subset} from n = {n} samples; set subset to at most n")

  def title(data: Data) -> str:
    return f"{features(data).title('kd')}_{ending(n, reference)}"

  def score(samples: np.ndarray, context: Context) -> dict[str, float]:
    extractor = features(context.data)
    fake, finite = fake_features(context, extractor, samples, n)
    real = real_features(against(context, reference), extractor, n)
    return {title(context.data): mean_kernel_distance(fake, real, subset, subsets, seed) if finite.all() else np.inf}

  def identity(data: Data) -> dict[str, Identity]:
    return identity_of(data, (title(data),), n=n, features=features(data), reference=reference, subset=subset, subsets=subsets, seed=seed)

  return Metric(score, identity, n)


def frechet_distance(first: np.ndarray, second: np.ndarray) -> float:
  """Fréchet distance of Gaussians fitted to rows [n, F] and [m, F], covariances with n - 1.

  Tr (S S')^(1/2) is the sum of the singular values of S^(1/2) S'^(1/2): no matrix square root of a product that is not symmetric, no imaginary
  parts to drop, no ridge to add.
  """
  means = [rows.mean(axis=0) for rows in (first, second)]
  covariances = [np.atleast_2d(np.cov(rows, rowvar=False)) for rows in (first, second)]
  cross = np.linalg.svd(_root(covariances[0]) @ _root(covariances[1]), compute_uv=False).sum()
  return float(((means[0] - means[1]) ** 2).sum() + np.trace(covariances[0]) + np.trace(covariances[1]) - 2 * cross)


def mean_kernel_distance(first: np.ndarray, second: np.ndarray, subset: int, subsets: int, seed: int = 0) -> float:
  """The mean of `squared_mmd` over pairs of random subsets of the rows, without replacement inside a subset."""
  rng = np.random.default_rng(seed)
  draw = lambda rows: rows[rng.choice(len(rows), subset, replace=False)]
  return float(np.mean([squared_mmd(draw(first), draw(second)) for _ in range(subsets)]))


def squared_mmd(first: np.ndarray, second: np.ndarray) -> float:
  """Unbiased estimate of the squared maximum mean discrepancy of rows [n, F] and [m, F] with the kernel (x.y / F + 1)^3."""
  n, m = len(first), len(second)
  kernel = lambda x, y: (x @ y.T / x.shape[1] + 1) ** 3
  own, other = kernel(first, first), kernel(second, second)
  within = (own.sum() - np.trace(own)) / (n * (n - 1)) + (other.sum() - np.trace(other)) / (m * (m - 1))
  return float(within - 2 * kernel(first, second).mean())


def _root(covariance: np.ndarray) -> np.ndarray:
  values, vectors = np.linalg.eigh(covariance)
  return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
