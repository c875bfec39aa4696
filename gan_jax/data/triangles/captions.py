"""Captions of triangles: drawn from templates with synonyms, and read back into attributes."""

import difflib
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jax import Array

from gan_jax.data.tokens import PADDING, UNKNOWN, words
from gan_jax.data.triangles.attributes import ATTRIBUTES, HUES, NAMES

SYNONYMS = {
  "type": (("equilateral", "regular"), ("isosceles", "symmetric"), ("right", "rectangular"), ("scalene", "irregular")),
  "size": (("small", "tiny", "little"), ("medium", "moderate"), ("large", "big", "huge")),
  "fill": tuple((hue,) for hue in HUES),
  "background": tuple((hue,) for hue in HUES),
  "texture": (
    ("plain", "solid"), ("striped", "lined"), ("checkered", "chequered"), ("dotted", "spotted"), ("gradient", "shaded"), ("noisy", "grainy"),
  ),
}  # fmt: skip
TEMPLATES = (
  "a {size} {fill} {type} triangle on a {texture} {background} background",
  "{size} {fill} {type} triangle on {texture} {background} background",
  "a {texture} {background} background with a {size} {fill} {type} triangle",
)
LENGTH = 14  # words of a caption at most
_PLAIN = [word for template in TEMPLATES for word in template.split() if word[0] != "{"]
VOCABULARY = tuple(dict.fromkeys([*_PLAIN, *(word for name in NAMES for group in SYNONYMS[name] for word in group)]))
NUMBERS = {word: number for number, word in enumerate(VOCABULARY, start=2)}  # 0 pads, 1 is unknown


class UnknownWordError(ValueError):
  """A word that no caption has; the message offers the nearest one."""


def draw(u: Array, attributes: Array) -> Array:
  """A caption of these attributes [5], from numbers [7] in [0, 1): template and synonyms at random, "plain" said half of the time.

  Tokens, int32 [LENGTH]. Pure JAX.
  """
  fixed, slots, synonyms, counts = (jnp.asarray(table) for table in _TABLES)
  template, places = (u[0] * len(TEMPLATES)).astype(jnp.int32), jnp.arange(len(NAMES))
  choice = (u[2:] * counts[places, attributes]).astype(jnp.int32)
  said = synonyms[places, attributes, choice]
  silent = (attributes[4] == 0) & (u[1] < 0.5)
  said = said.at[4].set(jnp.where(silent, PADDING, said[4]))
  row = jnp.where(slots[template] >= 0, said[slots[template]], fixed[template])
  place = jnp.cumsum(row != PADDING) - 1  # of each word, once nothing is left out
  return jnp.zeros(LENGTH, jnp.int32).at[jnp.where(row == PADDING, LENGTH, place)].set(row, mode="drop")


def text(tokens: Sequence[int] | np.ndarray) -> str:
  """
  >>> text(encode("a small red scalene triangle on a striped blue background"))
  'a small red scalene triangle on a striped blue background'
  """
  return " ".join("?" if number == UNKNOWN else VOCABULARY[int(number) - 2] for number in tokens if number != PADDING)


def encode(caption: str, unknown: str = "error") -> np.ndarray:
  """The words of a caption by number, int32 [LENGTH].

  unknown: "error", or "ignore" to leave words out that no caption has. UnknownWordError: such a word. ValueError: more than LENGTH words.
  """
  found = []
  for word in words(caption):
    if word in NUMBERS:
      found.append(NUMBERS[word])
    elif unknown != "ignore":
      near = difflib.get_close_matches(word, VOCABULARY, 1, 0.0)[0]
      raise UnknownWordError(f'caption "{caption}": unknown word "{word}"; nearest is "{near}"')
  if len(found) > LENGTH:
    raise ValueError(f'caption "{caption}": {len(found)} words, and {LENGTH} are the most')
  return np.array(found + [PADDING] * (LENGTH - len(found)), np.int32)


def read(tokens: np.ndarray) -> np.ndarray:
  """What captions say, [N, 5] int32 from tokens [N, LENGTH]; -1 where one says nothing. Without a texture it is plain.

  The colour before "background" is the background's, the other the triangle's.

  >>> read(encode("tiny green right triangle, chequered red background")[None])
  array([[2, 0, 2, 0, 2]], dtype=int32)
  """
  meaning = np.full((len(VOCABULARY) + 2, len(NAMES)), -1, np.int32)
  for column, name in enumerate(NAMES):
    for value, group in enumerate(SYNONYMS[name]):
      for word in group:
        meaning[NUMBERS[word], column] = value
  said = meaning[np.asarray(tokens)]  # [N, LENGTH, 5]
  of_ground = np.roll(tokens, -1, axis=1) == NUMBERS["background"]
  hue = said[..., 2].copy()
  said[..., 2], said[..., 3] = np.where(of_ground, -1, hue), np.where(of_ground, hue, -1)
  found = said.max(axis=1)
  found[:, 4] = np.where(found[:, 4] < 0, 0, found[:, 4])
  return found


def _tables() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
  """Words of the templates [T, LENGTH], slots in them [T, LENGTH] (-1 for none), synonyms [5, 6, 3] and how many there are [5, 6]."""
  fixed, slots = np.full((len(TEMPLATES), LENGTH), PADDING, np.int32), np.full((len(TEMPLATES), LENGTH), -1, np.int32)
  for row, template in enumerate(TEMPLATES):
    for place, word in enumerate(template.split()):
      if word[0] == "{":
        slots[row, place] = NAMES.index(word[1:-1])
      else:
        fixed[row, place] = NUMBERS[word]
  most = max(map(len, ATTRIBUTES.values()))
  synonyms, counts = np.zeros((len(NAMES), most, 3), np.int32), np.ones((len(NAMES), most), np.int32)
  for column, name in enumerate(NAMES):
    for value, group in enumerate(SYNONYMS[name]):
      synonyms[column, value, : len(group)] = [NUMBERS[word] for word in group]
      counts[column, value] = len(group)
  return fixed, slots, synonyms, counts


_TABLES = _tables()
