"""The U-Net of pix2pix: an image becomes another one of its size. Isola et al., 2017 (arXiv:1611.07004)."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from gan_jax.calls import on_axis
from gan_jax.networks import settings
from gan_jax.networks.convolution import Conv, ConvTranspose
from gan_jax.networks.normalization import Norm


class Generator(nn.Module):
  """See `unet_generator`."""

  out: tuple[int, int, int]
  features: tuple[int, ...]
  kernel: int
  activation: Callable[[Array], Array]
  final: Callable[[Array], Array]
  kernel_init: nn.initializers.Initializer
  norm: str | None
  dtype: str | None

  @nn.compact
  def __call__(self, z: Array, condition: Array, *, train: bool) -> Array:
    del train
    x = settings.image_condition(condition, "unet_generator")
    if x.shape[1:3] != self.out[:2]:
      raise ValueError(f"unet_generator makes {self.out[0]} x {self.out[1]} pixels of as many, not of {x.shape[1]} x {x.shape[2]}")
    told = settings.latent(z)
    settled: dict[str, Any] = {"kernel_init": self.kernel_init, "dtype": self.dtype}
    levels = []
    for number, width in enumerate(self.features):
      levels.append(x)
      x = Conv(width, self.kernel, 2, **settled)(x if number == 0 else self.activation(x))
      x = x if number == 0 else Norm(self.norm, self.dtype)(x)
    self.sow("intermediates", "layers", tuple(levels[1:]))
    for number in reversed(range(len(self.features))):
      level = levels[number]
      width, size = self.features[number - 1] if number else self.out[2], (level.shape[1], level.shape[2])
      x = ConvTranspose(width, self.kernel, 2, size, **settled)(self.activation(x))
      if number == 1:
        self.sow("intermediates", "features", x)
      if number:
        x = jnp.concatenate([Norm(self.norm, self.dtype)(x, told), level], axis=-1)
    return self.final(settings.whole(x))


class Filled(nn.Module):
  """See `filled`."""

  of: nn.Module
  axis_name: str | None = None

  @nn.compact
  def __call__(self, z: Array, condition: Array, *, train: bool) -> Array:
    made = on_axis(self.of, self.axis_name).clone(parent=self, name="network")(z, condition, train=train)
    if condition.shape != (*made.shape[:3], made.shape[3] + 1):
      raise ValueError(f"filled needs images with a hole and a map of it (data.hole); the data's condition is of shape {condition.shape[1:]}")
    hole = condition[..., -1:]
    return hole * made + (1 - hole) * condition[..., :-1]


def filled(of: nn.Module) -> Filled:
  """What the generator `of` makes, in the hole alone: known pixels stay as they are given. The condition is that of `data.hole`.

  D and all terms meet the whole, so the seams count. Raises a ValueError, when called, for another condition.
  """
  return Filled(of)


def unet_generator(
  out: Sequence[int],
  features: Sequence[int] = (64, 128, 256, 512, 512, 512, 512, 512),
  activation: str | Callable[[Array], Array] = "leaky_relu",
  *,
  kernel: int = 4,
  final: str | Callable[[Array], Array] | None = "tanh",
  kernel_init: str = "glorot_normal",
  init_scale: float | None = None,
  norm: Literal["instance"] | None = "instance",
  dtype: str | None = None,
) -> Generator:
  """Halves an image with each convolution and doubles it again, every size beside what it was: `(z [B, Z], [B, H, W, C]) -> [B, H, W, C']`.

  The default features are the paper's, for 256 x 256. Where theirs has dropout for noise and the outputs ignore it, here the latent scales and
  shifts the maps on the way up (FiLM), from nothing at first; with `priors.nothing()` there is none. Instance normalisation (theirs, with batches
  of one) stands after all but the first and last convolution: no example sees another one.

  Args:
    out: (height, width, channels) of the images, and so height and width of the condition.
    features: maps on the way down; each halves, and rounds up.
    norm: "instance", or None for convolutions alone.
    activation, final, kernel, kernel_init, init_scale, dtype: as `dcgan_generator`.

  Raises:
    ValueError: `out` is no shape of an image, no features, or a condition that is no image of that height and width.
  """
  if not features:
    raise ValueError("unet_generator needs features, one for each halving")
  return Generator(
    out=settings.image_shape(out, "unet_generator"),
    features=tuple(features),
    kernel=kernel,
    activation=settings.function(activation),
    final=settings.function(final),
    kernel_init=settings.initializer(kernel_init, init_scale),
    norm=norm,
    dtype=dtype,
  )


__all__ = ["filled", "unet_generator"]
