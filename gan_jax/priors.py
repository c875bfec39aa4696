"""Priors: where latents come from."""

import jax
import jax.numpy as jnp

from gan_jax.play import Prior


def normal(size: int, scale: float = 1.0) -> Prior:
  """z ~ N(0, scale^2 I), `[n, size]`."""
  return Prior(lambda key, n: scale * jax.random.normal(key, (n, size)))


def uniform(size: int, low: float = -1.0, high: float = 1.0) -> Prior:
  """z ~ U[low, high]^size, `[n, size]`."""
  return Prior(lambda key, n: jax.random.uniform(key, (n, size), minval=low, maxval=high))


def indexed(prior: Prior, num_components: int) -> Prior:
  """`(z, component)`: row i belongs to component i mod num_components, so every batch holds each equally often (up to one)."""
  return Prior(lambda key, n: (prior.sample(key, n), jnp.arange(n) % num_components))


__all__ = ["indexed", "normal", "uniform"]
