"""Whole networks: the published architectures by their numbers of parameters, values against the same layers written out, and every setting.

Mutations that made a test here fail: strides in the other order; BatchNorm on the other layers of D; labels without a projection; a block without its
shortcut; the mean in place of the sum over pixels; a block's last convolution started like the others; a start that forgets the number of blocks.
"""

import re

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from games import jit

from gan_jax import networks


def normal(seed, *shape):
  return np.random.default_rng(seed).normal(size=shape).astype("float32")


def shapes(module, *inputs, train=False):
  """`(variables, output, sown features)`, abstract: nothing is computed."""
  variables = jax.eval_shape(lambda: module.init(jax.random.key(0), *inputs, train=False))
  run = lambda v: module.apply(v, *inputs, train=train, mutable=["batch_stats", "intermediates"])
  out, moved = jax.eval_shape(run, variables)
  return variables, out, moved["intermediates"]["features"][0]


def count(variables):
  return sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(variables["params"]))


def dense(a, b):
  return a * b + b


def conv(k, a, b):
  return k * k * a * b + b


def small_generator(**settings):
  """G of the small-discriminator benchmark (PacGAN, table 3; smnist_q and smnist_h): its last layer is an ordinary convolution."""
  return networks.dcgan_generator((28, 28, 3), (64, 32, 16, 8), kernel=3, strides=(2, 2, 2, 1), kernel_init="normal", init_scale=0.02, **settings)


def small_discriminator(*features):
  return networks.dcgan_discriminator(1, features, networks.leaky_relu(0.3), kernel=3, unnormalized=())


# name -> (network, input, output an example, parameters)
PUBLISHED = {
  "smnist generator": (
    small_generator(), (256,), (28, 28, 3),
    dense(256, 1024) + 2 * 64 + conv(3, 64, 32) + 2 * 32 + conv(3, 32, 16) + 2 * 16 + conv(3, 16, 8) + 2 * 8 + conv(3, 8, 3),
  ),
  "smnist_q discriminator": (
    small_discriminator(2, 4, 8), (28, 28, 3), (1,), conv(3, 3, 2) + 4 + conv(3, 2, 4) + 8 + conv(3, 4, 8) + 16 + dense(4 * 4 * 8, 1),
  ),
  "smnist_h discriminator": (
    small_discriminator(4, 8, 16), (28, 28, 3), (1,), conv(3, 3, 4) + 8 + conv(3, 4, 8) + 16 + conv(3, 8, 16) + 32 + dense(4 * 4 * 16, 1),
  ),
  "smnist_q discriminator of four": (
    small_discriminator(2, 4, 8), (28, 28, 12), (1,), conv(3, 12, 2) + 4 + conv(3, 2, 4) + 8 + conv(3, 4, 8) + 16 + dense(4 * 4 * 8, 1),
  ),
  "smnist_dcgan generator": (
    networks.dcgan_generator((28, 28, 3), (512, 256, 128, 64), kernel=5), (100,), (28, 28, 3),
    dense(100, 2048) + 1024 + conv(5, 512, 256) + 512 + conv(5, 256, 128) + 256 + conv(5, 128, 64) + 128 + conv(5, 64, 3),
  ),
  "smnist_dcgan discriminator": (
    networks.dcgan_discriminator(1, (64, 128, 256, 512), kernel=5), (28, 28, 3), (1,),
    conv(5, 3, 64) + conv(5, 64, 128) + 256 + conv(5, 128, 256) + 512 + conv(5, 256, 512) + 1024 + dense(2 * 2 * 512, 1),
  ),
  "mnist_u3 generator": (  # BatchNorm on the image, too
    networks.dcgan_generator((28, 28, 1), (256, 128, 64), kernel=5, strides=(1, 2, 2), unnormalized=()), (100,), (28, 28, 1),
    dense(100, 7 * 7 * 256) + 512 + conv(5, 256, 128) + 256 + conv(5, 128, 64) + 128 + conv(5, 64, 1) + 2,
  ),
  "DCGAN generator": (
    networks.dcgan_generator((64, 64, 3), (512, 256, 128, 64)), (100,), (64, 64, 3),
    dense(100, 4 * 4 * 512) + 1024 + conv(4, 512, 256) + 512 + conv(4, 256, 128) + 256 + conv(4, 128, 64) + 128 + conv(4, 64, 3),
  ),
  "SNGAN generator": (networks.resnet_generator((32, 32, 3)), (128,), (32, 32, 3), 4_276_739),  # as torch-mimicry's
  "SNGAN discriminator": (
    networks.resnet_discriminator(), (32, 32, 3), (1,),
    conv(3, 3, 128) + conv(1, 3, 128) + 7 * conv(3, 128, 128) + conv(1, 128, 128) + dense(128, 1),
  ),
}  # fmt: skip


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_architectures(name):
  module, size, made, wanted = PUBLISHED[name]
  variables, out, _ = shapes(module, jnp.zeros((4, *size)))
  assert out.shape == (4, *made) and out.dtype == jnp.float32
  assert count(variables) == wanted


def test_initialisation():
  init = lambda: small_generator().init(jax.random.key(0), np.zeros((1, 256), "float32"), train=False)["params"]["Dense_0"]["kernel"]
  kernel = jit(init)()
  assert np.std(kernel) == pytest.approx(0.02, rel=0.01) and abs(np.mean(kernel)) < 1e-4


def variables_of(module, *inputs):
  """Parameters and statistics away from their start, where zeros and ones hide what they meet. Variances are positive."""
  leaves, structure = jax.tree.flatten(jax.eval_shape(lambda: module.init(jax.random.key(0), *inputs, train=False)))
  width = lambda leaf: np.sqrt(np.prod(leaf.shape[:-1]) + 1)
  return jax.tree.unflatten(structure, [(0.1 + np.abs(normal(i, *leaf.shape))) * signs(i, leaf) / width(leaf) for i, leaf in enumerate(leaves)])


def signs(seed, leaf):
  """Kernels take both signs; vectors, among them variances, are positive."""
  return np.sign(normal(seed + 100, *leaf.shape)) if len(leaf.shape) > 1 else 1


def norm(variables, number, x, train):
  given = {name: variables[name][f"BatchNorm_{number}"] for name in ("params", "batch_stats")}
  return nn.BatchNorm(use_running_average=not train).apply(given, x, mutable=["batch_stats"])[0]


@pytest.mark.parametrize("train", [True, False])
def test_dcgan_against_flax_layers(train):
  """Of a size that halves evenly, where flax's layers can do it all."""
  z, image = normal(0, 4, 5), normal(1, 4, 8, 8, 3)
  part = lambda v, name: {"params": v["params"][name]}

  def flax_up(v):
    x = nn.relu(norm(v, 0, nn.Dense(24).apply(part(v, "Dense_0"), z).reshape(4, 2, 2, 6), train))
    h = nn.relu(norm(v, 1, nn.ConvTranspose(4, (4, 4), (2, 2)).apply(part(v, "ConvTranspose_0"), x), train))
    return jnp.tanh(nn.ConvTranspose(3, (4, 4), (2, 2)).apply(part(v, "ConvTranspose_1"), h)), h

  def flax_down(v):
    x = nn.leaky_relu(nn.Conv(4, (4, 4), (2, 2)).apply(part(v, "Conv_0"), image), 0.2)
    h = nn.leaky_relu(norm(v, 0, nn.Conv(6, (4, 4), (2, 2)).apply(part(v, "Conv_1"), x), train), 0.2).reshape(4, -1)
    return nn.Dense(1).apply(part(v, "Dense_0"), h), h

  up, down = networks.dcgan_generator((8, 8, 3), (6, 4), kernel=4), networks.dcgan_discriminator(1, (4, 6), kernel=4)
  for module, x, flax in ((up, z, flax_up), (down, image, flax_down)):
    v = variables_of(module, x)
    out, moved = jit(lambda v, m=module, x=x: m.apply(v, x, train=train, mutable=["batch_stats", "intermediates"]))(v)
    wanted, features = jit(flax)(v)
    np.testing.assert_allclose(out, wanted, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(moved["intermediates"]["features"][0], features, rtol=1e-4, atol=1e-5)


def plain_conv(params, x, k):
  return nn.Conv(params["kernel"].shape[-1], (k, k)).apply({"params": params}, x)


def repeat(x):
  return x.repeat(2, axis=1).repeat(2, axis=2)


def mean_pool(x):
  return nn.avg_pool(x, (2, 2), (2, 2))


def test_resnet_against_the_papers_order():
  """Miyato et al. enlarge before the shortcut's 1x1 convolution and pool after it; these networks do it the other way round, to the same values."""
  z, image = normal(0, 4, 5), normal(1, 4, 8, 8, 3)
  conv = lambda v, i, x, k=3: plain_conv(v["params"][f"Conv_{i}"], x, k)

  def paper_up(v):
    x = nn.Dense(24).apply({"params": v["params"]["Dense_0"]}, z).reshape(4, 2, 2, 6)
    for block in range(2):
      h = conv(v, 3 * block, repeat(nn.relu(norm(v, 2 * block, x, True))))
      h = conv(v, 3 * block + 1, nn.relu(norm(v, 2 * block + 1, h, True)))
      x = h + conv(v, 3 * block + 2, repeat(x), 1)
    return jnp.tanh(conv(v, 6, nn.relu(norm(v, 4, x, True))))

  def paper_down(v):
    x = mean_pool(conv(v, 1, nn.relu(conv(v, 0, image)))) + mean_pool(conv(v, 2, image, 1))
    x = mean_pool(conv(v, 4, nn.relu(conv(v, 3, nn.relu(x))))) + mean_pool(conv(v, 5, x, 1))
    x = conv(v, 7, nn.relu(conv(v, 6, nn.relu(x)))) + x
    return nn.Dense(1).apply({"params": v["params"]["Dense_0"]}, nn.relu(x).sum(axis=(1, 2)))

  up = networks.resnet_generator((8, 8, 3), (6, 4, 4))
  down = networks.resnet_discriminator(1, (4, 6, 6), strides=(2, 2, 1), conv="Conv", last="Dense")
  for module, x, paper in ((up, z, paper_up), (down, image, paper_down)):
    v = variables_of(module, x)
    got = jit(lambda v, m=module, x=x: m.apply(v, x, train=True, mutable=["batch_stats"])[0])(v)
    np.testing.assert_allclose(got, jit(paper)(v), rtol=1e-3, atol=1e-4)


def test_r3gan_starts_as_a_chain_of_linear_maps():
  """Fix-up: every block starts as the identity, whatever its first convolutions; these start at variance 2 / (1 + .2^2) / fan-in / sqrt(blocks)."""
  z, image = normal(0, 4, 16), normal(1, 4, 8, 8, 3)
  up, down = networks.r3gan_generator((8, 8, 3), (64, 32), blocks=2), networks.r3gan_discriminator(1, (32, 64), blocks=2)
  bare = lambda params: {**params, "bias": np.zeros(params["kernel"].shape[-1], "float32")}

  @jit
  def start():
    v, w = (module.init(jax.random.key(0), x, train=False)["params"] for module, x in ((up, z), (down, image)))
    x = v["basis"] * (z @ v["Dense_0"]["kernel"])[:, None, None]
    chain_up = plain_conv(bare(v["Conv_1"]), repeat(plain_conv(bare(v["Conv_0"]), x, 1)), 1)
    x = plain_conv(bare(w["Conv_1"]), mean_pool(plain_conv(bare(w["Conv_0"]), image, 1)), 1)
    chain_down = jnp.einsum("bhwc,hwc->bc", x, w["basis"]) @ w["Dense_0"]["kernel"]
    # Away from the start the blocks count: x + conv(act(conv(act(conv(x))))).
    moved = {**w, "Block_0": jax.tree.map(lambda leaf: leaf + 0.1, w["Block_0"])}
    found = [down.apply({"params": params}, image, train=True) for params in (w, moved)]
    return v, (up.apply({"params": v}, z, train=True), chain_up), (*found, chain_down)

  v, (got_up, chain_up), (got_down, other, chain_down) = start()
  np.testing.assert_allclose(got_up, chain_up, rtol=1e-4, atol=1e-4)
  np.testing.assert_allclose(got_down, chain_down, rtol=1e-4, atol=1e-4)
  assert np.abs(other - chain_down).max() > 0.1
  for block, width in ((v["Block_0"], 64), (v["Block_3"], 32)):
    variance = 2 / 1.04 / np.sqrt(4)
    assert np.var(block["Conv_0"]["kernel"]) == pytest.approx(variance / width, rel=0.1)
    assert np.var(block["Conv_1"]["kernel"]) == pytest.approx(variance / (2 * width * 9), rel=0.1)
    assert not np.any(block["Conv_2"]["kernel"]) and set(block["Conv_2"]) == {"kernel"}


def test_mapping_network():
  variables, out, _ = shapes(networks.r3gan_generator((28, 28, 1), (8, 8, 8), mapping=(32, 16)), jnp.zeros((2, 4)))
  assert out.shape == (2, 28, 28, 1)
  assert [variables["params"][f"Dense_{i}"]["kernel"].shape for i in range(3)] == [(4, 32), (32, 16), (16, 8)]


PAIRS = {
  "mlp": (networks.mlp, networks.mlp, {"features": (8,)}, {"features": (8,)}),
  "dcgan": (networks.dcgan_generator, networks.dcgan_discriminator, {"features": (8, 4)}, {"features": (4, 8)}),
  "resnet": (networks.resnet_generator, networks.resnet_discriminator, {"features": (4, 4, 4)}, {"features": (4, 4, 4), "strides": (2, 2, 1)}),
  "r3gan": (networks.r3gan_generator, networks.r3gan_discriminator, {"features": (8, 4)}, {"features": (4, 8)}),
}
every_pair = pytest.mark.parametrize("name", PAIRS)


@every_pair
def test_labels_change_both_players(name):
  """One trace each for labels and vectors; away from the start, each class has images and logits of its own."""
  make_up, make_down, up, down = PAIRS[name]
  up, down = make_up((8, 8, 3), **up, num_classes=3), make_down(1, **down, num_classes=3)
  z, image, label = np.tile(normal(0, 1, 5), (4, 1)), np.tile(normal(1, 1, 8, 8, 3), (4, 1, 1, 1)), jnp.array([0, 1, 2, 1])
  for module, x in ((up, z), (down, image)):
    moved = variables_of(module, x, label)
    out, vectors = jit(lambda v, m=module, x=x: [m.apply(v, x, c, train=False) for c in (label, jax.nn.one_hot(label, 3))])(moved)
    np.testing.assert_allclose(vectors, out, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(out[1], out[3], rtol=1e-5, atol=1e-6)
    differences = [np.abs(out[a] - out[b]).max() for a, b in ((0, 1), (1, 2), (0, 2))]
    assert min(differences) > 1e-4, differences
  with pytest.raises(ValueError, match="set num_classes"):
    shapes(make_down(1), image, label)


@every_pair
def test_half_the_bits_inside_and_float32_outside(name):
  make_up, make_down, up, down = PAIRS[name]
  for make, settings, x in ((make_up, {**up, "out": (8, 8, 3)}, normal(0, 4, 5)), (make_down, down, normal(1, 4, 8, 8, 3))):
    exact, narrow = make(**settings), make(**settings, dtype="bfloat16")
    variables = variables_of(exact, x)
    like, out, features = shapes(narrow, x, train=True)
    assert {leaf.dtype for leaf in jax.tree.leaves(like)} == {jnp.dtype("float32")}
    assert out.dtype == jnp.float32 and features.dtype == jnp.bfloat16
    program = str(jax.make_jaxpr(lambda v, narrow=narrow, x=x: narrow.apply(v, x, train=False))(variables))
    products = re.findall(r":(\w+)\[(\d+),.*\] = (?:dot_general|conv_general_dilated)\[", program)
    assert {kind for kind, rows in products if rows != "1"} == {"bf16"}  # one row: spectral norms, which stay float32
    got, wanted = jit(lambda v, both=(narrow, exact), x=x: [m.apply(v, x, train=False) for m in both])(variables)
    np.testing.assert_allclose(got, wanted, atol=0.1 * np.abs(wanted).max())


@pytest.mark.parametrize("name", [name for name in PAIRS if name != "mlp"])
def test_layers_across_samples_stand_before_the_last(name):
  _, make, _, settings = PAIRS[name]
  plain, _, features = shapes(make(1, **settings), jnp.zeros((4, 8, 8, 3)))
  wide, _, _ = shapes(make(1, **settings, across=networks.minibatch_stddev(2)), jnp.zeros((4, 8, 8, 3)))
  last = lambda variables: max(
    leaf.shape for path, leaf in jax.tree_util.tree_leaves_with_path(variables["params"]) if "kernel" in str(path) and leaf.shape[-1:] == (1,)
  )
  width = int(np.prod(features.shape[1:]))
  assert last(plain) == (width, 1) and last(wide) == (width + 1, 1)


def test_attention_stands_where_told():
  label = jnp.zeros(2, jnp.int32)
  for module, x, width in (
    (networks.dcgan_generator((28, 28, 1), (16, 8, 8), attention=14, num_classes=2), jnp.zeros((2, 4)), 8),
    (networks.dcgan_discriminator(1, (8, 16), attention=7, num_classes=2), jnp.zeros((2, 28, 28, 1)), 16),
    (networks.resnet_generator((28, 28, 1), (16, 8, 8), attention=14, num_classes=2), jnp.zeros((2, 4)), 8),
    (networks.resnet_discriminator(1, (8, 16), strides=(2, 2), attention=14, num_classes=2), jnp.zeros((2, 28, 28, 1)), 8),
  ):
    variables, _, _ = shapes(module, x, label)
    attention = [name for name in variables["params"] if name.startswith("SelfAttention")]
    assert attention == ["SelfAttention_0"]
    sizes = [leaf.shape for leaf in jax.tree.leaves(variables["params"]["SelfAttention_0"]) if leaf.ndim == 4]
    assert (1, 1, width, max(width // 8, 1)) in sizes


def test_spectral_networks_keep_a_vector_for_each_kernel():
  down = networks.resnet_discriminator(1, (4, 4, 4), strides=(2, 2, 1), num_classes=3)
  variables, _, _ = shapes(down, jnp.zeros((2, 8, 8, 3)), jnp.zeros(2, jnp.int32))
  kernels = [path for path, leaf in jax.tree_util.tree_leaves_with_path(variables["params"]) if leaf.ndim > 1]
  vectors = [path for path, leaf in jax.tree_util.tree_leaves_with_path(variables["batch_stats"]) if "/u" in str(path)]
  assert len(kernels) == len(vectors) == 10  # 2 + 2 + 2 in blocks, 2 shortcuts, the last layer and the classes'


@pytest.mark.parametrize(
  ("make", "message"),
  [
    (lambda: networks.dcgan_generator((2,)), r"dcgan_generator makes images of shape \(height, width, channels\); \(2,\) is no such shape"),
    (lambda: networks.dcgan_generator((8, 8, 1), strides=(2, 2)), "dcgan_generator has 3 features and 2 strides; it needs 3 strides"),
    (lambda: networks.dcgan_discriminator(1, (4,), strides=(2, 2)), "dcgan_discriminator has 1 features and 2 strides; it needs 1 strides"),
    (lambda: networks.resnet_generator((28, 28, 1)), "resnet_generator cannot enlarge 8 times to 28 x 28 pixels; use fewer features"),
    (lambda: networks.resnet_generator(3), "resnet_generator makes images"),
    (lambda: networks.r3gan_generator((28, 28, 1)), "r3gan_generator cannot enlarge 8 times to 28 x 28 pixels"),
    (lambda: networks.dcgan_discriminator(conv="SpectralCnov"), "did you mean 'SpectralConv'"),
    (lambda: networks.dcgan_discriminator(activation="leaky_rulu"), "did you mean 'leaky_relu'"),
  ],
)
def test_bad_settings_are_refused_in_one_line(make, message):
  with pytest.raises(ValueError, match=message) as refusal:
    make()
  assert "\n" not in str(refusal.value)
