"""APT's approximate R1 and R2, Roth's regulariser, CR and bCR on linear D, where all is known.

Mutations that made a test here fail: sigma left out or not squared with the gradient, noise shared by rows or coordinates, R2 at the real samples,
the logit without noise held constant; Roth's weights exchanged, not squared, detached, the gradient of the probability in place of the logit's, the
half; consistency's mean before its square, D(x) held, T on the wrong side, one draw for both sides, bCR's weights exchanged, its fake side gone.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from plays import Affine, fixed_prior, play_of

from gan_jax import gan, objectives, penalties, views
from gan_jax.core import build, take_turn
from gan_jax.play import View

W = np.array([3.0, -4.0])
X = np.random.default_rng(0).normal(size=(20000, 2)).astype("float32")


def linear(w=W, **given):
  """D(x) = w . x at the given samples."""
  discriminate = lambda x: x @ w
  logits = {f"{name}_logits": discriminate(jnp.asarray(x)) for name, x in given.items()}
  return play_of(discriminate=discriminate, **given, **logits)


@pytest.mark.parametrize("name, side", [("approximate_r1", "real"), ("approximate_r2", "fake")])
def test_a_difference_under_noise_is_the_gradient_penalty(name, side):
  """E (sigma w . e)^2 = sigma^2 |w|^2 = .01 * 25, and gamma / 2 |w|^2 with gamma = 2 weight sigma^2."""
  play = linear(**{side: X})
  value = float(getattr(penalties, name)(7.0, sigma=0.1)(play))
  assert value == pytest.approx(7 * 0.01 * 25, rel=0.03)
  exact = {"real": penalties.r1, "fake": penalties.r2}[side](2 * 7.0 * 0.01)
  assert value == pytest.approx(float(exact(play)), rel=0.03)
  assert float(getattr(penalties, name)(7.0)(play)) == pytest.approx(7 * 1e-4 * 25, rel=0.03)
  along = linear(np.array([1.0, -1.0]), **{side: X})  # 0 if both coordinates moved alike
  assert float(getattr(penalties, name)(1.0, sigma=0.1)(along)) == pytest.approx(0.02, rel=0.03)
  few = linear(**{side: X[:4]})  # 4 rows, each with noise of its own: not one square
  moved = jax.random.normal(few.key, (4, 2)) * 0.1
  assert float(getattr(penalties, name)(1.0, sigma=0.1)(few)) == pytest.approx(float(jnp.square(moved @ W).mean()), rel=1e-4)


def test_the_penalty_under_noise_moves_both_logits():
  """D = b |x|^2: with D(x) held constant the gradient in b would not be that of b^2 E (|x + s e|^2 - |x|^2)^2."""
  x = jnp.asarray(X[:8])
  square = lambda x: jnp.square(x).sum(axis=1)

  def value(b):
    play = play_of(real=x, real_logits=b * square(x), discriminate=lambda x: b * square(x))
    return penalties.approximate_r1(1.0, sigma=0.5)(play)

  assert float(jax.grad(value)(3.0)) == pytest.approx(2 * float(value(3.0)) / 3, rel=1e-4)


def test_roth_by_hand():
  """|w|^2 = 25; p = 1/2 on real, 3/4 and 1/4 on fake: 25 (1/4 + (9 + 1) / 32)."""
  fake = np.log(3) * np.array([W, -W]) / 25
  play = linear(real=np.zeros((1, 2)), fake=fake)
  assert float(penalties.roth(0.8)(play)) == pytest.approx(0.4 * 25 * (1 / 4 + 10 / 32), rel=1e-5)


def test_roth_wants_one_logit_an_example():
  play = play_of(real=np.ones((2, 3)), fake=np.ones((2, 3)), real_logits=np.ones(8), fake_logits=np.ones(8), discriminate=lambda x: jnp.ones(8))
  with pytest.raises(ValueError, match="this D has 4 an example: use r1 and r2"):
    penalties.roth(1.0)(play)


def test_roth_is_the_gradient_of_log_probabilities():
  x, y = X[:6], X[6:12] + 1
  play = linear(real=x, fake=y)
  norms = lambda f, x: np.square(jax.vmap(jax.grad(f))(jnp.asarray(x))).sum(axis=1).mean()
  wanted = norms(lambda x: jnp.log(jax.nn.sigmoid(x @ W)), x) + norms(lambda x: jnp.log(1 - jax.nn.sigmoid(x @ W)), y)
  assert float(penalties.roth(2.0)(play)) == pytest.approx(wanted, rel=1e-4)


def test_roths_weights_have_a_gradient():
  """D = a + w . x at x = 0: (1 - p(a))^2 |w|^2, of which d/da = -2 (1 - p)^2 p |w|^2."""
  zero = jnp.zeros((1, 2))

  def value(a):
    discriminate = lambda x: a + x @ W
    play = play_of(real=zero, fake=zero, real_logits=a[None], fake_logits=jnp.array([-50.0]), discriminate=discriminate)
    return penalties.roth(2.0)(play)

  assert float(jax.grad(value)(jnp.float32(0))) == pytest.approx(-2 / 8 * 25, rel=1e-4)


shift = View(lambda x, look: x + jnp.array([1.0, 0.5]))  # w . (1, .5) = 1


def test_consistency_by_hand():
  play = linear(real=X[:5], fake=X[5:10])
  assert float(penalties.consistency(10.0, shift)(play)) == pytest.approx(10, rel=1e-4)
  both = penalties.balanced_consistency(10.0, 3.0, shift)
  assert float(both(play)) == pytest.approx(13, rel=1e-4)
  # Signs do not cancel: a shift of 1 and -1.
  flip = View(lambda x, look: x + jnp.array([[1.0, 0.5], [-1.0, -0.5]]))
  assert float(penalties.consistency(1.0, flip)(linear(real=X[:2]))) == pytest.approx(1, rel=1e-4)
  # On the side that it says: 1^2 on real, 2^2 on fake, whose w is twice as long.
  play = linear(real=0 * X[:5], fake=1 + 0 * X[:5])._replace(discriminate=lambda x: x @ W * jnp.where(x[:, 0] > 0.99, 2, 1))
  play = play._replace(real_logits=play.discriminate(play.real), fake_logits=play.discriminate(play.fake))
  tilt = View(lambda x, look: x + jnp.array([0.0, -0.25]))  # w . (0, -1/4) = 1
  assert float(penalties.balanced_consistency(1.0, 10.0, tilt)(play)) == pytest.approx(1 + 40, rel=1e-4)


def test_consistency_moves_both_logits_and_draws_twice():
  noisy = views.instance_noise(1.0)

  def value(scale):
    return penalties.consistency(1.0, noisy)(linear(scale * W, real=X[:8]))

  assert float(jax.grad(value)(3.0)) == pytest.approx(2 * float(value(3.0)) / 3, rel=1e-4)
  same = linear(real=X[:8], fake=X[:8])
  real, fake = (float(penalties.balanced_consistency(*weights, noisy)(same)) for weights in ((1.0, 0.0), (0.0, 1.0)))
  assert real > 0 and fake > 0 and real != fake
  for view in (views.pack(2), View(lambda x, look: x, context=lambda n, look: jnp.zeros((n, 1)))):
    with pytest.raises(ValueError, match="cannot pack, remember or tell"):
      penalties.consistency(1.0, view)


def test_consistency_is_for_the_discriminator_alone():
  """D(x) = w . x + b: of 10 (w . (1, 1/2))^2 the step is 20 (w . s) s; G's step does not know of it."""

  def moves(weight):
    game = gan(
      Affine(2), Affine(), objectives.wasserstein(), prior=fixed_prior(np.eye(4, 3)),
      discriminator_terms={"bcr": penalties.balanced_consistency(weight, weight, shift)},
      optimizers={"generator": optax.sgd(1.0), "discriminator": optax.sgd(1.0)},
    )  # fmt: skip
    batch = {"image": X[:4]}
    state = build(game).init(jax.random.key(0), batch)
    moved = [take_turn(game, (name,), state, batch, jax.random.key(1))[0].params[name]["kernel"] for name in game.players]
    return state.params["discriminator"]["kernel"], *moved

  w, d, g = moves(0.0)
  _, penalized, same = moves(5.0)
  np.testing.assert_array_equal(g, same)
  s = np.array([1.0, 0.5])
  np.testing.assert_allclose(penalized - d, -20 * (s @ np.asarray(w)) * s[:, None], rtol=1e-4, atol=1e-4)
