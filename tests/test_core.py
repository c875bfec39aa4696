"""Turns and rounds, on the bilinear game of `plays` in closed form, and on a small game that has every kind of state.

Mutations that made a test here fail: the second player of a simultaneous turn sees the first one moved; G moved by D's
turn; the average updated with the old parameters, and with its decay exchanged; contiguous instead of strided slices;
the step not folded into the key, and not counted; every turn's noise shared, and the shared noise fresh; the rival's
model_state replaced.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from plays import RATE, ROW, A, Affine, X, Y, bilinear, play, values

from gan_jax import gan, networks, objectives, optimizers, priors, transforms
from gan_jax.core import Aux, Game, Player, build, slices_per_round, take_turn, with_ema


def test_alternating_and_simultaneous_play_in_closed_form():
  y = Y + RATE * A * X
  assert values(play(bilinear())[-1]) == pytest.approx((X - RATE * A * y, y), rel=1e-6)
  for game in (transforms.simultaneous(bilinear()), bilinear(turns=(("generator", "discriminator"),))):
    assert values(play(game)[-1]) == pytest.approx((X - RATE * A * Y, Y + RATE * A * X), rel=1e-6)
  x = X - RATE * A * Y
  assert values(play(bilinear(turns=(("generator",), ("discriminator",))))[-1]) == pytest.approx(
    (x, Y + RATE * A * x), rel=1e-6
  )


def test_the_norm_of_the_gradient_is_logged_where_it_is_asked_for():
  """The bilinear game's slopes are A y for the one and -A x for the other, who has moved by then."""
  _, metrics = build(transforms.gradient_norms(bilinear())).step(play(bilinear())[0], ROW, jax.random.key(0))
  wanted = {"discriminator": abs(A * X), "generator": abs(A * (Y + RATE * A * X))}
  assert {name: float(metrics[f"{name}/gradient_norm"]) for name in wanted} == pytest.approx(wanted, rel=1e-6)


def test_average_of_the_generator_in_closed_form():
  states = play(bilinear(ema_decay=0.9), rounds=3)
  average = X
  for state in states[1:]:
    average = 0.9 * average + 0.1 * float(state.params["generator"])
    assert float(state.ema["generator"]) == pytest.approx(average, rel=1e-6)
    assert float(with_ema(state).params["generator"]) == float(state.ema["generator"])
    assert float(with_ema(state).params["discriminator"]) == float(state.params["discriminator"])
  assert set(states[-1].ema) == {"generator"} and int(states[-1].step) == 3
  turned, _ = take_turn(bilinear(ema_decay=0.9), ("discriminator",), states[1], ROW, jax.random.key(0))
  assert float(turned.ema["generator"]) == float(states[1].ema["generator"])


@pytest.fixture(scope="module")
def small():
  """A game with everything that a turn could touch by mistake: moments, BatchNorm, an average, spectral vectors."""
  game = gan(
    networks.mlp(2, (4,), batch_norm=0.9), networks.mlp(1, (3,), dense="SpectralDense"),
    objectives.non_saturating(), prior=priors.normal(2),
    optimizers={"generator": optimizers.adam(1e-2), "discriminator": optimizers.adam(1e-2)}, ema_decay=0.9,
  )  # fmt: skip
  batch = {"image": np.random.default_rng(0).normal(size=(6, 2)).astype("float32")}
  return game, batch, jax.jit(build(game).init)(jax.random.key(0), batch)


@pytest.mark.parametrize("name, rival", [("discriminator", "generator"), ("generator", "discriminator")])
def test_a_turn_moves_its_player_and_nobody_else(small, name, rival):
  game, batch, state = small
  moved, _ = jax.jit(lambda state: take_turn(game, (name,), state, batch, jax.random.key(1)))(state)
  entry = lambda state, who: [state.params[who], state.opt_state[who], state.model_state[who], state.ema.get(who, ())]
  for before, after in zip(jax.tree.leaves(entry(state, rival)), jax.tree.leaves(entry(moved, rival)), strict=True):
    np.testing.assert_array_equal(before, after)
  changed = [
    bool((a != b).any())
    for a, b in zip(jax.tree.leaves(entry(state, name)), jax.tree.leaves(entry(moved, name)), strict=True)
  ]
  assert np.mean(changed) > 0.8


def test_one_run_key_serves_every_round_and_a_resumed_run_is_the_same(small):
  game, batch, state = small
  step, key = jax.jit(build(game).step), jax.random.key(3)
  first, _ = step(state, batch, key)
  second, metrics = step(first, batch, key)
  # The same parameters in another round meet other latents.
  elsewhere, other = step(first.replace(step=first.step + 5), batch, key)
  assert float(metrics["discriminator/fake_logits"]) != float(other["discriminator/fake_logits"])
  assert int(second.step) == 2 and int(elsewhere.step) == 7
  resumed = jax.tree.map(lambda x: jnp.asarray(np.asarray(x)), first)
  for a, b in zip(jax.tree.leaves(step(resumed, batch, key)[0]), jax.tree.leaves(second), strict=True):
    np.testing.assert_array_equal(a, b)


def test_turns_see_strided_slices_of_the_batch():
  """D moves twice and G once, with 6 rows: D meets rows 0, 2, 4 and then 1, 3, 5, G meets rows 0, 2, 4."""

  def player():
    def loss(own, state, batch, key):
      return 0 * own, Aux({"seen": batch["image"][:, 0]}, {"first": batch["image"][0, 0]})

    return Player(lambda key, batch: (jnp.zeros(()), {"seen": batch["image"][:, 0]}), loss, optax.sgd(0.0))

  players = {"discriminator": player(), "generator": player()}
  game = Game(players, (("discriminator",), ("discriminator",), ("generator",)), sample=lambda *_: None)
  assert slices_per_round(game) == 2
  batch = {"image": jnp.arange(6.0)[:, None]}
  algorithm = build(game)
  state = algorithm.init(jax.random.key(0), batch)
  np.testing.assert_array_equal(state.model_state["discriminator"]["seen"], [0, 2, 4])
  state, _ = algorithm.step(state, batch, jax.random.key(0))
  np.testing.assert_array_equal(state.model_state["discriminator"]["seen"], [1, 3, 5])
  np.testing.assert_array_equal(state.model_state["generator"]["seen"], [0, 2, 4])
  with pytest.raises(ValueError, match="batch of 5 cannot be cut into 2 turns; use a multiple of 2"):
    algorithm.step(state, {"image": batch["image"][:5]}, jax.random.key(0))


def fakes_met(transform, n_critic=1):
  """The sum of the fakes that D (in its last turn) and G met."""
  total = lambda play: play.fake.sum()
  game = gan(
    Affine(2), Affine(), objectives.hinge(), prior=priors.normal(3), n_critic=n_critic,
    optimizers={"generator": optax.sgd(0.1), "discriminator": optax.sgd(0.1)},
    discriminator_terms={"met": total}, generator_terms={"met": total},
  )  # fmt: skip
  algorithm = build(transform(game))
  batch = {"image": np.ones((4, 2), "float32")}
  _, metrics = jax.jit(algorithm.step)(algorithm.init(jax.random.key(0), batch), batch, jax.random.key(1))
  return float(metrics["discriminator/met"]), float(metrics["generator/met"])


def test_shared_noise():
  d, g = fakes_met(transforms.shared_noise)
  assert d == pytest.approx(g, rel=1e-5)
  d, g = fakes_met(lambda game: game)
  assert abs(d - g) > 1e-2
  d, g = fakes_met(transforms.simultaneous)  # one turn is one draw
  assert d == pytest.approx(g, rel=1e-5)
  d, g = fakes_met(transforms.shared_noise, n_critic=2)  # G shares with D's first turn
  assert abs(d - g) > 1e-2


def test_n_critic_in_closed_form():
  turns = (("discriminator",), ("discriminator",), ("generator",))
  batch = {"image": np.zeros((2, 1), "float32")}
  algorithm = build(bilinear(turns=turns))
  state, _ = jax.jit(algorithm.step)(algorithm.init(jax.random.key(0), batch), batch, jax.random.key(0))
  y = Y + 2 * RATE * A * X
  assert values(state) == pytest.approx((X - RATE * A * y, y), rel=1e-6)


def test_what_cannot_be_played_is_refused():
  with pytest.raises(ValueError, match="names 'critic', who is not a player; players: generator, discriminator"):
    build(bilinear(turns=(("critic",),)))
  make = lambda names, **settings: gan(
    Affine(2),
    Affine(),
    objectives.hinge(),
    prior=priors.normal(3),
    optimizers={name: optax.sgd(0.1) for name in names},
    **settings,
  )
  with pytest.raises(ValueError, match="no optimizer for 'discriminator'"):
    make(["generator"])
  with pytest.raises(ValueError, match="an optimizer for 'critic'"):
    make(["generator", "discriminator", "critic"])
  with pytest.raises(ValueError, match="n_critic is 0"):
    make(["generator", "discriminator"], n_critic=0)


def test_a_player_may_pursue_another_thing_in_another_turn():
  """x falls along x^2, then along 3 x; the moves are numbered as turns of one player, and logged apart."""
  own = lambda value: lambda x, state, batch, key: (value(x), Aux({}, {"rows": batch["image"].sum()}))
  player = Player(lambda key, batch: (jnp.asarray(X), {}), own(lambda x: x**2), optax.sgd(RATE), 0.9, {"far": own(lambda x: 3 * x)})
  game = Game({"generator": player}, (("generator",), ("generator.far",)), sample=lambda *_: None)
  algorithm, batch = build(game), {"image": jnp.array([[1.0], [10.0]])}
  assert slices_per_round(game) == 2
  state, metrics = algorithm.step(algorithm.init(jax.random.key(0), batch), batch, jax.random.key(0))
  first = X - RATE * 2 * X
  assert float(state.params["generator"]) == pytest.approx(first - RATE * 3, rel=1e-6)
  assert float(metrics["generator/rows"]) == 1 and float(metrics["generator.far/rows"]) == 10
  assert transforms.repeat(game, 2).turns == (("generator",), ("generator",), ("generator.far",), ("generator.far",))
  with pytest.raises(ValueError, match=r"names 'generator.near', which is no part of generator; parts: far"):
    build(game._replace(turns=(("generator.near",),)))
