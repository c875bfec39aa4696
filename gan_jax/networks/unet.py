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
from gan_jax.networks.resampling import enlarge


class Generator(nn.Module):
  """See `unet_generator`."""

  out: tuple[int, int, int]
  features: tuple[int, ...]
  strides: tuple[int, ...]
  kernel: int
  activation: Callable[[Array], Array]
  final: Callable[[Array], Array]
  kernel_init: nn.initializers.Initializer
  norm: str | None
  upsampling: str
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
    for number, (width, stride) in enumerate(zip(self.features, self.strides, strict=True)):
      levels.append(x)
      x = Conv(width, self.kernel, stride, **settled)(x if number == 0 else self.activation(x))
      x = x if number == 0 else Norm(self.norm, self.dtype)(x)
    self.sow("intermediates", "layers", tuple(levels[1:]))
    for number in reversed(range(len(self.features))):
      level = levels[number]
      width, size = self.features[number - 1] if number else self.out[2], (level.shape[1], level.shape[2])
      x, stride = self.activation(x), self.strides[number]
      if self.upsampling == "nearest":
        x = Conv(width, self.kernel, **settled)(enlarge(x, stride)[:, : size[0], : size[1]])
      else:
        x = ConvTranspose(width, self.kernel, stride, size, **settled)(x)
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
    hole = settings.image_condition(condition, "filled")[..., -1:]
    near = nearest_known(condition[..., :-1], 1 - hole)
    change = on_axis(self.of, self.axis_name).clone(parent=self, name="network")(z, jnp.concatenate([near, hole], axis=-1), train=train)
    if condition.shape != (*change.shape[:3], change.shape[3] + 1):
      raise ValueError(f"filled needs images with a hole and a map of it (data.hole); the data's condition is of shape {condition.shape[1:]}")
    return near + hole * change


def filled(of: nn.Module) -> Filled:
  """Fills the hole with the nearest known pixels, and adds in the hole what `of` makes of that: known pixels stay as they are given.

  The condition is that of `data.hole`; `of` is given the filled image and the map of the hole: it learns what is wrong with the plainest answer,
  not colours from nothing. D and all terms meet the whole, so the seams count. Values can leave [-1, 1].
  Raises a ValueError, when called, for another condition.
  """
  return Filled(of)


def nearest_known(image: Array, known: Array) -> Array:
  """Every pixel as the one nearest to it that is known: `[B, H, W, C], [B, H, W, 1] of 0 and 1 -> [B, H, W, C]`. Known ones stay.

  The nearest of each row comes first, and then, along the columns, the nearest of those: exact, in H W (H + W) steps instead of (H W)^2.
  """
  rows, columns = (jnp.square(jnp.arange(n)[:, None] - jnp.arange(n)) for n in image.shape[1:3])
  beyond = image.shape[1] ** 2 + image.shape[2] ** 2 + 1  # further than any pixel
  along = jnp.where(known[:, :, None, :, 0] > 0.5, columns, beyond)  # [B, H, W, W]
  image = jnp.take_along_axis(image, along.argmin(axis=-1)[..., None], axis=2)
  across = along.min(axis=-1)[:, None] + rows[:, :, None]  # [B, H, H, W]
  return jnp.take_along_axis(image, across.argmin(axis=2)[..., None], axis=1)


def unet_generator(
  out: Sequence[int],
  features: Sequence[int] = (64, 128, 256, 512, 512, 512, 512, 512),
  activation: str | Callable[[Array], Array] = "leaky_relu",
  *,
  strides: Sequence[int] | None = None,
  kernel: int = 4,
  final: str | Callable[[Array], Array] | None = "tanh",
  kernel_init: str = "glorot_normal",
  init_scale: float | None = None,
  norm: Literal["instance"] | None = "instance",
  upsampling: Literal["transposed", "nearest"] = "transposed",
  dtype: str | None = None,
) -> Generator:
  """Halves an image with each convolution and doubles it again, every size beside what it was: `(z [B, Z], [B, H, W, C]) -> [B, H, W, C']`.

  The default features are the paper's, for 256 x 256. Where theirs has dropout for noise and the outputs ignore it, here the latent scales and
  shifts the maps on the way up (FiLM), from nothing at first; with `priors.nothing()` there is none. Instance normalisation (theirs, with batches
  of one) stands after all but the first and last convolution: no example sees another one.

  Args:
    out: (height, width, channels) of the images, and so height and width of the condition.
    features: maps on the way down; each halves, and rounds up.
    strides: by how much each divides, 2 where none are given. A first one of 1 works at full size as well, where outlines of one pixel are.
    kernel: side of the kernels; even ones, for odd transposed ones of stride 2 overlap unevenly and draw chequers.
    norm: "instance", or None for convolutions alone. It hides from all but the first maps how bright an image is, and at 2 x 2 pixels most of the
      rest: of small images, and where answers go on with given colours (inpainting), take None.
    upsampling: "transposed" convolutions, pix2pix's, or "nearest" pixels and then a convolution, which lays no chequers whatever its kernel
      (Odena et al., 2016, doi:10.23915/distill.00003) and costs more: at the larger size.
    activation, final, kernel_init, init_scale, dtype: as `dcgan_generator`.

  Raises:
    ValueError: `out` is no shape of an image, no features, strides of another number, another upsampling, or a condition that is no image of that
      height and width.
  """
  if not features:
    raise ValueError("unet_generator needs features, one for each halving")
  if upsampling not in ("transposed", "nearest"):
    raise ValueError(f'unet_generator has no upsampling {upsampling!r}; use "transposed" or "nearest"')
  return Generator(
    out=settings.image_shape(out, "unet_generator"),
    features=tuple(features),
    strides=settings.same_length("unet_generator", features, strides),
    kernel=kernel,
    activation=settings.function(activation),
    final=settings.function(final),
    kernel_init=settings.initializer(kernel_init, init_scale),
    norm=norm,
    upsampling=upsampling,
    dtype=dtype,
  )


__all__ = ["filled", "unet_generator"]
