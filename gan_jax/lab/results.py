"""The files of a run directory, parsed: its settings, its results, and what each arm left behind."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import numpy as np

from gan_jax.data.base import Data
from gan_jax.lab import resolve, rundir
from gan_jax.lab.errors import UsageError


class Run(NamedTuple):
  """The files of one run directory, parsed. `values[arm]["raw/modes_t1"][seed]` is a number of results.csv."""

  directory: Path
  config: dict[str, Any]
  environment: dict[str, Any]
  perfect: dict[str, float]
  values: dict[str, dict[str, dict[int, float]]]
  status: dict[str, dict[str, Any]]
  logs: dict[str, dict[int, Log]]  # arm -> seed -> columns of metrics.jsonl
  data: Data | None  # None where it cannot be built here: then there are no real samples, and the law is unknown
  identities: Mapping[str, Mapping[str, Any]] = {}  # metric -> what its values hang on beside its name

  @property
  def arms(self) -> list[str]:
    """In the order of the config; an arm that has not started is one too."""
    planned = list(self.config.get("arms", {}))
    return planned + sorted(set(self.values) - set(planned))

  def curves(self, arm: str) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """The modes that the monitor saw: seed -> (steps, modes)."""
    return {seed: log["modes"] for seed, log in self.logs.get(arm, {}).items() if "modes" in log}

  @property
  def num_modes(self) -> int | None:
    return len(self.data.modes.probabilities) if self.data is not None and self.data.modes is not None else None

  @property
  def monitor_modes(self) -> float | None:
    """What the live monitor would see of a perfect sampler: sum_k 1 - (1 - q p_k)^n, n its samples, q their quality."""
    n = (self.config.get("config", {}).get("evaluation") or {}).get("monitor_samples")
    if n is None or self.num_modes is None:
      return self.num_modes
    modes: Any = self.data and self.data.modes
    return float((1 - (1 - modes.quality * modes.probabilities) ** n).sum())


def read_run(directory: str | os.PathLike) -> Run:
  """Parses a run directory. Raises UsageError when it is none."""
  directory = Path(directory)
  if not (directory / "config.json").is_file():
    raise UsageError(f"{directory} is not a run directory: it has no config.json")
  folders = sorted(path for path in (directory / "arms").glob("*") if path.is_dir())
  config = _read_json(directory / "config.json")
  # An arm's own table is whole, whatever became of the joint one; a folder that is no arm's is none of the run's.
  own = {arm: table[arm] for arm in config.get("arms", {}) if arm in (table := read_results(directory / "arms" / arm / "results.csv"))}
  try:
    joint = read_results(directory / "results.csv")
  except UsageError:
    if not own:
      raise
    joint = {}
  values = {**joint, **own}
  return Run(
    directory=directory,
    config=config,
    environment=_read_json(directory / "environment.json"),
    perfect=_numbers(directory / "perfect.json"),
    values=values,
    status={folder.name: _read_json(folder / "status.json") for folder in folders},
    logs={folder.name: read_log(folder / "metrics.jsonl") for folder in folders},
    data=_data(directory, config.get("config", {}).get("data")),
    identities=_read_json(directory / "identities.json"),
  )


def read_results(path: Path) -> dict[str, dict[str, dict[int, float]]]:
  """results.csv as arm -> "weights/metric" -> seed -> value; of several steps the last one counts."""
  table: dict[str, dict[str, dict[int, float]]] = {}
  steps: dict[tuple, int] = {}
  if not path.is_file():
    return table
  with path.open(newline="", errors="replace") as file:
    for line, row in enumerate(_rows(path, file), start=2):
      try:
        arm, name, seed = row["arm"], f"{row['weights']}/{row['metric']}", int(row["seed"])
        step, value = int(row["step"]), float(row["value"])
      except (KeyError, TypeError, ValueError) as error:
        raise UsageError(
          f"{path} line {line} is not experiment,arm,seed,step,weights,metric,value ({error})"
        ) from error
      if step >= steps.get((arm, name, seed), -1):
        steps[arm, name, seed] = step
        table.setdefault(arm, {}).setdefault(name, {})[seed] = value
  return table


def _rows(path: Path, file: TextIO) -> Iterator[dict[str, str]]:
  try:
    yield from csv.DictReader(file)
  except csv.Error as error:
    raise UsageError(f"{path} is not a table ({error})") from error


Log = dict[str, tuple[np.ndarray, np.ndarray]]  # column -> (steps, values)


def read_log(path: Path) -> dict[int, Log]:
  """The columns of metrics.jsonl that hold numbers, of the raw weights: seed -> column -> (steps, values).

  A line that is no JSON (a killed run tears its last one) is skipped; of a step written twice, the last counts.
  """
  logs: dict[int, dict[str, dict[int, float]]] = {}
  if path.is_file():
    for line in path.read_text(errors="replace").splitlines():
      try:
        row = json.loads(line)
        seed, step = int(row.pop("seed")), int(row.pop("step"))
      except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        continue
      if row.get("weights", "raw") == "raw":
        for column, value in row.items():
          if isinstance(value, int | float):
            logs.setdefault(seed, {}).setdefault(column, {})[step] = float(value)
  ordered = lambda curve: (np.array(sorted(curve)), np.array([curve[step] for step in sorted(curve)]))
  return {seed: {column: ordered(curve) for column, curve in columns.items()} for seed, columns in sorted(logs.items())}


def _data(directory: Path, section: Mapping[str, Any] | None) -> Data | None:
  try:
    return rundir.located(directory, lambda: resolve.load_data(json.dumps(section))) if section else None
  except Exception:  # a data set of the user's own may be out of reach by now; the numbers stand without it
    return None


def _numbers(path: Path) -> dict[str, float]:
  try:
    return {name: float(value) for name, value in _read_json(path).items()}
  except (TypeError, ValueError) as error:
    raise UsageError(f"{path} holds something else than numbers ({str(error)[:80]})") from error


def _read_json(path: Path) -> dict[str, Any]:
  if not path.is_file():
    return {}
  try:
    held = json.loads(path.read_text())
  except (ValueError, RecursionError) as error:
    raise UsageError(f"{path} is not JSON ({str(error)[:80]})") from error
  if not isinstance(held, dict):
    raise UsageError(f"{path} holds {type(held).__name__}, not the settings or results of a run")
  return held
