"""From names to functions: a section of a config is looked up, checked whole, and only then called.

A name is looked up in the module of its slot, or imported from the user's own module ("my_lab.terms:repel").
"""

import importlib
import inspect
import os
import traceback
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any, NamedTuple

from gan_jax.data.base import DataFormatError
from gan_jax.lab import binding
from gan_jax.lab.errors import DataError, GanJaxError, UsageError, blame, nearest
from gan_jax.lab.schema import Plain

MODULES = {  # where a slot's names live; the last is searched last
  "data": ("gan_jax.data",),
  "generator": ("gan_jax.networks",),
  "discriminator": ("gan_jax.networks",),
  "objective": ("gan_jax.objectives", "gan_jax.distributions"),
  "prior": ("gan_jax.priors",),
  "optimizers": ("gan_jax.optimizers", "optax"),
  "discriminator_terms": ("gan_jax.penalties",),
  "generator_terms": ("gan_jax.diversity", "gan_jax.coverage", "gan_jax.translation"),
  "view": ("gan_jax.views",),
  "transforms": ("gan_jax.transforms",),
  "game": ("gan_jax.games",),
  "metrics": ("gan_jax.metrics", "gan_jax.data"),  # a metric's features, and the data of its reference
}
NETWORKS = MODULES["generator"]
INSIDE = {"discriminator_terms": MODULES["view"]}  # where a section inside a slot's section looks, if not where the slot does
MAKES = {  # what the result of a slot's function must have
  "data": ("draw", "table", "shape"),
  "generator": ("init", "apply"),
  "discriminator": ("init", "apply"),
  "objective": ("discriminator", "generator"),
  "prior": ("sample",),
  "optimizers": ("init", "update"),
  "view": ("apply", "size"),
  "transforms": ("players", "turns"),
  "game": ("players", "turns"),
  "metrics": ("score", "identity"),
}
SUPPLIED = {"generator": ("out",)}  # settings that follow from the data where a section leaves them out


class Call(NamedTuple):
  """A section that has been looked up and checked, not yet called."""

  function: Callable[..., Any]
  settings: Mapping[str, Any]  # values, or further Calls
  where: str
  slot: str


def find(where: str, name: str, *modules: str) -> Callable[..., Any]:
  """The function of that name in the first of the modules that has it, or "package.module:function" from anywhere.

  Raises:
    UsageError: with the nearest name there is.
  """
  if ":" in name:
    return _own(where, name)
  choices: list[str] = []
  for path in modules:
    module = importlib.import_module(path)
    names = public(module)
    if name in names:
      return getattr(module, name)
    choices += names
  raise UsageError(f'{where} "{name}": no such name in {" or ".join(modules)}{nearest(name, choices)}')


def public(module: ModuleType) -> list[str]:
  """The functions a module offers: those in `__all__`, or else those without an underscore that are its own."""
  own = [name for name, value in vars(module).items() if getattr(value, "__module__", "").startswith(module.__name__)]
  names = getattr(module, "__all__", own)
  return sorted(name for name in names if name[:1].islower() and callable(vars(module).get(name)))


def _own(where: str, name: str) -> Callable[..., Any]:
  path, _, attribute = name.partition(":")
  try:
    module = importlib.import_module(path)
  except ModuleNotFoundError as error:
    if error.name is None or not (path + ".").startswith(error.name + "."):
      raise UsageError(f'{where} "{name}": {blame(error)}') from error
    raise UsageError(f'{where} "{name}": no module "{error.name}" beside the config file, in the working directory or installed') from None
  except Exception as error:
    raise UsageError(f'{where} "{name}": {blame(error)}') from error
  function = getattr(module, attribute, None)
  if not callable(function):
    raise UsageError(f'{where} "{name}": no such function in {path}{nearest(attribute, public(module))}')
  return function


def prepare(
  slot: str,
  section: Mapping[str, Plain],
  where: str,
  offered: Sequence[str] | set[str] = (),
  *,
  position: int = 0,
  nested: Sequence[str] = (),
) -> Call:
  """Look the section's function up and check the section, and those inside it: of the same modules, or of `nested`."""
  modules = MODULES[slot]
  name = section["name"]
  function = find(where, name, *modules)
  try:
    by_position = list(inspect.signature(function).parameters)[:position]
  except (TypeError, ValueError):
    raise UsageError(f'{where} "{name}": not a function with named settings') from None
  values = {key: value for key, value in section.items() if key != "name"}
  binding.check(function, values, where, {*offered, *by_position}, SUPPLIED.get(slot, ()), limits=":" not in name)
  calls = {key: _inner(slot, value, f"{where}.{key}", nested or modules) for key, value in values.items()}
  return Call(function, calls, where, slot)


def _inner(slot: str, value: Plain, where: str, modules: Sequence[str]) -> Any:
  if not (isinstance(value, dict) and "name" in value):
    return value
  if not isinstance(value["name"], str):
    raise UsageError(f"{where}.name = {value['name']!r}: needs the name of a function")
  function = find(where, value["name"], *modules)
  values = {key: entry for key, entry in value.items() if key != "name"}
  binding.check(function, values, where, limits=":" not in value["name"])
  return Call(function, {key: _inner(slot, entry, f"{where}.{key}", modules) for key, entry in values.items()}, where, "")


def make(call: Call, offered: Mapping[str, Any] | None = None, position: tuple[Any, ...] = ()) -> Any:
  """Call the function; what it says about its settings becomes one line that names the section."""
  takes = inspect.signature(call.function).parameters
  given = {key: value for key, value in (offered or {}).items() if key in takes or call.slot == "game"}
  passed = {key: value for key, value in (offered or {}).items() if key == "cache"}  # data inside data, or inside a metric
  given |= {key: make(value, passed) if isinstance(value, Call) else value for key, value in call.settings.items()}
  try:
    made = call.function(*position, **given)
  except GanJaxError:
    raise
  except (OSError, ImportError, DataFormatError) as error:
    raise DataError(f"{call.where}: {error}") from error
  except Exception as error:
    raise UsageError(f"{call.where}: {said(error)}") from error
  lacks = [name for name in MAKES.get(call.slot, ()) if not hasattr(made, name)]
  if lacks or (call.slot.endswith("_terms") and not (callable(made) or hasattr(made, "apply"))):
    kind = call.slot.replace("_", " ").removesuffix("s")
    raise UsageError(f"{call.where}: {call.function.__name__} gives a {type(made).__name__}, which is no {kind}")
  return made


def said(error: Exception) -> str:
  """The message alone where this package raised it on purpose; anything else with the line of code it came from."""
  package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
  frames = traceback.extract_tb(error.__traceback__)
  deliberate = isinstance(error, ValueError | TypeError) and frames[-1].filename.startswith(package + os.sep)
  return str(error) if deliberate else blame(error)
