"""Subject and background apart: does a generator that draws in two layers put the triangle into one of them, with no mask ever shown to it?

After LR-GAN (Yang et al., 2017, arXiv:1703.01560) and the perturbed composition of Bielski and Favaro (2019, arXiv:1905.12663).
  data        large triangles of four types in three colours on backgrounds of three others, all textures, 32x32, [-1, 1]; no mask, no label
  players     `layered`: alpha * foreground + (1 - alpha) * background, each a stack of transposed convolutions from 4x4 up with latents of its own,
              foreground and mask moved together by up to 2 pixels (1 of 16); `vanilla`: one such stack of the foreground's maps. D convolutions.
              RpGAN + R1 + R2; alternating 1:1; Adam 2e-4 (0, .99); batch 64; 100,000 rounds; average of G's weights .999
  evaluation  the share of valid triangles and of valid backgrounds and their difference, of both; of the layers: intersection over union of the
              mask with the triangle that the verifier finds in the whole picture, beside the floor of another picture's triangle, and the share
              of backgrounds that show a triangle themselves (metrics.triangle_layers). Ceiling: new true images and their true masks

  gan-jax run --config=experiments/triangles_layers.py --workdir=runs/layers               3 seeds, 4 arms: wants a GPU
  gan-jax run --config=experiments/triangles_layers.py:cpu --workdir=runs/layers_cpu       16x16, as triangles:cpu: equilateral, two colours on two
                                                                                           plain ones; 3,000 rounds, 3 seeds, 4 arms: 15 CPU-min
  gan-jax run --config=experiments/triangles_layers.py:quick --workdir=runs/layers_quick   the same for 400 rounds, 1 seed, 2 arms: two minutes
"""

from _arms import RELATIVISTIC, pick
from ml_collections import ConfigDict

SMALL = {
  "type": ("equilateral",), "size": ("large",), "fill": ("red", "yellow"), "background": ("green", "blue"), "texture": ("plain",),
}  # fmt: skip
LARGE = {"size": ("large",), "fill": ("red", "yellow", "magenta"), "background": ("green", "cyan", "blue")}


def get_config(arg: str | None = None) -> ConfigDict:
  if arg not in (None, "cpu", "quick"):
    raise ValueError(f"no form {arg!r} of this experiment; use cpu or quick")
  small = arg is not None
  size, gamma, adam = 16 if small else 32, 0.1 if small else 1.0, {"name": "adam", "learning_rate": 2e-3 if small else 2e-4, "b1": 0.0, "b2": 0.99}
  stack = {"name": "dcgan_generator", "batch_norm": None, "activation": "leaky_relu"}
  fine = (64, 32) if small else (256, 128, 64)
  coarse = {"features": (16,), "strides": (4,)} if small else {"features": (64, 32), "strides": (2, 4)}
  layers = {
    "name": "layered", "reach": 1 if small else 2,
    "background": {**stack, "out": (size, size, 3), **coarse},
    "foreground": {**stack, "out": (size, size, 4), "features": fine},
  }  # fmt: skip
  config = {
    "question": "Subject and background apart: does a generator that draws in two layers put the triangle into one, with no mask shown to it?",
    "seeds": 3,
    "num_steps": 3000 if small else 100_000,
    "batch_size": 64,
    "batch_unit": "samples",
    "data": {"name": "triangles", "size": size, "modes": ("type", "size", "fill"), "only": SMALL if small else LARGE},
    "generator": {**stack, "features": fine},
    "discriminator": {"name": "dcgan_discriminator", "features": (32, 64) if small else (64, 128, 256), "batch_norm": None},
    **RELATIVISTIC,
    "prior": {"name": "normal", "size": 64},
    "optimizers": {"generator": adam, "discriminator": adam},
    "discriminator_terms": {"r1": {"gamma": gamma}, "r2": {"gamma": gamma}},
    "generator_terms": {},
    "view": {},
    "transforms": {},
    "game": {"name": "gan", "ema_decay": 0.999},
    "evaluation": {
      "num_samples": 2000 if small else 10_000, "thresholds": (1,), "every": 1000, "monitor_samples": 256, "distances": True, "metrics": {},
    },
    "arms": {
      "vanilla": {},
      "layered": {"generator": layers},
      "layered_unmoved": {"generator": {**layers, "reach": 0}},
      "layered_fine_background": {"generator": {**layers, "background": {**layers["background"], "features": fine, "strides": None}}},
    },
  }  # fmt: skip
  if arg == "quick":
    config |= {"seeds": 1, "num_steps": 400, "arms": pick(config["arms"], "vanilla", "layered")}
    config["evaluation"] |= {"num_samples": 512, "every": 100}
  n = config["evaluation"]["num_samples"]
  config["evaluation"]["metrics"] = {"triangle_scores": {"n": n}, "triangle_layers": {"n": n}}
  return ConfigDict(config, convert_dict=False)
