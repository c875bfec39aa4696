"""Residual networks without normalisation, after R3GAN. Huang et al., 2024 (arXiv:2501.05441); fix-up: Zhang et al., 2019 (arXiv:1901.09321)."""

from collections.abc import Callable, Sequence
from math import sqrt

import flax.linen as nn
import jax.numpy as jnp
from flax.linen.dtypes import promote_dtype
from jax import Array

from gan_jax.networks import conditional, resampling, settings
from gan_jax.networks.convolution import Conv
from gan_jax.networks.dense import Dense

SLOPE = 0.2
GAIN = sqrt(2 / (1 + SLOPE**2))  # what keeps the variance through a leaky ReLU of that slope


class Generator(nn.Module):
  """See `r3gan_generator`."""

  out: tuple[int, int, int]
  features: tuple[int, ...]
  blocks: int
  expansion: int
  mapping: tuple[int, ...]
  activation: Callable[[Array], Array]
  final: Callable[[Array], Array]
  num_classes: int | None
  dtype: str | None

  @nn.compact
  def __call__(self, z: Array, condition: Array | None = None, *, train: bool) -> Array:
    del train
    linear = lambda width: Dense(width, use_bias=False, kernel_init=_normal(1), dtype=self.dtype)
    w = settings.flat(z)
    if condition is not None:
      w = jnp.concatenate([w, linear(w.shape[-1])(conditional.vector(condition, self.num_classes))], axis=-1)
    for width in self.mapping:
      w = self.activation(Dense(width, kernel_init=_normal(GAIN), dtype=self.dtype)(w))
    height, width = resampling.first_size(self.out[:2], (2,) * (len(self.features) - 1), "r3gan_generator")
    basis = self.param("basis", nn.initializers.normal(1.0), (height, width, self.features[0]))
    w, basis = promote_dtype(linear(self.features[0])(w), basis, dtype=self.dtype)
    x = basis * w[:, None, None]
    for number, channels in enumerate(self.features):
      if number:
        x = resampling.enlarge(_matched(x, channels, self.dtype), 2)
      for _ in range(self.blocks):
        x = Block(self.expansion, len(self.features) * self.blocks, self.activation, self.dtype)(x)
    self.sow("intermediates", "features", x)
    return self.final(settings.whole(Conv(self.out[2], 1, use_bias=False, kernel_init=_normal(1), dtype=self.dtype)(x)))


class Discriminator(nn.Module):
  """See `r3gan_discriminator`."""

  out: int
  features: tuple[int, ...]
  blocks: int
  expansion: int
  activation: Callable[[Array], Array]
  across: nn.Module | None
  num_classes: int | None
  dtype: str | None
  axis_name: str | None = None

  @nn.compact
  def __call__(self, x: Array, condition: Array | None = None, *, train: bool) -> Array:
    del train
    x = Conv(self.features[0], 1, use_bias=False, kernel_init=_normal(1), dtype=self.dtype)(x)
    for number, channels in enumerate(self.features):
      if number:
        x = _matched(resampling.pool(x, 2), channels, self.dtype)
      for _ in range(self.blocks):
        x = Block(self.expansion, len(self.features) * self.blocks, self.activation, self.dtype)(x)
    basis = self.param("basis", nn.initializers.normal(1 / sqrt(x.shape[1] * x.shape[2])), x.shape[1:])
    h = jnp.einsum("bhwc,hwc->bc", *promote_dtype(x, basis, dtype=self.dtype))
    self.sow("intermediates", "features", h)
    seen = h if self.across is None else self.across(h, axis_name=self.axis_name)
    logits = Dense(self.out, use_bias=False, kernel_init=_normal(1), dtype=self.dtype)(seen)
    if condition is not None:
      logits += conditional.Projection(kernel_init=_normal(1), dtype=self.dtype)(h, conditional.vector(condition, self.num_classes))
    return settings.whole(logits)


class Block(nn.Module):
  """x + three convolutions (1x1 to `expansion` times the maps, 3x3, 1x1 back), the last of which starts at 0: `[B, H, W, C] -> [B, H, W, C]`.

  The first two start at variance GAIN^2 / fan-in over the square root of `depth`, the number of blocks: so that one step changes the network as much
  at any depth (fix-up).
  """

  expansion: int
  depth: int
  activation: Callable[[Array], Array]
  dtype: str | None

  @nn.compact
  def __call__(self, x: Array) -> Array:
    wide, gain = x.shape[-1] * self.expansion, GAIN * self.depth**-0.25
    h = self.activation(Conv(wide, 1, kernel_init=_normal(gain), dtype=self.dtype)(x))
    h = self.activation(Conv(wide, 3, kernel_init=_normal(gain), dtype=self.dtype)(h))
    return x + Conv(x.shape[-1], 1, use_bias=False, kernel_init=nn.initializers.zeros, dtype=self.dtype)(h)


def r3gan_generator(
  out: Sequence[int],
  features: Sequence[int] = (256, 256, 256, 256),
  activation: str | Callable[[Array], Array] = "leaky_relu",
  *,
  blocks: int = 2,
  expansion: int = 2,
  mapping: Sequence[int] = (),
  final: str | Callable[[Array], Array] | None = None,
  num_classes: int | None = None,
  dtype: str | None = None,
) -> Generator:
  """A learned basis times the latent, then stages of residual blocks, each twice the size of the last: `[B, Z] (, condition) -> [B, H, W, C]`.

  After R3GAN, with two differences: their 3x3 convolutions are grouped and these are full (so equal widths are larger networks), and stages are
  enlarged by nearest neighbours where they interpolate. Their output is linear, and so is this by default: pixels may leave [-1, 1]. The
  initialisation is part of the architecture and no setting. A condition is embedded and joined to the latent.

  Args:
    out: (height, width, channels) of the images, divisible by 2 to the number of stages less one: 4 stages for 32, 3 for 28.
    features: maps of each stage, the smallest image first.
    blocks, expansion: residual blocks a stage, and how many times wider their 3x3 convolutions are.
    mapping: widths of dense layers between latent and basis, if any.
    activation, final, num_classes, dtype: as `dcgan_generator`.

  Raises:
    ValueError: `out` is no shape of an image, or not divisible.
  """
  shape = settings.image_shape(out, "r3gan_generator")
  resampling.first_size(shape[:2], (2,) * (len(features) - 1), "r3gan_generator")
  return Generator(
    out=shape,
    features=tuple(features),
    blocks=blocks,
    expansion=expansion,
    mapping=tuple(mapping),
    activation=settings.function(activation),
    final=settings.function(final),
    num_classes=num_classes,
    dtype=dtype,
  )


def r3gan_discriminator(
  out: int = 1,
  features: Sequence[int] = (256, 256, 256, 256),
  activation: str | Callable[[Array], Array] = "leaky_relu",
  *,
  blocks: int = 2,
  expansion: int = 2,
  across: nn.Module | None = None,
  num_classes: int | None = None,
  dtype: str | None = None,
) -> Discriminator:
  """Stages of residual blocks, each half the size of the last, and a learned basis: `[B, H, W, C] (, condition) -> [B, out]`.

  The mirror image of `r3gan_generator`, pooled by means. A condition is projected onto the features. Meant for `objectives.relativistic_paired` with
  `penalties.r1` and `penalties.r2`.

  Args:
    out: the number of logits.
    features: maps of each stage, the largest image first.
    across: a layer that looks across samples, before the last layer, e.g. `layers.MinibatchDiscrimination(20, 5)`.
    activation, blocks, expansion, num_classes, dtype: as `r3gan_generator`.
  """
  return Discriminator(
    out=out,
    features=tuple(features),
    blocks=blocks,
    expansion=expansion,
    activation=settings.function(activation),
    across=across,
    num_classes=num_classes,
    dtype=dtype,
  )


def _matched(x: Array, channels: int, dtype: str | None) -> Array:
  """As many maps, by a 1x1 convolution where it takes one."""
  return x if x.shape[-1] == channels else Conv(channels, 1, use_bias=False, kernel_init=_normal(1), dtype=dtype)(x)


def _normal(gain: float) -> nn.initializers.Initializer:
  """N(0, gain^2 / fan-in)."""
  return nn.initializers.variance_scaling(gain**2, "fan_in", "normal")


__all__ = ["r3gan_discriminator", "r3gan_generator"]
