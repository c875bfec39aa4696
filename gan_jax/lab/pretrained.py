"""Generators that stand alone: `gan_jax.load(folder)` reads what `gan-jax export` wrote.

Nothing in the folder is run. config.json names functions of gan_jax, and functions of other modules only where the caller trusts those; weights
are safetensors, held against the shapes that the config makes.
"""

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import safetensors
from jax import Array

from gan_jax import core
from gan_jax.calls import Sampler
from gan_jax.lab import resolve, schema
from gan_jax.lab.errors import CheckpointError, GanJaxError, UsageError

FORMAT = "gan_jax generator 1"
WEIGHTS, CONFIG, SUMS = "model.safetensors", "config.json", "SHA256SUMS"
PLAYER = "generator"
MOST_CONFIG = 2**20  # bytes


@dataclasses.dataclass(frozen=True)
class Generator:
  """A trained generator. `sample(key, n)` draws `[n, *shape]`, images in [-1, 1]; `config` is that of the folder.

  In two halves, for walks between latents: `latent(key, n)`, and `generate(latent, condition)`.
  """

  config: Mapping[str, Any]
  shape: tuple[int, ...]
  num_classes: int | None
  state: core.GanState
  sampler: Sampler

  def __repr__(self) -> str:
    classes = "" if self.num_classes is None else f", {self.num_classes} classes"
    return f"Generator(shape {self.shape}{classes}, {sum(x.size for x in jax.tree.leaves(self.state.params)):,} parameters)"

  def sample(self, key: Array, n: int, condition: Array | None = None) -> Array:
    """condition: `[n, ...]`, of a conditional generator; for one of classes it may be left out, and is then 0, 1, 2, ... in turn.

    ValueError: n < 1, a condition for a generator that takes none, or none for one that needs it.
    """
    if n < 1:
      raise ValueError(f"n is {n}; at least one is drawn")
    return _draw(self.sampler, n, self.state, key, self._given(n, condition))

  def latent(self, key: Array, n: int) -> Any:
    return self.sampler.latent(key, n)

  def generate(self, latent: Any, condition: Array | None = None) -> Array:
    return _generate(self.sampler, self.state, latent, self._given(len(jax.tree.leaves(latent)[0]), condition))

  def _given(self, n: int, condition: Array | None) -> dict[str, Array]:
    wanted = self.config["condition"]
    if condition is None and wanted is not None:
      if self.num_classes is None:
        raise ValueError(f"this generator needs a condition, {wanted['dtype']} of shape {(n, *wanted['shape'])}")
      condition = jnp.arange(n) % self.num_classes
    if condition is None:
      return {}
    if wanted is None:
      raise ValueError("this generator takes no condition")
    if np.shape(condition) != (n, *wanted["shape"]):
      raise ValueError(f"condition must be of shape {(n, *wanted['shape'])}, got {np.shape(condition)}")
    return {"condition": jnp.asarray(condition, wanted["dtype"])}


@partial(jax.jit, static_argnums=(0, 1))
def _draw(sampler: Sampler, n: int, state: core.GanState, key: Array, given: dict[str, Array]) -> Array:
  return sampler.generate(state, sampler.latent(key, n), given)


@partial(jax.jit, static_argnums=0)
def _generate(sampler: Sampler, state: core.GanState, latent: Any, given: dict[str, Array]) -> Array:
  return sampler.generate(state, latent, given)


def load(folder: str | os.PathLike, *, trusted: Sequence[str] = ()) -> Generator:
  """The generator of an exported folder.

  trusted: modules of your own that config.json may name functions of ("my_lab.networks"): they are imported, and so run.

  Raises:
    CheckpointError: the folder is no export, a file is damaged or does not fit the others, or the config names a module that is not trusted.
  """
  folder = Path(folder)
  config = read_config(folder)
  _check_sums(folder)
  _check_names(folder, config["sections"], trusted)
  shape, wanted = tuple(config["shape"]), config["condition"]
  try:
    sections = {**schema.DEFAULTS, **schema.plain(config["sections"])}
    for key in schema.NAMED:
      schema.named_section(key, sections[key])
    for key in schema.OPEN:
      schema.section(key, sections[key])
    game = resolve.build_game(sections)
    if PLAYER not in game.players or not isinstance(game.sample, Sampler):
      raise UsageError("its game has no generator of samples")
    batch = {"image": jax.ShapeDtypeStruct((2, *shape), jnp.float32)}
    if wanted is not None:
      batch["condition"] = jax.ShapeDtypeStruct((2, *wanted["shape"]), wanted["dtype"])
    params, model_state = jax.eval_shape(game.players[PLAYER].init, jax.eval_shape(lambda: jax.random.key(0)), batch)
    trees = {"params": params, "network": model_state["network"]}
  except Exception as error:
    said = str(error) if isinstance(error, GanJaxError) else f"{type(error).__name__}: {error}"
    raise CheckpointError(f"{folder / CONFIG}: {said}") from error
  tensors = _read_tensors(folder / WEIGHTS, dict(named(trees)))
  trees = jax.tree_util.tree_map_with_path(lambda path, _: jnp.asarray(tensors[_name(path)]), trees)
  state = core.GanState(jnp.int32(config["step"]), {PLAYER: trees["params"]}, {PLAYER: {"network": trees["network"]}}, opt_state={}, ema={})
  made = jax.eval_shape(game.sample, state, jax.random.key(0), batch).shape
  if made != (2, *shape):
    raise CheckpointError(f"{folder / CONFIG}: the generator makes examples of shape {made[1:]}, not {shape}")
  return Generator(config, shape, config["num_classes"], state, game.sample)


def read_config(folder: Path) -> dict[str, Any]:
  """config.json, whose own entries can be relied on; its sections are still to be checked.

  CheckpointError: it is missing, damaged, or something else.
  """
  path = folder / CONFIG
  try:
    if path.stat().st_size > MOST_CONFIG:
      raise CheckpointError(f"{path}: larger than {MOST_CONFIG:,} bytes; not a config of an exported generator")
    config = json.loads(path.read_text())
  except OSError as error:
    raise CheckpointError(f"{path}: {error.strerror or error}; not an exported generator") from error
  except (ValueError, RecursionError) as error:
    raise CheckpointError(f"{path}: no JSON ({str(error)[:80]})") from error
  if not isinstance(config, dict) or config.get("format") != FORMAT:
    held = config.get("format") if isinstance(config, dict) else None
    raise CheckpointError(f"{path}: not a generator of this version (format {held!r}, not {FORMAT!r})")
  natural = lambda value: isinstance(value, list) and all(type(size) is int and 0 < size < 2**31 for size in value)
  condition = config.get("condition")
  whole = {
    "shape": natural(config.get("shape")),
    "sections": isinstance(config.get("sections"), dict) and all(isinstance(config["sections"].get(name), dict) for name in ("game", "generator")),
    "condition": condition is None
    or (isinstance(condition, dict) and natural(condition.get("shape")) and condition.get("dtype") in ("int32", "float32", "uint8")),
    "num_classes": config.get("num_classes") is None or type(config["num_classes"]) is int,
    "step": type(config.get("step")) is int and 0 <= config["step"] < 2**31,
  }
  for name, good in whole.items():
    if not good:
      raise CheckpointError(f"{path}: {name} is missing or damaged")
  return config


def named(tree: Any) -> list[tuple[str, Any]]:
  """The tensors' names: "params/Dense_0/kernel", "network/batch_stats/BatchNorm_0/mean"."""
  return [(_name(path), leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(tree)]


def _name(path: Any) -> str:
  return jax.tree_util.keystr(path, simple=True, separator="/")


def _check_sums(folder: Path) -> None:
  """Where there is a list of sums, files are as they were written."""
  path = folder / SUMS
  if not path.is_file():
    return
  for line in path.read_text(errors="replace").splitlines()[:16]:
    wanted, _, name = line.partition("  ")
    if name in (WEIGHTS, CONFIG):
      try:
        with (folder / name).open("rb") as file:
          found = hashlib.file_digest(file, "sha256").hexdigest()
      except OSError as error:
        raise CheckpointError(f"{folder / name}: {error.strerror or error}") from error
      if found != wanted:
        raise CheckpointError(f"{folder / name}: has changed since it was exported (its SHA-256 is not that of {SUMS})")


def _check_names(folder: Path, value: Any, trusted: Sequence[str]) -> None:
  """Every text of the form "module:function", wherever it stands, is of a trusted module."""
  if isinstance(value, dict):
    for key, entry in value.items():
      _check_names(folder, key, trusted)
      _check_names(folder, entry, trusted)
  elif isinstance(value, list):
    for entry in value:
      _check_names(folder, entry, trusted)
  elif isinstance(value, str) and ":" in value and value.partition(":")[0] not in trusted:
    module = value.partition(":")[0]
    raise CheckpointError(f'{folder / CONFIG}: names "{value}", code outside gan_jax; if you trust it: load(folder, trusted=("{module}",))')


def _read_tensors(path: Path, expected: Mapping[str, Any]) -> dict[str, np.ndarray]:
  """The tensors, after names, shapes and dtypes have been held against what the config makes."""
  try:
    with safetensors.safe_open(path, framework="numpy") as file:
      names = set(file.keys())
      for name in sorted({*names, *expected}):
        there = tuple(file.get_slice(name).get_shape()) if name in names else None
        here = tuple(expected[name].shape) if name in expected else None
        if there != here:
          said = ["absent" if shape is None else str(shape) for shape in (there, here)]
          raise CheckpointError(f"{path}: does not fit config.json: {name} is {said[0]} there, {said[1]} by the config")
      tensors = {name: file.get_tensor(name) for name in expected}
  except GanJaxError:
    raise
  except Exception as error:  # SafetensorError, OSError, and what else a damaged file brings about
    raise CheckpointError(f"{path}: cannot be read ({str(error).splitlines()[0][:120] if str(error) else type(error).__name__})") from error
  for name, leaf in tensors.items():
    if leaf.dtype != expected[name].dtype:
      raise CheckpointError(f"{path}: {name} is {leaf.dtype}, not {expected[name].dtype}")
  return tensors
