"""The run directory: who may write to it, what it says it holds, and files that are whole or absent."""

import contextlib
import csv
import fcntl
import io
import json
import os
import platform
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from gan_jax.lab import config as configs
from gan_jax.lab.errors import BusyError, StorageError, UsageError

FORMAT = 1
COLUMNS = ("experiment", "arm", "seed", "step", "weights", "metric", "value")


@contextlib.contextmanager
def opened(directory: Path, resolved: configs.Resolved) -> Iterator[None]:
  """Make the directory (or check that it holds this experiment), lock it, and write config.json and environment.json.

  Raises:
    UsageError: it holds something else, or another config. StorageError: it cannot be written. BusyError: another run writes to it.
  """
  _check_foreign(directory)
  description = _merged(directory, resolved)
  try:
    directory.mkdir(parents=True, exist_ok=True)
    lock = open(directory / "run.lock", "a+")
  except OSError as error:
    raise StorageError(f"{directory}: cannot write there: {error.strerror}") from None
  with lock:
    try:
      fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
      lock.seek(0)
      holder = lock.read().strip() or "unknown process"
      raise BusyError(f"{directory}: another run writes there ({holder}); wait for it or use another --workdir") from None
    lock.truncate(0)
    lock.write(f"process {os.getpid()} on {socket.gethostname()}\n")
    lock.flush()
    write_json(directory / "config.json", description)
    write_json(directory / "environment.json", environment())
    yield


def write_json(path: Path, content: Any) -> None:
  write(path, json.dumps(content, indent=1) + "\n")


def write(path: Path, content: str | bytes) -> None:
  """The whole file or the old one, never half."""
  temporary = path.with_name(path.name + ".tmp")
  try:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary.write_bytes(content if isinstance(content, bytes) else content.encode())
    temporary.replace(path)
  except OSError as error:
    raise StorageError(f"{path}: cannot write: {error.strerror}") from error


def read_json(path: Path) -> Any:
  return json.loads(path.read_text())


def write_rows(path: Path, rows: Sequence[tuple]) -> None:
  """results.csv, in the columns of COLUMNS."""
  text = io.StringIO()
  writer = csv.writer(text, lineterminator="\n")
  writer.writerow(COLUMNS)
  writer.writerows(rows)
  write(path, text.getvalue())


def join_rows(directory: Path) -> None:
  """DIR/results.csv from the arms' own, in the order of config.json."""
  rows: list[tuple] = []
  for arm in read_json(directory / "config.json")["arms"]:
    path = directory / "arms" / arm / "results.csv"
    if path.exists():
      with path.open() as file:
        rows += [tuple(row) for row in list(csv.reader(file))[1:]]
  write_rows(directory / "results.csv", rows)


def truncate_log(path: Path, step: int) -> None:
  """Drop what a killed run logged after its last checkpoint, and a torn last line."""
  if not path.exists():
    return
  kept = []
  for line in path.read_text().splitlines():
    with contextlib.suppress(ValueError):
      if json.loads(line)["step"] <= step:
        kept.append(line + "\n")
  write(path, "".join(kept))


def environment() -> dict[str, Any]:
  """What ran, where, with which versions and commit."""
  import jax

  names = ("gan_jax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "scipy", "scikit-learn", "ml-collections")
  return {
    "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
    "versions": {name: metadata.version(name) for name in names},
    "python": platform.python_version(),
    "platform": platform.platform(),
    "devices": [str(device) for device in jax.devices()],
    "device_kinds": sorted({device.device_kind for device in jax.devices()}),
    "processes": jax.process_count(),
    "xla_flags": os.environ.get("XLA_FLAGS", ""),
    "commit": _commit(),
  }


def _commit() -> str | None:
  """The commit of the code that ran, with "+changes" where the files differ from it."""
  git = lambda *words: subprocess.run(["git", "-C", str(Path(__file__).parent), *words], capture_output=True, text=True, check=True).stdout.strip()
  try:
    return git("rev-parse", "HEAD") + ("+changes" if git("status", "--porcelain", "--untracked-files=no", ".") else "")
  except (OSError, subprocess.CalledProcessError):
    return None


def _check_foreign(directory: Path) -> None:
  if directory.exists() and not directory.is_dir():
    raise UsageError(f"{directory}: is a file; --workdir names a directory")
  if directory.is_dir() and not (directory / "config.json").exists() and set(os.listdir(directory)) - {"run.lock", "config.json.tmp"}:
    raise UsageError(f"{directory}: holds files that are not of a gan_jax run; use an empty or new directory")


def _merged(directory: Path, resolved: configs.Resolved) -> dict[str, Any]:
  """config.json: what the directory held, plus new arms. Whatever else differs is refused."""
  new: dict[str, Any] = {
    "format": FORMAT,
    "experiment": resolved.experiment,
    "argument": resolved.argument,
    "question": resolved.question,
    "config": configs.as_json(resolved.base),
    "arms": {name: configs.as_json(dict(patch)) for name, patch in resolved.patches.items()},
  }
  path = directory / "config.json"
  if not path.exists():
    return new
  try:
    old = read_json(path)
    held = {key: old[key] for key in new}
  except (OSError, ValueError, KeyError, TypeError):
    raise UsageError(f"{path}: not a config of a gan_jax run; use an empty or new directory") from None
  if held["experiment"] != new["experiment"]:
    raise UsageError(f"{directory}: holds experiment {held['experiment']}, not {new['experiment']}; use another --workdir")
  _refuse_changes(directory, "config", held["config"], new["config"])
  for name, patch in new["arms"].items():
    if name in held["arms"]:
      _refuse_changes(directory, f'arm "{name}"', held["arms"][name], patch)
  return {**new, "arms": {**held["arms"], **new["arms"]}}


def _refuse_changes(directory: Path, what: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
  changes = configs.differences(old, new)
  if changes:
    text = "; ".join(f"{key}: {before} there, {after} here" for key, (before, after) in changes.items())
    raise UsageError(f"{directory}: holds a run with another {what} ({text}); use another --workdir")
