"""Games with further players, with affine networks whose outputs are known.

Mutations that made a test here fail: VEEGAN's distance averaged over z, a cross-entropy where a logit belongs, R moved
in D's turn, the wrong pair called real; D2GAN's two discriminators exchanged, beta on the wrong term, no floor in its
logarithm; MGAN's beta on D's classifier, and missing in G's loss, classifier labels that do not match the heads, the
classifier trained on real samples.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from plays import Affine, affine, fixed_prior, softplus, with_params
from plays import loss as loss_on

from gan_jax import games, networks, priors
from gan_jax.calls import Prior
from gan_jax.core import build, take_turn

KEY = jax.random.key(0)
Z = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
BATCH = {"image": np.random.default_rng(1).normal(size=(4, 2)).astype("float32")}


def sgd(*names):
  return {name: optax.sgd(0.1) for name in ("generator", "discriminator", *names)}


def start(game):
  return build(game).init(KEY, BATCH)


def loss(game, state, name):
  return loss_on(game, state, name, BATCH)


@pytest.fixture(scope="module")
def veegan():
  game = games.veegan(Affine(2), Affine(), Affine(3), prior=fixed_prior(Z), optimizers=sgd("reconstructor"), weight=2.0)
  return game, start(game)


def test_veegan_losses(veegan):
  game, state = veegan
  fake = affine(state, "generator", Z)
  on_real = affine(state, "discriminator", BATCH["image"], affine(state, "reconstructor", BATCH["image"]))[:, 0]
  on_fake = affine(state, "discriminator", fake, Z)[:, 0]
  distance = np.square(affine(state, "reconstructor", fake) - Z).sum(axis=1).mean()
  wanted = {
    "discriminator": softplus(-on_real).mean() + softplus(on_fake).mean(),
    "generator": -on_fake.mean() + 2 * distance,
    "reconstructor": on_real.mean() + 2 * distance,
  }
  for name, value in wanted.items():
    assert loss(game, state, name)[0] == pytest.approx(value, rel=1e-5), name


def test_veegan_by_hand(veegan):
  """D = 5 everywhere, R(G(z)) off by (1, 2, 2): G loses -5 + 2 * 9, R loses 5 + 2 * 9, D loses s(-5) + s(5)."""
  game, state = veegan
  state = with_params(
    state,
    generator={"kernel": jnp.eye(3, 2), "bias": jnp.zeros(2)},
    discriminator={"kernel": jnp.zeros((5, 1)), "bias": jnp.full(1, 5.0)},
    reconstructor={"kernel": jnp.eye(2, 3), "bias": jnp.array([1.0, 2.0, 2.0])},
  )
  flat = fixed_prior(Z * [1, 1, 0])  # so that R can invert G
  game = games.veegan(Affine(2), Affine(), Affine(3), prior=flat, optimizers=sgd("reconstructor"), weight=2.0)
  assert loss(game, state, "generator")[0] == pytest.approx(-5 + 18, rel=1e-6)
  assert loss(game, state, "reconstructor")[0] == pytest.approx(5 + 18, rel=1e-6)
  assert loss(game, state, "reconstructor")[1]["distance"] == pytest.approx(9, rel=1e-6)
  assert loss(game, state, "discriminator")[0] == pytest.approx(softplus(-5) + softplus(5), rel=1e-6)


def test_veegans_reconstructor_may_follow_the_distance_alone(veegan):
  """As in the paper's algorithm 1: then D has no say in it, whatever it thinks of real pairs."""
  _, state = veegan
  make = lambda follows: games.veegan(
    Affine(2), Affine(), Affine(3), prior=fixed_prior(Z), optimizers=sgd("reconstructor"), weight=2.0, reconstructor_follows=follows
  )
  game = make("distance")
  distance = np.square(affine(state, "reconstructor", affine(state, "generator", Z)) - Z).sum(axis=1).mean()
  assert loss(game, state, "reconstructor")[0] == pytest.approx(2 * distance, rel=1e-5)
  for name in ("generator", "discriminator"):
    assert loss(game, state, name)[0] == loss(make("both"), state, name)[0]
  with pytest.raises(ValueError, match='it may be "both" or "distance"'):
    make("neither")


def test_veegan_moves_generator_and_reconstructor_together_after_the_discriminator(veegan):
  game, state = veegan
  assert game.turns == (("discriminator",), ("generator", "reconstructor"))
  after_d, _ = take_turn(game, ("discriminator",), state, BATCH, KEY)
  for name, moved in (("discriminator", True), ("generator", False), ("reconstructor", False)):
    assert bool((after_d.params[name]["kernel"] != state.params[name]["kernel"]).any()) is moved, name
  # R's step, by hand: the first term through D at the real pair, the second its distance at the fakes.
  after, _ = take_turn(game, ("generator", "reconstructor"), state, BATCH, KEY)
  slot = np.asarray(state.params["discriminator"]["kernel"])[2:, 0]  # D's weights on z
  fake = affine(state, "generator", Z)
  gap = affine(state, "reconstructor", fake) - Z
  wanted = np.outer(BATCH["image"].mean(axis=0), slot) + 2 * 2 * fake.T @ gap / len(Z)
  step = np.asarray(after.params["reconstructor"]["kernel"]) - np.asarray(state.params["reconstructor"]["kernel"])
  np.testing.assert_allclose(step, -0.1 * wanted, rtol=1e-3, atol=1e-5)


def test_d2gan_losses():
  game = games.d2gan(
    Affine(2), Affine(), prior=fixed_prior(Z), optimizers=sgd("second_discriminator"), alpha=0.3, beta=0.2
  )
  state = start(game)
  assert game.turns == (("discriminator", "second_discriminator"), ("generator",))
  fake = affine(state, "generator", Z)
  first, second = (
    [softplus(affine(state, name, x)[:, 0]) for x in (BATCH["image"], fake)]
    for name in ("discriminator", "second_discriminator")
  )
  wanted = {
    "discriminator": -0.3 * np.log(first[0]).mean() + first[1].mean(),
    "second_discriminator": second[0].mean() - 0.2 * np.log(second[1]).mean(),
    "generator": -first[1].mean() + 0.2 * np.log(second[1]).mean(),
  }
  for name, value in wanted.items():
    assert loss(game, state, name)[0] == pytest.approx(value, rel=1e-5), name


def test_d2gan_at_its_optimum():
  """Where the laws agree the best scores are p_1 = alpha and p_2 = beta: both slopes in the bias vanish there."""
  game = games.d2gan(
    Affine(2), Affine(), prior=fixed_prior(Z), optimizers=sgd("second_discriminator"), alpha=0.3, beta=0.2
  )
  state = start(game)
  for name, score in (("discriminator", 0.3), ("second_discriminator", 0.2)):
    logit = np.log(np.expm1(score))  # softplus(logit) = score, for real and fake alike
    params = {"kernel": jnp.zeros((2, 1)), "bias": jnp.full(1, logit, jnp.float32)}
    slope = jax.grad(lambda p, name=name: game.players[name].loss(p, state, BATCH, KEY)[0])(params)
    assert float(slope["bias"][0]) == pytest.approx(0, abs=1e-5), name


def test_d2gan_scores_may_underflow():
  game = games.d2gan(Affine(2), Affine(), prior=fixed_prior(Z), optimizers=sgd("second_discriminator"))
  state = start(game)
  dead = {"kernel": jnp.zeros((2, 1)), "bias": jnp.full(1, -200.0)}
  state = with_params(state, discriminator=dead, second_discriminator=dead)
  assert all(np.isfinite(loss(game, state, name)[0]) for name in game.players)


HEADS = 2


def mgan(beta, prior=None):
  return games.mgan(
    networks.mlp(2, (3,), "tanh", heads=HEADS), Affine(1 + HEADS), prior=prior or fixed_prior(Z), optimizers=sgd(),
    num_generators=HEADS, beta=beta,
  )  # fmt: skip


def test_mgan_losses():
  game = mgan(0.3)
  state = start(game)
  component = np.asarray(priors.indexed(fixed_prior(Z), 2).sample(KEY, 4)[1])
  first, last = state.params["generator"]["SelectedDense_0"], state.params["generator"]["Dense_0"]
  hidden = np.tanh(
    np.stack([Z[i] @ np.asarray(first["kernel"])[k] + np.asarray(first["bias"])[k] for i, k in enumerate(component)])
  )
  fake = affine(state, "discriminator", hidden @ np.asarray(last["kernel"]) + np.asarray(last["bias"]))
  real = affine(state, "discriminator", BATCH["image"])
  classes = np.exp(fake[:, 1:]) / np.exp(fake[:, 1:]).sum(axis=1, keepdims=True)
  confusion = -np.log(classes[np.arange(4), component]).mean()
  value, metrics = loss(game, state, "discriminator")
  assert value == pytest.approx(softplus(-real[:, 0]).mean() + softplus(fake[:, 0]).mean() + confusion, rel=1e-5)
  assert float(metrics["confusion"]) == pytest.approx(confusion, rel=1e-5)
  assert loss(game, state, "generator")[0] == pytest.approx(softplus(-fake[:, 0]).mean() + 0.3 * confusion, rel=1e-5)


def test_mgan_classifier_reaches_the_generator_with_weight_beta():
  state = start(mgan(0.0))
  slope = lambda beta: jax.flatten_util.ravel_pytree(
    jax.grad(lambda p: mgan(beta).players["generator"].loss(p, state, BATCH, KEY)[0])(state.params["generator"])
  )[0]
  none, some, more = slope(0.0), slope(0.5), slope(1.0)
  np.testing.assert_allclose(more - none, 2 * (some - none), rtol=1e-3, atol=1e-6)
  assert float(jnp.abs(some - none).max()) > 1e-3
  # Into the classifier's own weights it goes with weight 1, whatever beta is.
  heads = [
    jax.grad(lambda p, beta=beta: mgan(beta).players["discriminator"].loss(p, state, BATCH, KEY)[0])(
      state.params["discriminator"]
    )["kernel"]
    for beta in (0.0, 1.0)
  ]
  np.testing.assert_array_equal(*heads)
  assert float(jnp.abs(heads[0][:, 1:]).max()) > 1e-3


def test_mgan_holds_every_generator_equally_often():
  latent, component = priors.indexed(fixed_prior(np.zeros((7, 3))), 3).sample(KEY, 7)
  assert latent.shape == (7, 3) and sorted(np.bincount(component)) == [2, 2, 3]
  # Every row's component is uniform, though 7 rows do not hold three alike, and two neighbours are of one component as often as any two rows.
  many = np.asarray(jax.vmap(lambda key: priors.indexed(fixed_prior(np.zeros((7, 3))), 3).sample(key, 7)[1])(jax.random.split(KEY, 6000)))
  np.testing.assert_allclose([(many == k).mean(axis=0) for k in range(3)], 1 / 3, atol=0.03)
  assert (many[:, 0] == many[:, 1]).mean() == pytest.approx((3 + 1 + 1) / 21, abs=0.03)  # pairs within 3, 2 and 2 rows, of 21
  game = mgan(0.1, Prior(lambda key, n: jnp.ones((n, 3))))
  samples = np.asarray(game.sample(start(game), KEY, BATCH))
  made = samples[np.argsort(samples[:, 0])]
  np.testing.assert_allclose(made[[0, 2]], made[[1, 3]], rtol=1e-6)  # one latent, two generators
  assert not np.allclose(made[0], made[2])


def test_mgan_needs_an_output_for_every_generator():
  game = games.mgan(networks.mlp(2, (3,), heads=2), Affine(2), prior=fixed_prior(Z), optimizers=sgd(), num_generators=2)
  with pytest.raises(ValueError, match="mgan with 2 generators needs a discriminator of 3 outputs"):
    loss(game, start(game), "discriminator")
