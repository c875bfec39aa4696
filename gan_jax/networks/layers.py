"""Layers that look across the samples of a batch, spectral normalisation, and activations with the field's settings.

Cross-sample layers take `axis_name`, the mapped axis the global batch is spread over: one device and many see the same batch.
"""

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from gan_jax.core import gather, own_rows
from gan_jax.networks.convolution import Conv
from gan_jax.networks.dense import Dense
from gan_jax.networks.virtual import VirtualConv as VirtualConv
from gan_jax.networks.virtual import VirtualDense as VirtualDense


class MinibatchDiscrimination(nn.Module):
  """Appends to each row its closeness to the others, o_ik = sum_{j != i} exp(-|M_ik - M_jk|_1) + b_k: `[B, A] -> [B, A + num_kernels]`.

  Salimans et al., 2016 (arXiv:1606.03498), eq. 2-4, as in their code: M = h T, T `[A, num_kernels, dim]` ~ N(0, .05^2), columns normalised and
  scaled by exp(log_scale), which starts where the mean nearest distance on the first batch is 2. A row is not compared with itself, and real
  and fake come in separate batches. Cost and memory grow as B^2 * num_kernels * dim; the value depends on B. Unlike their code, b starts at
  its default -1 and not at minus the first batch's mean, and a kernel's columns share one trained scale.
  """

  num_kernels: int = 20
  dim: int = 5

  @nn.compact
  def __call__(self, h: Array, axis_name: str | None = None) -> Array:
    if len(h) < 2 and axis_name is None:
      raise ValueError("minibatch discrimination compares samples; it needs a batch of 2 or more")
    kernel = self.param("kernel", nn.initializers.normal(0.05), (h.shape[-1], self.num_kernels, self.dim))
    projected = jnp.einsum("ba,akd->kdb", h, kernel / jnp.sqrt(jnp.square(kernel).sum(axis=0) + 1e-12))

    def start(key: Array) -> Array:
      del key
      nearest = jnp.min(_distances(projected, projected) + 1e6 * jnp.eye(len(h)), axis=-1).mean(axis=1)
      return -jnp.log(0.5 * nearest + 1e-6)

    projected *= jnp.exp(self.param("log_scale", start))[:, None, None]
    everyone = gather(projected.T, axis_name).T
    mine = own_rows(jnp.eye(everyone.shape[-1]), len(h), axis_name)
    closeness = jnp.sum(jnp.exp(-_distances(projected, everyone)) * (1 - mine), axis=-1).T
    return jnp.concatenate([h, closeness + self.param("bias", nn.initializers.constant(-1.0), (self.num_kernels,))], axis=-1)


class MinibatchStddev(nn.Module):
  """Appends one feature, the standard deviation over a group of `group_size` samples averaged over all features: `[..., C] -> [..., C + 1]`.

  Karras et al., 2018 (arXiv:1710.10196), as in StyleGAN2: groups are strided (row i belongs to group i mod B / group_size), the variance has
  1e-8 added inside the root.
  """

  group_size: int = 4

  @nn.compact
  def __call__(self, h: Array, axis_name: str | None = None) -> Array:
    everyone = gather(h, axis_name)
    if len(everyone) % self.group_size:
      raise ValueError(f"batch of {len(everyone)} cannot be cut into groups of {self.group_size}; use a multiple of {self.group_size}")
    groups = everyone.reshape(self.group_size, -1, *h.shape[1:])
    spread = jnp.sqrt(groups.var(axis=0) + 1e-8).reshape(groups.shape[1], -1).mean(axis=1)
    mine = own_rows(jnp.tile(spread, self.group_size), len(h), axis_name)
    mine = jnp.broadcast_to(mine.reshape(-1, *[1] * (h.ndim - 1)), (*h.shape[:-1], 1))
    return jnp.concatenate([h, mine], axis=-1)


class SpectralDense(nn.Module):
  """A dense layer whose kernel is divided by its largest singular value, from one power iteration per turn.

  Miyato et al., 2018 (arXiv:1802.05957). The singular vector is model_state.
  """

  features: int
  use_bias: bool = True
  kernel_init: nn.initializers.Initializer = nn.initializers.lecun_normal()
  dtype: Any = None

  @nn.compact
  def __call__(self, x: Array) -> Array:
    return _normalized(self, Dense(self.features, self.use_bias, kernel_init=self.kernel_init, dtype=self.dtype), x)


class SpectralConv(nn.Module):
  """A convolution whose kernel, as a matrix `[a b C, O]`, is divided by its largest singular value, from one power iteration per turn.

  Miyato et al., 2018 (arXiv:1802.05957): this bounds the slope of the convolution, but is not its norm as an operator on images.
  """

  features: int
  kernel_size: int = 3
  strides: int = 1
  use_bias: bool = True
  kernel_init: nn.initializers.Initializer = nn.initializers.lecun_normal()
  dtype: Any = None

  @nn.compact
  def __call__(self, x: Array) -> Array:
    conv = Conv(self.features, self.kernel_size, self.strides, self.use_bias, self.kernel_init, self.dtype)
    return _normalized(self, conv, x)


class Maxout(nn.Module):
  """The largest of `pieces` linear maps, `[B, A] -> [B, features]`. Goodfellow et al., 2013 (arXiv:1302.4389)."""

  features: int
  pieces: int = 5
  kernel_init: nn.initializers.Initializer = nn.initializers.lecun_normal()
  dtype: Any = None

  @nn.compact
  def __call__(self, x: Array) -> Array:
    pieces = Dense(self.features * self.pieces, kernel_init=self.kernel_init, dtype=self.dtype)(x)
    return pieces.reshape(len(x), self.features, self.pieces).max(axis=-1)


class Recognition(nn.Module):
  """InfoGAN's head Q on D's last features, `across = recognition(size)`: gives the features on as they are, and sows `recognition`, `[B, size]`.

  Chen et al., 2016 (arXiv:1606.03657), section 6: a linear layer, or with `hidden` one leaky ReLU layer before it (their image nets: 128). Its
  weights are D's.
  """

  size: int
  hidden: int | None = None

  @nn.compact
  def __call__(self, h: Array, axis_name: str | None = None) -> Array:
    x = h.reshape(len(h), -1)
    x = x if self.hidden is None else leaky_relu(Dense(self.hidden, name="hidden")(x))
    self.sow("intermediates", "recognition", Dense(self.size, name="codes")(x))
    return h


class SlicedDense(nn.Module):
  """A last layer that is a direction, <w, h> with |w| = 1, `[B, F] -> [B, 1]`: what `objectives.san` needs (`last = "SlicedDense"`).

  Takida et al., 2024 (arXiv:2301.12811), section 5. As in their code, h = |v| (f + b), v the kernel and b a shift of the features f, and w = v / |v|:
  the scale and the bias belong to h, so D can represent what a dense layer can. Sows `slice`: (h, w).
  """

  features: int = 1
  kernel_init: nn.initializers.Initializer = nn.initializers.lecun_normal()
  dtype: Any = None

  @nn.compact
  def __call__(self, x: Array) -> Array:
    if self.features != 1:
      raise ValueError(f"a slice is one direction; SlicedDense makes 1 output, not {self.features}")
    kernel = self.param("kernel", self.kernel_init, (x.shape[-1], 1))[:, 0]
    norm = jnp.sqrt(jnp.square(kernel).sum() + 1e-12)
    h = norm * (x + self.param("bias", nn.initializers.zeros, (x.shape[-1],)))
    self.sow("intermediates", "slice", (h, kernel / norm))
    return (h @ (kernel / norm))[:, None]


class SelectedDense(nn.Module):
  """One dense layer for each of `num_heads` components, chosen by row: `([B, A], [B] int) -> [B, features]`."""

  features: int
  num_heads: int
  kernel_init: nn.initializers.Initializer = nn.initializers.lecun_normal()

  @nn.compact
  def __call__(self, x: Array, component: Array) -> Array:
    make = lambda key, shape: jnp.stack([self.kernel_init(k, shape) for k in jax.random.split(key, self.num_heads)])
    kernel = self.param("kernel", make, (x.shape[-1], self.features))
    bias = self.param("bias", nn.initializers.zeros, (self.num_heads, self.features))
    choice = jax.nn.one_hot(component, self.num_heads)
    return jnp.einsum("bh,haf,ba->bf", choice, kernel, x) + choice @ bias


def identity(x: Array) -> Array:
  return x


def leaky_relu(x: Array) -> Array:
  """max(x, .2 x): the slope that GANs use (flax's own default is .01)."""
  return nn.leaky_relu(x, 0.2)


def leaky(slope: float = 0.2) -> Callable[[Array], Array]:
  """max(x, slope x), as an activation: `{"name": "leaky_relu", "slope": .3}` in a config."""

  def leaky_relu(x: Array) -> Array:
    return nn.leaky_relu(x, slope)

  return leaky_relu


def _normalized(owner: nn.Module, layer: nn.Module, x: Array) -> Array:
  update = owner.is_mutable_collection("batch_stats")  # in training; evaluation leaves the vector as it is
  return nn.SpectralNorm(layer, n_steps=1)(x, update_stats=update)


def _distances(a: Array, b: Array) -> Array:
  """L1 distances of every kernel: `[K, d, B], [K, d, C] -> [K, B, C]`.

  A sum over d of flat maps is 2.6x faster on CPU than a reduction over the last axis (ring at batch 64, whole round).
  """
  return functools.reduce(jnp.add, (jnp.abs(a[:, i, :, None] - b[:, i, None, :]) for i in range(a.shape[1])))
