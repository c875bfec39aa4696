"""Self-conditioned GAN: who is in what cluster, when that changes, and what the players and samples get to know of it.

Mutations that made a test here fail: labels by the D of the moment; D at the last clustering not kept; k-means from scratch, or from the old centers
as they were; labels uniform in samples; fakes of other rows' labels; G not told; examples not remembered, or the first ones for ever; no clustering
when the memory is full; every seed clustered when one is due; empty clusters left at 0; first centers drawn uniformly; features asked for with a
label; the farthest center.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn
from plays import fixed_prior, with_params

from gan_jax import gan, objectives, transforms, views
from gan_jax.core import build
from gan_jax.transforms.clusters import k_means, k_means_plus_plus, means_of, nearest

KEY = jax.random.key(0)


def test_lloyds_algorithm_by_hand():
  """From 0 and 4: {0, 1} and {4, 9, 11} have the means .5 and 8, then {0, 1, 4} and {9, 11} have 5/3 and 10."""
  points = jnp.array([[0.0], [1.0], [4.0], [9.0], [11.0]])
  centers, shares = k_means(points, jnp.array([[0.0], [4.0]]), 1, KEY)
  np.testing.assert_allclose(centers, [[0.5], [8.0]])
  np.testing.assert_allclose(shares, [3 / 5, 2 / 5], rtol=1e-6)
  np.testing.assert_allclose(k_means(points, jnp.array([[0.0], [4.0]]), 5, KEY)[0], [[5 / 3], [10.0]], rtol=1e-6)


def test_an_empty_cluster_gets_a_point():
  points = jnp.array([[1.0], [3.0]])
  means, shares = means_of(points, jnp.array([0, 0]), 2, KEY)
  assert float(means[0, 0]) == 2.0 and float(means[1, 0]) in (1.0, 3.0)
  np.testing.assert_array_equal(shares, [1.0, 0.0])


def test_first_centers_are_far_from_each_other():
  """Three places, one of which holds 98 of 100 points: each has a center, since what is taken has no distance left."""
  points = jnp.array([[0.0, 0.0]] * 98 + [[1.0, 0.0], [0.0, 7.0]])
  for seed in range(5):
    centers = np.asarray(k_means_plus_plus(points, 3, jax.random.key(seed)))
    assert sorted(map(tuple, centers)) == [(0.0, 0.0), (0.0, 7.0), (1.0, 0.0)]


def test_centers_are_drawn_by_squared_distances():
  """Of 90 points at 0, nine at 2 and one at 100 with the first center at 0: 100^2 / (100^2 + 9 * 2^2) = .996, and .1 where distances stop at 1."""
  points = jnp.array([[0.0]] * 90 + [[2.0]] * 9 + [[100.0]])
  centers = np.asarray(jax.vmap(lambda key: k_means_plus_plus(points, 2, key))(jax.random.split(KEY, 2000)))[:, :, 0]
  first, second = centers.T
  assert np.mean(first == 0) == pytest.approx(0.9, abs=0.03)
  assert np.mean(second[first == 0] == 100) > 0.98


class Telling(nn.Module):
  """As a generator z + <a, label>; as a discriminator w (x + <a, label>), whose features are the inputs and the label's place."""

  generates: bool = False

  @nn.compact
  def __call__(self, x, label, *, train):
    a = self.param("a", nn.initializers.normal(1.0), (label.shape[1], 1))
    moved = x + label @ a
    if self.generates:
      return moved
    moved = moved * self.param("w", nn.initializers.ones, ())
    self.sow("intermediates", "features", moved)
    return moved[:, 0]


BATCH = {"image": np.repeat([[-10.0], [0.0], [10.0], [10.0]], 2, axis=0).astype("float32")}
LABELS_SHARE = np.array([0.25, 0.25, 0.5])


def plain(rate=0.0, latents=64, **settings):
  optimizers = dict.fromkeys(("generator", "discriminator"), optax.sgd(rate))
  return gan(Telling(True), Telling(), objectives.hinge(), prior=fixed_prior(np.zeros((latents, 1))), optimizers=optimizers, **settings)


def game_of(rate=0.0, latents=64, **chosen):
  return transforms.self_conditioned(plain(rate, latents), **{"num_clusters": 3, "every": 4, "examples": 16, **chosen})


def memory_of(state):
  return state.model_state["discriminator"]["clusters"]


def test_clusters_are_those_of_the_features_and_both_players_get_to_know_them():
  """G makes a_k from z = 0 and D says what is then w (a_k + a'_k): every fake's logit hangs on the label of the real example in its row."""
  game = game_of()
  algorithm = build(game)
  state = algorithm.init(KEY, BATCH)
  memory = memory_of(state)
  found = nearest(jnp.asarray(BATCH["image"]), memory["centers"])
  np.testing.assert_allclose(np.sort(memory["centers"][:, 0]), [-10, 0, 10], atol=1e-5)
  np.testing.assert_allclose(memory["shares"][found], [0.25] * 4 + [0.5] * 4, rtol=1e-6)
  _, aux = game.players["discriminator"].loss(state.params["discriminator"], state, BATCH, KEY)
  a, b = (np.asarray(state.params[name]["a"])[:, 0][np.asarray(found)] for name in ("generator", "discriminator"))
  assert float(aux.metrics["fake_logits"]) == pytest.approx((a + b).mean(), rel=1e-5)
  assert float(aux.metrics["real_logits"]) == pytest.approx((BATCH["image"][:, 0] + b).mean(), rel=1e-5)
  value, _ = game.players["generator"].loss(state.params["generator"], state, BATCH, KEY)
  assert float(value) == pytest.approx(-(a + b).mean(), rel=1e-5)
  outputs, _ = game.judge(state, jnp.asarray(BATCH["image"]), BATCH)
  np.testing.assert_allclose(outputs, BATCH["image"][:, 0] + b, rtol=1e-5)


def test_samples_have_the_clusters_shares():
  game = game_of(latents=4000)
  state = build(game).init(KEY, BATCH)
  samples = np.asarray(game.sample(state, jax.random.key(3), {"image": np.zeros((4000, 1))}))[:, 0]
  of_cluster = np.asarray(state.params["generator"]["a"])[:, 0]
  counted = [np.isclose(samples, a, atol=1e-6).mean() for a in of_cluster]
  np.testing.assert_allclose(counted, memory_of(state)["shares"], atol=0.03)
  np.testing.assert_allclose(np.sort(counted), LABELS_SHARE, atol=0.03)


def play(game, batches):
  algorithm = build(game)
  states = [algorithm.init(KEY, batches[0])]
  step = jax.jit(algorithm.step)
  for batch in batches:
    states.append(step(states[-1], batch, jax.random.key(1))[0])
  return states


def test_when_clusters_are_found_anew_and_by_whose_eyes():
  """Eight examples a round and a memory of 16: after round 2, which fills it, and after rounds 4 and 8."""
  states = play(game_of(rate=0.05), [BATCH] * 9)
  assert [int(memory_of(state)["found"]) for state in states] == [0, 0, 1, 1, 2, 2, 2, 2, 3, 3]
  for number, state in enumerate(states):
    params, _ = memory_of(state)["eyes"]
    last = max(n for n in (0, 2, 4, 8) if n <= number)
    np.testing.assert_array_equal(params["w"], states[last].params["discriminator"]["w"])  # not those of the moment
  w = [float(state.params["discriminator"]["w"]) for state in states]
  assert len(set(w)) == len(w)


def test_a_new_clustering_keeps_the_numbers_and_follows_the_features():
  """D's w grows, and with it its features: the centers are w times the places, in the same order."""
  states = play(game_of(rate=0.05), [BATCH] * 4)
  for state in (states[2], states[4]):
    w = float(memory_of(state)["eyes"][0]["w"])
    np.testing.assert_allclose(memory_of(state)["centers"], w * np.asarray(memory_of(states[0])["centers"]), rtol=1e-5, atol=1e-4)


def test_numbers_are_kept_where_the_features_turn_round():
  """w becomes -1, and every feature its opposite: old centers taken as they are would exchange the clusters on the outside."""
  algorithm = build(game_of())
  state = algorithm.init(KEY, BATCH)
  before = memory_of(state)
  turned = with_params(state, discriminator={**state.params["discriminator"], "w": -jnp.ones(())})
  for _ in range(2):
    turned, _ = algorithm.step(turned, BATCH, KEY)
  assert int(memory_of(turned)["found"]) == 1
  np.testing.assert_allclose(memory_of(turned)["centers"], -before["centers"], atol=1e-5)
  np.testing.assert_allclose(memory_of(turned)["shares"], before["shares"], rtol=1e-6)


def test_the_memory_holds_the_last_examples():
  """Four clusters' worth of batches moves on: what was there at first is forgotten, and clusters follow the data."""
  later = {"image": BATCH["image"] + 3}
  memory = memory_of(play(game_of(), [BATCH, BATCH, later, later])[-1])
  np.testing.assert_array_equal(memory["examples"], np.concatenate([later["image"]] * 2))
  np.testing.assert_allclose(np.sort(memory["centers"][:, 0]), [-7, 3, 13], atol=1e-5)


def test_seeds_cluster_on_their_own():
  """vmap over two seeds whose clusterings are due in different rounds: each does what it does alone."""
  algorithm = build(game_of(rate=0.05))
  states = [play(game_of(rate=0.05), [BATCH] * n)[-1] for n in (3, 2)]
  step = lambda state: algorithm.step(state, BATCH, jax.random.key(1))[0]
  both = jax.jit(jax.vmap(step))(jax.tree.map(lambda *x: jnp.stack(x), *states))
  for seed, state in enumerate(states):
    jax.tree.map(lambda a, b, seed=seed: np.testing.assert_allclose(a[seed], b, rtol=1e-5, atol=1e-5), both, step(state))
  assert memory_of(both)["found"].tolist() == [2, 1]


def test_what_cannot_be_is_refused_in_one_line():
  with pytest.raises(ValueError, match="num_clusters is 0"):
    game_of(num_clusters=0)
  with pytest.raises(ValueError, match="examples is 2; 3 clusters need as many"):
    game_of(examples=2)
  with pytest.raises(ValueError, match="no packs, no diffusion"):
    transforms.self_conditioned(plain(view=views.pack(2)))
  with pytest.raises(ValueError, match="these data come with a condition"):
    build(game_of()).step(build(game_of()).init(KEY, BATCH), {**BATCH, "condition": np.zeros(8, int)}, KEY)
  with pytest.raises(ValueError, match="put it before rejection_sampling"):
    transforms.self_conditioned(transforms.rejection_sampling(plain()))
