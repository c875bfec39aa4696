"""The imbalanced ring of ring_rls.py: what does every method of the field do, each at its default?

Data, players, optimiser and evaluation are those of ring_rls.py; the arms are those of `_methods.py`, one a method, and three controls: a
discriminator of twice the width, two steps of D a round, and a batch of twice the size. The average of G's weights is a column (ema/) of every arm.
Look at the table twice: a round of PacGAN by packs, WGAN or ridge leverage sampling takes several times the samples of another's (the column
samples), and a round of some costs many times the CPU time (the column cost). All arms are one family for Holm's correction: with 80 tests of ten
seeds the smallest possible p is .16, so a league says where to look; who is better is then asked of few arms and more seeds (`:final`).

  gan-jax run --config=experiments/league_ring.py --workdir=runs/league_ring      10 seeds, 30,000 rounds, 81 arms: hours, arm by arm
  gan-jax run --config=experiments/league_ring.py:quick --workdir=runs/league_quick    2 seeds, 300 rounds, 6 arms: minutes, to see that all works
  gan-jax run --config=experiments/league_ring.py:final --workdir=runs/league_final    30 other seeds; name the arms of the question with --arms=

The same command again goes on where it stopped, and `--arms=a,b` runs some of them: the league grows, and `gan-jax report DIR` tells what is there.
Expected: vanilla and rpgan_r1_r2 as in README.md beside this (ring_rls), whose arms these are.
"""

import ring_rls
from _methods import methods
from ml_collections import ConfigDict

ARMS = methods(adam=ring_rls.ADAM, hidden=(128, 128), latent=25, batch=64)
QUICK = ("vanilla", "double_batch", "rpgan_r1_r2", "pacgan2", "ridge_leverage", "self_conditioned")


def get_config(arg: str | None = None) -> ConfigDict:
  config = ring_rls.get_config()
  config.question = "What does every method do on the imbalanced ring, each at its default?"
  config.arms = ARMS
  if arg == "quick":
    config.arms = {name: ARMS[name] for name in QUICK}
    config.update(seeds=2, num_steps=300)
    config.evaluation.update(num_samples=2500, thresholds=(1,), every=100)
  elif arg == "final":
    with config.ignore_type():
      config.seeds = tuple(range(200, 230))
  elif arg is not None:
    raise ValueError(f"no form {arg!r} of this experiment; use quick or final")
  return config
