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
    config["arms"] = {name: ARMS[name] for name in ("vanilla", "minibatch_discrimination", "pacgan4_packs", "rpgan_r1_r2", "unrolled5")}
  elif arg == "tune":
    config |= {"seeds": (100, 101), "num_steps": 10_000}
    config["evaluation"]["every"] = 2500
    config["arms"] = TUNED
  elif arg is not None:
    raise ValueError(f"no form {arg!r} of this experiment; use quick or tune")
  return ConfigDict(config, convert_dict=False)


RELATIVISTIC = {"objective": {"name": "relativistic_paired"}}
WASSERSTEIN = {"objective": {"name": "wasserstein"}, "game.n_critic": 5}
VEEGAN = {
  "game": {
    "name": "veegan",
    "ema_decay": 0.999,
    "reconstructor": {"name": "mlp", "out": 64, "features": (256, 256), "activation": "relu", "kernel_init": "he_normal"},
  },
  "objective": None,
  "optimizers.reconstructor": ADAM,
}
MGAN = {
  "game": {"name": "mgan", "ema_decay": 0.999, "num_generators": 10},
  "objective": None,
  "generator.heads": 10,
  "discriminator.out": 11,
}

ARMS = {
  "vanilla": {},
  "wide_discriminator": {"discriminator.features": (128, 128)},
  "minibatch_discrimination": {"discriminator.across": {"name": "minibatch_discrimination", "num_kernels": 20, "dim": 5}},
  "minibatch_stddev": {"discriminator.across": {"name": "minibatch_stddev", "group_size": 4}},
  "pacgan2": {"view.pack.size": 2},
  "pacgan4": {"view.pack.size": 4},
  "pacgan2_packs": {"view.pack.size": 2, "batch_unit": "packs"},
  "pacgan4_packs": {"view.pack.size": 4, "batch_unit": "packs"},
  "r1": {"discriminator_terms.r1.gamma": 1.0},
  "rpgan_r1_r2": {**RELATIVISTIC, "discriminator_terms.r1.gamma": 1.0, "discriminator_terms.r2.gamma": 1.0},
  "wgan_gp": {**WASSERSTEIN, "discriminator_terms.wgan_gp.weight": 10.0},
  "dragan": {"discriminator_terms.dragan.weight": 10.0},
  "mode_seeking": {"generator_terms.mode_seeking.weight": 1.0},
  "buresgan": {"generator_terms.bures.weight": 1.0},
  "veegan": VEEGAN,
  "mgan": MGAN,
  "unrolled5": {"transforms.unroll.steps": 5},
}

# Three settings of each method's own knob; the protocol's knobs (widths, learning rates, batch) stay.
TUNED = {
  **{f"r1_{g:g}": {"discriminator_terms.r1.gamma": g} for g in (0.1, 1.0, 10.0)},
  **{
    f"rpgan_r1_r2_{g:g}": {**RELATIVISTIC, "discriminator_terms.r1.gamma": g, "discriminator_terms.r2.gamma": g}
    for g in (0.1, 1.0, 10.0)
  },
  **{f"wgan_gp_{w:g}": {**WASSERSTEIN, "discriminator_terms.wgan_gp.weight": w} for w in (0.1, 1.0, 10.0)},
  **{f"dragan_{w:g}": {"discriminator_terms.dragan.weight": w} for w in (0.1, 1.0, 10.0)},
  **{f"mode_seeking_{w:g}": {"generator_terms.mode_seeking.weight": w} for w in (0.1, 1.0, 10.0)},
  **{f"buresgan_{w:g}": {"generator_terms.bures.weight": w} for w in (0.1, 1.0, 10.0)},
  **{f"veegan_{w:g}": {**VEEGAN, "game.weight": w} for w in (0.01, 0.1, 1.0)},
  **{f"mgan_{b:g}": {**MGAN, "game.beta": b} for b in (0.01, 0.1, 1.0)},
}
