"""Symplectic gradient adjustment and competitive gradient descent in closed form.

Mutations that made a test here fail: A v in place of A^T v, the symmetric half in place of the rotating one, alignment ignored, its sign turned, and
the product not divided by the number of parameters; competitive descent with N and its transpose exchanged, the rival's learning rate in place of
one's own, its anticipation with the other sign or left out, the system unsolved, Adam let in.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from games import jit, points, run_key
from plays import RATE, ROW, A, Affine, X, Y, bilinear, play, two_numbers, values

from gan_jax import gan, objectives, priors, transforms
from gan_jax.core import Aux, Game, Player, build
from gan_jax.networks.convolution import convolve
from gan_jax.networks.dense import product
from gan_jax.transforms.field import _products

WEIGHT = 0.6


def test_symplectic_adjustment_in_closed_form():
  """v = (a y, -a x) turns: A^T v = a^2 (x, y) points home."""
  game = transforms.symplectic(bilinear(), WEIGHT)
  assert game.turns == (("generator", "discriminator"),)
  wanted = X - RATE * (A * Y + WEIGHT * A**2 * X), Y - RATE * (-A * X + WEIGHT * A**2 * Y)
  assert values(play(game)[-1]) == pytest.approx(wanted, rel=1e-6)


def test_symplectic_adjustment_leaves_descent_alone():
  """The Jacobian of a potential is symmetric: A = 0, and the step is the plain one."""
  both = lambda x, y: x**2 + x * y + y**2 / 2
  plain = values(play(transforms.simultaneous(two_numbers(both, both)))[-1])
  assert values(play(transforms.symplectic(two_numbers(both, both), WEIGHT))[-1]) == pytest.approx(plain, rel=1e-6)


@pytest.mark.parametrize("scale, sign", [(1.0, -1), (0.1, 1)])
def test_alignment_leaves_unstable_points(scale, sign):
  """G: -x^2 / 2 + b x y, D: -y^2 / 2 - b x y. The product is -b^2 |v|^4 / n: away from 0 (far from it; near it, epsilon decides)."""
  b, (x, y) = 1.5, (scale * X, scale * Y)
  game = two_numbers(lambda x, y: -(x**2) / 2 + b * x * y, lambda x, y: -(y**2) / 2 - b * x * y, start=(x, y))
  v, w = -x + b * y, -y - b * x
  assert np.sign(-(b**2) * (v**2 + w**2) ** 2 / 2 + 0.1) == sign
  wanted = x - RATE * (v - sign * WEIGHT * b * w), y - RATE * (w + sign * WEIGHT * b * v)
  assert values(play(transforms.symplectic(game, WEIGHT))[-1]) == pytest.approx(wanted, rel=1e-5)
  free = x - RATE * (v - WEIGHT * b * w), y - RATE * (w + WEIGHT * b * v)
  assert values(play(transforms.symplectic(game, WEIGHT, alignment=None))[-1]) == pytest.approx(free, rel=1e-5)


def test_the_product_of_alignment_is_a_mean_over_parameters():
  """-|v|^4 / n + epsilon, here with b = 1 and |v|^4 = .15, so that n = 2 leaves it above 0: v = (0, -2 start)."""
  start = (0.15 / 16) ** 0.25
  game = two_numbers(lambda x, y: -(x**2) / 2 + x * y, lambda x, y: -(y**2) / 2 - x * y, start=(start, start))
  _, metrics = build(transforms.symplectic(game, WEIGHT)).step(play(game, 0)[-1], ROW, jax.random.key(0))
  assert float(metrics["generator/alignment"]) == 1


M = np.random.default_rng(0).normal(size=(3, 2)).astype("float32")


def matrix_game(rates=(0.5, 0.2), share=1.0) -> Game:
  """f = x M y + |x|^2 / 2, g = -share x M y + |y|^2 / 4; x in R^3, y in R^2."""

  def player(start, value, rate):
    loss = lambda own, state, batch, key: (value(own, state.params), Aux({}, {}))
    return Player(lambda key, batch: (jnp.asarray(start, jnp.float32), {}), loss, optax.sgd(rate))

  players = {
    "generator": player([1.0, -2.0, 0.5], lambda x, p: x @ M @ p["discriminator"] + x @ x / 2, rates[0]),
    "discriminator": player([0.3, 1.0], lambda y, p: -share * p["generator"] @ M @ y + y @ y / 4, rates[1]),
  }
  return Game(players, (("discriminator",), ("generator",)), sample=lambda *_: None)


def test_competitive_descent_in_closed_form():
  a, b = 0.5, 0.2
  state, metrics = build(transforms.competitive(matrix_game((a, b)))).step(play(matrix_game(), 0)[-1], ROW, jax.random.key(0))
  x, y = np.array([1.0, -2.0, 0.5]), np.array([0.3, 1.0])
  in_x, in_y = M @ y + x, -M.T @ x + y / 2
  dx = -a * np.linalg.solve(np.eye(3) + a * b * M @ M.T, in_x - b * M @ in_y)
  dy = -b * np.linalg.solve(np.eye(2) + a * b * M.T @ M, in_y + a * M.T @ in_x)
  np.testing.assert_allclose(state.params["generator"], x + dx, rtol=1e-5)
  np.testing.assert_allclose(state.params["discriminator"], y + dy, rtol=1e-5)
  # Each is the best answer to the other: dx = -a (f_x + M dy), dy = -b (g_y - M^T dx).
  np.testing.assert_allclose(dx, -a * (in_x + M @ dy), rtol=1e-5)
  assert float(metrics["generator/zero_sum_gap"]) == pytest.approx(0, abs=1e-6)


def test_a_game_that_is_not_zero_sum_says_so():
  algorithm = build(transforms.competitive(matrix_game(share=3.0)))
  _, metrics = algorithm.step(play(matrix_game(), 0)[-1], ROW, jax.random.key(0))
  assert float(metrics["discriminator/zero_sum_gap"]) == pytest.approx((3 - 1) / (3 + 1), rel=1e-5)


def test_competitive_descent_converges_at_any_rate():
  """On a x y a round is z / (1 + i r a): here r a = 1.4, where simultaneous descent grows by 1.72 a round."""
  game = bilinear(optax.sgd(2.0))
  distance = lambda game: np.hypot(*values(play(game, 20)[-1]))
  assert distance(transforms.competitive(game)) == pytest.approx(np.hypot(X, Y) * np.hypot(1, 1.4) ** -20, rel=1e-3)
  assert distance(transforms.simultaneous(game)) > 1e3


def affine_game(objective, optimizer=None):
  optimizer = optimizer or optax.sgd(0.1)
  optimizers = {"generator": optimizer, "discriminator": optimizer}
  return gan(Affine(2), Affine(), objective(), prior=priors.normal(2), optimizers=optimizers)


def test_minimax_is_zero_sum_and_the_non_saturating_loss_is_not():
  gap = {}
  for objective in (objectives.minimax, objectives.non_saturating):
    algorithm = build(transforms.competitive(affine_game(objective)))
    state = algorithm.init(jax.random.key(0), points())
    gap[objective] = float(jit(algorithm.step)(state, points(), run_key(0))[1]["generator/zero_sum_gap"])
  assert gap[objectives.minimax] < 1e-5 and gap[objectives.non_saturating] > 0.1


def test_what_competitive_descent_cannot_play_is_refused():
  with pytest.raises(ValueError, match="give the generator plain sgd"):
    transforms.competitive(affine_game(objectives.minimax, optax.adam(1e-3)))
  for clipped in (optax.chain(optax.clip_by_global_norm(5.0), optax.sgd(0.5)), optax.chain(optax.clip(0.1), optax.sgd(0.1))):
    with pytest.raises(ValueError, match="give the generator plain sgd"):  # no state, and yet no constant times the gradient
      transforms.competitive(affine_game(objectives.minimax, clipped))
  with pytest.raises(ValueError, match="give the discriminator plain sgd"):
    transforms.competitive(transforms.clip_weights(affine_game(objectives.minimax), limit=0.01))
  jax.jit(lambda rate: transforms.competitive(affine_game(objectives.minimax, optax.sgd(rate))) and rate)(0.1)  # a rate may be an argument
  with pytest.raises(ValueError, match="use n_critic 1"):
    transforms.competitive(bilinear(turns=(("discriminator",), ("discriminator",), ("generator",))))
  game = bilinear()
  with pytest.raises(ValueError, match="this game has generator, discriminator, encoder"):
    transforms.competitive(game._replace(players={**game.players, "encoder": game.players["generator"]}))


def test_products_with_the_jacobian_go_through_convolutions_and_dense_layers():
  """Which know no forward mode: J u and J^T w of a slope, by finite differences in float64."""
  with jax.enable_x64(True):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3, 4, 4, 2))
    at, u, w = ({"conv": rng.normal(size=(3, 3, 2, 2)), "dense": rng.normal(size=(8, 1))} for _ in range(3))

    def loss(p):
      maps = jnp.tanh(convolve(x, p["conv"], 2))
      return jnp.sin(product(maps.reshape(3, -1), p["dense"])).sum()

    value, push, pull = _products(jax.grad(loss), at)
    step = lambda size: jax.tree.map(lambda a, b: a + size * b, at, u)
    differences = jax.tree.map(lambda a, b: (a - b) / 2e-6, jax.grad(loss)(step(1e-6)), jax.grad(loss)(step(-1e-6)))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7), push(u), differences)
    jax.tree.map(np.testing.assert_array_equal, value, jax.grad(loss)(at))
    inner = lambda a, b: float(sum(jax.tree.leaves(jax.tree.map(lambda a, b: (a * b).sum(), a, b))))
    assert inner(push(u), w) == pytest.approx(inner(u, pull(w)), rel=1e-10)
