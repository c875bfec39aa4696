"""How many different things are in a sample, from the eigenvalues of its similarities."""

import numpy as np

from gan_jax.data.base import Data
from gan_jax.metrics.base import Context, Extractor, Identity, Metric, fake_features, identity_of, whole


def vendi(features: Extractor, *, q: float = 1.0, n: int = 2000) -> Metric:
  """Vendi score of order q: the effective number of different samples, from their cosine similarities.

    (sum_i l_i^q)^(1 / (1 - q)),   for q = 1 exp(-sum_i l_i ln l_i);   l: eigenvalues of K / n, K_ij = cos(f_i, f_j)

  Friedman and Dieng, 2023 (arXiv:2210.02410); orders: Pasarkar and Dieng, 2024 (arXiv:2310.12952). A small q counts rare kinds, a large one the
  common ones; q = 2 is the RKE score. Value "vendi_qQ_FEATURES_nN", between 1 and n.

  Traps: it depends on n, and compares with nothing real: read it beside the perfect sampler's, which has the same n. It is blind to quality, and
  noise is diverse. To a cosine, features that are never negative are all alike, and scores are small. Samples that are not finite count as one kind.

  >>> from gan_jax.data import ring
  >>> from gan_jax.metrics import pixels
  >>> list(vendi(pixels(), q=2).identity(ring()))
  ['vendi_q2_pixels_n2000']
  """
  whole("n", n)
  order = float(q)
  if not order > 0:
    raise ValueError(f"q must be a positive number, got {q!r}")

  def title(data: Data) -> str:
    return f"vendi_q{order:g}_{features(data).name}_n{n}"

  def score(samples: np.ndarray, context: Context) -> dict[str, float]:
    fake, _ = fake_features(context, features(context.data), samples, n)
    return {title(context.data): vendi_score(fake, order)}

  def identity(data: Data) -> dict[str, Identity]:
    return identity_of(data, (title(data),), n=n, features=features(data), q=order, kernel="cosine")

  return Metric(score, identity, n)


def vendi_score(rows: np.ndarray, q: float = 1.0) -> float:
  """The score of rows [n, F]. Eigenvalues are those of the smaller of X X' / n and X' X / n; a row of zeros is similar to other such rows alone."""
  length = np.linalg.norm(rows, axis=1, keepdims=True)
  zero = length == 0
  unit = np.concatenate([rows / np.where(zero, 1, length), zero], axis=1)
  gram = (unit.T @ unit if unit.shape[1] < len(unit) else unit @ unit.T) / len(unit)
  shares = np.linalg.eigvalsh(gram)
  shares = shares[shares > 1e-12]
  shares /= shares.sum()
  if q == 1:
    return float(np.exp(-(shares * np.log(shares)).sum()))
  if np.isinf(q):
    return float(1 / shares.max())
  return float((shares**q).sum() ** (1 / (1 - q)))
