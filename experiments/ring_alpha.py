"""How often does a GAN find all eight modes of a narrow ring, and how often none? Success and failure rates over many seeds.

Protocol card `ring_alpha`: Welfert et al., 2024 ((alpha_D, alpha_G)-GANs, arXiv:2302.14320), 2-D ring.
  data        8 modes at radius 1, sigma .01, 50,000 fixed points
  players     G 2-400-400-2 ReLU; D 2-200-200-1 LeakyReLU .2; minimax and non-saturating; alternating 1:1; Adam 1e-4 (.9, .999); batch 128;
              156,000 rounds (400 epochs). The card names no initialisation: Glorot here
  evaluation  25,000 samples of the last iterate; a mode counts with 1 sample within 3 sigma; KL both ways, total variation;
              success is 8 of 8 (`all_modes_t1`), failure 0 of 8 (`no_modes_t1`), with Wilson intervals

  gan-jax run --config=experiments/ring_alpha.py --workdir=runs/ring_alpha             50 seeds, 6 arms: the full schedule wants a GPU
  gan-jax run --config=experiments/ring_alpha.py:quick --workdir=runs/ring_alpha_quick  4 seeds, 1,000 rounds, 3 arms: about a minute
"""

from ml_collections import ConfigDict

ADAM = {"name": "adam", "learning_rate": 1e-4, "b1": 0.9, "b2": 0.999}


def get_config(arg: str | None = None) -> ConfigDict:
  config = {
    "question": "How often does a GAN find all eight modes of a narrow ring, and how often none?",
    "seeds": 50,
    "num_steps": 156_000,
    "batch_size": 128,
    "batch_unit": "samples",
    "data": {"name": "ring", "num_modes": 8, "radius": 1.0, "sigma": 0.01, "num_points": 50_000},
    "generator": {"name": "mlp", "out": 2, "features": (400, 400), "activation": "relu"},
    "discriminator": {"name": "mlp", "features": (200, 200), "activation": "leaky_relu"},
    "objective": {"name": "non_saturating"},
    "prior": {"name": "normal", "size": 2},
    "optimizers": {"generator": ADAM, "discriminator": ADAM},
    "discriminator_terms": {},
    "generator_terms": {},
    "view": {},
    "transforms": {},
    "game": {"name": "gan", "ema_decay": 0.999},
    "evaluation": {"num_samples": 25_000, "thresholds": (1,), "every": 2000, "monitor_samples": 2500, "distances": True},
    "arms": ARMS,
  }
  if arg == "quick":
    config |= {"seeds": 4, "num_steps": 1000}
    config["evaluation"] |= {"num_samples": 2500, "every": 250}
    config["arms"] = {name: ARMS[name] for name in ("vanilla", "minimax", "rpgan_r1_r2")}
  elif arg is not None:
    raise ValueError(f"no form {arg!r} of this experiment; use quick")
  return ConfigDict(config, convert_dict=False)


ARMS = {
  "vanilla": {},
  "minimax": {"objective": {"name": "minimax"}},
  "least_squares": {"objective": {"name": "least_squares"}},
  "pacgan2": {"view.pack.size": 2},
  "r1": {"discriminator_terms.r1.gamma": 0.1},
  "rpgan_r1_r2": {
    "objective": {"name": "relativistic_paired"},
    "discriminator_terms.r1.gamma": 0.1,
    "discriminator_terms.r2.gamma": 0.1,
  },
}
