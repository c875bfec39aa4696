"""Warm triangles to become cool ones, without a single pair: is it the same triangle, in the other set's colours?

Our own card: CycleGAN (Zhu et al., 2017, arXiv:1703.10593) and CUT (Park et al., 2020, arXiv:2007.15651) on triangles.
  data        triangles, 32x32, [-1, 1]: from red, yellow and magenta on plain ground to green, cyan and blue on stripes and checks; no image of
              the one set belongs to one of the other
  players     G (and F) U-Nets without normalisation, 32 64 64 maps, a first level at full size, nearest pixels on the way up; D (both) patches of 28
              pixels, 4x4 convolutions of stride 2 with 32 and 64 maps, no normalisation; least squares; Adam 5e-4 (.5, .999) down to 0 by a
              cosine; batch 16; 20,000 rounds; average of G's weights .999
  arms        cycle * 10; with identity * 5; cycle * 1; residual: the networks of CycleGAN's paper, G residual with 4 blocks, instance normalisation
              in G and D; CUT: contrast * 1 with identity * 1, 64 patches; FastCUT: contrast * 10 (without its flips)
  evaluation  500 images of the test split: is the triangle where it was (corners, pixels from those of the input; the copied input has 0), and
              the share of answers with a fill and a texture of the other set (the copied input has none)

  gan-jax run --config=experiments/triangles_unpaired.py --workdir=runs/triangles_unpaired               3 seeds, 6 arms: wants a GPU
  gan-jax run --config=experiments/triangles_unpaired.py:cpu --workdir=runs/triangles_unpaired_cpu       16x16, 16 32 32 maps (D 16 32), 10,000
              rounds, 1 seed, 2 arms: see docs/tasks.md
  gan-jax run --config=experiments/triangles_unpaired.py:quick --workdir=runs/triangles_unpaired_quick   the same, 1,000 rounds, 1 arm
"""

from typing import Any

from _arms import pick
from ml_collections import ConfigDict

CYCLEGAN = ("generator", "inverse", "discriminator", "second_discriminator")
CUT = ("generator", "discriminator", "heads")
WARM = {"fill": ("red", "yellow", "magenta"), "texture": ("plain",)}
COOL = {"fill": ("green", "cyan", "blue"), "texture": ("striped", "checkered")}


def get_config(arg: str | None = None) -> ConfigDict:
  if arg not in (None, "cpu", "quick"):
    raise ValueError(f"no form {arg!r} of this experiment; use cpu or quick")
  small = arg is not None
  rounds = {None: 20_000, "cpu": 10_000, "quick": 1000}[arg]
  images = {"name": "gan_jax.data:triangles", "size": 16 if small else 32}
  pairs = lambda split: {"name": "unpaired", "of": {**images, "split": split, "only": COOL}, "source": {**images, "split": split, "only": WARM}}
  steps = {"name": "cosine_decay_schedule", "init_value": 5e-4, "decay_steps": rounds}
  adam = {"name": "adam", "learning_rate": steps, "b1": 0.5, "b2": 0.999}
  ema_decay = 0.99 if arg == "quick" else 0.999
  every = arms(adam, ema_decay)
  config: dict[str, Any] = {
    "question": "Warm triangles to become cool ones, without a single pair: is it the same triangle, in the other set's colours?",
    "seeds": 1 if small else 3,
    "num_steps": rounds,
    "batch_size": 16,
    "batch_unit": "samples",
    "data": pairs("train"),
    "generator": {
      "name": "unet_generator", "features": (16, 32, 32) if small else (32, 64, 64), "strides": (1, 2, 2), "norm": None, "kernel_init": "he_normal",
      "kernel": 3, "upsampling": "nearest",
    },
    "discriminator": {
      "name": "patch_discriminator", "features": (16, 32) if small else (32, 64), "strides": (2, 1) if small else (2, 2), "norm": None,
    },
    "objective": None,
    "prior": {"name": "nothing"},
    "optimizers": {name: adam for name in CYCLEGAN},
    "discriminator_terms": {},
    "generator_terms": {},
    "view": {},
    "transforms": {},
    "game": {"name": "cyclegan", "weight": 10.0, "ema_decay": ema_decay},
    "evaluation": {
      "num_samples": 500, "thresholds": (1,), "every": rounds // 5, "monitor_samples": 200, "distances": True,
      "metrics": {"triangle_answers": {"n": 500, "reference": pairs("test"), "truth": "input", "floor": "copy"}},
    },
    "arms": {None: every, "cpu": pick(every, "cycle", "cut"), "quick": pick(every, "cycle")}[arg],
  }  # fmt: skip
  return ConfigDict(config, convert_dict=False)


def arms(adam: dict[str, Any], ema_decay: float) -> dict[str, dict[str, Any]]:
  """Those of CycleGAN, which is the base, and CUT's, whose players are others."""
  cut = lambda **weights: {"game": {"name": "cut", "ema_decay": ema_decay, **weights}, "optimizers": {name: adam for name in CUT}}
  return {
    "cycle": {},
    "identity": {"game.identity_weight": 5.0},
    "light_cycle": {"game.weight": 1.0},
    "residual": {"generator": {"name": "residual_translator", "features": 32, "blocks": 4}, "discriminator.norm": "instance"},
    "cut": cut(weight=1.0, identity_weight=1.0),
    "fastcut": cut(weight=10.0),
  }
