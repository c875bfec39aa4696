"""Statistics against scipy, enumeration and values worked by hand."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from gan_jax.metrics.statistics import (
  area_under_modes,
  bootstrap_ci95,
  holm,
  paired_test,
  summarise,
  time_to_all_modes,
  wilson_interval,
)


@pytest.mark.parametrize("successes, n", [(0, 10), (3, 10), (10, 10), (1, 50)])
def test_wilson_is_scipys(successes, n):
  theirs = stats.binomtest(successes, n).proportion_ci(method="wilson")
  assert wilson_interval(successes, n) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_wilson_edges():
  assert wilson_interval(0, 0) == (0, 1) and wilson_interval(0, 10)[1] > 0.2
  with pytest.raises(ValueError, match="between 0 and n"):
    wilson_interval(3, 2)


def test_bootstrap():
  values = np.random.default_rng(0).standard_normal(200)
  low, high = bootstrap_ci95(values)
  half = 1.96 * values.std() / 200**0.5
  assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.02)
  assert bootstrap_ci95([2.0, 2.0, 2.0]) == (2, 2) and all(map(math.isnan, bootstrap_ci95([2.0])))
  assert bootstrap_ci95(values) == (low, high)
  assert bootstrap_ci95([1.0, 2.0, math.inf])[1] == math.inf


@pytest.mark.parametrize("n", [5, 10, 20])
def test_paired_test_without_ties_is_scipys_exact_one(n):
  a, b = np.random.default_rng(n).standard_normal((2, n))
  assert paired_test(a, b) == pytest.approx(stats.wilcoxon(a, b, method="exact").pvalue)


def test_paired_test_with_ties_is_the_full_enumeration():
  a, b = np.array([8, 8, 7, 6, 8, 5, 8, 8]), np.array([6, 5, 7, 7, 5, 5, 6, 7])
  d = (a - b)[a != b]
  ranks = stats.rankdata(abs(d))
  sums = np.array([np.dot(signs, ranks) for signs in itertools.product([0, 1], repeat=len(d))])
  observed = ranks[d > 0].sum()
  expected = min(1, 2 * min((sums <= observed).mean(), (sums >= observed).mean()))
  assert paired_test(a, b) == pytest.approx(expected) == paired_test(b, a)


def test_paired_test_edges():
  assert paired_test([8, 8, 8], [8, 8, 8]) == 1 and paired_test([], []) == 1
  assert paired_test([9] * 5, [1] * 5) == pytest.approx(2 / 2**5)
  assert paired_test([math.inf, math.inf, 3], [math.inf, 2, 1]) == pytest.approx(0.5)
  assert math.isnan(paired_test([1, math.nan], [1, 2]))
  with pytest.raises(ValueError, match="needs pairs"):
    paired_test([1], [1, 2])


def test_holm():
  assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
  assert holm([0.5, 0.9]) == [1, 1] and holm([]) == []
  adjusted = holm([math.nan, 0.03])
  assert math.isnan(adjusted[0]) and adjusted[1] == pytest.approx(0.03)


def test_summarise():
  summary = summarise([1.0, 2.0, 6.0])
  assert summary["values"] == [1, 2, 6] and summary["mean"] == 3 and summary["median"] == 2
  assert summary["sd"] == pytest.approx(7**0.5) and 1 <= summary["ci95"][0] <= 3 <= summary["ci95"][1] <= 6
  assert math.isnan(summarise([4.0])["sd"]) and summarise([4.0])["mean"] == 4
  assert summarise([1.0, 2.0, math.inf])["median"] == 2 and summarise([1.0, math.inf])["mean"] == math.inf
  with pytest.raises(ValueError, match="no values"):
    summarise([])


def test_time_and_area():
  assert time_to_all_modes([0, 500, 1000, 1500], [1, 8, 3, 8], 8) == 500
  assert time_to_all_modes([0, 500], [1, 7], 8) == math.inf
  assert area_under_modes([0, 10, 20], [0, 8, 8], 8) == pytest.approx(0.75)
  assert area_under_modes([0, 10, 100], [8, 8, 0], 8) == pytest.approx((10 + 45) / 100)
  assert area_under_modes([5], [4], 8) == 0.5
