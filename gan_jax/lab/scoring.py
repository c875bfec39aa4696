"""What an arm leaves behind: the scores of its final evaluation, and pictures of its samples."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from gan_jax import core, metrics
from gan_jax.data.base import Data
from gan_jax.lab import config as configs
from gan_jax.lab import pictures, resolve, rundir

KEPT_SAMPLES = {True: 64, False: 512}  # images, points: samples kept for figures
LOOK_COLUMNS, LOOK_ROWS = 16, 4


def score(
  name: str, experiment: resolve.Experiment, config: ConfigDict, states: core.GanState, compiled: Any, keys: dict, folder: Path, title: str
) -> None:
  """The final evaluation, of raw and averaged weights: arms/ARM/results.csv, and samples for the figures."""
  evaluation, seeds = config.evaluation, configs.seeds(config)
  rows, all_counts, kept = [], [], np.zeros(())
  for weights, chosen in {"raw": states, **({"ema": core.with_ema(states)} if states.ema else {})}.items():
    samples = np.asarray(compiled.sample(chosen, keys["evaluate"], evaluation.num_samples))
    for seed, drawn in zip(seeds, samples, strict=True):
      values, counts = metrics.evaluate(drawn, experiment.data, thresholds=tuple(evaluation.thresholds), distances=evaluation.distances)
      rows += [(title, name, seed, config.num_steps, weights, metric, repr(float(value))) for metric, value in values.items()]
      all_counts += [counts] if weights == "raw" else []
    kept = samples if weights == "raw" else kept
  is_image = len(experiment.data.shape) == 3
  kept = kept[:, : KEPT_SAMPLES[is_image]].astype(np.float32)
  (folder / "samples").mkdir(parents=True, exist_ok=True)
  np.savez_compressed(folder / "samples" / "final.npz", raw=kept, mode_counts=np.asarray(all_counts))
  if is_image:
    for seed, images in zip(seeds, kept, strict=True):
      pictures.grid(images, folder / "samples" / f"final_seed{seed}.png")
  rundir.write_rows(folder / "results.csv", rows)


def look(folder: Path, step: int, samples: np.ndarray, data: Data) -> None:
  """samples/round_XXXXXXX.png of an arm of images: samples `[S, n, H, W, C]` of fixed noise, one or more rows of 16 a seed; nothing for points.

  A picture that cannot be written is a warning: it never stops training.
  """
  if len(data.shape) != 3:
    return
  rows = max(1, LOOK_ROWS // len(samples))
  shown = np.asarray(samples[:, : rows * LOOK_COLUMNS], np.float32)
  blank = LOOK_COLUMNS * rows - shown.shape[1]
  shown = np.pad(shown, ((0, 0), (0, blank), *[(0, 0)] * 3), constant_values=1.0)
  try:
    (folder / "samples").mkdir(parents=True, exist_ok=True)
    pictures.grid(shown.reshape(-1, *shown.shape[2:]), folder / "samples" / f"round_{step:07d}.png", columns=LOOK_COLUMNS)
  except OSError as error:
    warnings.warn(f"{folder / 'samples'}: cannot write a picture ({error.strerror}); training goes on", stacklevel=2)
