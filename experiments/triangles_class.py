"""Triangles by name: is every type drawn in every colour, and is what is drawn what was asked for?

Our own card: a class-conditional GAN whose scores are exact, for the verifier reads type and colour of what was drawn.
  data        50,000 triangles of all kinds, 64x64, [-1, 1]; the class is type and fill: 24 of them
  players     residual networks, G 256-4x4, four blocks of 256, 256, 128, 64, scaled and shifted by the class (conditional BatchNorm); D four blocks
              of 64, 128, 256, 256, spectral norm, the class projected; non-saturating + R1, gamma 1; alternating 1:1; Adam 2e-4 (0, .99); batch
              128; 100,000 rounds; average of G's weights .999
  evaluation  10,000 samples with classes of the data's law: for each class the share that is valid, and the share valid and of that class
              (class_right); GAN-test: the share of samples that a classifier of real images reads as the class asked for; GAN-train: the accuracy
              on the test split of a classifier that learned from the samples. Floor: noise, 0. Ceiling: new true images, through the same code

  gan-jax run --config=experiments/triangles_class.py --workdir=runs/triangles_class             3 seeds, 4 arms: wants a GPU
  gan-jax run --config=experiments/triangles_class.py:cpu --workdir=runs/triangles_class_cpu       16x16, two types in two colours, plain, 4 arms
  gan-jax run --config=experiments/triangles_class.py:quick --workdir=runs/triangles_class_quick   the same for 400 rounds, 2 arms: two minutes, blobs
"""

from _arms import RELATIVISTIC, pick
from ml_collections import ConfigDict

SMALL = {
  "type": ("equilateral", "right"), "size": ("large",), "fill": ("red", "yellow"), "background": ("green", "blue"), "texture": ("plain",),
}  # fmt: skip


def get_config(arg: str | None = None) -> ConfigDict:
  if arg not in (None, "cpu", "quick"):
    raise ValueError(f"no form {arg!r} of this experiment; use cpu or quick")
  adam, classes = {"name": "adam", "learning_rate": 2e-4, "b1": 0.0, "b2": 0.99}, 24
  config = {
    "question": "Triangles by name: is every type drawn in every colour, and is what is drawn what was asked for?",
    "seeds": 3,
    "num_steps": 100_000,
    "batch_size": 128,
    "batch_unit": "samples",
    "data": {"name": "triangles", "size": 64, "condition": "class", "label": ("type", "fill"), "modes": ("type", "size", "fill"), "only": None},
    "generator": {"name": "resnet_generator", "features": (256, 256, 256, 128, 64), "num_classes": classes},
    "discriminator": {"name": "resnet_discriminator", "features": (64, 128, 256, 256), "strides": (2, 2, 2, 2), "num_classes": classes},
    "objective": {"name": "non_saturating"},
    "prior": {"name": "normal", "size": 64},
    "optimizers": {"generator": adam, "discriminator": adam},
    "discriminator_terms": {"r1": {"gamma": 1.0}},
    "generator_terms": {},
    "view": {},
    "transforms": {},
    "game": {"name": "gan", "ema_decay": 0.999},
    "evaluation": {
      "num_samples": 10_000, "thresholds": (1,), "every": 1000, "monitor_samples": 1000, "distances": True, "metrics": {},
    },
    "arms": arms(1.0),
  }  # fmt: skip
  if arg in ("cpu", "quick"):
    adam["learning_rate"] = 2e-3
    both = {"batch_norm": None, "strides": (2, 2), "num_classes": 4}
    config |= {
      "seeds": 1, "num_steps": 20_000, "batch_size": 64, "discriminator_terms": {"r1": {"gamma": 0.1}},
      "generator": {"name": "dcgan_generator", "features": (64, 32), "activation": "leaky_relu", **both},
      "discriminator": {"name": "dcgan_discriminator", "features": (32, 64), **both},
      "arms": arms(0.1),
    }  # fmt: skip
    config["data"] |= {"size": 16, "only": SMALL}
    config["evaluation"] |= {"num_samples": 2000, "monitor_samples": 256}
  if arg == "quick":
    config |= {"num_steps": 400, "arms": pick(config["arms"], "vanilla", "rpgan_r1_r2")}
    config["evaluation"] |= {"num_samples": 512, "every": 100}
  n, test = config["evaluation"]["num_samples"], {**config["data"], "split": "test"}
  learned = {"reference": test, "n": n, "steps": 150 if arg == "quick" else 1400}
  config["evaluation"]["metrics"] = {"triangle_scores": {"n": n}, "gan_train": learned, "gan_test": learned}
  return ConfigDict(config, convert_dict=False)


def arms(gamma: float) -> dict:
  return {
    "vanilla": {"discriminator_terms.r1": None},
    "r1": {},
    "minibatch_stddev": {"discriminator.across": {"name": "minibatch_stddev", "group_size": 4}},
    "rpgan_r1_r2": {**RELATIVISTIC, "discriminator_terms.r2.gamma": gamma},
  }
