"""A rare class filled up with generated pictures: does that teach a classifier more than what needs no GAN?

Our own card, on triangles of which the truth is known. Balancing: BAGAN, Mariani et al., 2018 (arXiv:1803.09655); naive augmentation: Ravuri and
Vinyals, 2019 (arXiv:1905.10887); augmentation in D: Zhao et al., 2020 (arXiv:2006.10738).
  data        four types of triangle, large, in two colours on two plain backgrounds, 16x16, [-1, 1]: 989 equilateral, 213 isosceles, 46
              right and 10 scalene ones. What was left out of 4,000 is the oracle's
  players     class-conditional: G 64-4x4, transposed convolutions 32, 3, scaled and shifted by the class; D 32, 64, the class projected; no
              normalisation; RpGAN + R1 + R2, gamma .1; alternating 1:1; Adam 2e-3 (0, .99); batch 64; average of G's weights .999
  arms        vanilla: batches by the data's law. uniform: each class alike. augmented: each class alike, and D sees shifted and cut-out images
  evaluation  balanced accuracy, on 5,000 new triangles of each type alike, of a small classifier that learned from real and generated pictures, as
              many of each type; without generated ones: plain, with weights in the loss, oversampled with mirror images; and with the renderer's
              own in their place (the oracle). gap closed = (accuracy - plain) / (oracle - plain). 400 updates each, two classifiers of each
              (metrics.balancing). The verifier: the share of each type that is drawn validly, and as that type (triangle_scores)

  gan-jax run --config=experiments/triangles_longtail.py --workdir=runs/longtail               3 seeds, 3 arms, 8,000 rounds: twenty minutes of a core
  gan-jax run --config=experiments/triangles_longtail.py:quick --workdir=runs/longtail_quick   400 rounds, 1 seed, 2 arms: two minutes, and blobs
"""

from _arms import RELATIVISTIC, pick
from ml_collections import ConfigDict

ONLY = {"size": ("large",), "fill": ("red", "yellow"), "background": ("green", "blue"), "texture": ("plain",)}
TRIANGLES = {"name": "triangles", "size": 16, "condition": "class", "label": ("type",), "modes": ("type",), "only": ONLY}
ADAM = {"name": "adam", "learning_rate": 2e-3, "b1": 0.0, "b2": 0.99}
GAMMA = {"gamma": 0.1}


def get_config(arg: str | None = None) -> ConfigDict:
  if arg not in (None, "quick"):
    raise ValueError(f"no form {arg!r} of this experiment; use quick")
  quick = arg == "quick"
  n = 512 if quick else 1000
  both = {"batch_norm": None, "strides": (2, 2), "num_classes": 4}
  config = {
    "question": "A rare class filled up with generated pictures: does that teach a classifier more than what needs no GAN?",
    "seeds": 1 if quick else 3,
    "num_steps": 400 if quick else 8000,
    "batch_size": 64,
    "batch_unit": "samples",
    "data": {"name": "long_tail", "of": {**TRIANGLES, "num_images": 4000}, "ratio": 0.01},
    "generator": {"name": "dcgan_generator", "features": (64, 32), "activation": "leaky_relu", **both},
    "discriminator": {"name": "dcgan_discriminator", "features": (32, 64), **both},
    **RELATIVISTIC,
    "prior": {"name": "normal", "size": 64},
    "optimizers": {"generator": ADAM, "discriminator": ADAM},
    "discriminator_terms": {"r1": GAMMA, "r2": GAMMA},
    "generator_terms": {},
    "view": {},
    "transforms": {},
    "game": {"name": "gan", "ema_decay": 0.999},
    "evaluation": {
      "num_samples": n, "thresholds": (1,), "every": 100 if quick else 1000, "monitor_samples": 256, "distances": False,
      "metrics": {
        "balancing": {"reference": {**TRIANGLES, "split": "test"}, "steps": 100 if quick else 400, "classifiers": 1 if quick else 2},
        "triangle_scores": {"n": n},
      },
    },
    "arms": pick(ARMS, "vanilla", "uniform") if quick else ARMS,
  }  # fmt: skip
  return ConfigDict(config, convert_dict=False)


UNIFORM = {"data.drawn": "classes"}
ARMS = {
  "vanilla": {},
  "uniform": UNIFORM,
  "augmented": {**UNIFORM, "view.translation": {}, "view.cutout": {}},
}
