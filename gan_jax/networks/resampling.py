"""Nearest-neighbour enlargement and mean pooling, as reshapes: the forms that XLA runs fastest."""

from math import prod

import jax.numpy as jnp
from jax import Array


def enlarge(x: Array, factor: int) -> Array:
  """Each pixel becomes `factor` by `factor` of them: `[B, h, w, C] -> [B, h factor, w factor, C]`."""
  batch, height, width, channels = x.shape
  x = jnp.broadcast_to(x[:, :, None, :, None], (batch, height, factor, width, factor, channels))
  return x.reshape(batch, height * factor, width * factor, channels)


def pool(x: Array, factor: int) -> Array:
  """The mean of each block of `factor` by `factor` pixels: `[B, H, W, C] -> [B, H / factor, W / factor, C]`.

  Raises:
    ValueError: the image does not divide into blocks.
  """
  batch, height, width, channels = x.shape
  if height % factor or width % factor:
    raise ValueError(f"maps of {height} x {width} cannot be pooled by {factor}; use other strides, or images of another size")
  return x.reshape(batch, height // factor, factor, width // factor, factor, channels).mean(axis=(2, 4))


def first_size(size: tuple[int, int], strides: tuple[int, ...], name: str) -> tuple[int, int]:
  """The size that grows by these factors to `size`.

  Raises:
    ValueError: there is none.
  """
  factor = prod(strides)
  if size[0] % factor or size[1] % factor:
    raise ValueError(f"{name} cannot enlarge {factor} times to {size[0]} x {size[1]} pixels; use fewer features, or other strides")
  return size[0] // factor, size[1] // factor
