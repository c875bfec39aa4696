"""The live monitor: what it says of health, collapse and hopping between modes, with and without known modes."""

import numpy as np
import pytest

from gan_jax.data import ring
from gan_jax.metrics import kmeans_modes, monitor
from gan_jax.metrics.monitor import second_half

DATA = ring(radius=2.5, sigma=0.05)


def points(modes, spread=0.05, seed=0):
  return DATA.modes.centers[np.asarray(modes)] + spread * np.random.default_rng(seed).standard_normal((len(modes), 2))


def test_health_collapse_and_churn():
  real, healthy = points(np.arange(512) % 8, seed=1), points(np.arange(512) % 8)
  values, modes = monitor(healthy, real, DATA)
  assert values["modes"] == 8 and values["high_quality"] > 0.97 and values["diversity"] == pytest.approx(1, abs=0.1)
  assert "churn" not in values and values["tvd"] == pytest.approx(0, abs=1e-12)
  values, modes = monitor(points(np.zeros(512, int)), real, DATA, modes)
  assert values["modes"] == 1 and values["diversity"] < 0.1 and values["churn"] == pytest.approx(7 / 8)
  assert values["tvd"] == pytest.approx(7 / 8)
  values, modes = monitor(points(np.ones(512, int)), real, DATA, modes)  # hops: as collapsed, elsewhere
  assert values["modes"] == 1 and values["churn"] == 1
  values, modes = monitor(points(np.ones(512, int), seed=2), real, DATA, modes)
  assert values["churn"] == 0
  values, modes = monitor(np.full((512, 2), np.nan), real, DATA, modes)
  assert values == {"modes": 0, "high_quality": 0, "diversity": 0, "tvd": 1, "churn": 1}


def test_without_labels_bins_of_real_samples_stand_in():
  real = points(np.arange(1024) % 8, seed=3)
  data = DATA._replace(modes=None)
  values, _ = monitor(points(np.arange(512) % 8), real, data)
  assert values["modes"] > 40 and values["high_quality"] > 0.9
  values, _ = monitor(points(np.zeros(512, int)), real, data)
  assert values["modes"] < 15
  fitted = data._replace(modes=kmeans_modes(real, 8))
  values, _ = monitor(points(np.arange(512) % 8), real, fitted)
  assert values["modes"] == 8
  assert not fitted.modes.assign(np.array([[0.0, 0.0], [np.nan, 0.0]])).high_quality.any()
  assert fitted.modes.assign(real).high_quality.mean() == pytest.approx(fitted.modes.quality, abs=0.01)


def test_few_different_samples_are_a_bin_each(recwarn):
  fitted = kmeans_modes(np.array([[0.0, 0.0], [3.0, 0.0], [0.0, 4.0]])[np.arange(60) % 3])
  assert fitted.probabilities.tolist() == pytest.approx([1 / 3] * 3) and not recwarn.list


def test_the_second_half_by_hand():
  steps = np.array([100, 200, 300, 400])
  log = {
    "tvd": (steps, np.array([0.0, 0.0, 0.5, 0.7])), "churn": (steps[1:], np.array([1.0, 0.25, 0.75])), "modes": (steps, np.ones(4)),
    "high_quality": (steps, np.array([0.0, 0.0, 0.5, 1.0])), "generator/loss": (steps, np.array([9.0, 9.0, 1.0, 3.0])),
    "generator/gradient_norm": (steps, np.array([9.0, 9.0, 0.1, 0.3])),
  }  # fmt: skip
  found = second_half(log)  # round 200 is half of the last one, and belongs to the first
  wanted = {"churn": 0.5, "tvd": 0.6, "gradient": 0.2, "swing": 1.0, "quality": 0.75, "quality_swing": 0.25}
  assert found == pytest.approx({f"late_{name}": value for name, value in wanted.items()})
  assert second_half({"modes": log["modes"]}) == {}
  one = {"high_quality": (steps[:2], np.array([0.1, 0.9]))}  # of one check nothing can be said to swing, or to stand
  assert second_half(one) == {"late_quality": 0.9}
  assert np.isnan(second_half({"tvd": (steps, np.array([0, 0, 0.5, np.nan]))})["late_tvd"])


def test_more_bins_than_samples_is_refused():
  with pytest.raises(ValueError, match="50 bins need at least as many real samples, got 10"):
    kmeans_modes(np.zeros((10, 2)))
