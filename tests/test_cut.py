"""CUT: the contrastive number by hand and by PyTorch's cross-entropy, and the game with a generator that scales."""

import flax.linen as nn
import jax
import numpy as np
import optax
import pytest
from plays import Affine, affine, fixed_prior

from gan_jax import games
from gan_jax.core import build, take_turn
from gan_jax.games.cut import _at_places, patch_nce

PLAYERS = ("generator", "discriminator", "heads")
A, B = (np.random.default_rng(seed).normal(size=(3, 2, 2, 1)).astype("float32") for seed in (0, 1))
BATCH = {"image": B, "condition": A}


def rows(seed: int, shape=(2, 5, 4)) -> np.ndarray:
  x = np.random.default_rng(seed).normal(size=shape)
  return (x / np.linalg.norm(x, axis=-1, keepdims=True)).astype("float32")


def test_patch_nce_by_hand():
  """Two patches at right angles: each knows itself with odds e^(1 / t) to 1. Patches that are all alike: log S. Exchanged ones: 1 / t more."""
  eye = np.eye(2, dtype="float32")[None]
  for temperature in (1.0, 0.5):
    wanted = np.log(1 + np.exp(-1 / temperature))
    assert float(patch_nce(eye, eye, temperature)) == pytest.approx(wanted, rel=1e-5)
    assert float(patch_nce(eye, eye[:, ::-1], temperature)) == pytest.approx(wanted + 1 / temperature, rel=1e-5)
  assert float(patch_nce(rows(0), np.ones((2, 5, 4), "float32") / 2)) == pytest.approx(np.log(5), rel=1e-5)


def test_negatives_are_of_the_same_image():
  q, k = rows(0), rows(1)
  each = [float(patch_nce(q[i : i + 1], k[i : i + 1])) for i in range(2)]
  assert float(patch_nce(q, k)) == pytest.approx(np.mean(each), rel=1e-5)
  moved = np.concatenate([k[:1], rows(2)[1:]])
  assert float(patch_nce(q, moved)) == pytest.approx((each[0] + float(patch_nce(q[1:], moved[1:]))) / 2, rel=1e-5)


def test_patch_nce_is_pytorchs_cross_entropy():
  torch = pytest.importorskip("torch")
  q, k = rows(0), rows(1)
  logits = torch.bmm(torch.tensor(q), torch.tensor(k).transpose(1, 2)).reshape(-1, 5) / 0.07
  wanted = torch.nn.functional.cross_entropy(logits, torch.arange(5).repeat(2))
  assert float(patch_nce(q, k)) == pytest.approx(float(wanted), rel=1e-5)


class Scaling(nn.Module):
  """x * scale, and x * scale / 2 with its square as the layer that is sown."""

  @nn.compact
  def __call__(self, z, condition, *, train: bool):
    scaled = condition * self.param("scale", nn.initializers.constant(1.5), ())
    self.sow("intermediates", "layers", (jax.numpy.concatenate([scaled / 2, scaled**2], axis=-1),))
    return scaled


def cut(**settings):
  prior = fixed_prior(np.zeros((3, 0), "float32"))
  game = games.cut(Scaling(), Affine(), prior=prior, optimizers={name: optax.sgd(0.1) for name in PLAYERS}, heads=3, **settings)
  return game, jax.jit(build(game).init)(jax.random.key(0), BATCH)


def contrast(state, image, temperature):
  """The mean over the image itself and the layer of the cross-entropy of all four patches, in numpy."""

  def embedded(x):
    layers, found = (x, np.concatenate([x * 0.75, (x * 1.5) ** 2], axis=-1)), []
    for number, layer in enumerate(layers):
      first, second = (state.params["heads"][f"{part}_{number}"] for part in ("hidden", "out"))
      h = np.maximum(layer.reshape(3, 4, -1) @ np.asarray(first["kernel"]) + np.asarray(first["bias"]), 0)
      h = h @ np.asarray(second["kernel"]) + np.asarray(second["bias"])
      found.append(h / np.sqrt((h**2).sum(-1, keepdims=True) + 1e-12))
    return found

  values = []
  for q, k in zip(embedded(1.5 * image), embedded(image), strict=True):
    logits = q @ k.transpose(0, 2, 1) / temperature
    values.append((np.log(np.exp(logits).sum(-1)) - np.einsum("bii->bi", logits)).mean())
  return np.mean(values)


def test_losses():
  game, state = cut(weight=3.0, identity_weight=0.5, temperature=0.5)
  flat = lambda x: affine(state, "discriminator", x.reshape(3, -1))[:, 0]
  shared = np.square(flat(1.5 * A) - 1).mean() + 3 * contrast(state, A, 0.5) + 0.5 * contrast(state, B, 0.5)
  wanted = {"discriminator": (np.square(flat(B) - 1).mean() + np.square(flat(1.5 * A)).mean()) / 2, "generator": shared, "heads": shared}
  found = jax.jit(lambda state: {n: game.players[n].loss(state.params[n], state, BATCH, jax.random.key(0))[0] for n in PLAYERS})(state)
  assert {name: float(value) for name, value in found.items()} == pytest.approx(wanted, rel=1e-4)


def test_patches_are_places_that_all_images_share_drawn_anew_by_each_key():
  numbers = np.arange(12, dtype="float32").reshape(1, 3, 4, 1) + 100 * np.arange(2, dtype="float32").reshape(2, 1, 1, 1)
  draws = [np.asarray(_at_places((numbers, numbers), 5, jax.random.key(seed))) for seed in range(4)]
  for layers in draws:
    assert layers.shape == (2, 2, 5, 1) and all(len(set(rows[:, 0].tolist())) == 5 for layer in layers for rows in layer)
    np.testing.assert_array_equal(layers[:, 0] + 100, layers[:, 1])  # the same places of both images
    assert (layers[0] != layers[1]).any()  # each layer has places of its own
  assert any((draws[0] != other).any() for other in draws[1:])
  assert _at_places((numbers,), 64, jax.random.key(0))[0].shape == (2, 12, 1)  # all, where there are fewer


def test_the_discriminator_moves_then_the_generator_with_its_heads():
  game, state = cut()
  assert game.turns == (("discriminator",), ("generator", "heads"))
  for names in game.turns:
    after, _ = jax.jit(lambda state, names=names: take_turn(game, names, state, BATCH, jax.random.key(0)))(state)
    unlike = lambda name, after=after: any(jax.tree.leaves(jax.tree.map(lambda a, b: bool((a != b).any()), after.params[name], state.params[name])))
    assert {name for name in PLAYERS if unlike(name)} == set(names)
  np.testing.assert_allclose(build(game).sample(state, jax.random.key(0), BATCH), 1.5 * A, rtol=1e-6)


def test_refused():
  with pytest.raises(ValueError, match=r"cut translates between images of one shape, here \(2, 2, 1\); the data's condition is none"):
    build(cut()[0]).init(jax.random.key(0), {"image": B})
  prior, optimizers = fixed_prior(np.zeros((3, 0), "float32")), {name: optax.sgd(0.1) for name in PLAYERS}
  silent = games.cut(Affine(2), Affine(), prior=prior, optimizers=optimizers)
  with pytest.raises(ValueError, match="Affine sows no 'layers'"):
    build(silent).init(jax.random.key(0), BATCH)
