"""Rejection sampling and truncation: the laws that they draw from.

Mutations that made a test here fail: sigmoid(D) as the probability, the largest logit left out, gamma added, the percentile's complement, rows of
other conditions, accepted rows drawn again, a row left empty; latents clipped in place of redrawn, redrawn whole, and bounded on one side.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from games import GAMES, first_state, points
from scipy.special import expit
from scipy.stats import truncnorm

from gan_jax import priors, transforms
from gan_jax.calls import Sampler
from gan_jax.core import Game
from gan_jax.transforms.sampling import excess

KEY = jax.random.key(0)
LOGITS = jnp.array([-1.0, 0.5, 2.0])


def of_three(logits=LOGITS) -> Game:
  """Draws 0, 1 or 2, each as often; the discriminator has a logit for each."""
  draw = lambda state, key, batch: jax.random.randint(key, (len(batch["image"]),), 0, 3)
  return Game({}, (), draw, judge=lambda state, examples, batch: (logits[examples], logits[examples][:, None]))


def frequencies(game, n=10_000):
  sample = jax.jit(lambda key: game.sample(None, key, {"image": jnp.zeros((n, 1))}))
  return np.bincount(np.asarray(sample(KEY)), minlength=3) / n


def test_samples_follow_the_density_ratio():
  """The model's law times exp(D), as with the data's law where D is the true logarithm of the ratio."""
  wanted = np.exp(LOGITS) / np.exp(LOGITS).sum()
  np.testing.assert_allclose(frequencies(transforms.rejection_sampling(of_three(), percentile=None, tries=200)), wanted, atol=0.02)


def test_gamma_is_a_percentile():
  """The 20th of F is that of the least likely third of the samples, which is then kept every other time."""
  raw = np.asarray(excess(LOGITS, LOGITS.max(), 1e-6))
  chance = expit(raw - raw[0])
  assert chance[0] == 0.5
  got = frequencies(transforms.rejection_sampling(of_three(), percentile=20.0))
  np.testing.assert_allclose(got, chance / chance.sum(), atol=0.02)


def test_the_chance_by_hand():
  """Without gamma, sigmoid(F) = exp(L - M); a logit beyond the largest so far counts as the largest."""
  chance = jax.nn.sigmoid(excess(jnp.array([1.0 - np.log(2), 1.0, 5.0]), jnp.asarray(1.0), 1e-6))
  np.testing.assert_allclose(chance, [0.5, 1.0, 1.0], rtol=1e-5)


def test_a_row_keeps_its_condition_and_is_never_empty():
  batch = {"image": jnp.zeros((5, 1)), "condition": jnp.array([3, 1, 4, 1, 5])}
  echo = Game({}, (), lambda state, key, batch: batch["condition"], judge=lambda state, x, batch: (x.astype(float), x[:, None]))
  game = transforms.rejection_sampling(echo, percentile=99.0, tries=2)  # few are accepted
  np.testing.assert_array_equal(game.sample(None, KEY, batch), batch["condition"])


def test_of_a_real_game():
  game = transforms.rejection_sampling(GAMES["non_saturating"](), burn_in=10)
  assert jax.eval_shape(game.sample, first_state("non_saturating"), KEY, points(n=7)).shape == (7, 2)
  for name in ("pack2", "mgan"):
    with pytest.raises(ValueError, match="asks a discriminator about single examples"):
      transforms.rejection_sampling(GAMES[name]())
  with pytest.raises(ValueError, match="tries is 0"):
    transforms.rejection_sampling(GAMES["non_saturating"](), tries=0)
  many = transforms.rejection_sampling(GAMES["mmd"](), burn_in=10)
  with pytest.raises(ValueError, match="needs one logit"):
    jax.eval_shape(many.sample, first_state("mmd"), KEY, points())


def latents(prior, threshold, n=4000):
  game = Game({}, (), Sampler(prior.sample, lambda state, z, batch: z))
  return jax.jit(lambda key: transforms.truncation(game, threshold).sample(None, key, {"image": jnp.zeros((n, 1))}))(KEY)


def test_truncated_latents_are_a_truncated_normal():
  z = np.asarray(latents(priors.normal(5), 0.5))
  assert np.abs(z).max() <= 0.5 and z.min() < -0.45
  assert z.std() == pytest.approx(truncnorm(-0.5, 0.5).std(), rel=0.02)
  first = np.asarray(priors.normal(5).sample(KEY, 4000))
  np.testing.assert_array_equal(z[np.abs(first) <= 0.5], first[np.abs(first) <= 0.5])  # coordinates within stay


def test_truncation_leaves_indices_alone():
  z, component = latents(priors.indexed(priors.normal(2), 3), 0.5)
  np.testing.assert_array_equal(component, priors.indexed(priors.normal(2), 3).sample(KEY, len(component))[1])  # as first drawn
  assert np.abs(z).max() <= 0.5


def test_what_cannot_be_truncated_is_refused():
  with pytest.raises(ValueError, match="threshold is 0"):
    transforms.truncation(GAMES["non_saturating"](), 0)
  with pytest.raises(ValueError, match="truncation changes the latents"):
    transforms.truncation(of_three(), 0.5)
