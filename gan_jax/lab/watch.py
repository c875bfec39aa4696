"""The collapse monitor of an arm: a line for every seed at every check, and warnings. It records and never stops a run."""

import contextlib
import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from gan_jax import metrics
from gan_jax.data.base import Data
from gan_jax.lab import rundir
from gan_jax.lab.errors import StorageError

LOG = "metrics.jsonl"
WARN_AFTER = 3  # checks in a row


class Watch:
  """`check` compares samples of fixed noise with the data and with those of the last check, `previous` `[S, n]`: the mode of each, -1 at first."""

  def __init__(self, folder: Path, seeds: tuple[int, ...], data: Data, num_samples: int):
    self.folder, self.seeds, self.summary = folder, seeds, ""
    self.real = np.asarray(data.sample(jax.random.key(0), num_samples)["image"])
    self.data = data if data.modes else data._replace(modes=metrics.kmeans_modes(self.real))
    self.previous = np.full((len(seeds), num_samples), -1, np.int32)
    self.warnings: list[str] = []
    self._streaks: dict[tuple[int, str], int] = {}
    self._unwritten = ""  # for want of space

  def recall(self) -> None:
    """The warnings of an arm that goes on: those of its log."""
    if (self.folder / LOG).exists():
      for line in map(json.loads, (self.folder / LOG).read_text().splitlines()):
        with contextlib.suppress(KeyError):
          self._warn(line["seed"], line["step"], line)

  def check(self, step: int, samples: np.ndarray, logs: Mapping[str, np.ndarray], spent: Mapping[str, float]) -> dict[str, float]:
    """One look at every seed: samples `[S, n, ...]`, logs `[S]`; a line each in metrics.jsonl. Gives the means over seeds."""
    modes, lines = np.array(self.previous), []
    for number, seed in enumerate(self.seeds):
      before = self.previous[number] if (self.previous[number] >= 0).all() else None
      seen, modes[number] = metrics.monitor(samples[number], self.real, self.data, before)
      line = {"step": step, "seed": seed, "weights": "raw", **seen, **{key: float(log[number]) for key, log in logs.items()}}
      self._warn(seed, step, line)
      lines.append({**line, **spent})
    self.previous = modes
    self.summary = f"modes {np.median([line['modes'] for line in lines]):g}"
    self._unwritten += "".join(json.dumps(line) + "\n" for line in lines)
    try:
      rundir.append(self.folder / LOG, self._unwritten)
      self._unwritten = ""
    except StorageError as error:
      warnings.warn(f"{error}; training goes on, and the next check tries again", stacklevel=2)
    return {name: float(np.mean([line[name] for line in lines])) for name in lines[0] if name not in ("step", "seed", "weights")}

  def _warn(self, seed: int, step: int, line: dict[str, Any]) -> None:
    """What held for WARN_AFTER checks in a row is worth a line."""
    signs = {
      "samples are not finite": not np.isfinite(line["diversity"]),
      "samples are less than half as diverse as the data": line["diversity"] < 0.5,
      "the discriminator is always right": line.get("discriminator/accuracy", 0) > 0.99,
    }
    for sign, holds in signs.items():
      streak = self._streaks[seed, sign] = self._streaks.get((seed, sign), 0) + 1 if holds else 0
      if streak == WARN_AFTER:
        self.warnings.append(f"seed {seed}: {sign} (round {step})")
