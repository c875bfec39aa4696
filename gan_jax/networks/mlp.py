"""Multilayer perceptrons, for points and small images, as either player."""

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from math import prod
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from gan_jax.networks import layers


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
  across: nn.Module | None
  heads: int | None
  input_scale: float
  axis_name: str | None = None

  @nn.compact
  def __call__(self, *inputs: Array, train: bool) -> Array:
    x, component = inputs[0] if self.heads else (inputs[0], None)
    x = jnp.concatenate([part.reshape(len(part), -1) for part in (x, *inputs[1:])], axis=-1) * self.input_scale
    for number, width in enumerate(self.features):
      if component is not None and self.heads and number == 0:
        x = layers.SelectedDense(width, self.heads, self.kernel_init)(x, component)
      else:
        x = self.dense(width, kernel_init=self.kernel_init)(x)
      if self.batch_norm is not None:
        x = nn.BatchNorm(use_running_average=not train, momentum=self.batch_norm, axis_name=self.axis_name)(x)
      x = self.activation(x)
    self.sow("intermediates", "features", x)
    if self.across is not None:
      x = self.across(x, axis_name=self.axis_name)
    x = self.final(self.last(prod(self.out), kernel_init=self.kernel_init)(x))
    return x.reshape(len(x), *self.out)


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
  across: nn.Module | None = None,
  heads: int | None = None,
  input_scale: float = 1.0,
) -> MLP:
  """A multilayer perceptron, `[B, ...] -> [B, *out]`; its inputs are flattened and concatenated.

  Args:
    out: the shape of one output: 1 for logits, 2 for points, (8, 8, 3) for images.
    features: widths of the hidden layers.
    activation, final: a name in `flax.linen` or `networks.layers` (whose `leaky_relu` has the slope .2), or a function. `final` acts on the output.
    kernel_init, init_scale: a name in `flax.linen.initializers`, and its first argument ("orthogonal", .8).
    dense, last: the hidden layers and the last one: "Dense", "SpectralDense", or (hidden, with activation "identity") "Maxout".
    batch_norm: momentum of BatchNorm after every hidden layer.
    across: a layer that looks across samples, before the last layer, e.g. `layers.MinibatchDiscrimination(20, 5)`.
    heads: one first layer for each of so many components; the input is then `(z, component)`, as `priors.indexed` draws it.
    input_scale: multiplies the inputs.
  """
  initializer = _named(kernel_init, nn.initializers)
  return MLP(
    out=(out,) if isinstance(out, int) else tuple(out),
    features=tuple(features),
    activation=_named(activation, layers, nn),
    final=_named(final or layers.identity, layers, nn),
    kernel_init=initializer() if init_scale is None else initializer(init_scale),
    dense=_named(dense, layers, nn),
    last=_named(last, layers, nn),
    batch_norm=batch_norm,
    across=across,
    heads=heads,
    input_scale=input_scale,
  )


def _named(what: Any, *modules: Any) -> Any:
  """A function as it is, or the first of that name in the modules."""
  if not isinstance(what, str):
    return what
  for module in modules:
    if hasattr(module, what):
      return getattr(module, what)
  known = sorted(name for module in modules for name in dir(module) if not name.startswith("_"))
  near = get_close_matches(what, known, 1)
  raise ValueError(f"no {what!r} in {' or '.join(m.__name__ for m in modules)}" + (f"; did you mean {near[0]!r}?" if near else ""))
