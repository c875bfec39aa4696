"""Generator terms that ask for coverage: of every real example, of every component of the prior."""

import jax
import jax.numpy as jnp
from jax import Array, lax

from gan_jax.core import PyTree
from gan_jax.play import Play, Term


def imle(weight: float, pool: int = 10) -> Term:
  """weight * E_x |x - G(z*(x))|^2, z*(x) the latent, among `pool` times the batch, whose sample is nearest to x.

  Implicit maximum likelihood, Li & Malik, 2018 (arXiv:1809.09087), as InclusiveGAN (Yu et al., 2020, arXiv:2004.03355) adds it to an adversarial
  loss. Every *real* example pulls its nearest sample, so none is forgotten; the other way round (every sample to its nearest real example) is the
  precision half, and allows any mode to be dropped. Distances are Euclidean, of examples before the view (their image runs match by random
  projections and LPIPS, keep a match for many steps and also interpolate between matches; here a round draws a new pool). The search has no gradient,
  and costs `pool` forwards of G. With conditions x is matched among `pool` samples of its own condition.
  """

  def term(play: Play) -> Array:
    x = play.examples.reshape(len(play.examples), -1)
    nearest = _matched(play, x, pool)
    return weight * jnp.square(x - play.generate(nearest).reshape(x.shape)).sum(axis=1).mean()

  return term


def unit_scales(weight: float = 0.1) -> Term:
  """weight * mean (1 - s)^2, s the scales of the prior `trained_mixture`.

  Gurumurthy et al., 2017 (DeLiGAN, arXiv:1706.02071), eq. 7. Without it the scales shrink, and each component is a point.
  """

  def term(play: Play) -> Array:
    scales = play.state.params["generator"].get("prior_scale")
    if scales is None:
      raise ValueError("unit_scales is about the scales of a trained prior; use the prior trained_mixture")
    return weight * jnp.square(1 - scales).mean()

  return term


def _matched(play: Play, x: Array, pool: int) -> PyTree:
  """For each row of x `[n, D]` the latent of its nearest sample."""
  n = len(x)
  latents = play.draw(play.prior.sample, pool * n)
  rounds = jax.tree.map(lambda z: z.reshape(n, pool, *z.shape[1:]).swapaxes(0, 1), latents)  # [pool, n, ...]
  samples = lax.stop_gradient(jax.vmap(play.generate)(rounds)).reshape(pool, n, -1)
  if play.condition is not None:
    chosen = jnp.square(samples - x).sum(axis=2).argmin(axis=0)
    return jax.tree.map(lambda z: z[chosen, jnp.arange(n)], rounds)
  everybody = lambda z: play.gather(z.swapaxes(0, 1).reshape(n * pool, *z.shape[2:]))  # of all devices: the pool does not hang on their number
  candidates = everybody(samples)
  distance = jnp.square(candidates).sum(axis=1) - 2 * lax.stop_gradient(x) @ candidates.T  # less |x|^2, the same for all
  chosen = distance.argmin(axis=1)
  return jax.tree.map(lambda z: everybody(z)[chosen], rounds)


__all__ = ["imle", "unit_scales"]
