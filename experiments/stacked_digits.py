"""A thousand modes of real handwriting, a small discriminator: which methods keep them?

Protocol card `stacked_digits`: scikit-learn's digits (1,797 real 8x8 images), three drawn on the fly and stacked into RGB, 1000 modes.
  players     G 64-256-256-192 ReLU, tanh; D 192-64-64-1 LeakyReLU .2; He-normal; non-saturating; alternating 1:1; Adam 2e-4 (.5, .999); batch 64
  evaluation  26,000 samples of the last iterate; a mode counts with 1 sample, and with 5; digits told apart by a 1x128 MLP (>= 97.5 % held out)
Sizing runs before this code existed (2 seeds, 10,000 rounds): vanilla 24 and 10 modes, PacGAN4 955 and 963, minibatch discrimination 999 and 3,
R1 828 and 723, RpGAN + R1 + R2 895 and 911; with a D four times as wide vanilla keeps all 1000. A perfect sampler: 1000 modes, KL .0198.

  gan-jax run --config=experiments/stacked_digits.py --workdir=runs/digits             5 seeds, 20,000 rounds, 17 arms
  gan-jax run --config=experiments/stacked_digits.py:quick --workdir=runs/digits_quick  2 seeds, 5 arms, a few minutes: this is `make demo`
  gan-jax run --config=experiments/stacked_digits.py:tune --workdir=runs/digits_tune    3 settings of each method's own knob, on seeds not reported

`pacgan4` holds the samples of a batch (64, so 16 packs), `pacgan4_packs` the packs (64, so 256 samples), as PacGAN's paper does.
"""

from _arms import arms, pick, tuned
from ml_collections import ConfigDict

ADAM = {"name": "adam", "learning_rate": 2e-4, "b1": 0.5, "b2": 0.999}


def get_config(arg: str | None = None) -> ConfigDict:
  config = {
    "question": "A thousand modes of real handwriting and a small discriminator: which methods keep them?",
    "seeds": 5,
    "num_steps": 20_000,
    "batch_size": 64,
    "batch_unit": "samples",
    "data": {"name": "stacked_digits"},
    "generator": {"name": "mlp", "out": (8, 8, 3), "features": (256, 256), "activation": "relu", "final": "tanh", "kernel_init": "he_normal"},
    "discriminator": {"name": "mlp", "features": (64, 64), "activation": "leaky_relu", "kernel_init": "he_normal"},
    "objective": {"name": "non_saturating"},
    "prior": {"name": "normal", "size": 64},
    "optimizers": {"generator": ADAM, "discriminator": ADAM},
    "discriminator_terms": {},
    "generator_terms": {},
    "view": {},
    "transforms": {},
    "game": {"name": "gan", "ema_decay": 0.999},
    "evaluation": {"num_samples": 26_000, "thresholds": (1, 5), "every": 500, "monitor_samples": 2000, "distances": True},
    "arms": ARMS,
  }
  if arg == "quick":
    config |= {"seeds": 2, "num_steps": 10_000}
    config["evaluation"]["every"] = 1000
    config["arms"] = pick(ARMS, "vanilla", "minibatch_discrimination", "pacgan4_packs", "rpgan_r1_r2", "unrolled5")
  elif arg == "tune":
    config |= {"seeds": (100, 101), "num_steps": 10_000}
    config["evaluation"]["every"] = 2500
    config["arms"] = TUNED
  elif arg is not None:
    raise ValueError(f"no form {arg!r} of this experiment; use quick or tune")
  return ConfigDict(config, convert_dict=False)


RECONSTRUCTOR = {"name": "mlp", "out": 64, "features": (256, 256), "activation": "relu", "kernel_init": "he_normal"}
PLAYERS = {"adam": ADAM, "reconstructor": RECONSTRUCTOR, "num_generators": 10}
ARMS = arms(
  **PLAYERS, wide={"discriminator.features": (128, 128)}, r1=1.0, rpgan=1.0, wgan_gp=10.0, dragan=10.0, mode_seeking=1.0
)
TUNED = tuned(**PLAYERS, gammas=(0.1, 1.0, 10.0), mode_seeking=(0.1, 1.0, 10.0))
