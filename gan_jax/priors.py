"""Priors: where latents come from."""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from gan_jax.calls import Prior, on_axis, straight
from gan_jax.core import PyTree


def normal(size: int, scale: float = 1.0) -> Prior:
  """z ~ N(0, scale^2 I), `[n, size]`."""
  return Prior(lambda key, n: scale * jax.random.normal(key, (n, size)), arc, lambda z: -jnp.square(z / scale).sum(axis=1) / 2)


def uniform(size: int, low: float = -1.0, high: float = 1.0) -> Prior:
  """z ~ U[low, high]^size, `[n, size]`."""
  return Prior(lambda key, n: jax.random.uniform(key, (n, size), minval=low, maxval=high))


def nothing() -> Prior:
  """Latents of no numbers, `[n, 0]`: for a generator whose condition says it all, as that of pix2pix without noise."""
  return Prior(lambda key, n: jnp.zeros((n, 0)))


def indexed(prior: Prior, num_components: int) -> Prior:
  """`(z, component)`: a batch holds every component equally often, up to one; which ones have that one more, and where they stand, is random.

  So each row's component is uniform, whatever the size of the batch, and rows that meet (in a pack, in a group) have components like any others.
  """

  def sample(key: Array, n: int) -> tuple[PyTree, Array]:
    own, first, order = jax.random.split(key, 3)
    components = (jax.random.randint(first, (), 0, num_components) + jnp.arange(n)) % num_components
    return prior.sample(own, n), jax.random.permutation(order, components)

  return Prior(sample, lambda start, end, t: (prior.between(start[0], end[0], t), start[1]))


class Mixture(nn.Module):
  """A generator of latents mean_k + scale_k * noise, which has the components' means and scales: `(noise [n, Z], k [n]) -> of(z)`."""

  of: nn.Module
  num_components: int
  scale: float
  axis_name: str | None = None

  @nn.compact
  def __call__(self, latent: tuple[Array, Array], *condition: Array, train: bool) -> Array:
    noise, component = latent
    shape = (self.num_components, noise.shape[-1])
    mean = self.param("prior_mean", lambda key, shape: jax.random.uniform(key, shape, minval=-1.0), shape)
    scale = self.param("prior_scale", nn.initializers.constant(self.scale), shape)
    generator = on_axis(self.of, self.axis_name).clone(parent=self, name="generator")
    return generator(mean[component] + scale[component] * noise, *condition, train=train)


def trained_mixture(size: int, num_components: int = 50, scale: float = 0.2) -> Prior:
  """DeLiGAN's prior, z = mean_k + scale_k * noise, k one of `num_components` and noise ~ N(0, I): the components are trained with the generator.

  Gurumurthy et al., 2017 (arXiv:1706.02071), section 4. Means start uniform in [-1, 1]^size and scales at `scale` (.2; their toy code: .02). Add the
  generator term `unit_scales` (weight .1), or scales shrink to 0 and the prior to `num_components` points. They are parameters of the generator
  ("prior_mean", "prior_scale"): they have its optimiser and its average, and unrolling sees them. A batch holds every component equally often; with
  as many components as modes each may settle on one: show a run with fewer. Their released toy also skips G's or D's step by a threshold on G's
  loss; that is no part of the prior.
  """
  drawn = indexed(normal(size), num_components)
  return Prior(drawn.sample, drawn.between, front=lambda generator: Mixture(generator, num_components, scale))


def coded(of: Prior, categories: Sequence[int] = (10,), continuous: int = 0) -> Prior:
  """InfoGAN's latents, `[n, Z + sum(categories) + continuous]`: those of `of`, a uniform one-hot code for each of `categories`, and `continuous`
  numbers ~ U[-1, 1].

  Chen et al., 2016 (arXiv:1606.03657), section 7. G takes them as one vector; `diversity.information` reads the code from its end.
  """

  def sample(key: Array, n: int) -> Array:
    plain, drawn, numbers = jax.random.split(key, 3)
    codes = [
      jax.nn.one_hot(jax.random.randint(k, (n,), 0, size), size) for k, size in zip(jax.random.split(drawn, len(categories)), categories, strict=True)
    ]
    uniform = jax.random.uniform(numbers, (n, continuous), minval=-1.0)
    return jnp.concatenate([of.sample(plain, n), *codes, uniform], axis=1)

  def between(start: Array, end: Array, t: Array) -> Array:
    width = sum(categories) + continuous
    return jnp.concatenate([of.between(start[:, :-width], end[:, :-width], t), straight(start[:, -width:], end[:, -width:], t)], axis=1)

  return Prior(sample, between)


def arc(start: Array, end: Array, t: Array) -> Array:
  """The great circle from `start` to `end`, `[n, Z]` each, at t in [0, 1]: sin((1-t) w) / sin w * start + sin(t w) / sin w * end, w their angle.

  White, 2016 (arXiv:1609.04468). Normal latents of many dimensions lie near a sphere, and the straight line leaves it.
  """
  norms = jnp.linalg.norm(start, axis=-1, keepdims=True) * jnp.linalg.norm(end, axis=-1, keepdims=True)
  cosine = jnp.clip((start * end).sum(axis=-1, keepdims=True) / norms, -1, 1)
  angle = jnp.arccos(cosine)
  flat = jnp.sin(angle) < 1e-4  # alike or opposite: no one great circle
  safe = jnp.where(flat, 1.0, angle)
  round_way = (jnp.sin((1 - t) * safe) * start + jnp.sin(t * safe) * end) / jnp.sin(safe)
  return jnp.where(flat, straight(start, end, t), round_way)


__all__ = ["coded", "indexed", "normal", "nothing", "trained_mixture", "uniform"]
