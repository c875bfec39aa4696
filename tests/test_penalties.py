"""Discriminator terms on linear and quadratic D, where their gradients are known: grad (w . x) = w, grad |x|^2 / 2 =
x.

Mutations that made a test here fail: gamma without its half; the mean over coordinates instead of their sum; (mean
norm - 1)^2 instead of the mean of (norm - 1)^2; penalties at real instead of on segments; a segment parameter for
every coordinate; DRAGAN's std per feature, its noise around 0, its per-sample factor left out; LeCam's anchors
exchanged, its ReLU left out, a gradient through its averages, no `start`.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from plays import Affine, fixed_prior, play_of

from gan_jax import gan, objectives, penalties, views
from gan_jax.core import build, take_turn

quadratic = lambda x: jnp.square(x).reshape(len(x), -1).sum(axis=1) / 2


def linear_game(width, **settings):
  terms = {
    "r1": penalties.r1(0.8), "r2": penalties.r2(0.6), "wgan_gp": penalties.wgan_gp(10.0),
    "wgan_lp": penalties.wgan_lp(10.0),
    "zero_gp": penalties.zero_gp(3.0), "dragan": penalties.dragan(10.0),
  }  # fmt: skip
  return gan(
    Affine(width), Affine(), objectives.wasserstein(), prior=fixed_prior(np.eye(4, 3)), discriminator_terms=terms,
    optimizers={"generator": optax.sgd(0.0), "discriminator": optax.sgd(0.1)}, **settings,
  )  # fmt: skip


@pytest.mark.parametrize("pack", [1, 2])
def test_linear_discriminator(pack):
  """D(x) = w . x: the gradient is w everywhere, and over a pack it is the w of the whole pack."""
  game = linear_game(2, view=views.pack(pack))
  batch = {"image": np.random.default_rng(0).normal(size=(4, 2)).astype("float32")}
  state = build(game).init(jax.random.key(0), batch)
  turn = jax.jit(lambda state: take_turn(game, ("discriminator",), state, batch, jax.random.key(1)))
  for length in (2.5, 0.5):
    w = np.array([3.0, 4.0, 0.0, -12.0][: 2 * pack])
    w *= length / np.linalg.norm(w)
    kernel = jnp.asarray(w[:, None], jnp.float32)
    here = state.replace(params={**state.params, "discriminator": {"kernel": kernel, "bias": jnp.zeros(1)}})
    moved, metrics = turn(here)
    above = max(length - 1, 0)
    wanted = {
      "r1": 0.4 * length**2, "r2": 0.3 * length**2, "wgan_gp": 10 * (length - 1) ** 2, "wgan_lp": 10 * above**2,
      "zero_gp": 3 * length**2, "dragan": 10 * (length - 1) ** 2,
    }  # fmt: skip
    for name, value in wanted.items():
      assert float(metrics[f"discriminator/{name}"]) == pytest.approx(value, rel=1e-5, abs=1e-6), name
    # The second derivative: every penalty pulls on w along w, with the slope of its value in |w|.
    slope = (0.8 + 0.6 + 6) * length + 2 * 10 * (length - 1) * 2 + 2 * 10 * above
    fakes = batch["image"] * 0 + (np.eye(4, 3) @ np.asarray(state.params["generator"]["kernel"]))
    adversarial = (fakes.mean(axis=0) - batch["image"].mean(axis=0)) if pack == 1 else (
      (fakes - batch["image"]).reshape(2, 4).mean(axis=0))  # fmt: skip
    wanted_step = -0.1 * (adversarial + slope * w / length)
    step = np.asarray(moved.params["discriminator"]["kernel"][:, 0]) - w
    np.testing.assert_allclose(step, wanted_step, rtol=1e-4, atol=1e-5)


def test_quadratic_discriminator():
  real, fake = np.array([[1.0, 2.0], [0.0, 2.0]]), np.array([[3.0, 0.0], [0.0, 0.0]])
  play = play_of(real=real, fake=fake, discriminate=quadratic)
  assert float(penalties.r1(2.0)(play)) == pytest.approx((5 + 4) / 2)
  assert float(penalties.r2(2.0)(play)) == pytest.approx((9 + 0) / 2)
  # Real and fake meet: the segments are points. Norms 3 and 1 / 2: a mean of squares, not the square of a mean.
  ends = np.array([[3.0, 0.0], [0.0, 0.5]])
  play = play_of(real=ends, fake=ends, discriminate=quadratic)
  assert float(penalties.wgan_gp(1.0)(play)) == pytest.approx((4 + 0.25) / 2, rel=1e-5)
  assert float(penalties.wgan_lp(1.0)(play)) == pytest.approx(4 / 2, rel=1e-5)
  assert float(penalties.zero_gp(1.0)(play)) == pytest.approx((9 + 0.25) / 2, rel=1e-5)


def test_segments_are_uniform_with_one_parameter_a_row():
  """From 0 to (1, 1): E |grad|^2 = E 2 t^2 = 2 / 3 for D = |x|^2 / 2, and D = (x_0 - x_1)^2 is flat all the way."""
  ones = np.ones((8192, 2))
  play = play_of(real=0 * ones, fake=ones, discriminate=quadratic)
  assert float(penalties.zero_gp(1.0)(play)) == pytest.approx(2 / 3, abs=0.02)
  along = play._replace(discriminate=lambda x: jnp.square(x[:, 0] - x[:, 1]))
  assert float(penalties.zero_gp(1.0)(along)) == pytest.approx(0, abs=1e-10)
  other = play._replace(key=jax.random.key(9))
  assert float(penalties.zero_gp(1.0)(other)) != float(penalties.zero_gp(1.0)(play))


def test_dragan_stands_by_the_data_on_the_positive_side():
  """D = x^2 / 2 at x = 1 and -1, whose std is 1: (|x + a u / 2| - 1)^2 has the mean E (a u / 2)^2 = 1 / 36 at both."""
  x = np.tile([[1.0], [-1.0]], (8192, 1))
  play = play_of(real=x, discriminate=quadratic)
  assert float(penalties.dragan(1.0)(play)) == pytest.approx(1 / 36, rel=0.05)
  # std is one number for the batch, sqrt(9 / 2): it moves a coordinate that never varies. y = s a u / 2: E (y - 1)^2.
  x = np.tile([[3.0, 0.0], [-3.0, 0.0]], (8192, 1))
  play = play_of(real=x, discriminate=lambda x: jnp.square(x[:, 1]) / 2)
  far = 0.5 * np.sqrt(4.5)
  assert float(penalties.dragan(1.0)(play)) == pytest.approx(1 - 2 * far / 4 + far**2 / 9, rel=0.02)


def test_gradient_norm_against_finite_differences():
  with jax.enable_x64(True):
    random = np.random.default_rng(0)
    first, second = random.normal(size=(3, 5)), random.normal(size=5)
    net = lambda x: np.tanh(x @ first) @ second
    x, step = random.normal(size=(4, 3)), 1e-6
    slopes = np.stack([(net(x + step * e) - net(x - step * e)) / (2 * step) for e in np.eye(3)], axis=1)
    got = penalties.squared_gradient_norm(lambda x: jnp.tanh(x @ first) @ second, jnp.asarray(x))
    np.testing.assert_allclose(got, np.square(slopes).sum(axis=1), rtol=1e-8)


def test_images_are_summed_over_all_coordinates():
  x = np.ones((2, 2, 2, 3))
  play = play_of(real=x, fake=x, discriminate=quadratic)
  assert float(penalties.r1(2.0)(play)) == pytest.approx(12)
  assert float(penalties.wgan_gp(1.0)(play)) == pytest.approx((np.sqrt(12) - 1) ** 2, rel=1e-5)


@pytest.mark.parametrize("term", [penalties.wgan_gp(1.0), penalties.wgan_lp(1.0), penalties.dragan(1.0)])
def test_finite_where_the_discriminator_is_flat(term):
  x = jnp.ones((4, 2))
  slope = jax.grad(lambda w: term(play_of(real=x, fake=2 * x, discriminate=lambda x: x @ w)))(jnp.zeros(2))
  assert bool(jnp.isfinite(slope).all())


def test_lecam_by_hand():
  """Averages of the mean logits start at 0 and halve: real 4, 2, 2 and fake -2, 0, 2."""
  term = penalties.lecam(0.5, decay=0.5)
  rounds = [([5.0, 3.0], [-3.0, -1.0]), ([2.0, 2.0], [1.0, -1.0]), ([0.0, 4.0], [2.0, 2.0])]
  real, fake, memory = 0.0, 0.0, term.init()
  for x, y in rounds:
    real, fake = (real + np.mean(x)) / 2, (fake + np.mean(y)) / 2
    value, memory = term.apply(play_of(real_logits=x, fake_logits=y), memory)
    assert float(memory["real"]) == pytest.approx(real) and float(memory["fake"]) == pytest.approx(fake)
    on_real = np.square(np.maximum(np.array(x) - fake, 0)).mean()
    on_fake = np.square(np.maximum(real - np.array(y), 0)).mean()
    assert float(value) == pytest.approx(0.5 * (on_real + on_fake))
  assert (real, fake) == (2.0, 0.75)  # 2, 2, 2 and -1, -.5, .75


def test_lecam_gradient_holds_the_averages():
  term = penalties.lecam(1.0, decay=0.5)
  value = lambda x, y: term.apply(play_of(real_logits=x, fake_logits=y), term.init())[0]
  on_real, on_fake = jax.grad(value, argnums=(0, 1))(jnp.array([4.0, -4.0]), jnp.array([-1.0, 3.0]))
  # Averages: real (0 + 0) / 2 = 0, fake (0 + 1) / 2 = .5. A logit on the safe side feels nothing.
  np.testing.assert_allclose(on_real, [2 * (4 - 0.5) / 2, 0])
  np.testing.assert_allclose(on_fake, [-2 * (0 + 1) / 2, 0])


def test_lecam_starts_late_but_remembers_from_the_first_round():
  term = penalties.lecam(1.0, decay=0.5, start=2)
  memory = term.init()
  values = []
  for step in range(3):
    value, memory = term.apply(play_of(real_logits=[2.0], fake_logits=[-2.0], step=step), memory)
    values.append(float(value))
  assert values[:2] == [0, 0] and values[2] == pytest.approx(2 * (2 + 1.75) ** 2)
  assert float(memory["real"]) == pytest.approx(1.75)


class Passing(nn.Module):
  """D(x) = x."""

  @nn.compact
  def __call__(self, x, train):
    return x[:, 0] + 0 * self.param("unused", nn.initializers.zeros, ())


def test_lecam_memory_lives_in_the_discriminator_and_moves_once_a_turn():
  game = gan(
    Affine(1), Passing(), objectives.hinge(), prior=fixed_prior([[0.0], [0.0]]), n_critic=2,
    discriminator_terms={"lecam": penalties.lecam(1.0, decay=0.5)},
    optimizers={"generator": optax.sgd(0.0), "discriminator": optax.sgd(0.0)},
  )  # fmt: skip
  algorithm = build(game)
  batch = {"image": np.array([[1.0], [2.0], [3.0], [4.0]], "float32")}
  state = algorithm.init(jax.random.key(0), batch)
  state, _ = algorithm.step(state, batch, jax.random.key(1))
  # Slices 0 and 1 have the means 2 and 3: (2 / 2 + 3) / 2. G's turn leaves the memory alone.
  assert float(state.model_state["discriminator"]["memory"]["lecam"]["real"]) == pytest.approx(2.0)
  assert state.model_state["generator"]["memory"] == {}
