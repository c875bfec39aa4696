"""StackedMNIST and a discriminator a quarter of the generator's width: which methods keep a thousand modes of handwriting?

Protocol card `smnist_q`: the "unrolled experiment" (Metz et al., 2017, arXiv:1611.02163) as PacGAN's code has it (Lin et al., 2018,
arXiv:1712.04086, table 3).
  data        three MNIST digits (the 60,000 of the training set) drawn on the fly and stacked into RGB, 28x28, [-1, 1]; 1000 modes
  players     G 256-4x4x64, 3x3 transposed convolutions 32 (7x7), 16 (14x14), 8 (28x28), 3 (28x28), BatchNorm and ReLU, tanh; D 3x3 convolutions of
              stride 2 with 2, 4, 8 maps, BatchNorm in every layer, LeakyReLU .3, dense; Glorot (the card names none); non-saturating; alternating
              1:1; Adam 1e-4 for G, 2e-4 for D, both (.5, .99); batch 128; 500,000 rounds
  evaluation  25,600 samples of the last iterate, BatchNorm with statistics of the batch at hand, of 1,000; a mode counts with 1 sample, and with a
              quarter of its due; KL in nats to the training law; a digit is what our own classifier reads (99.4 % of MNIST's test set)
Published (50 trials, standard error), modes and KL: DCGAN 78.5 +- 17.6, 5.21 (in the unrolled paper 30.6 +- 20.7, 5.99); unrolled-1 65.4 +- 34.8,
5.91; unrolled-5 236.4 +- 63.3, 4.67; unrolled-10 327.2 +- 74.7, 4.66; PacGAN2 484.5 +- 33.0, 2.61; PacGAN3 601.3 +- 32.2, 2.00; PacGAN4 667.4 +-
29.0, 1.81. Our tables give the standard deviation, which for 50 trials is 7 times the standard error. A perfect sampler: 1000 modes, KL .02.

  gan-jax run --config=experiments/smnist_q.py --workdir=runs/smnist_q             10 seeds, 13 arms: the full schedule wants a GPU
  gan-jax run --config=experiments/smnist_q.py:short --workdir=runs/smnist_q_short   a fiftieth of it: 10,000 rounds, 1 seed, 3 arms
  gan-jax run --config=experiments/smnist_q.py:quick --workdir=runs/smnist_q_quick   400 rounds, 2 arms: about two minutes, too few to mean anything

GAN_JAX_DATA names the folder that holds mnist/. Packs of `pacgan2` ... `pacgan4` count as one of the 128, as in PacGAN's code, so they see 2 to 4
times the digits; `..._samples` are the same at 128 digits. R1 and WGAN-GP judge without BatchNorm, which mixes the samples whose gradients they
measure.
"""

from _arms import RELATIVISTIC, WASSERSTEIN, pick
from ml_collections import ConfigDict

MAPS = (2, 4, 8)
QUESTION = "StackedMNIST and a discriminator a {} of the generator's width: which methods keep a thousand modes?"


def get_config(arg: str | None = None, maps: tuple[int, ...] = MAPS, part: str = "quarter") -> ConfigDict:
  config = {
    "question": QUESTION.format(part),
    "seeds": 10,
    "num_steps": 500_000,
    "batch_size": 128,
    "batch_unit": "packs",
    "data": {"name": "stacked", "of": {"name": "mnist"}, "minimum_accuracy": 0.985, "classifier_steps": 1400},
    "generator": {
      "name": "dcgan_generator", "features": (64, 32, 16, 8), "kernel": 3, "strides": (2, 2, 2, 1), "batch_norm": 0.9, "statistics": "batch",
    },
    "discriminator": {
      "name": "dcgan_discriminator", "features": maps, "kernel": 3, "activation": {"name": "leaky_relu", "slope": 0.3}, "batch_norm": 0.9,
      "unnormalized": (), "statistics": "batch",
    },
    "objective": {"name": "non_saturating"},
    "prior": {"name": "normal", "size": 256},
    "optimizers": {
      "generator": {"name": "adam", "learning_rate": 1e-4, "b1": 0.5, "b2": 0.99},
      "discriminator": {"name": "adam", "learning_rate": 2e-4, "b1": 0.5, "b2": 0.99},
    },
    "discriminator_terms": {},
    "generator_terms": {},
    "view": {},
    "transforms": {},
    "game": {"name": "gan", "ema_decay": 0.999},
    "evaluation": {
      "num_samples": 25_600, "thresholds": (1,), "every": 5000, "monitor_samples": 2560, "distances": True, "metrics": {"confidence_sweep": {}},
    },
    "arms": {**ARMS, "wide_discriminator": {"discriminator.features": tuple(2 * width for width in maps)}},
  }  # fmt: skip
  if arg == "short":
    config |= {"seeds": 1, "num_steps": 10_000}
    config["evaluation"]["every"] = 1000
    config["arms"] = pick(config["arms"], "vanilla", "pacgan2", "pacgan4")
  elif arg == "quick":
    config |= {"seeds": 1, "num_steps": 400}
    config["data"] |= {"minimum_accuracy": 0.95, "classifier_steps": 150}
    config["evaluation"] |= {"num_samples": 5000, "every": 200, "monitor_samples": 1000}
    config["arms"] = pick(config["arms"], "vanilla", "pacgan2")
  elif arg is not None:
    raise ValueError(f"no form {arg!r} of this experiment; use short or quick")
  return ConfigDict(config, convert_dict=False)


BARE = {"discriminator.batch_norm": None}
ARMS = {
  "vanilla": {},
  "unrolled1": {"transforms.unroll.steps": 1},
  "unrolled5": {"transforms.unroll.steps": 5},
  "unrolled10": {"transforms.unroll.steps": 10},
  "pacgan2": {"view.pack.size": 2},
  "pacgan3": {"view.pack.size": 3},
  "pacgan4": {"view.pack.size": 4},
  "pacgan2_samples": {"view.pack.size": 2, "batch_unit": "samples"},
  "pacgan4_samples": {"view.pack.size": 4, "batch_unit": "samples"},
  "minibatch_stddev": {"discriminator.across": {"name": "minibatch_stddev", "group_size": 4}},
  "wgan_gp": {**WASSERSTEIN, **BARE, "discriminator_terms.wgan_gp.weight": 10.0},
  "rpgan_r1_r2": {**RELATIVISTIC, **BARE, "discriminator_terms.r1.gamma": 1.0, "discriminator_terms.r2.gamma": 1.0},
}
