"""How builders read their settings: names of functions and layers, and what the shape of an image must be."""

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from math import ceil
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from gan_jax.networks import convolution, layers


def function(what: str | Callable[[Array], Array] | None) -> Callable[[Array], Array]:
  """An activation: a function as it is, or that of `networks.layers` or `flax.linen` with this name. None is the identity."""
  return layers.identity if what is None else _named(what, layers, nn)


def layer(what: str | Callable[..., nn.Module]) -> Callable[..., nn.Module]:
  """The class of a layer: of `networks.layers`, `networks.convolution` or `flax.linen`."""
  return _named(what, layers, convolution, nn)


def initializer(name: str, scale: float | None) -> nn.initializers.Initializer:
  """A name in `flax.linen.initializers`, and its first argument."""
  make = _named(name, nn.initializers)
  return make() if scale is None else make(scale)


def image_shape(out: Sequence[int] | int, name: str) -> tuple[int, int, int]:
  """Raises ValueError if `out` is no `(height, width, channels)`."""
  shape = (out,) if isinstance(out, int) else tuple(out)
  if len(shape) != 3:
    raise ValueError(f"{name} makes images of shape (height, width, channels); {shape} is no such shape")
  return shape  # type: ignore[return-value]


def same_length(name: str, features: Sequence[int], strides: Sequence[int] | None, fewer: int = 0) -> tuple[int, ...]:
  """The strides, 2 where none are given: one for each of the features, or so many fewer."""
  wanted = len(features) - fewer
  if strides is not None and len(strides) != wanted:
    raise ValueError(f"{name} has {len(features)} features and {len(strides)} strides; it needs {wanted} strides")
  return (2,) * wanted if strides is None else tuple(strides)


def sizes(size: tuple[int, int], strides: Sequence[int]) -> list[tuple[int, int]]:
  """Heights and widths on the way to an image of this size, the smallest first; every stride divides and rounds up: 28 <- 14 <- 7 <- 4."""
  found = [size]
  for stride in reversed(strides):
    found.append((ceil(found[-1][0] / stride), ceil(found[-1][1] / stride)))
  return found[::-1]


def whole(x: Array) -> Array:
  """In float32 at least, whatever the network computes in."""
  return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def flat(x: Array) -> Array:
  return x.reshape(len(x), -1)


def latent(z: Array) -> Array | None:
  """The latents as `[B, Z]`, or None where they hold no numbers (`priors.nothing`)."""
  return flat(z) if z.size else None


def image_condition(condition: Any, name: str) -> Array:
  """The condition, if it is an image `[B, H, W, C]`.

  ValueError: it is not, or there is none.
  """
  if condition is None or jnp.ndim(condition) != 4:
    raise ValueError(f"{name} makes images of images; the data's condition is {'none' if condition is None else f'of shape {condition.shape[1:]}'}")
  return condition


def _named(what: Any, *modules: Any) -> Any:
  """What is no string as it is; otherwise the first of that name in the modules."""
  if not isinstance(what, str):
    return what
  for module in modules:
    if hasattr(module, what):
      return getattr(module, what)
  known = sorted(name for module in modules for name in dir(module) if not name.startswith("_"))
  near = get_close_matches(what, known, 1)
  raise ValueError(f"no {what!r} in {' or '.join(m.__name__ for m in modules)}" + (f"; did you mean {near[0]!r}?" if near else ""))
