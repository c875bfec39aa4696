"""The narrow ring of ring_alpha.py: how often does every method find all eight modes, and how often none, each at its default?

Data, players, optimiser and evaluation are those of ring_alpha.py; the arms are those of `_methods.py` with the penalties' weights of league_ring.py.
Name the arms of the question with `--arms=`: README.md beside this says which have been run. Success and failure are rates over seeds, with Wilson
intervals (`all_modes_t1`, `no_modes_t1`): ten seeds leave an interval of half the range, hence the fifty.

  gan-jax run --config=experiments/league_ring_alpha.py --workdir=runs/league_ring_alpha      50 seeds, 156,000 rounds, 83 arms: wants a GPU
  gan-jax run --config=experiments/league_ring_alpha.py:quick --workdir=runs/league_ring_alpha_quick    2 seeds, 300 rounds, 6 arms: to see it work
  gan-jax run --config=experiments/league_ring_alpha.py:tune --workdir=runs/league_ring_alpha_tune    3 settings each, on 3 seeds not reported
  gan-jax run --config=experiments/league_ring_alpha.py:tuned --workdir=runs/league_ring_alpha_tuned    at the best of three on league_ring.py
  gan-jax run --config=experiments/league_ring_alpha.py:final --workdir=runs/league_ring_alpha_final    30 other seeds; name the arms with --arms=
"""

import league_spiral
import ring_alpha
from _methods import league
from ml_collections import ConfigDict


def get_config(arg: str | None = None) -> ConfigDict:
  config = ring_alpha.get_config()
  config.question = "How often does every method find all eight modes of a narrow ring, each at its default?"
  return league(config, league_spiral.ARMS, "league_ring", arg)
