"""Captions as numbers."""

import difflib
import hashlib
import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from gan_jax.data.base import DataFormatError, Source

PADDING, UNKNOWN = 0, 1
VOCABULARY = 8192  # the commonest words; the others are UNKNOWN
WORD = re.compile(r"\w+")


class Tokenised:
  """`source` with its captions as numbers of words; see `tokenised`."""

  def __init__(self, source: Source, texts: list[str], length: int):
    said = [words(text) for text in texts]
    counts = Counter(word for one in said for word in one)
    common = sorted(counts, key=lambda word: (-counts[word], word))[: VOCABULARY - 2]
    self.vocabulary = {word: number for number, word in enumerate(common, start=2)}
    self.longest = max(map(len, said))
    if self.longest > length:
      text = texts[[len(one) for one in said].index(self.longest)]
      remedy = f"length = {length} are the most; set data.length = {self.longest}"
      raise DataFormatError(f'a caption has {self.longest} words ("{text[:40]}..."), and {remedy}')
    self.tokens = np.full((len(texts), length), PADDING, np.int32)
    for row, one in enumerate(said):
      found = [self.vocabulary.get(word, UNKNOWN) for word in one]
      self.tokens[row, : len(found)] = found
    self.source, self.kind, self.classes, self.labels, self.shape = source, source.kind, source.classes, source.labels, source.shape

  @property
  def identity(self) -> str:
    return hashlib.sha256(self.source.identity.encode() + self.tokens.tobytes()).hexdigest()

  def __len__(self) -> int:
    return len(self.source)

  def rows(self, index: np.ndarray) -> dict[str, np.ndarray]:
    return {**self.source.rows(index), "tokens": self.tokens[index]}


def tokenised(source: Source, length: int) -> Tokenised:
  """`source` with "tokens" int32 [n, length]: the words of each caption by number, 2 for the commonest, 1 for rare ones, then 0.

  DataFormatError: it has no captions, or one of more than `length` words.
  """
  texts = getattr(source, "texts", None)
  if texts is None:
    raise DataFormatError(f"{source.kind} data have no captions; they come with captions.jsonl")
  return Tokenised(source, texts, length)


def encode(caption: str, vocabulary: Sequence[str], length: int, unknown: str = "error") -> np.ndarray:
  """The words of a caption by number, int32 [length], padded with 0.

  unknown: "error", or "ignore" to leave out words that are not in the vocabulary.
  ValueError: such words, each with the nearest that there is; none that is known; more than `length`.

  >>> encode("a blue bird", ("a", "bird", "blue"), 5)
  array([2, 4, 3, 0, 0], dtype=int32)
  """
  numbers = {word: number for number, word in enumerate(vocabulary, start=2)}
  said = words(caption)
  strange = [word for word in dict.fromkeys(said) if word not in numbers]
  if strange and unknown != "ignore":
    offers = ", ".join(f'"{word}" (nearest: "{difflib.get_close_matches(word, vocabulary, 1, 0.0)[0]}")' for word in strange)
    raise ValueError(f"unknown word{'s' * (len(strange) > 1)} {offers}")
  found = [numbers[word] for word in said if word in numbers]
  if not found or len(found) > length:
    raise ValueError("no known word" if not found else f"{len(found)} words, and {length} are the most")
  return np.array(found + [PADDING] * (length - len(found)), np.int32)


def words(text: str) -> list[str]:
  """
  >>> words("A red bird, flying")
  ['a', 'red', 'bird', 'flying']
  """
  return WORD.findall(text.lower())
