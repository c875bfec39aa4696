"""What a config may hold: fixed settings with their types and ranges, and the shape of sections that name a function.

Checked before JAX is imported. What is inside a section that names a function is checked against that function's
signature (`binding.py`).
"""

import difflib
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from gan_jax.lab.errors import UsageError, nearest, show

FLOAT32_MAX = float(np.finfo(np.float32).max)  # beyond it a setting is infinite in training

Plain = Any  # None, bool, int, float, str, tuple of plain, dict of str to plain


class Rule(NamedTuple):
  """`accepts(value)`, and in words what it accepts."""

  accepts: Callable[[Plain], bool]
  words: str


def whole(least: int, most: int = 2**31 - 1) -> Rule:
  """An integer in [least, most]; a bool is none."""
  words = f"an integer of at least {least}" if most == 2**31 - 1 else f"an integer in [{least}, {most}]"
  return Rule(lambda v: type(v) is int and least <= v <= most, words)


def real(low: float, high: float = math.inf, *, words: str) -> Rule:
  """A number in [low, high)."""
  return Rule(lambda v: type(v) in (int, float) and low <= v < high, words)


def choice(*names: str) -> Rule:
  return Rule(lambda v: v in names and isinstance(v, str), f"one of {', '.join(names)}")


def best_rule(value: Plain) -> bool:
  """Whether `evaluation.keep_best` reads "max NAME" or "min NAME"."""
  words = value.split(" ") if isinstance(value, str) else []
  return len(words) == 2 and words[0] in ("max", "min") and words[1] != ""


def many(rule: Rule) -> Rule:
  """A tuple with at least one entry, all of the rule's kind."""
  return Rule(
    lambda v: isinstance(v, tuple) and len(v) > 0 and all(map(rule.accepts, v)), f"a tuple, each {rule.words}"
  )


def either(*rules: Rule) -> Rule:
  return Rule(lambda v: any(rule.accepts(v) for rule in rules), ", or ".join(rule.words for rule in rules))


SEED = whole(0, 2**32 - 1)
POSITIVE = Rule(lambda v: type(v) in (int, float) and v > 0, "a number above 0")
NOT_NEGATIVE = real(0, words="a number of at least 0")
BELOW_ONE = real(0, 1, words="a number in [0, 1)")
NOTHING = Rule(lambda v: v is None, "None")
YES_NO = Rule(lambda v: isinstance(v, bool), "True or False")

SETTINGS: Mapping[str, Rule] = {
  "question": either(Rule(lambda v: isinstance(v, str), "a line of text"), NOTHING),
  "seeds": either(
    whole(1, 100_000),
    Rule(lambda v: many(SEED).accepts(v) and len(set(v)) == len(v), "a tuple of distinct non-negative integers"),
  ),
  "num_steps": whole(1),
  "batch_size": whole(1),
  "batch_unit": choice("samples", "packs"),
}
EVALUATION: Mapping[str, Rule] = {
  "num_samples": whole(1),
  "thresholds": either(many(whole(1)), Rule(lambda v: v == (), "()")),
  "every": whole(1),
  "monitor_samples": whole(1),
  "distances": YES_NO,
  "keep_last": whole(1),  # checkpoints; 2 where it is not set
  "keep_best": either(NOTHING, Rule(best_rule, '"max NAME" or "min NAME" of a metric in metrics.jsonl, such as "max modes"')),
  "metrics": Rule(lambda v: v is None or isinstance(v, dict), "a section"),  # open: {key: {"name"?: builder, **its settings}}
}
DEFAULTS: Mapping[str, Plain] = {
  "question": None,
  "batch_unit": "samples",
  "data": None,
  "generator": None,
  "discriminator": None,
  "objective": None,
  "prior": None,
  "optimizers": {},
  "discriminator_terms": {},
  "generator_terms": {},
  "view": {},
  "transforms": {},
  "game": {"name": "gan"},
  "evaluation": {},
  "arms": {},
}
EVALUATION_DEFAULTS: Mapping[str, Plain] = {
  "num_samples": 10_000,
  "thresholds": (1,),
  "every": 500,
  "monitor_samples": 2500,
  "distances": True,
}
NAMED = ("data", "generator", "discriminator", "objective", "prior", "game")  # {"name": function, **its settings}
OPEN = (
  "optimizers",
  "discriminator_terms",
  "generator_terms",
  "view",
  "transforms",
)  # {key: {"name"?: function, **its settings}}
# The order in which a game is changed, whatever order arms are named in: what changes the examples first, then what changes a player's state or
# optimizer, then what looks ahead by it, then what merges turns. Functions of one's own come before those that look ahead.
TRANSFORMS = (
  "ridge_leverage", "self_conditioned", "truncation", "rejection_sampling", "clip_weights", "historical_averaging", "lookahead", "", "unroll",
  "consensus", "symplectic", "competitive", "extragradient", "simultaneous", "repeat", "shared_noise", "gradient_norms", "skip_not_finite",
)  # fmt: skip
VIEWS = ("diff_augment", "ada", "", "diffusion", "instance_noise", "pack")  # of an image, then of its values, then of several
ORDER = {"transforms": TRANSFORMS, "view": VIEWS}
KEYS = (*SETTINGS, *(key for key in DEFAULTS if key not in SETTINGS))
SHARED = ("question", "seeds", "evaluation", "arms")  # the same for every arm, or arms could not be compared

# The project's names for hyperparameters mean the same everywhere, so their ranges are known without the function.
RANGES: Mapping[str, Rule] = {
  "learning_rate": POSITIVE,
  "sigma": POSITIVE,
  "radius": POSITIVE,
  "gamma": NOT_NEGATIVE,
  "weight": NOT_NEGATIVE,
  "n_critic": whole(1, 1000),
  "ema_decay": BELOW_ONE,
  "decay": BELOW_ONE,
  "b1": real(-1, 1, words="a number in [-1, 1)"),
  "b2": BELOW_ONE,
  "eps": NOT_NEGATIVE,
  "eps_root": NOT_NEGATIVE,
  "size": whole(1),
  "steps": whole(0),
  "num_modes": whole(1),
  "features": either(whole(1), many(whole(1)), Rule(lambda v: v == (), "()")),
}


def check(config: Mapping[str, Plain]) -> dict[str, Plain]:
  """The config with defaults filled in, or a UsageError that names the key, what it holds and what it may hold."""
  for key in config:
    if key not in KEYS:
      raise UsageError(f"{key}: nothing reads this setting{nearest(key, KEYS)}")
  for key in ("seeds", "num_steps", "batch_size", "data"):
    if config.get(key) is None:
      raise UsageError(f"{key} is missing")
  full = {key: config.get(key, DEFAULTS.get(key)) for key in KEYS if key != "arms"}
  for key, rule in SETTINGS.items():
    expect(key, full[key], rule)
  for key in NAMED:
    named_section(key, full[key])
  for key in OPEN:
    section(key, full[key])
    for name, entry in (full[key] or {}).items():
      section(f"{key}.{name}", entry)
      if key == "optimizers" and entry is not None:
        named_section(f"{key}.{name}", entry, near=[other for other in full[key] if other != name])
  full["game"] = full["game"] or dict(DEFAULTS["game"])
  section("evaluation", full["evaluation"])
  full["evaluation"] = {**EVALUATION_DEFAULTS, **(full["evaluation"] or {})}
  for key, value in full["evaluation"].items():
    if key not in EVALUATION:
      raise UsageError(f"evaluation.{key}: nothing reads this setting{nearest(key, EVALUATION)}")
    expect(f"evaluation.{key}", value, EVALUATION[key])
  for name, entry in (full["evaluation"].get("metrics") or {}).items():
    section(f"evaluation.metrics.{name}", entry)
  return full


def expect(key: str, value: Plain, rule: Rule) -> None:
  if not rule.accepts(value):
    hint = (
      f" (write {int(value)})"
      if isinstance(value, float) and math.isfinite(value) and value == int(value) and rule.accepts(int(value))
      else f", and of at most {2**31 - 1}"
      if type(value) is int and value >= 2**31
      else ""
    )
    raise UsageError(f"{key} = {show(value)}: needs {rule.words}{hint}")


def section(key: str, value: Plain) -> None:
  if value is not None and not isinstance(value, dict):
    raise UsageError(f"{key} = {show(value)}: this is a section; set its settings, as in {key}.{_example(key)} = ...")


def named_section(key: str, value: Plain, near: Sequence[str] = ()) -> None:
  """Of the form `{"name": function, ...}`, or absent. `near` are the sections that a misspelt key may have meant."""
  section(key, value)
  if not value or isinstance(value.get("name"), str):
    return
  if "name" in value:
    raise UsageError(f"{key}.name = {show(value['name'])}: needs the name of a function")
  close = difflib.get_close_matches("name", value, 1, 0.6)
  hint = f'; did you mean "name" where it says "{close[0]}"?' if close else nearest(key.rpartition(".")[2], near)
  raise UsageError(f"{key}.name is missing: it says which function takes the section's settings{hint}")


def plain(value: Any, key: str = "") -> Plain:
  """`value` with lists as tuples and numpy scalars as Python's.

  Raises:
    UsageError: for what JSON cannot hold: functions, arrays, NaN, infinities.
  """
  if isinstance(value, np.generic):
    value = value.item()
  if value is None or isinstance(value, bool | str):
    return value
  if isinstance(value, int | float):
    if not abs(value) <= FLOAT32_MAX:  # NaN as well
      raise UsageError(f"{key} = {show(value)}: needs a finite number, one that float32 holds")
    return value
  if isinstance(value, list | tuple):
    return tuple(plain(entry, f"{key}[{i}]") for i, entry in enumerate(value))
  if isinstance(value, Mapping):
    for name in value:
      if not isinstance(name, str) or not name:
        raise UsageError(f"{key or 'config'} has the key {show(name)}: keys are names")
    return {name: plain(entry, f"{key}.{name}" if key else name) for name, entry in value.items()}
  raise UsageError(
    f"{key} is a {type(value).__name__}: a config holds numbers, text, tuples and sections; name a function by its name"
  )


def _example(key: str) -> str:
  if key in NAMED or key.startswith("optimizers."):
    return "name"
  return "num_samples" if key == "evaluation" else "NAME"
