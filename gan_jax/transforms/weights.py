"""What happens to a player's weights beside its own update: bounds, pulls, and steps back."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from gan_jax.core import Game, GanState, PyTree
from gan_jax.optimizers import keep_within, pull_to_history
from gan_jax.transforms.turns import find_player


def clip_weights(game: Game, limit: float, player: str = "discriminator") -> Game:
  """Keep the player's parameters in [-limit, limit] after every update: the first way to a Lipschitz critic (limit .01).

  Arjovsky et al., 2017 (arXiv:1701.07875), algorithm 1. Comes before transforms that look ahead, which then clip as well.
  """
  me = find_player(game, player)
  return game._replace(players={**game.players, player: me._replace(optimizer=optax.chain(me.optimizer, keep_within(limit)))})


def historical_averaging(game: Game, weight: float) -> Game:
  """Every player also pays weight * |theta - (1/t) sum_i theta_i|^2, for its distance from the average of its parameters so far.

  Salimans et al., 2016 (arXiv:1606.03498), section 3.3; their code has it not. The average is of all past values alike: an exponential one follows
  the orbit that the term is to stop. The pull is part of the loss, so it reaches the optimiser with the gradient (and Adam's moments see it); as the
  average needs memory of the parameters' own shapes, it lives in the optimiser's state (`optimizers.pull_to_history`), not in a term of the loss.
  """
  pulled = lambda optimizer: optax.chain(pull_to_history(weight), optimizer)
  return game._replace(players={name: player._replace(optimizer=pulled(player.optimizer)) for name, player in game.players.items()})


class Slow(NamedTuple):
  """An optimiser's own state, and the slow weights beside it."""

  fast: PyTree
  slow: PyTree


def lookahead(game: Game, k: int = 5, alpha: float = 0.5) -> Game:
  """Lookahead-minmax: after every k rounds all players together step back to slow weights, slow <- slow + alpha (fast - slow), fast <- slow.

  Chavdarova et al., 2021 (arXiv:2006.14567), algorithm 1; k = 5, alpha = .5. The average of two points of an orbit lies inside it, so play spirals
  in. It takes both players, and the end of a round: a lookahead optimiser for each player (optax's) steps D back before G has made its own k-th
  move against the fast D. The slow weights start at the first weights, as in the paper (the released code starts them at the first step back, which
  then does nothing). Moments of the optimisers go on as they are. Twice is nested lookahead: `lookahead(lookahead(game, 5), 5000)` has "super slow"
  weights; an outer step back resets inner slow weights too. The slow weights are part of the optimiser's state, so this comes before transforms
  that look ahead.

  Raises:
    ValueError: k < 1.
  """
  if k < 1:
    raise ValueError(f"k is {k}; lookahead steps back after 1 round or more")

  def end(state: GanState) -> GanState:
    bare = jax.tree.map(lambda node: node.fast if _is_slow(node) else node, state.opt_state, is_leaf=_is_slow)
    inner = game.end(state.replace(opt_state=bare))
    now, params, opt_state = inner.step % k == 0, {}, {}
    for name, fast in inner.params.items():
      slow = next(node.slow for node in jax.tree.leaves(state.opt_state[name], is_leaf=_is_slow) if _is_slow(node))
      slow = _chosen(now, jax.tree.map(lambda slow, fast: slow + alpha * (fast - slow), slow, fast), slow)
      params[name] = _chosen(now, slow, fast)
      wrapped = lambda node, own: Slow(_set_back(own, now, slow), slow) if _is_slow(node) else own
      opt_state[name] = jax.tree.map(wrapped, state.opt_state[name], inner.opt_state[name], is_leaf=_is_slow)
    return inner.replace(params=params, opt_state=opt_state)

  players = {name: player._replace(optimizer=_with_slow(player.optimizer)) for name, player in game.players.items()}
  return game._replace(players=players, end=end)


def _with_slow(optimizer: optax.GradientTransformation) -> optax.GradientTransformation:
  def init(params):
    return Slow(optimizer.init(params), jax.tree.map(jnp.copy, params))  # a copy: a donated state may not hold one buffer twice

  def update(updates, state, params=None):
    updates, fast = optimizer.update(updates, state.fast, params)
    return updates, state._replace(fast=fast)

  return optax.GradientTransformation(init, update)


def _is_slow(node: Any) -> bool:
  return isinstance(node, Slow)


def _set_back(opt_state: PyTree, now: Array, weights: PyTree) -> PyTree:
  """All slow weights inside an optimiser's state become `weights`, if now."""
  change = lambda node: Slow(_set_back(node.fast, now, weights), _chosen(now, weights, node.slow)) if _is_slow(node) else node
  return jax.tree.map(change, opt_state, is_leaf=_is_slow)


def _chosen(now: Array, chosen: PyTree, other: PyTree) -> PyTree:
  return jax.tree.map(lambda a, b: jnp.where(now, a, b), chosen, other)


__all__ = ["clip_weights", "historical_averaging", "lookahead"]
