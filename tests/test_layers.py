"""Layers and the multilayer perceptron against loops in numpy; where their states move, and where not.

Mutations that made a test here fail: minibatch discrimination with itself included, without the scale, with columns
left unnormalised, with Euclidean distances, with real and fake in one batch; contiguous groups, the variance without
its root or with 1e-8 outside it (stddev); no power iteration, and two a turn; BatchNorm's running statistics used in
training; the last update of D's statistics instead of the mean of real and fake.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import lax
from plays import Affine, fixed_prior

from gan_jax import gan, networks, objectives, priors
from gan_jax.core import build, take_turn
from gan_jax.networks import layers

SGD = {"generator": optax.sgd(0.05), "discriminator": optax.sgd(0.05)}


def rows(n, width, seed=0):
  return np.random.default_rng(seed).normal(size=(n, width)).astype("float32")


def discrimination(h, params):
  """Salimans et al., 2016, eq. 2-4, row by row."""
  kernel = np.asarray(params["kernel"], np.float64)
  kernel = kernel / np.sqrt(np.square(kernel).sum(axis=0))
  projected = np.einsum("ba,akd->bkd", h, kernel) * np.exp(np.asarray(params["log_scale"]))[:, None]
  out = np.zeros((len(h), kernel.shape[1]))
  for i in range(len(h)):
    for j in range(len(h)):
      if i != j:
        out[i] += np.exp(-np.abs(projected[i] - projected[j]).sum(axis=1))
  return np.concatenate([h, out + np.asarray(params["bias"])], axis=1), projected


def test_minibatch_discrimination_against_loops():
  layer, h = layers.MinibatchDiscrimination(num_kernels=4, dim=3), rows(7, 5)
  out, variables = layer.init_with_output(jax.random.key(0), h)
  wanted, projected = discrimination(h, variables["params"])
  np.testing.assert_allclose(out, wanted, rtol=1e-5, atol=1e-6)
  np.testing.assert_allclose(variables["params"]["bias"], -1)
  # The data-dependent scale: every kernel's mean nearest distance is 2.
  distances = np.abs(projected[:, None] - projected[None]).sum(axis=3) + 1e6 * np.eye(7)[:, :, None]
  np.testing.assert_allclose(distances.min(axis=1).mean(axis=0), 2, rtol=1e-4)
  moved = jax.tree.map(lambda x: x + 0.1, variables["params"])
  np.testing.assert_allclose(layer.apply({"params": moved}, h), discrimination(h, moved)[0], rtol=1e-5, atol=1e-6)


def test_a_row_is_not_compared_with_itself():
  """Two rows alike: o = exp(0) + b = 0. With itself it would be 1."""
  layer = layers.MinibatchDiscrimination(num_kernels=3, dim=2)
  variables = layer.init(jax.random.key(0), rows(2, 4))
  np.testing.assert_allclose(layer.apply(variables, np.ones((2, 4), "float32"))[:, 4:], 0, atol=1e-6)
  with pytest.raises(ValueError, match="needs a batch of 2 or more"):
    layer.init(jax.random.key(0), np.ones((1, 4), "float32"))


@pytest.mark.parametrize("size", [1e-2, 1e3])
def test_the_scale_keeps_kernels_alive(size):
  """Without it exp(-d) is 1 for small features and 0 for large ones, and neither tells collapse from variety."""
  layer, h = layers.MinibatchDiscrimination(num_kernels=4, dim=3), rows(16, 5)
  alive, variables = layer.init_with_output(jax.random.key(0), size * h)
  usual, _ = layer.init_with_output(jax.random.key(0), h)
  np.testing.assert_allclose(alive[:, 5:], usual[:, 5:], rtol=1e-3, atol=1e-3)
  spread = np.asarray(alive[:, 5:]) + 1
  assert 0.05 < spread.mean() < 8 and spread.std() > 0.05
  collapsed = np.asarray(layer.apply(variables, np.tile(size * h[:1], (16, 1)))[:, 5:]) + 1
  np.testing.assert_allclose(collapsed, 15, rtol=1e-4)
  slopes = jax.grad(lambda p: layer.apply({"params": p}, size * h)[:, 5:].sum())(variables["params"])
  assert all(float(jnp.abs(slope).max()) > 1e-3 for slope in jax.tree.leaves(slopes))


def test_real_and_fake_come_in_separate_batches():
  game = gan(
    Affine(2), networks.mlp(1, (4,), across=networks.minibatch_discrimination(3, 2)), objectives.hinge(),
    prior=priors.normal(2), optimizers=SGD,
  )  # fmt: skip
  batch = {"image": rows(6, 2)}
  state = build(game).init(jax.random.key(0), batch)

  @jax.jit
  def logits(scale):
    params = jax.tree.map(lambda x: x * scale, state.params["generator"])
    other = state.replace(params={**state.params, "generator": params})
    metrics = (
      game.players["discriminator"].loss(state.params["discriminator"], other, batch, jax.random.key(0))[1].metrics
    )
    return metrics["real_logits"], metrics["fake_logits"]

  (real, fake), (real_again, other_fake) = logits(1.0), logits(2.0)
  assert float(real) == float(real_again) and float(fake) != float(other_fake)


@pytest.mark.parametrize("shape", [(8, 3), (8, 2, 2, 3)])
def test_minibatch_stddev_against_loops(shape):
  h = np.random.default_rng(0).normal(size=shape).astype("float32")
  out = np.asarray(layers.MinibatchStddev(group_size=4).apply({}, h))
  assert out.shape == (*shape[:-1], shape[-1] + 1)
  np.testing.assert_array_equal(out[..., :-1], h)
  for i in range(8):
    group = h[i % 2 :: 2]  # rows i, i + 2, i + 4, ...
    wanted = np.sqrt(np.square(group - group.mean(axis=0)).mean(axis=0) + 1e-8).mean()
    np.testing.assert_allclose(out[i, ..., -1], wanted, rtol=1e-5)


def test_minibatch_stddev_by_hand():
  """Groups (0, 4) and (0, 8), of rows 0, 2 and 1, 3: standard deviations 2 and 4."""
  out = layers.MinibatchStddev(group_size=2).apply({}, np.array([[0.0], [0.0], [4.0], [8.0]], "float32"))
  np.testing.assert_allclose(out[:, 1], [2, 4, 2, 4])
  with pytest.raises(ValueError, match="batch of 6 cannot be cut into groups of 4"):
    layers.MinibatchStddev(group_size=4).apply({}, rows(6, 2))


def test_minibatch_stddev_is_smooth_where_samples_agree():
  slope = jax.grad(lambda h: layers.MinibatchStddev(2).apply({}, h)[:, -1].sum())(jnp.ones((4, 3)))
  assert bool(jnp.isfinite(slope).all())


def power_iteration(u, kernel):
  v = u @ kernel.T / np.linalg.norm(u @ kernel.T)
  u = v @ kernel / np.linalg.norm(v @ kernel)
  return u, float((v @ kernel @ u.T)[0, 0])


def spectral_game():
  d = networks.mlp(1, (6,), "leaky_relu", dense="SpectralDense", last="SpectralDense")
  game = gan(networks.mlp(2, (4,)), d, objectives.hinge(), prior=priors.normal(2), optimizers=SGD)
  batch = {"image": rows(8, 2)}
  return game, d, batch, jax.jit(build(game).init)(jax.random.key(0), batch)


def kernels_and_vectors(state):
  """(kernel, u) of D's layers, by layer."""
  params, stats = state.params["discriminator"], state.model_state["discriminator"]["network"]["batch_stats"]
  flat = lambda tree, end: [
    np.asarray(x) for path, x in jax.tree_util.tree_leaves_with_path(tree) if end in jax.tree_util.keystr(path)
  ]
  return list(zip(flat(params, "kernel"), flat(stats, "/u"), strict=True))


def test_spectral_vectors_take_one_power_iteration_in_their_owners_turn():
  game, _, batch, state = spectral_game()
  before = kernels_and_vectors(state)
  assert len(before) == 2
  round_, _ = jax.jit(build(game).step)(state, batch, jax.random.key(1))
  for (kernel, u), (_, u_after) in zip(before, kernels_and_vectors(round_), strict=True):
    np.testing.assert_allclose(u_after, power_iteration(u, kernel)[0], rtol=1e-4, atol=1e-5)
  moved, _ = jax.jit(lambda state: take_turn(game, ("generator",), state, batch, jax.random.key(1)))(state)
  for (kernel, u), (kernel_after, u_after) in zip(before, kernels_and_vectors(moved), strict=True):
    np.testing.assert_array_equal(u_after, u)
    np.testing.assert_array_equal(kernel_after, kernel)


def test_spectral_norm_tends_to_one():
  game, d, batch, state = spectral_game()
  step = build(game).step
  play_on = jax.jit(
    lambda state: lax.scan(lambda s, _: (step(s, batch, jax.random.key(1))[0], None), state, length=100)[0]
  )
  largest = lambda state: [
    np.linalg.norm(kernel, 2) / power_iteration(u, kernel)[1] for kernel, u in kernels_and_vectors(state)
  ]
  assert max(largest(state)) > 1.02  # at the start the vectors are noise
  state = play_on(state)
  assert largest(state) == pytest.approx([1, 1], abs=0.01)
  # Evaluation divides by the same, and leaves the vectors as they are.
  (first, u), (second, v) = kernels_and_vectors(state)
  params = state.params["discriminator"]
  biases = [
    np.asarray(b) for path, b in jax.tree_util.tree_leaves_with_path(params) if "bias" in jax.tree_util.keystr(path)
  ]
  hidden = rows(3, 2, 1) @ first / power_iteration(u, first)[1] + biases[0]
  hidden = np.maximum(hidden, 0.2 * hidden)
  wanted = hidden @ second / power_iteration(v, second)[1] + biases[1]
  variables = {"params": params, **state.model_state["discriminator"]["network"]}
  np.testing.assert_allclose(d.apply(variables, rows(3, 2, 1), train=False), wanted, rtol=1e-4, atol=1e-5)


def batch_norm_game(player):
  settings = {player: 0.9}
  game = gan(
    networks.mlp(2, (4,), batch_norm=settings.get("generator")),
    networks.mlp(1, (3,), batch_norm=settings.get("discriminator")),
    objectives.hinge(), prior=fixed_prior(rows(8, 2, 5)), optimizers=SGD, ema_decay=0.9,
  )  # fmt: skip
  batch = {"image": 1 + 2 * rows(8, 2)}
  return game, batch, jax.jit(build(game).init)(jax.random.key(0), batch)


def first_layer(params, x):
  return x @ np.asarray(params["Dense_0"]["kernel"]) + np.asarray(params["Dense_0"]["bias"])


def running(state, player):
  stats = state.model_state[player]["network"]["batch_stats"]["BatchNorm_0"]
  return np.asarray(stats["mean"]), np.asarray(stats["var"])


def test_batch_norm_of_the_generator():
  game, batch, state = batch_norm_game("generator")
  turn = {
    name: jax.jit(lambda s, name=name: take_turn(game, (name,), s, batch, jax.random.key(1))[0])
    for name in game.players
  }
  rival = turn["discriminator"](state)
  np.testing.assert_array_equal(running(rival, "generator"), running(state, "generator"))
  moved = turn["generator"](state)
  hidden = first_layer(state.params["generator"], rows(8, 2, 5))
  np.testing.assert_allclose(running(moved, "generator")[0], 0.1 * hidden.mean(axis=0), rtol=1e-4, atol=1e-6)
  np.testing.assert_allclose(running(moved, "generator")[1], 0.9 + 0.1 * hidden.var(axis=0), rtol=1e-4)

  # Sampling uses the population statistics, whatever else is in the batch.
  params, (mean, var) = moved.params["generator"], running(moved, "generator")
  norm = params["BatchNorm_0"]
  hidden = (first_layer(params, rows(8, 2, 5)) - mean) / np.sqrt(var + 1e-5) * np.asarray(norm["scale"]) + np.asarray(
    norm["bias"]
  )
  wanted = np.maximum(hidden, 0) @ np.asarray(params["Dense_1"]["kernel"]) + np.asarray(params["Dense_1"]["bias"])
  for n in (8, 1):
    np.testing.assert_allclose(
      game.sample(moved, jax.random.key(0), {"image": batch["image"][:n]}), wanted[:n], rtol=1e-4, atol=1e-5
    )


def test_batch_norm_of_the_discriminator_meets_real_and_fake_apart():
  """Each batch is normalised by its own statistics; the running ones move by the mean of both."""
  game, batch, state = batch_norm_game("discriminator")
  moved, metrics = jax.jit(lambda s: take_turn(game, ("discriminator",), s, batch, jax.random.key(1)))(state)
  fake = np.asarray(game.sample(state, jax.random.key(0), batch))
  real, fake = (first_layer(state.params["discriminator"], x) for x in (batch["image"], fake))
  np.testing.assert_allclose(
    running(moved, "discriminator")[0], 0.1 * (real.mean(axis=0) + fake.mean(axis=0)) / 2, rtol=1e-4, atol=1e-6
  )
  np.testing.assert_allclose(
    running(moved, "discriminator")[1], 0.9 + 0.1 * (real.var(axis=0) + fake.var(axis=0)) / 2, rtol=1e-4
  )
  last = state.params["discriminator"]["Dense_1"]
  for name, hidden in (("real", real), ("fake", fake)):
    hidden = np.maximum((hidden - hidden.mean(axis=0)) / np.sqrt(hidden.var(axis=0) + 1e-5), 0)
    logits = hidden @ np.asarray(last["kernel"]) + np.asarray(last["bias"])
    assert float(metrics[f"discriminator/{name}_logits"]) == pytest.approx(logits.mean(), rel=1e-3, abs=1e-5)
  other = jax.jit(lambda s: take_turn(game, ("generator",), s, batch, jax.random.key(1))[0])(state)
  np.testing.assert_array_equal(running(other, "discriminator"), running(state, "discriminator"))


def test_maxout_takes_the_largest_piece():
  layer, x = layers.Maxout(3, pieces=4), rows(5, 2)
  out, variables = layer.init_with_output(jax.random.key(0), x)
  dense = variables["params"]["Dense_0"]
  pieces = (x @ np.asarray(dense["kernel"]) + np.asarray(dense["bias"])).reshape(5, 3, 4)
  np.testing.assert_allclose(out, pieces.max(axis=-1), rtol=1e-5)


def test_selected_dense_uses_the_component_of_each_row():
  layer, x, component = layers.SelectedDense(3, num_heads=4), rows(6, 2), np.array([0, 3, 1, 1, 2, 0])
  params = layer.init(jax.random.key(0), x, component)["params"]
  params = {"kernel": params["kernel"], "bias": jnp.asarray(rows(4, 3))}
  wanted = np.stack(
    [x[i] @ np.asarray(params["kernel"])[k] + np.asarray(params["bias"])[k] for i, k in enumerate(component)]
  )
  np.testing.assert_allclose(layer.apply({"params": params}, x, component), wanted, rtol=1e-5, atol=1e-6)
  assert not np.allclose(params["kernel"][0], params["kernel"][1])


def test_mlp_by_hand():
  net = networks.mlp((2, 3), (4,), "leaky_relu", final="tanh", input_scale=0.25)
  x, y = rows(5, 2), rows(5, 3, 1)
  params = net.init(jax.random.key(0), x, y, train=False)["params"]
  hidden = first_layer(params, 0.25 * np.concatenate([x, y], axis=1))
  hidden = np.where(hidden > 0, hidden, 0.2 * hidden)
  wanted = np.tanh(hidden @ np.asarray(params["Dense_1"]["kernel"]) + np.asarray(params["Dense_1"]["bias"])).reshape(
    5, 2, 3
  )
  np.testing.assert_allclose(net.apply({"params": params}, x, y, train=True), wanted, rtol=1e-5)


def test_mlp_starts_as_told():
  net = networks.mlp(2, (16,), kernel_init="orthogonal", init_scale=0.8)
  kernel = np.asarray(net.init(jax.random.key(0), rows(1, 16), train=False)["params"]["Dense_0"]["kernel"])
  np.testing.assert_allclose(kernel.T @ kernel, 0.64 * np.eye(16), atol=1e-5)


def test_mlp_names_the_nearest_choice():
  with pytest.raises(ValueError, match="did you mean 'leaky_relu'"):
    networks.mlp(activation="leaky_rulu")
