"""Multilayer perceptrons, for points and small images, as either player."""

from collections.abc import Callable, Sequence
from math import prod

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from gan_jax.networks import conditional, layers, settings
from gan_jax.networks.normalization import BatchNorm


class MLP(nn.Module):
  """See `mlp`."""

  out: tuple[int, ...]
  features: tuple[int, ...]
  activation: Callable[[Array], Array]
  final: Callable[[Array], Array]
  kernel_init: nn.initializers.Initializer
  dense: Callable[..., nn.Module]
  last: Callable[..., nn.Module]
  batch_norm: float | None
  statistics: str
  across: nn.Module | None
  heads: int | None
  input_scale: float
  num_classes: int | None
  dtype: str | None
  axis_name: str | None = None

  @nn.compact
  def __call__(self, *inputs: Array, train: bool) -> Array:
    x, component = inputs[0] if self.heads else (inputs[0], None)
    given = [conditional.vector(part, self.num_classes) for part in inputs[1:]]
    x = jnp.concatenate([settings.flat(x), *given], axis=-1) * self.input_scale
    for number, width in enumerate(self.features):
      if component is not None and self.heads and number == 0:
        x = layers.SelectedDense(width, self.heads, self.kernel_init)(x, component)
      else:
        x = self.dense(width, kernel_init=self.kernel_init, dtype=self.dtype)(x)
      if self.batch_norm is not None:
        x = BatchNorm(self.batch_norm, self.statistics, axis_name=self.axis_name)(x, train=train)
      x = self.activation(x)
    self.sow("intermediates", "features", x)
    if self.across is not None:
      x = self.across(x, axis_name=self.axis_name)
    x = self.final(self.last(prod(self.out), kernel_init=self.kernel_init, dtype=self.dtype)(x))
    return settings.whole(x).reshape(len(x), *self.out)


def mlp(
  out: int | Sequence[int] = 1,
  features: Sequence[int] = (128, 128),
  activation: str | Callable[[Array], Array] = "relu",
  *,
  final: str | Callable[[Array], Array] | None = None,
  kernel_init: str = "glorot_normal",
  init_scale: float | None = None,
  dense: str = "Dense",
  last: str = "Dense",
  batch_norm: float | None = None,
  statistics: str = "population",
  across: nn.Module | None = None,
  heads: int | None = None,
  input_scale: float = 1.0,
  num_classes: int | None = None,
  dtype: str | None = None,
) -> MLP:
  """A multilayer perceptron, `[B, ...] -> [B, *out]`; its inputs are flattened and concatenated.

  Args:
    out: the shape of one output: 1 for logits, 2 for points, (8, 8, 3) for images.
    features: widths of the hidden layers.
    activation, final: a name in `flax.linen` or `networks.layers` (whose `leaky_relu` has the slope .2), or a function. `final` acts on the output.
    kernel_init, init_scale: a name in `flax.linen.initializers`, and its first argument ("orthogonal", .8).
    dense, last: the hidden layers and the last one: "Dense", "SpectralDense", or (hidden, with activation "identity") "Maxout".
    batch_norm: momentum of BatchNorm after every hidden layer.
    statistics: those that BatchNorm uses at evaluation, "population" or "batch".
    across: a layer that looks across samples, before the last layer, e.g. `layers.MinibatchDiscrimination(20, 5)`.
    heads: one first layer for each of so many components; the input is then `(z, component)`, as `priors.indexed` draws it.
    input_scale: multiplies the inputs.
    num_classes: how many labels there are, if the condition is a label.
    dtype: the type it computes in, e.g. "bfloat16"; parameters and output stay float32.
  """
  return MLP(
    out=(out,) if isinstance(out, int) else tuple(out),
    features=tuple(features),
    activation=settings.function(activation),
    final=settings.function(final),
    kernel_init=settings.initializer(kernel_init, init_scale),
    dense=settings.layer(dense),
    last=settings.layer(last),
    batch_norm=batch_norm,
    statistics=statistics,
    across=across,
    heads=heads,
    input_scale=input_scale,
    num_classes=num_classes,
    dtype=dtype,
  )
