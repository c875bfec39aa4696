"""A `Play` made by hand, so that a term can be tested on numbers that the test chooses."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from gan_jax.core import GanState
from gan_jax.play import Play, Prior


def play_of(
  *,
  real: Any = None,
  fake: Any = None,
  discriminate: Callable[[Array], Array] | None = None,
  real_logits: Any = None,
  fake_logits: Any = None,
  latent: Any = None,
  generate: Callable[[Any], Array] | None = None,
  features: Callable[[Array], Array] | None = None,
  step: int = 0,
  seed: int = 0,
) -> Play:
  """What is not given is missing, and a term that looks at it fails."""
  given = [None if x is None else jnp.asarray(x) for x in (real, fake, latent, real_logits, fake_logits)]
  real, fake, latent, real_logits, fake_logits = given
  state = GanState(step=jnp.asarray(step, jnp.int32), params={}, model_state={}, opt_state={}, ema={})
  return Play(
    real, fake, latent, None, real_logits, fake_logits,
    generate=generate, discriminate=discriminate, features=features, state=state, key=jax.random.key(seed), axis_name=None,
  )  # fmt: skip


class Affine(nn.Module):
  """Inputs, flattened and joined, times `kernel`, plus `bias`: every gradient in closed form."""

  out: int = 1

  @nn.compact
  def __call__(self, *inputs: Array, train: bool) -> Array:
    del train
    x = jnp.concatenate([part.reshape(len(part), -1) for part in inputs], axis=-1)
    kernel = self.param("kernel", nn.initializers.normal(0.5), (x.shape[-1], self.out))
    return x @ kernel + self.param("bias", nn.initializers.zeros, (self.out,))


def fixed_prior(rows: Any) -> Prior:
  """Always the same latents, the first n of `rows`."""
  rows = jnp.asarray(rows)
  return Prior(lambda key, n: rows[:n])
