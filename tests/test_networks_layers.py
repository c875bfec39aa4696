"""Normalisation, conditions, attention and spectral convolutions against loops in numpy, flax, and their own definitions.

Mutations that made a test here fail: batch statistics in place of the population's at evaluation; the population moved at evaluation; statistics
of one device; a Film without its 1; a softmax over queries; two power iterations.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import networks
from gan_jax.networks import conditional, layers, resampling, settings
from gan_jax.networks.attention import SelfAttention
from gan_jax.networks.conditional import Film, Projection
from gan_jax.networks.normalization import BatchNorm


def normal(seed, *shape):
  return np.random.default_rng(seed).normal(size=shape).astype("float32")


def random_like(variables, seed=0):
  """Parameters away from their start, where zeros hide what is multiplied by them."""
  leaves, structure = jax.tree.flatten(variables)
  return jax.tree.unflatten(structure, [leaf + normal(seed + i, *jnp.shape(leaf)) / 2 for i, leaf in enumerate(leaves)])


def normalized(x, mean, variance):
  return (x - mean) / np.sqrt(variance + 1e-5)


@pytest.mark.parametrize("shape", [(6, 3), (4, 5, 2, 3)])
def test_batch_norm_is_flax_s_in_training_and_by_the_population(shape):
  ours, theirs = BatchNorm(0.8), nn.BatchNorm(momentum=0.8)
  x = 3 + 2 * normal(0, *shape)
  variables = ours.init(jax.random.key(0), x, train=False)
  assert jax.tree.map(jnp.shape, variables) == jax.tree.map(jnp.shape, theirs.init(jax.random.key(0), x, use_running_average=True))
  variables = {"params": random_like(variables["params"]), "batch_stats": jax.tree.map(lambda v: v + 0.5, variables["batch_stats"])}
  got, moved = ours.apply(variables, x, train=True, mutable=["batch_stats"])
  wanted, moved_theirs = theirs.apply(variables, x, use_running_average=False, mutable=["batch_stats"])
  np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), moved, moved_theirs)
  np.testing.assert_allclose(ours.apply(variables, x, train=False), theirs.apply(variables, x, use_running_average=True), rtol=1e-5, atol=1e-5)


def test_statistics_at_evaluation_have_a_name():
  x = 3 + 2 * normal(0, 6, 4, 4, 3)
  population = BatchNorm(0.9)
  batch = BatchNorm(0.9, statistics="batch")
  variables = batch.init(jax.random.key(0), x, train=False)
  mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
  # No collection is mutable, and none is moved; training is the same with either.
  np.testing.assert_allclose(batch.apply(variables, x, train=False), normalized(x, mean, variance), rtol=1e-3, atol=1e-4)
  np.testing.assert_allclose(population.apply(variables, x, train=False), normalized(x, 0, 1), rtol=1e-3, atol=1e-4)
  _, kept = batch.apply(variables, x, train=False, mutable=["batch_stats"])
  jax.tree.map(np.testing.assert_array_equal, kept["batch_stats"], variables["batch_stats"])
  trained = [layer.apply(variables, x, train=True, mutable=["batch_stats"]) for layer in (batch, population)]
  jax.tree.map(np.testing.assert_array_equal, *trained)
  np.testing.assert_allclose(trained[0][1]["batch_stats"]["mean"], 0.1 * mean, rtol=1e-4)
  with pytest.raises(ValueError, match="statistics 'moving': BatchNorm at evaluation uses those of the 'population' or of the 'batch'"):
    BatchNorm(statistics="moving").init(jax.random.key(0), x, train=False)


def test_batch_norm_of_shards_is_that_of_the_whole():
  x = normal(0, 8, 4, 3)
  alone, shared = BatchNorm(), BatchNorm(axis_name="devices")
  variables = alone.init(jax.random.key(0), x, train=False)
  wanted, moved = alone.apply(variables, x, train=True, mutable=["batch_stats"])
  apply = lambda x: shared.apply(variables, x, train=True, mutable=["batch_stats"])
  got, moved_there = jax.vmap(apply, axis_name="devices")(x.reshape(4, 2, 4, 3))
  np.testing.assert_allclose(got.reshape(x.shape), wanted, rtol=1e-5, atol=1e-5)
  jax.tree.map(lambda many, one: np.testing.assert_allclose(many, np.broadcast_to(one, many.shape), rtol=1e-5), moved_there, moved)


def test_conditional_batch_norm_has_a_scale_and_a_shift_for_each_class():
  x, labels = normal(0, 6, 2, 2, 3), np.array([0, 2, 1, 1, 2, 0])
  given = conditional.vector(jnp.asarray(labels), 3)
  layer = BatchNorm()
  variables = layer.init(jax.random.key(0), x, given, train=False)
  start, _ = layer.apply(variables, x, given, train=True, mutable=["batch_stats"])
  plain = normalized(x, x.mean((0, 1, 2)), x.var((0, 1, 2)))
  np.testing.assert_allclose(start, plain, rtol=1e-3, atol=1e-4)  # as an unconditional one starts
  variables = {**variables, "params": random_like(variables["params"])}
  dense = variables["params"]["Film_0"]["Dense_0"]
  assert set(variables["params"]) == {"Film_0"}
  got, _ = layer.apply(variables, x, given, train=True, mutable=["batch_stats"])
  for i, label in enumerate(labels):
    scale, shift = np.split(dense["kernel"][label] + dense["bias"], 2)
    np.testing.assert_allclose(got[i], plain[i] * (1 + scale) + shift, rtol=1e-3, atol=1e-4)


def test_film_takes_vectors_and_starts_as_the_identity():
  x, given = normal(0, 4, 5, 3), normal(1, 4, 2)
  layer = Film()
  variables = layer.init(jax.random.key(0), x, given)
  np.testing.assert_array_equal(layer.apply(variables, x, given), x)
  params = random_like(variables["params"])
  scale, shift = np.split(given @ params["Dense_0"]["kernel"] + params["Dense_0"]["bias"], 2, axis=1)
  np.testing.assert_allclose(layer.apply({"params": params}, x, given), x * (1 + scale[:, None]) + shift[:, None], rtol=1e-4, atol=1e-5)


def test_projection_is_the_product_with_the_class_s_vector():
  h, labels = normal(0, 5, 4), np.array([1, 0, 2, 1, 1])
  layer = Projection()
  variables = layer.init(jax.random.key(0), h, jax.nn.one_hot(labels, 3))
  vectors = np.asarray(variables["params"]["Dense_0"]["kernel"])
  assert set(variables["params"]["Dense_0"]) == {"kernel"}
  wanted = [[h[i] @ vectors[label]] for i, label in enumerate(labels)]
  np.testing.assert_allclose(layer.apply(variables, h, jax.nn.one_hot(labels, 3)), wanted, rtol=1e-4, atol=1e-6)


def test_a_condition_as_a_vector():
  np.testing.assert_array_equal(conditional.vector(jnp.array([2, 0]), 3), [[0, 0, 1], [1, 0, 0]])
  np.testing.assert_array_equal(conditional.vector(jnp.ones((2, 3, 4)), None), np.ones((2, 12)))
  with pytest.raises(ValueError, match="the condition is a label; set num_classes of the generator and of the discriminator"):
    conditional.vector(jnp.array([2, 0]), None)


def test_self_attention_against_loops():
  x = normal(0, 2, 3, 2, 16)
  layer = SelfAttention()
  variables = layer.init(jax.random.key(0), x)
  np.testing.assert_array_equal(layer.apply(variables, x), x)  # gamma starts at 0
  params = random_like(variables["params"])
  project = lambda name, x: x @ params[name]["kernel"][0, 0] + params[name]["bias"]
  wanted = np.zeros_like(x)
  for b in range(2):
    pixels = x[b].reshape(6, 16)
    query, key, value = (project(f"Conv_{i}", pixels) for i in range(3))
    assert query.shape == (6, 2)
    found = np.zeros((6, 2))
    for i in range(6):
      weights = np.exp([query[i] @ key[j] for j in range(6)])
      found[i] = sum(w * v for w, v in zip(weights / weights.sum(), value, strict=True))
    wanted[b] = (pixels + params["gamma"] * project("Conv_3", found)).reshape(3, 2, 16)
  np.testing.assert_allclose(layer.apply({"params": params}, x), wanted, rtol=1e-3, atol=1e-4)


def test_spectral_convolution_takes_one_power_iteration_in_training_and_keeps_its_vector_at_evaluation():
  x = normal(0, 2, 6, 6, 3)
  layer = layers.SpectralConv(4, 3, 2)
  variables = layer.init(jax.random.key(0), x)
  find = lambda tree, end: next(np.asarray(v) for path, v in jax.tree_util.tree_leaves_with_path(tree) if end in jax.tree_util.keystr(path))
  kernel, u = find(variables["params"], "kernel"), find(variables["batch_stats"], "/u")
  matrix = kernel.reshape(-1, 4)
  v = u @ matrix.T / np.linalg.norm(u @ matrix.T)
  after = v @ matrix / np.linalg.norm(v @ matrix)
  sigma = (v @ matrix @ after.T).item()
  plain = layers.Conv(4, 3, 2).apply({"params": {"kernel": kernel / sigma, "bias": np.zeros(4)}}, x)
  out, moved = layer.apply(variables, x, mutable=["batch_stats"])
  np.testing.assert_allclose(out, plain, rtol=1e-4, atol=1e-5)
  np.testing.assert_allclose(find(moved, "/u"), after, rtol=1e-4, atol=1e-5)
  np.testing.assert_allclose(layer.apply(variables, x), plain, rtol=1e-4, atol=1e-5)
  for _ in range(100):
    _, moved = layer.apply({**variables, **moved}, x, mutable=["batch_stats"])
  assert find(moved, "sigma") == pytest.approx(np.linalg.norm(matrix, 2), rel=1e-4)


def test_enlarging_and_pooling():
  x = np.arange(4.0).reshape(1, 2, 2, 1)
  large = resampling.enlarge(x, 2)
  np.testing.assert_array_equal(large[0, :, :, 0], [[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3], [2, 2, 3, 3]])
  np.testing.assert_array_equal(resampling.pool(large, 2), x)
  np.testing.assert_allclose(resampling.pool(x, 2).ravel(), [1.5])
  with pytest.raises(ValueError, match="maps of 3 x 2 cannot be pooled by 2"):
    resampling.pool(np.zeros((1, 3, 2, 1)), 2)


def test_leaky_relu_of_any_slope():
  np.testing.assert_allclose(networks.leaky_relu(slope=0.3)(jnp.array([-1.0, 2.0])), [-0.3, 2])
  np.testing.assert_allclose(networks.leaky_relu()(jnp.array([-1.0])), settings.function("leaky_relu")(jnp.array([-1.0])))
