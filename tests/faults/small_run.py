"""A small experiment of images with all that has a state, and what must not depend on how often it was stopped."""

import csv
import hashlib
import json
from pathlib import Path

import jax
import numpy as np

from gan_jax.lab import config
from gan_jax.lab.checkpoint import Checkpoints

CONFIG = '''"""Blobs."""
from ml_collections import ConfigDict

ADAM = {"name": "adam", "learning_rate": 1e-3, "b1": 0.5}

def get_config(arg=None):
  return ConfigDict({
    "question": "Is it the same?", "seeds": 2, "num_steps": 60, "batch_size": 16, "batch_unit": "samples",
    "data": {"name": "fault_data:blobs"},
    "generator": {"name": "mlp", "features": (16,), "activation": "tanh"},
    "discriminator": {"name": "mlp", "features": (16,), "activation": "tanh"},
    "objective": {"name": "non_saturating"}, "prior": {"name": "normal", "size": 4},
    "optimizers": {"generator": ADAM, "discriminator": ADAM},
    "discriminator_terms": {}, "generator_terms": {}, "view": {}, "transforms": {},
    "game": {"name": "gan", "ema_decay": 0.9},
    "evaluation": {"num_samples": 100, "every": 20, "monitor_samples": 64, "distances": False},
    "arms": {
      "vanilla": {},
      "memory": {"discriminator_terms.lecam.weight": 0.1, "generator.batch_norm": 0.9, "discriminator.dense": "SpectralDense"},
    },
  }, convert_dict=False)
'''
DATA = '''
import threading
import numpy as np
from gan_jax.data import base, sources

PIXELS = np.random.default_rng(0).integers(0, 256, (50, 4, 4, 1)).astype(np.uint8)
HANGS, RELEASE = threading.Event(), threading.Event()

def blobs(streamed=False, fault=None):
  source = sources.memory(PIXELS)
  rows = base.Rows(source if fault is None else Faulty(source, fault), base.uniform(50), base.unconditional, ("image",))
  return base.from_rows("blobs", (4, 4, 1), rows, device_bytes=0 if streamed else base.DEVICE_BYTES)

class Faulty:
  def __init__(self, source, fault):
    self.source, self.fault, self.read = source, fault, 0

  def __getattr__(self, name):
    return getattr(self.source, name)

  def __len__(self):
    return len(self.source)

  def rows(self, index):
    if threading.current_thread() is not threading.main_thread():  # a loader
      self.read += len(index)
      if self.fault == "raises" and 17 in index:
        raise ZeroDivisionError("no such pixel")
      if self.fault == "hangs" and self.read > 1000:
        HANGS.set()
        RELEASE.wait(3600)
    return self.source.rows(index)
'''


def write(folder: Path) -> Path:
  (folder / "small.py").write_text(CONFIG)
  (folder / "fault_data.py").write_text(DATA)
  return folder


def load(folder: Path, arms: str | None = None, *overrides: str) -> config.Resolved:
  return config.load(str(folder / "small.py"), overrides, arms)


def log(directory: Path, arm: str) -> list[dict]:
  lines = [json.loads(line) for line in (directory / "arms" / arm / "metrics.jsonl").read_text().splitlines()]
  return [{key: value for key, value in line.items() if not key.startswith("time/")} for line in lines]


def equal(directory: Path, done: Path, arms=("vanilla", "memory")) -> None:
  """Bit by bit: all leaves, logs, results, samples, pictures and warnings."""
  for arm in arms:
    mine, its = directory / "arms" / arm, done / "arms" / arm
    assert log(directory, arm) == log(done, arm)
    steps, trees = zip(*(Checkpoints(folder / "checkpoints").restore(None) for folder in (mine, its)), strict=True)
    assert steps[0] == steps[1] and leaves(trees[0]) == leaves(trees[1])
    pictures = [{path.name: digest(path) for path in (folder / "samples").glob("*.[pg][ni][gf]")} for folder in (mine, its)]
    assert pictures[0] == pictures[1] and len(pictures[0]) > 3
    samples = [np.load(folder / "samples/final.npz") for folder in (mine, its)]
    assert {name: array.tobytes() for name, array in samples[0].items()} == {name: array.tobytes() for name, array in samples[1].items()}
    states = [json.loads((folder / "status.json").read_text()) for folder in (mine, its)]
    for key in ("status", "step", "samples_seen", "warnings"):
      assert states[0][key] == states[1][key], key
  rows = [[row for row in csv.DictReader((folder / "results.csv").open()) if row["arm"] in arms] for folder in (directory, done)]
  assert rows[0] == rows[1] and rows[0]


def leaves(tree) -> dict[str, tuple]:
  named = jax.tree_util.tree_leaves_with_path(tree)
  return {jax.tree_util.keystr(path): (str(np.asarray(leaf).dtype), np.shape(leaf), np.asarray(leaf).tobytes()) for path, leaf in named}


def digest(path: Path) -> str:
  return hashlib.sha256(path.read_bytes()).hexdigest()
