"""Pictures in layers: the composite and its gradients by hand, what moves and what does not, and which latents each layer hears.

Mutations that made a test here fail: layers exchanged in the composite; a mask that does not move with its foreground; a background that hears all
numbers; rows and columns of a move exchanged.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import networks
from gan_jax.networks.layered import moved

RNG = np.random.default_rng(0)


class Told(nn.Module):
  """[B, H, W, channels]: one parameter for each number, plus the sum of the latent; the last channel in [-1, 1]."""

  channels: int
  size: int = 4

  @nn.compact
  def __call__(self, z, *condition, train):
    x = self.param("picture", nn.initializers.zeros, (self.size, self.size, self.channels))
    heard = z.sum(axis=1)[:, None, None, None]
    return jnp.tanh(x + heard) if self.channels == 4 else x + heard


def parameters():
  picture = lambda *shape: {"picture": jnp.asarray(RNG.normal(size=shape).astype("float32"))}
  return {"background_network": picture(4, 4, 3), "foreground_network": picture(4, 4, 4)}


def latents(place, n=1, size=6):
  return jnp.asarray(np.concatenate([np.zeros((n, size), "float32"), np.tile(np.float32(place), (n, 1))], axis=1))


def test_the_composite_and_its_gradients_by_hand():
  module, p = networks.layered(Told(3), Told(4)), parameters()
  made = lambda p: module.apply({"params": p}, latents((0, 0)), train=True)[0]
  below, above = np.asarray(p["background_network"]["picture"]), np.tanh(p["foreground_network"]["picture"])
  alpha, front = (above[..., 3:] + 1) / 2, above[..., :3]
  np.testing.assert_allclose(made(p), alpha * front + (1 - alpha) * below, rtol=1e-5, atol=1e-6)
  weights = RNG.normal(size=(4, 4, 3)).astype("float32")
  slope = jax.grad(lambda p: (weights * made(p)).sum())(p)
  np.testing.assert_allclose(slope["background_network"]["picture"], weights * (1 - alpha), rtol=1e-5, atol=1e-6)
  own = slope["foreground_network"]["picture"]
  np.testing.assert_allclose(own[..., :3], weights * alpha * (1 - front**2), rtol=1e-4, atol=1e-6)
  mask = (weights * (front - below)).sum(-1, keepdims=True) / 2 * (1 - above[..., 3:] ** 2)
  np.testing.assert_allclose(own[..., 3:], mask, rtol=1e-4, atol=1e-5)


def test_foreground_and_mask_move_together_and_the_background_stays():
  module, p = networks.layered(Told(3), Told(4), reach=2), parameters()
  still = networks.layered(Told(3), Told(4))
  far = jnp.concatenate([latents((0, 0)), latents((9, -9)), latents((0.5, 9))])  # erf(.5 / sqrt 2) = .38: 2 * .38 rounds to 1
  _, sown = module.apply({"params": p}, far, train=True, mutable=["intermediates"])
  _, base = still.apply({"params": p}, far, train=True, mutable=["intermediates"])
  layers, plain = (x["intermediates"]["layers"][0] for x in (sown, base))
  np.testing.assert_array_equal(layers["background"], plain["background"])
  for name in ("foreground", "alpha"):
    np.testing.assert_array_equal(layers[name][0], plain[name][0])
    wanted = np.zeros_like(plain[name])
    wanted[1, 2:, :2], wanted[2, 1:, 2:] = plain[name][1, :2, 2:], plain[name][2, :3, :2]
    np.testing.assert_allclose(layers[name][1:], wanted[1:], atol=1e-7)


def test_moves_are_uniform_over_whole_pixels():
  z = jax.random.normal(jax.random.key(0), (4000, 2))
  by = np.asarray(jnp.round(1 * jax.lax.erf(z / jnp.sqrt(2.0))))
  assert set(np.unique(by)) == {-1, 0, 1}
  np.testing.assert_allclose([(by == k).mean() for k in (-1, 0, 1)], [0.25, 0.5, 0.25], atol=0.02)
  image = RNG.normal(size=(1, 3, 5, 2)).astype("float32")
  np.testing.assert_array_equal(moved(image, jnp.array([[1.0, 0.0]]))[0, 1:], image[0, :-1])
  np.testing.assert_array_equal(moved(image, jnp.array([[0.0, -2.0]]))[0, :, :3], image[0, :, 2:])
  assert not np.asarray(moved(image, jnp.array([[3.0, 0.0]]))).any()


@pytest.mark.parametrize("shared", (False, True))
def test_which_numbers_each_layer_hears(shared):
  module, p = networks.layered(Told(3), Told(4), shared=shared), parameters()

  def layers(z):
    return module.apply({"params": p}, z[None], train=True, mutable=["intermediates"])[1]["intermediates"]["layers"][0]

  slopes = jax.jacobian(lambda z: {name: layer.sum() for name, layer in layers(z).items()})(jnp.full(8, 0.1))
  heard = {name: np.flatnonzero(np.asarray(slope)).tolist() for name, slope in slopes.items()}
  drawn = [0, 1, 2, 3, 4, 5] if shared else [3, 4, 5]
  assert heard == {"background": [0, 1, 2], "foreground": drawn, "alpha": drawn}


def test_what_does_not_fit_is_said():
  with pytest.raises(ValueError, match="reach is -1"):
    networks.layered(Told(3), Told(4), reach=-1)
  for background, foreground in ((Told(3), Told(3)), (Told(3), Told(4, size=8))):
    with pytest.raises(ValueError, match="a foreground of one channel more than the background's 3, the mask, and of its size"):
      networks.layered(background, foreground).init(jax.random.key(0), latents((0, 0)), train=True)
  with pytest.raises(ValueError, match="latents of four numbers at least, got 3"):
    networks.layered(Told(3), Told(4)).init(jax.random.key(0), jnp.zeros((2, 3)), train=True)
