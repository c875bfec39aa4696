"""Optimisers. Every optimiser of optax is available by its own name; here is only what GANs need beside them."""

from typing import NamedTuple

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


class _Seen(NamedTuple):
  previous: optax.Updates


def optimistic_adam(
  learning_rate: optax.ScalarOrSchedule, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8, eps_root: float = 1e-16
) -> optax.GradientTransformation:
  """Adam that steps by 2 u_t - u_(t-1), u_t = m_t / (sqrt(v_t) + eps) its bias-corrected direction, u_0 = 0.

  Daskalakis et al., 2018 (arXiv:1711.00141), algorithm 1: the last direction is the guess at the next one, so that play which would circle an
  equilibrium spirals into it. The first step is twice Adam's, as there. Two traps: a released optimistic optimiser keeps the last gradient by
  reference, finds the new one under its name, and is plain SGD (2 g - g); and optax.optimistic_adam_v2 is Adam with Nesterov momentum, starts from
  u_0 = u_1, and has no eps_root. `optax.optimistic_gradient_descent` is the version without Adam.
  """

  def init(params):
    return _Seen(optax.tree.zeros_like(params))

  def extrapolate(updates, state, params=None):
    del params
    return jax.tree.map(lambda now, before: 2 * now - before, updates, state.previous), _Seen(updates)

  return optax.chain(
    optax.scale_by_adam(b1=b1, b2=b2, eps=eps, eps_root=eps_root),
    optax.GradientTransformation(init, extrapolate),
    optax.scale_by_learning_rate(learning_rate),
  )


class _History(NamedTuple):
  mean: optax.Params
  steps: jax.Array


def pull_to_history(weight: float) -> optax.GradientTransformation:
  """Begins a chain: adds the gradient of weight * |theta - mean|^2, mean the average of all past values of the parameters, held constant.

  Salimans et al., 2016 (arXiv:1606.03498), section 3.3; see `transforms.historical_averaging`. The first step has no past, and no pull.
  """

  def init(params):
    return _History(jax.tree.map(jnp.copy, params), jnp.zeros((), jnp.int32))

  def update(updates, state, params=None):
    pulled = jax.tree.map(lambda g, theta, mean: g + 2 * weight * (theta - mean), updates, params, state.mean)
    mean = jax.tree.map(lambda mean, theta: mean + (theta - mean) / (state.steps + 1), state.mean, params)
    return pulled, _History(mean, state.steps + 1)

  return optax.GradientTransformation(init, update)


def keep_within(limit: float) -> optax.GradientTransformation:
  """Ends a chain: shortens updates so that every parameter stays in [-limit, limit] (up to rounding)."""
  if not limit > 0:
    raise ValueError(f"limit is {limit}; weights need room, use a positive one")

  def update(updates, state, params=None):
    return jax.tree.map(lambda u, p: jnp.clip(p + u, -limit, limit) - p, updates, params), state

  return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


__all__ = ["adam", "keep_within", "optimistic_adam", "pull_to_history"]
