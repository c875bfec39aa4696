"""StackedMNIST and DCGAN at full size, the saturation check: does judging packs, or a gradient penalty, reach all thousand modes?

Protocol card `smnist_dcgan`: the "VEEGAN experiment" as PacGAN's code has it (Lin et al., 2018, arXiv:1712.04086, table 2), with images in [-1, 1]
as G makes them.
  data        128,000 fixed triples of MNIST digits stacked into RGB, 28x28; 1000 modes. Theirs are of all 70,000 digits, ours of the 60,000 for
              training
  players     G 100-2x2x512, 5x5 transposed convolutions 256 (4x4), 128 (7x7), 64 (14x14), 3 (28x28), BatchNorm and ReLU, tanh; D 5x5 convolutions of
              stride 2 with 64, 128, 256, 512 maps, BatchNorm but in the first, LeakyReLU .2, dense; weights N(0, .02); z uniform in [-1, 1]^100;
              non-saturating; two steps of G for one of D (theirs share z, ours draw new ones); Adam 2e-4 (.5, .999); batch 64; 100,000 rounds (50
              epochs)
  evaluation  26,000 samples of the last iterate, BatchNorm with population statistics (momentum .9); a mode counts with 1 sample; KL in nats
Published (10 trials, standard error), modes and KL: DCGAN 78.9 +- 6.5, 4.50; PacGAN2, 3, 4 1000, .06. WGAN-GP reaches 1000 and .030 in IVGAN's logs
(N = 20,000). A perfect sampler: 1000 modes, KL .02. With a discriminator of this size the benchmark separates nothing but "solved" from "not".

  gan-jax run --config=experiments/smnist_dcgan.py --workdir=runs/smnist_dcgan             10 seeds, 5 arms: wants a GPU
  gan-jax run --config=experiments/smnist_dcgan.py:quick --workdir=runs/smnist_dcgan_quick   an eighth of the maps, 500 rounds, 2 arms: two minutes

GAN_JAX_DATA names the folder that holds mnist/. WGAN-GP: weight 10, five steps of D for one of G, no BatchNorm in D, Adam 1e-4 (.5, .9).
"""

from _arms import WASSERSTEIN, pick
from ml_collections import ConfigDict

ADAM = {"name": "adam", "learning_rate": 2e-4, "b1": 0.5, "b2": 0.999}
INIT = {"kernel_init": "normal", "init_scale": 0.02}


def get_config(arg: str | None = None) -> ConfigDict:
  config = {
    "question": "StackedMNIST and DCGAN at full size: does judging packs, or a gradient penalty, reach all thousand modes?",
    "seeds": 10,
    "num_steps": 100_000,
    "batch_size": 64,
    "batch_unit": "packs",
    "data": {"name": "stacked", "of": {"name": "mnist"}, "triples": 128_000, "minimum_accuracy": 0.985, "classifier_steps": 1400},
    "generator": {"name": "dcgan_generator", "features": (512, 256, 128, 64), "kernel": 5, "batch_norm": 0.9, "statistics": "population", **INIT},
    "discriminator": {"name": "dcgan_discriminator", "features": (64, 128, 256, 512), "kernel": 5, "batch_norm": 0.9, "unnormalized": (0,), **INIT},
    "objective": {"name": "non_saturating"},
    "prior": {"name": "uniform", "size": 100},
    "optimizers": {"generator": ADAM, "discriminator": ADAM},
    "discriminator_terms": {},
    "generator_terms": {},
    "view": {},
    "transforms": {"repeat": {"times": 2}},
    "game": {"name": "gan", "ema_decay": 0.999},
    "evaluation": {
      "num_samples": 26_000, "thresholds": (1,), "every": 2000, "monitor_samples": 2600, "distances": True, "metrics": {"confidence_sweep": {}},
    },
    "arms": ARMS,
  }  # fmt: skip
  if arg == "quick":
    config |= {"seeds": 1, "num_steps": 500}
    config["data"] |= {"minimum_accuracy": 0.95, "classifier_steps": 150}
    config["generator"]["features"], config["discriminator"]["features"] = (64, 32, 16, 8), (8, 16, 32, 64)
    config["evaluation"] |= {"num_samples": 5000, "every": 100, "monitor_samples": 1000}
    config["arms"] = pick(ARMS, "vanilla", "pacgan2")
  elif arg is not None:
    raise ValueError(f"no form {arg!r} of this experiment; use quick")
  return ConfigDict(config, convert_dict=False)


SLOW = {"name": "adam", "learning_rate": 1e-4, "b1": 0.5, "b2": 0.9}
ARMS = {
  "vanilla": {},
  "pacgan2": {"view.pack.size": 2},
  "pacgan3": {"view.pack.size": 3},
  "pacgan4": {"view.pack.size": 4},
  "wgan_gp": {
    **WASSERSTEIN, "discriminator_terms.wgan_gp.weight": 10.0, "discriminator.batch_norm": None, "transforms.repeat": None,
    "optimizers.generator": SLOW, "optimizers.discriminator": SLOW,
  },
}  # fmt: skip
