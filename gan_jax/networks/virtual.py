"""Virtual batch normalisation: each example is normalised by a batch that was set aside at the start, so that no two examples of a batch meet."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array, lax

from gan_jax.networks.convolution import Conv
from gan_jax.networks.dense import Dense

STATISTICS = "reference_statistics"


class VirtualBatchNorm(nn.Module):
  """Each channel less the mean, over the standard deviation, of the reference batch and the example itself; then scaled and shifted: `[B, ..., C]`.

  Salimans et al., 2016 (arXiv:1606.03498), section 3.4. As in their code the moments are those of the R reference examples with weight R / (R + 1)
  and of the example (over its pixels) with 1 / (R + 1). Works inside `networks.virtual_batch`, which makes the reference pass.

  Raises:
    ValueError: outside of `networks.virtual_batch`.
  """

  epsilon: float = 1e-5

  @nn.compact
  def __call__(self, x: Array) -> Array:
    scale = self.param("scale", nn.initializers.ones, (x.shape[-1],))
    bias = self.param("bias", nn.initializers.zeros, (x.shape[-1],))
    if self.has_rng("reference"):  # the reference pass
      axes = tuple(range(x.ndim - 1))
      first, second = x.mean(axes), jnp.square(x).mean(axes)
      for name, value in (("mean", first), ("square", second), ("count", jnp.float32(len(x)))):
        self.variable(STATISTICS, name, lambda: value).value = value
    else:
      if not self.has_variable(STATISTICS, "mean"):
        raise ValueError("VirtualBatchNorm needs a reference batch; put the network into networks.virtual_batch")
      known: dict[str, Array] = {name: self.get_variable(STATISTICS, name) for name in ("mean", "square", "count")}
      axes, own = tuple(range(1, x.ndim - 1)), 1 / (known["count"] + 1)
      first = own * x.mean(axes, keepdims=True) + (1 - own) * known["mean"]
      second = own * jnp.square(x).mean(axes, keepdims=True) + (1 - own) * known["square"]
    return (x - first) * lax.rsqrt(jnp.maximum(second - jnp.square(first), 0) + self.epsilon) * scale + bias


class VirtualDense(nn.Module):
  """A dense layer with `VirtualBatchNorm` after it: `dense = "VirtualDense"` of a network in `virtual_batch`."""

  features: int
  kernel_init: nn.initializers.Initializer = nn.initializers.lecun_normal()
  dtype: Any = None

  @nn.compact
  def __call__(self, x: Array) -> Array:
    return VirtualBatchNorm()(Dense(self.features, use_bias=False, kernel_init=self.kernel_init, dtype=self.dtype)(x))


class VirtualConv(nn.Module):
  """A convolution with `VirtualBatchNorm` after it: `conv = "VirtualConv"` of a network in `virtual_batch`."""

  features: int
  kernel_size: int = 3
  strides: int = 1
  use_bias: bool = True  # the normalisation's, in any case
  kernel_init: nn.initializers.Initializer = nn.initializers.lecun_normal()
  dtype: Any = None

  @nn.compact
  def __call__(self, x: Array) -> Array:
    return VirtualBatchNorm()(Conv(self.features, self.kernel_size, self.strides, False, self.kernel_init, self.dtype)(x))


class VirtualBatch(nn.Module):
  """See `virtual_batch`."""

  make: Callable[[], nn.Module]
  size: int | None
  axis_name: str | None = None

  @nn.compact
  def __call__(self, *inputs: Any, train: bool) -> Array:
    network = self.make()
    if hasattr(network, "axis_name"):
      network = network.clone(axis_name=self.axis_name)
    reference = self.variable("reference", "inputs", lambda: jax.tree.map(lambda x: x[: self.size], inputs)).value
    passing = {"reference": jax.random.key(0)}  # the mark of the reference pass; nothing is drawn from it
    first: dict[str, Any] = {}
    if self.is_initializing():
      first = dict(network.init({"params": self.make_rng("params"), **passing}, *reference, train=False))
    params = self.param("network", lambda key: first["params"]) if first else self.get_variable("params", "network")
    kept = {
      collection: self.variable(collection, "network", lambda c=collection: first[c])
      for collection in (*first, *self.variables) if collection not in ("params", "reference", "intermediates", STATISTICS)
    }  # fmt: skip
    variables = {"params": params, **{collection: variable.value for collection, variable in kept.items()}}
    _, statistics = network.apply(variables, *reference, train=train, rngs=passing, mutable=[STATISTICS, *kept])
    if STATISTICS not in statistics:
      raise ValueError('virtual_batch is for a network with VirtualBatchNorm layers, and this one has none: dense = "VirtualDense", or conv')
    changing = [collection for collection in (*kept, "intermediates") if self.is_mutable_collection(collection)]
    out, changed = network.apply({**variables, STATISTICS: statistics[STATISTICS]}, *inputs, train=train, mutable=changing)
    for collection, variable in kept.items():
      if collection in changed:
        variable.value = changed[collection]
    if "intermediates" in changed:
      self.put_variable("intermediates", "network", changed["intermediates"])
    return out


def virtual_batch(of: nn.Module, size: int | None = None) -> VirtualBatch:
  """The network `of`, whose `VirtualBatchNorm` layers know a reference batch: the first `size` of the inputs that it is initialised with, or all.

  Salimans et al., 2016 (arXiv:1606.03498), section 3.4: for D the first real examples, for G the first latents, for ever. Every call sends the
  reference through the network as well, with the weights of the moment and with a gradient (cost: `size` more rows), so an example's output does
  not depend on what else is in its batch, in training as at evaluation, and real and fake meet one normalisation.
  Traps: statistics of the reference kept from an earlier step are another method; the example's own share, 1 / (R + 1), is part of it.
  """
  return VirtualBatch(lambda: of, size)


__all__ = ["VirtualBatchNorm", "VirtualConv", "VirtualDense", "virtual_batch"]
