"""Mixtures: samples on the device follow the law that the modes on the host claim; bad settings are refused."""

import doctest

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from gan_jax.data import base, grid, high_dimensional, mixture, mixtures, ring

IMBALANCED = [0.05] * 4 + [1.0] * 4


def draw(data, n, seed=0):
  return np.asarray(data.sample(jax.random.key(seed), n)["image"])


def test_documentation_examples():
  assert doctest.testmod(mixtures).failed == 0


def test_the_eight_centres_are_eight():
  centers = ring(num_modes=8, radius=2.5).modes.centers
  assert len(np.unique(centers.round(9), axis=0)) == 8
  np.testing.assert_allclose(np.linalg.norm(centers, axis=1), 2.5)
  np.testing.assert_allclose(centers[0], [2.5 * np.cos(np.pi / 4), 2.5 * np.sin(np.pi / 4)])
  np.testing.assert_allclose(centers[7], [2.5, 0], atol=1e-12)


def test_grid_goes_column_after_column():
  centers = grid().modes.centers
  assert sorted(map(tuple, centers)) == [(x, y) for x in (-4, -2, 0, 2, 4) for y in (-4, -2, 0, 2, 4)]
  assert set(centers[:10, 0]) == {-4, -2}


@pytest.mark.parametrize("num_points", [None, 40_000])
def test_samples_follow_the_law(num_points):
  data = ring(radius=2.5, sigma=0.05, weights=IMBALANCED, num_points=num_points)
  samples = draw(data, 20_000)
  assert samples.dtype == np.float32 and samples.shape == (20_000, 2)
  modes = data.modes
  np.testing.assert_allclose(modes.probabilities, np.array(IMBALANCED) / 4.2)
  found = modes.assign(samples)
  counts = np.bincount(found.mode, minlength=8)
  assert stats.chisquare(counts, 20_000 * modes.probabilities).pvalue > 1e-4
  assert stats.kstest((found.radius**2), stats.chi2(2).cdf).pvalue > 1e-4  # isotropic, right sigma
  assert stats.binomtest(int(found.high_quality.sum()), 20_000, modes.quality).pvalue > 1e-4


def test_quality_and_radius_statistic_are_the_truncated_chi_squared():
  for dimension in (1, 2, 5):
    modes = mixture(np.eye(dimension) * 10, sigma=0.1).modes
    assert modes.quality == pytest.approx(stats.chi2(dimension).cdf(9), rel=1e-12)
    inside = stats.chi2(dimension).expect(lambda x: x, 0, 9, conditional=True) / dimension
    assert modes.radius_statistic == pytest.approx(inside, rel=1e-6)
  assert ring().modes.quality == pytest.approx(0.98889, abs=5e-6)
  assert ring().modes.radius_statistic == pytest.approx(0.949, abs=5e-4)


def test_a_fixed_set_is_finite_and_the_same_for_every_key():
  data = ring(num_points=5, seed=3)
  seen = {tuple(point) for seed in range(3) for point in draw(data, 100, seed)}
  assert len(seen) == 5
  assert seen == {tuple(point) for point in draw(ring(num_points=5, seed=3), 100, seed=9)}
  assert seen != {tuple(point) for point in draw(ring(num_points=5, seed=4), 100)}


def test_sample_is_pure_and_traces_under_jit_vmap_and_scan():
  data = ring()
  keys = jax.random.split(jax.random.key(0), 3)

  def body(total, key):
    return total + data.sample(key, 4)["image"].sum(), None

  batches = jax.jit(jax.vmap(lambda key: data.sample(key, 4)["image"]))(keys)
  np.testing.assert_allclose(batches[1], draw_key(data, keys[1], 4), rtol=1e-6)
  total, _ = jax.jit(lambda keys: jax.lax.scan(body, 0.0, keys))(keys)
  np.testing.assert_allclose(total, batches.sum(), rtol=1e-4)


def draw_key(data, key, n):
  return jnp.asarray(data.sample(key, n)["image"])


def test_samples_that_are_not_finite_are_never_good():
  points = np.array([[0, 1], [np.nan, 0], [np.inf, 0], [0, -np.inf], [1e30, 0]], np.float32)
  found = ring().modes.assign(points)
  assert found.high_quality.tolist() == [True, False, False, False, False]
  assert found.mode[1:4].tolist() == [0, 0, 0] and np.isinf(found.radius[1:4]).all()


def test_sigma_of_each_mode_sets_its_own_scale():
  modes = mixture([[0.0, 0.0], [10.0, 0.0]], sigma=[1.0, 0.1]).modes
  found = modes.assign(np.array([[2.9, 0], [3.1, 0], [10.29, 0], [10.31, 0]]))
  assert found.high_quality.tolist() == [True, False, True, False]
  assert modes.quality == pytest.approx(0.98889, abs=5e-6)


def test_overlapping_modes_are_measured_not_assumed():
  modes = mixture([[-1.0], [1.0]], sigma=1.0, weights=[0.9, 0.1]).modes
  truth = 0.9 * stats.norm.cdf(1) + 0.1 * stats.norm.cdf(-1)  # the law of "nearest centre"
  assert modes.probabilities[0] == pytest.approx(truth, abs=3e-3)
  within = sum(w * (stats.norm.cdf(4 - m) - stats.norm.cdf(-4 - m)) for w, m in ((0.9, -1), (0.1, 1)))
  assert modes.quality == pytest.approx(within, abs=1e-3)


def test_high_dimensional_matches_its_own_law_and_veegans_rule_gives_nothing():
  data = high_dimensional()
  samples = draw(data, 400)
  found = data.modes.assign(samples)
  assert len(np.unique(found.mode)) == 10 and found.high_quality.mean() == pytest.approx(0.98889, abs=0.02)
  assert (found.radius**2).mean() / 700 == pytest.approx(1, abs=0.01)
  np.testing.assert_array_equal(samples[:, 700:], data.modes.centers[found.mode][:, 700:].astype(np.float32))
  published = high_dimensional(max_radius=10.0).modes
  assert published.quality < 1e-99 and not published.assign(samples).high_quality.any()


@pytest.mark.parametrize("build, says", [
  (lambda: ring(weights=[1, 2]), "weights must be one number for each of the 8 modes"),
  (lambda: ring(weights=[-1] + [1] * 7), "weights must be positive"),
  (lambda: ring(weights=[float("nan")] + [1] * 7), "weights must be finite"),
  (lambda: ring(weights="equal"), "weights must be numbers"),
  (lambda: ring(sigma=-0.1), "sigma must be positive, got -0.1"),
  (lambda: ring(sigma=float("nan")), "sigma must be finite"),
  (lambda: ring(radius=0), "radius must be a positive number, got 0"),
  (lambda: ring(num_modes=0), "num_modes must be a whole number of at least 1, got 0"),
  (lambda: ring(num_modes=2.5), "num_modes must be a whole number"),
  (lambda: ring(num_points=0), "num_points must be a whole number of at least 1, got 0"),
  (lambda: ring(seed=-1), "seed must be a whole number of at least 0"),
  (lambda: grid(size=True), "size must be a whole number"),
  (lambda: grid(spacing=float("inf")), "spacing must be a positive number"),
  (lambda: mixture([0.0, 1.0], 1.0), "centers must be an array"),
  (lambda: mixture([[0.0], [1.0]], [1.0, 1.0, 1.0]), "sigma must be one number, or one for each of the 2 modes"),
  (lambda: mixture([[0.0, 1.0], [2.0, 1.0], [0.0, 1.0 + 2e-16]], 0.1),
   "centers 0 and 2 are the same place: 3 modes would be 2"),
  (lambda: high_dimensional(noise_dimension=1201), "noise_dimension must be at most dimension"),
])
def test_bad_settings_are_refused_in_one_line(build, says):
  with pytest.raises(ValueError, match=says) as error:
    build()
  assert "\n" not in str(error.value)


def test_measure_refuses_a_mode_without_mass():
  modes = ring().modes
  with pytest.raises(ValueError, match="mode 1 has no mass"):
    base.measure(modes.centers[:1], np.ones(1), modes.assign, 8, 2)
