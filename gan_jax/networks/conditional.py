"""What networks do with a condition: labels become vectors, vectors scale and shift (generator) or are compared with the features (discriminator)."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from gan_jax.networks.dense import Dense


def vector(condition: Array, num_classes: int | None) -> Array:
  """A condition as `[B, K]`: int labels `[B]` one-hot, other arrays flattened.

  Raises:
    ValueError: labels, and no `num_classes`.
  """
  if not jnp.issubdtype(condition.dtype, jnp.integer):
    return condition.reshape(len(condition), -1)
  if num_classes is None:
    raise ValueError("the condition is a label; set num_classes of the generator and of the discriminator")
  return jax.nn.one_hot(condition, num_classes)


class Film(nn.Module):
  """Scales and shifts each channel by linear functions of the condition, x (1 + A c) + B c + b: `[B, ..., C], [B, K] -> [B, ..., C]`.

  Perez et al., 2018 (arXiv:1709.07871). Starts as the identity. After a BatchNorm without parameters of its own, and with one-hot conditions, it is
  conditional BatchNorm: Dumoulin et al., 2017 (arXiv:1610.07629).
  """

  dtype: Any = None

  @nn.compact
  def __call__(self, x: Array, condition: Array) -> Array:
    change = Dense(2 * x.shape[-1], kernel_init=nn.initializers.zeros, dtype=self.dtype)(condition)
    scale, shift = jnp.split(change.reshape(len(x), *[1] * (x.ndim - 2), -1), 2, axis=-1)
    return x * (1 + scale) + shift


class Projection(nn.Module):
  """A logit's conditional part, <h, V c>: `[B, ..., F], [B, K] -> [B, ..., 1]`. Miyato and Koyama, 2018 (arXiv:1802.05637), eq. 4.

  With one-hot conditions the rows of V are the classes' vectors. `dense` is the kind of layer that V is, so that a spectrally normalised
  discriminator has a spectrally normalised V.
  """

  dense: Callable[..., nn.Module] = Dense
  kernel_init: nn.initializers.Initializer = nn.initializers.lecun_normal()
  dtype: Any = None

  @nn.compact
  def __call__(self, h: Array, condition: Array) -> Array:
    direction = self.dense(h.shape[-1], use_bias=False, kernel_init=self.kernel_init, dtype=self.dtype)(condition)
    return jnp.sum(h * direction.reshape(len(h), *[1] * (h.ndim - 2), -1), axis=-1, keepdims=True)


__all__ = ["Film", "Projection", "vector"]
