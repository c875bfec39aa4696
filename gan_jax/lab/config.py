"""From `--config=FILE[:arg] --config.key=value --arms=a,b+c` to one complete config for every arm.

A config file is Python: `def get_config(arg=None) -> ml_collections.ConfigDict(convert_dict=False)`. An arm is a patch to it: dotted keys set
single values, a dict replaces the section it is given for, None removes; `a+b` composes two. Everything is checked here, before anything
compiles and before a directory is made.
"""

import ast
import copy
import difflib
import inspect
import json
import os
import re
import sys
import types
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from gan_jax.lab import schema
from gan_jax.lab.errors import GanJaxError, UsageError, blame, nearest, show
from gan_jax.lab.schema import Plain, plain

Patch = Mapping[str, Plain]  # {"view.pack.size": 2, "objective": {"name": "hinge"}, "prior": None}


class Resolved(NamedTuple):
  """An experiment, ready to run: `arms` holds a complete config for each arm, `patches` what makes it differ from `base`."""

  experiment: str
  argument: str | None
  question: str
  base: ConfigDict
  arms: dict[str, ConfigDict]
  patches: dict[str, Patch]
  path: str
  overrides: tuple[str, ...] = ()


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
  patches = _patches_of(read.pop("arms", None))
  for override in overrides:
    _override(read, patches, override)
  base = schema.check(read)
  selected = select(patches, arms)
  full = {}
  for name, patch in selected.items():
    full[name] = _for_arm(name, patch, base, schema.check)
  from gan_jax.lab import resolve  # imports JAX: only now, when the cheap checks have passed

  for name, patch in selected.items():
    _for_arm(name, patch, base, resolve.check)
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
  )


def seeds(config: ConfigDict) -> tuple[int, ...]:
  """`config.seeds` as the seeds themselves: n means 0 .. n-1."""
  return tuple(range(config.seeds)) if isinstance(config.seeds, int) else tuple(config.seeds)


def as_config(values: Mapping[str, Plain]) -> ConfigDict:
  """A ConfigDict that keeps the order of its keys: views are chained and transforms applied in that order."""
  config = ConfigDict(sort_keys=False, type_safe=False)
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


def flat(values: Mapping[str, Plain], prefix: str = "") -> dict[str, Plain]:
  """`{"a": {"b": 1}} -> {"a.b": 1}`; an empty section stays as it is."""
  out: dict[str, Plain] = {}
  for key, value in values.items():
    out |= flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) and value else {prefix + key: value}
  return out


def same(a: Plain, b: Plain) -> bool:
  """Equal in type too: 1, 1.0 and True are three settings."""
  return repr(a) == repr(b)


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
    close = difflib.get_close_matches("get_config", [name for name, value in module.__dict__.items() if callable(value)], 1)
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
    hint = "; make it ConfigDict(convert_dict=False), then arms may have dotted keys" if "allow_dotted_keys" in str(error) else ""
    raise UsageError(blame(error, path) + hint) from error


def _near_file(path: str) -> str:
  folder = os.path.dirname(path) or "."
  found = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
  return nearest(path, [os.path.join(os.path.dirname(path), name) for name in found if name.endswith(".py") and name != "__init__.py"])


def _ordered(value: Any) -> Any:
  """ConfigDicts as dicts in the order of the file (a ConfigDict's own iteration is alphabetical)."""
  if isinstance(value, ConfigDict):
    return {key: _ordered(value[key]) for key in value._fields}
  return {key: _ordered(entry) for key, entry in value.items()} if isinstance(value, dict) else value


# Overrides


def _override(config: dict[str, Plain], patches: dict[str, Patch], override: str) -> None:
  key, equals, text = override.partition("=")
  if not equals or not key:
    raise UsageError(f"--config.{override}: write --config.key=value")
  if key.split(".")[0] == "arms":
    _override_arm(patches, key, text)
  else:
    put(config, key, _parsed(key, text, _get(config, key)))


def _override_arm(patches: dict[str, Patch], key: str, text: str) -> None:
  """`arms.NAME.key=value`: a name may hold dots, so the longest that fits."""
  rest = key.removeprefix("arms.")
  names = [name for name in patches if rest.startswith(name + ".")]
  if not names:
    raise UsageError(f"{key}: no such arm, or no setting after it{nearest(rest.split('.')[0], patches)}")
  name = max(names, key=len)
  setting = rest.removeprefix(name + ".")
  patches[name] = _patch(name, {**patches[name], setting: _parsed(key, text, patches[name].get(setting))})


def _get(config: Mapping[str, Plain], key: str) -> Plain:
  value: Plain = config
  for name in key.split("."):
    value = value.get(name) if isinstance(value, Mapping) else None
  return value


def _parsed(key: str, text: str, current: Plain) -> Plain:
  """The text as a Python literal, or else as itself, of the type of the value that it takes the place of."""
  try:
    value = plain(ast.literal_eval(text.strip()), key)
  except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
    value = {"true": True, "false": False, "none": None}.get(text.lower(), text)
  if value is None or current is None or key in schema.SETTINGS or key.startswith("evaluation."):
    return value
  if isinstance(current, str):
    return value if isinstance(value, str) else text
  if isinstance(current, float) and type(value) is int:
    return float(value)
  # A section may stand where a number stood: a schedule for a learning rate.
  if type(value) is type(current) or (isinstance(value, dict) and isinstance(current, float)):
    return value
  if isinstance(current, dict):
    schema.section(key, value)
  wanted = {bool: "True or False", int: "an integer", float: "a number", tuple: "a tuple, such as (1, 2)"}[type(current)]
  raise UsageError(f"{key} = {show(value)}: needs {wanted}, like the {show(current)} it takes the place of")


# Arms


def put(config: dict[str, Plain], key: str, value: Plain) -> None:
  """Set a dotted key in place, making the sections on the way."""
  *sections, last = key.split(".")
  top = (sections or [last])[0]
  if top not in schema.KEYS:
    raise UsageError(f"{key}: nothing reads this setting{nearest(top, schema.KEYS)}")
  if sections and top in schema.SETTINGS:
    raise UsageError(f"{key}: {top} is a single value, not a section")
  at = config
  for depth, name in enumerate(sections):
    if at.get(name) is None:
      at[name] = {}
    at = at[name]
    if not isinstance(at, dict):
      raise UsageError(f"{key}: {'.'.join(sections[: depth + 1])} is a single value, not a section")
  if not all([*sections, last]):
    raise UsageError(f"{key}: a dotted key needs a name on both sides of each dot")
  # An integer in place of a float is that float.
  at[last] = float(value) if isinstance(at.get(last), float) and type(value) is int else copy.deepcopy(value)


def patched(base: Mapping[str, Plain], patch: Patch) -> dict[str, Plain]:
  """`base` with a patch applied. Whole sections go first, so `{"game.n_critic": 5, "game": {...}}` means what it says in any order."""
  out = copy.deepcopy(dict(base))
  for key in sorted(patch, key=lambda key: key.count(".")):
    put(out, key, patch[key])
  return out


def select(patches: Mapping[str, Patch], arms: str | None) -> dict[str, Patch]:
  """The arms named in `a,b+c`, each with its patch; all where `arms` is None."""
  if arms is None:
    return dict(patches)
  selected: dict[str, Patch] = {}
  for name in (part.strip() for part in arms.split(",")):
    parts = name.split("+")
    for part in parts:
      if part not in patches:
        raise UsageError(f"arm {show(part)}: no such arm{nearest(part, patches)}")
    if name in selected or len(set(parts)) < len(parts):
      raise UsageError(f"--arms={arms}: {show(name)} names an arm twice")
    selected[name] = compose({part: patches[part] for part in parts})
  return selected


def compose(patches: Mapping[str, Patch]) -> Patch:
  """One patch that does what all of them do; a UsageError where two of them set one key differently."""
  merged: dict[str, Plain] = {}
  owner: dict[str, str] = {}
  for name, patch in patches.items():
    for key, value in patch.items():
      for other in merged:
        clash = _clash(other, merged[other], key, value)
        if clash and owner[other] != name:
          where, one, two = clash
          raise UsageError(f'arms "{owner[other]}" and "{name}" both set {where}: to {show(one)} and to {show(two)}')
      merged[key] = value
      owner.setdefault(key, name)
  return merged


def _clash(key: str, value: Plain, other: str, other_value: Plain) -> tuple[str, Plain, Plain] | None:
  """Where two settings disagree, and on what: at the same key, or at a key inside a section that the other replaces."""
  if key == other:
    return None if same(value, other_value) else (key, value, other_value)
  if other.startswith(key + "."):
    inside = {**flat(value, key + "."), key: value} if isinstance(value, dict) else {other: value}
    return (other, inside[other], other_value) if other in inside and not same(inside[other], other_value) else None
  if key.startswith(other + "."):
    found = _clash(other, other_value, key, value)
    return found and (found[0], found[2], found[1])
  return None


def _patches_of(arms: Plain) -> dict[str, Patch]:
  schema.section("arms", arms)
  return {name: _patch(name, patch) for name, patch in (arms or {"vanilla": {}}).items()}


def _patch(name: str, patch: Plain) -> Patch:
  if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.=-]*", name):
    raise UsageError(f"arm {show(name)}: an arm's name is made of letters, digits, _ . = and -, for it names a folder; + composes arms")
  if not isinstance(patch or {}, dict):
    raise UsageError(f"arms.{name} = {show(patch)}: an arm is a patch, such as {{'view.pack.size': 2}}")
  for key in patch or {}:
    if key.split(".")[0] in schema.SHARED:
      raise UsageError(f'arm "{name}" sets {key}: all arms share {key.split(".")[0]}, or they could not be compared')
  return dict(patch or {})


def _for_arm(name: str, patch: Patch, base: dict[str, Plain], check: Any) -> Any:
  """`check` on the arm's config. The error names the arm unless the base has the same."""
  try:
    return check(patched(base, patch))
  except UsageError as error:
    try:
      check(base)
    except UsageError as own:
      if str(own) == str(error):
        raise
    raise UsageError(f'arm "{name}": {error}') from error
