"""Games of several generators or discriminators, with affine networks whose outputs are known.

Mutations that made a test here fail: MAD-GAN's fakes pooled (each generator's class k times too light), the class of real samples at the other
end, a generator that is asked to be told apart, the published form exchanged for the usual one; GMAN's weights on the easiest discriminator, on the
fakes' part alone, held constant under differentiation, sharpness rewarded with the other sign, and the mean in place of the sum for the
discriminators (each would learn at a third of its rate).
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from plays import Affine, affine, fixed_prior, loss, softplus, with_params

from gan_jax import games, networks, priors
from gan_jax.core import build

KEY = jax.random.key(0)
Z = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
BATCH = {"image": np.random.default_rng(1).normal(size=(4, 2)).astype("float32")}
MAKER = np.asarray(priors.indexed(fixed_prior(Z), 2).sample(KEY, 4)[1])


def sgd(*names):
  return {name: optax.sgd(0.1) for name in ("generator", "discriminator", *names)}


def madgan(**settings):
  game = games.madgan(networks.mlp(2, (3,), "tanh", heads=2), Affine(3), prior=fixed_prior(Z), optimizers=sgd(), num_generators=2, **settings)
  return game, build(game).init(KEY, BATCH)


def slope(game, state, name):
  return jax.grad(lambda params: game.players[name].loss(params, state, BATCH, KEY)[0])(state.params[name])


def test_madgan_losses():
  game, state = madgan()
  fakes = np.asarray(game.sample(state, KEY, BATCH))
  real, fake = (affine(state, "discriminator", x) for x in (BATCH["image"], fakes))
  probabilities = lambda logits: np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
  p = probabilities(fake)
  of_each = sum(-np.log(p[MAKER == i, 1 + i]).mean() for i in (0, 1))  # a sum over generators of each one's mean
  assert loss(game, state, "discriminator", BATCH)[0] == pytest.approx(-np.log(probabilities(real)[:, 0]).mean() + of_each, rel=1e-5)
  caught = sum(np.log(1 - p[MAKER == i, 0]).mean() for i in (0, 1))
  assert loss(game, state, "generator", BATCH)[0] == pytest.approx(caught, rel=1e-4)
  usual = sum(-np.log(p[MAKER == i, 0]).mean() for i in (0, 1))
  assert loss(madgan(form="non_saturating")[0], state, "generator", BATCH)[0] == pytest.approx(usual, rel=1e-5)
  with pytest.raises(ValueError, match='form is "hinge"; madgan knows'):
    madgan(form="hinge")


def test_madgans_discriminator_knows_no_better_where_all_laws_agree():
  """There each of the 1 + k classes is as likely: at equal logits D's slope in its biases is 0."""
  game, state = madgan()
  state = with_params(state, discriminator={"kernel": jnp.zeros((2, 3)), "bias": jnp.zeros(3)})
  np.testing.assert_allclose(slope(game, state, "discriminator")["bias"], 0, atol=1e-6)


def test_madgans_generators_are_not_asked_to_be_told_apart():
  """Exchange the generators' classes in D: their own loss is the same, D's is not."""
  game, state = madgan()
  kernel, bias = (jnp.asarray(state.params["discriminator"][name]) for name in ("kernel", "bias"))
  exchanged = with_params(state, discriminator={"kernel": kernel[:, jnp.array([0, 2, 1])], "bias": bias})
  value = lambda state, name: loss(game, state, name, BATCH)[0]
  assert value(exchanged, "generator") == pytest.approx(value(state, "generator"), rel=1e-6)
  assert abs(value(exchanged, "discriminator") - value(state, "discriminator")) > 1e-2


def test_madgan_needs_an_output_for_every_generator():
  game = games.madgan(networks.mlp(2, (3,), heads=2), Affine(2), prior=fixed_prior(Z), optimizers=sgd(), num_generators=2)
  with pytest.raises(ValueError, match="madgan with 2 generators needs a discriminator of 3 outputs"):
    loss(game, build(game).init(KEY, BATCH), "discriminator", BATCH)


def gman(sharpness, players=(), **settings):
  game = games.gman(Affine(2), Affine(), prior=fixed_prior(Z), optimizers=sgd(*players), sharpness=sharpness, **settings)
  return game, build(game).init(KEY, BATCH)


def game_values(state):
  """V of each of the three discriminators."""
  values = []
  for i in range(3):
    one = with_params(state, discriminator=jax.tree.map(lambda x: x[i], state.params["discriminator"]))
    on_real, on_fake = (affine(one, "discriminator", x)[:, 0] for x in (BATCH["image"], affine(state, "generator", Z)))
    values.append(-softplus(-on_real).mean() - softplus(on_fake).mean())
  return np.array(values)


@pytest.mark.parametrize("sharpness", [0.0, 1.0, 300.0])
def test_gman_losses(sharpness):
  game, state = gman(sharpness)
  values = game_values(state)
  assert np.ptp(values) > 0.1  # they start apart
  weights = np.exp(sharpness * (values - values.max()))
  weights /= weights.sum()
  assert loss(game, state, "generator", BATCH)[0] == pytest.approx(weights @ values, rel=1e-5)
  assert loss(game, state, "discriminator", BATCH)[0] == pytest.approx(-values.sum(), rel=1e-5)
  limit = {0.0: values.mean(), 300.0: values.max()}.get(sharpness)
  assert limit is None or weights @ values == pytest.approx(limit, rel=1e-3)


def test_gman_is_differentiated_through_its_weights():
  """dF / dV_i = w_i (1 + sharpness (V_i - F)), and dV_i / dbias = -E sigmoid(D_i(G(z))) kernel_i."""
  game, state = gman(5.0)
  values = game_values(state)
  weights = np.exp(5 * values) / np.exp(5 * values).sum()
  kernels = np.asarray(state.params["discriminator"]["kernel"])[:, :, 0]
  logits = affine(state, "generator", Z) @ kernels.T + np.asarray(state.params["discriminator"]["bias"])[:, 0]
  in_bias = -(1 / (1 + np.exp(-logits))).mean(axis=0)[:, None] * kernels
  wanted = (weights * (1 + 5 * (values - weights @ values))) @ in_bias
  np.testing.assert_allclose(slope(game, state, "generator")["bias"], wanted, rtol=1e-4)


def test_gmans_discriminators_learn_alone_and_at_their_own_rate():
  game, state = gman(1.0)
  together = slope(game, state, "discriminator")
  alone = games.gman(Affine(2), Affine(), prior=fixed_prior(Z), optimizers=sgd(), num_discriminators=1)
  for i in range(3):
    params, model_state = (jax.tree.map(lambda x: x[i : i + 1], entry["discriminator"]) for entry in (state.params, state.model_state))
    one = with_params(state, discriminator=params).replace(model_state={**state.model_state, "discriminator": model_state})
    np.testing.assert_allclose(slope(alone, one, "discriminator")["kernel"][0], together["kernel"][i], rtol=1e-5)


def test_gmans_generator_is_paid_for_sharpness():
  """F(V, h) - c h with h = softplus(L): the slope is softplus'(L) (Var_w V - c); and L is a player with G's turn."""
  game, state = gman(None, ("sharpness",), reward=0.03)
  assert game.turns == (("discriminator",), ("generator", "sharpness"))
  state = with_params(state, sharpness=jnp.asarray(0.4))
  values, hard = game_values(state), softplus(0.4)
  weights = np.exp(hard * values) / np.exp(hard * values).sum()
  spread = weights @ values**2 - (weights @ values) ** 2
  assert float(slope(game, state, "sharpness")) == pytest.approx((spread - 0.03) / (1 + np.exp(-0.4)), rel=1e-4)
  assert loss(game, state, "sharpness", BATCH)[1]["value"] == pytest.approx(hard, rel=1e-6)
  with pytest.raises(ValueError, match="no optimizer for 'sharpness'"):
    gman(None)
  with pytest.raises(ValueError, match="num_discriminators is 0"):
    gman(1.0, num_discriminators=0)
