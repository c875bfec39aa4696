"""Methods that change how a game is played: Game -> Game. They compose."""

import jax
import jax.numpy as jnp
import optax
from jax import Array, lax

from gan_jax.core import Aux, Batch, Game, GanState, Loss, PyTree, mean_over, mover, shared, slices_per_round, take_turn, with_entry
from gan_jax.optimizers import keep_within


def unroll(game: Game, steps: int, player: str = "generator", rival: str = "discriminator") -> Game:
  """`player` minimises its loss against the rival of `steps` updates ahead, and sees how those updates depend on it.

  Metz et al., 2017 (arXiv:1611.02163), eq. 5-7. The rival's look-ahead is the very update that training uses, optimiser state included, and the
  gradient flows through it. The rival itself then takes one ordinary step. The inner steps share the round's real samples and draw noise of
  their own (their notebook reuses the noise as well). Cost: about 2 * steps extra updates of the rival. Adam needs eps_root > 0 (ours has it).
  """
  if steps < 0:
    raise ValueError(f"steps is {steps}; unrolling looks 0 or more steps ahead")
  me = _player(game, player)
  _player(game, rival)

  def ahead(own: Loss) -> Loss:
    def loss(params: PyTree, state: GanState, batch: Batch, key: Array) -> tuple[Array, Aux]:
      def play_on(state: GanState, key: Array) -> tuple[GanState, None]:
        return _look_ahead(game, (rival,), state, batch, key), None

      future_keys = jax.random.split(jax.random.fold_in(key, 1), steps)
      future, _ = lax.scan(play_on, with_entry(state, player, params=params), future_keys)
      return own(params, future, batch, key)

    return loss

  parts = {name: ahead(part) for name, part in me.parts.items()}
  return game._replace(players={**game.players, player: me._replace(loss=ahead(me.loss), parts=parts)})


def consensus(game: Game, gamma: float) -> Game:
  """Every player also minimises gamma / 2 * |v|^2, v the gradients of all players' losses in their own parameters. Played simultaneously.

  Mescheder et al., 2017 (arXiv:1705.10461), eq. 8. Turns rotation around an equilibrium into descent; costs a Hessian-vector product a player.
  """
  names = tuple(game.players)

  def loss_of(name: str):
    me = game.players[name]

    def loss(params: PyTree, state: GanState, batch: Batch, key: Array) -> tuple[Array, Aux]:
      state = with_entry(state, name, params=params)
      field = {n: jax.grad(game.players[n].loss, has_aux=True)(state.params[n], state, batch, key)[0] for n in names}
      energy = optax.tree.norm(mean_over(field, game.axis_name), squared=True) / 2
      value, aux = me.loss(params, state, batch, key)
      return value + gamma * energy, aux._replace(metrics={**aux.metrics, "consensus": gamma * energy})

    return loss

  return simultaneous(_with_losses(game, {name: loss_of(name) for name in names}))


def extragradient(game: Game) -> Game:
  """Every player steps with the gradient found where all players would be after one step. Played simultaneously.

  Korpelevich, 1976; Gidel et al., 2019 (arXiv:1802.10551), algorithm 2. The look-ahead is the very update that training uses; it shares the
  round's real samples, draws noise of its own, and leaves no trace in the optimiser's state (with Adam their algorithm 4, ExtraAdam, updates the
  moments at both points; here only the real step does). Cost: twice the plain round.
  """
  names = tuple(game.players)

  def loss_of(name: str):
    me = game.players[name]

    def loss(params: PyTree, state: GanState, batch: Batch, key: Array) -> tuple[Array, Aux]:
      ahead = _look_ahead(game, names, state, batch, jax.random.fold_in(key, 1))
      # The value at the extrapolated point, differentiated there: the way to it does not count.
      shift = jax.tree.map(lambda far, near: lax.stop_gradient(far - near), ahead.params[name], state.params[name])
      there = jax.tree.map(jnp.add, params, shift)
      value, aux = me.loss(there, ahead.replace(step=state.step, model_state=state.model_state), batch, key)
      return value, aux

    return loss

  return simultaneous(_with_losses(game, {name: loss_of(name) for name in names}))


def simultaneous(game: Game) -> Game:
  """All players move at once, each against the others as they were.

  Raises:
    ValueError: a player has several turns a round (n_critic > 1), which one turn cannot hold.
  """
  if (turns := slices_per_round(game)) > 1:
    raise ValueError(f"simultaneous play is one turn a round, but a player of this game has {turns}; use n_critic 1")
  return game._replace(turns=(tuple(game.players),))


def shared_noise(game: Game) -> Game:
  """The k-th turns of all players in a round draw the same latents and noise, so D and G meet the same fakes."""
  return game._replace(noise=shared)


def repeat(game: Game, times: int, player: str = "generator") -> Game:
  """The player takes each of its turns `times` times in a row, each on a slice of the batch of its own. DCGAN's code moves G twice, D once.

  Raises:
    ValueError: no such player, or times < 1.
  """
  _player(game, player)
  if times < 1:
    raise ValueError(f"times is {times}; a turn is taken at least once")
  return game._replace(turns=tuple(names for names in game.turns for _ in range(times if player in map(mover, names) else 1)))


def clip_weights(game: Game, limit: float, player: str = "discriminator") -> Game:
  """Keep the player's parameters in [-limit, limit] after every update: the first way to a Lipschitz critic (limit .01).

  Arjovsky et al., 2017 (arXiv:1701.07875), algorithm 1. Comes before transforms that look ahead, which then clip as well.
  """
  me = _player(game, player)
  return game._replace(players={**game.players, player: me._replace(optimizer=optax.chain(me.optimizer, keep_within(limit)))})


def _look_ahead(game: Game, names: tuple[str, ...], state: GanState, batch: Batch, key: Array) -> GanState:
  """The state after the very turn that training takes."""
  for name in names:
    known = jax.eval_shape(game.players[name].optimizer.init, state.params[name])
    if jax.tree.structure(known) != jax.tree.structure(state.opt_state[name]):  # type: ignore[operator]
      raise ValueError(f"the optimizer of {name} was changed after a transform that looks ahead by it; put clip_weights before that one")
  return take_turn(game, names, state, batch, key)[0]


def _player(game: Game, name: str):
  if name not in game.players:
    raise ValueError(f"no player {name!r} in this game; players: {', '.join(game.players)}")
  return game.players[name]


def _with_losses(game: Game, losses: dict) -> Game:
  return game._replace(players={name: p._replace(loss=losses.get(name, p.loss)) for name, p in game.players.items()})


__all__ = ["clip_weights", "consensus", "extragradient", "repeat", "shared_noise", "simultaneous", "unroll"]
