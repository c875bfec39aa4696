"""Self-attention over the pixels of a feature map."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from gan_jax.networks.convolution import Conv


class SelfAttention(nn.Module):
  """x + gamma o, where o gathers from all pixels what resembles each: `[B, H, W, C] -> [B, H, W, C]`.

  Zhang et al., 2019 (arXiv:1805.08318), eq. 1-3: queries, keys and values of C / 8 channels, softmax of their products (unscaled) over pixels,
  1x1 convolutions; gamma is trained and starts at 0, so the layer starts as the identity. Cost and memory grow as (H W)^2. `conv` is the kind of
  convolution: "SpectralConv" in their networks.
  """

  conv: Callable[..., nn.Module] = Conv
  kernel_init: nn.initializers.Initializer = nn.initializers.lecun_normal()
  dtype: Any = None

  @nn.compact
  def __call__(self, x: Array) -> Array:
    batch, height, width, channels = x.shape
    inner = max(channels // 8, 1)
    project = lambda: self.conv(inner, 1, kernel_init=self.kernel_init, dtype=self.dtype)(x).reshape(batch, height * width, inner)
    query, key, value = project(), project(), project()
    weights = jax.nn.softmax(jnp.einsum("bqc,bkc->bqk", query, key), axis=-1)
    found = jnp.einsum("bqk,bkc->bqc", weights, value).reshape(batch, height, width, inner)
    found = self.conv(channels, 1, kernel_init=self.kernel_init, dtype=self.dtype)(found)
    return x + self.param("gamma", nn.initializers.zeros, ()).astype(x.dtype) * found


__all__ = ["SelfAttention"]
