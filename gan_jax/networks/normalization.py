"""Normalisation over a batch, with statistics at evaluation that have a name, and over the pixels of each example."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import Array, lax

from gan_jax.networks.conditional import Film

STATISTICS = ("population", "batch")


class BatchNorm(nn.Module):
  """Brings each channel to mean 0 and variance 1, then scales and shifts it, by parameters or by the condition `[B, K]`: `[B, ..., C] -> same`.

  Ioffe and Szegedy, 2015 (arXiv:1502.03167). Training always normalises by the statistics of the batch, over all devices of `axis_name`, and
  moves the population's by `momentum`. At evaluation `statistics` says which are used: those of the "population", or of the "batch" at hand, where
  an example depends on the others made with it. Parameters, state and values as `flax.linen.BatchNorm`'s; statistics in float32.

  Raises:
    ValueError: an unknown kind of statistics.
  """

  momentum: float = 0.9
  statistics: str = "population"
  epsilon: float = 1e-5
  axis_name: str | None = None
  dtype: Any = None

  @nn.compact
  def __call__(self, x: Array, condition: Array | None = None, *, train: bool) -> Array:
    if self.statistics not in STATISTICS:
      raise ValueError(f"statistics {self.statistics!r}: BatchNorm at evaluation uses those of the {' or of the '.join(map(repr, STATISTICS))}")
    width = x.shape[-1]
    population = (
      self.variable("batch_stats", "mean", jnp.zeros, (width,), jnp.float32),
      self.variable("batch_stats", "var", jnp.ones, (width,), jnp.float32),
    )
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    if train or self.statistics == "batch":
      mean, variance = _moments(wide, self.axis_name if train else None)
    else:
      mean, variance = (variable.value for variable in population)
    if train and not self.is_initializing():
      for variable, new in zip(population, (mean, variance), strict=True):
        variable.value = self.momentum * variable.value + (1 - self.momentum) * new
    slope = lax.rsqrt(variance + self.epsilon)
    if condition is None:
      slope *= self.param("scale", nn.initializers.ones, (width,))
    y = (wide - mean) * slope
    if condition is None:
      y += self.param("bias", nn.initializers.zeros, (width,))
    y = y.astype(self.dtype or x.dtype)
    return y if condition is None else Film(self.dtype)(y, condition)


class InstanceNorm(nn.Module):
  """Brings each channel of each example to mean 0 and variance 1 over its pixels, then scales and shifts it: `[B, H, W, C] -> same`.

  Ulyanov et al., 2016 (arXiv:1607.08022). By parameters, or by the condition `[B, K]`, as `BatchNorm`; but no example sees another one, in training
  or at evaluation: what translation wants. A map of one pixel has no spread to divide by: it is scaled and shifted alone.
  """

  epsilon: float = 1e-5
  dtype: Any = None

  @nn.compact
  def __call__(self, x: Array, condition: Array | None = None) -> Array:
    y = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    if x.shape[1] * x.shape[2] > 1:
      mean = y.mean(axis=(1, 2), keepdims=True)
      y = (y - mean) * lax.rsqrt(jnp.square(y - mean).mean(axis=(1, 2), keepdims=True) + self.epsilon)
    if condition is None:
      y = y * self.param("scale", nn.initializers.ones, (x.shape[-1],)) + self.param("bias", nn.initializers.zeros, (x.shape[-1],))
    y = y.astype(self.dtype or x.dtype)
    return y if condition is None else Film(self.dtype)(y, condition)


class Norm(nn.Module):
  """What stands behind the convolutions of a translating network: "instance" normalisation, or None. A condition scales and shifts in both.

  Raises:
    ValueError: another kind.
  """

  kind: str | None
  dtype: Any = None

  @nn.compact
  def __call__(self, x: Array, condition: Array | None = None) -> Array:
    if self.kind not in (None, "instance"):
      raise ValueError(f'norm {self.kind!r}: it is "instance" or None')
    if self.kind == "instance":
      return InstanceNorm(dtype=self.dtype)(x, condition)
    return x if condition is None else Film(self.dtype)(x, condition)


def _moments(x: Array, axis_name: str | None) -> tuple[Array, Array]:
  axes = tuple(range(x.ndim - 1))
  first, second = x.mean(axes), jnp.square(x).mean(axes)
  if axis_name is not None:
    first, second = lax.pmean((first, second), axis_name)
  return first, jnp.maximum(second - jnp.square(first), 0)


__all__ = ["BatchNorm", "InstanceNorm", "Norm"]
