"""Adversarial pairs against numbers worked by hand, and against the optimal D that theory gives.

Real logits are (2, 0), fake logits (1, -1); s(x) = log(1 + e^x): s(-2) = .126928, s(-1) = .313262, s(0) = .693147,
s(1) = 1.313262, s(2) = 2.126928.

Mutations that made a test here fail: real and fake swapped in `wasserstein`; the half left out of `least_squares` and
of `relativistic_average`; a mean inside the pairs of `relativistic_paired`; the minimax G's sign; label smoothing on
both sides; `real_label` ignored.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from plays import play_of
from scipy.optimize import minimize_scalar

from gan_jax import objectives

REAL, FAKE = [2.0, 0.0], [1.0, -1.0]

# (s(-2) + s(0)) / 2 = .4100375, (s(1) + s(-1)) / 2 = .8132617
BY_HAND = {
  "minimax": (1.2232992, -0.8132617),
  "non_saturating": (1.2232992, 0.8132617),
  "least_squares": ((1 + 1) / 2 / 2 + (1 + 1) / 2 / 2, (0 + 4) / 2 / 2),
  "hinge": ((0 + 1) / 2 + (2 + 0) / 2, 0.0),
  "wasserstein": (0 - 1, 0.0),
  "relativistic_paired": (0.3132617, 1.3132617),  # both pairs differ by 1
  "relativistic_average": (0.4100375, (0.693147 + 2.126928) / 2),  # means 1 and 0
}


@pytest.mark.parametrize("name", BY_HAND)
def test_values_by_hand(name):
  objective = getattr(objectives, name)()
  play = play_of(real_logits=REAL, fake_logits=FAKE)
  assert float(objective.discriminator(play)) == pytest.approx(BY_HAND[name][0], abs=2e-6)
  assert float(objective.generator(play)) == pytest.approx(BY_HAND[name][1], abs=2e-6)


def sigmoid_form(name, x, y):
  """The same losses as their papers write them, with probabilities, in float64."""
  p = lambda logits: 1 / (1 + np.exp(-logits))
  return {
    "minimax": (-np.log(p(x)).mean() - np.log(1 - p(y)).mean(), np.log(1 - p(y)).mean()),
    "non_saturating": (-np.log(p(x)).mean() - np.log(1 - p(y)).mean(), -np.log(p(y)).mean()),
    "relativistic_paired": (-np.log(p(x - y)).mean(), -np.log(p(y - x)).mean()),
    "relativistic_average": (
      (-np.log(p(x - y.mean())).mean() - np.log(1 - p(y - x.mean())).mean()) / 2,
      (-np.log(p(y - x.mean())).mean() - np.log(1 - p(x - y.mean())).mean()) / 2,
    ),
  }[name]


@pytest.mark.parametrize("name", ["minimax", "non_saturating", "relativistic_paired", "relativistic_average"])
def test_against_the_probability_form(name):
  x, y = np.random.default_rng(0).normal(size=(2, 16))
  objective, play = (
    getattr(objectives, name)(),
    play_of(real_logits=x.astype("float32"), fake_logits=y.astype("float32")),
  )
  wanted = sigmoid_form(name, x, y)
  np.testing.assert_allclose([objective.discriminator(play), objective.generator(play)], wanted, rtol=1e-5)


def test_only_the_non_saturating_generator_learns_where_the_discriminator_wins():
  def slope(objective, logit):
    return float(
      jax.grad(lambda y: objective.generator(play_of(real_logits=[0.0], fake_logits=y)))(jnp.array([logit]))[0]
    )

  assert slope(objectives.minimax(), -12.0) == pytest.approx(-np.exp(-12), rel=1e-3)
  assert slope(objectives.non_saturating(), -12.0) == pytest.approx(-1, rel=1e-3)
  # Both are games with the same fixed point: there, at D = 1/2, their slopes agree.
  assert (
    slope(objectives.minimax(), 0.0) == pytest.approx(slope(objectives.non_saturating(), 0.0)) == pytest.approx(-0.5)
  )


@pytest.mark.parametrize("name", ["minimax", "non_saturating", "least_squares"])
@pytest.mark.parametrize("label", [1.0, 0.9])
def test_label_smoothing_is_one_sided(name, label):
  """Where p = 1 / 2 and q = 1, D* = label p / (p + q) = label / 3. Two-sided smoothing adds (1 - label) q / (p + q)."""
  objective = getattr(objectives, name)(real_label=label)
  # Half of the real samples are elsewhere: their logit is a constant.
  loss = jax.jit(
    lambda logit: objective.discriminator(play_of(real_logits=jnp.stack([logit, 5.0]), fake_logits=logit[None]))
  )
  best = minimize_scalar(lambda logit: float(loss(jnp.float32(logit))), bounds=(-4, 4), method="bounded").x
  output = best if name == "least_squares" else 1 / (1 + np.exp(-best))
  assert output == pytest.approx(label / 3, abs=2e-3)


def test_average_and_paired_differ_where_pairs_matter():
  swapped = play_of(real_logits=REAL, fake_logits=FAKE[::-1])
  plain = play_of(real_logits=REAL, fake_logits=FAKE)
  paired, average = objectives.relativistic_paired(), objectives.relativistic_average()
  assert abs(float(paired.discriminator(plain) - paired.discriminator(swapped))) > 0.1
  assert float(average.discriminator(plain)) == pytest.approx(float(average.discriminator(swapped)))
