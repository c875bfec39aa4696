"""The sides of triangles: the law, and what counts as one."""

import doctest

import jax
import numpy as np
import pytest
from scipy import stats

from gan_jax import data, metrics
from gan_jax.data.triangles import sides


def test_documentation_examples():
  assert doctest.testmod(sides).failed == 0


def test_samples_are_uniform_among_triangles_with_a_margin():
  drawn = np.asarray(data.triangle_sides().sample(jax.random.key(0), 20_000)["image"]).astype(float)
  margin = 1 - 2 * drawn.max(1) / drawn.sum(1)
  assert drawn.min() >= 0.2 and drawn.max() <= 1 and margin.min() >= 0.05 - 1e-6
  cube = np.random.default_rng(0).uniform(0.2, 1, (60_000, 3))
  kept = cube[1 - 2 * cube.max(1) / cube.sum(1) >= 0.05]
  assert len(kept) / len(cube) == pytest.approx(0.69, abs=0.01)
  for direction in ([1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, -1], [1, -1, 0]):
    assert stats.ks_2samp(drawn @ direction, kept @ direction).pvalue > 1e-4


def test_modes_by_hand_and_by_their_probabilities():
  ours = data.triangle_sides()
  modes = ours.modes
  assert modes.probabilities.min() > 0.008 and modes.probabilities.sum() == pytest.approx(1)
  points = [[0.5, 0.5, 0.5], [0.5, 0.5, 1.0], [0.5, 0.5, 1.01], [-0.5, 0.7, 0.6], [0.2, 0.9, 0.9], [0.9, 0.2, 0.9], [np.nan, 1, 1]]
  found = modes.assign(np.array(points))
  assert found.high_quality.tolist() == [True, False, False, False, True, True, False]
  assert len({int(found.mode[k]) for k in (0, 4, 5)}) == 3
  drawn = np.asarray(ours.sample(jax.random.key(1), 20_000)["image"])
  assert stats.chisquare(np.bincount(modes.assign(drawn).mode, minlength=34), 20_000 * modes.probabilities).pvalue > 1e-4
  values, _ = metrics.evaluate(drawn[:10_000], ours, distances=False)
  assert values["high_quality"] == 1 and values["modes_t1"] == 34 and values["tvd"] < 0.04
  noise = np.random.default_rng(0).uniform(0.2, 1, (10_000, 3))
  assert metrics.evaluate(noise, ours, distances=False)[0]["high_quality"] == pytest.approx(0.79, abs=0.02)
