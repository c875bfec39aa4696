"""The live collapse monitor: a few cheap numbers every few hundred rounds. It watches; it never stops a run."""

import numpy as np

from gan_jax.data.base import Assignment, Data, Modes, finite_rows
from gan_jax.metrics.images import diversity
from gan_jax.metrics.modes import histograms

NUM_PAIRED = 256  # samples whose pairwise distances are taken


def monitor(samples: np.ndarray, real: np.ndarray, data: Data,
            previous_modes: np.ndarray | None = None) -> tuple[dict[str, float], np.ndarray]:
  """(values, modes [n]); give the second to the next check as `previous_modes`.

  samples: [n, ...] made from the same latents at every check. real: [n, ...] of the data.

  modes          number of modes with at least one high-quality sample
  high_quality   share of samples of high quality
  diversity      median pairwise distance of samples over that of real ones; below .5 in several checks is collapse
  churn          total variation distance of this check's mode histogram to the last one's; absent at the first

  Without ground truth the modes are k-means bins of `real`. Fit them once, not at every check:
  data = data._replace(modes=kmeans_modes(real)).
  """
  modes = data.modes or kmeans_modes(real)
  found, finite = modes.assign(samples), finite_rows(samples)
  _, good = histograms(found, finite, len(modes.probabilities))
  values = {"modes": float((good > 0).sum()), "high_quality": float(good.sum() / len(samples)),
            "diversity": diversity(samples[:NUM_PAIRED], real[:NUM_PAIRED])}
  current = np.where(finite, found.mode, len(modes.probabilities))  # one more bin, for what is not finite
  if previous_modes is not None:
    now, before = (np.bincount(m, minlength=len(modes.probabilities) + 1) / len(m) for m in (current, previous_modes))
    values["churn"] = float(abs(now - before).sum() / 2)
  return values, current


def kmeans_modes(real: np.ndarray, num_bins: int = 50, seed: int = 0) -> Modes:
  """Modes for data without labels: k-means bins of real samples [n, ...].

  As in NDB, Richardson and Weiss, 2018 (arXiv:1805.12462). Probabilities are the shares of `real` in each bin. A
  sample is of high quality if it is as close to its bin's centre as 99 % of all real samples are to theirs.
  ValueError: fewer samples than bins.
  """
  from sklearn.cluster import KMeans

  flat = np.asarray(real, np.float64).reshape(len(real), -1)
  if len(flat) < num_bins:
    raise ValueError(f"{num_bins} bins need at least as many real samples, got {len(flat)}")
  fitted = KMeans(num_bins, n_init=1, random_state=seed).fit(flat)
  limit = np.quantile(fitted.transform(flat).min(axis=1), 0.99)

  def assign(samples: np.ndarray) -> Assignment:
    finite = finite_rows(samples)
    points = np.where(finite[:, None], np.asarray(samples, np.float64).reshape(len(samples), -1), 0.0)
    distance = fitted.transform(points)
    return Assignment(np.where(finite, distance.argmin(axis=1), 0), finite & (distance.min(axis=1) <= limit), None)

  probabilities = np.bincount(fitted.labels_, minlength=num_bins) / len(flat)
  return Modes(probabilities, assign, quality=0.99, centers=fitted.cluster_centers_)
