"""The swiss roll of spiral.py, which has no modes: what do the methods of the leagues do there, each at its default?

Data, players, optimiser and evaluation are those of spiral.py; the arms are those of `_methods.py` with the penalties' weights of league_ring.py.
Name the arms of the question with `--arms=`: README.md beside this says which have been run.

  gan-jax run --config=experiments/league_spiral.py --workdir=runs/league_spiral      10 seeds, 30,000 rounds, 83 arms: hours, arm by arm
  gan-jax run --config=experiments/league_spiral.py:quick --workdir=runs/league_spiral_quick    2 seeds, 300 rounds, 6 arms: to see that all works
  gan-jax run --config=experiments/league_spiral.py:tune --workdir=runs/league_spiral_tune    every method at 3 settings, on 3 seeds not reported
  gan-jax run --config=experiments/league_spiral.py:tuned --workdir=runs/league_spiral_tuned    at the best of three settings on league_ring.py
  gan-jax run --config=experiments/league_spiral.py:final --workdir=runs/league_spiral_final    30 other seeds; name the arms with --arms=
"""

import ring_alpha
import spiral
from _methods import league, methods
from ml_collections import ConfigDict

FURTHER = {"name": "mlp", "features": (400, 400), "activation": "relu"}
ARMS = methods(adam=ring_alpha.ADAM, hidden=(200, 200), latent=2, batch=128, network=FURTHER)


def get_config(arg: str | None = None) -> ConfigDict:
  config = spiral.get_config()
  config.question = "What does every method do on a curve, each at its default?"
  return league(config, ARMS, "league_ring", arg)
