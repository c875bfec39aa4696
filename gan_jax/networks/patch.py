"""Discriminators that judge patches: one logit for each window of the image, on one scale (pix2pix) or several (pix2pixHD)."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from gan_jax.networks import conditional, resampling, settings
from gan_jax.networks.normalization import Norm


class Tower(nn.Module):
  """The convolutions of one scale: `(x, told) -> (logits [B, h, w, 1], maps behind each activation)`."""

  features: tuple[int, ...]
  strides: tuple[int, ...]
  kernel: int
  activation: Callable[[Array], Array]
  kernel_init: nn.initializers.Initializer
  conv: Callable[..., nn.Module]
  norm: str | None
  dtype: str | None

  @nn.compact
  def __call__(self, x: Array, told: Array | None) -> tuple[Array, tuple[Array, ...]]:
    settled: dict[str, Any] = {"kernel_init": self.kernel_init, "dtype": self.dtype}
    layers = []
    for number, (width, stride) in enumerate(zip(self.features, self.strides, strict=True)):
      x = self.conv(width, self.kernel, stride, **settled)(x)
      x = self.activation(x if number == 0 else Norm(self.norm, self.dtype)(x))
      layers.append(x)
    logits = self.conv(1, self.kernel, 1, **settled)(x)
    if told is not None:
      logits += conditional.Projection(**settled)(x, told)
    return settings.whole(logits), tuple(layers)


class Discriminator(nn.Module):
  """See `patch_discriminator` and `multiscale_discriminator`."""

  tower: Callable[..., Tower]
  scales: int
  num_classes: int | None

  @nn.compact
  def __call__(self, x: Array, condition: Array | None = None, *, train: bool) -> Array:
    del train
    told = None
    if condition is not None and condition.ndim == 4:
      x = jnp.concatenate([x, resampling.enlarged_to(condition, x.shape[1:3])], axis=-1)
    elif condition is not None:
      told = conditional.vector(condition, self.num_classes)
    maps: list[Array] = []
    layers = []
    for number in range(self.scales):
      logits, found = self.tower(name=f"tower_{number}")(x if number == 0 else resampling.pool(x, 2**number), told)
      maps.append(resampling.enlarged_to(logits, maps[0].shape[1:3]) if maps else logits)
      layers.append(found)
    self.sow("intermediates", "layers", tuple(layers))
    self.sow("intermediates", "features", jnp.concatenate([settings.flat(found[-1]) for found in layers], axis=-1))
    return jnp.concatenate(maps, axis=-1)


def patch_discriminator(
  features: Sequence[int] = (64, 128, 256, 512),
  activation: str | Callable[[Array], Array] = "leaky_relu",
  *,
  strides: Sequence[int] = (2, 2, 2, 1),
  kernel: int = 4,
  kernel_init: str = "glorot_normal",
  init_scale: float | None = None,
  conv: str = "Conv",
  norm: Literal["instance"] | None = "instance",
  num_classes: int | None = None,
  dtype: str | None = None,
) -> Discriminator:
  """One logit for each window of the image, `[B, H, W, C] (, condition) -> [B, h, w, 1]`: PatchGAN. Isola et al., 2017 (arXiv:1611.07004).

  Convolutions, and a last one of stride 1 to one map. By default the paper's, whose windows are 70 x 70 pixels (`window`). Objectives and
  metrics see every patch as they see an example: losses are means over patches, each past its own nonlinearity. Gradient penalties see an example:
  the gradient of the sum of its patches.
  A condition that is an image stands beside `x` as further channels (a smaller one enlarged to it); a label or a vector is projected at each place.
  Sows its maps as `layers`, for `layer_matching`.

  Args:
    features, strides: maps and strides of the convolutions before the last one. Fewer, or smaller strides, are smaller windows and more of them.
    conv: "Conv" or "SpectralConv". norm: "instance" behind all but the first and last convolution, or None, as a gradient penalty wants it.
    activation, kernel, kernel_init, init_scale, num_classes, dtype: as `dcgan_discriminator`.

  Raises:
    ValueError: strides and features differ in number, or a condition whose size does not divide that of the images.

  >>> window((2, 2, 2, 1))
  70
  """
  return multiscale_discriminator(
    features, activation, scales=1, strides=strides, kernel=kernel, kernel_init=kernel_init, init_scale=init_scale, conv=conv, norm=norm,
    num_classes=num_classes, dtype=dtype,
  )  # fmt: skip


def multiscale_discriminator(
  features: Sequence[int] = (64, 128, 256, 512),
  activation: str | Callable[[Array], Array] = "leaky_relu",
  *,
  scales: int = 2,
  strides: Sequence[int] = (2, 2, 2, 1),
  kernel: int = 4,
  kernel_init: str = "glorot_normal",
  init_scale: float | None = None,
  conv: str = "Conv",
  norm: Literal["instance"] | None = "instance",
  num_classes: int | None = None,
  dtype: str | None = None,
) -> Discriminator:
  """Patch discriminators of their own on the image, its half, its quarter: `[B, H, W, C] (, condition) -> [B, h, w, scales]`. As in pix2pixHD.

  Wang et al., 2018 (arXiv:1711.11585), section 3.2. The coarser maps are enlarged to the finest, a channel each, so every scale weighs the same in a
  loss, which is the mean over scales where theirs is the sum.

  Args:
    scales: how many; each halves the one before by mean pooling.
    others: as `patch_discriminator`.

  Raises:
    ValueError: as `patch_discriminator`; scales < 1; or, when called, images or maps that do not halve.
  """
  if scales < 1:
    raise ValueError(f"scales is {scales}; a discriminator needs 1 at least")
  made: dict[str, Any] = {
    "features": tuple(features), "strides": settings.same_length("patch_discriminator", features, strides), "kernel": kernel,
    "activation": settings.function(activation), "kernel_init": settings.initializer(kernel_init, init_scale), "conv": settings.layer(conv),
    "norm": norm, "dtype": dtype,
  }  # fmt: skip
  return Discriminator(partial(Tower, **made), scales, num_classes)


def window(strides: Sequence[int], kernel: int = 4) -> int:
  """The side of the window behind one logit, in pixels, of convolutions with these strides and a last one of stride 1."""
  side = kernel
  for stride in reversed(strides):
    side = (side - 1) * stride + kernel
  return side


__all__ = ["multiscale_discriminator", "patch_discriminator", "window"]
