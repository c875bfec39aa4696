"""CycleGAN, with affine players whose every output is known."""

import jax
import numpy as np
import optax
import pytest
from plays import Affine, affine, fixed_prior, with_params
from plays import loss as loss_on

from gan_jax import games
from gan_jax.core import build, take_turn

PLAYERS = ("generator", "inverse", "discriminator", "second_discriminator")
EMPTY = fixed_prior(np.zeros((4, 0), "float32"))
A, B = (np.random.default_rng(seed).normal(size=(4, 2)).astype("float32") for seed in (0, 1))
BATCH = {"image": B, "condition": A}


def cyclegan(**settings):
  game = games.cyclegan(Affine(2), Affine(), prior=EMPTY, optimizers={name: optax.sgd(0.1) for name in PLAYERS}, **settings)
  return game, build(game).init(jax.random.key(0), BATCH)


@pytest.mark.parametrize("identity_weight", [None, 0.5])
def test_losses(identity_weight):
  game, state = cyclegan(weight=3.0, identity_weight=identity_weight)
  forth, back = (lambda x, n=n: affine(state, n, x) for n in ("generator", "inverse"))
  of_b, of_a = (lambda x, n=n: affine(state, n, x)[:, 0] for n in ("discriminator", "second_discriminator"))
  shared = np.square(of_b(forth(A)) - 1).mean() + np.square(of_a(back(B)) - 1).mean()
  shared += 3 * (np.abs(back(forth(A)) - A).mean() + np.abs(forth(back(B)) - B).mean())
  if identity_weight is not None:
    shared += identity_weight * (np.abs(forth(B) - B).mean() + np.abs(back(A) - A).mean())
  wanted = {
    "discriminator": (np.square(of_b(B) - 1).mean() + np.square(of_b(forth(A))).mean()) / 2,
    "second_discriminator": (np.square(of_a(A) - 1).mean() + np.square(of_a(back(B))).mean()) / 2,
    "generator": shared, "inverse": shared,
  }  # fmt: skip
  for name, value in wanted.items():
    assert loss_on(game, state, name, BATCH)[0] == pytest.approx(value, rel=1e-5), name


def test_by_hand():
  """G doubles, F halves: the cycle is kept, and D, which says .5 of everything, is missed by .25 on each side."""
  game, state = cyclegan()
  constant = {"kernel": np.zeros((2, 1), "float32"), "bias": np.full(1, 0.5, "float32")}
  scale = lambda by: {"kernel": by * np.eye(2, dtype="float32"), "bias": np.zeros(2, "float32")}
  state = with_params(state, generator=scale(2), inverse=scale(0.5), discriminator=constant, second_discriminator=constant)
  value, metrics = loss_on(game, state, "generator", BATCH)
  assert value == pytest.approx(0.5) and float(metrics["cycle"]) == pytest.approx(0, abs=1e-6)
  assert loss_on(game, state, "discriminator", BATCH)[0] == pytest.approx(0.25)
  halved = with_params(state, inverse=scale(1))
  wanted = 10 * (np.abs(A).mean() + np.abs(B).mean())  # there and back is twice what it was
  assert float(loss_on(game, halved, "inverse", BATCH)[1]["cycle"]) == pytest.approx(wanted, rel=1e-5)
  np.testing.assert_allclose(game.sample(state, jax.random.key(0), BATCH), 2 * A, rtol=1e-6)


def test_discriminators_move_together_then_both_ways():
  game, state = cyclegan()
  assert game.turns == (("discriminator", "second_discriminator"), ("generator", "inverse"))
  for names in game.turns:
    after, _ = take_turn(game, names, state, BATCH, jax.random.key(0))
    moved = {name for name in PLAYERS if (after.params[name]["kernel"] != state.params[name]["kernel"]).any()}
    assert moved == set(names)


def test_refused():
  with pytest.raises(ValueError, match=r"images of one shape, here \(2,\); the data's condition is none"):
    build(cyclegan()[0]).init(jax.random.key(0), {"image": B})
  with pytest.raises(ValueError, match=r"the data's condition is of shape \(1,\)"):
    build(cyclegan()[0]).init(jax.random.key(0), {"image": B, "condition": A[:, :1]})
