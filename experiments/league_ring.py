"""The imbalanced ring of ring_rls.py: what does every method of the field do, each at its default?

Data, players, optimiser and evaluation are those of ring_rls.py; the arms are those of `_methods.py`, one a method, and three controls: a
discriminator of twice the width, two steps of D a round, and a batch of twice the size. The average of G's weights is a column (ema/) of every arm.
Look at the table twice: a round of PacGAN by packs, WGAN or ridge leverage sampling takes several times the samples of another's (the column
samples), and a round of some costs many times the CPU time (the column cost). All arms are one family for Holm's correction: with 80 tests of ten
seeds the smallest possible p is .16, so a league says where to look; who is better is then asked of few arms and more seeds (`:final`).

  gan-jax run --config=experiments/league_ring.py --workdir=runs/league_ring      10 seeds, 30,000 rounds, 83 arms: hours, arm by arm
  gan-jax run --config=experiments/league_ring.py:quick --workdir=runs/league_ring_quick    2 seeds, 300 rounds, 6 arms: to see that all works
  gan-jax run --config=experiments/league_ring.py:tune --workdir=runs/league_ring_tune    every method at 3 settings, on 3 seeds not reported
  gan-jax run --config=experiments/league_ring.py:tuned --workdir=runs/league_ring_tuned    once results/ has the tuning: those at their best
  gan-jax run --config=experiments/league_ring.py:final --workdir=runs/league_ring_final    30 other seeds; name the arms with --arms=

Tuning is equal: a method's own knob (`_methods.py`), or the players' learning rate where it has none, at the default and two other settings, over
half the schedule; the best by mean modes at t = 1/4, the default where it is as good. Then compare: `gan-jax report` takes several folders.
The same command again goes on where it stopped, and `--arms=a,b` runs some of them: the league grows, and `gan-jax report DIR` tells what is there.
Expected: vanilla and rpgan_r1_r2 as in README.md beside this (ring_rls), whose arms these are.
"""

import ring_rls
from _methods import league, methods
from ml_collections import ConfigDict

ARMS = methods(adam=ring_rls.ADAM, hidden=(128, 128), latent=25, batch=64)


def get_config(arg: str | None = None) -> ConfigDict:
  config = ring_rls.get_config()
  config.question = "What does every method do on the imbalanced ring, each at its default?"
  return league(config, ARMS, "league_ring", arg)
