"""The residual networks of SNGAN. Miyato et al., 2018 (arXiv:1802.05957), tables 4 and 5; He et al., 2016 (arXiv:1512.03385)."""

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import flax.linen as nn
from jax import Array

from gan_jax.networks import conditional, resampling, settings
from gan_jax.networks.attention import SelfAttention
from gan_jax.networks.normalization import BatchNorm


class Generator(nn.Module):
  """See `resnet_generator`."""

  out: tuple[int, int, int]
  features: tuple[int, ...]
  strides: tuple[int, ...]
  activation: Callable[[Array], Array]
  final: Callable[[Array], Array]
  kernel_init: nn.initializers.Initializer
  conv: Callable[..., nn.Module]
  dense: Callable[..., nn.Module]
  batch_norm: float | None
  statistics: str
  attention: int | None
  num_classes: int | None
  dtype: str | None
  axis_name: str | None = None

  @nn.compact
  def __call__(self, z: Array, condition: Array | None = None, *, train: bool) -> Array:
    given = None if condition is None else conditional.vector(condition, self.num_classes)
    settled: dict[str, Any] = {"kernel_init": self.kernel_init, "dtype": self.dtype}

    def active(x: Array) -> Array:
      if self.batch_norm is not None:
        x = BatchNorm(self.batch_norm, self.statistics, axis_name=self.axis_name)(x, given, train=train)
      elif given is not None:
        x = conditional.Film(self.dtype)(x, given)
      return self.activation(x)

    start = resampling.first_size(self.out[:2], self.strides, "resnet_generator")
    x = self.dense(prod(start) * self.features[0], **settled)(settings.flat(z)).reshape(len(z), *start, self.features[0])
    for width, stride in zip(self.features[1:], self.strides, strict=True):
      if x.shape[1] == self.attention:
        x = SelfAttention(self.conv, **settled)(x)
      h = self.conv(width, 3, **settled)(resampling.enlarge(active(x), stride))
      h = self.conv(width, 3, **settled)(active(h))
      if stride > 1 or x.shape[-1] != width:
        x = self.conv(width, 1, **settled)(x)  # before enlarging, where it costs a fourth: the two commute
      x = resampling.enlarge(x, stride) + h
    x = active(x)
    self.sow("intermediates", "features", x)
    return self.final(settings.whole(self.conv(self.out[2], 3, **settled)(x)))


class Discriminator(nn.Module):
  """See `resnet_discriminator`."""

  out: int
  features: tuple[int, ...]
  strides: tuple[int, ...]
  activation: Callable[[Array], Array]
  kernel_init: nn.initializers.Initializer
  conv: Callable[..., nn.Module]
  last: Callable[..., nn.Module]
  attention: int | None
  across: nn.Module | None
  num_classes: int | None
  dtype: str | None
  axis_name: str | None = None

  @nn.compact
  def __call__(self, x: Array, condition: Array | None = None, *, train: bool) -> Array:
    del train
    settled: dict[str, Any] = {"kernel_init": self.kernel_init, "dtype": self.dtype}
    for number, (width, stride) in enumerate(zip(self.features, self.strides, strict=True)):
      if x.shape[1] == self.attention:
        x = SelfAttention(self.conv, **settled)(x)
      h = self.conv(width, 3, **settled)(self.activation(x) if number else x)
      h = self.conv(width, 3, **settled)(self.activation(h))
      x = resampling.pool(x, stride)
      if stride > 1 or x.shape[-1] != width:
        x = self.conv(width, 1, **settled)(x)  # after pooling, where it costs a fourth: the two commute
      x = x + resampling.pool(h, stride)
    h = self.activation(x).sum(axis=(1, 2))
    self.sow("intermediates", "features", h)
    seen = h if self.across is None else self.across(h, axis_name=self.axis_name)
    logits = self.last(self.out, **settled)(seen)
    if condition is not None:
      logits += conditional.Projection(self.last, **settled)(h, conditional.vector(condition, self.num_classes))
    return settings.whole(logits)


def resnet_generator(
  out: Sequence[int],
  features: Sequence[int] = (256, 256, 256, 256),
  activation: str | Callable[[Array], Array] = "relu",
  *,
  strides: Sequence[int] | None = None,
  final: str | Callable[[Array], Array] | None = "tanh",
  kernel_init: str = "glorot_uniform",
  init_scale: float | None = None,
  conv: str = "Conv",
  dense: str = "Dense",
  batch_norm: float | None = 0.9,
  statistics: str = "population",
  attention: int | None = None,
  num_classes: int | None = None,
  dtype: str | None = None,
) -> Generator:
  """A dense layer and residual blocks that enlarge, `[B, Z] (, condition) -> [B, H, W, C]` in (-1, 1); by default SNGAN's for 32 x 32.

  A block is BatchNorm, activation, enlargement (nearest), 3x3 convolution, BatchNorm, activation, 3x3 convolution, beside an enlarged 1x1 convolution
  of its input. A condition scales and shifts where BatchNorm stands (conditional BatchNorm, or FiLM without BatchNorm).

  Args:
    out: (height, width, channels) of the images; the strides must divide height and width: strides (2, 2) and three features for 28.
    features: maps after the dense layer and after each block.
    strides: by how much each block enlarges, one fewer than features; 2 where none are given.
    conv, dense: "Conv" or "SpectralConv", "Dense" or "SpectralDense".
    attention: the height of the maps that pass through self-attention, before the block that enlarges them.
    activation, final, kernel_init, init_scale, batch_norm, statistics, num_classes, dtype: as `dcgan_generator`.

  Raises:
    ValueError: `out` is no shape of an image, or the strides do not fit it or the features.
  """
  shape = settings.image_shape(out, "resnet_generator")
  steps = settings.same_length("resnet_generator", features, strides, fewer=1)
  resampling.first_size(shape[:2], steps, "resnet_generator")
  return Generator(
    out=shape,
    features=tuple(features),
    strides=steps,
    activation=settings.function(activation),
    final=settings.function(final),
    kernel_init=settings.initializer(kernel_init, init_scale),
    conv=settings.layer(conv),
    dense=settings.layer(dense),
    batch_norm=batch_norm,
    statistics=statistics,
    attention=attention,
    num_classes=num_classes,
    dtype=dtype,
  )


def resnet_discriminator(
  out: int = 1,
  features: Sequence[int] = (128, 128, 128, 128),
  activation: str | Callable[[Array], Array] = "relu",
  *,
  strides: Sequence[int] = (2, 2, 1, 1),
  kernel_init: str = "glorot_uniform",
  init_scale: float | None = None,
  conv: str = "SpectralConv",
  last: str = "SpectralDense",
  attention: int | None = None,
  across: nn.Module | None = None,
  num_classes: int | None = None,
  dtype: str | None = None,
) -> Discriminator:
  """Residual blocks that pool, the sum over pixels and a dense layer, `[B, H, W, C] (, condition) -> [B, out]`; by default SNGAN's for 32 x 32.

  A block is activation (but for the first), 3x3 convolution, activation, 3x3 convolution, mean pooling, beside a 1x1 convolution of its pooled input
  (the input itself, where nothing is pooled and the width stays). A condition is projected onto the sums.

  Args:
    out: the number of logits.
    features, strides: maps of each block, and by how much it pools.
    conv, last: "SpectralConv" or "Conv", "SpectralDense" or "Dense".
    attention: the height of the maps that pass through self-attention, before a block.
    across: a layer that looks across samples, before the last layer, e.g. `layers.MinibatchDiscrimination(20, 5)`.
    activation, kernel_init, init_scale, num_classes, dtype: as `dcgan_generator`.

  Raises:
    ValueError: strides and features differ in number.
  """
  return Discriminator(
    out=out,
    features=tuple(features),
    strides=settings.same_length("resnet_discriminator", features, strides),
    activation=settings.function(activation),
    kernel_init=settings.initializer(kernel_init, init_scale),
    conv=settings.layer(conv),
    last=settings.layer(last),
    attention=attention,
    across=across,
    num_classes=num_classes,
    dtype=dtype,
  )


__all__ = ["resnet_discriminator", "resnet_generator"]
