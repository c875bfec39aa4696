"""Coverage by construction: nearest samples of real examples, and a prior that is trained.

Mutations that made a test here fail: each sample drawn to its nearest real example, the farthest one, matches across conditions, distances averaged
over coordinates, every candidate drawn (a gradient through the search's pool), the pool of one device; the mixture's mean and scale exchanged, its
parameters left out of G's, one component for all, scales drawn to 0.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from plays import Affine, fixed_prior, play_of

from gan_jax import coverage, games, gan, objectives, priors
from gan_jax.core import build

POOL = np.array([[1.0], [4.0], [9.0], [2.0]])


def play_with(generate, examples, latents, condition=None):
  play = play_of(generate=generate)
  return play._replace(prior=fixed_prior(latents), examples=jnp.asarray(examples), condition=condition)


def test_every_real_example_draws_its_nearest_sample():
  """0 draws the sample at 1, and 10 the one at 9; 4 is left alone, though 0 is its nearest example."""
  term = coverage.imle(3.0, pool=2)
  value = lambda theta: term(play_with(lambda z: theta * z, [[0.0], [10.0]], POOL))
  assert float(value(1.0)) == pytest.approx(3 * (1 + 1) / 2, rel=1e-6)
  assert float(jax.grad(value)(1.0)) == pytest.approx(3 * (2 * (1 - 0) * 1 + 2 * (9 - 10) * 9) / 2, rel=1e-6)


def test_distances_are_summed_over_coordinates_of_an_image():
  images = np.zeros((2, 2, 1, 3))
  generate = lambda z: z.reshape(-1, 1, 1, 1) * jnp.ones((1, 2, 1, 3))
  assert float(coverage.imle(1.0, pool=2)(play_with(generate, images, POOL))) == pytest.approx(6 * 1.0, rel=1e-6)


def test_with_conditions_a_match_is_of_the_same_one():
  """G adds 100 in the second condition, so the rows are dealt samples (1, 4) and (109, 5). 5 is nearest to 5, but in the other condition."""
  condition = jnp.array([0.0, 100.0])
  generate = lambda z: z + condition[:, None]
  latents = np.array([[1.0], [4.0], [9.0], [-95.0]])
  value = coverage.imle(1.0, pool=2)(play_with(generate, [[5.0], [103.0]], latents, condition))
  assert float(value) == pytest.approx(((5 - 4) ** 2 + (103 - 109) ** 2) / 2, rel=1e-6)


def test_the_pool_is_everybodys():
  """On two devices each example is matched among the samples of both."""
  def value(axis_name, examples):
    play = play_of(generate=lambda z: z)
    return coverage.imle(1.0, pool=3)(play._replace(prior=priors.normal(2), examples=examples, axis_name=axis_name))

  examples = np.random.default_rng(0).normal(size=(8, 2)).astype("float32")
  parts = jax.vmap(lambda x: value("devices", x), axis_name="devices")(examples.reshape(2, 4, 2))
  assert float(parts.mean()) == pytest.approx(float(value(None, examples)), rel=1e-5)


class Echo(nn.Module):
  """Gives the latent back, moved by a parameter."""

  @nn.compact
  def __call__(self, z, *, train):
    return z + self.param("shift", nn.initializers.zeros, (2,))


def mixture_game(**settings):
  optimizers = {"generator": optax.sgd(0.1), "discriminator": optax.sgd(0.1)}
  prior = priors.trained_mixture(2, num_components=3, scale=0.2)
  return gan(Echo(), Affine(), objectives.hinge(), prior=prior, optimizers=optimizers, **settings)


def test_the_mixture_by_hand():
  game = mixture_game(ema_decay=0.9)
  batch = {"image": np.zeros((6, 2), "float32")}
  state = build(game).init(jax.random.key(0), batch)
  params = state.params["generator"]
  assert set(params) == set(state.ema["generator"]) == {"prior_mean", "prior_scale", "generator"}
  assert params["prior_mean"].shape == (3, 2) and float(jnp.abs(params["prior_mean"]).max()) <= 1
  np.testing.assert_array_equal(params["prior_scale"], np.full((3, 2), np.float32(0.2)))
  noise, component = game.sample.latent(jax.random.key(1), 6)
  assert sorted(component.tolist()) == [0, 0, 1, 1, 2, 2]
  wanted = np.asarray(params["prior_mean"])[component] + 0.2 * np.asarray(noise)
  np.testing.assert_allclose(game.sample(state, jax.random.key(1), batch), wanted, rtol=1e-6)
  # G: -E D(G(z)), and D is linear: mean k falls by -w / 3, scale k by -w times the mean of its noise.
  w = np.asarray(state.params["discriminator"]["kernel"])[:, 0]
  slope = jax.grad(lambda p: game.players["generator"].loss(p, state, batch, jax.random.key(2))[0])(params)
  np.testing.assert_allclose(slope["prior_mean"], np.tile(-w / 3, (3, 1)), rtol=1e-5)
  assert float(jnp.abs(slope["prior_scale"]).max()) > 1e-3


def test_unit_scales():
  batch = {"image": np.zeros((6, 2), "float32")}
  game = mixture_game(generator_terms={"unit_scales": coverage.unit_scales(0.4)})
  state = build(game).init(jax.random.key(0), batch)
  _, aux = game.players["generator"].loss(state.params["generator"], state, batch, jax.random.key(0))
  assert float(aux.metrics["unit_scales"]) == pytest.approx(0.4 * 0.64, rel=1e-6)
  plain = gan(
    Affine(2), Affine(), objectives.hinge(), prior=priors.normal(2), generator_terms={"unit_scales": coverage.unit_scales()},
    optimizers={"generator": optax.sgd(0.1), "discriminator": optax.sgd(0.1)},
  )  # fmt: skip
  state = build(plain).init(jax.random.key(0), batch)
  with pytest.raises(ValueError, match="use the prior trained_mixture"):
    build(plain).step(state, batch, jax.random.key(0))


def test_games_that_look_at_latents_refuse_a_trained_prior():
  optimizers = dict.fromkeys(("generator", "discriminator", "reconstructor"), optax.sgd(0.1))
  with pytest.raises(ValueError, match="veegan looks at them; use normal or uniform"):
    games.veegan(Affine(2), Affine(), Affine(2), prior=priors.trained_mixture(2), optimizers=optimizers)
