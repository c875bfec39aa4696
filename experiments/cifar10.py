"""Photographs: how far are plain, residual and R3GAN-style networks from CIFAR-10, and what do they leave out?

Protocol card `cifar`: unconditional CIFAR-10, 32x32.
  data        the 50,000 training images: $GAN_JAX_DATA/cifar10 (an npz with `images` and `labels`, class folders, ...), or data.path, or as TFDS has
              prepared it (`gan-jax data prepare cifar10`)
  players     `sngan`: SNGAN's residual networks, z 128, hinge, five steps of D for one of G, spectral norm in D, Adam 2e-4 (0, .9), batch 64,
              100,000 rounds (Miyato et al., 2018, arXiv:1802.05957); `vanilla`: DCGAN's convolutions 512-256-128 and back, non-saturating, 1:1, Adam
              2e-4 (.5, .999); `dcgan_r1` and `wgan_gp`: the same without BatchNorm in D; `r3gan`: RpGAN + R1 + R2 without normalisation, gamma .05,
              Adam 2e-4 (0, .9). Averaged weights .999 beside the raw ones
  evaluation  50,000 samples; Frechet distance, precision and recall, density and coverage on random convolutions (comparable among these arms
              alone), Vendi; FID against the training set where Inception's weights of 2015 are at hand: GAN_JAX_INCEPTION names the file
Published FID (50,000 and 10,000 or 50,000; each holds in its own code base alone): SNGAN 21.7 in the paper, 16.8 in Mimicry; WGAN-GP 22.3 there;
DCGAN 24.7 to 29.0; R3GAN 1.96 with its own, far longer schedule.

  gan-jax run --config=experiments/cifar10.py --workdir=runs/cifar10             3 seeds, 5 arms: wants a GPU
  gan-jax run --config=experiments/cifar10.py:quick --workdir=runs/cifar10_quick   a sixteenth of the maps, 40 rounds, 3 arms: about two minutes
"""

import os

from _arms import RELATIVISTIC, WASSERSTEIN, pick
from ml_collections import ConfigDict

RANDOM = {"features": {"name": "random_conv"}, "n": 10_000}


def get_config(arg: str | None = None) -> ConfigDict:
  config = {
    "question": "Photographs: how far are plain, residual and R3GAN-style networks from CIFAR-10, and what do they leave out?",
    "seeds": 3,
    "num_steps": 100_000,
    "batch_size": 64,
    "batch_unit": "samples",
    "data": {"name": "cifar10", "path": None},
    "generator": {"name": "resnet_generator", "features": (256,) * 4},
    "discriminator": {"name": "resnet_discriminator", "features": (128,) * 4},
    "objective": {"name": "hinge"},
    "prior": {"name": "normal", "size": 128},
    "optimizers": {"generator": adam(0.0, 0.9), "discriminator": adam(0.0, 0.9)},
    "discriminator_terms": {},
    "generator_terms": {},
    "view": {},
    "transforms": {},
    "game": {"name": "gan", "n_critic": 5, "ema_decay": 0.999},
    "evaluation": {
      "num_samples": 50_000, "thresholds": (), "every": 2000, "monitor_samples": 2000, "distances": True,
      "metrics": {"frechet": RANDOM, "precision_recall": RANDOM, "density_coverage": RANDOM, "vendi": {**RANDOM, "n": 2000}, **fid()},
    },
    "arms": arms(),
  }  # fmt: skip
  if arg == "quick":
    config |= {"seeds": 1, "num_steps": 40}
    config["generator"]["features"], config["discriminator"]["features"] = (16,) * 4, (8,) * 4
    config["evaluation"] |= {"num_samples": 1000, "every": 20, "monitor_samples": 500}
    config["evaluation"]["metrics"] = {name: {**RANDOM, "n": 1000} for name in ("frechet", "precision_recall", "density_coverage")}
    config["arms"] = pick(arms(1 / 16), "vanilla", "sngan", "r3gan")
  elif arg is not None:
    raise ValueError(f"no form {arg!r} of this experiment; use quick")
  return ConfigDict(config, convert_dict=False)


def fid() -> dict:
  """FID of 50,000 against 50,000, where the environment names the weights."""
  path = os.environ.get("GAN_JAX_INCEPTION")
  return {"fid": {"name": "frechet", "features": {"name": "inception", "path": path}, "n": 50_000}} if path else {}


def adam(b1: float, b2: float, learning_rate: float = 2e-4) -> dict:
  return {"name": "adam", "learning_rate": learning_rate, "b1": b1, "b2": b2}


def arms(scale: float = 1.0) -> dict:
  """Players, objective and schedule belong together here, so an arm is all three. `scale` is the share of the maps."""
  maps = lambda *widths: tuple(round(width * scale) for width in widths)
  both = lambda optimizer: {"optimizers.generator": optimizer, "optimizers.discriminator": optimizer}
  dcgan = {
    "generator": {"name": "dcgan_generator", "features": maps(512, 256, 128)},
    "discriminator": {"name": "dcgan_discriminator", "features": maps(128, 256, 512)},
    "objective": {"name": "non_saturating"},
    "game.n_critic": 1,
    **both(adam(0.5, 0.999)),
  }
  bare = {**dcgan, "discriminator": {**dcgan["discriminator"], "batch_norm": None}}
  r3gan = {
    "generator": {"name": "r3gan_generator", "features": maps(256, 256, 256, 256)},
    "discriminator": {"name": "r3gan_discriminator", "features": maps(256, 256, 256, 256)},
    **RELATIVISTIC,
    "game.n_critic": 1,
    "discriminator_terms.r1.gamma": 0.05,
    "discriminator_terms.r2.gamma": 0.05,
  }
  return {
    "vanilla": dcgan,
    "sngan": {},
    "dcgan_r1": {**bare, "discriminator_terms.r1.gamma": 0.1},
    "wgan_gp": {**bare, **WASSERSTEIN, "discriminator_terms.wgan_gp.weight": 10.0, **both(adam(0.5, 0.9, 1e-4))},
    "r3gan": r3gan,
  }
