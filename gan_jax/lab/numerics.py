"""Runs that leave the finite numbers: the program plays them again with care, and the run says which seed, player and array it was."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gan_jax import core
from gan_jax.core import PyTree

Advance = Callable[..., tuple[core.GanState, dict[str, Array]]]


def with_verdict(advance: Advance) -> Callable[..., tuple[core.GanState, dict[str, Array], Array]]:
  """`advance` of one seed, which also says whether all is still finite: the losses of all rounds, and the state in the end."""

  def watched(state: core.GanState, totals: dict[str, Array], *rest: Any) -> tuple[core.GanState, dict[str, Array], Array]:
    end, sums = advance(state, totals, *rest)
    losses = [value for name, value in sums.items() if name.endswith("/loss")]
    return end, sums, ~core.broken((state, [jnp.zeros(())] * len(losses)), (end, losses)).any()

  return watched


def careful(fast: Callable[..., Any], guarded: Advance, fetch: Callable[[PyTree], PyTree]) -> Advance:
  """`advance(states, totals, keys, feed, rounds)` by a program without the guard (made `with_verdict`), for as long as all seeds stay finite: the
  guard then costs nothing.

  The first round in which a seed does not, and all later ones, are played by the program that skips such turns. Which round that is hangs on the
  states alone, not on how a run was cut into calls, so that a run that was stopped ends as one that was not.
  """

  def advance(states: core.GanState, totals: dict[str, Array], keys: PyTree, feed: PyTree, rounds: Any) -> tuple[core.GanState, dict[str, Array]]:
    left = int(rounds)
    while True:
      if any(np.asarray(count)[:, 0].any() for count in fetch(states.skipped).values()):
        return guarded(states, totals, keys, feed, np.int32(left))
      played, fine = _finite_rounds(lambda n: fast(states, totals, keys, feed, np.int32(n)), left, fetch)
      states, totals = played
      if fine == left:
        return states, totals
      states, totals = guarded(states, totals, keys, feed, np.int32(1))
      left -= fine + 1

  return advance


def _finite_rounds(play: Callable[[int], tuple], left: int, fetch: Callable[[PyTree], PyTree]) -> tuple[tuple, int]:
  """As many of the rounds as stay finite: what they lead to, and how many they are. Found by halving, once in a run."""
  *played, fine = play(left)
  if np.asarray(fetch(fine)).all():
    return tuple(played), left
  low, high = 0, left  # `low` rounds are finite, `high` are not
  while high - low > 1:
    middle = (low + high) // 2
    fine = play(middle)[-1]
    low, high = (middle, high) if np.asarray(fetch(fine)).all() else (low, middle)
  return tuple(play(low)[:-1]), low


def told(skipped: Mapping[str, Array], shapes: core.GanState, seeds: Sequence[int], patience: int | None) -> tuple[dict[int, str], dict[int, str]]:
  """What `GanState.skipped` `[S, 4]` says: seed -> a line about its turns that were skipped, and seed -> why it has stopped, for those that have."""
  notes: dict[int, str] = {}
  stopped: dict[int, str] = {}
  for player, counts in skipped.items():
    names = arrays(shapes, player)
    for seed, (turns, in_a_row, last, which) in zip(seeds, np.asarray(counts).tolist(), strict=True):
      where = f"round {last}, {player}: {names[which]} is not finite"
      if turns:
        notes[seed] = "; ".join([*filter(None, [notes.get(seed)]), f"{turns} turns of {player} skipped, the last in {where}"])
      if patience is not None and in_a_row >= patience:
        stopped[seed] = f"{where}, for {in_a_row} turns in a row"
  return notes, stopped


def counts(skipped: Mapping[str, Array]) -> dict[str, np.ndarray]:
  """Turns skipped so far, `[S]`, of the players that have any: for the log."""
  turns = {player: np.asarray(count)[:, 0] for player, count in skipped.items()}
  return {f"{player}/skipped": count for player, count in turns.items() if count.any()}


def arrays(shapes: core.GanState, player: str) -> list[str]:
  """Names of the arrays that `GanState.skipped` numbers: the loss, the gradient, and what the turn would have left."""
  fields = ("params", "model_state", "opt_state", "ema")
  entries = {field: getattr(shapes, field)[player] for field in fields if player in getattr(shapes, field)}
  said = {0: "loss", 1: "gradient of ", 2: "new "}
  paths = [path for path, _ in jax.tree_util.tree_leaves_with_path((0.0, shapes.params[player], entries))]
  return [said[path[0].idx] + jax.tree_util.keystr(path[1:], simple=True, separator="/") for path in paths]
