"""StackedMNIST and a discriminator half of the generator's width: which methods keep a thousand modes of handwriting?

Protocol card `smnist_h`: that of smnist_q.py with 4, 8, 16 maps in D; everything else, and what is said there of batches and penalties, holds here.
Published (PacGAN's table 3; 50 trials, standard error), modes and KL: DCGAN 487.7 +- 34.6, 2.24 (in the unrolled paper 628.0 +- 140.9, 2.58);
unrolled-1 523.6 +- 55.8, 2.44; unrolled-5 732.0 +- 45.0, 1.66; unrolled-10 817.4 +- 37.9, 1.43; PacGAN2 840.7 +- 15.9, 1.00; PacGAN3 866.6 +- 12.1,
.90; PacGAN4 820.2 +- 25.5, 1.15. A perfect sampler: 1000 modes, KL .02.

  gan-jax run --config=experiments/smnist_h.py --workdir=runs/smnist_h             10 seeds, 13 arms: the full schedule wants a GPU
  gan-jax run --config=experiments/smnist_h.py:short --workdir=runs/smnist_h_short   a fiftieth of it: 10,000 rounds, 1 seed, 3 arms
  gan-jax run --config=experiments/smnist_h.py:quick --workdir=runs/smnist_h_quick   400 rounds, 2 arms: about two minutes, too few to mean anything
"""

import smnist_q
from ml_collections import ConfigDict


def get_config(arg: str | None = None) -> ConfigDict:
  return smnist_q.get_config(arg, maps=(4, 8, 16), part="half")
