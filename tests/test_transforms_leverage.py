"""Ridge leverage scores: what they are, who is drawn by them, and on what the players then play.

Mutations that made a test here fail: gamma in place of n gamma, in either form; the mean of f f^T in place of the sum; rows drawn alike, by 1 / l,
one beside the drawn one; the whole pool kept; D's turns alone on chosen rows; a sketch of zeros; scores squared; the kernel's scale not squared.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from plays import Affine

from gan_jax import gan, objectives, priors, transforms, views
from gan_jax.core import Aux, Game, Player, build
from gan_jax.transforms.leverage import gaussian_kernel, kernel_scores, leverage_scores

E1, E2 = [1.0, 0.0], [0.0, 1.0]


def test_scores_by_hand():
  """Three rows along one axis and one along the other: F^T F = diag(3, 1), n gamma = .4."""
  scores = leverage_scores(jnp.array([E1, E1, E1, E2]), 0.1)
  np.testing.assert_allclose(scores, [1 / 3.4] * 3 + [1 / 1.4], rtol=1e-6)


def test_a_small_ridge_gives_every_group_the_same_and_a_large_one_nothing_new():
  rows = jnp.array([E1] * 9 + [E2])
  group = lambda gamma: float(leverage_scores(rows, gamma)[-1] / leverage_scores(rows, gamma).sum())
  assert group(1e-4) == pytest.approx(1 / 2, rel=1e-3) and group(1e3) == pytest.approx(1 / 10, rel=1e-2)


def test_inner_products_give_the_same_scores():
  features = jnp.asarray(np.random.default_rng(0).standard_normal((7, 3)))
  np.testing.assert_allclose(kernel_scores(features @ features.T, 0.05), leverage_scores(features, 0.05), rtol=1e-4)


def test_the_kernel_by_hand():
  """A distance of 1 scale is e^-1, with no 1/2; |(3, 4)| = 5 scales of 1 are e^-25."""
  np.testing.assert_allclose(gaussian_kernel(jnp.array([[0.0], [0.3]]), 0.3), [[1, np.exp(-1)], [np.exp(-1), 1]], rtol=1e-5)
  assert float(gaussian_kernel(jnp.array([[0.0, 0.0], [3.0, 4.0]]), 1.0)[0, 1]) == pytest.approx(np.exp(-25), rel=1e-4)


def of_rows(features=lambda x: x) -> Game:
  """A game whose players' losses are the mean of what they are given, and whose discriminator has given features."""
  def value(params, state, batch, key):
    x = batch["image"]
    return params * x.mean(), Aux({}, {"share": x[:, 0].mean(), "rows": jnp.asarray(1.0 * len(x))})

  player = Player(lambda key, batch: (jnp.ones(()), {}), value, optax.sgd(0.1))
  judge = lambda state, examples, batch: (examples[:, 0], features(examples))
  sample = lambda state, key, batch: batch["image"]
  return Game({"discriminator": player, "generator": player}, (("discriminator",), ("generator",)), sample, judge=judge)


def shares(game, images, rounds=200):
  """For both players the mean of the first coordinate of what they played on, and how many rows that was."""
  algorithm, batch = build(game), {"image": jnp.asarray(images, jnp.float32)}
  state = algorithm.init(jax.random.key(0), batch)
  logs = jax.jit(jax.vmap(lambda key: algorithm.step(state, batch, key)[1]))(jax.random.split(jax.random.key(1), rounds))
  return {name: float(log.mean()) for name, log in logs.items() if "share" in name or "rows" in name}


def test_rare_directions_are_drawn_as_often_as_common_ones():
  """12 rows of 16 along the first axis: drawn with 12 / (12 + .016) to 4 / (4 + .016). A quarter of the rows, for both players alike."""
  images = [E1] * 12 + [E2] * 4
  common, rare = 12 / (12 + 16e-3), 4 / (4 + 16e-3)
  found = shares(transforms.ridge_leverage(of_rows(), pool=4, gamma=1e-3, sketch=None), images, 2000)
  for player in ("discriminator", "generator"):
    assert found[f"{player}/rows"] == 4
    assert found[f"{player}/share"] == pytest.approx(common / (common + rare), abs=0.02)


def test_the_kernels_features_are_fixed_and_see_distances_in_units_of_the_scale():
  """Twelve points at one place and four at places of their own, 10 scales apart: l = 12 * (1/12) / (1 + .16 / 12) and 4 / (1 + .16)."""
  images = [[1.0, 0.0]] * 12 + [[0.0, 1.5 * k] for k in range(1, 5)]
  game = of_rows()._replace(judge=None)
  found = shares(transforms.ridge_leverage(game, pool=4, gamma=0.01, on="samples"), images, 2000)
  one, four = 12 / (12 + 0.16), 4 / 1.16
  assert found["discriminator/share"] == pytest.approx(one / (one + four), abs=0.02)


def test_a_sketch_keeps_what_features_span():
  """Features of 64 numbers that lie on two axes: two random directions are as good as the whole."""
  images = [E1] * 12 + [E2] * 4
  found = shares(transforms.ridge_leverage(of_rows(lambda x: jnp.tile(x, (1, 32))), pool=4, gamma=1e-6, sketch=2), images, 1000)
  assert found["discriminator/share"] == pytest.approx(1 / 2, abs=0.03)


def settings(**more):
  return {"prior": priors.normal(2), "optimizers": dict.fromkeys(("generator", "discriminator"), optax.sgd(0.1)), **more}


def test_scores_have_no_gradient_and_are_the_discriminators_of_the_turn():
  """A pool of 1 and any scores: the loss is that of rows drawn from the batch; on one row that is the plain game, gradient and all."""
  game = gan(Affine(2), Affine(), objectives.non_saturating(), **settings())
  game = game._replace(judge=lambda state, examples, batch: (None, examples * state.params["discriminator"]["kernel"].sum()))
  batch = {"image": jnp.array([[1.0, 2.0]] * 3)}
  plain, chosen = (build(g) for g in (game, transforms.ridge_leverage(game, pool=1)))
  state = plain.init(jax.random.key(0), batch)
  jax.tree.map(np.testing.assert_array_equal, plain.step(state, batch, jax.random.key(1)), chosen.step(state, batch, jax.random.key(1)))


def test_what_cannot_be_is_refused_in_one_line():
  game = of_rows()
  with pytest.raises(ValueError, match="pool is 0"):
    transforms.ridge_leverage(game, pool=0)
  with pytest.raises(ValueError, match='it may be "discriminator" or "samples"'):
    transforms.ridge_leverage(game, on="features")
  packed = gan(Affine(2), Affine(), objectives.hinge(), **settings(view=views.pack(2)))
  with pytest.raises(ValueError, match=r'single examples.*use on = "samples"'):
    transforms.ridge_leverage(packed)
  with pytest.raises(ValueError, match=r"batch of 6 cannot be cut into pools of 4; use a multiple of 4"):
    shares(transforms.ridge_leverage(game, pool=4), [E1] * 6, 1)
