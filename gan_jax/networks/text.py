"""Networks that are told a caption: words become one vector, trained with the player who reads them."""

from typing import Literal

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from gan_jax.calls import on_axis
from gan_jax.networks.dense import Dense


class CaptionEncoder(nn.Module):
  """Words by number, 0 for none, to a vector: `[B, L] int32 -> [B, size]`. See `captioned`."""

  vocabulary: int
  size: int
  kind: str

  @nn.compact
  def __call__(self, tokens: Array) -> Array:
    said = tokens > 0
    x = nn.Embed(self.vocabulary + 2, self.size)(tokens)
    if self.kind == "gru":
      last, _ = nn.RNN(nn.GRUCell(self.size), return_carry=True)(x, seq_lengths=said.sum(axis=1))
      return last
    mean = (x * said[..., None]).sum(axis=1) / jnp.maximum(said.sum(axis=1, keepdims=True), 1)
    return Dense(self.size)(mean)


class Captioned(nn.Module):
  """See `captioned`."""

  of: nn.Module
  vocabulary: int
  size: int
  kind: str
  axis_name: str | None = None

  @nn.compact
  def __call__(self, x: Array, condition: Array, *, train: bool) -> Array:
    if condition.ndim != 2 or not jnp.issubdtype(condition.dtype, jnp.integer):
      raise ValueError(f"captioned reads captions, words by number; the data's condition is {condition.dtype} of shape {condition.shape[1:]}")
    told = CaptionEncoder(self.vocabulary, self.size, self.kind, name="encoder")(condition)
    return on_axis(self.of, self.axis_name).clone(parent=self, name="network")(x, told, train=train)


def captioned(of: nn.Module, vocabulary: int, size: int = 64, kind: Literal["gru", "mean"] = "gru") -> Captioned:
  """The network `of`, told a caption: `(x, words [B, L] int32)`; `of` meets a vector `[B, size]` as its condition.

  So a generator's maps are scaled and shifted by it (conditional BatchNorm, FiLM), and a discriminator projects it onto its features. Each player has
  an encoder of its own, trained with it from nothing: no vectors computed beforehand, and the generator cannot change what D reads.

  Args:
    vocabulary: words that captions have (`data.vocabulary`; 8,192 at most of a captions.jsonl).
    size: of words and of the vector.
    kind: "gru", which knows the order ("red on blue" from "blue on red"), or "mean" of the words, which does not.

  Raises:
    ValueError: another kind; or, when called, a condition that is no caption.
  """
  if kind not in ("gru", "mean"):
    raise ValueError(f'kind is {kind!r}; an encoder of captions is "gru" or "mean"')
  return Captioned(of, vocabulary, size, kind)


__all__ = ["captioned"]
