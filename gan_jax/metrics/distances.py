"""Optimal-transport distances of point clouds. A perfect sampler scores not 0 but the real-vs-real floor at that n."""

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

NUM_POINTS = 1000  # the assignment problem costs n^3


def distance_metrics(samples: np.ndarray, real: np.ndarray) -> dict[str, float]:
  """{"w1_n1000", "sw2_n1000"} of the first 1,000 of each; with fewer, n is what both have and the name says so.

  samples, real: [N, D] and [M, D], in random order. Infinite if one of the compared samples is not finite.
  """
  n = min(NUM_POINTS, len(samples), len(real))
  samples, real = (np.asarray(points[:n], np.float64).reshape(n, -1) for points in (samples, real))
  if not np.isfinite(samples).all():
    return {f"w1_n{n}": np.inf, f"sw2_n{n}": np.inf}
  return {f"w1_n{n}": w1(samples, real), f"sw2_n{n}": sliced_w2(samples, real)}


def w1(first: np.ndarray, second: np.ndarray) -> float:
  """Wasserstein-1 distance of two equally many points [n, D]: the least mean distance of a matching, solved exactly."""
  cost = cdist(first, second)
  return float(cost[linear_sum_assignment(cost)].mean())


def sliced_w2(first: np.ndarray, second: np.ndarray, num_directions: int = 100) -> float:
  """Sliced Wasserstein-2 of [n, D]: sqrt of the mean over directions u and i of (sorted(u x)_i - sorted(u y)_i)^2.

  Rabin et al., 2011. The directions are drawn once from seed 0, uniformly on the sphere.
  """
  directions = np.random.default_rng(0).standard_normal((first.shape[1], num_directions))
  directions /= np.linalg.norm(directions, axis=0)
  gaps = np.sort(first @ directions, axis=0) - np.sort(second @ directions, axis=0)
  return float(np.sqrt((gaps**2).mean()))
