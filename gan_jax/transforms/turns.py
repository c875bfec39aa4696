"""Who moves when, and on what noise."""

from gan_jax.core import Game, Player, mover, shared, slices_per_round


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
  find_player(game, player)
  if times < 1:
    raise ValueError(f"times is {times}; a turn is taken at least once")
  return game._replace(turns=tuple(names for names in game.turns for _ in range(times if player in map(mover, names) else 1)))


def skip_not_finite(game: Game, patience: int = 8) -> Game:
  """A turn whose loss, gradient or outcome holds NaN or an infinity does not happen to its player; after `patience` such turns in a row nobody moves.

  Parameters, optimiser, average and model_state stay as they were before the turn, on all replicas alike, and `state.skipped` counts. (Optax's
  `apply_if_finite` sees the gradient alone, and applies the bad update after its last allowed error.) Finite turns are as without it. Comes last:
  what transforms before it look ahead at is not watched. Experiments have it from the runner, which pays for it only from the first such turn on.

  Raises:
    ValueError: patience < 1.
  """
  if patience < 1:
    raise ValueError(f"patience is {patience}; it takes at least 1 bad turn to give up")
  return game._replace(patience=patience)


def gradient_norms(game: Game) -> Game:
  """Logs "PLAYER/gradient_norm" of every move: the Euclidean norm of the gradient of the player's loss in its own parameters, before the optimiser.

  A vanished gradient is near 0 while the samples are wrong. The play is the same; its last bits are not (XLA fuses, and rounds, elsewhere).
  """
  return game._replace(gradient_norms=True)


def find_player(game: Game, name: str) -> Player:
  if name not in game.players:
    raise ValueError(f"no player {name!r} in this game; players: {', '.join(game.players)}")
  return game.players[name]


def with_losses(game: Game, losses: dict) -> Game:
  return game._replace(players={name: p._replace(loss=losses.get(name, p.loss)) for name, p in game.players.items()})


__all__ = ["gradient_norms", "repeat", "shared_noise", "simultaneous", "skip_not_finite"]
