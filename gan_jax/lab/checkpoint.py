"""Checkpoints of an arm: the whole state of every seed, by Orbax, saved while training goes on.

A checkpoint is a folder named by its round. Orbax writes it under another name and renames it when all of it is there, so a killed process
leaves whole checkpoints or none. Beside the state lies a manifest: shape, dtype and SHA-256 of every array (Orbax itself restores a flipped bit
without a word), and the metrics that `keep_best` goes by. Older checkpoints are removed only when a newer one is known to be finished.
"""

from __future__ import annotations

import hashlib
import logging
import math
import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from gan_jax.lab.errors import CheckpointError, Preempted, StorageError, UsageError, nearest

FORMAT = 1
STATE, MANIFEST = "default", "manifest"  # the parts of a checkpoint
ABORTED = ".orbax-checkpoint-tmp"


class Checkpoints:
  """The newest `keep_last` checkpoints in a folder, and the best: `keep_best = "max modes"` or `"min NAME"`, by the metrics given to `save`.

  Of several processes the first writes and all read. Reading changes nothing in the folder.
  """

  def __init__(self, folder: Path, *, keep_best: str | None = None, keep_last: int = 2):
    logging.getLogger("absl").setLevel(logging.ERROR)
    self.folder, self.keep_best, self.keep_last = folder, keep_best, keep_last
    self._trusted: set[int] = set()  # saved or restored by this process
    self._broken: set[int] = set()
    self._absent = 0  # how often `keep_best` was not among the metrics
    self._saving: int | None = None
    self._metrics: dict[int, Mapping[str, float]] = {}
    self._orbax: ocp.AsyncCheckpointer | None = None

  def steps(self) -> list[int]:
    """The rounds of all finished checkpoints."""
    if not self.folder.is_dir():
      return []
    return sorted(int(entry.name) for entry in self.folder.iterdir() if entry.name.isdecimal() and (entry / STATE).is_dir())

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
    steps = {*self.steps(), *([] if self._saving is None else [self._saving])} - self._broken
    return _score(self.keep_best, metrics) > max((_score(self.keep_best, self._metrics_of(step)) for step in steps), default=-math.inf)

  def save(self, step: int, tree: Any, metrics: Mapping[str, float] | None = None) -> None:
    """Start to save; arrays are copied first, so the caller may change or donate them at once.

    Raises:
      StorageError: this checkpoint, or the one before it, cannot be written.
    """
    self.wait()
    if step in self._trusted or jax.process_index() != 0:
      return
    arrays = jax.tree.map(_to_host, tree)
    leaves = {name: [list(leaf.shape), str(leaf.dtype), _digest(leaf)] for name, leaf in _named(arrays)}
    metrics = {name: float(value) for name, value in (metrics or {}).items()}
    manifest = {"format": FORMAT, "metrics": {name: repr(value) for name, value in metrics.items()}, "leaves": leaves}
    try:
      self.folder.mkdir(parents=True, exist_ok=True)
      for left in self.folder.glob(f"*{ABORTED}*"):
        shutil.rmtree(left)
      if (self.folder / str(step)).exists():  # a broken one: we came back to its round from an older one
        shutil.rmtree(self.folder / str(step))
      self._saving, self._metrics[step] = step, metrics
      parts = {STATE: ocp.args.StandardSave(arrays), MANIFEST: ocp.args.JsonSave(manifest)}
      self._checkpointer().save(self._path(step), args=ocp.args.Composite(**parts))
    except Exception as error:  # Orbax raises many kinds for one cause
      raise self._failed(step, error) from error

  def wait(self) -> None:
    """Until the last checkpoint is finished; only then older ones go. StorageError: it could not be written."""
    if self._saving is None:
      return
    step, self._saving = self._saving, None
    try:
      self._checkpointer().wait_until_finished()
      self._trusted.add(step)
      self._broken.discard(step)
      self._prune()
    except Exception as error:
      raise self._failed(step, error) from error

  def restore(self, template: Any, step: int | str | None = None) -> tuple[int, Any] | None:
    """`(step, tree)` in the structure, shapes and dtypes of `template`, on the host; None where nothing has been saved.

    Args:
      template: arrays or `jax.ShapeDtypeStruct`s; None takes the checkpoint as it is, in plain dicts and lists.
      step: a round, "best", or None for the newest. If the newest is broken, the newest whole one is taken, with a warning.

    Raises:
      CheckpointError: what was asked for is not there or broken, all are, or they hold a state of another shape.
    """
    self.wait()
    found = self.steps()
    if step is None and not found:
      return None
    chosen = [self._find(step)] if step is not None else found[::-1]
    problems = []
    for number in chosen:
      try:
        tree = self._read(number, template)
      except _Broken as error:
        self._broken.add(number)
        problems.append(f"{number} ({error})")
        continue
      if problems:
        warnings.warn(f"{self.folder}: cannot read checkpoint {', '.join(problems)}; going back to {number}", stacklevel=2)
      self._trusted.add(number)
      return number, tree
    raise CheckpointError(f"{self.folder}: cannot read checkpoint {', '.join(problems)}; remove the folder to start anew")

  def close(self) -> None:
    """Finish the last save, whatever happens; StorageError if it failed."""
    try:
      self.wait()
    finally:
      if self._orbax is not None:
        self._orbax.close()
        self._orbax = None

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

  def _read(self, step: int, template: Any) -> Any:
    """The tree, held against its manifest."""
    shapes = None if template is None else jax.tree.map(_shape_on_host, template)
    try:
      manifest = self._manifest(step)
    except Exception as error:
      raise _Broken(_first_line(error)) from error
    leaves = manifest.get("leaves", {})  # none in checkpoints of version 0.1.0, which are taken as they are
    if leaves and shapes is not None:
      _compare(f"{self.folder / str(step)}", leaves, {name: [list(leaf.shape), str(leaf.dtype)] for name, leaf in _named(shapes)})
    try:
      parts = {STATE: ocp.args.StandardRestore(shapes)}
      tree = self._checkpointer().restore(self._path(step), args=ocp.args.Composite(**parts))[STATE]
    except Exception as error:
      raise _Broken(_first_line(error)) from error
    for name, leaf in _named(tree) if leaves else ():
      if _digest(np.asarray(leaf)) != leaves[name][2]:
        raise _Broken(f"{name} has changed since it was saved")
    return tree if template is None else jax.tree.map(_as_template, tree, template)

  def _manifest(self, step: int) -> dict[str, Any]:
    if not (self.folder / str(step) / MANIFEST).exists():
      return {}
    parts = {MANIFEST: ocp.args.JsonRestore()}
    manifest = self._checkpointer().restore(self._path(step), args=ocp.args.Composite(**parts))[MANIFEST]
    if not isinstance(manifest, dict) or not isinstance(manifest.get("leaves"), dict):
      raise ValueError("the manifest is damaged")
    if manifest.get("format") != FORMAT:
      raise ValueError(f"format {manifest.get('format')!r}; this version reads format {FORMAT}")
    return manifest

  def _metrics_of(self, step: int) -> Mapping[str, float]:
    if step not in self._metrics:
      try:
        self._metrics[step] = {name: float(value) for name, value in self._manifest(step).get("metrics", {}).items()}
      except Exception:
        self._metrics[step] = {}
    return self._metrics[step]

  def _prune(self) -> None:
    """Remove all but the newest few and the best. A half-removed checkpoint no longer has a checkpoint's name."""
    held = [step for step in self.steps() if step not in self._broken]
    kept = {*held[-self.keep_last :], self.best()}
    for step in set(self.steps()) - kept:
      removed = self.folder / f"{step}{ABORTED}-removed"
      (self.folder / str(step)).rename(removed)
      shutil.rmtree(removed)

  def _checkpointer(self) -> ocp.AsyncCheckpointer:
    if self._orbax is None:
      own = jax.process_index()
      options = ocp.options.MultiprocessingOptions()
      if jax.process_count() > 1:  # each process for itself, without waiting for others
        options = ocp.options.MultiprocessingOptions(primary_host=own, active_processes={own}, barrier_sync_key_prefix=f"process{own}")
      handlers = {
        STATE: ocp.StandardCheckpointHandler(multiprocessing_options=options),
        MANIFEST: ocp.JsonCheckpointHandler(multiprocessing_options=options),
      }
      composite = ocp.CompositeCheckpointHandler(composite_options=ocp.CompositeOptions(multiprocessing_options=options), **handlers)
      self._orbax = ocp.AsyncCheckpointer(composite, multiprocessing_options=options)
    return self._orbax

  def _path(self, step: int) -> Path:
    return self.folder.absolute() / str(step)

  def _failed(self, step: int, error: Exception) -> StorageError:
    self._saving = None
    self._metrics.pop(step, None)
    return StorageError(f"{self.folder}: cannot save checkpoint {step}: {_first_line(error)}; older ones are as they were")


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


def _compare(where: str, held: Mapping[str, list], wanted: Mapping[str, list]) -> None:
  for name in [*held, *wanted]:
    there, here = held.get(name, [None, None])[:2], wanted.get(name, [None, None])
    if there != here:
      said = [f"{kind}{tuple(shape)}" if shape is not None else "absent" for shape, kind in (there, here)]
      raise CheckpointError(f"{where}: holds another state than this arm has: {name} is {said[0]} there, {said[1]} here")


def _first_line(error: BaseException) -> str:
  lines = [line for line in str(error).splitlines() if line.strip()]
  return (lines[0] if lines else type(error).__name__)[:160]

