"""Our dense layer against flax's, to the second derivative, and the order of the factors that XLA on CPU runs fast.

Mutations that made a test here fail: the gradient in the kernel not transposed where the outputs are the narrower; a derivative taken in the wrong
map; leading axes not put back; JAX's own order kept for one seed; our order under a map over seeds.
"""

import re

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from games import jit

from gan_jax.networks.dense import Dense, _kernel

SHAPES = (((5, 2), 7), ((5, 7), 2), ((4, 6), 6), ((2, 3, 4), 5), ((3,), 4))  # of x, and the outputs


def normal(seed, *shape):
  return np.random.default_rng(seed).normal(size=shape).astype("float32")


@pytest.mark.parametrize("precise", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_equal_to_flax_to_the_second_derivative_and_under_vmap(precise):
  def everything(layer, x, params):
    value = lambda x, params: jnp.sum(jnp.sin(layer.apply({"params": params}, x)) ** 2)
    penalty = lambda x, params: sum(jnp.sum(slope**2) for slope in jax.tree.leaves(jax.grad(value, (0, 1))(x, params)))
    return layer.apply({"params": params}, x), jax.grad(value, (0, 1))(x, params), jax.grad(penalty, (0, 1))(x, params)

  with jax.enable_x64(precise):
    dtype = "float64" if precise else "float32"
    for number, (shape, out) in enumerate(SHAPES):
      x, kernel, bias = (normal(3 * number + i, *s).astype(dtype) for i, s in enumerate((shape, (shape[-1], out), (out,))))
      params = {"kernel": kernel, "bias": bias}
      many = [jax.tree.map(lambda a: np.stack([a, 2 * a, a - 1]), tree) for tree in (x, params)]
      got, wanted = (
        jit(lambda x, params, xs, many, layer=layer: (everything(layer, x, params), jax.vmap(lambda x, p: everything(layer, x, p))(xs, many)))(
          x, params, *many
        )
        for layer in (Dense(out, dtype=dtype), nn.Dense(out, dtype=dtype))
      )
      for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11 if precise else 2e-4, atol=1e-12 if precise else 2e-4)


def test_half_precision_and_no_precision_of_its_own():
  x, params = normal(0, 3, 4), {"kernel": normal(1, 4, 5), "bias": normal(2, 5)}
  slope = lambda layer: jax.grad(lambda p: jnp.sum(layer.apply({"params": p}, x).astype("float32") ** 2))(params)
  mine, theirs = (slope(layer(5, dtype="bfloat16")) for layer in (Dense, nn.Dense))
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0.02, atol=0.05), mine, theirs)
  assert Dense(5, dtype="bfloat16").apply({"params": params}, x).dtype == jnp.bfloat16
  with pytest.raises(ValueError, match="takes no precision, here 'highest'; set jax_default_matmul_precision"):
    Dense(5, precision="highest").apply({"params": params}, x)


def test_parameters_and_their_start_are_flaxs():
  x = normal(0, 3, 4)
  mine, theirs = (layer.init(jax.random.key(0), x)["params"] for layer in (Dense(5), nn.Dense(5)))
  jax.tree.map(np.testing.assert_array_equal, mine, theirs)
  assert jax.tree.structure(mine) == jax.tree.structure(theirs)


def product_made(inputs, outputs, seeds=None):
  """The shape of the product that the gradient in the kernel is made of: `[first factor's width, second's]`."""
  shape = () if seeds is None else (seeds,)
  gradient = _kernel if seeds is None else jax.vmap(_kernel)
  program = jax.make_jaxpr(gradient)(jnp.zeros((*shape, 5, inputs)), jnp.zeros((*shape, 5, outputs)))
  (found,) = re.findall(r":f32\[([\d,]*)\] = dot_general", str(program))
  return tuple(map(int, found.split(",")))


def test_the_narrower_factor_comes_first_but_under_a_map_over_seeds():
  assert product_made(2, 7) == product_made(7, 2) == product_made(2, 7, seeds=1) == (2, 7)
  assert product_made(2, 7, seeds=3) == (3, 7, 2)
