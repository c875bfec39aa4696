"""StackedMNIST and a network without normalisation: is it the relativistic loss, R1 or R2 that keeps a thousand modes?

Protocol card `smnist_r3`: the forerunner of R3GAN's code (Huang et al., 2024, arXiv:2501.05441; GroupOfAlchemists/StackedMNIST).
  data        128,000 fixed triples of MNIST digits stacked into RGB, with a border of two pixels 32x32, [-1, 1]. Theirs are of all 70,000 digits,
              ours of the 60,000 for training
  players     G 512 (two dense layers of 512) to 1024, 512, 512 maps at 8x8, 16x16, 32x32, one residual block each; D 512, 512, 1024; no
              normalisation, fix-up initialisation; RpGAN + R1 + R2, gamma .1; alternating 1:1 (theirs with fresh digits in G's step); Adam 2e-4 (0,
              .99); batch 64; 200,000 rounds (100 epochs); average of G's weights .998
  evaluation  26,000 samples, averaged weights (read the table of EMA), the border included; a mode counts with 1 sample; KL in nats
Published: 1000 modes, KL .18 (their README). As we recall R3GAN's table of losses, not checked against the paper: RpGAN + R1 + R2 1000, .078; GAN +
R1 + R2 693, .93; the two without R2 fail. A perfect sampler: 1000 modes, KL .02.

  gan-jax run --config=experiments/smnist_r3.py --workdir=runs/smnist_r3             3 seeds, 5 arms: wants a GPU
  gan-jax run --config=experiments/smnist_r3.py:quick --workdir=runs/smnist_r3_quick   a sixty-fourth of the maps, 200 rounds, 2 arms: two minutes

GAN_JAX_DATA names the folder that holds mnist/. Our blocks have full convolutions where theirs are grouped (`networks.r3gan_generator`).
"""

from _arms import pick
from ml_collections import ConfigDict

ADAM = {"name": "adam", "learning_rate": 2e-4, "b1": 0.0, "b2": 0.99}


def get_config(arg: str | None = None) -> ConfigDict:
  config = {
    "question": "StackedMNIST and a network without normalisation: is it the relativistic loss, R1 or R2 that keeps a thousand modes?",
    "seeds": 3,
    "num_steps": 200_000,
    "batch_size": 64,
    "batch_unit": "samples",
    "data": {
      "name": "stacked", "of": {"name": "mnist", "size": 32}, "triples": 128_000, "minimum_accuracy": 0.985, "classifier_steps": 1400,
    },
    "generator": {"name": "r3gan_generator", "features": (1024, 512, 512), "blocks": 1, "mapping": (512, 512)},
    "discriminator": {"name": "r3gan_discriminator", "features": (512, 512, 1024), "blocks": 1},
    "objective": {"name": "relativistic_paired"},
    "prior": {"name": "normal", "size": 512},
    "optimizers": {"generator": ADAM, "discriminator": ADAM},
    "discriminator_terms": {"r1": {"gamma": 0.1}, "r2": {"gamma": 0.1}},
    "generator_terms": {},
    "view": {},
    "transforms": {},
    "game": {"name": "gan", "ema_decay": 0.998},
    "evaluation": {
      "num_samples": 26_000, "thresholds": (1,), "every": 2000, "monitor_samples": 2600, "distances": True, "metrics": {"confidence_sweep": {}},
    },
    "arms": ARMS,
  }  # fmt: skip
  if arg == "quick":
    config |= {"seeds": 1, "num_steps": 200}
    config["data"] |= {"minimum_accuracy": 0.95, "classifier_steps": 150}
    config["generator"] |= {"features": (16, 8, 8), "mapping": (64, 64)}
    config["discriminator"] |= {"features": (8, 8, 16)}
    config["evaluation"] |= {"num_samples": 5000, "every": 50, "monitor_samples": 1000}
    config["arms"] = pick(ARMS, "vanilla", "rpgan_r1_r2")
  elif arg is not None:
    raise ValueError(f"no form {arg!r} of this experiment; use quick")
  return ConfigDict(config, convert_dict=False)


PLAIN = {"objective": {"name": "non_saturating"}}
ARMS = {
  "vanilla": {**PLAIN, "discriminator_terms": {}},
  "rpgan_r1_r2": {},
  "gan_r1_r2": PLAIN,
  "rpgan_r1": {"discriminator_terms.r2": None},
  "gan_r1": {**PLAIN, "discriminator_terms.r2": None},
}
