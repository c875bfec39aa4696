"""A generator that enlarges images: residual blocks at the small size, sub-pixel convolutions, and what bicubic enlargement gives beside them."""

from collections.abc import Callable
from math import log2
from typing import Any, Literal

import flax.linen as nn
from jax import Array

from gan_jax.networks import resampling, settings
from gan_jax.networks.convolution import Conv
from gan_jax.networks.normalization import Norm


class Generator(nn.Module):
  """See `superresolution_generator`."""

  factor: int
  features: int
  blocks: int
  upsampling: str
  activation: Callable[[Array], Array]
  kernel_init: nn.initializers.Initializer
  dtype: str | None

  @nn.compact
  def __call__(self, z: Array, condition: Array, *, train: bool) -> Array:
    del train
    small = settings.image_condition(condition, "superresolution_generator")
    told = settings.latent(z)
    settled: dict[str, Any] = {"kernel_init": self.kernel_init, "dtype": self.dtype}
    first = x = Conv(self.features, 3, **settled)(small)
    for _ in range(self.blocks):
      h = Conv(self.features, 3, **settled)(self.activation(Norm(None, self.dtype)(x, told)))
      x = x + Conv(self.features, 3, **settled)(self.activation(h))
    x = Conv(self.features, 3, **settled)(x) + first
    for _ in range(round(log2(self.factor))):
      if self.upsampling == "shuffle":
        x = resampling.shuffle(Conv(4 * self.features, 3, **settled)(x), 2)
      else:
        x = Conv(self.features, 3, **settled)(resampling.enlarge(x, 2))
      x = self.activation(x)
    self.sow("intermediates", "features", x)
    change = Conv(small.shape[-1], 3, kernel_init=nn.initializers.zeros, dtype=self.dtype)(x)
    return resampling.bicubic(settings.whole(small), self.factor) + settings.whole(change)


def superresolution_generator(
  factor: int = 2,
  features: int = 64,
  blocks: int = 16,
  activation: str | Callable[[Array], Array] = "relu",
  *,
  upsampling: Literal["shuffle", "nearest"] = "shuffle",
  kernel_init: str = "glorot_normal",
  init_scale: float | None = None,
  dtype: str | None = None,
) -> Generator:
  """Images of `factor` times the condition's height and width, `(z [B, Z], [B, h, w, C]) -> [B, h factor, w factor, C]`, of any size.

  The residual network of SRGAN (Ledig et al., 2017, arXiv:1609.04802) without batch normalisation, as EDSR and ESRGAN have it, added to bicubic
  enlargement: it starts as that, and learns what is missing. Values can leave [-1, 1]. The latent, if it holds numbers, scales and shifts the maps.

  Args:
    factor: a power of 2.
    features, blocks: maps, and residual blocks of two 3x3 convolutions.
    upsampling: "shuffle" (sub-pixel convolutions, at the small size: cheaper), or "nearest" (enlargement, then a convolution).
    activation, kernel_init, init_scale, dtype: as `dcgan_generator`.

  Raises:
    ValueError: a factor that is no power of 2, another way to enlarge, or a condition that is no image.
  """
  if factor < 2 or factor & (factor - 1):
    raise ValueError(f"factor is {factor}; superresolution_generator enlarges by 2, 4, 8, ...")
  if upsampling not in ("shuffle", "nearest"):
    raise ValueError(f'upsampling is {upsampling!r}; it is "shuffle" or "nearest"')
  return Generator(
    factor=factor,
    features=features,
    blocks=blocks,
    upsampling=upsampling,
    activation=settings.function(activation),
    kernel_init=settings.initializer(kernel_init, init_scale),
    dtype=dtype,
  )


__all__ = ["superresolution_generator"]
