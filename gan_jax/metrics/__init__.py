"""Metrics, each with the value that a perfect sampler of the training law would get in the same evaluation.

>>> import jax, numpy as np
>>> from gan_jax import data
>>> ring = data.ring()
>>> samples = np.asarray(ring.sample(jax.random.key(1), 2500)["image"])
>>> values, counts = evaluate(samples, ring)
>>> values["modes_t1"], perfect(ring, 2500)["modes_t1"], counts.shape
(8.0, 8.0, (8,))
"""

from collections.abc import Sequence

import jax
import numpy as np

from gan_jax.data.base import Data, finite_rows
from gan_jax.metrics.distances import distance_metrics
from gan_jax.metrics.images import image_metrics
from gan_jax.metrics.modes import histograms, mode_metrics, perfect_mode_metrics, radius_statistic
from gan_jax.metrics.monitor import kmeans_modes, monitor

__all__ = ["evaluate", "kmeans_modes", "monitor", "perfect"]

NUM_REAL = 1000  # real samples that distances compare with


def evaluate(samples: np.ndarray, data: Data, *, thresholds: Sequence[int] = (1,), distances: bool = True,
             seed: int = 0) -> tuple[dict[str, float], np.ndarray]:
  """(values, counts): every metric that this data set allows, and the number of high-quality samples of each mode, [K].

  samples: [N, *data.shape], independent. The values are
    finite                        share of samples that hold only finite numbers
    modes_t1 ... tvd ...          `metrics.modes.mode_metrics`, some of them for each of `thresholds`
    radius_statistic              `metrics.modes.radius_statistic`, where modes have a radius
    w1_n1000, sw2_n1000           `metrics.distances.distance_metrics`, for points
    pixel_diversity               `metrics.images.image_metrics`, for images
  The last two rows compare with one real sample of 1,000, drawn from `seed` and so the same for every arm;
  distances=False leaves them out. Without ground truth about modes the second and third are absent and counts is
  empty.

  ValueError: samples of another shape, or none.
  """
  samples = np.asarray(samples)
  if samples.shape[1:] != tuple(data.shape) or not len(samples):
    wanted = ", ".join(map(str, data.shape))
    raise ValueError(f"samples must be [N, {wanted}] with N at least 1, got shape {samples.shape}")
  finite = finite_rows(samples)
  values, counts = {"finite": float(finite.mean())}, np.zeros(0, int)
  if data.modes is not None:
    found = data.modes.assign(samples)
    everything, counts = histograms(found, finite, len(data.modes.probabilities))
    values |= mode_metrics(everything, counts, data.modes.probabilities, len(samples), thresholds)
    if found.radius is not None:
      values["radius_statistic"] = radius_statistic(found, data.modes.dimension)
  if distances:
    values |= _compare(samples, _real(data, seed), data)
  return values, counts


def perfect(data: Data, num_samples: int, *, thresholds: Sequence[int] = (1,), distances: bool = True,
            replicates: int = 20, seed: int = 0) -> dict[str, float]:
  """For the names of `evaluate`, the mean score of `num_samples` independent samples of the law in that evaluation.

  Mode metrics: `metrics.modes.perfect_mode_metrics`. Distances and diversity: the mean over `replicates` fresh real
  samples, each compared with the real sample that `evaluate` uses; so it is the real-vs-real floor, and it is not
  zero.
  """
  if num_samples < 1:
    raise ValueError(f"num_samples must be at least 1, got {num_samples}")
  values = {"finite": 1.0}
  if data.modes is not None:
    values |= perfect_mode_metrics(data.modes.probabilities, data.modes.quality, num_samples, thresholds, seed)
    if data.modes.radius_statistic is not None:
      values["radius_statistic"] = data.modes.radius_statistic
  if distances:
    size, real = min(NUM_REAL, num_samples), _real(data, seed)
    fresh = np.asarray(data.sample(jax.random.key(seed + 1), replicates * size)["image"])
    scores = [_compare(samples, real, data) for samples in np.split(fresh, replicates)]
    values |= {name: float(np.mean([score[name] for score in scores])) for name in scores[0]}
  return values


def _real(data: Data, seed: int) -> np.ndarray:
  return np.asarray(data.sample(jax.random.key(seed), NUM_REAL)["image"])


def _compare(samples: np.ndarray, real: np.ndarray, data: Data) -> dict[str, float]:
  return distance_metrics(samples, real) if len(data.shape) == 1 else image_metrics(samples, real)
