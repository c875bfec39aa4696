"""Networks of translation: values against the same layers written out, windows by their gradients, and what each starts as.

Mutations that made a test here fail: a level beside the wrong one; normalisation behind the first convolution; a latent that changes nothing;
strides in the other order; the nearest along the rows alone; a scale that is not pooled; rows and columns of the shuffle exchanged; a last
convolution that does not start at zero.
"""

import itertools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from games import jit
from PIL import Image

from gan_jax import networks
from gan_jax.networks import resampling
from gan_jax.networks.normalization import InstanceNorm
from gan_jax.networks.patch import window
from gan_jax.networks.unet import nearest_known

NO_LATENT = np.zeros((2, 0), "float32")


def normal(seed, *shape):
  return np.random.default_rng(seed).normal(size=shape).astype("float32")


def moved(module, *inputs):
  """Parameters away from their start, where zeros hide what they meet."""
  leaves, structure = jax.tree.flatten(jax.eval_shape(lambda: module.init(jax.random.key(0), *inputs, train=False))["params"])
  return {"params": jax.tree.unflatten(structure, [normal(i, *leaf.shape) / np.sqrt(np.prod(leaf.shape[:-1]) + 1) for i, leaf in enumerate(leaves)])}


def apply(module, variables, *inputs):
  return jit(lambda v: module.apply(v, *inputs, train=True))(variables)


def test_instance_norm_against_flax():
  x, layer = normal(0, 2, 5, 4, 3), InstanceNorm()
  params = {"params": {"scale": normal(1, 3), "bias": normal(2, 3)}}
  wanted = nn.GroupNorm(num_groups=None, group_size=1, epsilon=1e-5).apply(params, x)
  np.testing.assert_allclose(layer.apply(params, x), wanted, rtol=2e-5, atol=2e-5)
  pixel = normal(3, 2, 1, 1, 3)
  np.testing.assert_allclose(layer.apply(params, pixel), pixel * params["params"]["scale"] + params["params"]["bias"], rtol=1e-6)


def test_unet_against_flax_layers():
  module, image, z = networks.unet_generator((8, 8, 2), (4, 6)), normal(0, 2, 8, 8, 3), normal(1, 2, 5)
  variables = moved(module, z, image)
  p = variables["params"]
  plain = lambda x: nn.GroupNorm(num_groups=None, group_size=1, epsilon=1e-5, use_bias=False, use_scale=False).apply({}, x)
  leaky = lambda x: np.where(x > 0, x, 0.2 * x)
  down = lambda x, number, width: nn.Conv(width, (4, 4), 2).apply({"params": p[f"Conv_{number}"]}, x)
  up = lambda x, number, width: nn.ConvTranspose(width, (4, 4), (2, 2)).apply({"params": p[f"ConvTranspose_{number}"]}, x)
  first = down(image, 0, 4)
  own = p["Norm_0"]["InstanceNorm_0"]
  inner = plain(down(leaky(first), 1, 6)) * own["scale"] + own["bias"]
  told = p["Norm_1"]["InstanceNorm_0"]["Film_0"]["Dense_0"]
  scale, shift = np.split((z @ told["kernel"] + told["bias"])[:, None, None], 2, axis=-1)
  back = plain(up(leaky(inner), 0, 4)) * (1 + scale) + shift
  wanted = np.tanh(up(leaky(np.concatenate([back, first], axis=-1)), 1, 2))
  np.testing.assert_allclose(apply(module, variables, z, image), wanted, rtol=1e-4, atol=1e-5)


def test_unet_of_full_size_against_flax_layers():
  """A first stride of 1: the outermost maps are as large as the image, and stand beside what comes back."""
  module, image = networks.unet_generator((6, 6, 2), (3, 4), strides=(1, 2), kernel=3, norm=None, activation="relu"), normal(0, 2, 6, 6, 1)
  variables = moved(module, NO_LATENT, image)
  p = variables["params"]
  first = nn.Conv(3, (3, 3), 1).apply({"params": p["Conv_0"]}, image)
  inner = nn.Conv(4, (3, 3), 2).apply({"params": p["Conv_1"]}, nn.relu(first))
  back = nn.ConvTranspose(3, (3, 3), (2, 2)).apply({"params": p["ConvTranspose_0"]}, nn.relu(inner))
  out = nn.ConvTranspose(2, (3, 3), (1, 1)).apply({"params": p["ConvTranspose_1"]}, nn.relu(np.concatenate([back, first], axis=-1)))
  np.testing.assert_allclose(apply(module, variables, NO_LATENT, image), np.tanh(out), rtol=1e-4, atol=1e-5)


def test_unet_of_nearest_pixels_against_flax_layers():
  module = networks.unet_generator((5, 6, 2), (3, 4), strides=(1, 2), kernel=3, norm=None, activation="relu", upsampling="nearest")
  image = normal(0, 2, 5, 6, 1)  # an odd side: 5 -> 3 -> the first 5 of 6
  variables = moved(module, NO_LATENT, image)
  conv = lambda x, number, width, stride=1: nn.Conv(width, (3, 3), stride).apply({"params": variables["params"][f"Conv_{number}"]}, x)
  first = conv(image, 0, 3)
  inner = nn.relu(conv(nn.relu(first), 1, 4, 2))
  back = conv(inner.repeat(2, axis=1).repeat(2, axis=2)[:, :5], 2, 3)
  wanted = np.tanh(conv(nn.relu(np.concatenate([back, first], axis=-1)), 3, 2))
  np.testing.assert_allclose(apply(module, variables, NO_LATENT, image), wanted, rtol=1e-4, atol=1e-5)


def test_unet_makes_uneven_sizes_and_the_papers():
  odd, x = networks.unet_generator((28, 30, 1), (4, 4, 4)), jnp.zeros((2, 28, 30, 1))
  made = jax.eval_shape(lambda: odd.apply(odd.init(jax.random.key(0), NO_LATENT, x, train=True), NO_LATENT, x, train=True))
  assert made.shape == (2, 28, 30, 1)
  module = networks.unet_generator((256, 256, 3))
  shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), NO_LATENT, jnp.zeros((2, 256, 256, 3)), train=False))["params"]
  kernels = sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(shapes) if leaf.ndim == 4)
  down = [3, 64, 128, 256, 512, 512, 512, 512, 512]
  up = [512, 1024, 1024, 1024, 1024, 512, 256, 128]
  after = [512, 512, 512, 512, 256, 128, 64, 3]
  wanted = sum(16 * a * b for a, b in itertools.pairwise(down)) + sum(16 * a * b for a, b in zip(up, after, strict=True))
  assert kernels == wanted == 54_404_096  # pix2pix's unet_256, weights of convolutions


def seen_by_one_logit(module, size):
  """(height, width) of the pixels that the middle logit hangs on."""
  x = normal(0, 1, size, size, 1)
  variables = moved(module, x)

  def middle(x):
    logits = module.apply(variables, x, train=True)
    return logits[0, logits.shape[1] // 2, logits.shape[2] // 2, 0]

  touched = np.argwhere(np.abs(jit(jax.grad(middle))(x))[0, ..., 0] > 0)
  return tuple(np.ptp(touched, axis=0) + 1)


def test_a_logit_sees_its_window_and_no_more():
  for strides in ((2, 1), (1, 2)):
    side = window(strides)
    assert side == {(2, 1): 16, (1, 2): 13}[strides]
    module = networks.patch_discriminator((3, 3), strides=strides, norm=None)
    assert seen_by_one_logit(module, 40) == (side, side)
  assert window((2, 2, 2, 1)) == 70


def test_scales_are_patch_discriminators_of_the_smaller_image():
  settings = {"features": (3, 4), "strides": (2, 1), "norm": None}
  both, one = networks.multiscale_discriminator(**settings), networks.patch_discriminator(**settings)
  x, given = normal(0, 2, 8, 8, 1), normal(1, 2, 4, 4, 2)
  variables = moved(both, x, given)
  got = apply(both, variables, x, given)
  assert got.shape == (2, 4, 4, 2)
  alone = lambda number, x, given: apply(one, {"params": {"tower_0": variables["params"][f"tower_{number}"]}}, x, given)
  np.testing.assert_allclose(got[..., :1], alone(0, x, np.repeat(np.repeat(given, 2, 1), 2, 2)), rtol=1e-5, atol=1e-6)
  coarse = alone(1, x.reshape(2, 4, 2, 4, 2, 1).mean((2, 4)), given)
  np.testing.assert_allclose(got[..., 1:], np.repeat(np.repeat(coarse, 2, 1), 2, 2), rtol=1e-5, atol=1e-6)


def test_a_label_is_projected_at_every_place():
  module, x = networks.patch_discriminator((3,), strides=(2,), num_classes=3), np.tile(normal(0, 1, 8, 8, 1), (3, 1, 1, 1))
  labels = jnp.arange(3)
  variables = moved(module, x, labels)
  out, sown = jit(lambda v: module.apply(v, x, labels, train=True, mutable=["intermediates"]))(variables)
  plain = apply(module, variables, x)
  last = sown["intermediates"]["layers"][0][0][-1]
  assert last.shape == (3, 4, 4, 3)
  told = variables["params"]["tower_0"]["Projection_0"]["Dense_0"]["kernel"]
  np.testing.assert_allclose(out - plain, np.einsum("bhwc,bc->bhw", last, told)[..., None], rtol=1e-4, atol=1e-5)


def test_shuffle_and_bicubic():
  x = np.arange(8, dtype="float32").reshape(1, 1, 1, 8)  # four pixels of two channels
  np.testing.assert_array_equal(resampling.shuffle(x, 2)[0], [[[0, 1], [2, 3]], [[4, 5], [6, 7]]])
  image = normal(0, 1, 5, 4, 1)
  wanted = np.asarray(Image.fromarray(image[0, ..., 0]).resize((8, 10), Image.Resampling.BICUBIC))
  np.testing.assert_allclose(resampling.bicubic(image, 2)[0, ..., 0], wanted, rtol=1e-4, atol=1e-5)
  with pytest.raises(ValueError, match="cannot be enlarged to 7 x 7 by a whole number"):
    resampling.enlarged_to(jnp.zeros((1, 4, 4, 1)), (7, 7))


@pytest.mark.parametrize("upsampling", ["shuffle", "nearest"])
def test_superresolution_starts_as_bicubic_and_takes_any_size(upsampling):
  module = networks.superresolution_generator(4, 3, 1, upsampling=upsampling)
  image = normal(0, 2, 3, 4, 1)
  first = module.init(jax.random.key(0), NO_LATENT, image, train=False)
  np.testing.assert_allclose(apply(module, first, NO_LATENT, image), resampling.bicubic(image, 4), rtol=1e-5, atol=1e-6)
  variables = moved(module, NO_LATENT, image)
  assert np.abs(apply(module, variables, NO_LATENT, image) - resampling.bicubic(image, 4)).max() > 0.01
  assert jax.eval_shape(lambda: module.apply(variables, NO_LATENT, jnp.zeros((2, 6, 5, 1)), train=False)).shape == (2, 24, 20, 1)


@pytest.mark.parametrize(
  ("call", "message"),
  [
    (lambda: networks.superresolution_generator(3), "factor is 3; superresolution_generator enlarges by 2, 4, 8"),
    (lambda: networks.superresolution_generator(2, upsampling="linear"), "upsampling is 'linear'"),
    (lambda: networks.unet_generator((8, 8, 1), ()), "needs features"),
    (lambda: networks.unet_generator((8, 8, 1), (4, 4), strides=(2,)), "has 2 features and 1 strides"),
    (lambda: networks.unet_generator((8, 8, 1), (4, 4), upsampling="bilinear"), "no upsampling 'bilinear'"),
    (lambda: networks.multiscale_discriminator(scales=0), "scales is 0"),
    (lambda: networks.patch_discriminator((4, 4), strides=(2,)), "has 2 features and 1 strides"),
    (lambda: _shape(networks.unet_generator((8, 8, 1), (4,)), jnp.zeros((2, 4, 4, 1))), "makes 8 x 8 pixels of as many, not of 4 x 4"),
    (lambda: _shape(networks.unet_generator((8, 8, 1), (4,)), jnp.zeros((2, 3))), r"makes images of images; the data's condition is of shape \(3,\)"),
    (lambda: _shape(networks.unet_generator((8, 8, 1), (4, 4), norm="batch"), jnp.zeros((2, 8, 8, 1))), "norm 'batch'"),
  ],
)
def test_bad_settings_are_refused(call, message):
  with pytest.raises(ValueError, match=message):
    call()


def _shape(module, condition):
  return jax.eval_shape(lambda: module.init(jax.random.key(0), NO_LATENT, condition, train=False))


def test_a_caption_of_two_orders_is_two_vectors():
  """The GRU tells "red on blue" from "blue on red", the mean does not; padding says nothing to either."""
  words = jnp.array([[2, 3, 4, 0, 0], [4, 3, 2, 0, 0], [2, 3, 4, 5, 0]])
  for kind in ("gru", "mean"):
    module = networks.captioned(networks.mlp(3, (4,), "relu"), 6, 5, kind)
    z = np.zeros((3, 2), "float32")
    variables = moved(module, z, words)
    out = apply(module, variables, z, words)
    longer = apply(module, variables, z, jnp.pad(words, ((0, 0), (0, 3))))
    np.testing.assert_allclose(out, longer, rtol=1e-5, atol=1e-6)
    assert (np.abs(out[0] - out[1]).max() > 1e-3) == (kind == "gru") and np.abs(out[0] - out[2]).max() > 1e-3
  with pytest.raises(ValueError, match="captioned reads captions, words by number; the data's condition is float32"):
    jax.eval_shape(lambda: module.init(jax.random.key(0), z, jnp.zeros((3, 2)), train=False))
  with pytest.raises(ValueError, match="kind is 'lstm'"):
    networks.captioned(networks.mlp(3), 6, kind="lstm")


def test_known_pixels_stay_and_others_change_the_nearest():
  image, hole = normal(0, 2, 8, 8, 1), np.zeros((2, 8, 8, 1), "float32")
  hole[:, 2:5, 3:7] = 1
  given = np.concatenate([image * (1 - hole), hole], axis=-1)
  inner = networks.unet_generator((8, 8, 1), (3,), norm=None)
  module = networks.filled(inner)
  variables = moved(module, NO_LATENT, given)
  near = np.asarray(nearest_known(given[..., :1], 1 - hole))
  made = apply(inner, {"params": variables["params"]["network"]}, NO_LATENT, np.concatenate([near, hole], axis=-1))
  np.testing.assert_allclose(apply(module, variables, NO_LATENT, given), np.where(hole == 1, near + made, image), atol=1e-6)
  for wrong, message in ((jnp.zeros((2, 8, 8, 1)), "filled needs images with a hole"), (jnp.zeros((2, 3)), "filled makes images of images")):
    with pytest.raises(ValueError, match=message):
      _shape(networks.filled(networks.unet_generator((8, 8, 1), (3,))), wrong)


def test_nearest_known_against_every_distance():
  """By all pairs of pixels: what is taken is known, and none that is known is nearer."""
  rng = np.random.default_rng(0)
  known = rng.random((4, 7, 9, 1)) < np.array([0.02, 0.2, 0.6, 1]).reshape(4, 1, 1, 1)
  known[0, 6, 0] = True
  places = np.stack(np.meshgrid(np.arange(7), np.arange(9), indexing="ij"), axis=-1).astype("float32")
  taken = np.asarray(nearest_known(jnp.broadcast_to(jnp.asarray(places), (4, 7, 9, 2)), jnp.asarray(known, jnp.float32)))
  for one, mask in zip(taken, known[..., 0], strict=True):
    distances = np.square(places[:, :, None, None] - places).sum(-1)  # [H, W, H, W]
    nearest = np.where(mask, distances, np.inf).min(axis=(2, 3))
    np.testing.assert_array_equal(np.square(places - one).sum(-1), nearest)
    assert mask[one[..., 0].astype(int), one[..., 1].astype(int)].all()


def test_residual_translator_against_flax_layers():
  module, image = networks.residual_translator((6, 8, 2), 3, 1, halvings=1, border=5), normal(0, 2, 6, 8, 1)
  variables = moved(module, NO_LATENT, image)
  p = variables["params"]

  def norm(x, number):
    plain = nn.GroupNorm(num_groups=None, group_size=1, epsilon=1e-5, use_bias=False, use_scale=False).apply({}, x)
    return plain * p[f"Norm_{number}"]["InstanceNorm_0"]["scale"] + p[f"Norm_{number}"]["InstanceNorm_0"]["bias"]

  conv = lambda x, number, width, side, stride=1: nn.Conv(width, (side, side), stride).apply({"params": p[f"Conv_{number}"]}, x)
  x = nn.relu(norm(conv(image, 0, 3, 5), 0))
  x = nn.relu(norm(conv(x, 1, 6, 3, 2), 1))
  x = x + norm(conv(nn.relu(norm(conv(x, 2, 6, 3), 2)), 3, 6, 3), 3)
  x = nn.relu(norm(nn.ConvTranspose(3, (3, 3), (2, 2)).apply({"params": p["ConvTranspose_0"]}, x), 4))
  np.testing.assert_allclose(apply(module, variables, NO_LATENT, image), np.tanh(conv(x, 4, 2, 5)), rtol=1e-4, atol=1e-5)
  other = jax.eval_shape(lambda: module.apply(variables, NO_LATENT, jnp.zeros((2, 10, 7, 1)), train=False))
  assert other.shape == (2, 10, 7, 2)
