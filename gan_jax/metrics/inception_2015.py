"""Inception as of 5 December 2015, the network that the FID is defined with, from a file that the user has.

The published file is known by its SHA-256, and with it alone a distance is called FID. Nothing is downloaded, and without a file there is no FID.
"""

import functools
import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from gan_jax.data.base import Data
from gan_jax.metrics.base import Extractor, Features, digest
from gan_jax.metrics.features import in_batches
from gan_jax.metrics.torch_files import read_tensors

# pt_inception-2015-12-05-6726825d.pth, made from the TensorFlow graph of inception-2015-12-05.tgz; weights-inception-... is the same file.
PUBLISHED = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
SIDE = 299  # pixels
BATCH = 32
EPSILON = 0.001  # of BatchNorm

Conv = Callable[..., Array]  # (name, x, width, kernel=(1, 1), stride=1, padding="SAME") -> x'


def inception(path: str) -> Extractor:
  """The 2048 pooled features of Inception-v3 of 2015, from weights in a local file.

  Distances are called FID and KID if the file is the published one, pt_inception-2015-12-05-6726825d.pth (by its SHA-256; read as tensors, never
  unpickled). A safetensors or npz file with the same names of arrays ("Conv2d_1a_3x3.conv.weight", "....bn.running_mean", ...) works too, but
  nothing vouches for what it holds, so there they are called "fd_inception_..." and its hash is in the identity.

  Images are rounded to 256 levels, one channel is made three, and they are resized to 299 as the TensorFlow graph of that day does (bilinear,
  corner to corner without half pixels): another resize changes an FID by whole points (Parmar et al., 2022, arXiv:2104.11222). Heusel et al.,
  2017 (arXiv:1706.08500). Not checked here against the published weights, which were not at hand; with random weights it agrees with
  torch-fidelity's network. Slow without an accelerator: half a second an image.

  OSError: no such file. ValueError: one that does not hold the weights.
  """
  content = Path(path).read_bytes()
  published = hashlib.sha256(content).hexdigest() == PUBLISHED
  weights = check_weights(path, read_tensors(content) if published else _plain_tensors(path, content))
  identity = digest("inception", SIDE, BATCH, *(part for name in sorted(weights) for part in (name, weights[name])))
  apply = functools.partial(pooled_features, weights)

  def extractor(data: Data) -> Features:
    if len(data.shape) != 3 or data.shape[-1] not in (1, 3):
      raise ValueError(f"inception needs grey or RGB images, and {data.name} is of shape {tuple(data.shape)}")
    extract = lambda images: in_batches(apply, images, BATCH)
    return Features(extract, "inception", identity, {"fd": "fid", "kd": "kid"} if published else {}, 2048)

  return extractor


def check_weights(path: str, tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
  """The arrays that the network needs, as float32; ValueError for one that is missing or of another shape."""
  kept = {}
  for name, shape in expected_shapes().items():
    if name not in tensors:
      raise ValueError(f"{path}: not the weights of Inception-v3: {name} is missing")
    if tensors[name].shape != shape:
      raise ValueError(f"{path}: not the weights of Inception-v3: {name} is of shape {tensors[name].shape}, not {shape}")
    kept[name] = np.asarray(tensors[name], np.float32)
  return kept


@jax.jit
def pooled_features(weights: Mapping[str, Array], images: Array) -> Array:
  """[B, H, W, 1 or 3] in [-1, 1] -> [B, 2048]."""
  levels = jnp.clip(jnp.round((images + 1) * 127.5), 0, 255)
  levels = jnp.broadcast_to(levels, (*levels.shape[:3], 3))
  return network(functools.partial(_convolve, weights), (resize(levels) - 128) / 128)


def resize(images: Array) -> Array:
  """[B, H, W, C] -> [B, 299, 299, C], as tf.image.resize_bilinear of TensorFlow 1: output pixel i is at i * H / 299."""
  for axis in (1, 2):
    size = images.shape[axis]
    place = np.arange(SIDE, dtype=np.float32) * np.float32(size / SIDE)
    low = place.astype(int)
    high, part = np.minimum(low + 1, size - 1), (place - low).reshape(-1, *[1] * (3 - axis))
    below, above = jnp.take(images, low, axis), jnp.take(images, high, axis)
    images = below + (above - below) * part
  return images


def network(conv: Conv, x: Array) -> Array:
  """[B, 299, 299, 3] in [-1, 1] -> [B, 2048]. Szegedy et al., 2015 (arXiv:1512.00567); names are those of the PyTorch port."""
  x = conv("Conv2d_1a_3x3", x, 32, (3, 3), 2, "VALID")
  x = conv("Conv2d_2a_3x3", x, 32, (3, 3), 1, "VALID")
  x = _max_pool(conv("Conv2d_2b_3x3", x, 64, (3, 3)))
  x = conv("Conv2d_3b_1x1", x, 80)
  x = _max_pool(conv("Conv2d_4a_3x3", x, 192, (3, 3), 1, "VALID"))
  for name, width in {"5b": 32, "5c": 64, "5d": 64}.items():
    x = _block_a(_inside(conv, name), x, width)
  x = _block_b(_inside(conv, "6a"), x)
  for name, width in {"6b": 128, "6c": 160, "6d": 160, "6e": 192}.items():
    x = _block_c(_inside(conv, name), x, width)
  x = _block_d(_inside(conv, "7a"), x)
  x = _block_e(_inside(conv, "7b"), x, _mean_around)
  x = _block_e(_inside(conv, "7c"), x, lambda x: _max_pool(x, 1, "SAME"))  # a maximum, here alone: so it was published
  return x.mean(axis=(1, 2))


@functools.cache
def expected_shapes() -> dict[str, tuple[int, ...]]:
  """Names and shapes of all arrays, in PyTorch's layout."""
  shapes: dict[str, tuple[int, ...]] = {}

  def conv(name: str, x: Array, width: int, kernel: tuple[int, int] = (1, 1), stride: int = 1, padding: str = "SAME") -> Array:
    own: dict[str, tuple[int, ...]] = {f"{name}.conv.weight": (width, x.shape[-1], *kernel)}
    own |= {f"{name}.bn.{part}": (width,) for part in ("weight", "bias", "running_mean", "running_var")}
    shapes.update(own)
    return _convolve({key: jnp.zeros(shape) for key, shape in own.items()}, name, x, width, kernel, stride, padding)

  jax.eval_shape(lambda: network(conv, jnp.zeros((1, SIDE, SIDE, 3))))
  return shapes


def _inside(conv: Conv, block: str) -> Conv:
  return lambda name, *arguments: conv(f"Mixed_{block}.{name}", *arguments)


def _block_a(conv: Conv, x: Array, width: int) -> Array:
  five = conv("branch5x5_2", conv("branch5x5_1", x, 48), 64, (5, 5))
  three = conv("branch3x3dbl_3", conv("branch3x3dbl_2", conv("branch3x3dbl_1", x, 64), 96, (3, 3)), 96, (3, 3))
  return _join(conv("branch1x1", x, 64), five, three, conv("branch_pool", _mean_around(x), width))


def _block_b(conv: Conv, x: Array) -> Array:
  double = conv("branch3x3dbl_3", conv("branch3x3dbl_2", conv("branch3x3dbl_1", x, 64), 96, (3, 3)), 96, (3, 3), 2, "VALID")
  return _join(conv("branch3x3", x, 384, (3, 3), 2, "VALID"), double, _max_pool(x))


def _block_c(conv: Conv, x: Array, width: int) -> Array:
  seven = conv("branch7x7_3", conv("branch7x7_2", conv("branch7x7_1", x, width), width, (1, 7)), 192, (7, 1))
  double = conv("branch7x7dbl_1", x, width)
  for number, kernel, out in ((2, (7, 1), width), (3, (1, 7), width), (4, (7, 1), width), (5, (1, 7), 192)):
    double = conv(f"branch7x7dbl_{number}", double, out, kernel)
  return _join(conv("branch1x1", x, 192), seven, double, conv("branch_pool", _mean_around(x), 192))


def _block_d(conv: Conv, x: Array) -> Array:
  three = conv("branch3x3_2", conv("branch3x3_1", x, 192), 320, (3, 3), 2, "VALID")
  seven = conv("branch7x7x3_3", conv("branch7x7x3_2", conv("branch7x7x3_1", x, 192), 192, (1, 7)), 192, (7, 1))
  return _join(three, conv("branch7x7x3_4", seven, 192, (3, 3), 2, "VALID"), _max_pool(x))


def _block_e(conv: Conv, x: Array, pool: Callable[[Array], Array]) -> Array:
  three = conv("branch3x3_1", x, 384)
  double = conv("branch3x3dbl_2", conv("branch3x3dbl_1", x, 448), 384, (3, 3))
  return _join(
    conv("branch1x1", x, 320),
    conv("branch3x3_2a", three, 384, (1, 3)), conv("branch3x3_2b", three, 384, (3, 1)),
    conv("branch3x3dbl_3a", double, 384, (1, 3)), conv("branch3x3dbl_3b", double, 384, (3, 1)),
    conv("branch_pool", pool(x), 192),
  )  # fmt: skip


def _convolve(weights: Mapping[str, Array], name: str, x: Array, width: int, kernel: tuple[int, int] = (1, 1), stride: int = 1,
              padding: str = "SAME") -> Array:
  """Convolution without bias, BatchNorm with its population statistics, ReLU."""
  part = lambda key: weights[f"{name}.{key}"]
  x = lax.conv_general_dilated(
    x, jnp.transpose(part("conv.weight"), (2, 3, 1, 0)), (stride, stride), padding, dimension_numbers=("NHWC", "HWIO", "NHWC"), precision="highest"
  )
  scale = part("bn.weight") * lax.rsqrt(part("bn.running_var") + EPSILON)
  return jnp.maximum(x * scale + (part("bn.bias") - part("bn.running_mean") * scale), 0)


def _max_pool(x: Array, stride: int = 2, padding: str = "VALID") -> Array:
  return lax.reduce_window(x, -jnp.inf, lax.max, (1, 3, 3, 1), (1, stride, stride, 1), padding)


def _mean_around(x: Array) -> Array:
  """The mean over 3x3, at the border over the pixels that there are."""
  total = lambda y: lax.reduce_window(y, 0.0, lax.add, (1, 3, 3, 1), (1, 1, 1, 1), "SAME")
  return total(x) / total(jnp.ones((1, *x.shape[1:3], 1)))


def _join(*branches: Array) -> Array:
  return jnp.concatenate(branches, axis=-1)


def _plain_tensors(path: str, content: bytes) -> dict[str, np.ndarray]:
  if path.endswith(".safetensors"):
    import safetensors.numpy

    try:
      return safetensors.numpy.load(content)
    except Exception as error:  # of the library's own kinds
      raise ValueError(f"{path}: not a safetensors file ({error})") from error
  if path.endswith(".npz"):
    import io
    import zipfile

    try:
      with np.load(io.BytesIO(content), allow_pickle=False) as file:
        return {name: file[name] for name in file.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
      raise ValueError(f"{path}: not an npz file of plain arrays ({error})") from error
  raise ValueError(f"{path}: neither the published weights (SHA-256 {PUBLISHED[:8]}...) nor a .safetensors or .npz file")
