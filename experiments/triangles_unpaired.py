"""Warm triangles to become cool ones, without a single pair: is it the same triangle, in the other set's colours?

Our own card: CycleGAN (Zhu et al., 2017, arXiv:1703.10593) and CUT (Park et al., 2020, arXiv:2007.15651) on triangles.
  data        triangles, 32x32, [-1, 1]: from red, yellow and magenta on plain ground to green, cyan and blue on stripes and checks; no image of
              the one set belongs to one of the other
  players     G (and F) residual, 32 maps, halved twice, 4 blocks, instance normalisation; D (both) patches of 28 pixels, 4x4 convolutions of stride 2
              with 32 and 64 maps; least squares; Adam 2e-4 (.5, .999); batch 8; 20,000 rounds; average of G's weights .999
  arms        cycle * 10; with identity * 5; cycle * 1; CUT: contrast * 1 with identity * 1, 64 patches; FastCUT: contrast * 10 (without its flips)
  evaluation  500 images of the test split: is the triangle where it was (corners, pixels from those of the input; the copied input has 0), and
              the share of answers with a fill and a texture of the other set (the copied input has none)

  gan-jax run --config=experiments/triangles_unpaired.py --workdir=runs/triangles_unpaired               3 seeds, 5 arms: wants a GPU
  gan-jax run --config=experiments/triangles_unpaired.py:cpu --workdir=runs/triangles_unpaired_cpu       16x16, 12 maps, 2 blocks, batch 16,
              Adam 5e-4, 2,500 rounds, 1 seed, 2 arms: see docs/tasks.md
  gan-jax run --config=experiments/triangles_unpaired.py:quick --workdir=runs/triangles_unpaired_quick   half the maps, 1,000 rounds, 1 arm
"""

from typing import Any

from _arms import pick
from ml_collections import ConfigDict

ADAM = {"name": "adam", "learning_rate": 2e-4, "b1": 0.5, "b2": 0.999}
FASTER = ADAM | {"learning_rate": 5e-4}
CYCLEGAN = ("generator", "inverse", "discriminator", "second_discriminator")
CUT = ("generator", "discriminator", "heads")
WARM = {"fill": ("red", "yellow", "magenta"), "texture": ("plain",)}
COOL = {"fill": ("green", "cyan", "blue"), "texture": ("striped", "checkered")}


def get_config(arg: str | None = None) -> ConfigDict:
  if arg not in (None, "cpu", "quick"):
    raise ValueError(f"no form {arg!r} of this experiment; use cpu or quick")
  images = {"name": "gan_jax.data:triangles", "size": 16 if arg == "cpu" else 32}
  pairs = lambda split: {"name": "unpaired", "of": {**images, "split": split, "only": COOL}, "source": {**images, "split": split, "only": WARM}}
  adam = FASTER if arg == "cpu" else ADAM
  every = arms(adam, 0.995 if arg == "cpu" else 0.999)
  config: dict[str, Any] = {
    "question": "Warm triangles to become cool ones, without a single pair: is it the same triangle, in the other set's colours?",
    "seeds": 3,
    "num_steps": 20_000,
    "batch_size": 8,
    "batch_unit": "samples",
    "data": pairs("train"),
    "generator": {"name": "residual_translator", "features": 32, "blocks": 4},
    "discriminator": {"name": "patch_discriminator", "features": (32, 64), "strides": (2, 2)},
    "objective": None,
    "prior": {"name": "nothing"},
    "optimizers": {name: adam for name in CYCLEGAN},
    "discriminator_terms": {},
    "generator_terms": {},
    "view": {},
    "transforms": {},
    "game": {"name": "cyclegan", "weight": 10.0, "ema_decay": 0.999},
    "evaluation": {
      "num_samples": 500, "thresholds": (1,), "every": 1000, "monitor_samples": 200, "distances": True,
      "metrics": {"triangle_answers": {"n": 500, "reference": pairs("test"), "truth": "input", "floor": "copy"}},
    },
    "arms": every,
  }  # fmt: skip
  if arg == "cpu":
    config |= {"seeds": 1, "num_steps": 2500, "batch_size": 16, "arms": pick(every, "cycle", "cut")}
    config["generator"] |= {"features": 12, "blocks": 2, "border": 5}
    config["discriminator"] |= {"features": (16, 32), "strides": (2, 1)}
    config["game"]["ema_decay"] = 0.995
    config["evaluation"]["every"] = 500
  elif arg == "quick":
    config |= {"seeds": 1, "num_steps": 1000, "arms": pick(every, "cycle")}
    config["generator"] |= {"features": 12, "blocks": 3, "border": 5}
    config["discriminator"]["features"] = (16, 32)
    config["game"]["ema_decay"] = 0.99
    config["evaluation"] |= {"num_samples": 200, "every": 500, "monitor_samples": 100}
    config["evaluation"]["metrics"]["triangle_answers"]["n"] = 200
  return ConfigDict(config, convert_dict=False)


def arms(adam: dict[str, Any], ema_decay: float) -> dict[str, dict[str, Any]]:
  """Those of CycleGAN, which is the base, and CUT's, whose players are others."""
  cut = lambda **weights: {"game": {"name": "cut", "ema_decay": ema_decay, **weights}, "optimizers": {name: adam for name in CUT}}
  return {
    "cycle": {},
    "identity": {"game.identity_weight": 5.0},
    "light_cycle": {"game.weight": 1.0},
    "cut": cut(weight=1.0, identity_weight=1.0),
    "fastcut": cut(weight=10.0),
  }
