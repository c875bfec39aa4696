"""What can be said of a picture of a triangle: type, size, fill, background colour and texture. 2,160 combinations."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

TYPES = ("equilateral", "isosceles", "right", "scalene")
SIZES = ("small", "medium", "large")
HUES = ("red", "yellow", "green", "cyan", "blue", "magenta")  # 0, 60, ... 300 degrees
TEXTURES = ("plain", "striped", "checkered", "dotted", "gradient", "noisy")
ATTRIBUTES = {"type": TYPES, "size": SIZES, "fill": HUES, "background": HUES, "texture": TEXTURES}  # in the order of an `attributes` array
NAMES = tuple(ATTRIBUTES)
SUBJECT, BACKGROUND = ("type", "size", "fill"), ("background", "texture")

AREAS = ((0.05, 0.075), (0.11, 0.14), (0.19, 0.27))  # of a small, medium and large triangle on a canvas of 1: every type fits
HELD_OUT = (("red", "dotted"), ("yellow", "striped"), ("cyan", "gradient"), ("blue", "checkered"))  # (fill, texture): a ninth of the pairs

Only = Mapping[str, Sequence[str]]
Pairs = Literal["all", "seen", "held_out"]


def combinations(only: Only | None = None, pairs: Pairs = "all") -> np.ndarray:
  """Every combination that the settings allow, [M, 5] int32: the numbers of type, size, fill, background colour and texture.

  A triangle never has the colour of its background.

  only: what each attribute is restricted to, {"texture": ("plain",)}.
  pairs: "seen" leaves out the four pairs of fill and texture in HELD_OUT, "held_out" has them alone: train on one, ask for the other.
  ValueError: no such attribute or value, or nothing left.

  >>> combinations().shape, combinations({"size": ("large",)}, "held_out").shape
  ((2160, 5), (80, 5))
  """
  kept = {name: range(len(values)) for name, values in ATTRIBUTES.items()} | {name: _numbers(name, values) for name, values in (only or {}).items()}
  every = np.stack(np.meshgrid(*kept.values(), indexing="ij"), axis=-1).reshape(-1, len(NAMES)).astype(np.int32)
  every = every[every[:, 2] != every[:, 3]]
  if pairs != "all":
    apart = held_out(every)
    every = every[apart if pairs == "held_out" else ~apart]
  if not len(every):
    raise ValueError(f"only = {dict(only or {})}, pairs = {pairs!r}: nothing is left; a triangle never has the colour of its background")
  return every


def held_out(attributes: np.ndarray) -> np.ndarray:
  """[N] bool: which attributes [N, 5] have a pair of fill and texture that "seen" leaves out."""
  pairs = [(HUES.index(fill), TEXTURES.index(texture)) for fill, texture in HELD_OUT]
  return np.any([(attributes[:, 2] == fill) & (attributes[:, 4] == texture) for fill, texture in pairs], axis=0)


def bins(attributes: np.ndarray, names: Sequence[str]) -> np.ndarray:
  """One number for each row of attributes [N, 5]: the mixed-radix number of the named ones, the last changing fastest.

  >>> bins(np.array([[1, 2, 0, 3, 4]]), ("type", "size"))
  array([5])
  """
  numbers = np.zeros(len(attributes), np.int64)
  for name in names:
    numbers = numbers * len(ATTRIBUTES[name]) + attributes[:, NAMES.index(name)]
  return numbers


def num_bins(names: Sequence[str]) -> int:
  return int(np.prod([len(ATTRIBUTES[name]) for name in names]))


def words(numbers: Sequence[int]) -> dict[str, str]:
  """
  >>> words([1, 2, 0, 3, 4])
  {'type': 'isosceles', 'size': 'large', 'fill': 'red', 'background': 'cyan', 'texture': 'gradient'}
  """
  return {name: ATTRIBUTES[name][int(number)] for name, number in zip(NAMES, numbers, strict=True)}


def attribute(name: str) -> tuple[str, ...]:
  """The values of an attribute, or a ValueError that offers those there are."""
  if name not in ATTRIBUTES:
    raise ValueError(f'no attribute "{name}"; there are {", ".join(NAMES)}')
  return ATTRIBUTES[name]


def _numbers(name: str, values: Sequence[str]) -> list[int]:
  known = attribute(name)
  if isinstance(values, str):
    raise ValueError(f'only.{name}: a list of names, such as ("{values}",)')
  for value in values:
    if value not in known:
      raise ValueError(f'only.{name}: no "{value}"; there are {", ".join(known)}')
  return sorted({known.index(value) for value in values})
