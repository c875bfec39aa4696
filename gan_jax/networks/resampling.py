"""Nearest-neighbour enlargement, mean pooling and pixel shuffle, as reshapes: the forms that XLA runs fastest. And bicubic enlargement."""

from math import prod

import jax
import jax.numpy as jnp
from jax import Array


def enlarge(x: Array, factor: int) -> Array:
  """Each pixel becomes `factor` by `factor` of them: `[B, h, w, C] -> [B, h factor, w factor, C]`."""
  batch, height, width, channels = x.shape
  x = jnp.broadcast_to(x[:, :, None, :, None], (batch, height, factor, width, factor, channels))
  return x.reshape(batch, height * factor, width * factor, channels)


def enlarged_to(x: Array, size: tuple[int, ...]) -> Array:
  """`enlarge` to that height and width. ValueError: they are no multiple of those of x."""
  factor = size[0] // x.shape[1]
  if factor < 1 or (x.shape[1] * factor, x.shape[2] * factor) != tuple(size):
    raise ValueError(f"maps of {x.shape[1]} x {x.shape[2]} cannot be enlarged to {size[0]} x {size[1]} by a whole number; use other strides or sizes")
  return x if factor == 1 else enlarge(x, factor)


def shuffle(x: Array, factor: int) -> Array:
  """Channels become pixels, `[B, h, w, factor^2 C] -> [B, h factor, w factor, C]`: what follows a sub-pixel convolution.

  Shi et al., 2016 (arXiv:1609.05158), eq. 4.
  """
  batch, height, width, channels = x.shape
  x = x.reshape(batch, height, width, factor, factor, channels // factor**2)
  return x.transpose(0, 1, 3, 2, 4, 5).reshape(batch, height * factor, width * factor, channels // factor**2)


def bicubic(x: Array, factor: int) -> Array:
  """Enlarged by Keys' cubic kernel (a = -1/2), as PIL does it: `[B, h, w, C] -> [B, h factor, w factor, C]`. Values can leave the range of x."""
  batch, height, width, channels = x.shape
  return jax.image.resize(x, (batch, height * factor, width * factor, channels), "cubic")


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
