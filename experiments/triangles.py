"""Triangles of any shape and colour on any background: does a GAN draw them, every kind of them, and is the background as good as the triangle?

The pictures of the course that this project follows. Every score is exact: a verifier reads the corners and five attributes of what was drawn.
  data        50,000 triangles of four types, three sizes and six colours on backgrounds of five other colours and six textures, 64x64, [-1, 1]
  players     R3GAN-style residual networks without normalisation, 4 stages of 2 blocks from 8x8 up, 256 maps; RpGAN + R1 + R2, gamma 1; alternating
              1:1; Adam 2e-4 (0, .99); batch 256; 100,000 rounds; average of G's weights .999
  evaluation  10,000 samples: share with a valid triangle and with a valid background, and their difference; of 72 subjects and 36 backgrounds those
              that are there; distance to the nearest training triangle. Floor: noise, 0. Ceiling: new true images, through the same code

  gan-jax run --config=experiments/triangles.py --workdir=runs/triangles               3 seeds, 5 arms: wants a GPU; with :32 or :128 at other sizes
  gan-jax run --config=experiments/triangles.py:32 --workdir=runs/triangles_32
  gan-jax run --config=experiments/triangles.py:128 --workdir=runs/triangles_128
  gan-jax run --config=experiments/triangles.py:cpu --workdir=runs/triangles_cpu       16x16, 5 arms, 1 seed: 4 to 6 minutes each, wgan_gp 4 times
  gan-jax run --config=experiments/triangles.py:quick --workdir=runs/triangles_quick   the same for 400 rounds, 2 arms: two minutes, and blobs

CPU tier: 16x16, large equilateral triangles in two colours on two plain ones; G 64-4x4, transposed convolutions 32, 3; D 32, 64; no normalisation;
gamma .1, Adam 2e-3, batch 64, 20,000 rounds: .61 to .89 valid, and vanilla has lost a fill and a background (docs/triangles.md). With all types and
colours the same networks had not begun to draw triangles after 1,820 rounds.
"""

from _arms import RELATIVISTIC, WASSERSTEIN, pick
from ml_collections import ConfigDict

SMALL = {
  "type": ("equilateral",), "size": ("large",), "fill": ("red", "yellow"), "background": ("green", "blue"), "texture": ("plain",),
}  # fmt: skip


def get_config(arg: str | None = None) -> ConfigDict:
  if arg not in (None, "32", "128", "cpu", "quick"):
    raise ValueError(f"no form {arg!r} of this experiment; use 32, 128, cpu or quick")
  size, stages = {"32": (32, 3), "128": (128, 5)}.get(arg or "", (64, 4))
  maps, adam = (256,) * stages, {"name": "adam", "learning_rate": 2e-4, "b1": 0.0, "b2": 0.99}
  config = {
    "question": "Triangles of any shape and colour on any background: does a GAN draw them, and is the background as good as the triangle?",
    "seeds": 3,
    "num_steps": 100_000,
    "batch_size": 256,
    "batch_unit": "samples",
    "data": {"name": "triangles", "size": size, "modes": ("type", "size", "fill"), "only": None},
    "generator": {"name": "r3gan_generator", "features": maps},
    "discriminator": {"name": "r3gan_discriminator", "features": maps},
    **RELATIVISTIC,
    "prior": {"name": "normal", "size": 64},
    "optimizers": {"generator": adam, "discriminator": adam},
    "discriminator_terms": {"r1": {"gamma": 1.0}, "r2": {"gamma": 1.0}},
    "generator_terms": {},
    "view": {},
    "transforms": {},
    "game": {"name": "gan", "ema_decay": 0.999},
    "evaluation": {
      "num_samples": 10_000, "thresholds": (1,), "every": 1000, "monitor_samples": 1000, "distances": True,
      "metrics": {"triangle_scores": {"n": 10_000}},
    },
    "arms": ARMS,
  }  # fmt: skip
  if arg in ("cpu", "quick"):
    adam["learning_rate"] = 2e-3
    config |= {
      "seeds": 1, "num_steps": 20_000, "batch_size": 64,
      "generator": {"name": "dcgan_generator", "features": (64, 32), "strides": (2, 2), "kernel": 4, "batch_norm": None, "activation": "leaky_relu"},
      "discriminator": {"name": "dcgan_discriminator", "features": (32, 64), "strides": (2, 2), "batch_norm": None},
      "discriminator_terms": {"r1": {"gamma": 0.1}, "r2": {"gamma": 0.1}},
    }  # fmt: skip
    config["data"] |= {"size": 16, "only": SMALL}
    config["evaluation"] |= {"num_samples": 2000, "monitor_samples": 256, "metrics": {"triangle_scores": {"n": 2000}}}
  if arg == "quick":
    config |= {"num_steps": 400, "arms": pick(ARMS, "vanilla", "rpgan_r1_r2")}
    config["evaluation"] |= {"num_samples": 512, "every": 100, "metrics": {"triangle_scores": {"n": 512}}}
  return ConfigDict(config, convert_dict=False)


PLAIN = {"objective": {"name": "non_saturating"}, "discriminator_terms.r1": None, "discriminator_terms.r2": None}
ARMS = {
  "vanilla": PLAIN,
  "minibatch_stddev": {**PLAIN, "discriminator.across": {"name": "minibatch_stddev", "group_size": 4}},
  "r1": {**PLAIN, "discriminator_terms.r1": {"gamma": 1.0}},
  "wgan_gp": {**PLAIN, **WASSERSTEIN, "discriminator_terms.wgan_gp.weight": 10.0},
  "rpgan_r1_r2": {},
}
