"""Does a section fit the function it is for? Names, types and ranges, checked before the function is called."""

import difflib
import inspect
import types
import typing
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from gan_jax.lab import schema
from gan_jax.lab.errors import UsageError, nearest, show
from gan_jax.lab.schema import Plain

HIDDEN = ("axis_name", "name", "parent")  # set by the lab or by flax, never by a config

Parameters = Mapping[str, inspect.Parameter]


def settings(function: Callable[..., Any], offered: Collection[str] = ()) -> Parameters:
  """The parameters that a section may set: all but those offered by the lab, by position or by name."""
  parameters = inspect.signature(function).parameters
  named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
  return {k: p for k, p in parameters.items() if p.kind in named and k not in HIDDEN and k not in offered}


def check(
  function: Callable[..., Any],
  section: Mapping[str, Plain],
  where: str,
  offered: Collection[str] = (),
  supplied: Collection[str] = (),
  limits: bool = True,
) -> None:
  """A UsageError unless `function(**section)` would take the section whole.

  Args:
    section: without the key "name". Values that are sections with a name stand for what their function returns.
    where: the section's place in the config, for the message.
    offered: parameters that the lab gives; a section may not.
    supplied: parameters that the lab gives where the section does not.
    limits: also hold the project's ranges (gamma >= 0 etc.); off for a user's functions, which may mean others.
  """
  known = settings(function, offered)
  name = getattr(function, "__name__", str(function))
  takes_any = any(p.kind is p.VAR_KEYWORD for p in inspect.signature(function).parameters.values())
  for key in section:
    if key not in known and not (takes_any and key not in HIDDEN and key not in offered):
      raise UsageError(f"{where}.{key}: {name} has no such setting{nearest(key, known) or ', it has none at all'}")
  for key, parameter in known.items():
    if parameter.default is parameter.empty and key not in section and key not in supplied:
      raise UsageError(f"{where}.{key} is missing: {name} needs it{_misspelt(key, section, known)}")
  hints = _hints(function)
  for key, value in section.items():
    expect(f"{where}.{key}", value, hints.get(key, Any), known[key].default if key in known else None)
    if limits and key in schema.RANGES and value is not None and not isinstance(value, dict):
      schema.expect(f"{where}.{key}", value, schema.RANGES[key])


def expect(key: str, value: Plain, hint: Any, default: Any = None) -> None:
  """A UsageError unless the value fits the annotation, and the kind of the default."""
  if isinstance(value, dict) and "name" in value and _open(hint):
    return
  swapped = isinstance(value, bool) and type(default) in (int, float)
  swapped = swapped or (isinstance(value, str) and hint is Any and type(default) in (bool, int, float))
  if swapped or not fits(value, hint):
    wanted = " or ".join(dict.fromkeys(_words(hint))) if hint is not Any else f"something like {show(default)}"
    whole = type(value) is float and value == int(value) and fits(int(value), hint)
    raise UsageError(f"{key} = {show(value)}: needs {wanted}" + (f" (write {int(value)})" if whole else ""))


def fits(value: Plain, hint: Any) -> bool:
  """Can a config's value stand for the annotation? An int for a float, a tuple for a sequence, no bool for a number."""
  origin, args = typing.get_origin(hint), typing.get_args(hint)
  if hint in (Any, object) or isinstance(hint, typing.TypeVar):
    return True
  if hint is None or hint is types.NoneType:
    return value is None
  if origin in (typing.Union, types.UnionType):
    return any(fits(value, arg) for arg in args)
  if origin is typing.Annotated:
    return fits(value, args[0])
  if origin is typing.Literal:
    return any(type(value) is type(arg) and value == arg for arg in args)
  if hint in (bool, int, str):
    return type(value) is hint
  if hint is float:
    return type(value) in (int, float)
  plain_hint = origin or hint
  if plain_hint is tuple and args and args[-1] is not Ellipsis:
    return isinstance(value, tuple) and len(value) == len(args) and all(map(fits, value, args))
  if plain_hint in (tuple, list, Sequence, Iterable, Collection):
    return isinstance(value, tuple) and all(fits(entry, args[0]) for entry in value if args)
  if plain_hint in (dict, Mapping):
    return isinstance(value, dict)
  if _is_array(hint):
    return type(value) in (int, float, tuple)
  return False  # a class or a function: nothing that a config holds by itself


def _open(hint: Any) -> bool:
  """Whether something that a function made could fit: the annotation names more than plain values."""
  args = typing.get_args(hint)
  if typing.get_origin(hint) in (typing.Union, types.UnionType):
    return any(_open(arg) for arg in args)
  return hint not in (bool, int, str, float, types.NoneType) and typing.get_origin(hint) not in (
    tuple,
    list,
    typing.Literal,
  )


def _is_array(hint: Any) -> bool:
  return (
    isinstance(hint, type)
    and hint.__module__.partition(".")[0] in ("jax", "jaxlib", "numpy")
    and hint.__name__ in ("Array", "ndarray")
  )


def _words(hint: Any) -> list[str]:
  origin, args = typing.get_origin(hint), typing.get_args(hint)
  if origin in (typing.Union, types.UnionType):
    words = [word for arg in args for word in _words(arg)]
    return [word for word in words if word != "an integer"] if "a number" in words else words
  if origin is typing.Annotated:
    return _words(args[0])
  if origin is typing.Literal:
    return [show(arg) for arg in args]
  if origin in (tuple, list, Sequence, Iterable, Collection) or hint in (tuple, list):
    return ["a tuple" + (f", each {_words(args[0])[0]}" if args else "")]
  simple = {
    bool: "True or False",
    int: "an integer",
    float: "a number",
    str: "text",
    types.NoneType: "None",
    complex: "a number",
  }
  if hint in simple:
    return [simple[hint]]
  if _is_array(hint) or getattr(hint, "__module__", "").startswith("numpy"):
    return ["a number"]
  return ["a section with a name"]


def _hints(function: Callable[..., Any]) -> Mapping[str, Any]:
  try:
    return typing.get_type_hints(function)
  except Exception:  # annotations may name what is only imported for type checkers; then types are left to the function
    return {}


def _misspelt(key: str, section: Mapping[str, Plain], known: Parameters) -> str:
  near = difflib.get_close_matches(key, [k for k in section if k not in known], 1)
  return f'; did you mean it by "{near[0]}"?' if near else ""
