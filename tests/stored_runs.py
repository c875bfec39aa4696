"""Run directories for tests of what reads them: a trained one of small digits, and untrained ones, whose checkpoint is the first state."""

import functools
import tempfile
from pathlib import Path

import jax
import numpy as np

from gan_jax.lab import config, rundir, stored, train
from gan_jax.lab.checkpoint import Checkpoints
from gan_jax.lab.program import program, seed_keys

CONFIG = '''"""Small digits."""
from ml_collections import ConfigDict

ADAM = {"name": "adam", "learning_rate": 1e-3, "b1": 0.5}

def get_config(arg="label"):
  data = {"points": {"name": "ring"}, "plain": {"name": "sklearn_digits"}, "label": {"name": "sklearn_digits", "condition": "label"}}[arg]
  told = {"num_classes": 10} if arg == "label" else {}
  return ConfigDict({
    "seeds": (3, 5), "num_steps": 20, "batch_size": 16, "data": data,
    "generator": {"name": "mlp", "features": (8,), "activation": "relu", "batch_norm": 0.9, **told},
    "discriminator": {"name": "mlp", "features": (8,), **told}, "objective": {"name": "non_saturating"},
    "prior": {"name": "normal", "size": 4}, "optimizers": {"generator": ADAM, "discriminator": ADAM},
    "game": {"name": "gan", "ema_decay": 0.9},
    "evaluation": {"num_samples": 200, "thresholds": (1,), "every": 5, "monitor_samples": 100, "keep_best": "max diversity",
                   "metrics": {"vendi": {"features": {"name": "pixels"}, "n": 50}}},
    "arms": {"vanilla": {}, "still": {"game": {"name": "gan"}}, "mgan": {
      "game": {"name": "mgan", "num_generators": 3}, "objective": None, "generator.heads": 3, "discriminator.out": 4}},
  }, convert_dict=False)
'''


FOLDERS: list[tempfile.TemporaryDirectory] = []  # removed when the interpreter ends


def _folder() -> Path:
  FOLDERS.append(tempfile.TemporaryDirectory(prefix="gan_jax_"))
  return Path(FOLDERS[-1].name)


def _resolved(folder: Path, argument: str, arms: str) -> config.Resolved:
  (folder / "small.py").write_text(CONFIG)
  return config.load(f"{folder / 'small.py'}:{argument}", (), arms)


@functools.cache
def trained() -> Path:
  """Class-conditional digits, 20 rounds with a check at each fifth; the arm "vanilla" alone, seeds 3 and 5."""
  folder = _folder()
  train.run(_resolved(folder, "label", "vanilla"), folder / "run", quiet=True, tensorboard=True)
  return folder / "run"


@functools.cache
def untrained(argument: str, arms: str = "vanilla") -> Path:
  """Checkpoints of round 7 of each arm, with the states that training starts from, and nothing else."""
  folder = _folder()
  resolved = _resolved(folder, argument, arms)
  with rundir.opened(folder / "run", resolved):
    for name, arm in resolved.arms.items():
      experiment = stored.resolve.build(arm)
      states = jax.jit(program(experiment).init)(seed_keys(config.seeds(arm)), experiment.data.table)
      with Checkpoints(folder / "run/arms" / name / "checkpoints") as checkpoints:
        checkpoints.save(7, {"states": states, "previous": np.zeros((2, 100), np.int32)})
  return folder / "run"
