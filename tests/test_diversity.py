"""Generator terms against numbers worked by hand and, for BuresGAN, scipy's matrix square root.

Mutations that made a test here fail: the mean of ratios instead of the ratio of means, and the ratio upside down (mode
seeking); the limit applied to the negative value, the second output not detached, Euclidean norms (DSGAN); no
centring, no normalisation, the largest singular value instead of their sum, the SVD's own derivative taken twice
(BuresGAN); L1 instead of squares (feature matching).
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
from plays import play_of

from gan_jax import diversity, gan, networks, objectives, optimizers, priors
from gan_jax.core import build, take_turn

Z = [[0.0], [1.0], [0.0], [2.0]]  # pairs (0, 1) and (0, 2)
square = lambda z: jnp.square(z)


def test_mode_seeking_is_a_ratio_of_batch_means():
  """G = z^2: |G1 - G2| = 1, 4 over |z1 - z2| = 1, 2. The ratio of means is 5 / 3, the mean of ratios 3 / 2."""
  value = diversity.mode_seeking(2.0)(play_of(latent=Z, generate=square))
  assert float(value) == pytest.approx(2 / (5 / 3 + 1e-5), rel=1e-6)


@pytest.mark.parametrize("term", [diversity.mode_seeking(1.0), diversity.dsgan(1.0)])
def test_latents_with_components_have_no_distance(term):
  with pytest.raises(ValueError, match="this prior's have components as well"):
    term(play_of(generate=lambda z: z[0])._replace(latent=(Z, jnp.zeros(len(Z), jnp.int32))))


def test_mode_seeking_averages_over_coordinates():
  """G repeats z three times: means over coordinates stay alike, sums would triple the ratio."""
  z = np.array([[0.0, 0.0], [1.0, 3.0]])
  value = diversity.mode_seeking(1.0)(play_of(latent=z, generate=lambda z: jnp.tile(z, (1, 3))))
  assert float(value) == pytest.approx(1 / (1 + 1e-5), rel=1e-6)


def test_a_collapsed_generator_meets_the_largest_but_finite_penalty():
  slope = jax.grad(lambda a: diversity.mode_seeking(1.0)(play_of(latent=Z, generate=lambda z: a * z)))
  assert float(diversity.mode_seeking(1.0)(play_of(latent=Z, generate=lambda z: 0 * z))) == pytest.approx(1e5, rel=1e-5)
  assert float(slope(0.5)) == pytest.approx(-1 / 0.50001**2, rel=1e-4)


def test_a_condition_pays_for_nothing():
  """The two outputs of a pair have one condition: where G shows its condition alone, they are alike."""
  told = jnp.asarray([[0.0], [5.0], [1.0], [7.0]])
  deaf = play_of(latent=Z, generate=lambda z: told)._replace(condition=told)
  assert float(diversity.mode_seeking(1.0)(deaf)) == pytest.approx(1e5, rel=1e-5) and float(diversity.dsgan(1.0)(deaf)) == 0
  # G = c + z^2: rows meet their neighbour's latent, so differences are 1, 1, 4, 4 over 1, 1, 2, 2.
  hears = play_of(latent=Z, generate=lambda z: told + jnp.square(z))._replace(condition=told)
  assert float(diversity.mode_seeking(1.0)(hears)) == pytest.approx(1 / (5 / 3 + 1e-5), rel=1e-6)
  assert float(diversity.dsgan(1.0)(hears)) == pytest.approx(-1.5, rel=1e-4)


def test_dsgan_is_a_mean_of_ratios_up_to_its_limit():
  play = play_of(latent=Z, generate=square)  # ratios 1 and 2
  assert float(diversity.dsgan(8.0)(play)) == pytest.approx(-8 * 1.5, rel=1e-4)
  assert float(diversity.dsgan(8.0, limit=1.5)(play)) == pytest.approx(-8 * (1 + 1.5) / 2, rel=1e-4)
  # Past the limit nothing is gained any more.
  value = lambda a, limit: diversity.dsgan(1.0, limit)(play_of(latent=Z[::-1], generate=lambda z: a * jnp.square(z)))
  assert float(jax.grad(value)(1.0, 0.5)) == 0
  assert float(jax.grad(value)(1.0, jnp.inf)) == pytest.approx(-1.5, rel=1e-4)


def test_dsgan_sums_absolute_differences():
  z = np.array([[0.0, 0.0], [3.0, 4.0]])
  value = diversity.dsgan(1.0)(play_of(latent=z, generate=lambda z: jnp.tile(z, (1, 3))))
  assert float(value) == pytest.approx(-3 * 7 / (7 + 1e-5), rel=1e-6)


def test_dsgan_holds_the_second_output():
  """G = a z^2 at z = 1, 2: d |a - sg(4 a)| / da = -1, where the whole derivative would be 3."""
  value = lambda a: diversity.dsgan(1.0)(play_of(latent=[[1.0], [2.0]], generate=lambda z: a * jnp.square(z)))
  assert float(jax.grad(value)(1.0)) == pytest.approx(1, rel=1e-4)


def test_pairs_need_an_even_batch():
  for term in (diversity.mode_seeking(1.0), diversity.dsgan(1.0)):
    with pytest.raises(ValueError, match="batch of 3 cannot be cut into pairs"):
      term(play_of(latent=Z[:3], generate=square))


def test_feature_matching_by_hand():
  """f(x) = (x, x^2): the first moments agree, the second differ by 5 / 2 - 1 / 2 = 2."""
  features = lambda x: jnp.concatenate([x, jnp.square(x)], axis=1)
  play = play_of(real=[[1.0], [-2.0]], fake=[[-1.0], [0.0]], features=features)
  assert float(diversity.feature_matching(3.0)(play)) == pytest.approx(3 * (0 + 2**2))


def test_features_are_the_last_hidden_layer():
  """Of the discriminator in play, at the inputs given, and with a gradient into G but none into what D keeps."""
  seen = {}

  def term(play):
    seen.update(
      real=play.features(play.real),
      fake=play.features(play.fake),
      params=play.state.params["discriminator"],
      images=play.real,
    )
    return diversity.feature_matching(1.0)(play)

  game = gan(
    networks.mlp(2, (4,)), networks.mlp(1, (4, 3), "tanh"), objectives.hinge(), prior=priors.normal(2),
    optimizers={"generator": optimizers.adam(1e-3), "discriminator": optimizers.adam(1e-3)},
    generator_terms={"feature_matching": term},
  )  # fmt: skip
  batch = {"image": np.random.default_rng(0).normal(size=(6, 2)).astype("float32")}
  state = build(game).init(jax.random.key(0), batch)
  player = game.players["generator"]
  value, aux = player.loss(state.params["generator"], state, batch, jax.random.key(1))
  hidden = np.asarray(batch["image"])
  for layer in ("Dense_0", "Dense_1"):
    hidden = np.tanh(hidden @ np.asarray(seen["params"][layer]["kernel"]) + np.asarray(seen["params"][layer]["bias"]))
  np.testing.assert_allclose(seen["real"], hidden, rtol=1e-5)
  gap = np.asarray(seen["real"]).mean(axis=0) - np.asarray(seen["fake"]).mean(axis=0)
  assert float(aux.metrics["feature_matching"]) == pytest.approx(np.square(gap).sum(), rel=1e-5)
  assert float(value) == pytest.approx(float(aux.metrics["adversarial"] + aux.metrics["feature_matching"]), rel=1e-6)


def bures_oracle(real, fake):
  def covariance(features):
    centred = features - features.mean(axis=0)
    centred /= np.linalg.norm(centred, axis=1, keepdims=True)
    return centred.T @ centred / len(features)

  c, d = covariance(real), covariance(fake)
  return np.trace(c) + np.trace(d) - 2 * np.trace(scipy.linalg.sqrtm(c @ d)).real


def bures(real, fake):
  return diversity.bures()(play_of(real=real, fake=fake, features=lambda x: x))


@pytest.mark.parametrize("rows, width", [(12, 3), (6, 4)])
def test_bures_against_scipy(rows, width):
  with jax.enable_x64(True):
    random = np.random.default_rng(rows)
    real, fake = random.normal(size=(rows, width)), random.normal(size=(rows, width)) * np.arange(1, width + 1)
    assert float(bures(real, fake)) == pytest.approx(bures_oracle(real, fake), rel=1e-6)
    assert float(bures(real, real)) == pytest.approx(0, abs=1e-9)
    assert float(bures(real, fake)) > 0.01


def test_bures_by_hand():
  """Features along one axis or the other: C = diag(1, 0), C' = diag(0, 1), so 1 + 1 - 0."""
  real, fake = np.array([[2.0, 0.0], [-2.0, 0.0]]), np.array([[0.0, 5.0], [0.0, -5.0]])
  assert float(bures(real, fake)) == pytest.approx(2, rel=1e-5)
  assert float(bures(real, 7 * real + 3)) == pytest.approx(0, abs=1e-5)  # neither mean nor scale counts


def test_bures_does_not_see_the_order_of_samples():
  random = np.random.default_rng(1)
  real, fake = random.normal(size=(8, 3)).astype("float32"), random.normal(size=(8, 3)).astype("float32")
  value = float(bures(real, fake))
  assert float(bures(real[random.permutation(8)], fake[random.permutation(8)])) == pytest.approx(value, rel=1e-4)


def test_bures_gradient_against_finite_differences():
  with jax.enable_x64(True):
    random = np.random.default_rng(2)
    real, fake = random.normal(size=(8, 3)), random.normal(size=(8, 3)) + 0.5
    value = jax.jit(lambda fake: bures(real, fake))
    slope, step = np.asarray(jax.jit(jax.grad(value))(fake)), 1e-6
    for row, column in [(0, 0), (3, 1), (7, 2)]:
      nudge = np.zeros_like(fake)
      nudge[row, column] = step
      wanted = (float(value(fake + nudge)) - float(value(fake - nudge))) / (2 * step)
      assert slope[row, column] == pytest.approx(wanted, rel=1e-5)


def test_bures_can_be_differentiated_twice():
  """As consensus does. With more samples than features most singular values are 0, where the SVD's own derivative is NaN."""
  with jax.enable_x64(True):
    random = np.random.default_rng(2)
    real, fake, way = random.normal(size=(3, 8, 3))
    slope = jax.jit(jax.grad(lambda fake: bures(real, fake)))
    got = jax.jit(jax.grad(lambda fake: (slope(fake) * way).sum()))(fake)
    wanted = (slope(fake + 1e-6 * way) - slope(fake - 1e-6 * way)) / 2e-6
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-7)
  both = np.random.default_rng(4).normal(size=(2, 32, 8)).astype("float32")
  field = jax.grad(lambda both: bures(both[0], both[1]))
  assert bool(jnp.isfinite(jax.jit(jax.grad(lambda both: jnp.square(field(both)).sum()))(both)).all())


def test_bures_gradient_is_finite_where_fakes_collapse():
  random = np.random.default_rng(3)
  real = random.normal(size=(8, 3)).astype("float32")
  slope = jax.jit(jax.grad(lambda fake: bures(real, fake)))
  assert bool(jnp.isfinite(slope(jnp.ones((8, 3)))).all())
  assert bool(jnp.isfinite(slope(jnp.tile(jnp.array([[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]), (4, 1)))).all())


@pytest.mark.parametrize("name", ["mode_seeking", "dsgan", "feature_matching", "bures"])
def test_terms_reach_the_generator_alone(name):
  game = gan(
    networks.mlp(2, (4,)), networks.mlp(1, (3,), "tanh"), objectives.hinge(), prior=priors.normal(2),
    optimizers={"generator": optimizers.adam(1e-3), "discriminator": optimizers.adam(1e-3)},
    generator_terms={name: getattr(diversity, name)(1.0)},
  )  # fmt: skip
  batch = {"image": np.random.default_rng(0).normal(size=(6, 2)).astype("float32")}
  state = build(game).init(jax.random.key(0), batch)
  for player, there in (("generator", True), ("discriminator", False)):
    _, metrics = jax.eval_shape(lambda player=player: take_turn(game, (player,), state, batch, jax.random.key(0)))
    assert (f"{player}/{name}" in metrics) is there
