"""A sentence, and the picture of it: which of its five words are heard, and are the two colours ever exchanged?

Our own card: a conditional GAN with a caption encoder that each player trains for itself (matching-aware: Reed et al., 2016, arXiv:1605.05396).
  data        50,000 triangles, 32x32, [-1, 1]; condition: captions from templates with synonyms, 14 words at most; without four pairs of fill and
              texture (red on dots, yellow on stripes, cyan on a gradient, blue on checks), which are asked for at the end
  players     each with an encoder (GRU, 64) of its own; G residual, 128-4x4x128, blocks 64 (8x8), 32 (16x16), 32 (32x32), scaled and shifted by the
              caption (conditional BatchNorm); D residual, blocks 32 64 128 128, the caption projected; non-saturating, mismatched pairs * .5, R1 * 1;
              Adam 2e-4 (0, .99); batch 64; 50,000 rounds; average of G's weights .999
  arms        with mismatched pairs and without; an encoder that does not know the order of words
  evaluation  1,000 captions of the test split, and 1,000 of the pairs held out: share of answers whose attribute is the one said, all five, the two
              colours exchanged, and the caption ranked among 99 others (`caption_scores`)

  gan-jax run --config=experiments/triangles_text.py --workdir=runs/triangles_text               3 seeds, 3 arms: wants a GPU
  gan-jax run --config=experiments/triangles_text.py:cpu --workdir=runs/triangles_text_cpu       16x16, large equilateral triangles in three colours
              on two textures (10 combinations, 2 held out), G 64 32 and D 32 64 maps, R1 * .1, Adam 2e-3, 6,000 rounds, 2 arms: see docs/tasks.md
  gan-jax run --config=experiments/triangles_text.py:quick --workdir=runs/triangles_text_quick   16x16, large, plain and striped; 600 rounds, 1 arm:
              to see that all of it runs

  gan-jax sample runs/triangles_text --arm=mismatched --caption="a small red scalene triangle on a striped blue background" --out=red.png
"""

from typing import Any

from _arms import pick
from ml_collections import ConfigDict

ADAM = {"name": "adam", "learning_rate": 2e-4, "b1": 0.0, "b2": 0.99}
FASTER = {"quick": ADAM | {"learning_rate": 1e-3}, "cpu": ADAM | {"learning_rate": 2e-3}}
WORDS = 39  # of captions, see gan_jax.data.triangles.captions.VOCABULARY
THREE = ("red", "yellow", "blue")
ONLY = {
  "quick": {"texture": ("plain", "striped"), "size": ("large",)},
  "cpu": {"type": ("equilateral",), "size": ("large",), "fill": THREE, "background": THREE, "texture": ("plain", "striped")},
}


def get_config(arg: str | None = None) -> ConfigDict:
  if arg not in (None, "cpu", "quick"):
    raise ValueError(f"no form {arg!r} of this experiment; use cpu or quick")
  size, only = 16 if arg else 32, ONLY.get(arg or "")
  data = {"name": "triangles", "size": size, "condition": "caption", "only": only, "pairs": "seen"}
  test = {**data, "name": "gan_jax.data:triangles", "split": "test"}
  up = {"name": "resnet_generator", "out": (size, size, 3), "features": (128, 64, 32, 32), "strides": (2, 2, 2)}
  down = {"name": "resnet_discriminator", "features": (32, 64, 128, 128), "strides": (2, 2, 2, 1), "conv": "Conv", "last": "Dense"}
  if arg == "quick":
    up |= {"features": (64, 32, 16), "strides": (2, 2)}
    down |= {"features": (16, 32, 32), "strides": (2, 2, 1)}
  elif arg == "cpu":
    shared = {"batch_norm": None, "strides": (2, 2)}
    up = {"name": "dcgan_generator", "out": (size, size, 3), "features": (64, 32), "kernel": 4, "activation": "leaky_relu", **shared}
    down = {"name": "dcgan_discriminator", "features": (32, 64), **shared}
  config: dict[str, Any] = {
    "question": "A sentence, and the picture of it: which of its five words are heard, and are the two colours ever exchanged?",
    "seeds": 3,
    "num_steps": 50_000,
    "batch_size": 64,
    "batch_unit": "samples",
    "data": data,
    "generator": {"name": "captioned", "vocabulary": WORDS, "size": 64, "kind": "gru", "of": up},
    "discriminator": {"name": "captioned", "vocabulary": WORDS, "size": 64, "kind": "gru", "of": down},
    "objective": {"name": "non_saturating"},
    "prior": {"name": "normal", "size": 64},
    "optimizers": {"generator": ADAM, "discriminator": ADAM},
    "discriminator_terms": {"r1": {"gamma": 1.0}, "mismatched": {"weight": 0.5}},
    "generator_terms": {},
    "view": {},
    "transforms": {},
    "game": {"name": "gan", "ema_decay": 0.999},
    "evaluation": {
      "num_samples": 1000, "thresholds": (1,), "every": 1000, "monitor_samples": 500, "distances": True,
      "metrics": {
        "triangle_answers": {"n": 1000, "reference": test}, "caption_scores": {"n": 1000, "reference": test, "floor": "another"},
        "held_out": {"name": "caption_scores", "n": 1000, "reference": test | {"pairs": "held_out"}, "label": "held_out", "floor": "another"},
      },
    },
    "arms": ARMS,
  }  # fmt: skip
  if arg == "quick":
    config |= {"seeds": 1, "num_steps": 600, "batch_size": 32, "arms": pick(ARMS, "mismatched")}
    config["discriminator_terms"].pop("r1")
    config["optimizers"] = {"generator": FASTER[arg], "discriminator": FASTER[arg]}
    config["game"]["ema_decay"] = 0.99
    config["evaluation"] |= {"num_samples": 256, "every": 300, "monitor_samples": 100}
    for metric in config["evaluation"]["metrics"].values():
      metric["n"] = 256
  elif arg == "cpu":
    config |= {"seeds": 1, "num_steps": 6000, "arms": pick(ARMS, "mismatched", "matched")}
    config["discriminator_terms"]["r1"]["gamma"] = 0.1
    config["optimizers"] = {"generator": FASTER[arg], "discriminator": FASTER[arg]}
    config["evaluation"]["monitor_samples"] = 256
  return ConfigDict(config, convert_dict=False)


ARMS = {
  "mismatched": {},
  "matched": {"discriminator_terms.mismatched": None},
  "mean_of_words": {"generator.kind": "mean", "discriminator.kind": "mean"},
}
