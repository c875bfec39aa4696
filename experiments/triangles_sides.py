"""Which three lengths are the sides of a triangle: does a GAN learn an inequality, and every shape that it allows?

The triangles of the course that this project follows, as points: no picture, one inequality, a minute of training.
  data        (a, b, c), uniform in [.2, 1]^3 where s1 + s2 - s3 >= .05 (s1 + s2 + s3); fresh samples
  players     G 8-128-128-3 and D 3-128-128-1, LeakyReLU .2, Glorot; non-saturating, or what the arm says; alternating 1:1; Adam 1e-3 (0, .99);
              batch 256; 6,000 rounds; average of G's weights .999
  evaluation  10,000 samples: the share that are sides of a triangle at all (high_quality), of 34 shapes those that are hit (modes_t1) and their
              total variation distance to the law (tvd). Floor: independent uniform sides in [.2, 1], .79 triangles. A perfect sampler: 1, 34, .02

  gan-jax run --config=experiments/triangles_sides.py --workdir=runs/sides             3 seeds, 6 arms
  gan-jax run --config=experiments/triangles_sides.py:quick --workdir=runs/sides_quick   1 seed, 3 arms, 2,000 rounds: a minute

To hold: at least .97 triangles and 30 of 34 shapes, by `rpgan_r1_r2`.
"""

from _arms import RELATIVISTIC, WASSERSTEIN, pick
from ml_collections import ConfigDict

ADAM = {"name": "adam", "learning_rate": 1e-3, "b1": 0.0, "b2": 0.99}


def get_config(arg: str | None = None) -> ConfigDict:
  config = {
    "question": "Which three lengths are the sides of a triangle: does a GAN learn an inequality, and every shape that it allows?",
    "seeds": 3,
    "num_steps": 6000,
    "batch_size": 256,
    "batch_unit": "samples",
    "data": {"name": "triangle_sides"},
    "generator": {"name": "mlp", "features": (128, 128), "activation": "leaky_relu"},
    "discriminator": {"name": "mlp", "features": (128, 128), "activation": "leaky_relu"},
    "objective": {"name": "non_saturating"},
    "prior": {"name": "normal", "size": 8},
    "optimizers": {"generator": ADAM, "discriminator": ADAM},
    "discriminator_terms": {},
    "generator_terms": {},
    "view": {},
    "transforms": {},
    "game": {"name": "gan", "ema_decay": 0.999},
    "evaluation": {"num_samples": 10_000, "thresholds": (1,), "every": 500, "monitor_samples": 2500, "distances": True},
    "arms": ARMS,
  }
  if arg == "quick":
    config |= {"seeds": 1, "num_steps": 2000}
    config["arms"] = pick(ARMS, "vanilla", "r1", "rpgan_r1_r2")
  elif arg is not None:
    raise ValueError(f"no form {arg!r} of this experiment; use quick")
  return ConfigDict(config, convert_dict=False)


ARMS = {
  "vanilla": {},
  "minibatch_stddev": {"discriminator.across": {"name": "minibatch_stddev", "group_size": 4}},
  "pacgan2": {"view.pack.size": 2},
  "r1": {"discriminator_terms.r1.gamma": 0.1},
  "rpgan_r1_r2": {**RELATIVISTIC, "discriminator_terms.r1.gamma": 0.1, "discriminator_terms.r2.gamma": 0.1},
  "wgan_gp": {**WASSERSTEIN, "discriminator_terms.wgan_gp.weight": 0.1},
}
