"""Fréchet and kernel distances: numbers by hand, scipy, torch-fidelity on given features.

Mutations that made a test here fail: np.cov with n instead of n - 1; the square root without the trace's factor 2; MMD with the diagonal kept; a
kernel that does not divide by the number of features.
"""

import numpy as np
import oracles
import pytest
import scipy.linalg
from scipy.spatial.distance import cdist

from gan_jax.data import ring
from gan_jax.metrics import evaluate, frechet, kernel_distance, pixels
from gan_jax.metrics.base import Features
from gan_jax.metrics.feature_distances import frechet_distance, mean_kernel_distance, squared_mmd


def clouds(seed: int, features: int = 6, n: int = 300, m: int = 200) -> tuple[np.ndarray, np.ndarray]:
  rng = np.random.default_rng(seed)
  mix = rng.standard_normal((features, features))
  return rng.standard_normal((n, features)) @ mix, 1.5 * rng.standard_normal((m, features)) + 0.3


def test_frechet_by_hand():
  # Variances 2 and 8 (n - 1 below), means 0 and 3: 9 + 2 + 8 - 2 sqrt(16) = 11.
  assert frechet_distance(np.array([[-1.0], [1.0]]), np.array([[1.0], [5.0]])) == pytest.approx(11)
  # Diagonal covariances (2, 8) and (8, 2), equal means: sum of (sqrt 2 - sqrt 8)^2 twice = 4.
  cross = lambda a, b: np.array([[a, b], [a, -b], [-a, b], [-a, -b]]) * np.sqrt(3 / 4)
  assert frechet_distance(cross(2**0.5, 8**0.5), cross(8**0.5, 2**0.5)) == pytest.approx(4)


def test_frechet_is_the_formula_with_scipys_matrix_root():
  first, second = clouds(0)
  a, b = np.cov(first, rowvar=False), np.cov(second, rowvar=False)
  root = scipy.linalg.sqrtm(a @ b)
  wanted = ((first.mean(0) - second.mean(0)) ** 2).sum() + np.trace(a + b - 2 * root.real)
  assert frechet_distance(first, second) == pytest.approx(wanted, rel=1e-10)
  assert frechet_distance(first, second) == pytest.approx(frechet_distance(second, first), rel=1e-10)


def test_frechet_of_the_same_is_zero_where_the_covariance_is_singular_and_huge():
  rows = clouds(1)[0]
  rows = 1e4 * np.concatenate([rows, rows[:, :2], np.ones((len(rows), 3))], axis=1) + 1e6
  assert abs(frechet_distance(rows, rows)) < 1e-9 * np.trace(np.cov(rows, rowvar=False))
  assert frechet_distance(rows, rows + 2) == pytest.approx(4 * rows.shape[1], rel=1e-4)


def test_frechet_and_kernel_distance_are_torch_fidelitys():
  oracles.torch_fidelity()
  import torch
  from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
  from torch_fidelity.metric_kid import kid_features_to_metric, mmd2

  first, second = clouds(2)
  statistics = [fid_features_to_statistics(torch.tensor(rows)) for rows in (first, second)]
  fid = fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]
  assert frechet_distance(first, second) == pytest.approx(fid, rel=1e-9)

  kernel = lambda x, y: (x @ y.T / 6 + 1) ** 3
  ours, second = squared_mmd(first[:150], second[:150]), second[:150]
  assert ours == pytest.approx(mmd2(kernel(first[:150], first[:150]), kernel(first[:150], second), kernel(second, second)), rel=1e-9)
  kid = kid_features_to_metric(torch.tensor(first), torch.tensor(second), kid_subsets=30, kid_subset_size=100, rng_seed=0, verbose=False)
  spread = kid["kernel_inception_distance_std"] / 30**0.5
  assert mean_kernel_distance(first, second, 100, 30) == pytest.approx(kid["kernel_inception_distance_mean"], abs=5 * spread)


def test_squared_mmd_by_hand():
  # F = 1, kernel (xy + 1)^3. x = (0, 1): k(0, 1) = 1, so within x: 1. y = (1, 2): k = 27. Across: k(0,1) = k(0,2) = 1, k(1,1) = 8, k(1,2) = 27.
  assert squared_mmd(np.array([[0.0], [1.0]]), np.array([[1.0], [2.0]])) == pytest.approx(1 + 27 - 2 * (1 + 1 + 8 + 27) / 4)


def test_squared_mmd_divides_by_each_sets_own_count():
  first, second = clouds(3, n=40, m=23)
  kernel = lambda x, y: (x @ y.T / 6 + 1) ** 3
  pairs = lambda x: np.mean([kernel(x, x)[i, j] for i in range(len(x)) for j in range(len(x)) if i != j])
  assert squared_mmd(first, second) == pytest.approx(pairs(first) + pairs(second) - 2 * kernel(first, second).mean(), rel=1e-9)


def test_squared_mmd_of_one_law_is_zero_on_average():
  rng = np.random.default_rng(0)
  scores = [squared_mmd(rng.standard_normal((50, 3)), rng.standard_normal((50, 3))) for _ in range(400)]
  assert abs(np.mean(scores)) < 4 * np.std(scores) / 20 and min(scores) < 0
  assert np.std(scores) > 0 and squared_mmd(rng.standard_normal((50, 3)), 2 * rng.standard_normal((50, 3))) > 4 * np.std(scores)


def test_values_have_the_definition_in_their_names_and_only_inception_gives_fid():
  data = ring()
  samples = np.random.default_rng(0).standard_normal((400, 2))
  named = {"frechet": frechet(pixels(), n=300), "kernel_distance": kernel_distance(pixels(), n=300, subset=100, subsets=3)}
  values, _ = evaluate(samples, data, metrics=named)
  assert values["fd_pixels_n300"] > 0.1 and values["kd_pixels_n300"] > 0.1
  assert not any(name.startswith(("fid", "kid")) for name in values)
  inception = Features(lambda images: images, "inception", "hash", {"fd": "fid", "kd": "kid"})
  assert [inception.title(prefix) for prefix in ("fd", "kd", "vendi")] == ["fid", "kid", "vendi_inception"]


def test_what_is_not_finite_is_infinitely_far():
  samples = np.zeros((300, 2))
  samples[7, 1] = np.nan
  values, _ = evaluate(samples, ring(), metrics={"f": frechet(pixels(), n=100), "k": kernel_distance(pixels(), n=100, subset=50, subsets=2)})
  assert values["fd_pixels_n100"] == values["kd_pixels_n100"] == np.inf
  samples[7, 1], samples[200] = 0, np.inf  # after the first n: not looked at
  assert evaluate(samples, ring(), metrics={"f": frechet(pixels(), n=100)})[0]["fd_pixels_n100"] < 10


def test_too_few_samples_and_too_many_features_are_one_clear_line():
  with pytest.raises(ValueError, match=r"f: needs 500 samples, got 300; generate more \(evaluation.num_samples\) or set a smaller n"):
    evaluate(np.zeros((300, 2)), ring(), metrics={"f": frechet(pixels(), n=500)})
  with pytest.raises(ValueError, match="frechet needs more samples than features: pixels has 2, n = 2; set a larger n, or use kernel_distance"):
    evaluate(np.zeros((300, 2)), ring(), metrics={"frechet": frechet(pixels(), n=2)})
  with pytest.raises(ValueError, match="subsets of 1000 from n = 500"):
    kernel_distance(pixels(), n=500)


def test_the_oracle_of_distances_agrees_with_cdist():
  from gan_jax.metrics.neighbours import squared_distances

  first, second = clouds(4, n=2500)
  blocks = [squared for _, squared in squared_distances(first + 1e3, second + 1e3)]
  assert len(blocks) == 3
  np.testing.assert_allclose(np.sqrt(np.concatenate(blocks)), cdist(first, second), rtol=1e-7)
