"""The imbalanced grid of grid_rls.py: what do the best methods of the ring's league do there, and the rest?

Data and evaluation are those of grid_rls.py, the arms and their settings those of league_ring.py. Name the arms of the question with `--arms=`:
README.md beside this says which have been run.

  gan-jax run --config=experiments/league_grid.py --workdir=runs/league_grid      10 seeds, 30,000 rounds, 83 arms: hours, arm by arm
  gan-jax run --config=experiments/league_grid.py:quick --workdir=runs/league_grid_quick    2 seeds, 300 rounds, 6 arms: to see that all works
  gan-jax run --config=experiments/league_grid.py:tune --workdir=runs/league_grid_tune    every method at 3 settings, on 3 seeds not reported
  gan-jax run --config=experiments/league_grid.py:tuned --workdir=runs/league_grid_tuned    at the best of three settings on league_ring.py
  gan-jax run --config=experiments/league_grid.py:final --workdir=runs/league_grid_final    30 other seeds; name the arms with --arms=
"""

import grid_rls
import league_ring
from _methods import league
from ml_collections import ConfigDict


def get_config(arg: str | None = None) -> ConfigDict:
  config = grid_rls.get_config()
  config.question = "What does every method do on the imbalanced grid, each at its default?"
  return league(config, league_ring.ARMS, "league_ring", arg)
