"""What a data set is: a sampler on the device and, where it is known, the truth about its modes on the host.

`sample` is pure JAX, so data can be drawn inside a jitted, vmapped, scanned training loop. `modes` is numpy: it
scores samples after training. A mode is a place where the data has mass; `Modes.assign` says which one a sample
belongs to, and whether it is good enough to count as "high quality".
"""

import math
import numbers
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class Assignment(NamedTuple):
  """Where N samples landed. A sample with a NaN or an infinity in it gets mode 0, high_quality False, radius inf."""

  mode: np.ndarray  # [N] int, the nearest mode or the predicted class
  high_quality: np.ndarray  # [N] bool
  radius: np.ndarray | None  # [N] distance to the mode in units of its sigma; None for images


class Modes(NamedTuple):
  """The truth about K modes. `quality` and `radius_statistic` are what samples of the law itself score."""

  probabilities: np.ndarray  # [K], sums to 1: the law the data is drawn from
  assign: Callable[[np.ndarray], Assignment]  # samples [N, *shape] -> Assignment
  quality: float  # P(a sample of the law is high quality)
  centers: np.ndarray | None = None  # [K, D], for plots
  dimension: int = 2  # directions in which a mode has spread
  radius_statistic: float | None = None  # E[radius^2 / dimension | high quality] under the law; None without radii


class Data(NamedTuple):
  """A data set. `sample(key, n)` gives {"image": [n, *shape] float32} and holds nothing that changes."""

  name: str
  shape: tuple[int, ...]  # of one example: (2,) for points, (8, 8, 3) for images
  sample: Callable[[jax.Array, int], dict[str, jax.Array]]
  modes: Modes | None
  value_range: tuple[float, float] | None = None  # (-1., 1.) for images, None for points


def fixed(points: np.ndarray) -> Callable[[jax.Array, int], dict[str, jax.Array]]:
  """A sampler that draws uniformly, with replacement, from a finite training set [num_points, *shape]."""
  points = np.asarray(points, np.float32)

  def sample(key: jax.Array, n: int) -> dict[str, jax.Array]:
    index = jax.random.randint(key, (n,), 0, len(points))
    return {"image": jnp.asarray(points)[index]}

  return sample


def measure(points: np.ndarray, weights: np.ndarray, assign: Callable[[np.ndarray], Assignment], num_modes: int,
            dimension: int) -> tuple[np.ndarray, float, float]:
  """(probabilities [K], quality, radius_statistic) of a law given as points [M, D] with weights [M] that sum to 1."""
  found = assign(points)
  assert found.radius is not None
  probabilities = np.bincount(found.mode, weights, num_modes)
  if (probabilities <= 0).any():
    raise ValueError(f"mode {probabilities.argmin()} has no mass of its own: no sample is nearest to it")
  good = weights * found.high_quality
  return probabilities / probabilities.sum(), float(good.sum()), float(good @ found.radius**2 / good.sum() / dimension)


def finite_rows(samples: np.ndarray) -> np.ndarray:
  """[N] bool: which samples [N, ...] hold only finite numbers."""
  return np.isfinite(samples).reshape(len(samples), -1).all(axis=1)


def positive(name: str, value: float) -> float:
  """`value` as a float, or a ValueError that names the setting."""
  if isinstance(value, bool) or not isinstance(value, numbers.Real) or not math.isfinite(value) or value <= 0:
    raise ValueError(f"{name} must be a positive number, got {value!r}")
  return float(value)


def count(name: str, value: int, minimum: int = 1) -> int:
  """`value` as an int of at least `minimum`, or a ValueError that names the setting."""
  if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < minimum:
    raise ValueError(f"{name} must be a whole number of at least {minimum}, got {value!r}")
  return int(value)


def relative_weights(weights: object, num_modes: int) -> np.ndarray:
  """[K] probabilities from relative weights; None is the uniform law."""
  if weights is None:
    return np.full(num_modes, 1 / num_modes)
  array = numeric("weights", weights)
  if array.shape != (num_modes,):
    raise ValueError(f"weights must be one number for each of the {num_modes} modes, got shape {array.shape}")
  if (array <= 0).any():
    raise ValueError(f"weights must be positive, got {array.min():g}; leave a mode out rather than give it no weight")
  return array / array.sum()


def numeric(name: str, values: object) -> np.ndarray:
  """`values` as a float64 array of finite numbers, or a ValueError that names the setting."""
  try:
    array = np.asarray(values, np.float64)
  except (TypeError, ValueError):
    raise ValueError(f"{name} must be numbers, got {values!r}") from None
  if not np.isfinite(array).all():
    raise ValueError(f"{name} must be finite, got NaN or infinity")
  return array
