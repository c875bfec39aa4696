"""Which of the examples that a turn is given it plays on: ridge leverage score sampling."""

from typing import Literal

import jax
import jax.numpy as jnp
from jax import Array, lax

from gan_jax.calls import flat_features
from gan_jax.core import Aux, Batch, Game, GanState, Loss, PyTree, gather, own_rows


def ridge_leverage(
  game: Game,
  pool: int = 20,
  gamma: float = 1e-4,
  sketch: int | None = 25,
  on: Literal["discriminator", "samples"] = "discriminator",
  scale: float = 0.15,
) -> Game:
  """RLS-GAN: every turn plays on a `pool`-th of the examples it is given, drawn in proportion to their ridge leverage scores.

  l_i = f_i^T (F^T F + n gamma 1)^-1 f_i, F `[n, k]` the features of all n examples at hand. Schreurs et al., 2021 (arXiv:2104.02373). What lies
  where few others do has a high score: r orthogonal groups of whatever sizes are drawn with 1 / r each as gamma falls to 0, and in proportion to
  their sizes as it rises.
  So the law that is learned is no longer the data's: report it as re-balancing, and compare with other methods that change the target.
  Drawn with replacement. A turn needs `pool` times the batch: for 64 examples and a pool of 20 the batch_size is 1280.

  Args:
    pool: how many times more examples come in than are played on. Published: 20.
    gamma: the ridge, an example's share of it; published 1e-4 with D's features, 1e-3 with fixed ones.
    sketch: D's features are projected on so many random directions, N(0, 1 / sketch), new ones in every turn (25 for points, 10 for MNIST as
      published); None takes them whole.
    on: "discriminator", D's features as they are in this turn; or "samples", the fixed features of the Gaussian kernel exp(-|x - y|^2 / scale^2),
      l = diag K (K + n gamma 1)^-1. The paper computes these once, over the whole training set; here it is over the n examples at hand, at a
      cost of n^3, so take a small pool. Scores of streams and of fresh samples exist only so.

  Traps: gamma in place of n gamma, and the mean of f f^T in place of the sum, both change what gamma means; scores that a fixed D gave go stale.

  Raises:
    ValueError: settings out of range, a batch that is no multiple of `pool`, or a game whose D does not look at single examples.
  """
  if pool < 1:
    raise ValueError(f"pool is {pool}; a turn plays on one of `pool` examples, at least 1")
  if on not in ("discriminator", "samples"):
    raise ValueError(f'on is "{on}"; it may be "discriminator" or "samples"')
  if on == "discriminator" and game.judge is None:
    raise ValueError('ridge_leverage asks the discriminator about single examples, and this game has none that sees them so; use on = "samples"')

  def scores(state: GanState, batch: Batch, key: Array) -> Array:
    """Of the rows of all devices."""
    if on == "samples":
      return kernel_scores(gaussian_kernel(gather(flat_features(batch["image"]), game.axis_name), scale), gamma)
    assert game.judge is not None
    features = gather(game.judge(state, batch["image"], batch)[1], game.axis_name)
    if sketch is not None:
      features = features @ (jax.random.normal(key, (features.shape[1], sketch), features.dtype) / sketch**0.5)
    return leverage_scores(features, gamma)

  def chosen(state: GanState, batch: Batch, key: Array) -> Batch:
    rows = len(batch["image"])
    if rows % pool:
      raise ValueError(f"batch of {rows} cannot be cut into pools of {pool}; use a multiple of {pool} (and of it for each turn)")
    sketch_key, choice_key = jax.random.split(jax.random.fold_in(key, _CHOICE))
    heights = jnp.cumsum(lax.stop_gradient(scores(state, batch, sketch_key)))
    count = rows // pool
    every = count * (len(heights) // rows)
    index = jnp.searchsorted(heights, heights[-1] * jax.random.uniform(choice_key, (every,)), side="right")
    mine = own_rows(jnp.minimum(index, len(heights) - 1), count, game.axis_name)
    return jax.tree.map(lambda x: gather(x, game.axis_name)[mine], batch)

  def selective(own: Loss) -> Loss:
    def loss(params: PyTree, state: GanState, batch: Batch, key: Array) -> tuple[Array, Aux]:
      return own(params, state, chosen(state, batch, key), key)

    return loss

  players = {
    name: player._replace(loss=selective(player.loss), parts={part: selective(own) for part, own in player.parts.items()})
    for name, player in game.players.items()
  }
  return game._replace(players=players)


_CHOICE = 2**31 - 2  # folded into a turn's key: nothing else in a turn counts so far


def leverage_scores(features: Array, gamma: float) -> Array:
  """l_i = f_i^T (F^T F + n gamma 1)^-1 f_i of the rows of `features` `[n, k]`."""
  n, k = features.shape
  ridge = features.T @ features + n * gamma * jnp.eye(k, dtype=features.dtype)
  half = jax.scipy.linalg.solve_triangular(jnp.linalg.cholesky(ridge), features.T, lower=True)
  return jnp.square(half).sum(axis=0)


def gaussian_kernel(x: Array, scale: float) -> Array:
  """exp(-|x_i - x_j|^2 / scale^2) of the rows of `x` `[n, D]`."""
  square = jnp.square(x).sum(axis=1)
  distance = jnp.maximum(square[:, None] + square[None, :] - 2 * x @ x.T, 0)
  return jnp.exp(-distance / scale**2)


def kernel_scores(kernel: Array, gamma: float) -> Array:
  """The same from the features' inner products `[n, n]`: the diagonal of K (K + n gamma 1)^-1."""
  n = len(kernel)
  one = jnp.eye(n, dtype=kernel.dtype)
  inverse = jax.scipy.linalg.cho_solve((jnp.linalg.cholesky(kernel + n * gamma * one), True), one)
  return 1 - n * gamma * jnp.diagonal(inverse)


__all__ = ["ridge_leverage"]
