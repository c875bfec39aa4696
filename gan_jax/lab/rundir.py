"""The run directory: who may write to it, what it says it holds, and files that are whole or absent."""

import contextlib
import csv
import fcntl
import hashlib
import io
import json
import os
import platform
import socket
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

from gan_jax.lab import config as configs
from gan_jax.lab import patches, schema
from gan_jax.lab.errors import BusyError, DataError, StorageError, UsageError

Made = TypeVar("Made")

FORMAT = 1
COLUMNS = ("experiment", "arm", "seed", "step", "weights", "metric", "value")


# What may not change in a run, whatever is allowed: its arms, or its rounds, could no longer be compared.
FIXED = ("data", "seeds", "evaluation")
FREE = ("evaluation.every", "evaluation.keep_last", "evaluation.keep_best")


@contextlib.contextmanager
def opened(directory: Path, resolved: configs.Resolved, allow: Sequence[str] = ()) -> Iterator[None]:
  """Make the directory (or check that it holds this experiment), lock it, and write config.json and environment.json.

  Of another config in the directory only what `allow` names may differ, a setting or a section of settings; config.json lists such changes.

  Raises:
    UsageError: it holds something else, or another config. StorageError: it cannot be written. BusyError: another run writes to it.
  """
  try:
    _check_foreign(directory)
    _merged(directory, resolved, allow)
    directory.mkdir(parents=True, exist_ok=True)
    lock = open(directory / "run.lock", "a+")
  except OSError as error:
    raise StorageError(f"{directory}: cannot write there: {error.strerror}") from None
  with lock:
    _hold(directory, lock)
    try:
      merged = _merged(directory, resolved, allow)  # read again: nobody else writes now
      if not played(directory):
        for name in ("perfect.json", "identities.json"):  # perhaps of an evaluation that was another
          (directory / name).unlink(missing_ok=True)
      write_json(directory / "config.json", merged)
      write_json(directory / "environment.json", environment(directory))
      yield
    finally:
      with contextlib.suppress(OSError):
        lock.truncate(0)


def _hold(directory: Path, lock: Any) -> None:
  """Lock the open file, and say in it who we are. A process that dies lets go; where files cannot be locked, one that is gone from this host."""
  lock.seek(0)
  holder = lock.read().strip()
  try:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    busy = False
  except BlockingIOError:
    busy = True
  except OSError:
    busy = bool(holder) and not _gone(holder)
  if busy:
    remedy = "wait for it or use another --workdir"
    raise BusyError(f"{directory}: another run writes there ({holder or 'unknown process'}); {remedy}")
  try:
    lock.truncate(0)
    lock.write(f"process {os.getpid()} on {socket.gethostname()}\n")
    lock.flush()
  except OSError as error:
    raise StorageError(f"{directory}: cannot write there: {error.strerror}") from None


def _gone(holder: str) -> bool:
  """Whether "process 7 on host" was here and is no more."""
  words = holder.split()
  if len(words) != 4 or not words[1].isdecimal() or words[3] != socket.gethostname():
    return False
  try:
    os.kill(int(words[1]), 0)
  except ProcessLookupError:
    return True
  except OSError:
    return False
  return False


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


def append(path: Path, text: str) -> None:
  """All of the text, or none of it."""
  try:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab", buffering=0) as file:
      size = file.seek(0, os.SEEK_END)
      content = text.encode()
      try:
        while content:
          content = content[file.write(content) :]
      except OSError:
        file.truncate(size)
        raise
  except OSError as error:
    raise StorageError(f"{path}: cannot write: {error.strerror}") from error


def read_json(path: Path) -> Any:
  """ValueError: it is no JSON."""
  try:
    return json.loads(path.read_text())
  except RecursionError:
    raise ValueError("nested too deeply") from None


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
  """Drop what a killed run logged after its last checkpoint, and a torn last line. A line before that is damaged is a warning, and goes too."""
  if not path.exists():
    return
  lines = path.read_text(errors="replace").splitlines()
  kept = []
  for number, line in enumerate(lines):
    try:
      if json.loads(line)["step"] <= step:
        kept.append(line + "\n")
    except (ValueError, KeyError, TypeError):
      if number + 1 < len(lines):
        warnings.warn(f"{path} line {number + 1} is damaged; it is left out", stacklevel=2)
  write(path, "".join(kept))


def trained_digest(config: Mapping[str, Any]) -> str:
  """What the states of an arm hang on: its config, but for how long it trains and what is asked of its samples."""
  values = {key: value for key, value in configs.as_json(config).items() if key not in ("question", "num_steps", "evaluation")}
  return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def digests(directory: Path, arm: str, config: Mapping[str, Any]) -> list[str]:
  """That of the arm, then those that it had before changes which were allowed."""
  changes = read_json(directory / "config.json").get("changes", [])
  return [trained_digest(config), *(change["was"] for change in changes if change["arm"] == arm)]


def environment(directory: Path) -> dict[str, Any]:
  """What ran, where (the folder it was started in, seen from the run), with which versions and commit."""
  import jax

  names = ("gan_jax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "scipy", "scikit-learn", "ml-collections")
  return {
    "command": " ".join([{"__main__.py": "gan-jax"}.get(Path(sys.argv[0]).name, Path(sys.argv[0]).name), *sys.argv[1:]]),
    "folder": os.path.relpath(os.path.realpath(os.getcwd()), os.path.realpath(directory)),
    "versions": {name: metadata.version(name) for name in names},
    "python": platform.python_version(),
    "platform": platform.platform(),
    "devices": [str(device) for device in jax.devices()] if len(jax.devices()) <= 8 else [f"{len(jax.devices())} x {jax.default_backend()}"],
    "device_kinds": sorted({device.device_kind for device in jax.devices()}),
    "processes": jax.process_count(),
    "xla_flags": os.environ.get("XLA_FLAGS", ""),
    "commit": _commit(),
  }


def started_in(directory: str | os.PathLike) -> Path | None:
  """The folder that the run was started in, which its config's relative paths are of, where it is still there."""
  try:
    folder = (Path(directory).resolve() / read_json(Path(directory) / "environment.json")["folder"]).resolve()
  except (OSError, ValueError, KeyError, TypeError):
    return None
  return folder if folder.is_dir() else None


def located(directory: str | os.PathLike, build: Callable[[], Made]) -> Made:
  """`build()`; data that its relative paths do not name here are looked for where the run was started."""
  try:
    return build()
  except DataError:
    folder = started_in(directory)
    if folder is None or folder == Path.cwd():
      raise
    with contextlib.chdir(folder):
      return build()


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
  if is_kept(directory) and (directory / "results.csv").exists():
    raise UsageError(f"{directory}: holds what a report kept of a run, with nothing to go on from; use another --workdir, and report both folders")


def is_kept(directory: Path) -> bool:
  """Whether it is a report's folder: results, and nothing to go on from."""
  return (directory / "summary.json").is_file() and not (directory / "arms").is_dir()


def _merged(directory: Path, resolved: configs.Resolved, allow: Sequence[str]) -> dict[str, Any]:
  """config.json: what the directory held, plus new arms and the changes that are allowed. Whatever else differs is refused."""
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
  except (ValueError, KeyError, TypeError):
    raise UsageError(f"{path}: not a config of a gan_jax run; use an empty or new directory") from None
  if held["format"] != FORMAT:
    raise UsageError(f"{path}: format {held['format']}; this gan_jax reads format {FORMAT}; use another --workdir")
  if held["experiment"] != new["experiment"]:
    raise UsageError(f"{directory}: holds experiment {held['experiment']}, not {new['experiment']}; use another --workdir")
  other = configs.differences(held["config"], new["config"]) or any(
    configs.differences(held["arms"][name], patch) for name, patch in new["arms"].items() if name in held["arms"]
  )
  if other and not played(directory):
    return new  # of a run that failed before its first round was kept
  _refuse_changes(directory, "config", held["config"], new["config"], allow)
  for name, patch in new["arms"].items():
    if name in held["arms"]:
      _refuse_changes(directory, f'arm "{name}"', held["arms"][name], patch, allow)
  arms = {**held["arms"], **new["arms"]}
  changes = [*old.get("changes", ()), *_changes(directory, held, {**new, "arms": arms})]
  return {**new, "arms": arms, **({"changes": changes} if changes else {})}


def played(directory: Path) -> bool:
  """Whether any arm has something to go on from, or to be compared by."""
  tables = [directory / "results.csv", *(directory / "arms").glob("*/results.csv")]
  return any((directory / "arms").glob("*/checkpoints/*")) or any(path.exists() and path.read_bytes().count(b"\n") > 1 for path in tables)


def note_data(directory: Path, held: Sequence[str], now: str) -> None:
  """That the files of the data are others than before, and taken for the same: for arms that have trained a change like any other."""
  content = read_json(directory / "config.json")
  for arm in content["arms"]:
    last = _last_round(directory, arm)
    if last is not None:
      change = {"arm": arm, "round": last, "settings": {"data.files": [", ".join(one[:8] for one in held), now[:8]]}}
      full = _full(content["config"], content["arms"][arm])
      content.setdefault("changes", []).append({**change, "was": trained_digest(full)})
  write_json(directory / "config.json", content)
  records = read_json(directory / "identities.json")
  taken = {name: {**record, **({"real_source": now} if record.get("real_source") in held else {})} for name, record in records.items()}
  write_json(directory / "identities.json", taken)


def _refuse_changes(directory: Path, what: str, old: Mapping[str, Any], new: Mapping[str, Any], allow: Sequence[str]) -> None:
  changes = configs.differences(old, new)
  within = lambda key, names: any(key == name or key.startswith(name + ".") for name in names)
  fixed = [key for key in changes if within(key, FIXED) and not within(key, FREE)]
  refused = [key for key in changes if key in fixed or not within(key, allow)]
  if refused:
    text = "; ".join(f"{key}: {before} there, {after} here" for key, (before, after) in changes.items() if key in refused)
    remedy = "use another --workdir" if fixed else f"use another --workdir, or go on all the same with --allow-config-change={','.join(refused)}"
    raise UsageError(f"{directory}: holds a run with another {what} ({text}); {remedy}")


def _changes(directory: Path, old: Mapping[str, Any], new: Mapping[str, Any]) -> list[dict[str, Any]]:
  """What is other than before for arms that have trained: from which round on, and what the digest of their config was."""
  found = []
  for arm, patch in old["arms"].items():
    if not configs.differences(old["config"], new["config"]) and not configs.differences(patch, new["arms"][arm]):
      continue
    last = _last_round(directory, arm)
    before, after = (_full(config, arms) for config, arms in ((old["config"], patch), (new["config"], new["arms"][arm])))
    settings = {key: pair for key, pair in configs.differences(before, after).items() if key != "question"}
    if last is not None and settings:
      listed = {key: list(pair) for key, pair in settings.items()}
      found.append({"arm": arm, "round": last, "settings": listed, "was": trained_digest(before)})
  return found


def _last_round(directory: Path, arm: str) -> int | None:
  """The arm's newest checkpoint."""
  folder = directory / "arms" / arm / "checkpoints"
  return max((int(entry.name) for entry in folder.iterdir() if entry.name.isdecimal()), default=None) if folder.is_dir() else None


def _full(config: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
  return schema.check(patches.patched(dict(schema.plain(config)), schema.plain(patch)))
