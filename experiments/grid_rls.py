"""Twenty-five Gaussians on a grid, ten of them with a twentieth of the others' mass: which methods keep every mode?

Protocol card `grid_rls`: Schreurs et al., 2021 (RLS-GAN, arXiv:2104.02373), table "synthetic, imbalanced".
  data        25 modes at {-4, -2, 0, 2, 4}^2, sigma .05, weights .05 for the first two columns and 1 for the rest; fresh samples
  players     those of ring_rls.py: G 25-128-128-2, D 2-128-128-1, tanh; non-saturating; Adam 1e-3 (.5, .999); batch 64; 30,000 rounds
  evaluation  10,000 samples of the last iterate; a mode counts with 50 samples within 3 sigma (as published: then a perfect sampler gets 15, since a
              rare mode expects 32), with 10 (then it gets 25), with 1, and with a quarter of its due
Published (10 runs, t = 50): GAN 8.3 (3.4) modes, .29 (.3) within 3 sigma; PacGAN2 10.3 (2.6), .13 (.02); BuresGAN 16.7 (.9), .82 (.01).
Counts above 15 at t = 50 are over-production of rare modes, not a better model.

  gan-jax run --config=experiments/grid_rls.py --workdir=runs/grid_rls            10 seeds, 17 arms; minutes an arm: see README.md beside this
  gan-jax run --config=experiments/grid_rls.py:quick --workdir=runs/grid_quick    2 seeds, 2,000 rounds, 5 arms: about a minute
  gan-jax run --config=experiments/grid_rls.py:tune --workdir=runs/grid_tune      3 settings of each method's own knob, on seeds that are not reported

The arms, and the settings of their own knobs (chosen on the ring), are those of ring_rls.py.
"""

import ring_rls
from ml_collections import ConfigDict


def get_config(arg: str | None = None) -> ConfigDict:
  config = ring_rls.get_config(arg)
  config.question = "Twenty-five Gaussians on a grid, ten of them rare: which methods keep every mode?"
  config.data = {"name": "grid", "size": 5, "spacing": 2.0, "sigma": 0.05, "weights": (0.05,) * 10 + (1.0,) * 15}
  return config
