"""From a config to a Game: the one place that reads the slots, for every method alike.

Every section is checked whole before the first function is called.
"""

import functools
import inspect
import json
import math
import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import numpy as np
from ml_collections import ConfigDict

from gan_jax import core, views
from gan_jax import metrics as measures
from gan_jax.data.base import Data, DataFormatError
from gan_jax.lab import lookup
from gan_jax.lab.cache import ArrayCache
from gan_jax.lab.config import Resolved, as_config, as_dict, blamed, from_json
from gan_jax.lab.errors import DataError, GanJaxError, UsageError, blame, nearest
from gan_jax.lab.lookup import Call
from gan_jax.lab.patches import said_of
from gan_jax.lab.schema import OPEN, Plain
from gan_jax.metrics.base import Metric
from gan_jax.metrics.monitor import NUM_BINS
from gan_jax.transforms import skip_not_finite

SLOTS = (
  "generator",
  "discriminator",
  "objective",
  "prior",
  "optimizers",
  "discriminator_terms",
  "generator_terms",
  "view",
)


class Experiment(NamedTuple):
  """What one arm trains: `round_size` real examples go into each round of `game`; `shapes` is its state, abstract.

  `place(axis_name, spread)` is the same game for a layout of devices: on a mapped axis, or with `spread` applied to the latents it draws.
  """

  data: Data
  game: core.Game
  round_size: int
  shapes: core.GanState
  place: Callable[[str | None, Callable[[Any], Any] | None], core.Game]
  metrics: Mapping[str, Metric] = {}  # of evaluation.metrics, by key


class Plan(NamedTuple):
  data: Call
  game: Call
  slots: Mapping[str, Any]  # slot -> Call, or key -> Call
  transforms: tuple[Call, ...]


def build(config: ConfigDict | Mapping[str, Plain]) -> Experiment:
  """The data and the game of one complete config, traced through one round: nothing is compiled, all shapes fit.

  Raises:
    UsageError: a name, setting, slot or player that does not fit, or a batch that does not divide into packs.
    DataError: the data cannot be read, or are fewer than a batch.
  """
  values = as_dict(config)
  plan = check(values)
  data = load_data(json.dumps(values["data"]))
  watched = (values.get("evaluation") or {}).get("monitor_samples", NUM_BINS)
  if data.modes is None and watched < NUM_BINS:
    raise UsageError(f"evaluation.monitor_samples = {watched}: data without modes get {NUM_BINS} bins, so the monitor needs at least as many")
  slots = _make_slots(plan.slots, tuple(data.shape))
  for name, module in slots.items():
    if isinstance(module, nn.Module):
      _check_told(name, module, data)

  def place(axis_name: str | None, spread: Callable[[Any], Any] | None) -> core.Game:
    parameters = inspect.signature(plan.game.function).parameters
    if axis_name is not None and "axis_name" not in parameters:
      raise UsageError(f'game "{values["game"]["name"]}" takes no axis_name, which pmap needs; use --strategy=sharded')
    given = slots if axis_name is None else {**slots, "axis_name": axis_name}
    prior: Any = slots.get("prior")
    if spread is not None and prior is not None:
      given = {**given, "prior": prior._replace(sample=lambda key, n: spread(prior.sample(key, n)))}
    game = lookup.make(plan.game, given)
    for call in plan.transforms:
      game = lookup.make(call, position=(game,))
    return game if game.patience is not None else skip_not_finite(game)

  game = place(None, None)
  players = {name: None for name in slots.get("optimizers", {}) if name not in game.players}
  if players:
    name = next(iter(players))
    raise UsageError(f'optimizers.{name}: game "{values["game"]["name"]}" has no such player{nearest(name, game.players)}')
  size = round_size(values, game)
  batch = size // core.slices_per_round(game)
  if data.rows is not None and len(data.rows.source) < batch:
    raise DataError(f"data: {data.name} holds {len(data.rows.source):,} examples, fewer than a batch of {batch:,}")
  return Experiment(data, game, size, trace(data, game, size), place, load_metrics(values.get("evaluation"), data))


def build_game(config: Mapping[str, Plain]) -> core.Game:
  """The game of a config that has the sections of one and says generator.out, without any data: enough to draw samples.

  Raises:
    UsageError: as `build`.
  """
  game, slots, _ = _check_game(config)
  return lookup.make(game, _make_slots(slots, ()))


def load_metrics(evaluation: Mapping[str, Plain] | None, data: Data) -> dict[str, Metric]:
  """The metrics that evaluation.metrics names, held against the data and the number of samples.

  Raises:
    UsageError: a metric that this evaluation cannot compute, by its key.
  """
  made = _make_metrics(json.dumps((evaluation or {}).get("metrics") or {}))
  try:
    if made:
      measures.identities(made, data, evaluation["num_samples"])  # type: ignore[index]
  except DataFormatError as error:
    raise DataError(f"evaluation.metrics: {error}") from error
  except ValueError as error:
    raise UsageError(f"evaluation.metrics: {error}") from error
  except Exception as error:  # of a metric of the user's own
    raise UsageError(f"evaluation.metrics: {blame(error)}") from error
  return made


def check_metrics(evaluation: Mapping[str, Plain] | None) -> dict[str, Call]:
  """Look the names of evaluation.metrics up and hold every section against its function's signature; calls nothing."""
  entries = _present((evaluation or {}).get("metrics"))
  return {key: lookup.prepare("metrics", {"name": key, **entry}, f"evaluation.metrics.{key}") for key, entry in entries.items()}


def build_all(resolved: Resolved) -> dict[str, Experiment]:
  """Every arm, built before anything compiles."""
  experiments = {}
  for name, config in resolved.arms.items():
    try:
      experiments[name] = build(config)
    except GanJaxError as error:
      parts = resolved.parts.get(name, {name: resolved.patches[name]})
      names, problem = blamed(parts, as_dict(resolved.base), lambda values: build(as_config(values)), error)
      raise type(error)(said_of(names, problem)) from error
  return experiments


def trace(data: Data, game: core.Game, size: int) -> core.GanState:
  """The shapes of the state, from an abstract run of `init`, `step` and `sample`: nothing is computed."""
  wanted = tuple(data.shape)
  try:
    algorithm = core.build(game)
    key = jax.random.key(0)
    batch = data.abstract(size)
    state = jax.eval_shape(algorithm.init, key, batch)
    made = tuple(jax.eval_shape(algorithm.sample, state, key, batch).shape[1:])
    if made != wanted:
      raise UsageError(f"generator: makes examples of shape {made}, the data's are {wanted}; set generator.out = {wanted}")
    jax.eval_shape(algorithm.step, state, batch, key)
  except GanJaxError:
    raise
  except Exception as error:
    raise UsageError(lookup.said(error)) from error
  return state


def parameter_table(state: core.GanState) -> dict[str, list[tuple[str, tuple[int, ...], int]]]:
  """For each player, `(path, shape, count)` of every parameter."""
  return {
    player: [
      (jax.tree_util.keystr(path, simple=True, separator="/"), tuple(leaf.shape), math.prod(leaf.shape))
      for path, leaf in jax.tree_util.tree_leaves_with_path(params)
    ]
    for player, params in state.params.items()
  }


def round_size(config: Mapping[str, Plain], game: core.Game) -> int:
  """Real examples of one round: `batch_size` samples, or packs, for each turn of the busiest player."""
  batch, pack = config["batch_size"], game.pack_size
  if config["batch_unit"] == "packs":
    batch *= pack
  if batch % pack:
    near = max(1, round(batch / pack)) * pack
    raise UsageError(f'batch_size = {batch}: cannot be cut into packs of {pack}; use {near}, or batch_unit = "packs"')
  return batch * core.slices_per_round(game)


def check(config: Mapping[str, Plain]) -> Plan:
  """Look every name up and hold every section against its function's signature; calls nothing."""
  check_metrics(config.get("evaluation"))
  return Plan(lookup.prepare("data", config["data"], "data", {"cache"}), *_check_game(config))


def _check_game(config: Mapping[str, Plain]) -> tuple[Call, dict[str, Any], tuple[Call, ...]]:
  """Game, slots, transforms."""
  game = lookup.prepare("game", config["game"], "game", SLOTS, nested=lookup.NETWORKS)
  slots: dict[str, Any] = {}
  for slot in SLOTS:
    if slot in OPEN and _present(config[slot]):
      slots[slot] = {
        key: lookup.prepare(slot, {"name": key, **entry}, f"{slot}.{key}", nested=lookup.INSIDE.get(slot, ()))
        for key, entry in _present(config[slot]).items()
      }
    elif slot not in OPEN and config[slot]:
      slots[slot] = lookup.prepare(slot, config[slot], slot)
  _check_slots(game, config["game"]["name"], slots)
  transforms = tuple(
    lookup.prepare("transforms", {"name": key, **entry}, f"transforms.{key}", position=1) for key, entry in _present(config["transforms"]).items()
  )
  return game, slots, transforms


def _check_told(slot: str, module: nn.Module, data: Data) -> None:
  """Words or classes beyond those that a network knows would be NaN, or nothing, and not an error."""
  for name, what, count in (("vocabulary", "words", len(data.vocabulary)), ("num_classes", "classes", data.num_classes or 0)):
    known = getattr(module, name, None)
    if isinstance(known, int) and 0 < known < count:
      raise UsageError(f"{slot}: {name} = {known}, and {data.name} has {count:,} {what}; set it to {count}")
  for inner in vars(module).values():
    if isinstance(inner, nn.Module) and inner is not module.parent:
      _check_told(slot, inner, data)


def _present(section: Mapping[str, Plain] | None) -> Mapping[str, Plain]:
  """The entries of an open section that an arm has not removed."""
  return {key: entry for key, entry in (section or {}).items() if entry is not None}


def _check_slots(game: Call, name: str, slots: Mapping[str, Any]) -> None:
  """A game takes the slots that its function's signature names; those without a default it must get."""
  parameters = inspect.signature(game.function).parameters
  takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
  for slot in slots:
    if slot not in parameters and not takes_any:
      raise UsageError(f'game "{name}" takes no {slot}; set {slot} = None in this arm')
  for slot in SLOTS:
    if slot in parameters and parameters[slot].default is inspect.Parameter.empty and slot not in slots:
      raise UsageError(f'{slot} is missing: game "{name}" needs one')


def _make_slots(calls: Mapping[str, Any], shape: tuple[int, ...]) -> dict[str, Any]:
  """What the slots' functions make; the generator's `out` is `shape` where its section says nothing."""
  offered = {"generator": {"out": shape}}
  slots = {
    slot: {key: lookup.make(call) for key, call in entry.items()} if isinstance(entry, dict) else lookup.make(entry, offered.get(slot, {}))
    for slot, entry in calls.items()
  }
  if "view" in slots:
    slots["view"] = views.chain(*slots["view"].values())
  return slots


@functools.lru_cache(maxsize=8)
def _make_metrics(section: str) -> dict[str, Metric]:
  """Arms share their evaluation: metrics, and the data they compare with, are built once."""
  entries = {"metrics": as_dict(from_json(json.loads(section)))}
  return {key: lookup.make(call, {"cache": ArrayCache("data")}) for key, call in check_metrics(entries).items()}


def load_data(section: str) -> Data:
  """Arms share their data: it is built once for each distinct section. DataError: its table holds NaN or an infinity."""
  return loaded(section, os.getcwd())


@functools.lru_cache(maxsize=8)
def loaded(section: str, folder: str) -> Data:
  """`load_data`, of paths that are relative to `folder`, the working directory."""
  values = as_dict(from_json(json.loads(section)))
  data = lookup.make(lookup.prepare("data", values, "data", {"cache"}), {"cache": ArrayCache("data")})
  for path, leaf in jax.tree_util.tree_leaves_with_path(data.table):
    if np.asarray(leaf).dtype.kind == "f" and not np.isfinite(leaf).all():
      place = tuple(int(i) for i in np.argwhere(~np.isfinite(leaf))[0])
      name = jax.tree_util.keystr(path, simple=True, separator=".")
      raise DataError(f"data: {data.name}: training data {name}{list(place)} is {np.asarray(leaf)[place]}; leave the example out, or mend it")
  return data
