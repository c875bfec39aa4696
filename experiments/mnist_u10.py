"""Ten digits, five of them with a twentieth of the others' mass: which methods give them their due, and not more?

Protocol card `mnist_u10`: Schreurs et al., 2021 (RLS-GAN, arXiv:2104.02373), table "unbalanced MNIST". As mnist_u3.py, but for the data: all
ten digits, 0 to 4 drawn with weight .05 each, so about 1 % of the data each. Published (10 runs), KL to the *balanced* law: GAN .48 (digits 0 to 4:
123, 137, 81, 161, 161 of 10,000); PacGAN2 .48. A perfect sampler of the training law has about 95 of each and that KL .50: the published table
measures re-balancing, and there the GAN is as good as can be. Here the score is against the training law.

  gan-jax run --config=experiments/mnist_u10.py --workdir=runs/mnist_u10             10 seeds, 8 arms: wants a GPU
  gan-jax run --config=experiments/mnist_u10.py:short --workdir=runs/mnist_u10_short   an eighth of the maps, 2,500 rounds, 3 seeds, 4 arms, for CPUs
  gan-jax run --config=experiments/mnist_u10.py:quick --workdir=runs/mnist_u10_quick   an eighth of the maps, 2,000 rounds, 2 arms: about two minutes
"""

import mnist_u3
from ml_collections import ConfigDict


def get_config(arg: str | None = None) -> ConfigDict:
  config = mnist_u3.get_config(arg)
  config.question = "Ten digits, five of them with a twentieth of the others' mass: which methods give them their due, and not more?"
  training = {key: config.data[key] for key in ("minimum_accuracy", "classifier_steps")}
  config.data = {"name": "minority", "of": {"name": "mnist"}, "weights": {digit: 0.05 for digit in "01234"}, **training}
  return config
