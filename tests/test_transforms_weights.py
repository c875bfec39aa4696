"""Lookahead-minmax and historical averaging against their recursions.

Mutations that made a test here fail: D stepping back before G's last move; one player alone stepping back; the slow weights left behind; alpha's
complement; slow weights that start at the first step back; inner slow weights kept through an outer step back; the count one off; the pull behind
Adam, on one player alone, and its sign.
"""

import jax
import numpy as np
import optax
import pytest
from plays import RATE, A, X, Y, bilinear, play, values

from gan_jax import optimizers, transforms
from gan_jax.core import build


def recursion(rounds, periods=(2,), alpha=0.25):
  """Alternating descent, D first, on a x y; after every periods[i] rounds back to slow[i]."""
  at = np.array([X, Y])
  slow = [at.copy() for _ in periods]
  for number in range(1, rounds + 1):
    y = at[1] + RATE * A * at[0]
    at = np.array([at[0] - RATE * A * y, y])
    for i, period in enumerate(periods):
      if number % period == 0:
        slow[i] = slow[i] + alpha * (at - slow[i])
        at = slow[i].copy()
        slow[:i] = [at.copy()] * i
  return at, slow


@pytest.mark.parametrize("optimizer", [optax.sgd(RATE), optax.chain(optax.sgd(RATE), optimizers.keep_within(100.0))])
def test_lookahead_by_its_recursion(optimizer):
  states = play(transforms.lookahead(bilinear(optimizer), k=2, alpha=0.25), rounds=5)
  for rounds, state in enumerate(states):
    at, (slow,) = recursion(rounds)
    assert values(state) == pytest.approx(tuple(at), rel=1e-5), rounds
    kept = [state.opt_state[name].slow for name in ("generator", "discriminator")]
    np.testing.assert_allclose(kept, slow, rtol=1e-5)


def test_nested_lookahead_steps_inner_slow_weights_back():
  game = transforms.lookahead(transforms.lookahead(bilinear(), k=2, alpha=0.25), k=4, alpha=0.25)
  for rounds, state in enumerate(play(game, rounds=7)):
    at, (inner, outer) = recursion(rounds, (2, 4))
    assert values(state) == pytest.approx(tuple(at), rel=1e-5), rounds
    np.testing.assert_allclose(state.opt_state["generator"].slow, outer[0], rtol=1e-5)
    np.testing.assert_allclose(state.opt_state["generator"].fast.slow, inner[0], rtol=1e-5)


def test_lookahead_may_be_clipped_afterwards():
  """The slow weights are then inside a chain's state; a loose bound changes nothing."""
  game = transforms.clip_weights(transforms.lookahead(bilinear(), k=2, alpha=0.25), 100.0)
  assert values(play(game, rounds=5)[-1]) == pytest.approx(tuple(recursion(5)[0]), rel=1e-5)


def test_lookahead_cures_rotation():
  """k simultaneous steps turn and stretch by (1 + i r a)^k; half the way back to the start lies inside the circle."""
  factor = abs(0.5 + 0.5 * (1 + 1j * RATE * A) ** 5)
  assert factor < 1
  game = transforms.lookahead(transforms.simultaneous(bilinear()), k=5, alpha=0.5)
  assert np.hypot(*values(play(game, rounds=50)[-1])) == pytest.approx(np.hypot(X, Y) * factor**10, rel=1e-4)


def test_lookahead_needs_a_period():
  with pytest.raises(ValueError, match="k is 0; lookahead steps back after 1 round or more"):
    transforms.lookahead(bilinear(), k=0)


def test_historical_averaging_by_its_recursion():
  weight, path = 0.4, [np.array([X, Y])]
  for _ in range(4):
    x, y = path[-1]
    past = np.mean(path[:-1], axis=0) if path[1:] else path[-1]
    pull = 2 * weight * (path[-1] - past)
    y = y - RATE * (-A * x + pull[1])
    path.append(np.array([x - RATE * (A * y + pull[0]), y]))
  states = play(transforms.historical_averaging(bilinear(), weight), rounds=4)
  for state, wanted in zip(states, path, strict=True):
    assert values(state) == pytest.approx(tuple(wanted), rel=1e-5)


def test_the_pull_reaches_adams_moments():
  """It is part of the loss: the first moment after two rounds holds it."""
  b1, weight = 0.5, 0.4
  first, state = play(transforms.historical_averaging(bilinear(optimizers.adam(0.1, b1=b1)), weight), rounds=2)[1:]
  pull = 2 * weight * (values(first)[0] - X)
  slopes = A * values(first)[1], A * values(state)[1] + pull  # D moves first, so G meets its new y
  mean = b1 * (1 - b1) * slopes[0] + (1 - b1) * slopes[1]
  assert float(state.opt_state["generator"][1][0].mu) == pytest.approx(mean, rel=1e-5)


def test_the_first_state_shares_no_buffers():
  """A donated state may not hold one array twice."""
  for transform in (transforms.lookahead, lambda game: transforms.historical_averaging(game, 1.0)):
    state = build(transform(bilinear())).init(jax.random.key(0), {"image": np.zeros((1, 1), "float32")})
    buffers = [leaf.unsafe_buffer_pointer() for leaf in jax.tree.leaves(state)]
    assert len(set(buffers)) == len(buffers)
