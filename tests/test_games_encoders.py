"""Games with an encoder, with affine networks whose outputs are known.

Mutations that made a test here fail: ALI's encoder with its sign changed, standard deviation exp(v) in place of exp(v / 2), the two halves of the
code exchanged, D before the others; mode regularisation with the printed sign of its last term, the distance averaged over coordinates, its weights
exchanged, reconstructions called fake in D's loss, no adversarial term for G; MDGAN's second D on the data in place of the reconstructions, with its
classes exchanged, the diffusion step on the manifold's loss or on D_1, and both of G's losses in one step.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from plays import Affine, affine, fixed_prior, loss, softplus, with_params

from gan_jax import games
from gan_jax.core import build, slices_per_round, take_turn

KEY = jax.random.key(0)
Z = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
BATCH = {"image": np.random.default_rng(1).normal(size=(4, 2)).astype("float32")}
PLAYERS = ("generator", "discriminator", "encoder")


def make(game, width=3, players=PLAYERS, **settings):
  made = game(Affine(2), Affine(), Affine(width), prior=fixed_prior(Z), optimizers={name: optax.sgd(0.1) for name in players}, **settings)
  return made, build(made).init(KEY, BATCH)


def slope(game, state, name, of):
  """Of one player's loss in another's parameters."""
  value = lambda params: game.players[name].loss(state.params[name], with_params(state, **{of: params}), BATCH, KEY)[0]
  return jax.grad(value)(state.params[of])


def test_bigan_losses():
  game, state = make(games.bigan)
  assert game.turns == (("discriminator", "generator", "encoder"),)  # as published: all at once
  on_real = affine(state, "discriminator", BATCH["image"], affine(state, "encoder", BATCH["image"]))[:, 0]
  on_fake = affine(state, "discriminator", affine(state, "generator", Z), Z)[:, 0]
  wanted = {
    "discriminator": softplus(-on_real).mean() + softplus(on_fake).mean(),
    "generator": softplus(-on_fake).mean(),
    "encoder": softplus(on_real).mean(),
  }
  for name, value in wanted.items():
    assert loss(game, state, name, BATCH)[0] == pytest.approx(value, rel=1e-5), name


def test_a_discriminator_that_is_fooled_by_nothing():
  """D = 5 on every pair: D loses s(-5) + s(5), G s(-5), for its pairs pass for real, and E s(5)."""
  for game, width in ((games.bigan, 3), (games.ali, 6)):
    game, state = make(game, width)
    state = with_params(state, discriminator={"kernel": jnp.zeros((5, 1)), "bias": jnp.full(1, 5.0)})
    assert loss(game, state, "discriminator", BATCH)[0] == pytest.approx(softplus(-5) + softplus(5), rel=1e-6)
    assert loss(game, state, "generator", BATCH)[0] == pytest.approx(softplus(-5), rel=1e-5)
    assert loss(game, state, "encoder", BATCH)[0] == pytest.approx(softplus(5), rel=1e-6)


def test_the_encoder_works_against_the_discriminator():
  """Where E steps down its own loss, the loss of D rises: both are about the same pairs."""
  game, state = make(games.bigan)
  own = jax.grad(lambda p: game.players["encoder"].loss(p, state, BATCH, KEY)[0])(state.params["encoder"])
  theirs = slope(game, state, "discriminator", of="encoder")
  assert sum(float((a * b).sum()) for a, b in zip(jax.tree.leaves(own), jax.tree.leaves(theirs), strict=True)) < -1e-3


def test_alis_encoder_is_normal_with_its_means_and_variances():
  """D reads the first latent off the pair, and its mean logit is that of m + exp(v / 2) * noise."""
  game, state = make(games.ali, 6)
  reader = {"kernel": jnp.zeros((5, 1)).at[2].set(1.0), "bias": jnp.zeros(1)}

  def mean_latent(log_variance):
    kernel = jnp.asarray(state.params["encoder"]["kernel"]).at[:, 3:].set(0.0)
    bias = jnp.concatenate([jnp.arange(3.0), jnp.full(3, log_variance)])
    read = with_params(state, discriminator=reader, encoder={"kernel": kernel, "bias": bias})
    return float(loss(game, read, "discriminator", BATCH)[1]["real_logits"]), read

  alone, read = mean_latent(-60.0)  # no noise left
  assert alone == pytest.approx(affine(read, "encoder", BATCH["image"])[:, 0].mean(), rel=1e-5)
  one, four = mean_latent(0.0)[0] - alone, mean_latent(np.log(4.0))[0] - alone
  assert abs(one) > 1e-2 and four == pytest.approx(2 * one, rel=1e-4)


def test_an_encoder_of_another_width_is_refused():
  for game, wanted in ((games.ali, 6), (games.bigan, 3)):
    made, state = make(game, 4)
    with pytest.raises(ValueError, match=f"{game.__name__} with latents of 3 numbers needs an encoder of {wanted} outputs"):
      loss(made, state, "encoder", BATCH)


def test_mode_regularized_losses():
  game, state = make(games.mode_regularized, reconstruction_weight=0.5, mode_weight=3.0)
  assert game.turns == (("discriminator",), ("generator", "encoder"))
  back = affine(state, "generator", affine(state, "encoder", BATCH["image"]))
  on_real, on_fake, on_back = (
    affine(state, "discriminator", x)[:, 0] for x in (BATCH["image"], affine(state, "generator", Z), back)
  )
  distance = np.square(BATCH["image"] - back).sum(axis=1).mean()
  regularizer = 0.5 * distance + 3 * softplus(-on_back).mean()
  wanted = {
    "discriminator": softplus(-on_real).mean() + softplus(on_fake).mean(),
    "encoder": regularizer,
    "generator": softplus(-on_fake).mean() + regularizer,
  }
  for name, value in wanted.items():
    assert loss(game, state, name, BATCH)[0] == pytest.approx(value, rel=1e-5), name
  assert loss(game, state, "encoder", BATCH)[1]["distance"] == pytest.approx(distance, rel=1e-5)


def test_reconstructions_are_drawn_to_where_the_discriminator_sees_data():
  """E's step raises D(G(E(x))): with the sign that the paper prints it would lower it."""
  game, state = make(games.mode_regularized, reconstruction_weight=0.0, mode_weight=1.0)
  logit = lambda s: affine(s, "discriminator", affine(s, "generator", affine(s, "encoder", BATCH["image"]))).mean()
  after, _ = take_turn(game, ("generator", "encoder"), state, BATCH, KEY)
  moved = with_params(state, encoder=after.params["encoder"])
  assert logit(moved) > logit(state) + 1e-4


def mdgan(**settings):
  return make(games.mdgan, players=(*PLAYERS, "second_discriminator"), **settings)


def test_mdgan_losses():
  game, state = mdgan(weight=0.5)
  back = affine(state, "generator", affine(state, "encoder", BATCH["image"]))
  fake = affine(state, "generator", Z)
  first = lambda x: affine(state, "discriminator", x)[:, 0]
  second = lambda x: affine(state, "second_discriminator", x)[:, 0]
  distance = np.square(BATCH["image"] - back).sum(axis=1).mean()
  manifold = distance + 0.5 * softplus(-first(back)).mean()
  wanted = {
    "discriminator": softplus(-first(BATCH["image"])).mean() + softplus(first(back)).mean(),
    "generator": manifold,
    "encoder": manifold,
    "second_discriminator": softplus(-second(back)).mean() + softplus(second(fake)).mean(),
    "generator.diffusion": softplus(-second(fake)).mean(),
  }
  for name, value in wanted.items():
    assert loss(game, state, name, BATCH)[0] == pytest.approx(value, rel=1e-5), name


def test_mdgan_moves_the_generator_twice_a_round():
  """First with the encoder, then on the diffusion loss alone, from where the first move left it."""
  game, state = mdgan()
  assert game.turns == (("discriminator",), ("generator", "encoder"), ("second_discriminator",), ("generator.diffusion",))
  assert slices_per_round(game) == 2
  moved, metrics = take_turn(game, ("generator.diffusion",), state, BATCH, KEY)
  slope = jax.grad(lambda p: game.players["generator"].parts["diffusion"](p, state, BATCH, KEY)[0])(state.params["generator"])
  for name in ("kernel", "bias"):
    wanted = state.params["generator"][name] - 0.1 * slope[name]
    np.testing.assert_allclose(moved.params["generator"][name], wanted, rtol=1e-6)
  assert set(metrics) == {"generator.diffusion/loss"}
  np.testing.assert_array_equal(moved.params["encoder"]["kernel"], state.params["encoder"]["kernel"])
