"""Clothes of which some kinds are rare, filled up with generated ones: does that teach a classifier more than what needs no GAN?

Our own card, on Fashion-MNIST (Xiao et al., 2017, arXiv:1708.07747) with the long tail of Cui et al., 2019 (arXiv:1901.05555). Balancing: BAGAN,
Mariani et al., 2018 (arXiv:1803.09655); naive augmentation: Ravuri and Vinyals, 2019 (arXiv:1905.10887).
  data        6,000 T-shirts, 3,597 trousers, ... 100 bags and 60 ankle boots of the training images, 28x28 grey, [-1, 1]; what was left out is the
              oracle's
  players     class-conditional: G 128-7x7, 4x4 transposed convolutions 64 (14x14), 1 (28x28), conditional BatchNorm, ReLU, tanh; D 4x4 convolutions
              with 64, 128, 256 maps, no normalisation, the label projected; non-saturating; alternating 1:1; Adam 2e-4 (.5, .999); batch 64; 50,000
              rounds; average of G's weights .999
  arms        vanilla: batches by the data's law. uniform: each class alike. r1: each class alike, and R1 of gamma 1
  evaluation  balanced accuracy on 5,000 test images of a small classifier that learned from real and generated images, 6,000 of each class; without
              generated ones: plain, with weights in the loss, oversampled with mirror images; and with the withheld real images in their place (the
              oracle). gap closed = (accuracy - plain) / (oracle - plain); 1,400 updates each, three classifiers of each (metrics.balancing)

  gan-jax run --config=experiments/fashion_longtail.py --workdir=runs/fashion_longtail               5 seeds, 3 arms: wants a GPU
  gan-jax run --config=experiments/fashion_longtail.py:short --workdir=runs/fashion_longtail_short   fewer maps, Adam 5e-4, 1,000 rounds, 3 seeds, 2
                                                                                                     arms, one classifier of 200 updates: CPUs
  gan-jax run --config=experiments/fashion_longtail.py:quick --workdir=runs/fashion_longtail_quick   500 rounds, 1 seed, 100 updates: two minutes

GAN_JAX_DATA names the folder that holds fashion_mnist/.
"""

from _arms import pick
from ml_collections import ConfigDict

FASHION = {"name": "fashion_mnist", "condition": "label"}


def get_config(arg: str | None = None) -> ConfigDict:
  if arg not in (None, "short", "quick"):
    raise ValueError(f"no form {arg!r} of this experiment; use short or quick")
  small = arg is not None
  adam = {"name": "adam", "learning_rate": 5e-4 if small else 2e-4, "b1": 0.5, "b2": 0.999}
  evaluation = {"num_samples": 10_000, "thresholds": (1,), "every": 1000, "monitor_samples": 2500, "distances": False}
  balancing = {"reference": {**FASHION, "split": "test"}, "steps": 1400, "classifiers": 3}
  config = {
    "question": "Clothes of which some kinds are rare, filled up with generated ones: does that teach a classifier more than what needs no GAN?",
    "seeds": 5,
    "num_steps": 50_000,
    "batch_size": 64,
    "batch_unit": "samples",
    "data": {
      "name": "long_tail", "of": FASHION, "ratio": 0.01, "minimum_accuracy": 0.75 if small else 0.9, "classifier_steps": 150 if small else 1400,
    },
    "generator": {
      "name": "dcgan_generator", "features": (32, 16) if small else (128, 64), "strides": (2, 2), "batch_norm": 0.9, "num_classes": 10,
    },
    "discriminator": {
      "name": "dcgan_discriminator", "features": (8, 16, 32) if small else (64, 128, 256), "batch_norm": None, "num_classes": 10,
    },
    "objective": {"name": "non_saturating"},
    "prior": {"name": "normal", "size": 128},
    "optimizers": {"generator": adam, "discriminator": adam},
    "discriminator_terms": {},
    "generator_terms": {},
    "view": {},
    "transforms": {},
    "game": {"name": "gan", "ema_decay": 0.999},
    "evaluation": evaluation,
    "arms": ARMS,
  }  # fmt: skip
  if arg == "short":
    config |= {"seeds": 3, "num_steps": 1000, "game": {"name": "gan"}, "arms": pick(ARMS, "vanilla", "uniform")}
    evaluation |= {"num_samples": 2500, "every": 500, "monitor_samples": 500}
    balancing |= {"steps": 200, "classifiers": 1}
  elif arg == "quick":
    config |= {"seeds": 1, "num_steps": 500, "arms": pick(ARMS, "uniform")}
    evaluation |= {"num_samples": 1000, "every": 250, "monitor_samples": 500}
    balancing |= {"steps": 100, "classifiers": 1}
  evaluation["metrics"] = {"balancing": balancing, "per_class": {}}
  return ConfigDict(config, convert_dict=False)


UNIFORM = {"data.drawn": "classes"}
ARMS = {
  "vanilla": {},
  "uniform": UNIFORM,
  "r1": {**UNIFORM, "discriminator_terms.r1.gamma": 1.0},
}
