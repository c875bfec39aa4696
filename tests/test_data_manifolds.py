"""The swiss roll: scikit-learn's law, and mode numbers that hold for it rather than for an idealised curve."""

import doctest

import jax
import numpy as np
import pytest
from scipy import stats
from sklearn.datasets import make_swiss_roll

from gan_jax.data import manifolds, swiss_roll


@pytest.fixture(scope="module")
def data():
  return swiss_roll()


def test_documentation_examples():
  assert doctest.testmod(manifolds).failed == 0


@pytest.mark.parametrize("num_points", [None, 30_000])
def test_samples_follow_scikit_learns_law(data, num_points):
  ours = data if num_points is None else swiss_roll(num_points=num_points)
  samples = np.asarray(ours.sample(jax.random.key(0), 20_000)["image"])
  theirs = make_swiss_roll(20_000, noise=0.25, random_state=0)[0][:, [0, 2]] / 7.5
  for direction in ([1, 0], [0, 1], [1, 1], [1, -1]):
    assert stats.ks_2samp(samples @ direction, theirs @ direction).pvalue > 1e-4


def test_mode_numbers_hold_for_scikit_learns_samples(data):
  points = make_swiss_roll(100_000, noise=0.25, random_state=1)[0][:, [0, 2]] / 7.5
  found, modes = data.modes.assign(points), data.modes
  assert stats.binomtest(int(found.high_quality.sum()), 100_000, modes.quality).pvalue > 1e-4
  assert stats.chisquare(np.bincount(found.mode, minlength=50), 100_000 * modes.probabilities).pvalue > 1e-4
  assert (found.radius[found.high_quality] ** 2).mean() == pytest.approx(modes.radius_statistic, abs=0.02)
  np.testing.assert_allclose(modes.probabilities, 1 / 50, rtol=0.01)


def test_points_are_assigned_along_and_across_the_curve(data):
  u = np.array([0.001, 0.331, 0.651, 0.999])
  on = manifolds._curve(u, 7.5)
  found = data.modes.assign(on)
  assert found.mode.tolist() == [0, 16, 32, 49] and found.radius.max() < 0.01
  t = 1.5 * np.pi * (1 + 2 * u)
  normal = np.stack([np.sin(t) + t * np.cos(t), -(np.cos(t) - t * np.sin(t))], axis=1)
  normal /= np.linalg.norm(normal, axis=1, keepdims=True)
  for sigmas, good in ((2.9, True), (3.1, False)):
    away = data.modes.assign(on + normal * sigmas * 0.25 / 7.5)
    np.testing.assert_allclose(away.radius, sigmas, rtol=2e-3)
    assert away.mode.tolist() == [0, 16, 32, 49] and (away.high_quality == good).all()
  assert not data.modes.assign(np.array([[np.nan, 0.0]])).high_quality.any()


@pytest.mark.parametrize("settings, says", [
  ({"noise": 0}, "noise must be a positive number"),
  ({"scale": -1}, "scale must be a positive number"),
  ({"num_bins": 0}, "num_bins must be a whole number of at least 1"),
  ({"num_points": 0}, "num_points must be a whole number of at least 1"),
])
def test_bad_settings_are_refused_in_one_line(settings, says):
  with pytest.raises(ValueError, match=says):
    swiss_roll(**settings)
