"""The report against a run directory written here by hand, in the documented formats."""

import csv
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest

from gan_jax.lab import report as reports
from gan_jax.lab import summary as summaries
from gan_jax.lab import tables
from gan_jax.lab.errors import UsageError

SEEDS = [0, 1, 2, 3, 4]
PERFECT = {"modes_t1": 8.0, "modes_quarter": 8.0, "high_quality": 0.98889, "kl_reverse_nats": 0.00035, "tvd": 0.0087, "w1": 0.114}
VALUES = {   # arm -> metric -> the five seeds
  "vanilla": {"modes_quarter": [5, 4, 6, 5, 5], "high_quality": [.91, .92, .93, .92, .94], "kl_reverse_nats": [.5, .6, .4, .5, .5]},
  "pacgan2": {"modes_quarter": [8, 8, 7, 8, 8], "high_quality": [.95, .95, .96, .94, .95], "kl_reverse_nats": [.01, .02, .1, .01, .02]},
}
CENTERS = np.array([(math.cos(a), math.sin(a)) for a in 2 * np.pi * np.arange(1, 9) / 8]) * 2.5


def make_run(directory: Path, *, arms=None, failed=("unrolled5",), unfinished=("r1",), num_modes=8, perfect=None, images=False,
             experiment="ring_rls", num_samples=10_000) -> Path:
  """A run directory as the runner leaves it, of given final values: arm -> metric -> one value a seed."""
  arms = VALUES if arms is None else arms
  data = {"name": "ring", "num_modes": 8, "radius": 2.5, "sigma": 0.05, "weights": [0.05] * 4 + [1.0] * 4}
  directory.mkdir(parents=True)
  names = [*arms, *failed, *unfinished]
  write_json(directory / "config.json", {
    "experiment": experiment, "argument": None, "arms": {arm: {} if arm == "vanilla" else {"view.pack.size": 2} for arm in names},
    "config": {"question": "Which methods keep every mode of a ring with four rare modes?", "seeds": len(SEEDS), "num_steps": 3000,
               "batch_size": 64, "data": {"name": "absent"} if images else data, "evaluation": {"num_samples": num_samples}}})
  write_json(directory / "environment.json", {"command": ["gan-jax", "run", "--config=experiments/ring_rls.py"], "commit": "0123abc",
                                              "versions": {"jax": "0.10.2", "flax": "0.12.8"}, "device": "cpu"})
  write_json(directory / "perfect.json", PERFECT if perfect is None else perfect)
  with (directory / "results.csv").open("w", newline="") as file:
    writer = csv.writer(file)
    writer.writerow("experiment,arm,seed,step,weights,metric,value".split(","))
    for arm, metrics in arms.items():
      for weights in ("raw", "ema"):
        for metric, values in metrics.items():
          for seed, value in zip(SEEDS, values, strict=True):
            writer.writerow([experiment, arm, seed, 3000, weights, metric, repr(value)])
  for arm in names:
    done = arm in arms
    write_json(directory / "arms" / arm / "status.json", {
      "arm": arm, "status": "done" if done else "failed" if arm in failed else "running", "step": 3000 if done else 1200,
      "num_steps": 3000, "parameters": {"generator": 20_098, "discriminator": 17_025}, "samples_seen": 192_000,
      "seconds_per_seed_round": 1e-4 if arm == "vanilla" else 1.5e-4, "compile_seconds": 3.1, "warnings": []})
    write_monitor(directory / "arms" / arm / "metrics.jsonl", arm, arms.get(arm), num_modes, 3000 if done else 1200)
    if done:
      write_samples(directory / "arms" / arm / "samples", arm, arms[arm], num_modes, num_samples, images)
  return directory


def write_json(path: Path, value) -> None:
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_text(json.dumps(value))


def write_monitor(path: Path, arm: str, metrics, num_modes: int, last: int) -> None:
  rng = np.random.default_rng([len(arm), 0])
  lines = []
  for step in range(0, last + 1, 300):
    for place, seed in enumerate(SEEDS):
      end = metrics["modes_quarter"][place] if metrics else num_modes / 2
      modes = end if step == last else round(end * (1 - math.exp(-step / 500)) + rng.uniform(-.04, 0) * num_modes)
      lines.append(json.dumps({"step": step, "seed": seed, "weights": "raw", "modes": float(max(0, modes)), "high_quality": .9,
                               "time/seconds": 1.0}))
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_text("\n".join(lines) + "\n")


def write_samples(folder: Path, arm: str, metrics, num_modes: int, num_samples: int, images: bool) -> None:
  rng = np.random.default_rng([len(arm), 1])
  counts, samples = [], []
  for modes in metrics["modes_quarter"]:
    p = np.zeros(num_modes)
    p[-int(modes):] = rng.dirichlet(np.full(int(modes), 4.))
    counts.append(rng.multinomial(num_samples, p))
    if images:
      samples.append(np.tanh(rng.normal(size=(64, 8, 8, 3)) + np.linspace(-1, 1, 8)[:, None]))
    else:
      mode = rng.choice(num_modes, 512, p=p)
      samples.append(CENTERS[mode % 8] + .05 * rng.standard_normal((512, 2)) * np.where(rng.random((512, 1)) < .1, 8, 1))
  folder.mkdir(parents=True)
  np.savez(folder / "final.npz", raw=np.array(samples, np.float32), mode_counts=np.array(counts))
