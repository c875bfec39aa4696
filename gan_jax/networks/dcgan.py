"""DCGAN: plain stacks of strided convolutions. Radford et al., 2016 (arXiv:1511.06434)."""

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import flax.linen as nn
from jax import Array

from gan_jax.networks import conditional, settings
from gan_jax.networks.attention import SelfAttention
from gan_jax.networks.convolution import ConvTranspose
from gan_jax.networks.dense import Dense
from gan_jax.networks.normalization import BatchNorm


class Generator(nn.Module):
  """See `dcgan_generator`."""

  out: tuple[int, int, int]
  features: tuple[int, ...]
  strides: tuple[int, ...]
  kernel: int
  activation: Callable[[Array], Array]
  final: Callable[[Array], Array]
  kernel_init: nn.initializers.Initializer
  batch_norm: float | None
  unnormalized: tuple[int, ...]
  statistics: str
  attention: int | None
  num_classes: int | None
  dtype: str | None
  axis_name: str | None = None

  @nn.compact
  def __call__(self, z: Array, condition: Array | None = None, *, train: bool) -> Array:
    given = None if condition is None else conditional.vector(condition, self.num_classes)
    settled: dict[str, Any] = {"kernel_init": self.kernel_init, "dtype": self.dtype}
    last = len(self.features)
    bare = {number % (last + 1) for number in self.unnormalized}
    start, *sizes = settings.sizes(self.out[:2], self.strides)
    x = Dense(prod(start) * self.features[0], **settled)(settings.flat(z)).reshape(len(z), *start, self.features[0])
    for number in range(last + 1):
      if number > 0:
        width = (*self.features, self.out[2])[number]
        x = ConvTranspose(width, self.kernel, self.strides[number - 1], sizes[number - 1], **settled)(x)
      if self.batch_norm is not None and number not in bare:
        x = BatchNorm(self.batch_norm, self.statistics, axis_name=self.axis_name)(x, given, train=train)
      elif given is not None and number < last:
        x = conditional.Film(self.dtype)(x, given)
      if number < last:
        x = self.activation(x)
        if x.shape[1] == self.attention:
          x = SelfAttention(**settled)(x)
      if number == last - 1:
        self.sow("intermediates", "features", x)
    return self.final(settings.whole(x))


class Discriminator(nn.Module):
  """See `dcgan_discriminator`."""

  out: int
  features: tuple[int, ...]
  strides: tuple[int, ...]
  kernel: int
  activation: Callable[[Array], Array]
  kernel_init: nn.initializers.Initializer
  conv: Callable[..., nn.Module]
  last: Callable[..., nn.Module]
  batch_norm: float | None
  unnormalized: tuple[int, ...]
  statistics: str
  attention: int | None
  across: nn.Module | None
  num_classes: int | None
  dtype: str | None
  axis_name: str | None = None

  @nn.compact
  def __call__(self, x: Array, condition: Array | None = None, *, train: bool) -> Array:
    settled: dict[str, Any] = {"kernel_init": self.kernel_init, "dtype": self.dtype}
    bare = {number % len(self.features) for number in self.unnormalized}
    for number, (width, stride) in enumerate(zip(self.features, self.strides, strict=True)):
      x = self.conv(width, self.kernel, stride, **settled)(x)
      if self.batch_norm is not None and number not in bare:
        x = BatchNorm(self.batch_norm, self.statistics, axis_name=self.axis_name)(x, train=train)
      x = self.activation(x)
      if x.shape[1] == self.attention:
        x = SelfAttention(self.conv, **settled)(x)
    h = settings.flat(x)
    self.sow("intermediates", "features", h)
    seen = h if self.across is None else self.across(h, axis_name=self.axis_name)
    logits = self.last(self.out, **settled)(seen)
    if condition is not None:
      logits += conditional.Projection(self.last, **settled)(h, conditional.vector(condition, self.num_classes))
    return settings.whole(logits)


def dcgan_generator(
  out: Sequence[int],
  features: Sequence[int] = (256, 128, 64),
  activation: str | Callable[[Array], Array] = "relu",
  *,
  kernel: int = 4,
  strides: Sequence[int] | None = None,
  final: str | Callable[[Array], Array] | None = "tanh",
  kernel_init: str = "glorot_normal",
  init_scale: float | None = None,
  batch_norm: float | None = 0.9,
  unnormalized: Sequence[int] = (-1,),
  statistics: str = "population",
  attention: int | None = None,
  num_classes: int | None = None,
  dtype: str | None = None,
) -> Generator:
  """A dense layer and transposed convolutions up to an image, `[B, Z] (, condition) -> [B, H, W, C]` in (-1, 1).

  Layer 0 is the dense one, of `features[0]` maps; layers 1, 2, ... are the transposed convolutions, the last of which makes the image. Sizes
  follow from `out` by dividing and rounding up: 28 <- 14 <- 7 <- 4 with three strides of 2. A condition scales and shifts the channels of every
  layer but the last (conditional BatchNorm, or FiLM where there is no BatchNorm).

  Args:
    out: (height, width, channels) of the images.
    features: maps of layers 0, 1, ...
    activation, final: a name in `flax.linen` or `networks.layers`, a function, or `{"name": "leaky_relu", "slope": .3}`. `final` makes the image.
    kernel, strides: sides and strides of the transposed convolutions; one stride for each of the features, 2 where none are given.
    kernel_init, init_scale: a name in `flax.linen.initializers`, and its first argument; the paper's is ("normal", .02).
    batch_norm: momentum of BatchNorm, or None.
    unnormalized: numbers of layers without BatchNorm; -1 is the last.
    statistics: those that BatchNorm uses at evaluation, "population" or "batch".
    attention: the height of the maps that pass through self-attention.
    num_classes: how many labels there are, if the condition is a label.
    dtype: the type it computes in, e.g. "bfloat16"; parameters, statistics and output stay float32.

  Raises:
    ValueError: `out` is no shape of an image, or strides and features differ in number.
  """
  return Generator(
    out=settings.image_shape(out, "dcgan_generator"),
    features=tuple(features),
    strides=settings.same_length("dcgan_generator", features, strides),
    kernel=kernel,
    activation=settings.function(activation),
    final=settings.function(final),
    kernel_init=settings.initializer(kernel_init, init_scale),
    batch_norm=batch_norm,
    unnormalized=tuple(unnormalized),
    statistics=statistics,
    attention=attention,
    num_classes=num_classes,
    dtype=dtype,
  )


def dcgan_discriminator(
  out: int = 1,
  features: Sequence[int] = (64, 128, 256),
  activation: str | Callable[[Array], Array] = "leaky_relu",
  *,
  kernel: int = 4,
  strides: Sequence[int] | None = None,
  kernel_init: str = "glorot_normal",
  init_scale: float | None = None,
  conv: str = "Conv",
  last: str = "Dense",
  batch_norm: float | None = 0.9,
  unnormalized: Sequence[int] = (0,),
  statistics: str = "population",
  attention: int | None = None,
  across: nn.Module | None = None,
  num_classes: int | None = None,
  dtype: str | None = None,
) -> Discriminator:
  """Convolutions down from an image and a dense layer, `[B, H, W, C] (, condition) -> [B, out]`. A condition is projected onto the last maps.

  Args:
    out: the number of logits.
    features: maps of the convolutions.
    activation: as the generator's; `leaky_relu` has the slope .2.
    kernel, strides: sides and strides of the convolutions; one stride for each of the features, 2 where none are given.
    kernel_init, init_scale, statistics, attention, num_classes, dtype: as the generator's.
    conv, last: the convolutions, "Conv" or "SpectralConv", and the last layer, "Dense" or "SpectralDense".
    batch_norm: momentum of BatchNorm, or None, as a gradient penalty wants it: BatchNorm mixes the samples whose gradients it measures.
    unnormalized: numbers of convolutions without BatchNorm; 0 is the first.
    across: a layer that looks across samples, before the last layer, e.g. `layers.MinibatchDiscrimination(20, 5)`.

  Raises:
    ValueError: strides and features differ in number.
  """
  return Discriminator(
    out=out,
    features=tuple(features),
    strides=settings.same_length("dcgan_discriminator", features, strides),
    kernel=kernel,
    activation=settings.function(activation),
    kernel_init=settings.initializer(kernel_init, init_scale),
    conv=settings.layer(conv),
    last=settings.layer(last),
    batch_norm=batch_norm,
    unnormalized=tuple(unnormalized),
    statistics=statistics,
    attention=attention,
    across=across,
    num_classes=num_classes,
    dtype=dtype,
  )


__all__ = ["dcgan_discriminator", "dcgan_generator"]
