"""The live collapse monitor: a few cheap numbers every few hundred rounds. It watches; it never stops a run."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from gan_jax.data.base import Assignment, Data, Modes, finite_rows
from gan_jax.metrics.images import diversity
from gan_jax.metrics.modes import histograms

NUM_PAIRED = 256  # samples whose pairwise distances are taken
NUM_BINS = 50  # of data without modes
LATE: dict[str, tuple[str, Callable[..., Any]]] = {  # name -> (column of metrics.jsonl, what is made of its second half)
  "late_churn": ("churn", np.mean), "late_tvd": ("tvd", np.mean), "late_gradient": ("generator/gradient_norm", np.median),
  "late_swing": ("generator/loss", np.std), "late_quality": ("high_quality", np.mean), "late_quality_swing": ("high_quality", np.std),
}  # fmt: skip


def monitor(samples: np.ndarray, real: np.ndarray, data: Data,
            previous_modes: np.ndarray | None = None) -> tuple[dict[str, float], np.ndarray]:
  """(values, modes [n]); give the second to the next check as `previous_modes`.

  samples: [n, ...] made from the same latents at every check. real: [n, ...] of the data.

  modes          number of modes with at least one high-quality sample
  high_quality   share of samples of high quality
  diversity      median pairwise distance of samples over that of real ones; below .5 in several checks is collapse
  tvd            total variation distance of the histogram of all samples to the law; 1 where nothing is finite
  churn          the same of this check's histogram to the last one's: 0 where samples stay; absent at the first. High churn while tvd stays high is
                 rotation through a few modes; low churn and high tvd is collapse that stands still

  Without ground truth the modes are k-means bins of `real`. Fit them once, not at every check:
  data = data._replace(modes=kmeans_modes(real)).
  """
  modes = data.modes or kmeans_modes(real)
  found, finite = modes.assign(samples), finite_rows(samples)
  _, good = histograms(found, finite, len(modes.probabilities))
  values = {"modes": float((good > 0).sum()), "high_quality": float(good.sum() / len(samples)),
            "diversity": diversity(samples[:NUM_PAIRED], real[:NUM_PAIRED])}
  current = np.where(finite, found.mode, len(modes.probabilities))  # one more bin, for what is not finite
  now = _shares(current, len(modes.probabilities))
  values["tvd"] = float(abs(now - np.append(modes.probabilities, 0)).sum() / 2)
  if previous_modes is not None:
    values["churn"] = float(abs(now - _shares(previous_modes, len(modes.probabilities))).sum() / 2)
  return values, current


def second_half(log: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
  """How the second half of a run went: columns of its log, each (rounds [n], values [n]), those after half of the last round.

  late_churn      mean churn. With a high late_tvd: the generator rotates through a few modes
  late_tvd        mean distance of the histogram of modes to the law
  late_gradient   median norm of the gradient of G's loss; near 0 while late_tvd is high: it has vanished
  late_swing      standard deviation of G's loss over the checks: does it settle? Losses of unlike objectives do not compare
  late_quality, late_quality_swing    mean and standard deviation over the checks of the share of samples of high quality

  What has no column, or too few checks, is absent. A value that is not finite makes a NaN.
  """
  values = {}
  for name, (column, summary) in LATE.items():
    if column in log:
      steps, entries = (np.asarray(part, np.float64) for part in log[column])
      late = entries[steps > steps.max() / 2]
      if len(late) < (2 if summary is np.std else 1):
        continue
      values[name] = float(summary(late)) if np.isfinite(late).all() else float("nan")
  return values


def kmeans_modes(real: np.ndarray, num_bins: int = NUM_BINS, seed: int = 0) -> Modes:
  """Modes for data without labels: k-means bins of real samples [n, ...].

  As in NDB, Richardson and Weiss, 2018 (arXiv:1805.12462). Probabilities are the shares of `real` in each bin. A
  sample is of high quality if it is as close to its bin's centre as 99 % of all real samples are to theirs. Of fewer different samples than bins,
  each is a bin.
  ValueError: fewer samples than bins.
  """
  from sklearn.cluster import KMeans

  flat = np.asarray(real, np.float64).reshape(len(real), -1)
  if len(flat) < num_bins:
    raise ValueError(f"{num_bins} bins need at least as many real samples, got {len(flat)}")
  num_bins = min(num_bins, len(np.unique(flat, axis=0)))
  fitted = KMeans(num_bins, n_init=1, random_state=seed).fit(flat)
  limit = np.quantile(fitted.transform(flat).min(axis=1), 0.99)

  def assign(samples: np.ndarray) -> Assignment:
    finite = finite_rows(samples)
    points = np.where(finite[:, None], np.asarray(samples, np.float64).reshape(len(samples), -1), 0.0)
    distance = fitted.transform(points)
    return Assignment(np.where(finite, distance.argmin(axis=1), 0), finite & (distance.min(axis=1) <= limit), None)

  probabilities = np.bincount(fitted.labels_, minlength=num_bins) / len(flat)
  return Modes(probabilities, assign, quality=0.99, centers=fitted.cluster_centers_)


def _shares(modes: np.ndarray, num_modes: int) -> np.ndarray:
  return np.bincount(modes, minlength=num_modes + 1) / len(modes)
