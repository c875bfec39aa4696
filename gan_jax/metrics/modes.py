"""Which modes of the data did a generator keep? Counts, divergences and their values for a perfect sampler.

All are functions of two histograms over the K modes: `all_counts`, finite samples by nearest mode, and `good_counts`,
those of high quality. Two, because a generator that puts its samples between modes can have the right histogram of
all samples and no good one, and one that is thrifty can have every good sample in the wrong proportions. Logarithms
are natural.
"""

from collections.abc import Sequence

import numpy as np
from scipy.special import xlogy

from gan_jax.data.base import Assignment

DRAWS = 2000  # histograms behind the perfect values that have no closed form


def histograms(assignment: Assignment, finite: np.ndarray, num_modes: int) -> tuple[np.ndarray, np.ndarray]:
  """(all_counts [K], good_counts [K]) of N samples; `finite` [N] bool, and what is not finite counts in neither."""
  everything = np.bincount(assignment.mode[finite], minlength=num_modes)
  good = np.bincount(assignment.mode[finite & assignment.high_quality], minlength=num_modes)
  return everything, good


def mode_metrics(all_counts: np.ndarray, good_counts: np.ndarray, probabilities: np.ndarray, num_samples: int,
                 thresholds: Sequence[int] = (1,)) -> dict[str, float]:
  """Every metric of the two histograms. N = num_samples, finite or not; p = the training law.

  modes_t1, modes_t50, ...   #{k : n_k >= t}, n_k = good_counts, for each t in `thresholds`
  modes_tquarter             #{k : n_k >= ceil(N p_k / 4)}: a mode with a quarter of its due
  all_modes_t1, ...          1 if that number is K, else 0: the mean over seeds is the success rate
  no_modes_t1, ...           1 if that number is 0, else 0: the failure rate
  high_quality               sum_k n_k / N
  kl_reverse_nats            KL(q || p), q = all_counts / their sum
  kl_reverse_hq_nats         KL(q || p), q = good_counts / their sum
  kl_forward_add1_nats       KL(p || q), q = (all_counts + 1) / (their sum + K), so that an empty mode is not infinite
  js_nats                    Jensen-Shannon divergence of all_counts / their sum and p; at most ln 2
  tvd                        half of sum_k |q_k - p_k|, q = all_counts / their sum; between 0 and 1
  chi2_effect                sqrt(chi^2 / n) = sqrt(sum_k (q_k - p_k)^2 / p_k), q as in kl_reverse_nats; no cells merged
  minority_mass_ratio        sum of n_k over modes with p_k < .5 / K, over N times their p; absent if there are none

  A histogram with nothing in it has no q: it scores as if all samples were in the rarest mode, the worst there is.
  """
  modes, p = len(probabilities), probabilities
  quality = good_counts.sum() / num_samples
  values: dict[str, float] = {}
  for name, least in _bars(p, num_samples, thresholds).items():
    captured = int((good_counts >= least).sum())
    values |= {f"modes_{name}": captured, f"all_modes_{name}": captured == modes, f"no_modes_{name}": captured == 0}
  counts, good = _or_worst(all_counts, p, num_samples), _or_worst(good_counts, p, num_samples)
  n = counts.sum()
  values |= {"high_quality": quality, "kl_reverse_hq_nats": _kl_reverse(good, p, good.sum()).sum(),
             "chi2_effect": np.sqrt(((counts / n - p) ** 2 / p).sum())}
  values |= {name: term(counts, p, n, modes).sum() for name, term in SUMS.items()}
  minority = p < 0.5 / modes
  if minority.any():
    values["minority_mass_ratio"] = good_counts[minority].sum() / (num_samples * p[minority].sum())
  return {name: float(value) for name, value in values.items()}


def radius_statistic(assignment: Assignment, dimension: int) -> float:
  """E[|x - mu|^2 / (d sigma^2)] over high-quality samples, d = directions with spread; 0 if there are none.

  In two dimensions the law itself gives .949, because the 3-sigma rule cuts the tails off. Towards 0 the modes have
  shrunk: collapse inside a mode, which mode counts do not see and the share of high quality rewards.
  """
  assert assignment.radius is not None
  radius = assignment.radius[assignment.high_quality]
  return float((radius**2).mean() / dimension) if len(radius) else 0.0


def perfect_mode_metrics(probabilities: np.ndarray, quality: float, num_samples: int, thresholds: Sequence[int] = (1,),
                         seed: int = 0) -> dict[str, float]:
  """Expected `mode_metrics` of N independent samples of the law, of which a share `quality` of each mode is good.

  Metrics that are sums over modes of a function of n_k are exact: n_k is Binomial(N, p_k), or Binomial(N, p_k
  quality) for good samples, so each term is a sum over one binomial. For kl_reverse_hq_nats the number of good
  samples is held at N quality (its fluctuation changes the expectation by a relative 1e-6). all_modes, no_modes and
  chi2_effect are means over 2,000 simulated histograms.
  """
  from scipy.stats import binom  # half a second of import that only perfect values pay

  p, n, modes = probabilities, num_samples, len(probabilities)
  rng = np.random.default_rng(seed)
  all_draws = rng.multinomial(n, p, size=DRAWS)
  good_draws = rng.binomial(all_draws, quality)
  simulated = [mode_metrics(a, g, p, n, thresholds) for a, g in zip(all_draws, good_draws, strict=True)]
  values = {name: float(np.mean([draw[name] for draw in simulated])) for name in simulated[0]}

  values["high_quality"] = quality
  if "minority_mass_ratio" in values:
    values["minority_mass_ratio"] = quality
  for name, least in _bars(p, n, thresholds).items():
    values[f"modes_{name}"] = float(binom.sf(least - 1, n, p * quality).sum())
  values |= {name: 0.0 for name in SUMS}
  good = round(n * quality)
  values["kl_reverse_hq_nats"] = 0.0 if good else values["kl_reverse_hq_nats"]
  for share, times in zip(*np.unique(p, return_counts=True), strict=True):
    support, mass = _binomial(n, share)
    for name, term in SUMS.items():
      values[name] += float(times * (mass @ term(support, share, n, modes)))
    if good:
      support, mass = _binomial(good, share)
      values["kl_reverse_hq_nats"] += float(times * (mass @ _kl_reverse(support, share, good)))
  return values


def _binomial(n: int, p: float) -> tuple[np.ndarray, np.ndarray]:
  """(support, probabilities) of Binomial(n, p), cut where less than 1e-20 is left."""
  from scipy.stats import binom

  reach = 12 * np.sqrt(n * p) + 30
  support = np.arange(max(0, int(n * p - reach)), min(n, int(n * p + reach)) + 1)
  return support, binom.pmf(support, n, p)


def _bars(p: np.ndarray, num_samples: int, thresholds: Sequence[int]) -> dict[str, np.ndarray]:
  """How many good samples [K] capture a mode, by the name of the rule."""
  for t in thresholds:
    if isinstance(t, bool) or int(t) != t or t < 1:
      raise ValueError(f"thresholds must be whole numbers of at least 1, got {t!r}")
  bars = {f"t{int(t)}": np.full(len(p), int(t)) for t in thresholds}
  return bars | {"tquarter": np.maximum(1, np.ceil(num_samples * p / 4 - 1e-9)).astype(int)}


def _or_worst(counts: np.ndarray, p: np.ndarray, num_samples: int) -> np.ndarray:
  return counts if counts.any() else num_samples * np.eye(len(p), dtype=int)[p.argmin()]


# The terms of sums over modes: count n_k, probability p_k, samples n, modes K. Arrays broadcast.
def _kl_reverse(count, p, n, modes=0):
  return xlogy(count / n, count / n / p)


def _kl_forward_add1(count, p, n, modes):
  return p * np.log(p * (n + modes) / (count + 1))


def _js(count, p, n, modes):
  q = count / n
  middle = (p + q) / 2
  return 0.5 * xlogy(q, q / middle) + 0.5 * xlogy(p, p / middle)


def _tvd(count, p, n, modes):
  return abs(count / n - p) / 2


SUMS = {"kl_reverse_nats": _kl_reverse, "kl_forward_add1_nats": _kl_forward_add1, "js_nats": _js, "tvd": _tvd}
