"""Convolutions against flax's, to the second derivative; under every transformation; and in forms that XLA on CPU runs fast.

Mutations that made a test here fail: the kernel not turned in the transposed convolution; zeros around the image on the other side where their
number is odd; `size` left out; a derivative taken in the wrong map; patches added up one pixel off; a CPU left with JAX's own forms; kernels
mapped as groups.
"""

import re
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from games import jit
from jax import lax
from jax.sharding import Mesh, PartitionSpec

from gan_jax.networks import convolution
from gan_jax.networks.convolution import Conv, ConvTranspose, convolve, convolve_transpose

# (height and width, kernel, stride): even and odd sizes, kernels that do and do not fit into the image, and the output.
SHAPES = (((28, 14), 3, 2), ((7, 6), 4, 2), ((7, 4), 5, 2), ((5, 5), 3, 1), ((6, 5), 4, 1), ((8, 7), 1, 1), ((7, 6), 1, 2), ((9, 8), 3, 3))
LAYERS = {"conv": (Conv, nn.Conv, convolve), "transposed": (ConvTranspose, nn.ConvTranspose, convolve_transpose)}


def normal(seed, *shape):
  return np.random.default_rng(seed).normal(size=shape)


def derivatives(layer, image, kernel):
  """Values, first derivatives, and the derivatives of a gradient penalty, of a function that is nonlinear in both arguments."""

  def value(image, kernel):
    return jnp.sum(jnp.sin(layer(image, kernel)) ** 2)

  def penalty(image, kernel):
    return sum(jnp.sum(slope**2) for slope in jax.grad(value, (0, 1))(image, kernel))

  return layer(image, kernel), jax.grad(value, (0, 1))(image, kernel), jax.grad(penalty, (0, 1))(image, kernel)


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), pytest.param("float64", 1e-12, marks=pytest.mark.slow)])
def test_equal_to_flax_to_the_second_derivative(kind, dtype, tolerance):
  _, theirs, ours = LAYERS[kind]
  with jax.enable_x64(dtype == "float64"):
    inputs = [(normal(1, 2, *size, 3).astype(dtype), normal(2, k, k, 3, 4).astype(dtype) / k) for size, k, _ in SHAPES]

    def flax(image, kernel, stride):
      module = theirs(4, kernel.shape[:2], (stride, stride), use_bias=False, dtype=dtype)
      return module.apply({"params": {"kernel": kernel}}, image)

    def everything(layer):
      strides = [stride for _, _, stride in SHAPES]
      return jit(lambda inputs: [derivatives(lambda x, w, s=s: layer(x, w, s), *pair) for pair, s in zip(inputs, strides, strict=True)])(inputs)

    for shape, got, wanted in zip(SHAPES, everything(ours), everything(flax), strict=True):
      for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(wanted), strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype == dtype
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * np.abs(b).max(), err_msg=str(shape))


@pytest.mark.parametrize("kind", LAYERS)
def test_layers_have_flax_parameters(kind):
  ours, theirs, _ = LAYERS[kind]
  x = normal(0, 2, 5, 5, 3).astype("float32")
  flax = theirs(4, (3, 3), (2, 2))
  variables = flax.init(jax.random.key(0), x)
  layer = ours(4, 3, 2)
  assert jax.tree.map(jnp.shape, layer.init(jax.random.key(1), x)) == jax.tree.map(jnp.shape, variables)
  moved = jax.tree.map(lambda leaf: leaf + 0.1, variables)
  np.testing.assert_allclose(layer.apply(moved, x), flax.apply(moved, x), rtol=1e-5, atol=1e-5)
  assert set(ours(4, 3, 2, use_bias=False).init(jax.random.key(1), x)["params"]) == {"kernel"}
  narrow = ours(4, 3, 2, dtype="bfloat16")
  assert narrow.init(jax.random.key(1), x)["params"]["kernel"].dtype == jnp.float32
  out = narrow.apply(moved, x)
  assert out.dtype == jnp.bfloat16
  np.testing.assert_allclose(out.astype("float32"), flax.apply(moved, x), atol=0.1)


def test_by_hand():
  """One row of pixels, kernel (1, 10, 100): zeros before the first pixel with stride 1, none with stride 2 and an even size."""
  row = np.array([1.0, 2.0, 3.0, 4.0], "float32").reshape(1, 1, 4, 1)
  kernel = np.array([1.0, 10.0, 100.0], "float32").reshape(1, 3, 1, 1)
  np.testing.assert_allclose(convolve(row, kernel).ravel(), [210, 321, 432, 43])
  np.testing.assert_allclose(convolve(row, kernel, 2).ravel(), [321, 43])
  # flax, too, lays the kernel down turned.
  np.testing.assert_allclose(convolve_transpose(row[:, :, :2], kernel, 2, (1, 4)).ravel(), [100, 10, 201, 20])


@pytest.mark.parametrize(("small", "size"), [((4, 4), (7, 7)), ((4, 2), (7, 4)), ((3, 3), (5, 6))])
def test_the_way_back_to_any_size(small, size):
  """The transposed convolution is the convolution's gradient, with the kernel as flax keeps it."""
  y, kernel = normal(0, 2, *small, 3).astype("float32"), normal(1, 3, 3, 3, 2).astype("float32")
  turned = kernel[::-1, ::-1].swapaxes(2, 3)
  forth = lambda x: lax.conv_general_dilated(x, turned, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
  _, back = jax.vjp(forth, jnp.zeros((2, *size, 2)))
  np.testing.assert_allclose(convolve_transpose(y, kernel, 2, size), back(y)[0], rtol=1e-5, atol=1e-5)


def test_a_size_that_cannot_be_is_refused():
  with pytest.raises(ValueError, match=r"of stride 2 cannot make \(9, 9\) from \(4, 4\); it would need \(5, 5\)"):
    convolve_transpose(jnp.zeros((1, 4, 4, 1)), jnp.zeros((3, 3, 1, 1)), 2, (9, 9))


@pytest.mark.parametrize(("size", "k", "stride"), SHAPES)
def test_both_forms_of_the_three_maps_agree(size, k, stride):
  """Those of a CPU and those of accelerators, run here side by side."""
  window = convolution._window(size, (k, k), stride)
  x, w, y = (normal(i, *shape).astype("float32") for i, shape in enumerate([(2, *size, 3), (k, k, 3, 4), (2, *window.output, 4)]))
  for name, pair in (("output", (x, w)), ("image", (y, w)), ("kernel", (x, y))):
    plain, on_cpu = (getattr(convolution, form.format(name))(window, *pair) for form in ("_plain_{}", "_{}_on_cpu"))
    assert plain.shape == on_cpu.shape
    np.testing.assert_allclose(on_cpu, plain, rtol=1e-5, atol=1e-5 * np.abs(plain).max(), err_msg=name)


@pytest.mark.parametrize(("batch", "pixels", "parts"), [(6, 72, 3), (6, 20, 6), (6, 400, 1), (7, 180, 1)])
def test_a_kernels_gradient_on_cpu_is_summed_in_parts(monkeypatch, batch, pixels, parts):
  """`pixels` of output at once: 36 are one image's. Seven images have no parts of two to five, so they stay whole."""
  monkeypatch.setattr(convolution, "PIXELS", pixels)
  window = convolution._window((6, 6), (3, 3), 1)
  x, y = normal(0, batch, 6, 6, 3).astype("float32"), normal(1, batch, 6, 6, 4).astype("float32")
  plain = convolution._plain_kernel(window, x, y)
  np.testing.assert_allclose(convolution._kernel_on_cpu(window, x, y), plain, rtol=1e-5, atol=1e-5 * np.abs(plain).max())
  program = str(jax.make_jaxpr(partial(convolution._kernel_on_cpu, window))(x, y))
  assert ("scan" in program or "while" in program) == (parts > 1)
  assert parts == 1 or f"f32[{parts},{batch // parts},6,6,3]" in program


def test_an_accelerator_gets_its_own_form():
  """JAX's own convolutions, which XLA hands to cuDNN; the CPU's has a matrix product in place of this transposed one."""
  lowered = jax.jit(lambda x, w: convolve_transpose(x, w, 2)).trace(jnp.zeros((2, 4, 4, 8)), jnp.zeros((4, 4, 8, 8)))
  texts = {platform: lowered.lower(lowering_platforms=(platform,)).as_text() for platform in ("cpu", "cuda", "tpu")}
  assert "dot_general" in texts["cpu"] and "convolution" not in texts["cpu"]
  for platform in ("cuda", "tpu"):
    assert "dot_general" not in texts[platform] and "lhs_dilate = [2, 2]" in texts[platform]


def net(x, parameters):
  """Down by 2, at one size, up by 2."""
  h = jnp.tanh(convolve(x, parameters["down"], 2))
  h = jnp.tanh(convolve(h, parameters["same"]))
  return convolve_transpose(h, parameters["up"], 2, x.shape[1:3])


def parameters(seed=0):
  shapes = {"down": (3, 3, 2, 4), "same": (3, 3, 4, 4), "up": (4, 4, 4, 2)}
  return {name: (normal(seed + i, *shape) / 3).astype("float32") for i, (name, shape) in enumerate(shapes.items())}


def loss(parameters, x):
  """A penalty, so that its gradient differentiates every map twice."""
  return jnp.mean(jax.grad(lambda x: jnp.sum(net(x, parameters) ** 2))(x) ** 2)


def close(got, wanted):
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5 * np.abs(b).max()), got, wanted)


@pytest.fixture(scope="module")
def example():
  """Two seeds' parameters and images, and each seed's gradient alone."""
  seeds = [parameters(0), parameters(10)]
  images = normal(5, 2, 8, 7, 7, 2).astype("float32")
  slope = jit(jax.grad(loss))
  return seeds, images, [slope(*pair) for pair in zip(seeds, images, strict=True)]


def test_seeds_are_an_axis_without_grouped_convolutions(example):
  seeds, images, alone = example
  stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *seeds)
  both = jit(jax.vmap(jax.grad(loss))).lower(stacked, images).compile()
  close(both(stacked, images), jax.tree.map(lambda *leaves: np.stack(leaves), *alone))
  if jax.default_backend() == "cpu":
    assert "feature_group_count" not in both.as_text() and "batch_group_count" not in both.as_text()
  # The gradient of a map, not the map of a gradient; one argument mapped; and a map in a map.
  total = lambda stacked: jnp.sum(jax.vmap(loss, in_axes=(0, None))(stacked, images[0]))
  wanted = [jit(jax.grad(loss))(one, images[0]) for one in seeds]
  close(jit(jax.grad(total))(stacked), jax.tree.map(lambda *leaves: np.stack(leaves), *wanted))
  nested = jit(jax.vmap(jax.vmap(net, (0, None)), (0, 0)))(images.reshape(2, 2, 4, 7, 7, 2), stacked)
  close(nested.reshape(2, 8, 7, 7, 2), np.stack([net(x, p) for x, p in zip(images, seeds, strict=True)]))


def test_scan_through_updates(example):
  """Unrolling: the gradient through two steps of gradient descent, in a scan and in a row."""
  seeds, images, _ = example

  def descend(parameters, x):
    return jax.tree.map(lambda p, slope: p - 0.1 * slope, parameters, jax.grad(loss)(parameters, x))

  def in_a_scan(parameters):
    ahead, _ = lax.scan(lambda p, x: (descend(p, x), None), parameters, images[:, :2])
    return loss(ahead, images[0, :2])

  def in_a_row(parameters):
    return loss(descend(descend(parameters, images[0, :2]), images[1, :2]), images[0, :2])

  close(jit(jax.grad(in_a_scan))(seeds[0]), jit(jax.grad(jax.checkpoint(in_a_row)))(seeds[0]))


@pytest.mark.parametrize("how", ["shard_map", "pmap", "vmap", "sharded batch"])
def test_shards_of_a_batch(example, how):
  if len(jax.devices()) < 4:
    pytest.skip("needs 4 devices")
  seeds, images, alone = example
  mesh = Mesh(np.asarray(jax.devices()[:4]), ("devices",))
  everybody, rows = PartitionSpec(), PartitionSpec("devices")
  mean = lambda parameters, x: lax.pmean(jax.grad(loss)(parameters, x), "devices")
  parts = images[0].reshape(4, 2, 7, 7, 2)
  if how == "shard_map":
    got = jit(jax.shard_map(mean, mesh=mesh, in_specs=(everybody, rows), out_specs=everybody, check_vma=False))(seeds[0], images[0])
  elif how == "pmap":
    got = jax.pmap(mean, "devices", in_axes=(None, 0), out_axes=None, devices=jax.devices()[:4])(seeds[0], parts)
  elif how == "vmap":
    got = jit(jax.vmap(mean, (None, 0), None, axis_name="devices"))(seeds[0], parts)
  else:
    got = jit(jax.grad(loss))(seeds[0], jax.device_put(images[0], jax.NamedSharding(mesh, rows)))
  close(got, alone[0])


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="about XLA on CPU")
def test_loops_hold_only_convolutions_that_eigen_takes(example):
  """In the plain order, dilated on one side at most, the kernel no larger than the image: anything else is a scalar loop. flax's break every rule."""
  seeds, images, _ = example

  def round_of(function):
    body = lambda _, p: jax.tree.map(lambda p, slope: p - slope, p, jax.grad(function)(p, images[0]))
    return jax.jit(lambda p: lax.fori_loop(0, 2, body, p)).lower(seeds[0]).compile().as_text()

  def flax_loss(parameters, x):
    apply = lambda module, name, x: module.apply({"params": {"kernel": parameters[name]}}, x)

    def net(x):
      h = jnp.tanh(apply(nn.Conv(4, (3, 3), (2, 2), use_bias=False), "down", x))
      h = jnp.tanh(apply(nn.Conv(4, (3, 3), use_bias=False), "same", h))
      return apply(nn.ConvTranspose(2, (4, 4), (2, 2), use_bias=False), "up", h)

    return jnp.mean(jax.grad(lambda x: jnp.sum(net(x) ** 2))(x) ** 2)

  ours = round_of(loss)
  assert " convolution(" in ours and not slow_convolutions(ours), slow_convolutions(ours)
  assert len(slow_convolutions(round_of(flax_loss))) > 4


def slow_convolutions(program: str) -> list[str]:
  sizes = dict(re.findall(r"%?([\w.-]+) = \w+\[([\d,]*)\]", program))
  found = []
  for image, kernel, settings in re.findall(r" convolution\(%?([\w.-]+), %?([\w.-]+)\), (.*)", program):
    shape = lambda name: [int(n) for n in sizes[name].split(",")]
    plain = "dim_labels=b01f_01io->b01f" in settings and not ("lhs_dilate" in settings and "rhs_dilate" in settings)
    fits = all(k <= n for k, n in zip(shape(kernel)[:2], shape(image)[1:3], strict=True))
    if not (plain and fits):
      found.append(settings[:80])
  return found
