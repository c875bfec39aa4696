"""A run as it lies on disk: its config, and the states of its arms. Nothing here writes."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict

from gan_jax import core
from gan_jax.lab import config as configs
from gan_jax.lab import patches, resolve, rundir, schema
from gan_jax.lab.checkpoint import Checkpoints
from gan_jax.lab.errors import CheckpointError, UsageError, nearest, show


class Trained(NamedTuple):
  """An arm and one of its checkpoints: `states` are those of all `seeds`, without optimisers."""

  name: str
  config: ConfigDict
  experiment: resolve.Experiment
  seeds: tuple[int, ...]
  step: int
  states: core.GanState


def read(
  directory: str | os.PathLike, arms: str | None = None, overrides: Sequence[str] = (), metrics: str | None = None
) -> configs.Resolved:
  """The experiment of a run directory, with these of its arms ("a,b"; all by default).

  overrides: `evaluation.key=value`, of what is asked of the samples; what was trained cannot be changed.
  metrics: "frechet,vendi", which of evaluation.metrics, or further ones, to score; None leaves them as they are.

  Raises:
    UsageError: no run directory, no such arm, or an override of something else.
  """
  path = Path(directory) / "config.json"
  try:
    held = rundir.read_json(path)
    base: dict[str, Any] = dict(schema.plain(held["config"]))
    known = {name: dict(schema.plain(patch) or {}) for name, patch in held["arms"].items()}
  except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
    raise UsageError(f"{directory}: no run directory (its config.json is missing or broken)") from None
  if os.getcwd() not in sys.path:
    sys.path.append(os.getcwd())  # for "my_lab.terms:repel", as when it was trained; never a folder that the run's own files name
  for text in overrides:
    if not text.startswith("evaluation."):
      raise UsageError(f"--config.{text}: only evaluation.* can be changed once an arm is trained")
    patches.override(base, {}, text)
  if metrics is not None:
    asked = dict(base.get("evaluation") or {})
    own = asked.get("metrics") or {}
    base["evaluation"] = {**asked, "metrics": {name: own.get(name) or {} for name in metrics.split(",") if name}}
  names = list(known) if arms is None else arms.split(",")
  for name in names:
    if name not in known:
      raise UsageError(f"{directory}: no arm {show(name)}{nearest(name, known)}")
  full = {name: schema.check(patches.patched(base, known[name])) for name in names}
  return configs.Resolved(
    experiment=held.get("experiment") or "", argument=held.get("argument"), question=held.get("question") or "", base=configs.as_config(
      schema.check(base)), arms={name: configs.as_config(config) for name, config in full.items()},
    patches={name: known[name] for name in names}, path=str(path), overrides=tuple(overrides),
  )  # fmt: skip


def one_arm(directory: str | os.PathLike, arm: str | None) -> tuple[str, ConfigDict]:
  """Name and config of the arm; where none is named, of the only one.

  Raises:
    UsageError: no such arm, or several to choose from.
  """
  arms = read(directory, arm).arms
  if len(arms) > 1:
    raise UsageError(f"{directory}: which arm? --arm=NAME, one of: {', '.join(arms)}")
  return next(iter(arms.items()))


def checkpoints(directory: str | os.PathLike, arm: str, config: ConfigDict) -> Checkpoints:
  return Checkpoints(Path(directory) / "arms" / arm / "checkpoints", keep_best=config.evaluation.get("keep_best"))


def restore(directory: str | os.PathLike, arm: str, config: ConfigDict, step: int | str | None = None) -> Trained:
  """The arm at its newest checkpoint, at that of a round, or at the "best".

  Raises:
    CheckpointError: there is no such checkpoint, it is broken, or it is not of this experiment.
  """
  experiment = rundir.located(directory, lambda: resolve.build(config))
  found = checkpoints(directory, arm, config).restore(None, step)
  if found is None:
    raise CheckpointError(f'{directory}: arm "{arm}" has no checkpoint yet')
  seeds = configs.seeds(config)
  raw = found[1].get("states", {}) if isinstance(found[1], dict) else {}
  fields: dict[str, Any] = {field: raw.get(field) for field in ("step", "params", "model_state", "ema")}
  wanted = {field: getattr(experiment.shapes, field) for field in fields}
  there, here = ({name: shape for name, shape in _shapes(tree)} for tree in (fields, wanted))
  for name in [*here, *there]:
    if there.get(name) != (len(seeds), *here[name]) if name in here else True:
      raise CheckpointError(f'{directory}: the checkpoint of arm "{arm}" is not of this experiment: {name} is {there.get(name)} there')
  return Trained(arm, config, experiment, seeds, found[0], core.GanState(opt_state={}, **fields))


def one_seed(trained: Trained, seed: int | None, weights: str) -> tuple[int, core.GanState]:
  """`(seed, states [1, ...])` of one seed, by default the first, with raw or averaged ("ema") weights.

  Raises:
    UsageError: another seed than were trained, or no average was kept.
  """
  seed = trained.seeds[0] if seed is None else seed
  if seed not in trained.seeds:
    raise UsageError(f'arm "{trained.name}" has no seed {seed}; one of: {", ".join(map(str, trained.seeds))}')
  number = trained.seeds.index(seed)
  state = jax.tree.map(lambda leaf: leaf[number : number + 1], trained.states)
  if weights == "ema":
    if not state.ema:
      raise UsageError(f'arm "{trained.name}" keeps no average of its weights (game.ema_decay); use --weights=raw')
    state = core.with_ema(state)
  return seed, state


def _shapes(tree: Any) -> list[tuple[str, tuple[int, ...]]]:
  return [(jax.tree_util.keystr(path, simple=True, separator="/"), tuple(np.shape(leaf))) for path, leaf in jax.tree_util.tree_leaves_with_path(tree)]
