"""Game -> Game: unrolling against finite differences in float64 through Adam, the others against closed forms on a
bilinear game.

Mutations that made a test here fail: the look-ahead detached (`stop_gradient` on what the rival answers to, which is
what "k steps of D, then restore" computes); one with a fresh optimiser state; one step too many; consensus without the
other player's gradient, and without its half; extragradient with the rival not extrapolated, with itself not
extrapolated, with a gradient through the extrapolation; ExtraAdam's moments without the look-ahead's, and its step from
where the look-ahead led; no clip, and one on the generator too; n_critic dropped in
silence by simultaneous play.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import lax
from plays import RATE, ROW, A, X, Y, bilinear, play, values

from gan_jax import gan, networks, objectives, optimizers, penalties, priors, transforms
from gan_jax.core import Aux, Game, Player, build, take_turn, with_entry
from gan_jax.transforms.anticipation import AHEAD


def adam_game(**settings) -> Game:
  return gan(
    networks.mlp(2, (4,), "tanh"), networks.mlp(1, (4,), "tanh"), objectives.non_saturating(), prior=priors.normal(3),
    optimizers={name: optimizers.adam(1e-2, b1=0.5) for name in ("generator", "discriminator")}, **settings,
  )  # fmt: skip


BATCH = {"image": np.random.default_rng(0).normal(size=(8, 2))}


@functools.cache
def warm_state():
  """After three rounds of Adam in float64: its moments and counts are far from those of the first step."""
  with jax.enable_x64(True):
    algorithm = build(adam_game())
    double = lambda tree: jax.tree.map(
      lambda x: x.astype(jnp.float64) if jnp.issubdtype(x.dtype, jnp.floating) else x, tree
    )
    state = double(jax.jit(algorithm.init)(jax.random.key(0), BATCH))
    step = jax.jit(lambda state: double(algorithm.step(state, BATCH, jax.random.key(1))[0]))
    for _ in range(3):
      state = step(state)
    return state


def largest_relative_error(unrolled) -> float:
  """Of the gradient in all of G's parameters, in the Euclidean norm, against central differences of the same loss."""
  with jax.enable_x64(True):
    state = warm_state()
    game = unrolled(adam_game())
    flat, restore = jax.flatten_util.ravel_pytree(state.params["generator"])
    loss = lambda flat: game.players["generator"].loss(restore(flat), state, BATCH, jax.random.key(2))[0]
    slope = np.asarray(jax.jit(jax.grad(loss))(flat))
    step = 1e-5
    nudges = step * jnp.eye(len(flat))
    ahead, back = jax.jit(jax.vmap(loss))(jnp.concatenate([flat + nudges, flat - nudges])).reshape(2, -1)
    wanted = np.asarray((ahead - back) / (2 * step))
    return float(np.linalg.norm(slope - wanted) / np.linalg.norm(wanted))


@pytest.mark.parametrize("steps", [1, 3, pytest.param(5, marks=pytest.mark.slow)])
def test_unrolled_gradient_against_central_differences(steps):
  assert largest_relative_error(lambda game: transforms.unroll(game, steps)) < 1e-5


@pytest.mark.slow
def test_unrolled_gradient_with_a_gradient_penalty():
  """The look-ahead's own loss holds a derivative, so the meta-gradient takes a third one."""
  game = lambda _: transforms.unroll(adam_game(discriminator_terms={"r1": penalties.r1(0.1)}), 2)
  assert largest_relative_error(game) < 1e-5


def detached(game: Game, steps: int) -> Game:
  """The popular mistake: D looks ahead, but G does not see how the look-ahead depends on it."""
  me = game.players["generator"]

  def loss(params, state, batch, key):
    ahead = with_entry(state, "generator", params=lax.stop_gradient(params))
    for k in jax.random.split(jax.random.fold_in(key, AHEAD), steps):
      ahead, _ = take_turn(game, ("discriminator",), ahead, batch, k)
    return me.loss(params, with_entry(ahead, "generator", params=params), batch, key)

  return game._replace(players={**game.players, "generator": me._replace(loss=loss)})


def test_a_detached_look_ahead_fails_the_same_check():
  assert largest_relative_error(lambda game: detached(game, 1)) > 1e-2


def curved(start_x: float, start_y: float, optimizer) -> Game:
  """D: y^2 / 2 - a x y, G: x y + x^2 / 4."""

  def player(start, value):
    def loss(own, state, batch, key):
      return value(own, state.params), Aux({}, {})

    return Player(lambda key, batch: (jnp.asarray(start), {}), loss, optimizer)

  players = {
    "generator": player(start_x, lambda x, p: x * p["discriminator"] + x**2 / 4),
    "discriminator": player(start_y, lambda y, p: y**2 / 2 - A * p["generator"] * y),
  }
  return Game(players, (("discriminator",), ("generator",)), sample=lambda *_: None)


@pytest.mark.parametrize("steps", [0, 1, 4])
def test_unrolling_gradient_descent_in_closed_form(steps):
  """y_k = a x + (1 - r)^k (y - a x), so dL/dx = y_k + x a (1 - (1 - r)^k) + x / 2."""
  game = transforms.unroll(curved(X, Y, optax.sgd(RATE)), steps)
  y = Y - RATE * (Y - A * X)  # D's ordinary step, taken from where it stands
  far = A * X + (1 - RATE) ** steps * (y - A * X)
  slope = far + X * A * (1 - (1 - RATE) ** steps) + X / 2
  assert values(play(game)[-1]) == pytest.approx((X - RATE * slope, y), rel=1e-5)


def test_unrolling_adam_against_a_loop_in_numpy():
  """The look-ahead starts from Adam's own moments and count; an Adam in numpy, differentiated by differences."""
  rate, b1, b2, steps = 0.1, 0.5, 0.9, 3
  with jax.enable_x64(True):
    optimizer = optimizers.adam(rate, b1=b1, b2=b2)
    state = play(curved(X, Y, optimizer), rounds=2)[-1]
    moments = jax.tree.map(float, state.opt_state["discriminator"][0])
    x, y = values(state)

    def loss(x):
      y_k, mean, square, count = y, moments.mu, moments.nu, moments.count
      for _ in range(steps):
        slope = y_k - A * x
        mean, square, count = b1 * mean + (1 - b1) * slope, b2 * square + (1 - b2) * slope**2, count + 1
        y_k -= rate * mean / (1 - b1**count) / (np.sqrt(square / (1 - b2**count)) + 1e-8)
      return x * y_k + x**2 / 4

    game = transforms.unroll(curved(X, Y, optimizer), steps)
    value = lambda x: game.players["generator"].loss(x, state, ROW, jax.random.key(0))[0]
    got, slope = jax.jit(jax.value_and_grad(value))(jnp.float64(x))
    assert float(got) == pytest.approx(loss(x), rel=1e-9) and moments.count == 2
    assert float(slope) == pytest.approx((loss(x + 1e-6) - loss(x - 1e-6)) / 2e-6, rel=1e-6)


def test_no_unrolling_is_the_plain_game_bit_for_bit():
  batch = {"image": BATCH["image"].astype("float32")}
  game = adam_game(ema_decay=0.9)
  state = jax.jit(build(game).init)(jax.random.key(0), batch)
  ends = []
  for algorithm in (build(game), build(transforms.unroll(game, 0))):
    step, now = jax.jit(algorithm.step), state
    for _ in range(3):
      now, metrics = step(now, batch, jax.random.key(1))
    ends.append((now, metrics))
  for a, b in zip(*map(jax.tree.leaves, ends), strict=True):
    np.testing.assert_array_equal(a, b)


def test_unrolling_leaves_the_rival_its_ordinary_step():
  """D and its memory move once a round, as without unrolling; G moves elsewhere."""
  batch = {"image": BATCH["image"].astype("float32")}
  state = jax.jit(build(adam_game()).init)(jax.random.key(0), batch)
  plain, unrolled = (
    jax.jit(build(game).step)(state, batch, jax.random.key(1))[0]
    for game in (adam_game(), transforms.unroll(adam_game(), 2))
  )
  entry = lambda state, name: jax.tree.leaves([state.params[name], state.opt_state[name], state.model_state[name]])
  for a, b in zip(entry(plain, "discriminator"), entry(unrolled, "discriminator"), strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-6)
  for name in ("generator", "discriminator"):
    assert int(unrolled.opt_state[name][0].count) == 1
  kernel = lambda state: state.params["generator"]["Dense_0"]["kernel"]
  assert float(jnp.abs(kernel(plain) - kernel(unrolled)).max()) > 1e-4


GAMMA = 0.5


def test_consensus_in_closed_form():
  """v = (a y, -a x): |v|^2 / 2 pulls both to 0 by a^2."""
  game = transforms.consensus(bilinear(), GAMMA)
  assert game.turns == (("generator", "discriminator"),)
  wanted = X - RATE * (A * Y + GAMMA * A**2 * X), Y - RATE * (-A * X + GAMMA * A**2 * Y)
  assert values(play(game)[-1]) == pytest.approx(wanted, rel=1e-6)


def test_consensus_field_holds_every_players_own_gradient():
  """D: y^2 / 2 - a x y, G: x y + x^2 / 4: v = (y + x / 2, y - a x), with the Jacobian ((1 / 2, 1), (-a, 1))."""
  game = transforms.consensus(curved(X, Y, optax.sgd(RATE)), GAMMA)
  v, w = Y + X / 2, Y - A * X
  wanted = X - RATE * (v + GAMMA * (v / 2 - A * w)), Y - RATE * (w + GAMMA * (v + w))
  assert values(play(game)[-1]) == pytest.approx(wanted, rel=1e-6)


def test_extragradient_in_closed_form():
  """Korpelevich, 1976: from where they are, along the gradient found after one step."""
  game = transforms.extragradient(bilinear())
  x, y = X - RATE * A * Y, Y + RATE * A * X
  assert values(play(game)[-1]) == pytest.approx((X - RATE * A * y, Y + RATE * A * x), rel=1e-6)
  game = transforms.extragradient(curved(X, Y, optax.sgd(RATE)))
  x, y = X - RATE * (Y + X / 2), Y - RATE * (Y - A * X)
  wanted = X - RATE * (y + x / 2), Y - RATE * (y - A * x)
  assert values(play(game)[-1]) == pytest.approx(wanted, rel=1e-6)


def test_extragradient_keeps_no_moments_of_the_look_ahead():
  """Moments and counts hold the extrapolated gradients alone. (ExtraAdam updates them at both points.)"""
  rate, b1 = 0.1, 0.5
  state = play(transforms.extragradient(bilinear(optimizers.adam(rate, b1=b1))))[-1]
  y = Y + rate * np.sign(A * X)  # the first step of Adam has the length of its rate
  moments = state.opt_state["generator"][0]
  assert int(moments.count) == 1 and float(moments.mu) == pytest.approx((1 - b1) * A * y, rel=1e-5)


def test_extra_adam_by_its_recursion():
  """Gidel et al., algorithm 4: moments and counts move at both points, and the step starts where the round began."""
  rate, b1, b2 = 0.1, 0.5, 0.9
  states = play(transforms.extragradient(bilinear(optimizers.adam(rate, b1=b1, b2=b2)), moments="both"), rounds=2)
  at, moments = np.array([X, Y]), [np.zeros(2), np.zeros(2), 0]
  field = lambda at: np.array([A * at[1], -A * at[0]])

  def step(at, gradient):
    mean, square, count = b1 * moments[0] + (1 - b1) * gradient, b2 * moments[1] + (1 - b2) * gradient**2, moments[2] + 1
    moments[:] = mean, square, count
    return at - rate * mean / (1 - b1**count) / (np.sqrt(square / (1 - b2**count)) + 1e-8)

  for _ in range(2):
    at = step(at, field(step(at, field(at))))
  assert values(states[-1]) == pytest.approx(tuple(at), rel=1e-5)
  assert int(states[-1].opt_state["generator"][0].count) == 4
  plain = play(transforms.extragradient(bilinear(), moments="both"))[-1]  # SGD has no moments to update
  assert values(plain) == values(play(transforms.extragradient(bilinear()))[-1])
  with pytest.raises(ValueError, match='moments is "none"; extragradient knows'):
    transforms.extragradient(bilinear(), moments="none")


def test_rotation_is_cured_where_simultaneous_descent_diverges():
  def distance(game):
    step = build(game).step
    state = build(game).init(jax.random.key(0), ROW)
    return np.hypot(
      *values(
        jax.jit(lambda s: lax.scan(lambda s, _: (step(s, ROW, jax.random.key(0))[0], None), s, length=500)[0])(state)
      )
    )

  start = np.hypot(X, Y)
  # Exactly: the factor of a round is |1 + i r a| = 1.00245, |1 - r a^2 gamma + i r a| and |1 - (r a)^2 + i r a|.
  turn = RATE * A
  assert distance(transforms.simultaneous(bilinear())) == pytest.approx(start * np.hypot(1, turn) ** 500, rel=1e-2)
  assert distance(transforms.consensus(bilinear(), GAMMA)) == pytest.approx(
    start * np.hypot(1 - RATE * A**2 * GAMMA, turn) ** 500, rel=1e-2
  )
  assert distance(transforms.extragradient(bilinear())) == pytest.approx(
    start * np.hypot(1 - turn**2, turn) ** 500, rel=1e-2
  )
  assert np.hypot(1, turn) > 1 > max(np.hypot(1 - RATE * A**2 * GAMMA, turn), np.hypot(1 - turn**2, turn))


def test_a_repeated_turn_is_a_second_step_on_the_next_slice():
  game = transforms.repeat(bilinear(), 2)
  assert game.turns == (("discriminator",), ("generator",), ("generator",)) and transforms.repeat(bilinear(), 1).turns == bilinear().turns
  two_rows = jax.tree.map(lambda x: jnp.concatenate([x, x]), ROW)
  state, _ = build(game).step(build(game).init(jax.random.key(0), two_rows), two_rows, jax.random.key(0))
  by_hand, key = build(bilinear()).init(jax.random.key(0), ROW), jax.random.key(0)
  for name in ("discriminator", "generator", "generator"):
    by_hand, _ = take_turn(bilinear(), (name,), by_hand, ROW, key)
  np.testing.assert_allclose(values(state), values(by_hand), rtol=1e-6)
  with pytest.raises(ValueError, match="times is 0; a turn is taken at least once"):
    transforms.repeat(bilinear(), 0)
  with pytest.raises(ValueError, match="no player 'critic'"):
    transforms.repeat(bilinear(), 2, "critic")


def test_clipped_weights_stay_within_their_bound():
  batch = {"image": BATCH["image"].astype("float32")}
  game = transforms.clip_weights(adam_game(), 0.05)
  algorithm = build(game)
  state, step = jax.jit(algorithm.init)(jax.random.key(0), batch), jax.jit(algorithm.step)
  free = jax.tree.leaves(state.params["generator"])
  for _ in range(3):
    state, _ = step(state, batch, jax.random.key(1))
  weights = np.concatenate([np.ravel(x) for x in jax.tree.leaves(state.params["discriminator"])])
  assert np.abs(weights).max() == pytest.approx(0.05, rel=1e-5)
  assert (
    max(float(jnp.abs(x).max()) for x in free)
    > 0.1
    < max(float(jnp.abs(x).max()) for x in jax.tree.leaves(state.params["generator"]))
  )


def test_what_cannot_be_transformed_is_refused():
  with pytest.raises(ValueError, match="steps is -1"):
    transforms.unroll(bilinear(), -1)
  for transform in (
    lambda game: transforms.unroll(game, 1, rival="critic"),
    lambda game: transforms.clip_weights(game, 0.1, player="critic"),
  ):
    with pytest.raises(ValueError, match="no player 'critic' in this game; players: generator, discriminator"):
      transform(bilinear())
  busy = bilinear(turns=(("discriminator",), ("discriminator",), ("generator",)))
  for transform in (transforms.simultaneous, transforms.extragradient, lambda game: transforms.consensus(game, 1.0)):
    with pytest.raises(
      ValueError, match="simultaneous play is one turn a round, but a player of this game has 2; use n_critic 1"
    ):
      transform(busy)  # rather than drop a setting in silence
