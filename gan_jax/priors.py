"""Priors: where latents come from."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import Array

from gan_jax.play import Prior, straight


def normal(size: int, scale: float = 1.0) -> Prior:
  """z ~ N(0, scale^2 I), `[n, size]`."""
  return Prior(lambda key, n: scale * jax.random.normal(key, (n, size)), arc, lambda z: -jnp.square(z / scale).sum(axis=1) / 2)


def uniform(size: int, low: float = -1.0, high: float = 1.0) -> Prior:
  """z ~ U[low, high]^size, `[n, size]`."""
  return Prior(lambda key, n: jax.random.uniform(key, (n, size), minval=low, maxval=high))


def indexed(prior: Prior, num_components: int) -> Prior:
  """`(z, component)`: row i belongs to component i mod num_components, so every batch holds each equally often (up to one)."""
  return Prior(
    lambda key, n: (prior.sample(key, n), jnp.arange(n) % num_components),
    lambda start, end, t: (prior.between(start[0], end[0], t), start[1]),
  )


def coded(of: Prior, categories: Sequence[int] = (10,), continuous: int = 0) -> Prior:
  """InfoGAN's latents, `[n, Z + sum(categories) + continuous]`: those of `of`, a uniform one-hot code for each of `categories`, and `continuous`
  numbers ~ U[-1, 1].

  Chen et al., 2016 (arXiv:1606.03657), section 7. G takes them as one vector; `diversity.information` reads the code from its end.
  """

  def sample(key: Array, n: int) -> Array:
    plain, drawn, numbers = jax.random.split(key, 3)
    codes = [
      jax.nn.one_hot(jax.random.randint(k, (n,), 0, size), size) for k, size in zip(jax.random.split(drawn, len(categories)), categories, strict=True)
    ]
    uniform = jax.random.uniform(numbers, (n, continuous), minval=-1.0)
    return jnp.concatenate([of.sample(plain, n), *codes, uniform], axis=1)

  def between(start: Array, end: Array, t: Array) -> Array:
    width = sum(categories) + continuous
    return jnp.concatenate([of.between(start[:, :-width], end[:, :-width], t), straight(start[:, -width:], end[:, -width:], t)], axis=1)

  return Prior(sample, between)


def arc(start: Array, end: Array, t: Array) -> Array:
  """The great circle from `start` to `end`, `[n, Z]` each, at t in [0, 1]: sin((1-t) w) / sin w * start + sin(t w) / sin w * end, w their angle.

  White, 2016 (arXiv:1609.04468). Normal latents of many dimensions lie near a sphere, and the straight line leaves it.
  """
  norms = jnp.linalg.norm(start, axis=-1, keepdims=True) * jnp.linalg.norm(end, axis=-1, keepdims=True)
  cosine = jnp.clip((start * end).sum(axis=-1, keepdims=True) / norms, -1, 1)
  angle = jnp.arccos(cosine)
  flat = jnp.sin(angle) < 1e-4  # alike or opposite: no one great circle
  safe = jnp.where(flat, 1.0, angle)
  round_way = (jnp.sin((1 - t) * safe) * start + jnp.sin(t * safe) * end) / jnp.sin(safe)
  return jnp.where(flat, straight(start, end, t), round_way)


__all__ = ["coded", "indexed", "normal", "uniform"]
