"""Statistics over seeds: outcomes are few and heavy-tailed, so tests are rank tests and one run has no spread."""

from collections.abc import Sequence

import numpy as np
from scipy.special import ndtri

NUM_RESAMPLES = 10_000


def wilson_interval(successes: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
  """Wilson's interval for a rate: the p0 that a score test at this confidence does not reject. (0, 1) for n = 0.

  Wilson, 1927. Unlike p +- 1.96 SE it is not empty at 0 of n, where most collapse rates live.
  """
  if not 0 <= successes <= n:
    raise ValueError(f"successes must lie between 0 and n = {n}, got {successes}")
  if n == 0:
    return 0.0, 1.0
  z = ndtri(0.5 + confidence / 2)
  rate, shrink = successes / n, 1 + z**2 / n
  middle = (rate + z**2 / (2 * n)) / shrink
  half = z / shrink * np.sqrt(rate * (1 - rate) / n + z**2 / (4 * n**2))
  return float(max(0.0, middle - half)), float(min(1.0, middle + half))


def bootstrap_ci95(values: Sequence[float], seed: int = 0) -> tuple[float, float]:
  """95 % percentile-bootstrap interval of the mean, 10,000 resamples; (nan, nan) with fewer than two values.

  With ten values it holds the mean about 90 % of the time: intervals of few seeds are too narrow.
  """
  array = np.asarray(values, np.float64)
  if len(array) < 2 or np.isnan(array).any():
    return float("nan"), float("nan")
  index = np.random.default_rng(seed).integers(len(array), size=(NUM_RESAMPLES, len(array)))
  low, high = np.quantile(array[index].mean(axis=1), [0.025, 0.975], method="inverted_cdf")  # no inf - inf in between
  return float(low), float(high)


def paired_test(first: Sequence[float], second: Sequence[float]) -> float:
  """Two-sided p-value of the Wilcoxon signed-rank test on pairs that share a seed. Exact at any n, ties included.

  Pairs that are equal are dropped, equal |differences| share their rank, and every choice of signs is equally likely;
  1 if all pairs are equal, nan if a value is. With 5 pairs the smallest possible p is .0625: too few seeds to show
  anything.
  ValueError: not the same number of values.
  """
  a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
  if a.shape != b.shape:
    raise ValueError(f"a paired test needs pairs, got {len(a)} and {len(b)} values")
  if np.isnan(a).any() or np.isnan(b).any():
    return float("nan")
  difference = (a[a != b]) - (b[a != b])  # of equal infinities too
  size = np.abs(difference)
  # 2 * midrank is whole: how many are smaller, and how many are smaller or equal, plus one
  ranks = [int((size < s).sum() + (size <= s).sum() + 1) for s in size]
  ways = np.ones(1)  # probability of each sum of the ranks with a positive sign
  for rank in ranks:
    ways = (np.pad(ways, (0, rank)) + np.pad(ways, (rank, 0))) / 2
  positive = sum(rank for rank, d in zip(ranks, difference, strict=True) if d > 0)
  return float(min(1.0, 2 * min(ways[: positive + 1].sum(), ways[positive:].sum())))


def probability_of_improvement(first: Sequence[float], second: Sequence[float], seed: int = 0) -> tuple[float, float, float]:
  """`(p, low, high)`: the chance that a run of the first is better (larger) than one of the second, a tie counting half, with a 95 % interval.

  p = mean over all pairs of runs of [a > b] + [a = b] / 2, which is Mann and Whitney's U / (n m); the interval is the percentile bootstrap's over the
  runs of each, 2,000 resamples. Agarwal et al., 2021 (arXiv:2108.13264), section 4.3. Unlike a p-value it says how often, not how surely; .5 is no
  difference. With few runs the interval is too narrow. (nan, nan, nan) where a value is nan.
  ValueError: no runs.
  """
  a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
  if not len(a) or not len(b):
    raise ValueError("a probability of improvement needs runs of both")
  if np.isnan(a).any() or np.isnan(b).any():
    return float("nan"), float("nan"), float("nan")
  wins = (a[:, None] > b[None, :]) + (a[:, None] == b[None, :]) / 2
  rng = np.random.default_rng(seed)
  rows, columns = (rng.integers(len(x), size=(2000, len(x))) for x in (a, b))
  resampled = wins[rows[:, :, None], columns[:, None, :]].mean(axis=(1, 2))
  low, high = np.quantile(resampled, [0.025, 0.975])
  return float(wins.mean()), float(low), float(high)


def holm(pvalues: Sequence[float]) -> list[float]:
  """Holm's adjusted p-values, in the order given: the i-th smallest of m times m - i + 1, made to increase. nan stays.

  Holm, 1979. Reject those below alpha and the chance of one false rejection in the family is at most alpha.
  """
  p = np.asarray(pvalues, np.float64)
  tested = np.flatnonzero(~np.isnan(p))
  order = tested[np.argsort(p[tested], kind="stable")]
  adjusted = p.copy()
  factors = np.arange(len(order), 0, -1)
  adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * factors))
  return adjusted.tolist()


def summarise(values: Sequence[float], seed: int = 0) -> dict:
  """{"values", "mean", "sd" (with n - 1), "median", "ci95": [low, high] (bootstrap, of the mean)}.

  sd and ci95 are nan for one value. Infinite values (a time never reached) make the mean infinite and sd nan; the
  median stands.
  ValueError: no values.
  """
  array = np.asarray(values, np.float64)
  if not len(array):
    raise ValueError("nothing to summarise: no values")
  spread = float(array.std(ddof=1)) if len(array) > 1 and np.isfinite(array).all() else float("nan")
  return {"values": array.tolist(), "mean": float(array.mean()), "sd": spread, "median": float(np.median(array)),
          "ci95": list(bootstrap_ci95(values, seed))}


def time_to_all_modes(steps: Sequence[float], modes: Sequence[float], num_modes: float) -> float:
  """The first step at which a check saw all modes; inf if none did. Steps are in increasing order."""
  return next((float(step) for step, seen in zip(steps, modes, strict=True) if seen >= num_modes), float("inf"))


def area_under_modes(steps: Sequence[float], modes: Sequence[float], num_modes: float) -> float:
  """Mean share of modes held: the trapezoid area of modes / K over steps, divided by its length; in [0, 1].

  High is early and lasting; a run that finds all modes and drops them again differs from one that keeps them.
  ValueError: no checks.
  """
  if not len(steps):
    raise ValueError("no checks, so no area under the mode curve")
  share = np.asarray(modes, np.float64) / num_modes
  if len(steps) == 1:
    return float(share[0])
  return float(np.trapezoid(share, steps) / (steps[-1] - steps[0]))
