"""Ten kinds of clothes, asked for by name: is every class made, recognisably, and as varied as it is?

Our own card: Fashion-MNIST (Xiao et al., 2017, arXiv:1708.07747), class-conditional, with scores for every class.
  data        the 60,000 training images, 28x28 grey, [-1, 1], each with its label
  players     G 128-7x7x128, 4x4 transposed convolutions 64 (14x14), 1 (28x28), conditional BatchNorm, ReLU, tanh; D 4x4 convolutions of stride 2
              with 64, 128, 256 maps, no normalisation, LeakyReLU .2, the label projected onto the last maps; Glorot; non-saturating; alternating
              1:1; Adam 2e-4 (.5, .999); batch 64; 50,000 rounds; average of G's weights .999
  evaluation  10,000 samples with labels of the data's law; per class: the share read as this class, and how often a sample is read as what it was
              asked for (a perfect sampler gets what the classifier gets: 91 %); Frechet distance, precision and recall, density and coverage on the
              classifier's features

  gan-jax run --config=experiments/fashion_mnist.py --workdir=runs/fashion             5 seeds, 6 arms: wants a GPU
  gan-jax run --config=experiments/fashion_mnist.py:short --workdir=runs/fashion_short  an eighth of the maps, 2,500 rounds, 3 seeds, 4 arms, for CPUs
  gan-jax run --config=experiments/fashion_mnist.py:quick --workdir=runs/fashion_quick   an eighth of the maps, 2,000 rounds, 2 arms: two minutes

GAN_JAX_DATA names the folder that holds fashion_mnist/. Packing is left out: a pack has one answer and several labels.
"""

from _arms import RELATIVISTIC, WASSERSTEIN, pick
from ml_collections import ConfigDict

ADAM = {"name": "adam", "learning_rate": 2e-4, "b1": 0.5, "b2": 0.999}


def get_config(arg: str | None = None) -> ConfigDict:
  config = {
    "question": "Ten kinds of clothes, asked for by name: is every class made, recognisably, and as varied as it is?",
    "seeds": 5,
    "num_steps": 50_000,
    "batch_size": 64,
    "batch_unit": "samples",
    "data": {"name": "labelled", "of": {"name": "fashion_mnist", "condition": "label"}, "minimum_accuracy": 0.9, "classifier_steps": 1400},
    "generator": {"name": "dcgan_generator", "features": (128, 64), "strides": (2, 2), "batch_norm": 0.9, "num_classes": 10},
    "discriminator": {"name": "dcgan_discriminator", "features": (64, 128, 256), "batch_norm": None, "num_classes": 10},
    "objective": {"name": "non_saturating"},
    "prior": {"name": "normal", "size": 128},
    "optimizers": {"generator": ADAM, "discriminator": ADAM},
    "discriminator_terms": {},
    "generator_terms": {},
    "view": {},
    "transforms": {},
    "game": {"name": "gan", "ema_decay": 0.999},
    "evaluation": {
      "num_samples": 10_000, "thresholds": (1,), "every": 1000, "monitor_samples": 2500, "distances": True,
      "metrics": {
        "per_class": {},
        "frechet": {"features": {"name": "classifier"}, "n": 5000},
        "precision_recall": {"features": {"name": "classifier"}, "k": 5, "n": 5000},
        "density_coverage": {"features": {"name": "classifier"}, "k": 5, "n": 5000},
        "vendi": {"features": {"name": "classifier"}, "n": 2000},
      },
    },
    "arms": ARMS,
  }  # fmt: skip
  if arg in ("short", "quick"):
    config["generator"]["features"], config["discriminator"]["features"] = (32, 16), (8, 16, 32)
  if arg == "short":
    config |= {"seeds": 3, "num_steps": 2500}
    config["evaluation"]["every"] = 500
    config["arms"] = pick(ARMS, "vanilla", "minibatch_stddev", "r1", "rpgan_r1_r2")
  elif arg == "quick":
    config |= {"seeds": 1, "num_steps": 2000}
    config["data"] |= {"minimum_accuracy": 0.75, "classifier_steps": 150}
    config["evaluation"] |= {"num_samples": 2500, "every": 250, "monitor_samples": 1000}
    config["evaluation"]["metrics"] = {"per_class": {}, "precision_recall": {"features": {"name": "classifier"}, "k": 5, "n": 1000}}
    config["arms"] = pick(ARMS, "vanilla", "r1")
  elif arg is not None:
    raise ValueError(f"no form {arg!r} of this experiment; use short or quick")
  return ConfigDict(config, convert_dict=False)


ARMS = {
  "vanilla": {},
  "minibatch_stddev": {"discriminator.across": {"name": "minibatch_stddev", "group_size": 4}},
  "mode_seeking": {"generator_terms.mode_seeking.weight": 1.0},
  "r1": {"discriminator_terms.r1.gamma": 1.0},
  "rpgan_r1_r2": {**RELATIVISTIC, "discriminator_terms.r1.gamma": 1.0, "discriminator_terms.r2.gamma": 1.0},
  "wgan_gp": {**WASSERSTEIN, "discriminator_terms.wgan_gp.weight": 10.0},
}
