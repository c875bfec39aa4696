"""Eight Gaussians on a ring, four of them with a twentieth of the others' mass: which methods keep every mode?

Protocol card `ring_rls`: Schreurs et al., 2021 (RLS-GAN, arXiv:2104.02373), table "synthetic, imbalanced".
  data        8 modes at 2.5 (cos, sin)(2 pi i / 8), sigma .05, weights .05 for i = 1..4 and 1 for the rest; fresh samples
  players     G 25-128-128-2 and D 2-128-128-1, tanh, Glorot; non-saturating; alternating 1:1; Adam 1e-3 (.5, .999); batch 64; 30,000 rounds
  evaluation  10,000 samples of the last iterate; a mode counts with 50 samples within 3 sigma (as published), with 1, and with a quarter of its due
Published (10 runs, t = 50): GAN 5.0 (1.1) modes, .92 (.02) within 3 sigma; PacGAN2 5.4 (1.4), .92 (.03); BuresGAN 5.8 (1.4), .76 (.27).
A perfect sampler: 8 modes, .989 within 3 sigma, KL .0004.

  gan-jax run --config=experiments/ring_rls.py --workdir=runs/ring_rls            10 seeds, 17 arms; minutes an arm: see README.md beside this
  gan-jax run --config=experiments/ring_rls.py:quick --workdir=runs/ring_quick    2 seeds, 2,000 rounds, 5 arms: about a minute
  gan-jax run --config=experiments/ring_rls.py:tune --workdir=runs/ring_tune      3 settings of each method's own knob, on seeds that are not reported

`pacgan2` holds the samples of a batch (64, so 32 packs), `pacgan2_packs` the packs (64, so 128 samples), as PacGAN's paper does.
"""

from _arms import arms, pick, tuned
from ml_collections import ConfigDict

ADAM = {"name": "adam", "learning_rate": 1e-3, "b1": 0.5, "b2": 0.999}


def get_config(arg: str | None = None) -> ConfigDict:
  config = {
    "question": "Eight Gaussians on a ring, four of them rare: which methods keep every mode?",
    "seeds": 10,
    "num_steps": 30_000,
    "batch_size": 64,
    "batch_unit": "samples",
    "data": {"name": "ring", "num_modes": 8, "radius": 2.5, "sigma": 0.05, "weights": (0.05,) * 4 + (1.0,) * 4},
    "generator": {"name": "mlp", "out": 2, "features": (128, 128), "activation": "tanh"},
    "discriminator": {"name": "mlp", "features": (128, 128), "activation": "tanh"},
    "objective": {"name": "non_saturating"},
    "prior": {"name": "normal", "size": 25},
    "optimizers": {"generator": ADAM, "discriminator": ADAM},
    "discriminator_terms": {},
    "generator_terms": {},
    "view": {},
    "transforms": {},
    "game": {"name": "gan", "ema_decay": 0.999},
    "evaluation": {"num_samples": 10_000, "thresholds": (1, 10, 50), "every": 500, "monitor_samples": 2500, "distances": True},
    "arms": ARMS,
  }
  if arg == "quick":
    config |= {"seeds": 2, "num_steps": 2000}
    config["evaluation"] |= {"num_samples": 2500, "thresholds": (1,), "every": 250}
    config["arms"] = pick(ARMS, "vanilla", "minibatch_discrimination", "pacgan2", "rpgan_r1_r2", "veegan")
  elif arg == "tune":
    config["seeds"] = (100, 101, 102)
    config["evaluation"]["every"] = 5000
    config["arms"] = TUNED
  elif arg is not None:
    raise ValueError(f"no form {arg!r} of this experiment; use quick or tune")
  return ConfigDict(config, convert_dict=False)


PLAYERS = {"adam": ADAM, "reconstructor": {"name": "mlp", "out": 25, "features": (128, 128), "activation": "tanh"}, "num_generators": 4}
ARMS = arms(
  **PLAYERS, wide={"discriminator.features": (256, 256)}, r1=0.1, rpgan=1.0, wgan_gp=0.1, dragan=1.0, mode_seeking=0.1
)
TUNED = tuned(**PLAYERS, gammas=(0.01, 0.1, 1.0), mode_seeking=(0.01, 0.1, 1.0))
