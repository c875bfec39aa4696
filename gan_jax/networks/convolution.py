"""Convolutions whose derivatives of every order are fast on a CPU: two functions, and layers with flax's parameters.

A convolution of image x, kernel w and stride s is y_ijo = sum x_(is+a)(js+b)c w_abco. Its product with an output-shaped array is linear in that
array, x and w alike, and its gradient in one of the three, given the other two, is one of three maps: `_output` (the convolution), `_image` (the
transposed convolution) and `_kernel`. Each one's derivatives are the two others. So they are closed under differentiation, and any order of it
(gradient penalties, unrolling) meets these three alone, each written in the form that the platform runs fast.

XLA on CPU gives a convolution to Eigen if it is in the plain order (NHWC, HWIO), dilates one side at most, and its kernel fits into its input. Any
other runs in a scalar loop, 10 to 100 times slower. XLA does put others into the plain order, but only outside of loops, and a run is a loop. The
derivatives that JAX makes of convolutions are not in the plain order, and a transposed convolution's derivative in the kernel dilates both sides.
"""

import itertools
import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.linen.dtypes import promote_dtype
from jax import Array, lax

Padding = tuple[tuple[int, int], ...]
PIXELS = 2048  # of output, that a kernel's gradient on CPU sums over at once: more leave the caches (measured: twice the time at 32 images of 32x32)


def convolve(image: Array, kernel: Array, stride: int = 1) -> Array:
  """`[N, H, W, C], [a, b, C, O] -> [N, ceil(H / stride), ceil(W / stride), O]`, zeros around the image ("SAME").

  Equals `flax.linen.Conv`. Reverse-mode differentiation of any order, `vmap`, `scan` and shards; no forward mode.
  """
  return _output(_window(image.shape[1:3], kernel.shape[:2], stride), image, kernel)


def convolve_transpose(image: Array, kernel: Array, stride: int = 1, size: tuple[int, int] | None = None) -> Array:
  """`[N, h, w, C], [a, b, C, O] -> [N, *size, O]`: the way back from the output of a convolution with that stride to an image of that size.

  `size` is `(h * stride, w * stride)` where none is given, as in `flax.linen.ConvTranspose`; a smaller one whose ceil(size / stride) is
  `(h, w)` undoes an uneven halving, 7 <- 4.
  """
  size = size or (image.shape[1] * stride, image.shape[2] * stride)
  window = _window(size, kernel.shape[:2], stride)
  if window.output != image.shape[1:3]:
    raise ValueError(f"a transposed convolution of stride {stride} cannot make {size} from {image.shape[1:3]}; it would need {window.output}")
  return _image(window, image, kernel[::-1, ::-1].swapaxes(2, 3))


class Conv(nn.Module):
  """A convolution and a bias, `[N, H, W, C] -> [N, ceil(H / strides), ceil(W / strides), features]`; parameters as `flax.linen.Conv`'s."""

  features: int
  kernel_size: int = 3
  strides: int = 1
  use_bias: bool = True
  kernel_init: nn.initializers.Initializer = nn.initializers.lecun_normal()
  dtype: Any = None

  @nn.compact
  def __call__(self, x: Array) -> Array:
    kernel = self.param("kernel", self.kernel_init, (self.kernel_size, self.kernel_size, x.shape[-1], self.features))
    bias = self.param("bias", nn.initializers.zeros, (self.features,)) if self.use_bias else None
    x, kernel, bias = promote_dtype(x, kernel, bias, dtype=self.dtype)
    x = convolve(x, kernel, self.strides)
    return x if bias is None else x + bias


class ConvTranspose(nn.Module):
  """A transposed convolution and a bias, `[N, h, w, C] -> [N, *size, features]`; parameters as `flax.linen.ConvTranspose`'s."""

  features: int
  kernel_size: int = 4
  strides: int = 2
  size: tuple[int, int] | None = None
  use_bias: bool = True
  kernel_init: nn.initializers.Initializer = nn.initializers.lecun_normal()
  dtype: Any = None

  @nn.compact
  def __call__(self, x: Array) -> Array:
    kernel = self.param("kernel", self.kernel_init, (self.kernel_size, self.kernel_size, x.shape[-1], self.features))
    bias = self.param("bias", nn.initializers.zeros, (self.features,)) if self.use_bias else None
    x, kernel, bias = promote_dtype(x, kernel, bias, dtype=self.dtype)
    x = convolve_transpose(x, kernel, self.strides, self.size)
    return x if bias is None else x + bias


class _Window(NamedTuple):
  """The sizes of a convolution `image -> output`; `padding` are the zeros before and after, along the two axes."""

  image: tuple[int, int]
  kernel: tuple[int, int]
  output: tuple[int, int]
  padding: Padding
  stride: int


def _window(image: tuple[int, ...], kernel: tuple[int, ...], stride: int) -> _Window:
  output = tuple(math.ceil(n / stride) for n in image)
  missing = [max((o - 1) * stride + k - n, 0) for n, k, o in zip(image, kernel, output, strict=True)]
  return _Window(tuple(image), tuple(kernel), output, tuple((m // 2, m - m // 2) for m in missing), stride)  # type: ignore[arg-type]


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _output(window: _Window, image: Array, kernel: Array) -> Array:
  return lax.platform_dependent(image, kernel, cpu=_each(partial(_output_on_cpu, window)), default=partial(_plain_output, window))


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _image(window: _Window, output: Array, kernel: Array) -> Array:
  return lax.platform_dependent(output, kernel, cpu=_each(partial(_image_on_cpu, window)), default=partial(_plain_image, window))


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _kernel(window: _Window, image: Array, output: Array) -> Array:
  return lax.platform_dependent(image, output, cpu=_each(partial(_kernel_on_cpu, window)), default=partial(_plain_kernel, window))


_output.defvjp(lambda win, x, w: (_output(win, x, w), (x, w)), lambda win, saved, y: (_image(win, y, saved[1]), _kernel(win, saved[0], y)))
_image.defvjp(lambda win, y, w: (_image(win, y, w), (y, w)), lambda win, saved, x: (_output(win, x, saved[1]), _kernel(win, x, saved[0])))
_kernel.defvjp(lambda win, x, y: (_kernel(win, x, y), (x, y)), lambda win, saved, w: (_image(win, saved[1], w), _output(win, saved[0], w)))


def _plain_output(window: _Window, image: Array, kernel: Array) -> Array:
  return _plain(image, kernel, window.padding, window.stride)


def _plain_image(window: _Window, output: Array, kernel: Array) -> Array:
  image = jax.ShapeDtypeStruct((len(output), *window.image, kernel.shape[2]), output.dtype)
  return jax.linear_transpose(lambda image: _plain_output(window, image, kernel), image)(output)[0]


def _plain_kernel(window: _Window, image: Array, output: Array) -> Array:
  kernel = jax.ShapeDtypeStruct((*window.kernel, image.shape[-1], output.shape[-1]), image.dtype)
  return jax.linear_transpose(lambda kernel: _plain_output(window, image, kernel), kernel)(output)[0]


def _output_on_cpu(window: _Window, image: Array, kernel: Array) -> Array:
  if _fits(window.kernel, window.image) and window.kernel != (1, 1):
    return _plain_output(window, image, kernel)
  padded = lax.pad(image, jnp.zeros((), image.dtype), ((0, 0, 0), *((lo, hi, 0) for lo, hi in window.padding), (0, 0, 0)))
  ends = [(o - 1) * window.stride + 1 for o in window.output]
  starts = itertools.product(*map(range, window.kernel))
  patches = [padded[:, a : a + ends[0] : window.stride, b : b + ends[1] : window.stride] for a, b in starts]
  return lax.dot_general(jnp.concatenate(patches, axis=-1), kernel.reshape(-1, kernel.shape[-1]), (((3,), (0,)), ((), ())))


def _image_on_cpu(window: _Window, output: Array, kernel: Array) -> Array:
  if _fits(window.kernel, window.output) and math.prod(window.kernel) > 4 * window.stride**2:  # patches would be many times the image
    sizes = zip(window.image, window.kernel, window.output, window.padding, strict=True)
    padding = tuple((k - 1 - lo, n + lo - (o - 1) * window.stride - 1) for n, k, o, (lo, _) in sizes)
    turned = lax.transpose(lax.rev(kernel, (0, 1)), (0, 1, 3, 2))
    return _plain(output, turned, padding, dilation=(window.stride, 1))
  patches = lax.dot_general(output, kernel, (((3,), (3,)), ((), ())))  # [N, h, w, a, b, C]
  return _overlap_add(window, _overlap_add(window, patches, 1), 0)


def _overlap_add(window: _Window, patches: Array, direction: int) -> Array:
  """Adds the patches up along the height (0) or the width (1): entry a of patch i belongs to pixel i * stride + a - padding."""
  axis, stride, taps = direction + 1, window.stride, window.kernel[direction]
  reach, zero = math.ceil(taps / stride), jnp.zeros((), patches.dtype)
  shape = list(patches.shape[: axis + 2] + patches.shape[axis + 3 :])
  shape[axis] += reach - 1
  phases = []  # the pixels congruent to 0, 1, ... modulo the stride, so that adding up is a shift of whole arrays
  for phase in range(stride):
    total = jnp.zeros(shape, patches.dtype)
    for shift, tap in enumerate(range(phase, taps, stride)):
      moves = [(0, 0, 0)] * len(shape)
      moves[axis] = (shift, reach - 1 - shift, 0)
      total += lax.pad(lax.index_in_dim(patches, tap, axis + 2, keepdims=False), zero, moves)
    phases.append(total)
  shape[axis] *= stride
  moves = [(0, 0, 0)] * len(shape)
  before = window.padding[direction][0]
  moves[axis] = (-before, before + window.image[direction] - shape[axis], 0)
  return lax.pad(jnp.stack(phases, axis + 1).reshape(shape), zero, moves)


def _kernel_on_cpu(window: _Window, image: Array, output: Array) -> Array:
  most = max(1, PIXELS // math.prod(window.output))
  together = next(n for n in range(min(most, len(image)), 0, -1) if len(image) % n == 0)
  if together == len(image) or 4 * together < most:  # a batch without fitting divisors stays whole
    return _kernel_at_once(window, image, output)
  parts = [x.reshape(-1, together, *x.shape[1:]) for x in (image, output)]
  pick = lambda number: (lax.dynamic_index_in_dim(part, number, keepdims=False) for part in parts)
  add = lambda number, total: total + _kernel_at_once(window, *pick(number))
  return lax.fori_loop(1, len(image) // together, add, _kernel_at_once(window, *pick(0)))


def _kernel_at_once(window: _Window, image: Array, output: Array) -> Array:
  if window.kernel == (1, 1):
    return lax.dot_general(image[:, :: window.stride, :: window.stride], output, (((0, 1, 2), (0, 1, 2)), ((), ())))[None, None]
  sizes = zip(window.image, window.kernel, window.output, window.padding, strict=True)
  padding = tuple((lo, (o - 1) * window.stride + k - n - lo) for n, k, o, (lo, _) in sizes)
  turned = lax.transpose(image, (3, 1, 2, 0)), lax.transpose(output, (1, 2, 0, 3))
  return lax.transpose(_plain(*turned, padding, dilation=(1, window.stride)), (1, 2, 0, 3))


def _plain(image: Array, kernel: Array, padding: Padding, stride: int = 1, dilation: tuple[int, int] = (1, 1)) -> Array:
  return lax.conv_general_dilated(
    image, kernel, (stride,) * 2, padding, (dilation[0],) * 2, (dilation[1],) * 2, dimension_numbers=("NHWC", "HWIO", "NHWC")
  )  # fmt: skip


def _fits(kernel: tuple[int, int], image: tuple[int, int]) -> bool:
  return kernel[0] <= image[0] and kernel[1] <= image[1]


def _each(function: Callable[[Array, Array], Array]) -> Callable[[Array, Array], Array]:
  """The function, mapped one after the other where both arguments are: XLA would make slow grouped convolutions of a batch of kernels."""
  return jax.custom_batching.sequential_vmap(function)


__all__ = ["Conv", "ConvTranspose", "convolve", "convolve_transpose"]
