"""Mode metrics: values for a perfect sampler against theory and simulation, known kinds of collapse, and bounds."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import jensenshannon

from gan_jax.data import grid, ring
from gan_jax.metrics import evaluate
from gan_jax.metrics.modes import mode_metrics, perfect_mode_metrics

UNIFORM = np.full(1000, 1e-3)
RING_RLS = ring(radius=2.5, sigma=0.05, weights=[0.05] * 4 + [1.0] * 4)


def simulate(p, quality, n, repeats=300):
  rng = np.random.default_rng(1)
  for _ in range(repeats):
    counts = rng.multinomial(n, p)
    yield counts, rng.binomial(counts, quality)


# Perfect values.
def test_published_floors_to_three_digits():
  thousand = perfect_mode_metrics(UNIFORM, 1.0, 26_000)
  assert thousand["kl_reverse_nats"] == pytest.approx(0.0192, abs=5e-4)
  assert thousand["modes_t1"] == pytest.approx(1000, abs=1e-6)
  assert thousand["kl_reverse_nats"] == pytest.approx(999 / 52_000, rel=0.01)  # (K - 1) / 2N and a little more
  few = perfect_mode_metrics(UNIFORM, 1.0, 1000)
  assert few["modes_t1"] == pytest.approx(1000 * (1 - 0.999**1000), rel=1e-9)
  assert perfect_mode_metrics(np.full(8, 1 / 8), 1.0, 2500)["kl_reverse_nats"] == pytest.approx(0.0014, abs=5e-5)
  assert perfect_mode_metrics(np.full(25, 1 / 25), 1.0, 2500)["kl_reverse_nats"] == pytest.approx(0.0048, abs=5e-5)
  many = perfect_mode_metrics(np.full(8, 1 / 8), 1.0, 100_000)
  assert many["kl_reverse_nats"] == pytest.approx(7 / 200_000, rel=1e-3)


def test_grid_rls_is_fifteen_modes_for_a_perfect_sampler():
  modes = grid(sigma=0.05, weights=[0.05] * 10 + [1.0] * 15).modes
  values = perfect_mode_metrics(modes.probabilities, modes.quality, 10_000, (1, 10, 50))
  assert 15 < values["modes_t50"] < 15.05  # P(>= 50) = .002 for each of the ten rare modes
  assert values["modes_t10"] == pytest.approx(25, abs=1e-3) and values["modes_t1"] == pytest.approx(25, abs=1e-6)
  assert values["kl_reverse_nats"] == pytest.approx(0.0012, abs=5e-5) and values["all_modes_t50"] == 0


def test_ring_rls_is_eight_modes_for_a_perfect_sampler():
  modes = RING_RLS.modes
  values = perfect_mode_metrics(modes.probabilities, modes.quality, 10_000, (1, 50))
  assert values["modes_t50"] == pytest.approx(8, abs=1e-6)
  assert values["kl_reverse_nats"] == pytest.approx(0.0004, abs=5e-5)
  assert values["high_quality"] == pytest.approx(1 - math.exp(-4.5)) == values["minority_mass_ratio"]
  assert values["all_modes_tquarter"] == 1 and values["no_modes_tquarter"] == 0


@pytest.mark.parametrize("p, quality, n", [
  (np.array([0.5, 0.3, 0.15, 0.05]), 0.9, 60),
  (RING_RLS.modes.probabilities, 0.98889, 400),
  (np.arange(1, 41) / 820, 0.7, 300),
])
def test_perfect_values_are_the_mean_over_perfect_samplers(p, quality, n):
  expected = perfect_mode_metrics(p, quality, n, (1, 3))
  runs = [mode_metrics(counts, good, p, n, (1, 3)) for counts, good in simulate(p, quality, n, 2000)]
  assert expected.keys() == runs[0].keys()
  for name, value in expected.items():
    draws = np.array([run[name] for run in runs])
    assert value == pytest.approx(draws.mean(), abs=6 * draws.std() / 2000**0.5 + 1e-12), name


def test_a_thousand_unequal_modes_cost_seconds():
  p = np.random.default_rng(0).dirichlet(np.full(1000, 50.0))
  values = perfect_mode_metrics(p, 0.9, 26_000)
  assert values["kl_reverse_nats"] == pytest.approx(999 / 52_000, rel=0.05)


# Against independent definitions.
def test_values_by_hand():
  p, counts, good = np.array([0.5, 0.25, 0.25]), np.array([6, 2, 0]), np.array([5, 0, 0])
  values = mode_metrics(counts, good, p, 10, (1, 6))  # two of ten samples were not finite
  assert values["modes_t1"] == 1 and values["modes_t6"] == 0
  assert values["no_modes_t6"] == 1 and values["all_modes_t1"] == 0
  assert values["modes_tquarter"] == 1  # thresholds ceil(1.25), ceil(.625), ceil(.625)
  assert values["high_quality"] == 0.5
  assert values["tvd"] == pytest.approx(0.25)
  assert values["kl_reverse_nats"] == pytest.approx(0.75 * math.log(1.5))
  assert values["kl_reverse_hq_nats"] == pytest.approx(math.log(2))
  assert values["kl_forward_add1_nats"] == pytest.approx(
    0.5 * math.log(0.5 * 11 / 7) + 0.25 * math.log(0.25 * 11 / 3) + 0.25 * math.log(0.25 * 11 / 1))
  assert "minority_mass_ratio" not in values


def test_a_quarter_threshold_is_rounded_up_and_reached_by_equality():
  p = np.array([0.6, 0.4])
  for counts, captured in (([15, 10], 2), ([14, 10], 1), ([15, 9], 1)):
    counts = np.array(counts)
    assert mode_metrics(counts, counts, p, 100)["modes_tquarter"] == captured
  assert mode_metrics(np.array([1, 1]), np.array([1, 1]), p, 2)["modes_tquarter"] == 2  # ceil(.3) = 1


def test_scipy_agrees():
  for counts, good in simulate(RING_RLS.modes.probabilities, 0.8, 500, 20):
    p, q = RING_RLS.modes.probabilities, counts / counts.sum()
    values = mode_metrics(counts, good, p, 500)
    assert values["kl_reverse_nats"] == pytest.approx(stats.entropy(q, p))
    assert values["kl_reverse_hq_nats"] == pytest.approx(stats.entropy(good, p))
    assert values["kl_forward_add1_nats"] == pytest.approx(stats.entropy(p, counts + 1))
    assert values["js_nats"] == pytest.approx(jensenshannon(p, q) ** 2)
    assert values["chi2_effect"] == pytest.approx((stats.chisquare(counts, 500 * p).statistic / 500) ** 0.5)
    rare = good[:4].sum() / (500 * p[:4].sum())
    assert values["minority_mass_ratio"] == pytest.approx(rare)


# Collapse of known kinds, from samples to values.
def test_one_mode():
  data = ring(sigma=0.01)
  samples = data.modes.centers[2] + 0.01 * np.random.default_rng(0).standard_normal((2500, 2))
  values, counts = evaluate(samples, data, distances=False)
  assert values["modes_t1"] == 1 and values["no_modes_t1"] == 0 and counts.argmax() == 2
  assert values["kl_reverse_nats"] == pytest.approx(math.log(8)) and values["tvd"] == pytest.approx(7 / 8)
  assert values["high_quality"] == pytest.approx(0.98889, abs=0.01)
  assert values["radius_statistic"] == pytest.approx(0.949, abs=0.06)


def test_shrunken_modes_score_a_perfect_share_and_no_radius():
  data = ring(sigma=0.01)
  rng = np.random.default_rng(0)
  samples = data.modes.centers[rng.integers(0, 8, 2500)] + 1e-5 * rng.standard_normal((2500, 2))
  values, _ = evaluate(samples, data, distances=False)
  assert values["high_quality"] == 1 and values["modes_t1"] == 8
  assert values["radius_statistic"] == pytest.approx(1e-6, rel=0.1)


def test_points_between_modes_have_the_right_histogram_and_no_quality():
  data = ring()
  values, counts = evaluate(np.repeat(0.5 * data.modes.centers, 100, axis=0), data, distances=False)
  assert values["kl_reverse_nats"] == pytest.approx(0, abs=1e-12)
  assert values["high_quality"] == 0 and values["modes_t1"] == 0
  assert values["no_modes_t1"] == 1 and counts.sum() == 0 and values["radius_statistic"] == 0
  assert values["kl_reverse_hq_nats"] == pytest.approx(math.log(8))  # no good sample: the worst histogram


def test_samples_that_are_not_finite_count_nowhere():
  data = ring()
  samples = np.repeat(data.modes.centers, 100, axis=0)
  samples[:100] = np.nan  # what would have been mode 0
  samples[100:150, 1] = np.inf
  values, counts = evaluate(samples, data)
  assert counts.tolist() == [0, 50] + [100] * 6
  assert values["finite"] == pytest.approx(650 / 800) == values["high_quality"]
  assert values["modes_t1"] == 7 and values["modes_tquarter"] == 7 and math.isinf(values["w1_n800"])
  values, counts = evaluate(np.full((50, 2), np.nan), data)
  assert values["finite"] == 0 == counts.sum() and values["modes_t1"] == 0 and values["tvd"] == pytest.approx(7 / 8)
  assert values["kl_reverse_nats"] == pytest.approx(math.log(8))
  assert values["kl_forward_add1_nats"] == pytest.approx(math.log(58 / 8) - math.log(51) / 8)


def test_lost_minority_modes_show_in_the_ratio_and_hardly_in_kl():
  p = RING_RLS.modes.probabilities
  counts = np.array([0, 0, 0, 0, 2500, 2500, 2500, 2500])
  values = mode_metrics(counts, counts, p, 10_000)
  assert values["minority_mass_ratio"] == 0 and values["kl_reverse_nats"] < 0.06


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_bounds(data):
  k = data.draw(st.integers(1, 12))
  weights = np.array(data.draw(st.lists(st.floats(0.01, 1), min_size=k, max_size=k)))
  p = weights / weights.sum()
  counts = np.array(data.draw(st.lists(st.integers(0, 50), min_size=k, max_size=k)))
  good = np.array([data.draw(st.integers(0, int(c))) for c in counts])
  n = int(counts.sum()) + data.draw(st.integers(0, 5)) + 1
  values = mode_metrics(counts, good, p, n, (1, 7))
  hit = counts > 0 if counts.any() else p == p.min()
  low, high = math.log(1 / p[hit].sum()), math.log(1 / p.min())
  assert low - 1e-9 <= values["kl_reverse_nats"] <= high + 1e-9
  assert -1e-12 <= values["kl_reverse_hq_nats"] <= high + 1e-9
  assert -1e-12 <= values["kl_forward_add1_nats"] < math.inf
  assert -1e-12 <= values["js_nats"] <= math.log(2) and 0 <= values["tvd"] <= 1
  assert 0 <= values["modes_t7"] <= values["modes_t1"] <= k and 0 <= values["high_quality"] <= 1
  assert values["all_modes_t1"] == (values["modes_t1"] == k) and values["no_modes_t1"] == (values["modes_t1"] == 0)
  assert values["tvd"] <= math.sqrt(values["kl_reverse_nats"] / 2 + 1e-12) + 1e-9  # Pinsker
  assert values["kl_reverse_nats"] <= math.log1p(values["chi2_effect"] ** 2) + 1e-9


@pytest.mark.parametrize("threshold", [0, -1, 1.5, True])
def test_bad_thresholds_are_refused(threshold):
  with pytest.raises(ValueError, match="thresholds must be whole numbers of at least 1"):
    mode_metrics(np.ones(2, int), np.ones(2, int), np.full(2, 0.5), 2, (threshold,))
