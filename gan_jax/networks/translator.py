"""The translating network of CycleGAN and pix2pixHD: down, residual blocks at the small size, up. Johnson et al., 2016 (arXiv:1603.08155)."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import flax.linen as nn
from jax import Array

from gan_jax.networks import settings
from gan_jax.networks.convolution import Conv, ConvTranspose
from gan_jax.networks.normalization import Norm


class Generator(nn.Module):
  """See `residual_translator`."""

  channels: int
  features: int
  blocks: int
  halvings: int
  border: int
  activation: Callable[[Array], Array]
  final: Callable[[Array], Array]
  kernel_init: nn.initializers.Initializer
  norm: str | None
  dtype: str | None

  @nn.compact
  def __call__(self, z: Array, condition: Array, *, train: bool) -> Array:
    del train
    x = settings.image_condition(condition, "residual_translator")
    told = settings.latent(z)
    settled: dict[str, Any] = {"kernel_init": self.kernel_init, "dtype": self.dtype}
    active = lambda x: self.activation(Norm(self.norm, self.dtype)(x, told))
    sizes, layers = [], []
    x = active(Conv(self.features, self.border, **settled)(x))
    for number in range(self.halvings):
      sizes.append((x.shape[1], x.shape[2]))
      layers.append(x)
      x = active(Conv(self.features * 2 ** (number + 1), 3, 2, **settled)(x))
    for _ in range(self.blocks):
      layers.append(x)
      h = active(Conv(x.shape[-1], 3, **settled)(x))
      x = x + Norm(self.norm, self.dtype)(Conv(x.shape[-1], 3, **settled)(h), told)
    self.sow("intermediates", "layers", tuple(layers))
    for number in reversed(range(self.halvings)):
      x = active(ConvTranspose(self.features * 2**number, 3, 2, sizes[number], **settled)(x))
    self.sow("intermediates", "features", x)
    return self.final(settings.whole(Conv(self.channels, self.border, **settled)(x)))


def residual_translator(
  out: Sequence[int],
  features: int = 64,
  blocks: int = 9,
  activation: str | Callable[[Array], Array] = "relu",
  *,
  halvings: int = 2,
  border: int = 7,
  final: str | Callable[[Array], Array] | None = "tanh",
  kernel_init: str = "glorot_normal",
  init_scale: float | None = None,
  norm: Literal["instance"] | None = "instance",
  dtype: str | None = None,
) -> Generator:
  """An image becomes another one of its size, any size: `(z [B, Z], [B, H, W, C]) -> [B, H, W, C']`. CycleGAN's by default.

  A convolution, `halvings` of stride 2 that double the maps, residual blocks, as many transposed convolutions back, and a last convolution.
  Unlike the U-Net it passes nothing around the blocks. Zeros stand around images, where theirs are reflected. Sows what goes into each convolution
  on the way down and into each block as `layers`. The latent, if it holds numbers, scales and shifts the maps.

  Args:
    out: (height, width, channels) of the images; channels alone matter.
    features, blocks: maps at full size, and residual blocks (9 for 256 pixels, 6 for 128).
    border: the side of the first and last convolution.
    activation, final, kernel_init, init_scale, norm, dtype: as `unet_generator`.

  Raises:
    ValueError: `out` is no shape of an image.
  """
  return Generator(
    channels=settings.image_shape(out, "residual_translator")[2],
    features=features,
    blocks=blocks,
    halvings=halvings,
    border=border,
    activation=settings.function(activation),
    final=settings.function(final),
    kernel_init=settings.initializer(kernel_init, init_scale),
    norm=norm,
    dtype=dtype,
  )


__all__ = ["residual_translator"]
