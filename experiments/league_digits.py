"""A thousand modes of real handwriting, a small discriminator: what does every method of the field do, each at its default?

Data, players, optimiser, evaluation and weights of penalties are those of stacked_digits.py; the arms are those of `_methods.py`, one a method, and
three controls: a discriminator of twice the width, two steps of D a round, and a batch of twice the size. As in league_ring.py read the columns
samples and cost beside the modes; five seeds say where to look, not who is better.

  gan-jax run --config=experiments/league_digits.py --workdir=runs/league_digits      5 seeds, 20,000 rounds, 84 arms: hours, arm by arm
  gan-jax run --config=experiments/league_digits.py:quick --workdir=runs/league_digits_quick    2 seeds, 300 rounds, 6 arms: to see that all works
  gan-jax run --config=experiments/league_digits.py:tune --workdir=runs/league_digits_tune    every method at 3 settings, on 3 seeds not reported
  gan-jax run --config=experiments/league_digits.py:tuned --workdir=runs/league_digits_tuned    once results/ has the tuning: those at their best
  gan-jax run --config=experiments/league_digits.py:final --workdir=runs/league_digits_final    30 other seeds; name the arms with --arms=

The same command again goes on where it stopped, and `--arms=a,b` runs some of them: the league grows, and `gan-jax report DIR` tells what is there.
"""

import stacked_digits
from _methods import league, methods
from ml_collections import ConfigDict

FURTHER = {key: value for key, value in stacked_digits.RECONSTRUCTOR.items() if key != "out"}
ARMS = {
  **methods(
    adam=stacked_digits.ADAM,
    hidden=(64, 64),
    latent=64,
    batch=64,
    network=FURTHER,
    discriminator=stacked_digits.get_config().discriminator,
    num_generators=10,
    r1=1.0,
    wgan_gp=10.0,
    dragan=10.0,
    mode_seeking=1.0,
  ),
  "diff_augment": {"view.translation": {}, "view.cutout": {}},  # without colours, which are three digits here
}


def get_config(arg: str | None = None) -> ConfigDict:
  config = stacked_digits.get_config()
  config.question = "What does every method do on a thousand modes of handwriting, each at its default?"
  return league(config, ARMS, "league_digits", arg)
