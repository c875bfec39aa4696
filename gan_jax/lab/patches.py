"""Patches: what an arm, a composition of arms or an override changes in a config.

A patch is a mapping of dotted keys: `{"view.pack.size": 2}` sets one value, `{"objective": {"name": "hinge"}}` replaces
a section, `{"prior": None}` removes one.
"""

import ast
import copy
import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gan_jax.lab import schema
from gan_jax.lab.errors import UsageError, nearest, show
from gan_jax.lab.schema import Plain, plain

Patch = Mapping[str, Plain]


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
      at[name] = dict(schema.DEFAULTS.get(name) or {}) if depth == 0 else {}
    at = at[name]
    if not isinstance(at, dict):
      raise UsageError(f"{key}: {'.'.join(sections[: depth + 1])} is a single value, not a section")
  if not all([*sections, last]):
    raise UsageError(f"{key}: a dotted key needs a name on both sides of each dot")
  # An integer in place of a float is that float.
  at[last] = float(value) if isinstance(at.get(last), float) and type(value) is int else copy.deepcopy(value)


def patched(base: Mapping[str, Plain], patch: Patch) -> dict[str, Plain]:
  """`base` with a patch applied. Whole sections go first: `{"game.n_critic": 5, "game": {...}}` has one meaning.

  Where a patch adds to the transforms or views, these come in the order of `schema.ORDER`, so `a+b` is `b+a`.
  """
  out: Any = plain(dict(base))  # a copy in which no two sections are one object
  for key in sorted(patch, key=lambda key: key.count(".")):
    put(out, key, patch[key])
  for slot, order in schema.ORDER.items():
    if any(key.startswith(slot + ".") for key in patch) and isinstance(out.get(slot), dict):
      out[slot] = dict(sorted(out[slot].items(), key=lambda entry: order.index(entry[0] if entry[0] in order else "")))
  return out


def culprits(patches: Mapping[str, Patch], fails: Callable[[Patch], bool]) -> tuple[str, ...]:
  """Of arms whose composition fails the fewest that do: one, or two, or else all of them."""
  for size in (1, 2):
    for names in itertools.combinations(patches, size) if size < len(patches) else ():
      if fails(compose({name: patches[name] for name in names})):
        return names
  return tuple(patches)


def said_of(names: Sequence[str], problem: object) -> str:
  """What is wrong with an arm, or with arms that do not go together."""
  shown = [f'"{name}"' for name in names]
  return f"arm {shown[0]}: {problem}" if len(shown) == 1 else f"arms {', '.join(shown[:-1])} and {shown[-1]} do not go together: {problem}"


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


def patches_of(arms: Plain) -> dict[str, Patch]:
  schema.section("arms", arms)
  return {name: as_patch(name, patch) for name, patch in (arms or {"vanilla": {}}).items()}


def as_patch(name: str, patch: Plain) -> Patch:
  if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.=-]*", name):
    raise UsageError(
      f"arm {show(name)}: an arm's name is made of letters, digits, _ . = and -, for it names a folder; + composes arms"
    )
  if not isinstance(patch or {}, dict):
    raise UsageError(f"arms.{name} = {show(patch)}: an arm is a patch, such as {{'view.pack.size': 2}}")
  for key in patch or {}:
    if key.split(".")[0] in schema.SHARED:
      raise UsageError(f'arm "{name}" sets {key}: all arms share {key.split(".")[0]}, or they could not be compared')
  return dict(patch or {})


def override(config: dict[str, Plain], patches: dict[str, Patch], override: str) -> None:
  key, equals, text = override.partition("=")
  if not equals or not key:
    raise UsageError(f"--config.{override}: write --config.key=value")
  if key.split(".")[0] == "arms":
    _override_arm(patches, key, text)
  else:
    put(config, key, _parsed(key, text, lookup(config, key)))


def _override_arm(patches: dict[str, Patch], key: str, text: str) -> None:
  """`arms.NAME.key=value`: a name may hold dots, so the longest that fits."""
  rest = key.removeprefix("arms.")
  names = [name for name in patches if rest.startswith(name + ".")]
  if not names:
    raise UsageError(f"{key}: no such arm, or no setting after it{nearest(rest.split('.')[0], patches)}")
  name = max(names, key=len)
  setting = rest.removeprefix(name + ".")
  patches[name] = as_patch(name, {**patches[name], setting: _parsed(key, text, patches[name].get(setting))})


def lookup(config: Mapping[str, Plain], key: str) -> Plain:
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
  wanted = {bool: "True or False", int: "an integer", float: "a number", tuple: "a tuple, such as (1, 2)"}[
    type(current)
  ]
  raise UsageError(f"{key} = {show(value)}: needs {wanted}, like the {show(current)} it takes the place of")


def flat(values: Mapping[str, Plain], prefix: str = "") -> dict[str, Plain]:
  """`{"a": {"b": 1}} -> {"a.b": 1}`; an empty section stays as it is."""
  out: dict[str, Plain] = {}
  for key, value in values.items():
    out |= flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) and value else {prefix + key: value}
  return out


def same(a: Plain, b: Plain) -> bool:
  """Equal in type too: 1, 1.0 and True are three settings."""
  return repr(a) == repr(b)
