"""Virtual batch normalisation against its formula in numpy.

Mutations that made a test here fail: an example's own share left out, or of 1 / R; the moments of the batch instead of the reference's; the standard
deviation of the reference alone; statistics held constant in the gradient; moments that stay from an earlier step; a reference that moves;
moments over all pixels for one example's share taken from the whole batch.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from games import jit
from plays import fixed_prior

from gan_jax import diversity, gan, networks, objectives, priors
from gan_jax.core import build
from gan_jax.networks.convolution import convolve
from gan_jax.networks.virtual import VirtualBatchNorm, VirtualConv

RANDOM = np.random.default_rng(0)
draw = lambda *shape: RANDOM.normal(size=shape).astype("float32")


def normalised(h, reference):
  """Salimans et al., 3.4; pixels of an example are in its own share."""
  pixels, own = tuple(range(1, h.ndim - 1)), 1 / (len(reference) + 1)
  mix = lambda f: own * f(h).mean(axis=pixels, keepdims=True) + (1 - own) * f(reference).mean(axis=tuple(range(h.ndim - 1)))
  mean = mix(lambda x: x)
  return (h - mean) / np.sqrt(mix(np.square) - mean**2 + 1e-5)


@pytest.mark.parametrize("train", [True, False])
def test_virtual_batch_norm_by_its_formula(train):
  reference, x = draw(5, 3), 2 + draw(7, 3)
  net = networks.virtual_batch(networks.mlp(2, (4,), "tanh", dense="VirtualDense"), size=5)
  variables = net.init(jax.random.key(0), np.concatenate([reference, draw(3, 3)]), train=False)
  np.testing.assert_array_equal(variables["reference"]["inputs"][0], reference)
  assert set(variables) == {"params", "reference"}
  p = jax.tree.map(np.asarray, variables["params"]["network"])
  kernel = p["VirtualDense_0"]["Dense_0"]["kernel"]
  hidden = np.tanh(normalised(x @ kernel, reference @ kernel))
  wanted = hidden @ p["Dense_0"]["kernel"] + p["Dense_0"]["bias"]
  out = net.apply(variables, x, train=train)
  np.testing.assert_allclose(out, wanted, rtol=1e-4, atol=1e-5)
  np.testing.assert_allclose(net.apply(variables, x[2:3], train=train), out[2:3], rtol=1e-4, atol=1e-6)  # alone or in company


def test_by_hand():
  """Reference 0 and 6, x = 3: mean (0 + 6 + 3) / 3 = 3, so 0. x = 9: mean 5, square (0 + 36 + 81) / 3 = 39: 4 / sqrt(14)."""
  layer = VirtualBatchNorm(epsilon=0.0)
  variables = layer.init({"params": jax.random.key(0), "reference": jax.random.key(0)}, jnp.ones((2, 1)))
  params, passing = {"params": variables["params"]}, {"reference": jax.random.key(0)}
  _, known = layer.apply(params, jnp.array([[0.0], [6.0]]), rngs=passing, mutable=["reference_statistics"])
  out = layer.apply({**params, **known}, jnp.array([[3.0], [9.0]]))
  np.testing.assert_allclose(out[:, 0], [0, 4 / np.sqrt(14)], rtol=1e-5)
  with pytest.raises(ValueError, match=r"put the network into networks\.virtual_batch"):
    jax.eval_shape(lambda: networks.mlp(1, (4,), dense="VirtualDense").init(jax.random.key(0), jnp.ones((2, 2)), train=False))


def test_nearly_constant_numbers_stay_finite():
  """The mean of squares less the square of the mean may round below zero."""
  net = networks.virtual_batch(networks.mlp(2, (4,), "tanh", dense="VirtualDense"))
  x = 15 + 1e-3 * draw(64, 2)
  assert np.isfinite(net.apply(net.init(jax.random.key(0), x, train=False), x, train=True)).all()


def test_a_reference_keeps_its_labels_whole():
  """Integers are not averaged over the calls of a turn; and a network without such layers is refused."""
  net = lambda **settings: networks.virtual_batch(networks.mlp(1, (4,), num_classes=3, **settings))
  optimizers = dict.fromkeys(("generator", "discriminator"), optax.sgd(0.1))
  batch = {"image": draw(4, 2), "condition": np.array([0, 1, 2, 0])}
  game = gan(networks.mlp(2, (4,), num_classes=3), net(dense="VirtualDense"), objectives.hinge(), prior=priors.normal(2), optimizers=optimizers)
  state = build(game).init(jax.random.key(0), batch)
  moved, _ = jit(build(game).step)(state, batch, jax.random.key(1))
  labels = moved.model_state["discriminator"]["network"]["reference"]["inputs"][1]
  assert jnp.issubdtype(labels.dtype, jnp.integer) and labels.tolist() == [0, 1, 2, 0]
  with pytest.raises(ValueError, match="virtual_batch is for a network with VirtualBatchNorm layers"):
    net().init(jax.random.key(0), batch["image"], batch["condition"], train=False)


def test_images_by_their_formula():
  reference, x = draw(3, 4, 4, 2), draw(2, 4, 4, 2)
  layer = VirtualConv(3)
  variables = layer.init({"params": jax.random.key(0), "reference": jax.random.key(0)}, reference)
  params = {"params": variables["params"]}
  _, known = layer.apply(params, reference, rngs={"reference": jax.random.key(0)}, mutable=["reference_statistics"])
  conv = lambda x: np.asarray(convolve(x, params["params"]["Conv_0"]["kernel"]))
  np.testing.assert_allclose(layer.apply({**params, **known}, x), normalised(conv(x), conv(reference)), rtol=1e-3, atol=1e-4)


def test_the_gradient_goes_through_the_reference():
  """In float64 against differences: with the statistics held constant it would be another."""
  with jax.enable_x64(True):
    net = networks.virtual_batch(networks.mlp(1, (3,), "tanh", dense="VirtualDense"))
    x = jnp.asarray(RANDOM.normal(size=(4, 2)))
    variables = net.init(jax.random.key(0), jnp.asarray(RANDOM.normal(size=(4, 2))), train=False)
    layers = variables["params"]["network"]

    def value(kernel):
      first = {**layers["VirtualDense_0"], "Dense_0": {"kernel": kernel}}
      params = {"network": {**layers, "VirtualDense_0": first}}
      return jnp.square(net.apply({**variables, "params": params}, x, train=True)).sum()

    kernel, f = layers["VirtualDense_0"]["Dense_0"]["kernel"], jit(value)
    slope = jit(jax.grad(value))(kernel)
    nudge = np.zeros((2, 3))
    nudge[1, 2] = 1e-6
    assert float(slope[1, 2]) == pytest.approx(float(f(kernel + nudge) - f(kernel - nudge)) / 2e-6, rel=1e-5)


def test_a_reference_in_a_game_is_the_first_batch_for_ever():
  """D's reference are real examples, G's latents; state inside (a spectral vector) moves in its owner's turn; features are the examples' own."""
  net = lambda out, **settings: networks.virtual_batch(networks.mlp(out, (4,), "tanh", dense="VirtualDense", **settings))
  latents = draw(6, 3)
  seen = []
  game = gan(
    net(2), net(1, last="SpectralDense"), objectives.hinge(), prior=fixed_prior(latents),
    optimizers={"generator": optax.sgd(0.5), "discriminator": optax.sgd(0.5)},
    generator_terms={"fm": diversity.feature_matching(1.0), "note": lambda play: seen.append(play.features(play.fake).shape) or 0.0},
  )  # fmt: skip
  algorithm = build(game)
  first = {"image": draw(6, 2)}
  state = algorithm.init(jax.random.key(0), first)
  step = jit(algorithm.step)
  moved, _ = step(state, {"image": 3 + draw(6, 2)}, jax.random.key(1))
  moved, _ = step(moved, {"image": 3 + draw(6, 2)}, jax.random.key(1))
  for name, rows in (("discriminator", first["image"]), ("generator", latents)):
    np.testing.assert_array_equal(moved.model_state[name]["network"]["reference"]["inputs"][0], rows)
  vectors = [s.model_state["discriminator"]["network"]["batch_stats"] for s in (state, moved)]
  assert any((a != b).any() for a, b in zip(*map(jax.tree.leaves, vectors), strict=True))
  assert jax.tree.structure(moved) == jax.tree.structure(state) and set(seen) == {(6, 4)}
  # The statistics are those of today's weights.
  p = jax.tree.map(np.asarray, moved.params["generator"]["network"])
  kernel, z = p["VirtualDense_0"]["Dense_0"]["kernel"], draw(4, 3)
  norm = p["VirtualDense_0"]["VirtualBatchNorm_0"]
  hidden = np.tanh(normalised(z @ kernel, latents @ kernel) * norm["scale"] + norm["bias"])
  wanted = hidden @ p["Dense_0"]["kernel"] + p["Dense_0"]["bias"]
  np.testing.assert_allclose(game.sample.generate(moved, z, first), wanted, rtol=1e-3, atol=1e-4)
