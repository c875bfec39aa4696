"""Row 34, setting by setting: every wrong kind of value, and slips of the finger in a name. One line says which setting, and what it may hold.

Overrides, files, arms and whole command lines are in tests/test_lab_cli.py and tests/test_lab_config.py.
"""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gan_jax.lab import schema
from gan_jax.lab.errors import UsageError

GOOD = {
  "seeds": 2, "num_steps": 10, "batch_size": 8, "data": {"name": "ring"}, "generator": {"name": "mlp"}, "discriminator": {"name": "mlp"},
  "objective": {"name": "hinge"}, "prior": {"name": "normal"}, "optimizers": {"generator": {"name": "sgd"}}, "evaluation": {},
}  # fmt: skip
WRONG = {
  "true": True, "text": "ten", "empty": "", "minus": -1, "half": 0.5, "one_point_0": 1.0, "large": 2**63, "huge": 1e39,
  "nan": math.nan, "inf": math.inf, "list": [1, "a"], "empty_tuple": (), "section": {"a": 1}, "bytes": b"1", "complex": 1j, "function": print,
  "set": {1}, "zero": 0, "null": "\0",
}  # fmt: skip
WHOLE = [*(key for key in schema.SETTINGS if key != "question"), *(f"evaluation.{key}" for key in schema.EVALUATION if key != "metrics")]
ALLOWED = {  # what such a setting may well hold
  "evaluation.distances": {"true"}, "evaluation.thresholds": {"empty_tuple"},
}  # fmt: skip
SECTIONS = [key for key in (*schema.NAMED, *schema.OPEN) if key not in ("arms",)]


def check(key: str, value: object) -> None:
  section, _, name = key.rpartition(".")
  config = {**GOOD, section: {**GOOD[section], name: value}} if section else {**GOOD, key: value}
  schema.check(schema.plain(config))


def refusal(key: str, value: object) -> str:
  with pytest.raises(UsageError) as error:
    check(key, value)
  said = str(error.value)
  assert error.value.exit_code == 2 and "\n" not in said and said.isprintable() and len(said) <= 400
  return said


def test_the_good_one_is_good():
  schema.check(schema.plain(GOOD))


@pytest.mark.parametrize("kind", WRONG)
@pytest.mark.parametrize("key", WHOLE)
def test_f34_a_setting(key, kind):
  if kind in ALLOWED.get(key, ()):
    check(key, WRONG[kind])
  else:
    assert key in refusal(key, WRONG[kind])


@pytest.mark.parametrize("kind", [kind for kind in WRONG if kind not in ("section",)])
@pytest.mark.parametrize("key", SECTIONS)
def test_f34_a_section(key, kind):
  assert key in refusal(key, WRONG[kind])


def slips(name: str) -> list[str]:
  """One letter left out, doubled, exchanged with the next, or in capitals."""
  middle = len(name) // 2
  swapped = name[: middle - 1] + name[middle] + name[middle - 1] + name[middle + 1 :]
  return [s for s in {name[:middle] + name[middle + 1 :], name[:middle] + name[middle] + name[middle:], swapped, name.upper()} if s != name]


@pytest.mark.parametrize("key", [*schema.KEYS, *(f"evaluation.{key}" for key in schema.EVALUATION)])
def test_f34_did_you_mean(key):
  """Whatever the slip, the message offers the name that was meant, or one that is as near."""
  section, _, name = key.rpartition(".")
  for slip in sorted(slips(name)):
    said = refusal(f"{section}.{slip}" if section else slip, 1)
    assert f'did you mean "{name}"?' in said, f"{slip}: {said}"


@given(name=st.text(min_size=1, max_size=30), value=st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=50))
@settings(max_examples=300, deadline=None)
def test_f34_any_key_with_any_value(name, value):
  """Accepted, or refused in one printable line of at most 400 letters."""
  try:
    schema.check(schema.plain({**GOOD, name: value}))
  except UsageError as error:
    assert "\n" not in str(error) and str(error).isprintable() and len(str(error)) <= 400
