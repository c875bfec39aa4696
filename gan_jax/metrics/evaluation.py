"""Score a generator's samples, and say what a perfect sampler would score in the very same evaluation."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from gan_jax.data.base import Data, finite_rows
from gan_jax.metrics.base import Context, Identity, Metric, context_of
from gan_jax.metrics.distances import distance_metrics
from gan_jax.metrics.images import image_metrics
from gan_jax.metrics.modes import histograms, mode_metrics, perfect_mode_metrics, radius_statistic

NUM_REAL = 1000  # real samples that distances compare with
REPLICATES = 3  # fresh real samples behind the perfect value of a named metric, which may be slow


def evaluate(samples: np.ndarray, data: Data, *, thresholds: Sequence[int] = (1,), distances: bool = True, seed: int = 0,
             metrics: Mapping[str, Metric] | None = None, conditions: np.ndarray | None = None, generate: Callable[[Any], jax.Array] | None = None,
             latent: Callable[[jax.Array, int], Any] | None = None, sown: Callable[[str, Any], Any] | None = None,
             answer: Callable[[np.ndarray, int], np.ndarray] | None = None) -> tuple[dict[str, float], np.ndarray]:
  """(values, counts): every metric that this data set allows, and the number of high-quality samples of each mode, [K].

  samples: [N, *data.shape], independent. The values are
    finite                        share of samples that hold only finite numbers
    modes_t1 ... tvd ...          `metrics.modes.mode_metrics`, some of them for each of `thresholds`
    radius_statistic              `metrics.modes.radius_statistic`, where modes have a radius
    w1_n1000, sw2_n1000           `metrics.distances.distance_metrics`, for points
    pixel_diversity               `metrics.images.image_metrics`, for images
    and the values of `metrics`, by key, each a `metrics.base.Metric`, such as {"vendi": vendi(pixels())}
  w1, sw2 and pixel_diversity compare with one real sample of 1,000, drawn from `seed` and so the same for every arm;
  distances=False leaves them out. Without ground truth about modes the second and third are absent and counts is
  empty. What `metrics` need of the data is computed once and kept for the next samples.

  conditions: [N], the classes that the samples were asked for. generate, latent, sown, answer: see `metrics.base.Context`.
  ValueError: samples of another shape, or none; too few for one of `metrics`, or data that it cannot score.
  """
  samples = np.asarray(samples)
  if samples.shape[1:] != tuple(data.shape) or not len(samples):
    wanted = ", ".join(map(str, data.shape))
    raise ValueError(f"samples must be [N, {wanted}] with N at least 1, got shape {samples.shape}")
  if conditions is not None and len(conditions) != len(samples):
    raise ValueError(f"one condition for each sample: got {len(conditions)} for {len(samples)}")
  finite = finite_rows(samples)
  values, counts = {"finite": float(finite.mean())}, np.zeros(0, int)
  kept = _kept(_Same(data), seed)._replace(conditions=conditions, generate=generate, latent=latent, sown=sown, answer=answer, seen={})
  if data.modes is not None:
    found = data.modes.assign(samples)
    kept.seen["assignment"] = found
    everything, counts = histograms(found, finite, len(data.modes.probabilities))
    values |= mode_metrics(everything, counts, data.modes.probabilities, len(samples), thresholds)
    if found.radius is not None:
      values["radius_statistic"] = radius_statistic(found, data.modes.dimension)
  if distances:
    values |= _compare(samples, _real(data, seed), data)
  for name, metric in (metrics or {}).items():
    values |= _scored(name, metric, samples, kept)
  return values, counts


def perfect(data: Data, num_samples: int, *, thresholds: Sequence[int] = (1,), distances: bool = True, replicates: int = 20, seed: int = 0,
            metrics: Mapping[str, Metric] | None = None) -> dict[str, float]:
  """For the names of `evaluate`, the mean score of `num_samples` independent samples of the law in that evaluation.

  Mode metrics: `metrics.modes.perfect_mode_metrics`. Distances and diversity: the mean over `replicates` fresh real
  samples, each compared with the real sample that `evaluate` uses; so it is the real-vs-real floor, and it is not
  zero. `metrics`: the same over 3 of them, or what the metric itself says a perfect sampler scores.
  ValueError: as `evaluate`.
  """
  if num_samples < 1:
    raise ValueError(f"num_samples must be at least 1, got {num_samples}")
  values = {"finite": 1.0}
  if data.modes is not None:
    values |= perfect_mode_metrics(data.modes.probabilities, data.modes.quality, num_samples, thresholds, seed)
    if data.modes.radius_statistic is not None:
      values["radius_statistic"] = data.modes.radius_statistic
  if distances:
    size, real = min(NUM_REAL, num_samples), _real(data, seed)
    fresh = np.asarray(data.sample(jax.random.key(seed + 1), replicates * size)["image"])
    scores = [_compare(samples, real, data) for samples in np.split(fresh, replicates)]
    values |= {name: float(np.mean([score[name] for score in scores])) for name in scores[0]}
  return values | _perfect_named(data, num_samples, metrics or {}, min(replicates, REPLICATES), seed)


def identities(metrics: Mapping[str, Metric], data: Data, num_samples: int, *, names: Sequence[str] = (), seed: int = 0) -> dict[str, Identity]:
  """What every value hangs on beside its name, {name: identity}: values with unlike identities must not be compared.

  names: further values, of `evaluate` itself. Computes no metric, so it is the check to make before training.
  ValueError: a metric that needs more than `num_samples`, cannot score this data, or makes a name that another one makes.
  """
  own = {"n_fake": num_samples, "real": data.name, "real_source": None if data.rows is None else data.rows.source.identity,
         "split": "training law", "seed": seed}  # fmt: skip
  found: dict[str, Identity] = {name: own for name in names}
  makers: dict[str, str] = {}
  for key, metric in metrics.items():
    if metric.num_samples is not None and metric.num_samples > num_samples:
      raise ValueError(f"{key} needs {metric.num_samples} samples, the evaluation has {num_samples}; set evaluation.num_samples or n")
    for name, record in metric.identity(data).items():
      if name in makers:
        raise ValueError(f"{makers[name]} and {key} both make {name}; keep one of them")
      makers[name] = key
      found[name] = {**record, "n_fake": record.get("n_fake") or num_samples, "real_seed": seed}
  return found


def _perfect_named(data: Data, num_samples: int, metrics: Mapping[str, Metric], replicates: int, seed: int) -> dict[str, float]:
  kept, values = _kept(_Same(data), seed), {}
  values = {name: value for metric in metrics.values() if metric.perfect for name, value in metric.perfect(kept).items()}
  scored = {name: metric for name, metric in metrics.items() if not metric.perfect}
  scores: dict[str, list[float]] = {}
  for replicate in range(replicates if scored else 0):
    batch = data.sample(jax.random.fold_in(jax.random.key(seed + 1), replicate), num_samples)
    conditions = batch.get("condition") if data.num_classes is not None else None
    fresh = kept._replace(conditions=None if conditions is None else np.asarray(conditions), seen={})
    for name, metric in scored.items():
      for value_name, value in _scored(name, metric, np.asarray(batch["image"]), fresh).items():
        scores.setdefault(value_name, []).append(value)
  return values | {name: float(np.mean(several)) for name, several in scores.items()}


def _scored(name: str, metric: Metric, samples: np.ndarray, context: Context) -> dict[str, float]:
  try:
    return metric.score(samples, context)
  except ValueError as error:
    raise ValueError(str(error) if str(error).startswith(name) else f"{name}: {error}") from error
  except (ArithmeticError, LookupError, TypeError, AttributeError) as error:  # of a metric of the user's own
    raise ValueError(f"{name}: {type(error).__name__}: {error}") from error


class _Same:
  """A data set as a key: equal to itself alone."""

  def __init__(self, data: Data):
    self.data = data

  def __eq__(self, other: object) -> bool:
    return isinstance(other, _Same) and all(mine is theirs for mine, theirs in zip(self.data, other.data, strict=True))

  def __hash__(self) -> int:
    return id(self.data.draw)


@functools.lru_cache(maxsize=2)
def _kept(key: _Same, seed: int) -> Context:
  """The context of a data set, with what was computed of it: all seeds of all arms are compared with the same real features."""
  return context_of(key.data, seed)


def _real(data: Data, seed: int) -> np.ndarray:
  return np.asarray(data.sample(jax.random.key(seed), NUM_REAL)["image"])


def _compare(samples: np.ndarray, real: np.ndarray, data: Data) -> dict[str, float]:
  return distance_metrics(samples, real) if len(data.shape) == 1 else image_metrics(samples, real)
