"""Mixtures of Gaussians whose modes can be counted exactly: the ring, the grid, and VEEGAN's 1200-dimensional one.

A sample belongs to the nearest centre and is of high quality within 3 sigma of it (Euclidean). Samples of the law
itself reach only 1 - exp(-4.5) = .98889 of high quality in two dimensions; a generator that scores more has shrunk
its modes.
"""

import jax
import jax.numpy as jnp
import numpy as np
from scipy.spatial.distance import cdist, pdist
from scipy.special import gammainc, gammaincinv

from gan_jax.data.base import (
  Assignment,
  Data,
  Modes,
  count,
  finite_rows,
  measure,
  numeric,
  pick,
  positive,
  relative_weights,
)

CHUNK = 8192  # rows of distances held at once
VEEGAN_LEVELS = (-1.0, -0.5, 0.0, 0.5, -2.0, -2.5, 10.0, 0.25, -13.0, -5.5)


def mixture(centers, sigma, weights=None, num_points: int | None = None, seed: int = 0) -> Data:
  """sum_k w_k Normal(mu_k, sigma_k^2 I).

  centers: [K, D]. sigma: a number, or [K] one per mode (distances are then in units of each mode's own sigma).
  weights: [K] relative, e.g. [.05] * 4 + [1.] * 4; None is uniform.
  num_points: None draws fresh samples on the device; a number draws that many once, from `seed`, and training then
  picks from them
    uniformly. The law that metrics compare with is the mixture's in both cases.

  Modes closer than 10 sigma overlap: then the probabilities of "nearest centre", the high-quality rate and the radius
  statistic are measured on 16,384 fixed draws from each mode; otherwise they are exact.

  ValueError: settings that are not positive, finite and of matching shape, or two centres in one place.

  >>> data = mixture([[0., 0.], [4., 0.]], sigma=.1, weights=[1., 3.])
  >>> data.sample(jax.random.key(0), 5)["image"].shape
  (5, 2)
  >>> data.modes.probabilities
  array([0.25, 0.75])
  """
  centers = numeric("centers", centers)
  if centers.ndim != 2 or centers.size == 0:
    raise ValueError(f"centers must be an array [modes, dimensions], got shape {centers.shape}")
  return _mixture("mixture", centers, sigma, weights, num_points, seed)


def ring(num_modes: int = 8, radius: float = 1.0, sigma: float = 0.01, weights=None, num_points: int | None = None,
         seed: int = 0) -> Data:
  """Gaussians on a circle, centres radius * (cos, sin)(2 pi i / num_modes) for i = 1 ... num_modes.

  The notebook of Metz et al., 2017, places them by linspace over both ends of the circle, so its eight are seven;
  here eight are eight. Weights etc. as in `mixture`; the imbalanced ring of RLS-GAN is radius 2.5, sigma .05, weights
  [.05] * 4 + [1.] * 4.

  >>> round(ring(num_modes=8).modes.quality, 5)
  0.98889
  """
  angles = 2 * np.pi * np.arange(1, count("num_modes", num_modes) + 1) / num_modes
  centers = positive("radius", radius) * np.stack([np.cos(angles), np.sin(angles)], axis=1)
  return _mixture("ring", centers, sigma, weights, num_points, seed)


def grid(size: int = 5, spacing: float = 2.0, sigma: float = 0.05, weights=None, num_points: int | None = None,
         seed: int = 0) -> Data:
  """size x size Gaussians `spacing` apart, centred on the origin; {-4, -2, 0, 2, 4}^2 by default.

  Column after column, so the first 2 * size modes are the first two columns. Weights etc. as in `mixture`.

  >>> grid(size=2).modes.centers.tolist()
  [[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]]
  """
  ticks = positive("spacing", spacing) * (np.arange(count("size", size)) - (size - 1) / 2)
  centers = np.stack(np.meshgrid(ticks, ticks, indexing="ij"), axis=-1).reshape(-1, 2)
  return _mixture("grid", centers, sigma, weights, num_points, seed)


def high_dimensional(levels=VEEGAN_LEVELS, dimension: int = 1200, noise_dimension: int = 700,
                     max_radius: float | None = None, weights=None, num_points: int | None = None,
                     seed: int = 0) -> Data:
  """VEEGAN's synthetic mixture: mode k is levels[k] * (1, ..., 1) plus Normal(0, 1) in the first noise_dimension.

  Srivastava et al., 2017 (arXiv:1705.07761), with the settings of the copy in PacGAN's code. Its rule, high quality
  within 10 sigma, gives a perfect model 0 %, for a 700-dimensional unit Gaussian has norm 26.4; it rewards collapse
  inside modes. Here a sample is of high quality within `max_radius` of the nearest centre, by default the radius that
  holds 98.889 % of the law, as 3 sigma do in two dimensions. `max_radius=10.` is the published rule, and its
  perfect-sampler row says what it is worth. Read the nearest-mode histogram (KL of all samples) and the radius
  statistic, which is here the trace of a mode's covariance over noise_dimension (1 is right).

  >>> round(high_dimensional().modes.quality, 4), high_dimensional(max_radius=10.).modes.quality < 1e-99
  (0.9889, True)
  """
  levels = numeric("levels", levels)
  if levels.ndim != 1 or levels.size == 0:
    raise ValueError(f"levels must be a list with one number for each mode, got shape {levels.shape}")
  if count("noise_dimension", noise_dimension) > count("dimension", dimension):
    raise ValueError(f"noise_dimension must be at most dimension, {dimension}, got {noise_dimension}")
  if max_radius is None:
    max_radius = float(np.sqrt(2 * gammaincinv(noise_dimension / 2, 1 - np.exp(-4.5))))
  centers = levels[:, None] * np.ones(dimension)
  spread = (np.arange(dimension) < noise_dimension).astype(np.float64)
  return _mixture("high_dimensional", centers, 1.0, weights, num_points, seed, spread=spread,
                  max_radius=positive("max_radius", max_radius))


def _mixture(name, centers, sigma, weights, num_points, seed, *, spread=None, max_radius=3.0) -> Data:
  """`spread` [D] scales the noise by direction: 1 everywhere, or 0 where a mode is flat."""
  num_modes, width = centers.shape
  spread = np.ones(width) if spread is None else spread
  sigmas = _sigmas(sigma, num_modes)
  probabilities = relative_weights(weights, num_modes)
  count("seed", seed, minimum=0)
  modes = _modes(centers, sigmas, probabilities, spread, max_radius)

  if num_points is not None:
    rng = np.random.default_rng(seed)
    mode = rng.choice(num_modes, size=count("num_points", num_points), p=probabilities)
    noise = rng.standard_normal((num_points, width)) * spread
    return Data(name, (width,), pick, modes, table=jnp.asarray(centers[mode] + sigmas[mode, None] * noise, jnp.float32))

  cumulative = np.cumsum(probabilities)[:-1].astype(np.float32)
  places, scales = centers.astype(np.float32), (sigmas[:, None] * spread).astype(np.float32)

  def draw(table: tuple, key: jax.Array, n: int) -> dict[str, jax.Array]:
    mode_key, noise_key = jax.random.split(key)
    mode = (jax.random.uniform(mode_key, (n, 1)) >= jnp.asarray(cumulative)).sum(axis=1)
    noise = jax.random.normal(noise_key, (n, width))
    return {"image": jnp.asarray(places)[mode] + jnp.asarray(scales)[mode] * noise}

  return Data(name, (width,), draw, modes)


def _modes(centers, sigmas, probabilities, spread, max_radius) -> Modes:
  num_modes, dimension = len(centers), int(spread.sum())

  def assign(samples: np.ndarray) -> Assignment:
    samples = np.asarray(samples, np.float64).reshape(len(samples), -1)
    finite = finite_rows(samples)
    samples = np.where(finite[:, None], samples, 0.0)
    mode, radius = np.zeros(len(samples), int), np.full(len(samples), np.inf)
    for start in range(0, len(samples), CHUNK):
      distance = cdist(samples[start : start + CHUNK], centers) / sigmas
      mode[start : start + CHUNK] = distance.argmin(axis=1)
      radius[start : start + CHUNK] = distance.min(axis=1)
    radius = np.where(finite, radius, np.inf)
    return Assignment(np.where(finite, mode, 0), radius <= max_radius, radius)

  apart = _sigmas_apart(centers, sigmas, spread)
  if apart >= 5:
    # |x - mu|^2 / sigma^2 is chi-squared: P(< c^2) = F_d(c^2), and E[. ; < c^2] = d F_{d+2}(c^2)
    quality = float(gammainc(dimension / 2, max_radius**2 / 2))
    inside = float(gammainc(dimension / 2 + 1, max_radius**2 / 2))
    return Modes(probabilities, assign, quality, centers, dimension, inside / quality if quality > 0 else None)
  draws = np.random.default_rng(0).standard_normal((num_modes, 16384, centers.shape[1])) * spread
  points = (centers[:, None] + sigmas[:, None, None] * draws).reshape(-1, centers.shape[1])
  weights = np.repeat(probabilities / 16384, 16384)
  law, quality, statistic = measure(points, weights, assign, num_modes, dimension)
  return Modes(law, assign, quality, centers, dimension, statistic)


def _sigmas(sigma, num_modes: int) -> np.ndarray:
  array = numeric("sigma", sigma)
  if array.shape not in ((), (num_modes,)):
    raise ValueError(f"sigma must be one number, or one for each of the {num_modes} modes, got shape {array.shape}")
  if (array <= 0).any():
    raise ValueError(f"sigma must be positive, got {array.min():g}")
  return np.broadcast_to(array, (num_modes,)).copy()


def _sigmas_apart(centers: np.ndarray, sigmas: np.ndarray, spread: np.ndarray) -> float:
  """min over pairs of |mu_i - mu_j| / (s_i + s_j), s = spread towards the other; from 5 on few samples (3e-7) stray."""
  if len(centers) == 1:
    return np.inf
  distance = pdist(centers)
  first, second = np.triu_indices(len(centers), 1)
  nearest = distance.argmin()
  if distance[nearest] < 1e-6 * sigmas.min():
    raise ValueError(f"centers {first[nearest]} and {second[nearest]} are the same place: "
                     f"{len(centers)} modes would be {len(centers) - 1}")
  towards = np.maximum(pdist(centers * spread) / distance, 1e-12)
  return float((distance / towards / (sigmas[first] + sigmas[second])).min())
