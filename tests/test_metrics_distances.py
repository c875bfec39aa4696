"""Distances: exact values by hand and by linear programming, and the published real-vs-real floors."""

import jax
import numpy as np
import pytest
from scipy import stats
from scipy.optimize import linprog
from scipy.spatial.distance import cdist

from gan_jax.data import grid, ring
from gan_jax.metrics.distances import distance_metrics, sliced_w2, w1
from gan_jax.metrics.images import diversity


def test_w1_is_the_optimum_of_the_linear_program():
  rng = np.random.default_rng(0)
  x, y = rng.standard_normal((7, 2)), rng.standard_normal((7, 2)) + 1
  cost = cdist(x, y)
  rows = np.kron(np.eye(7), np.ones(7))
  columns = np.kron(np.ones(7), np.eye(7))
  best = linprog(cost.ravel(), A_eq=np.vstack([rows, columns]), b_eq=np.full(14, 1 / 7)).fun
  assert w1(x, y) == pytest.approx(best, rel=1e-6)
  assert w1(x[:, :1], y[:, :1]) == pytest.approx(stats.wasserstein_distance(x[:, 0], y[:, 0]))
  assert w1(x, x[::-1]) == 0


def test_sliced_w2_of_a_shift_is_the_mean_square_over_directions():
  x = np.random.default_rng(0).standard_normal((50, 3))
  shift = np.array([1.0, 2.0, -2.0])
  # |shift|^2 / D = 3
  assert sliced_w2(x, x[::-1] + shift, num_directions=20_000) == pytest.approx(3**0.5, rel=0.02)
  assert sliced_w2(x[:, :1], x[:, :1] + 0.25) == pytest.approx(0.25)


@pytest.mark.parametrize("data, floor, spread, sliced", [
  (ring(radius=1.0, sigma=0.01), 0.067, 0.015, 0.118),
  (grid(), 0.250, 0.045, 0.257),
])
def test_real_against_real_has_the_published_floor(data, floor, spread, sliced):
  points = np.asarray(data.sample(jax.random.key(5), 12_000)["image"]).reshape(12, 1000, 2)
  scores = [distance_metrics(points[i], points[i + 1]) for i in range(0, 12, 2)]
  assert np.mean([score["w1_n1000"] for score in scores]) == pytest.approx(floor, abs=spread)
  assert np.mean([score["sw2_n1000"] for score in scores]) == pytest.approx(sliced, rel=0.35)


def test_the_first_thousand_are_compared_and_infinity_is_far():
  points = np.zeros((1500, 2))
  points[1200] = np.nan
  assert distance_metrics(points, np.ones((1000, 2)))["w1_n1000"] == pytest.approx(2**0.5)
  points[3] = np.nan
  assert distance_metrics(points, np.ones((1000, 2))) == {"w1_n1000": np.inf, "sw2_n1000": np.inf}


def test_diversity_is_a_ratio_of_scales():
  real = np.random.default_rng(0).standard_normal((60, 4, 4, 3))
  assert diversity(real, real) == 1 and diversity(0.1 * real + 7, real) == pytest.approx(0.1)
  assert diversity(np.zeros_like(real), real) == 0 and diversity(np.full_like(real, np.nan), real) == 0
