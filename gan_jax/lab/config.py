"""From `--config=FILE[:arg] --config.key=value --arms=a,b+c` to one complete config for every arm.

A config file is Python: `def get_config(arg=None) -> ml_collections.ConfigDict(convert_dict=False)`. An arm is a patch
to it (`patches.py`). Everything is checked here, before anything compiles and before a directory is made.
"""

import difflib
import inspect
import json
import os
import sys
import types
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from gan_jax.lab import schema
from gan_jax.lab.errors import GanJaxError, UsageError, blame, nearest, show
from gan_jax.lab.patches import Patch, culprits, flat, lookup, override, patched, patches_of, said_of, same, select
from gan_jax.lab.schema import Plain, plain


class Resolved(NamedTuple):
  """An experiment, ready to run: `arms` holds each arm's complete config, `patches` what sets it apart from `base`."""

  experiment: str
  argument: str | None
  question: str
  base: ConfigDict
  arms: dict[str, ConfigDict]
  patches: dict[str, Patch]
  path: str
  overrides: tuple[str, ...] = ()
  parts: Mapping[str, Mapping[str, Patch]] = {}  # of a composed arm: the arms that it is made of


def load(path_with_arg: str, overrides: Sequence[str] = (), arms: str | None = None) -> Resolved:
  """Read, patch and check an experiment.

  Args:
    path_with_arg: `FILE.py` or `FILE.py:arg`; arg is handed to `get_config`.
    overrides: `key=value` with a dotted key, applied to the base config before the arms.
    arms: `a,b+c`, which arms and which compositions of arms; None means all.

  Raises:
    UsageError: with the key or the file and line, and the nearest valid choice.
  """
  path, argument = split_argument(path_with_arg)
  read, docstring = read_config(path, argument)
  patches = patches_of(read.pop("arms", None))
  for text in overrides:
    override(read, patches, text)
  base = schema.check(read)
  selected = select(patches, arms)
  parts = {name: {part: patches[part] for part in ([name] if name in patches else name.split("+"))} for name in selected}
  full = {}
  for name, patch in selected.items():
    full[name] = _for_arm(parts[name], patch, base, schema.check)
  _warn_of_arms_that_decide(overrides, base, full)
  from gan_jax.lab import resolve  # imports JAX: only now, when the cheap checks have passed

  for name, patch in selected.items():
    _for_arm(parts[name], patch, base, resolve.check)
  lines = (docstring or "").strip().splitlines()
  return Resolved(
    experiment=os.path.splitext(os.path.basename(path))[0],
    argument=argument,
    question=base["question"] or (lines[0] if lines else ""),
    base=as_config(base),
    arms={name: as_config(config) for name, config in full.items()},
    patches=selected,
    path=path,
    overrides=tuple(overrides),
    parts=parts,
  )


def _warn_of_arms_that_decide(overrides: Sequence[str], base: Mapping[str, Plain], full: Mapping[str, Mapping[str, Plain]]) -> None:
  """An override is of the base config, and an arm's patch comes after it."""
  for key in (text.partition("=")[0] for text in overrides):
    arms = [name for name, config in full.items() if not _kept(lookup(base, key), lookup(config, key))]
    if key.split(".")[0] != "arms" and arms:
      own = f"--config.arms.{arms[0].split('+')[0]}.{key}=..."
      warnings.warn(f"--config.{key} does not reach what sets it itself, {', '.join(arms)}; an arm is changed by {own}", stacklevel=2)


def _kept(wanted: Plain, there: Plain) -> bool:
  """Whether what was set is there, whatever stands beside it in its section."""
  if isinstance(wanted, Mapping):
    return isinstance(there, Mapping) and all(key in there and _kept(value, there[key]) for key, value in wanted.items())
  return same(wanted, there)


def seeds(config: ConfigDict) -> tuple[int, ...]:
  """`config.seeds` as the seeds themselves: n means 0 .. n-1."""
  return tuple(range(config.seeds)) if isinstance(config.seeds, int) else tuple(config.seeds)


def as_config(values: Mapping[str, Plain]) -> ConfigDict:
  """A ConfigDict that keeps the order of its keys: views are chained and transforms applied in that order."""
  config = ConfigDict(sort_keys=False, type_safe=False, allow_dotted_keys=True)  # "my_lab.terms:repel" is a key
  for key, value in values.items():
    config[key] = as_config(value) if isinstance(value, Mapping) else value
  return config


def as_dict(config: ConfigDict | Mapping[str, Any]) -> dict[str, Plain]:
  """The inverse of `as_config`: plain nested dicts in the order of the config."""
  return plain(_ordered(config))


def as_json(config: ConfigDict | Mapping[str, Any]) -> dict[str, Any]:
  """What `json.dump` takes; `from_json` gives the config back."""
  return json.loads(json.dumps(as_dict(config), allow_nan=False))


def from_json(values: Mapping[str, Any]) -> ConfigDict:
  return as_config(plain(values))


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, tuple[Plain, Plain]]:
  """The dotted keys in which two configs differ, with both values; None stands for absent."""
  before, after = flat(as_dict(old)), flat(as_dict(new))
  keys = [k for k in before if not _opened(k, after)] + [k for k in after if k not in before and not _opened(k, before)]
  return {k: (before.get(k), after.get(k)) for k in keys if not same(before.get(k), after.get(k))}


def _opened(key: str, values: Mapping[str, Plain]) -> bool:
  """Whether the section `key`, empty in one config, has entries in the other; they tell the difference."""
  return any(other.startswith(key + ".") for other in values)


def _for_arm(parts: Mapping[str, Patch], patch: Patch, base: dict[str, Plain], check: Any) -> Any:
  """`check` on the arm's config. The error names the arm, or those of its parts that do not go together, unless the base has the same."""
  try:
    return check(patched(base, patch))
  except UsageError as error:
    try:
      check(base)
    except UsageError as own:
      if str(own) == str(error):
        raise
    names, problem = blamed(parts, base, check, error)
    raise UsageError(said_of(names, problem)) from error


Check = Callable[[Any], Any]


def blamed(parts: Mapping[str, Patch], base: Mapping[str, Plain], check: Check, error: GanJaxError) -> tuple[tuple[str, ...], GanJaxError]:
  """Which of an arm's parts `check` refuses, and what it says of these alone."""
  said = error

  def fails(patch: Patch) -> bool:
    nonlocal said
    try:
      check(schema.check(patched(base, patch)))
    except GanJaxError as problem:
      said = problem
      return True
    return False

  names = culprits(parts, fails)
  return names, said if len(names) < len(parts) else error


# The file


def split_argument(path_with_arg: str) -> tuple[str, str | None]:
  """`"f.py:quick" -> ("f.py", "quick")`."""
  head, colon, argument = path_with_arg.partition(".py:")
  return (head + ".py", argument or None) if colon else (path_with_arg.removesuffix(":"), None)


def read_config(path: str, argument: str | None) -> tuple[dict[str, Plain], str | None]:
  """Run the user's file: what its `get_config` returns as plain values, and its docstring."""
  module = _run(path)
  get_config = module.__dict__.get("get_config")
  if not callable(get_config):
    close = difflib.get_close_matches(
      "get_config", [name for name, value in module.__dict__.items() if callable(value)], 1
    )
    hint = f', but has "{close[0]}"' if close else ""
    raise UsageError(f"{path} lacks get_config(arg=None) -> ml_collections.ConfigDict{hint}")
  arguments = () if argument is None else (argument,)
  try:
    inspect.signature(get_config).bind(*arguments)
  except TypeError:
    wants = f"takes no argument, got {show(argument)}" if arguments else "needs an argument: --config=FILE.py:arg"
    raise UsageError(f"{path}: get_config {wants}") from None
  config = _guard(lambda: get_config(*arguments), path)
  if not isinstance(config, ConfigDict):
    raise UsageError(f"{path}: get_config returned a {type(config).__name__}, not an ml_collections.ConfigDict")
  return plain(_ordered(config)), module.__doc__


def _run(path: str) -> types.ModuleType:
  try:
    with open(path, "rb") as file:
      source = file.read()
  except OSError as error:
    raise UsageError(f"{path}: {error.strerror or error}{_near_file(path)}") from None
  # Modules beside the config and in the working directory can be imported, after everything that is installed.
  for folder in (os.path.dirname(os.path.abspath(path)), os.getcwd()):
    if folder not in sys.path:
      sys.path.append(folder)
  module = types.ModuleType("gan_jax_config")
  module.__file__ = path
  sys.modules[module.__name__] = module
  _guard(lambda: exec(compile(source, path, "exec"), module.__dict__), path)
  return module


def _guard(call: Any, path: str) -> Any:
  """Run the user's code; whatever it raises becomes one line with the place in his file."""
  try:
    return call()
  except (KeyboardInterrupt, GanJaxError):
    raise
  except BaseException as error:  # the file may even call exit()
    hint = (
      "; make it ConfigDict(convert_dict=False), then arms may have dotted keys"
      if "allow_dotted_keys" in str(error)
      else ""
    )
    raise UsageError(blame(error, path) + hint) from error


def _near_file(path: str) -> str:
  folder = os.path.dirname(path) or "."
  found = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
  return nearest(
    path,
    [os.path.join(os.path.dirname(path), name) for name in found if name.endswith(".py") and name != "__init__.py"],
  )


def _ordered(value: Any) -> Any:
  """ConfigDicts as dicts in the order of the file (a ConfigDict's own iteration is alphabetical)."""
  if isinstance(value, ConfigDict):
    return {key: _ordered(value[key]) for key in value._fields}
  return {key: _ordered(entry) for key, entry in value.items()} if isinstance(value, dict) else value
