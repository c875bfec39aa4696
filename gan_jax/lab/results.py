"""The files of a run directory, parsed: its settings, its results, and what each arm left behind.

A report's folder of its own (`gan-jax report ... --out=`) has all of it but logs and samples: it is read like a run, in which nothing goes on.
"""

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

Values = Mapping[str, Mapping[int, float]]  # metric -> seed -> value


class Run(NamedTuple):
  """The files of one run directory, parsed. `values[arm]["raw/modes_t1"][seed]` is a number of results.csv."""

  directory: Path
  config: dict[str, Any]
  environment: dict[str, Any]
  perfect: dict[str, float]
  values: Mapping[str, Values]
  status: dict[str, dict[str, Any]]
  logs: dict[str, dict[int, Log]]  # arm -> seed -> columns of metrics.jsonl
  data: Data | None  # None where it cannot be built here: then there are no real samples, and the law is unknown
  identities: Mapping[str, Mapping[str, Any]] = {}  # metric -> what its values hang on beside its name
  derived: Mapping[str, Values] = {}  # arm -> what a report made of logs that are not kept
  folders: Mapping[str, Path] = {}  # where an arm's files lie, if not here

  @property
  def arms(self) -> list[str]:
    """In the order of the config; an arm that has not started is one too."""
    planned = list(self.config.get("arms", {}))
    return planned + sorted(set(self.values) - set(planned))

  @property
  def kept(self) -> bool:
    """Whether this is what a report kept of runs, rather than a run."""
    return rundir.is_kept(self.directory)

  def folder(self, arm: str) -> Path:
    return self.folders.get(arm, self.directory / "arms" / arm)

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
  status = {folder.name: _read_json(folder / "status.json") for folder in folders}
  derived: dict[str, Values] = {}
  if rundir.is_kept(directory):
    status, derived = _of_summary(directory / "summary.json", values)
  return Run(
    directory=directory,
    config=config,
    environment=_environment(directory),
    perfect=_numbers(directory / "perfect.json"),
    values=values,
    status=status,
    logs={folder.name: read_log(folder / "metrics.jsonl") for folder in folders},
    data=_data(directory, config.get("config", {}).get("data")),
    identities=_read_json(directory / "identities.json"),
    derived=derived,
  )


def _environment(directory: Path) -> dict[str, Any]:
  """environment.json; a command that names this run by its absolute path names it as seen from here."""
  environment = _read_json(directory / "environment.json")
  if isinstance(command := environment.get("command"), str):
    environment["command"] = command.replace(str(directory.resolve()), os.path.relpath(directory))
  return environment


def _of_summary(path: Path, values: Mapping[str, Values]) -> tuple[dict[str, dict[str, Any]], dict[str, Values]]:
  """What became of each arm, as its status.json had it; and the numbers that came from its log."""
  summary = _read_json(path)
  status: dict[str, dict[str, Any]] = {}
  derived: dict[str, Values] = {}
  try:
    for arm, info in summary["info"].items():
      status[arm] = {
        **{name: info.get(name) for name in SAME},
        "step": info["rounds"],
        "seconds_per_seed_round": info["cost_per_round"],
        "seconds": {"compile": info["compile_seconds"]},
      }
      parts = {name: part for name, part in summary["arms"][arm].items() if name not in values.get(arm, {})}
      derived[arm] = {name: dict(zip(map(int, part["seeds"]), map(float, part["values"]), strict=True)) for name, part in parts.items()}
  except (KeyError, TypeError, ValueError, AttributeError) as error:
    raise UsageError(f"{path} is not the summary of a report ({str(error)[:80]})") from error
  return status, derived


# Of an arm's status and of its part of summary.json alike.
SAME = ("status", "error", "parameters", "samples_seen", "num_steps", "relative_cost", "seeds_by", "failed_seeds", "label", "warnings")


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
