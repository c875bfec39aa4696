"""Methods that leave training as it is and draw from the generator in another way."""

import dataclasses

import jax
import jax.numpy as jnp
from jax import Array, lax

from gan_jax.calls import Sampler, flat_logits
from gan_jax.core import Batch, Game, GanState, PyTree


def rejection_sampling(
  game: Game, percentile: float | None = 80.0, burn_in: int = 1000, tries: int = 50, epsilon: float = 1e-6
) -> Game:
  """Discriminator rejection sampling: keep a sample with the probability that D's logit, as the log of data / model, gives it.

  Azadi et al., 2019 (arXiv:1810.06758), section 3. With L = D(x) and M the largest of `burn_in` samples' logits,

  accept x with probability sigmoid(F),   F = L - M - log(1 - exp(L - M - epsilon)) - gamma,

  gamma the `percentile` of F's other terms among the burn-in samples. With `percentile` None gamma is 0, the probability exp(L - M), and the accepted
  law is the data's wherever L is the true log ratio: only for minimax and non-saturating losses, at a D that has converged (theirs is trained on,
  and calibrated, with G at rest). sigmoid(L) in its place, a common short cut, accepts far too much of what D thinks bad. A row that finds nothing
  in `tries` rounds keeps its last candidate. D is asked at evaluation, and without a view. Burn-in is repeated by every call.

  Raises:
    ValueError: a game without one discriminator of single examples, or settings out of range.
  """
  if game.judge is None:
    raise ValueError("rejection_sampling asks a discriminator about single examples, and this game has none that sees them so")
  if burn_in < 1 or tries < 1:
    raise ValueError(f"burn_in is {burn_in} and tries is {tries}; rejection_sampling needs at least 1 of each")
  judge, draw = game.judge, game.sample

  def sample(state: GanState, key: Array, batch: Batch) -> PyTree:
    first_key, candidate_key, coin_key = jax.random.split(key, 3)
    logits_of = lambda examples, batch: flat_logits(judge(state, examples, batch)[0])
    n = len(batch["image"])
    rows = jax.tree.map(lambda x: x[jnp.arange(burn_in) % n], batch)
    logits = logits_of(draw(state, first_key, rows), rows)
    largest = logits.max()
    gamma = 0.0 if percentile is None else jnp.percentile(excess(logits, largest, epsilon), percentile)

    def propose(carry: tuple) -> tuple:
      number, examples, kept = carry
      fresh = draw(state, jax.random.fold_in(candidate_key, number), batch)
      chance = jax.nn.sigmoid(excess(logits_of(fresh, batch), largest, epsilon) - gamma)
      accepted = jax.random.uniform(jax.random.fold_in(coin_key, number), (n,)) < chance
      choose = lambda old, new: jnp.where(kept.reshape(n, *[1] * (new.ndim - 1)), old, new)
      return number + 1, jax.tree.map(choose, examples, fresh), kept | accepted

    empty = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(draw, state, key, batch))
    waiting = lambda carry: (carry[0] < tries) & ~carry[2].all()
    return lax.while_loop(waiting, propose, (0, empty, jnp.zeros(n, bool)))[1]

  return game._replace(sample=sample)


def truncation(game: Game, threshold: float) -> Game:
  """The truncation trick: at evaluation, latent coordinates beyond [-threshold, threshold] are drawn again until they are within.

  Brock et al., 2019 (BigGAN, arXiv:1809.11096), section 3.1. Fidelity for diversity: it thins out, and at small thresholds drops, what far latents
  make, so a mode count under it says what the trick costs, not what training learned. Redrawn, not clipped: clipping piles latents up at the edge.
  For priors of independent coordinates; leaves of whole numbers stay. Training is untouched.

  Raises:
    ValueError: a threshold that is not positive, or a game that does not draw its samples from latents (put this before `rejection_sampling`).
  """
  if not threshold > 0:
    raise ValueError(f"threshold is {threshold}; latents need room, use a positive one")
  if not isinstance(game.sample, Sampler):
    raise ValueError("truncation changes the latents that samples are made of, and this game's are not made by play.sampler")
  draw = game.sample.latent
  beyond = lambda z: jnp.abs(z) > threshold if jnp.issubdtype(z.dtype, jnp.inexact) else jnp.zeros(z.shape, bool)

  def latent(key: Array, n: int) -> PyTree:
    def redraw(carry: tuple) -> tuple:
      number, z = carry
      fresh = draw(jax.random.fold_in(key, number), n)
      return number + 1, jax.tree.map(lambda old, new: jnp.where(beyond(old), new, old), z, fresh)

    left = lambda carry: (carry[0] < _MOST) & jnp.stack([beyond(z).any() for z in jax.tree.leaves(carry[1])]).any()
    _, z = lax.while_loop(left, redraw, (0, draw(key, n)))
    return jax.tree.map(lambda z: jnp.clip(z, -threshold, threshold) if jnp.issubdtype(z.dtype, jnp.inexact) else z, z)

  return game._replace(sample=dataclasses.replace(game.sample, latent=latent))


_MOST = 10_000  # redraws; what is still beyond is clipped


def excess(logits: Array, largest: Array, epsilon: float) -> Array:
  """L - M - log(1 - exp(L - M - epsilon)), with a logit beyond the largest so far taken for the largest."""
  below = jnp.minimum(logits - largest, 0.0)
  return below - jnp.log1p(-jnp.exp(below - epsilon))


__all__ = ["rejection_sampling", "truncation"]
