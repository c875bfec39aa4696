"""Adam against its recursion in numpy, and the clip of Wasserstein GAN.

Mutations that made a test here fail: no eps_root; a large one (1e-8); moments exchanged; clipping the update instead
of the parameter.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gan_jax import optimizers

GRADIENTS = np.array([[0.3, -2.0, 0.0], [0.1, 1e-3, 0.0], [-0.4, 5.0, 0.0]])


def play(optimizer, gradients, start):
  params, state = jnp.asarray(start), optimizer.init(jnp.asarray(start))
  for gradient in gradients:
    updates, state = optimizer.update(jnp.asarray(gradient), state, params)
    params = optax.apply_updates(params, updates)
  return params, state


def test_adam_by_its_recursion():
  with jax.enable_x64(True):
    params, mean, square = np.ones(3), np.zeros(3), np.zeros(3)
    for count, gradient in enumerate(GRADIENTS, 1):
      mean, square = 0.5 * mean + 0.5 * gradient, 0.9 * square + 0.1 * gradient**2
      params = params - 0.01 * (mean / (1 - 0.5**count)) / (np.sqrt(square / (1 - 0.9**count)) + 1e-8)
    got, _ = play(optimizers.adam(0.01, b1=0.5, b2=0.9), GRADIENTS, np.ones(3))
    np.testing.assert_allclose(got, params, rtol=1e-9)  # eps_root is not felt


def test_adam_can_be_differentiated_at_a_dead_unit():
  """A parameter whose gradient has always been 0: d sqrt(v) / dv is infinite there, and 0 * inf is NaN."""

  def after(gradient, optimizer):
    return play(optimizer, [gradient], jnp.zeros(2))[0].sum()

  slope = jax.grad(after)
  assert bool(jnp.isfinite(slope(jnp.array([0.0, 1.0]), optimizers.adam(1e-3))).all())
  assert bool(jnp.isnan(slope(jnp.array([0.0, 1.0]), optax.adam(1e-3))).any())


def test_keep_within_bounds_parameters_not_updates():
  clip = optax.chain(optax.sgd(1.0), optimizers.keep_within(0.5))
  got, _ = play(clip, [[-3.0, 0.25, 9.0, -0.125]], np.array([0.25, 0.25, -0.5, 0.0], "float32"))
  np.testing.assert_allclose(got, [0.5, 0.0, -0.5, 0.125])
  # An update may be longer than the limit: from one bound to the other.
  got, _ = play(clip, [[1.0]], np.array([0.5], "float32"))
  np.testing.assert_allclose(got, [-0.5])
  for limit in (0.0, -1.0, float("nan")):
    with pytest.raises(ValueError, match="weights need room"):
      optimizers.keep_within(limit)
