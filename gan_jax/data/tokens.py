"""Captions as numbers."""

import hashlib
import re
from collections import Counter

import numpy as np

from gan_jax.data.base import DataFormatError, Source

PADDING, UNKNOWN = 0, 1
VOCABULARY = 8192  # the commonest words; the others are UNKNOWN
WORD = re.compile(r"\w+")


class Tokenised:
  """`source` with its captions as numbers of words; see `tokenised`."""

  def __init__(self, source: Source, texts: list[str], length: int):
    counts = Counter(word for text in texts for word in words(text))
    common = sorted(counts, key=lambda word: (-counts[word], word))[: VOCABULARY - 2]
    self.vocabulary = {word: number for number, word in enumerate(common, start=2)}
    self.tokens = np.full((len(texts), length), PADDING, np.int32)
    for row, text in enumerate(texts):
      found = [self.vocabulary.get(word, UNKNOWN) for word in words(text)[:length]]
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
  """`source` with "tokens" int32 [n, length]: the first words of each caption by number, 2 for the commonest, 1 for rare ones, then 0.

  DataFormatError: it has no captions.
  """
  texts = getattr(source, "texts", None)
  if texts is None:
    raise DataFormatError(f"{source.kind} data have no captions; they come with captions.jsonl")
  return Tokenised(source, texts, length)


def words(text: str) -> list[str]:
  """
  >>> words("A red bird, flying")
  ['a', 'red', 'bird', 'flying']
  """
  return WORD.findall(text.lower())
