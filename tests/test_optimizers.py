"""Adam against its recursion in numpy, and the clip of Wasserstein GAN.

Mutations that made a test here fail: no eps_root; a large one (1e-8); moments exchanged; clipping the update instead
of the parameter; the last direction of optimistic Adam kept by reference (plain Adam: 2 u - u), its weights exchanged,
Nesterov momentum; the history's average an exponential one, holding the present point, or pulling with half its force.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from plays import X, Y, bilinear, values
from plays import play as plays

from gan_jax import optimizers, transforms

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


def optimistic(gradients, rate=0.01, b1=0.5, b2=0.9, eps=1e-8):
  params, mean, square, before = np.ones(3), np.zeros(3), np.zeros(3), np.zeros(3)
  for count, gradient in enumerate(gradients, 1):
    mean, square = b1 * mean + (1 - b1) * gradient, b2 * square + (1 - b2) * gradient**2
    now = mean / (1 - b1**count) / (np.sqrt(square / (1 - b2**count)) + eps)
    params, before = params - 2 * rate * now + rate * before, now
  return params


def test_optimistic_adam_by_its_recursion():
  with jax.enable_x64(True):
    got, _ = play(optimizers.optimistic_adam(0.01, b1=0.5, b2=0.9), GRADIENTS, np.ones(3))
    np.testing.assert_allclose(got, optimistic(GRADIENTS), rtol=1e-9)
    once, _ = play(optimizers.optimistic_adam(0.01, b1=0.5, b2=0.9), GRADIENTS[:1], np.ones(3))
    np.testing.assert_allclose(once - 1, [-0.02, 0.02, 0], rtol=1e-5)  # twice Adam's first step
    slope = jax.grad(lambda g: play(optimizers.optimistic_adam(1e-3), [g], jnp.zeros(2))[0].sum())
    assert bool(jnp.isfinite(slope(jnp.array([0.0, 1.0]))).all())


def test_optimism_cures_rotation():
  """With a large eps Adam's direction is g / eps: x steps by 2 g_t - g_(t-1). On f = a x y the plain step diverges."""
  step = lambda optimizer: transforms.simultaneous(bilinear(optimizer))
  optimist = optimizers.optimistic_adam(1e5, b1=0.0, eps=1e6)  # a rate of .1
  distance = lambda optimizer, rounds: np.hypot(*values(plays(step(optimizer), rounds)[-1]))
  assert distance(optimist, 400) < 0.5 * np.hypot(X, Y) < 2 * np.hypot(X, Y) < distance(optax.sgd(0.1), 400)


def test_the_pull_to_history_by_its_recursion():
  weight, thetas = 0.3, [2.0]
  for gradient in (1.0, -0.5, 0.25, 0.0):
    mean = np.mean(thetas[:-1]) if len(thetas) > 1 else thetas[0]
    thetas.append(thetas[-1] - 0.1 * (gradient + 2 * weight * (thetas[-1] - mean)))
  chain = optax.chain(optimizers.pull_to_history(weight), optax.sgd(0.1))
  got, state = play(chain, [1.0, -0.5, 0.25, 0.0], 2.0)
  assert float(got) == pytest.approx(thetas[-1], rel=1e-6)
  assert float(state[0].mean) == pytest.approx(np.mean(thetas[:-1]), rel=1e-6)


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
