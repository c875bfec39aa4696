"""Does looking k steps ahead keep the modes of a ring? Unrolled GANs with k = 0, 1, 5, 10.

Protocol card `ring_metz`: Metz et al., 2017 (arXiv:1611.02163), with eight true angles (the released notebook's linspace makes seven).
  data        8 modes at radius 2, sigma .02; fresh samples
  players     G 256-128-128-2 ReLU, orthogonal .8; D x/4 -> 128 ReLU -> 1; non-saturating; alternating 1:1; Adam 1e-4 (.5, .999);
              batch 512; 25,000 rounds
  evaluation  10,000 samples of the last iterate; a mode counts with 1 sample within 3 sigma, and with a quarter of its due
Published: figures only. The baseline may not collapse (the notebook's author says so): the comparison is void for seeds where it does not.

  gan-jax run --config=experiments/ring_metz.py --workdir=runs/ring_metz             10 seeds, 4 arms: hours on 2 cores, minutes on a GPU
  gan-jax run --config=experiments/ring_metz.py:quick --workdir=runs/ring_metz_quick  2 seeds, 200 rounds, k = 0, 1, 5: about a minute
"""

from ml_collections import ConfigDict

ADAM = {"name": "adam", "learning_rate": 1e-4, "b1": 0.5, "b2": 0.999}


def get_config(arg: str | None = None) -> ConfigDict:
  config = {
    "question": "Does looking k steps ahead keep the modes of a ring?",
    "seeds": 10,
    "num_steps": 25_000,
    "batch_size": 512,
    "batch_unit": "samples",
    "data": {"name": "ring", "num_modes": 8, "radius": 2.0, "sigma": 0.02},
    "generator": {"name": "mlp", "out": 2, "features": (128, 128), "activation": "relu", "kernel_init": "orthogonal", "init_scale": 0.8},
    "discriminator": {"name": "mlp", "features": (128,), "activation": "relu", "kernel_init": "orthogonal", "init_scale": 0.8, "input_scale": 0.25},
    "objective": {"name": "non_saturating"},
    "prior": {"name": "normal", "size": 256},
    "optimizers": {"generator": ADAM, "discriminator": ADAM},
    "discriminator_terms": {},
    "generator_terms": {},
    "view": {},
    "transforms": {},
    "game": {"name": "gan", "ema_decay": 0.999},
    "evaluation": {"num_samples": 10_000, "thresholds": (1,), "every": 500, "monitor_samples": 2500, "distances": True},
    "arms": {"vanilla": {}, **{f"unrolled{k}": {"transforms.unroll.steps": k} for k in (1, 5, 10)}},
  }
  if arg == "quick":
    config |= {"seeds": 2, "num_steps": 200}
    config["evaluation"] |= {"num_samples": 2500, "every": 100}
    config["arms"] = {name: config["arms"][name] for name in ("vanilla", "unrolled1", "unrolled5")}
  elif arg is not None:
    raise ValueError(f"no form {arg!r} of this experiment; use quick")
  return ConfigDict(config, convert_dict=False)
