"""Players who look ahead: at the rival's answer, or at where everybody would go."""

from typing import Literal

import jax
import jax.numpy as jnp
from jax import Array, lax

from gan_jax.core import Aux, Batch, Game, GanState, Loss, PyTree, take_turn, with_entry
from gan_jax.transforms.turns import find_player, simultaneous, with_losses

AHEAD = 2**31 - 4  # folded into a turn's key: nothing else in a turn counts so far


def unroll(game: Game, steps: int, player: str = "generator", rival: str = "discriminator") -> Game:
  """`player` minimises its loss against the rival of `steps` updates ahead, and sees how those updates depend on it.

  Metz et al., 2017 (arXiv:1611.02163), eq. 5-7. The rival's look-ahead is the very update that training uses, optimiser state included, and the
  gradient flows through it. The rival itself then takes one ordinary step. The inner steps share the round's real samples and draw noise of
  their own (their notebook reuses the noise as well). Cost: about 2 * steps extra updates of the rival. Adam needs eps_root > 0 (ours has it).
  """
  if steps < 0:
    raise ValueError(f"steps is {steps}; unrolling looks 0 or more steps ahead")
  me = find_player(game, player)
  find_player(game, rival)

  def ahead(own: Loss) -> Loss:
    def loss(params: PyTree, state: GanState, batch: Batch, key: Array) -> tuple[Array, Aux]:
      def play_on(state: GanState, key: Array) -> tuple[GanState, None]:
        return look_ahead(game, (rival,), state, batch, key), None

      future_keys = jax.random.split(jax.random.fold_in(key, AHEAD), steps)
      future, _ = lax.scan(play_on, with_entry(state, player, params=params), future_keys)
      return own(params, future, batch, key)

    return loss

  parts = {name: ahead(part) for name, part in me.parts.items()}
  return game._replace(players={**game.players, player: me._replace(loss=ahead(me.loss), parts=parts)})


def extragradient(game: Game, moments: Literal["step", "both"] = "step") -> Game:
  """Every player steps with the gradient found where all players would be after one step. Played simultaneously.

  Korpelevich, 1976; Gidel et al., 2019 (arXiv:1802.10551), algorithm 2. The look-ahead is the very update that training uses; it shares the
  round's real samples and draws noise of its own. Cost: twice the plain round.

  Args:
    moments: which gradients enter the optimiser's state: "step", only those of the real step, so that the look-ahead leaves no trace; or "both",
      as in their algorithm 4, ExtraAdam (with `optimizers.adam`): each round updates moments and counts twice, at both points, while the parameters
      start from where they were. With plain SGD there is no state, and no difference.

  Raises:
    ValueError: a player has several turns a round, or other `moments`.
  """
  if moments not in ("step", "both"):
    raise ValueError(f'moments is "{moments}"; extragradient knows "step" and "both"')
  names = tuple(game.players)

  def loss_of(name: str):
    me = game.players[name]

    def loss(params: PyTree, state: GanState, batch: Batch, key: Array) -> tuple[Array, Aux]:
      ahead = look_ahead(game, names, state, batch, jax.random.fold_in(key, AHEAD))
      # The value at the extrapolated point, differentiated there: the way to it does not count.
      shift = jax.tree.map(lambda far, near: lax.stop_gradient(far - near), ahead.params[name], state.params[name])
      there = jax.tree.map(jnp.add, params, shift)
      value, aux = me.loss(there, ahead.replace(step=state.step, model_state=state.model_state), batch, key)
      return value, aux if moments == "step" else aux._replace(opt_state=ahead.opt_state[name])

    return loss

  return simultaneous(with_losses(game, {name: loss_of(name) for name in names}))


def look_ahead(game: Game, names: tuple[str, ...], state: GanState, batch: Batch, key: Array) -> GanState:
  """The state after the very turn that training takes."""
  for name in names:
    known = jax.eval_shape(game.players[name].optimizer.init, state.params[name])
    if jax.tree.structure(known) != jax.tree.structure(state.opt_state[name]):  # type: ignore[operator]
      raise ValueError(f"the optimizer of {name} was changed after a transform that looks ahead by it; put clip_weights etc. before that one")
  ahead = take_turn(game, names, state, batch, key)[0]
  for name in names:
    if jax.tree.structure(ahead.model_state[name]) != jax.tree.structure(state.model_state[name]):  # type: ignore[operator]
      raise ValueError(f"the state of {name} was widened after a transform that looks ahead by it; put self_conditioned etc. before that one")
  return ahead


__all__ = ["extragradient", "unroll"]
