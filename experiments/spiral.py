"""A swiss roll has no modes to count: which methods cover the whole curve?

Protocol card `spiral`: scikit-learn's swiss roll with noise .25, dimensions 0 and 2, divided by 7.5; 100,000 fixed points.
  players     G 2-400-400-2 ReLU; D 2-200-200-1 LeakyReLU .2, as in ring_alpha.py; non-saturating; alternating 1:1; Adam 1e-4 (.9, .999); batch 128
  evaluation  10,000 samples of the last iterate; "modes" are 50 bins of equal mass along the curve: total variation and empty bins;
              `high_quality` is the share within 3 sigma of the curve; W1
No published row: the card is ours.

  gan-jax run --config=experiments/spiral.py --workdir=runs/spiral             10 seeds, 30,000 rounds, 6 arms
  gan-jax run --config=experiments/spiral.py:quick --workdir=runs/spiral_quick  4 seeds, 1,000 rounds, 3 arms: about a minute
"""

import ring_alpha
from ml_collections import ConfigDict


def get_config(arg: str | None = None) -> ConfigDict:
  config = ring_alpha.get_config(arg)
  config.question = "A swiss roll has no modes to count: which methods cover the whole curve?"
  config.data = {"name": "swiss_roll", "noise": 0.25, "scale": 7.5, "num_bins": 50, "num_points": 100_000}
  if arg is None:
    config.seeds, config.num_steps = 10, 30_000
    config.evaluation["num_samples"] = 10_000
  return config
