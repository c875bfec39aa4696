"""Checkpoints of an arm: the whole state of every seed, by Orbax, saved while training goes on.

A checkpoint is a folder named by its round. Orbax writes it under another name and renames it when all of it is there, so a killed process
leaves whole checkpoints or none. Beside the state lies a manifest: shape, dtype and SHA-256 of every array (Orbax itself restores a flipped bit
without a word), the config it was trained with, the metrics that `keep_best` goes by, and the manifest's own SHA-256. Older checkpoints are
removed only when a newer one has been read back.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import math
import shutil
import warnings
from collections.abc import Collection, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from gan_jax.lab.errors import CheckpointError, Preempted, StorageError, UsageError, nearest

FORMAT = 2  # 0 has no manifest, 1 neither config nor what a check is still to be told
STATE, MANIFEST = "default", "manifest"  # the parts of a checkpoint
ABORTED = ".orbax-checkpoint-tmp"
MANIFEST_BYTES = 2**26


class Checkpoints:
  """The newest `keep_last` checkpoints in a folder, and the best: `keep_best = "max modes"` or `"min NAME"`, by the metrics given to `save`.

  `configs` are digests: of the config that trains now, which `save` notes, then of others whose checkpoints may be gone on from. Of several
  processes the first writes and all read. Reading changes nothing in the folder.
  """

  def __init__(self, folder: Path, *, keep_best: str | None = None, keep_last: int = 2, configs: Collection[str] = ()):
    logging.getLogger("absl").setLevel(logging.ERROR)
    self.folder, self.keep_best, self.keep_last, self.configs = folder, keep_best, keep_last, list(configs)
    self._trusted: set[int] = set()  # saved or restored by this process
    self._broken: set[int] = set()
    self._absent = 0  # how often `keep_best` was not among the metrics
    self._saving: tuple[int, Future] | None = None
    self._metrics: dict[int, Mapping[str, float]] = {}
    self._thread: ThreadPoolExecutor | None = None

  def steps(self) -> list[int]:
    """The rounds of all finished checkpoints."""
    if not self.folder.is_dir():
      return []
    entries = [entry for entry in self.folder.iterdir() if entry.name.isdecimal() and not entry.is_symlink() and (entry / STATE).is_dir()]
    return sorted(int(entry.name) for entry in entries if entry.name == str(int(entry.name)))

  def best(self) -> int | None:
    """The checkpoint with the best value of the metric; of equals the earliest. None where no checkpoint has a finite one."""
    if self.keep_best is None:
      return None
    scores = {step: _score(self.keep_best, self._metrics_of(step)) for step in self.steps() if step not in self._broken}
    scores = {step: score for step, score in scores.items() if score > -math.inf}
    return max(scores, key=lambda step: (scores[step], -step)) if scores else None

  def better(self, metrics: Mapping[str, float]) -> bool:
    """Whether a checkpoint with these metrics would be better than all there are: then it should be saved.

    UsageError: they lack the metric that `keep_best` names, for the second time (some are only there from the second check on).
    """
    if self.keep_best is None:
      return False
    name = self.keep_best.partition(" ")[2]
    self._absent = 0 if name in metrics else self._absent + 1
    if self._absent == 2:
      raise UsageError(f'evaluation.keep_best = "{self.keep_best}": metrics.jsonl has no {name}{nearest(name, metrics)}')
    steps = {*self.steps(), *([] if self._saving is None else [self._saving[0]])} - self._broken
    return _score(self.keep_best, metrics) > max((_score(self.keep_best, self._metrics_of(step)) for step in steps), default=-math.inf)

  def save(self, step: int, tree: Any, metrics: Mapping[str, float] | None = None) -> None:
    """Start to save; arrays are copied first, so the caller may change or donate them at once.

    Raises:
      StorageError: the checkpoint before this one could not be written.
    """
    self.wait()
    if step in self._trusted or jax.process_index() != 0:
      return
    arrays = jax.tree.map(_to_host, tree)
    self._metrics[step] = {name: float(value) for name, value in (metrics or {}).items()}
    self._thread = self._thread or ThreadPoolExecutor(1, "checkpoint")
    self._saving = step, self._thread.submit(self._write, step, arrays, self._metrics[step])

  def poll(self) -> None:
    """`wait`, if that takes no time: to be called often, so that what goes wrong with a save is soon an error."""
    if self._saving is not None and self._saving[1].done():
      self.wait()

  def wait(self) -> None:
    """Until the last checkpoint is finished, has been read back, and older ones are gone. StorageError: it could not be written."""
    if self._saving is None:
      return
    step, saving = self._saving
    self._saving = None
    try:
      removed = saving.result()
    except Exception as error:  # Orbax raises many kinds for one cause
      self._metrics.pop(step, None)
      reason = "no space left on device" if _no_space(error) else _first_line(error)
      raise StorageError(f"{self.folder}: cannot save checkpoint {step}: {reason}; older ones are as they were") from error
    self._trusted.add(step)
    self._broken.discard(step)
    if removed:
      warnings.warn(f"{self.folder}: no space for checkpoint {step} before {', '.join(map(str, removed))} was removed", stacklevel=2)

  def restore(self, template: Any, step: int | str | None = None, *, strict: bool = False, added: Collection[str] = ()) -> tuple[int, Any] | None:
    """`(step, tree)` in the structure, shapes and dtypes of `template`, on the host; None where nothing has been saved.

    Args:
      template: arrays or `jax.ShapeDtypeStruct`s; None takes the checkpoint as it is, in plain dicts and lists.
      step: a round, "best", or None for the newest. If the newest is broken, the newest whole one is taken, with a warning.
      strict: a broken newest one is an error.
      added: entries of the template that older checkpoints lack; then the tree lacks them.

    Raises:
      CheckpointError: what was asked for is not there or broken, all are, or they hold a state of another shape, config or format.
    """
    self.wait()
    found = self.steps()
    if step is None and not found:
      if self.folder.is_dir() and self._remains():
        raise CheckpointError(f"{self.folder}: holds no whole checkpoint, only {', '.join(self._remains())}; remove the folder to start anew")
      return None
    chosen = [self._find(step)] if step is not None else found[-1:] if strict else found[::-1]
    problems: list[str] = []
    for number in chosen:
      try:
        tree = self._read(number, template, added)
      except _Broken as error:
        self._broken.add(number)
        problems.append(f"{number} ({error})" if len(problems) < 2 else str(number))
        continue
      if problems:
        warnings.warn(f"{self.folder}: cannot read checkpoint {', '.join(problems)}; going back to {number}", stacklevel=2)
      self._trusted.add(number)
      return number, tree
    remedy = "run without --strict to go on from an older one" if strict and len(found) > 1 else "remove the folder to start anew"
    raise CheckpointError(f"{self.folder}: cannot read checkpoint {', '.join(problems)}; {remedy}")

  def close(self) -> None:
    """Finish the last save, whatever happens; StorageError if it failed."""
    try:
      self.wait()
    finally:
      if self._thread is not None:
        self._thread.shutdown()
        self._thread = None

  def __enter__(self) -> Checkpoints:
    return self

  def __exit__(self, kind: Any, *rest: Any) -> None:
    try:
      self.close()
    except StorageError:
      if kind is None or issubclass(kind, Preempted):  # which says that everything is saved
        raise

  def _find(self, step: int | str) -> int:
    if step == "best":
      best = self.best()
      if best is None:
        raise CheckpointError(f"{self.folder}: no best checkpoint; a run keeps one with evaluation.keep_best = \"max modes\", or another metric")
      return best
    found = self.steps()
    if step not in found:
      held = f"there are {', '.join(map(str, found))}" if found else "there is none"
      raise CheckpointError(f"{self.folder}: no checkpoint of round {step}; {held}")
    return int(step)

  def _write(self, step: int, arrays: Any, metrics: Mapping[str, float]) -> list[int]:
    """Save, read back, prune. On a full disk older ones go first, but for the newest and the best: those that went are given."""
    leaves = {name: [list(leaf.shape), str(leaf.dtype), _digest(leaf)] for name, leaf in _named(arrays)}
    manifest = {
      "format": FORMAT, "config": self.configs[0] if self.configs else "", "metrics": {name: repr(value) for name, value in metrics.items()},
      "leaves": leaves,
    }  # fmt: skip
    manifest["sha256"] = _digest_of(manifest)
    removed: list[int] = []
    while True:
      try:
        self._save(step, arrays, manifest)
        self._read(step, None)
        break
      except Exception as error:
        self._clear(step)
        held = [number for number in self.steps() if number not in self._broken]
        spare = [number for number in self.steps() if number not in {*held[-1:], self.best()}] if _no_space(error) else []
        if not spare:
          raise
        self._remove(spare[0])
        removed.append(spare[0])
    held = [number for number in self.steps() if number == step or number not in self._broken]
    for number in set(self.steps()) - {*held[-self.keep_last :], self.best()}:
      self._remove(number)
    return removed

  def _save(self, step: int, arrays: Any, manifest: Mapping[str, Any]) -> None:
    self.folder.mkdir(parents=True, exist_ok=True)
    self._clear(step)
    with _orbax() as orbax:
      parts = {STATE: ocp.args.StandardSave(arrays), MANIFEST: ocp.args.JsonSave(manifest)}
      orbax.save(self._path(step), args=ocp.args.Composite(**parts))

  def _clear(self, step: int) -> None:
    """Away with what a killed or failed save has left, and with a broken checkpoint of this round, to which we came back from an older one."""
    for left in (*self.folder.glob(f"*{ABORTED}*"), self.folder / str(step)):
      if left.is_dir() and not left.is_symlink():
        shutil.rmtree(left)

  def _read(self, step: int, template: Any, added: Collection[str] = ()) -> Any:
    """The tree, held against its manifest."""
    where = f"{self.folder / str(step)}"
    try:
      manifest = self._manifest(step)
    except Exception as error:
      raise _Broken(_first_line(error)) from error
    version, leaves = manifest["format"], manifest["leaves"]
    if version > FORMAT:
      raise CheckpointError(f"{where}: format {version}, of a newer gan_jax; this one reads formats up to {FORMAT}")
    if self.configs and manifest.get("config") and manifest["config"] not in self.configs:
      raise CheckpointError(f"{where}: trained with another config ({manifest['config'][:8]} there, {self.configs[0][:8]} here)")
    if added:
      held = {name.partition("/")[0] for name in leaves}
      template = {name: part for name, part in template.items() if name not in added or name in held}
    shapes = None if template is None else jax.tree.map(_shape_on_host, template)
    if leaves and shapes is not None:
      _compare(where, leaves, {name: [list(leaf.shape), str(leaf.dtype)] for name, leaf in _named(shapes)})
    try:
      with _orbax() as orbax:
        tree = orbax.restore(self._path(step), args=ocp.args.Composite(**{STATE: ocp.args.StandardRestore(shapes)}))[STATE]
    except Exception as error:
      raise _Broken(_first_line(error)) from error
    if leaves:
      found = {name: [list(np.shape(leaf)), str(np.asarray(leaf).dtype), _digest(np.asarray(leaf))] for name, leaf in _named(tree)}
      changed = next((name for name in {**leaves, **found} if leaves.get(name) != found.get(name)), None)
      if changed is not None:
        raise _Broken(f"{changed} has changed since it was saved")
    else:
      warnings.warn(f"{where}: made before checkpoints had checksums; taken as it is", stacklevel=3)
    return tree if template is None else jax.tree.map(_as_template, tree, template)

  def _manifest(self, step: int) -> dict[str, Any]:
    path = self.folder / str(step) / MANIFEST / "metadata"
    if not path.exists():
      parts = json.loads((self.folder / str(step) / "_CHECKPOINT_METADATA").read_bytes())["item_handlers"]
      if list(parts) != [STATE]:
        raise ValueError("its manifest is gone")
      return {"format": 0, "leaves": {}}
    if path.stat().st_size > MANIFEST_BYTES:
      raise ValueError("the manifest is damaged")
    manifest = json.loads(path.read_bytes())
    if not isinstance(manifest, dict) or not isinstance(manifest.get("leaves"), dict) or not isinstance(manifest.get("format"), int):
      raise ValueError("the manifest is damaged")
    digest = manifest.pop("sha256", None)
    if digest != _digest_of(manifest) and not (digest is None and manifest["format"] == 1):
      raise ValueError("the manifest is damaged")
    return manifest

  def _metrics_of(self, step: int) -> Mapping[str, float]:
    if step not in self._metrics:
      try:
        self._metrics[step] = {name: float(value) for name, value in self._manifest(step).get("metrics", {}).items()}
      except Exception:
        self._metrics[step] = {}
    return self._metrics[step]

  def _remove(self, step: int) -> None:
    """A half-removed checkpoint no longer has a checkpoint's name."""
    removed = self.folder / f"{step}{ABORTED}-removed"
    (self.folder / str(step)).rename(removed)
    shutil.rmtree(removed)

  def _remains(self) -> list[str]:
    """Names of rounds in the folder that are no checkpoints."""
    return sorted(entry.name for entry in self.folder.iterdir() if entry.name.isdecimal())

  def _path(self, step: int) -> Path:
    return self.folder.absolute() / str(step)


def _orbax() -> ocp.Checkpointer:
  """Each process reads and writes for itself, without waiting for others."""
  options = ocp.options.MultiprocessingOptions()
  if jax.process_count() > 1:
    own = jax.process_index()
    options = ocp.options.MultiprocessingOptions(primary_host=own, active_processes={own}, barrier_sync_key_prefix=f"process{own}")
  handlers = {
    STATE: ocp.StandardCheckpointHandler(multiprocessing_options=options),
    MANIFEST: ocp.JsonCheckpointHandler(multiprocessing_options=options),
  }
  composite = ocp.CompositeCheckpointHandler(composite_options=ocp.CompositeOptions(multiprocessing_options=options), **handlers)
  return ocp.Checkpointer(composite, multiprocessing_options=options)


class _Broken(Exception):  # noqa: N818 (not an error of ours: restore looks for an older checkpoint)
  """A checkpoint that does not hold what was saved."""


def _score(rule: str, metrics: Mapping[str, float]) -> float:
  """Larger is better; minus infinity for a metric that is absent or not finite."""
  direction, _, name = rule.partition(" ")
  value = metrics.get(name, math.nan)
  return -math.inf if not math.isfinite(value) else value if direction == "max" else -value


def _named(tree: Any) -> list[tuple[str, Any]]:
  return [(jax.tree_util.keystr(path, simple=True, separator="/"), leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(tree)]


def _is_key(leaf: Any) -> bool:
  return jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _to_host(leaf: Any) -> np.ndarray:
  """A copy of our own: a donated buffer may be written to before the background save has read it."""
  leaf = jax.random.key_data(leaf) if hasattr(leaf, "dtype") and _is_key(leaf) else leaf
  return np.array(leaf, copy=True)


def _shape_on_host(leaf: Any) -> np.ndarray:
  """What Orbax takes as "restore a numpy array of this shape and dtype"; no memory is touched."""
  abstract = jax.eval_shape(jax.random.key_data, leaf) if _is_key(leaf) else leaf
  return np.broadcast_to(np.zeros((), abstract.dtype), abstract.shape)


def _as_template(leaf: np.ndarray, template: Any) -> Any:
  return jax.random.wrap_key_data(jax.numpy.asarray(leaf)) if _is_key(template) else np.asarray(leaf)


def _digest(leaf: np.ndarray) -> str:
  return hashlib.sha256(np.ascontiguousarray(leaf).tobytes()).hexdigest()


def _digest_of(manifest: Mapping[str, Any]) -> str:
  return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


def _no_space(error: BaseException) -> bool:
  """Whether a smaller folder would have helped; TensorStore says it in words."""
  full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
  return full or any(words in str(error) for words in ("No space left", "Disk quota exceeded"))


def _compare(where: str, held: Mapping[str, list], wanted: Mapping[str, list]) -> None:
  for name in [*held, *wanted]:
    there, here = held.get(name, [None, None])[:2], wanted.get(name, [None, None])
    if there != here:
      said = [f"{kind}{tuple(shape)}" if shape is not None else "absent" for shape, kind in (there, here)]
      raise CheckpointError(f"{where}: holds another state than this arm has: {name} is {said[0]} there, {said[1]} here")


def _first_line(error: BaseException) -> str:
  lines = [line for line in str(error).splitlines() if line.strip()]
  return (lines[0] if lines else type(error).__name__)[:80]

