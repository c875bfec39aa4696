"""A rare class filled up with generated pictures: does that teach a classifier more than what needs no GAN?

Our own card, on triangles of which the truth is known. Balancing: BAGAN, Mariani et al., 2018 (arXiv:1803.09655); naive augmentation: Ravuri and
Vinyals, 2019 (arXiv:1905.10887); augmentation in D: Zhao et al., 2020 (arXiv:2006.10738).
  data        four types of triangle, large, in two colours on plain blue, 16x16, [-1, 1]: about 1,000 equilateral, 215 isosceles, 46 right and 10
              scalene ones. What was left out of 4,000 is the oracle's
  players     class-conditional: G draws in two layers, as in triangles_layers, where that needs the fewest rounds: background 16-4x4, one transposed
              convolution; foreground and mask 64-4x4, 32, 4, moved by up to a pixel; both scaled and shifted by the class. D 32, 64, the class
              projected; no normalisation; RpGAN + R1 + R2, gamma .1; alternating 1:1; Adam 2e-3 (0, .99); batch 64; 10,000 rounds; average of G's
              weights .999
  arms        vanilla: batches by the data's law. uniform: each class alike. augmented: each class alike, and D sees shifted and cut-out images
  evaluation  balanced accuracy, on 5,000 new triangles, of a small classifier that learned from real and generated pictures, as many of each type;
              without generated ones: plain, with weights in the loss, oversampled with mirror images; and with the renderer's own in their place
              (the oracle). gap closed = (accuracy - plain) / (oracle - plain). 600 updates each, three classifiers of each (metrics.balancing).
              The verifier: the share of each type that is drawn validly, and as that type (metrics.triangle_scores)

  gan-jax run --config=experiments/triangles_longtail.py --workdir=runs/longtail               5 seeds, 3 arms: wants a GPU
  gan-jax run --config=experiments/triangles_longtail.py:cpu --workdir=runs/longtail_cpu       3 seeds, 3 arms, one classifier of 300 updates
  gan-jax run --config=experiments/triangles_longtail.py:quick --workdir=runs/longtail_quick   400 rounds, 1 seed, 2 arms: two minutes, and blobs
"""

from _arms import RELATIVISTIC, pick
from ml_collections import ConfigDict

ONLY = {"size": ("large",), "fill": ("red", "yellow"), "background": ("blue",), "texture": ("plain",)}
TRIANGLES = {"name": "triangles", "size": 16, "condition": "class", "label": ("type",), "modes": ("type",), "only": ONLY}
ADAM = {"name": "adam", "learning_rate": 2e-3, "b1": 0.0, "b2": 0.99}
GAMMA = {"gamma": 0.1}


def get_config(arg: str | None = None) -> ConfigDict:
  if arg not in (None, "cpu", "quick"):
    raise ValueError(f"no form {arg!r} of this experiment; use cpu or quick")
  balancing = {"reference": {**TRIANGLES, "split": "test"}, "steps": 600, "classifiers": 3}
  stack = {"name": "dcgan_generator", "batch_norm": None, "activation": "leaky_relu", "num_classes": 4}
  config = {
    "question": "A rare class filled up with generated pictures: does that teach a classifier more than what needs no GAN?",
    "seeds": 5,
    "num_steps": 10_000,
    "batch_size": 64,
    "batch_unit": "samples",
    "data": {"name": "long_tail", "of": {**TRIANGLES, "num_images": 4000}, "ratio": 0.01},
    "generator": {
      "name": "layered", "reach": 1,
      "background": {**stack, "out": (16, 16, 3), "features": (16,), "strides": (4,)},
      "foreground": {**stack, "out": (16, 16, 4), "features": (64, 32)},
    },
    "discriminator": {"name": "dcgan_discriminator", "features": (32, 64), "batch_norm": None, "num_classes": 4},
    **RELATIVISTIC,
    "prior": {"name": "normal", "size": 64},
    "optimizers": {"generator": ADAM, "discriminator": ADAM},
    "discriminator_terms": {"r1": GAMMA, "r2": GAMMA},
    "generator_terms": {},
    "view": {},
    "transforms": {},
    "game": {"name": "gan", "ema_decay": 0.999},
    "evaluation": {
      "num_samples": 1000, "thresholds": (1,), "every": 1000, "monitor_samples": 256, "distances": False,
      "metrics": {"balancing": balancing, "triangle_scores": {"n": 1000}},
    },
    "arms": ARMS,
  }  # fmt: skip
  if arg is not None:
    config |= {"seeds": 3}
    balancing |= {"steps": 300, "classifiers": 1}
  if arg == "quick":
    config |= {"seeds": 1, "num_steps": 400, "arms": pick(ARMS, "vanilla", "uniform")}
    config["evaluation"] |= {"every": 100}
    balancing |= {"steps": 100}
  return ConfigDict(config, convert_dict=False)


UNIFORM = {"data.drawn": "classes"}
ARMS = {
  "vanilla": {},
  "uniform": UNIFORM,
  "augmented": {**UNIFORM, "view.translation": {}, "view.cutout": {}},
}
