"""GDPP on kernels whose eigenpairs are known, and InfoGAN on codes whose information is.

Mutations that made a test here fail: GDPP's features not normalised, or centred; the sign of the eigenvectors kept; XLA's own derivative; fakes'
eigenvalues as importance; importance left out; its first part without scale; the eigenvectors back in `gdpp_eigenvalues`. InfoGAN's cross-entropy
summed over the batch, codes read from the front of z, the continuous code without its half, categories in another order, Q read at real samples,
the prior's code drawn once a batch, a head that D's turn does not train.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from games import jit
from plays import Affine, play_of

from gan_jax import diversity, gan, networks, objectives, penalties, priors, views
from gan_jax.core import build, take_turn

RANDOM = np.random.default_rng(0)


def gdpp(real, fake, term=None):
  return (term or diversity.gdpp())(play_of(real=real, fake=fake, features=lambda x: x))


def test_gdpp_by_hand():
  """Unit features at angle a: S = [[1, c], [c, 1]], l = 1 -+ c with (1, -+1) / sqrt 2. c = 3/5 and 0 -> 4/5: only the values differ."""
  real, fake = np.array([[5.0, 0.0], [3.0, 4.0]]), np.array([[1.0, 0.0], [8.0, 6.0]])
  values = np.array([0.4, 1.6]) - [0.2, 1.8]
  assert float(gdpp(real, fake)) == pytest.approx(1e-4 * np.square(values).mean() - 1, rel=1e-5)
  assert float(gdpp(real, fake, diversity.gdpp(2.0, scale=1.0))) == pytest.approx(2 * (0.04 - 1), rel=1e-5)
  assert float(gdpp(real, fake, diversity.gdpp_eigenvalues(3.0))) == pytest.approx(3 * 0.04, rel=1e-4)
  # c = -3/5: the same values with the vectors exchanged. What is important is (1, 1), and there the fake has (1, -1).
  assert float(gdpp(real, real * [[1, 1], [-1, -1]])) == pytest.approx(0, abs=1e-5)


def test_gdpp_against_the_reference_up_to_signs():
  """Their code in numpy; the sign of every vector is flipped at will, and neither value nor gradient may notice."""
  with jax.enable_x64(True):
    real, fake = RANDOM.normal(size=(2, 5, 7))

    def eigen(x):
      x = x / np.linalg.norm(x, axis=1, keepdims=True)
      return np.linalg.eigh(x @ x.T)

    (l, v), (m, w) = eigen(real), eigen(fake)
    u = (l - l.min()) / (l.max() - l.min())
    cosines = (v * w).sum(axis=0)
    reference = lambda signs: 1e-4 * np.square(l - m).mean() - (u * signs * cosines).sum()
    assert float(gdpp(real, fake)) == pytest.approx(reference(np.sign(cosines)), rel=1e-9)
    assert len({round(reference(np.array(signs)), 6) for signs in [(1, 1, 1, 1, 1), (1, -1, 1, 1, 1), (1, 1, 1, 1, -1)]}) == 3
    value, step = jit(lambda y: gdpp(real, y)), 1e-6
    slope = np.asarray(jit(jax.grad(lambda y: gdpp(real, y)))(fake))
    for row, column in [(0, 0), (3, 6)]:
      nudge = np.zeros_like(fake)
      nudge[row, column] = step
      wanted = (float(value(fake + nudge)) - float(value(fake - nudge))) / (2 * step)
      assert slope[row, column] == pytest.approx(wanted, rel=1e-5)


def test_only_the_eigenvalues_do_not_know_the_batchs_order():
  real, fake = RANDOM.normal(size=(2, 6, 4)).astype("float32")
  values, whole = diversity.gdpp_eigenvalues(1.0), diversity.gdpp()
  assert float(gdpp(real, fake[::-1], values)) == pytest.approx(float(gdpp(real, fake, values)), rel=1e-4)
  assert abs(float(gdpp(real, fake[::-1], whole)) - float(gdpp(real, fake, whole))) > 0.05


def test_gdpps_gradient_is_finite_at_equal_eigenvalues():
  """Six samples of two features, so four eigenvalues of 0 at least: all alike, two kinds, and dead features."""
  real = RANDOM.normal(size=(6, 2)).astype("float32")
  both = jit(jax.grad(lambda y: gdpp(real, y) + gdpp(real, y, diversity.gdpp_eigenvalues(1.0))))
  for fake in (np.ones((6, 2)), np.repeat(np.eye(2), 3, axis=0), np.zeros((6, 2))):
    assert bool(jnp.isfinite(both(jnp.asarray(fake, jnp.float32))).all())


LATENT = jnp.array([[9.0, 1.0, 0.0, 0.0, 1.0, 0.5], [7.0, 0.0, 1.0, 1.0, 0.0, -1.0]])  # z, a code of 2, another of 2, a number


def test_information_by_hand():
  guess = jnp.array([[0.0, 0.0, 0.0, np.log(3), 1.5], [np.log(3), 0.0, 0.0, 0.0, -1.0]])
  play = play_of(latent=LATENT, fake=np.ones((2, 1)))._replace(sown=lambda name, x: {"recognition": guess}[name])
  # Row 0: 1/2, 3/4 and a distance of 1; row 1: 1/4, 1/2 and none.
  wanted = (np.log(2) + np.log(4 / 3) + 1 / 2 + np.log(4) + np.log(2)) / 2
  assert float(diversity.information(3.0, (2, 2), 1)(play)) == pytest.approx(3 * wanted, rel=1e-5)
  four = np.asarray(guess[:, 1:]) - np.log(np.exp(guess[:, 1:]).sum(axis=1, keepdims=True))  # categories of 1 and 4, in this order
  assert float(diversity.information(1.0, (1, 4))(play)) == pytest.approx(-(np.asarray(LATENT[:, 2:]) * four).sum(axis=1).mean(), rel=1e-5)
  first = diversity.information(1.0, (2,), 3)(play._replace(latent=LATENT.at[:, 3:].set(guess[:, 2:])))
  assert float(first) == pytest.approx((np.log(2) + np.log(4)) / 2, rel=1e-5)


def test_information_names_what_is_missing():
  play = play_of(latent=LATENT, fake=np.ones((2, 1)))._replace(sown=lambda name, x: jnp.zeros((2, 5)))
  with pytest.raises(ValueError, match="for 2 inputs of D; 2 codes of 4"):
    diversity.information(1.0, (4,))(play)
  with pytest.raises(ValueError, match="reads a code of 10 numbers at the end of z"):
    diversity.information(1.0)(play)
  with pytest.raises(ValueError, match="recognition head gives"):
    diversity.information(1.0, (2, 2), 1)(play._replace(sown=lambda name, x: jnp.zeros((1, 5))))


def test_coded_latents_end_with_their_code():
  prior = priors.coded(priors.normal(3, scale=7.0), categories=(4, 2), continuous=1)
  z = np.asarray(prior.sample(jax.random.key(0), 4000))
  assert z.shape == (4000, 10) and z[:, :3].std() == pytest.approx(7, rel=0.03)
  for code, size in ((z[:, 3:7], 4), (z[:, 7:9], 2)):
    assert set(np.unique(code)) == {0, 1} and (code.sum(axis=1) == 1).all()
    np.testing.assert_allclose(code.mean(axis=0), 1 / size, atol=0.03)
  assert np.abs(np.corrcoef(z.T)[3:7, 7:]).max() < 0.06
  assert z[:, 9].min() < -0.99 and z[:, 9].max() > 0.99 and z[:, 9].mean() == pytest.approx(0, abs=0.03)
  way = prior.between(z[:1], z[1:2], 0.5)
  np.testing.assert_allclose(way[:, :3], priors.arc(z[:1, :3], z[1:2, :3], 0.5), rtol=1e-5)
  np.testing.assert_allclose(way[:, 3:], (z[:1, 3:] + z[1:2, 3:]) / 2, rtol=1e-5)


def test_infogan_in_a_game():
  """Q reads the fakes' code in both turns: D's turn trains it, G's turn moves G by it, and the head leaves the logit alone."""
  terms = {"information": penalties.information(2.0, (3,), 1)}
  d = networks.mlp(1, (4,), "tanh", across=networks.recognition(4))
  sgd = {"generator": optax.sgd(1.0), "discriminator": optax.sgd(1.0)}
  game = gan(
    Affine(2), d, objectives.hinge(), prior=priors.coded(priors.normal(2), (3,), 1), optimizers=sgd, discriminator_terms=terms,
    generator_terms=terms,
  )  # fmt: skip
  batch = {"image": RANDOM.normal(size=(4, 2)).astype("float32")}
  state = jit(build(game).init)(jax.random.key(0), batch)
  turn = {name: jit(lambda s, name=name: take_turn(game, (name,), s, batch, jax.random.key(1))) for name in game.players}
  moved, metrics = turn["discriminator"](state)
  z = game.sample.latent(jax.random.split(jax.random.key(1), 4)[0], 4)
  params = state.params["discriminator"]
  layer = lambda p, x: np.asarray(x) @ np.asarray(p["kernel"]) + np.asarray(p["bias"])
  h = np.tanh(layer(params["Dense_0"], game.sample.generate(state, z, batch)))
  guess = layer(params["across"]["codes"], h)
  mean, code = guess[:, 3], np.asarray(z)[:, 2:]
  logs = guess[:, :3] - np.log(np.exp(guess[:, :3]).sum(axis=1, keepdims=True))
  wanted = 2 * (-(logs * code[:, :3]).sum(axis=1) + (mean - code[:, 3]) ** 2 / 2).mean()
  assert float(metrics["discriminator/information"]) == pytest.approx(wanted, rel=1e-4)
  assert float(metrics["discriminator/fake_logits"]) == pytest.approx(layer(params["Dense_1"], h).mean(), rel=1e-4, abs=1e-6)
  step = moved.params["discriminator"]["across"]["codes"]["bias"] - params["across"]["codes"]["bias"]
  np.testing.assert_allclose(step, 2 * np.mean(np.c_[code[:, :3] - np.exp(logs), code[:, 3] - mean], axis=0), rtol=1e-4, atol=1e-6)
  _, metrics = turn["generator"](state)
  assert float(metrics["generator/information"]) == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize("settings, line", [({"d": networks.mlp(1, (4,))}, "MLP sows no 'recognition'"), ({"view": views.pack(2)}, "4 codes of 4")])
def test_infogan_refuses_what_has_no_code_to_read(settings, line):
  d = settings.pop("d", networks.mlp(1, (4,), across=networks.recognition(4)))
  game = gan(
    Affine(2), d, objectives.hinge(), prior=priors.coded(priors.normal(2), (3,), 1), generator_terms={"q": diversity.information(1.0, (3,), 1)},
    optimizers={"generator": optax.sgd(1.0), "discriminator": optax.sgd(1.0)}, **settings,
  )  # fmt: skip
  batch = {"image": np.zeros((4, 2), "float32")}
  state = jax.eval_shape(build(game).init, jax.random.key(0), batch)
  with pytest.raises(ValueError, match=line):
    jax.eval_shape(build(game).step, state, batch, jax.random.key(0))
