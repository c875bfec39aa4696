"""Optimisers. Every optimiser of optax is available by its own name; here is only what GANs need beside them."""

import jax
import jax.numpy as jnp
import optax


def adam(
  learning_rate: optax.ScalarOrSchedule, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8, eps_root: float = 1e-16
) -> optax.GradientTransformation:
  """optax's Adam with a small `eps_root`, so that unrolling can differentiate through it.

  m / (sqrt(v + eps_root) + eps): without it d sqrt(v) / dv is infinite at v = 0, and one dead unit makes the meta-gradient NaN. At 1e-16 it
  moves the step by less than eps does.
  """
  return optax.adam(learning_rate, b1=b1, b2=b2, eps=eps, eps_root=eps_root)


def keep_within(limit: float) -> optax.GradientTransformation:
  """Ends a chain: shortens updates so that every parameter stays in [-limit, limit] (up to rounding)."""
  if not limit > 0:
    raise ValueError(f"limit is {limit}; weights need room, use a positive one")

  def update(updates, state, params=None):
    return jax.tree.map(lambda u, p: jnp.clip(p + u, -limit, limit) - p, updates, params), state

  return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


__all__ = ["adam", "keep_within"]
