"""evaluate and perfect: the same names, and a perfect sampler that scores its own perfect row."""

import doctest
import importlib
import pkgutil

import jax
import numpy as np
import pytest

from gan_jax import metrics
from gan_jax.data import high_dimensional, ring, stacked_digits, swiss_roll
from gan_jax.data.base import Data

CASES = [(ring, 2500), (swiss_roll, 2500), (high_dimensional, 200), (stacked_digits, 4000)]


@pytest.mark.parametrize("build, n", CASES)
def test_real_samples_score_the_perfect_row(build, n):
  data = build()
  expected = metrics.perfect(data, n, replicates=4)
  runs = []
  for seed in range(3):
    values, counts = metrics.evaluate(np.asarray(data.sample(jax.random.key(100 + seed), n)["image"]), data)
    assert values.keys() == expected.keys() and counts.shape == data.modes.probabilities.shape
    runs.append(values)
  for name, value in expected.items():
    got = np.array([run[name] for run in runs])
    assert got.mean() == pytest.approx(value, abs=0.5 * abs(value) + 1e-3), name
  assert np.mean([run["high_quality"] for run in runs]) == pytest.approx(expected["high_quality"], abs=0.02)


def test_documentation_examples():
  modules = [importlib.import_module(f"gan_jax.metrics.{module.name}") for module in pkgutil.iter_modules(metrics.__path__)]
  results = [doctest.testmod(module) for module in (metrics, *modules)]
  assert sum(result.failed for result in results) == 0 and sum(result.attempted for result in results) > 30


def test_data_without_modes_still_has_distances():
  data = ring()._replace(modes=None)
  values, counts = metrics.evaluate(np.zeros((1000, 2)), data)
  assert set(values) == {"finite", "w1_n1000", "sw2_n1000"} and counts.shape == (0,)
  assert values["w1_n1000"] == pytest.approx(1, abs=0.01)  # all mass at the centre of a ring of radius 1
  assert set(metrics.perfect(data, 1000, replicates=2)) == set(values)


def test_fewer_samples_say_so_in_the_name():
  values, _ = metrics.evaluate(np.zeros((10, 2)), ring())
  assert "w1_n10" in values and "w1_n10" in metrics.perfect(ring(), 10, replicates=2)


def test_evaluation_is_repeatable():
  samples = np.random.default_rng(0).standard_normal((300, 2))
  first, second = (metrics.evaluate(samples, ring())[0] for _ in range(2))
  assert first == second
  assert metrics.perfect(ring(), 300, replicates=2) == metrics.perfect(ring(), 300, replicates=2)


@pytest.mark.parametrize("samples", [np.zeros((5, 3)), np.zeros((0, 2)), np.zeros(2)])
def test_samples_of_another_shape_are_refused(samples):
  with pytest.raises(ValueError, match=r"samples must be \[N, 2\]"):
    metrics.evaluate(samples, ring())
  assert isinstance(ring(), Data)
