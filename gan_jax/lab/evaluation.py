"""Score stored checkpoints again: with more samples, other metrics, or at another round. What the run itself found stays as it is.

An evaluation is a run directory of its own, DIR/evaluations/NAME, with the same files as any other (results.csv, perfect.json, identities.json,
arms/), so `gan-jax report` reads it. Its samples are those of the run: the same settings give the very numbers of the run's results.csv.
"""

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from gan_jax.lab import config as configs
from gan_jax.lab import rundir, scoring, stored
from gan_jax.lab.errors import CheckpointError, UsageError
from gan_jax.lab.program import program, seed_keys


def evaluate(
  directory: str | os.PathLike, *, arms: str | None = None, metrics: str | None = None, overrides: Sequence[str] = (),
  step: int | str | None = None, name: str | None = None,
) -> Path:  # fmt: skip
  """Score arms from their checkpoints; gives DIR/evaluations/NAME.

  Args:
    arms: "a,b"; by default all that have a checkpoint.
    metrics: "frechet,vendi", those of evaluation.metrics to score, with their settings in the config where it has them; by default all of it.
    overrides: `evaluation.key=value`.
    step: a round, "best", or None for the newest checkpoint.
    name: by default made of the settings, such as n10000_frechet_best.

  Raises:
    UsageError: no run directory, no such arm or setting, or NAME was made with other settings. CheckpointError: no such checkpoint.
    BusyError: another process writes there. StorageError: it cannot be written.
  """
  resolved = stored.read(directory, arms, overrides, metrics)
  found = {arm: stored.checkpoints(directory, arm, config).steps() for arm, config in resolved.arms.items()}
  missing = [arm for arm, steps in found.items() if not steps]
  if len(missing) == len(found) or (missing and arms is not None):
    raise CheckpointError(f'{directory}: arm "{missing[0]}" has no checkpoint yet')
  if missing:
    print(f"gan-jax: without a checkpoint, left out: {', '.join(missing)}", file=sys.stderr)
  trained = {arm: stored.restore(directory, arm, config, step) for arm, config in resolved.arms.items() if found[arm]}
  resolved = resolved._replace(arms={arm: resolved.arms[arm] for arm in trained}, patches={arm: resolved.patches[arm] for arm in trained})
  scoring.same_data(Path(directory), next(iter(trained.values())).experiment.data, "--allow-config-change=data.files before it is evaluated")
  folder = Path(directory) / "evaluations" / _checked(name or _name(resolved.base, metrics, step))
  with rundir.opened(folder, resolved):
    scoring.standards(folder, {arm: one.experiment for arm, one in trained.items()}, resolved.base.evaluation)
    for arm, one in trained.items():
      compiled, keys = program(one.experiment), seed_keys(one.seeds)
      status = _status(Path(directory) / "arms" / arm, one, asked=step is not None)
      failed = {int(seed) for seed in status.get("failed_seeds") or {}}
      scoring.score(arm, one.experiment, one.config, one.states, compiled, keys, folder / "arms" / arm, resolved.experiment, one.step, failed)
      rundir.write_json(folder / "arms" / arm / "status.json", status)
      rundir.join_rows(folder)
  return folder


def _status(folder: Path, trained: stored.Trained, *, asked: bool) -> dict[str, Any]:
  """That of the run, at the round of the checkpoint; one that was not asked for and is not the last is marked in a report."""
  try:
    held = dict(rundir.read_json(folder / "status.json"))
  except (OSError, ValueError, TypeError):
    held = {}
  done = asked or trained.step >= configs.as_dict(trained.config)["num_steps"]
  own = {"status": "done" if done else "unfinished", "step": trained.step, "num_steps": trained.config.num_steps, "seeds": list(trained.seeds)}
  seen = trained.step * trained.experiment.round_size
  kept = {key: held[key] for key in ("parameters", "seconds_per_seed_round", "seconds", "warnings", "failed_seeds") if key in held}
  return {"arm": trained.name, **own, "samples_seen": seen, **kept}


def _name(base: ConfigDict, metrics: str | None, step: int | str | None) -> str:
  named = sorted(base.evaluation.get("metrics") or {}) if metrics is None else [part for part in metrics.split(",") if part]
  parts = [f"n{base.evaluation.num_samples}", *named, *([] if step is None else [f"round{step}" if isinstance(step, int) else step])]
  return re.sub(r"[^A-Za-z0-9_.+-]", "-", "_".join(parts))[:100]


def _checked(name: str) -> str:
  if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.+-]*", name):
    raise UsageError(f"--name={name}: it names a folder, of letters, digits, _ . + and -")
  return name
