"""The networks of gan_jax in PyTorch: the same functions of the same parameters, written for speed.

Images are channels_last throughout, so flattening them gives gan_jax's order for nothing. Layers are numbered by kind in the order they are made,
as flax does it, so parameters meet by name (`arrays`); each knows how its axes lie in gan_jax.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

GAIN = math.sqrt(2 / (1 + 0.2**2))


class Named(nn.Module):
  """A module whose parts are called Dense_0, Dense_1, Conv_0, ... ."""

  def add(self, layer: Any) -> Any:
    kind = type(layer).__name__
    self.add_module(f"{kind}_{sum(name.rpartition('_')[0] == kind for name, _ in self.named_children())}", layer)
    return layer


class Dense(nn.Linear):
  leaves: ClassVar = {"weight": ("kernel", (1, 0), ()), "bias": ("bias", (0,), ())}


class Conv(nn.Conv2d):
  """TF's SAME padding, where it is uneven by hand."""

  leaves: ClassVar = {"weight": ("kernel", (3, 2, 0, 1), ()), "bias": ("bias", (0,), ())}

  def __init__(self, inputs: int, outputs: int, size: int, kernel: int = 3, stride: int = 1, bias: bool = True):
    before, after = padding(size, kernel, stride)
    super().__init__(inputs, outputs, kernel, stride, padding=before if before == after else 0, bias=bias)
    self.uneven = None if before == after else (before, after) * 2
    self.to(memory_format=torch.channels_last)

  def forward(self, x: Tensor) -> Tensor:
    return super().forward(x if self.uneven is None else F.pad(x, self.uneven))


class ConvTranspose(nn.ConvTranspose2d):
  """To an image of side `size`; what uneven padding makes too much is cut off."""

  leaves: ClassVar = {"weight": ("kernel", (2, 3, 0, 1), (0, 1)), "bias": ("bias", (0,), ())}

  def __init__(self, inputs: int, outputs: int, size: int, kernel: int, stride: int):
    before, after = padding(size, kernel, stride)
    super().__init__(inputs, outputs, kernel, stride, padding=before)
    self.size = None if before == after else size
    self.to(memory_format=torch.channels_last)

  def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
    x = super().forward(x)
    return x if self.size is None else x[..., : self.size, : self.size]


class BatchNorm(nn.BatchNorm2d):
  leaves: ClassVar = {"weight": ("scale", (0,), ()), "bias": ("bias", (0,), ())}

  def _check_input_dim(self, x: Tensor) -> None:
    pass  # of points, too


class SpectralConv(Named):
  """A kernel over its largest singular value, by one power iteration from the left vector, as flax does it."""

  def __init__(self, layer: nn.Module):
    super().__init__()
    self.layer = self.add(layer)
    self.register_buffer("u", F.normalize(torch.randn(layer.weight.shape[0]), dim=0))

  def kernel(self) -> Tensor:
    weight = self.layer.weight
    matrix = weight.permute(0, 2, 3, 1).flatten(1) if weight.ndim == 4 else weight  # channels_last: a view
    with torch.no_grad():
      v = F.normalize(self.u @ matrix, dim=0)
      u = F.normalize(matrix @ v, dim=0)
      self.u.copy_(u)
    return weight / (u @ (matrix @ v))

  def forward(self, x: Tensor) -> Tensor:
    return self.layer._conv_forward(x, self.kernel(), self.layer.bias)


class SpectralDense(SpectralConv):
  def forward(self, x: Tensor) -> Tensor:
    return F.linear(x, self.kernel(), self.layer.bias)


class Maxout(Named):
  def __init__(self, inputs: int, outputs: int, pieces: int = 5):
    super().__init__()
    self.pieces, self.dense = pieces, self.add(Dense(inputs, outputs * pieces))

  def forward(self, x: Tensor) -> Tensor:
    return self.dense(x).unflatten(1, (-1, self.pieces)).amax(-1)


class MLP(Named):
  def __init__(
    self, inputs: int, out: int | Sequence[int] = 1, features: Sequence[int] = (128, 128), activation: Any = "relu", final: str | None = None,
    dense: str = "Dense", batch_norm: float | None = None, **_: Any
  ):  # fmt: skip
    super().__init__()
    self.out = (out,) if isinstance(out, int) else tuple(out)
    layer = {"Dense": Dense, "Maxout": Maxout}[dense]
    self.steps: list[Callable[[Tensor], Tensor]] = []
    for before, width in itertools.pairwise((inputs, *features)):
      self.steps.append(self.add(layer(before, width)))
      if batch_norm is not None:
        self.steps.append(self.add(BatchNorm(width)))
      if activation != "identity":
        self.steps.append(function(activation))
    self.steps.append(self.add(Dense(features[-1], math.prod(self.out))))
    if final is not None:
      self.steps.append(function(final))

  def forward(self, x: Tensor) -> Tensor:
    x = x.permute(0, 2, 3, 1).flatten(1) if x.ndim == 4 else x
    for step in self.steps:
      x = step(x)
    return x.view(-1, *self.out).permute(0, 3, 1, 2) if len(self.out) == 3 else x


class DCGANGenerator(Named):
  def __init__(
    self, inputs: int, out: Sequence[int], features: Sequence[int] = (256, 128, 64), activation: Any = "relu", kernel: int = 4,
    strides: Sequence[int] | None = None, final: str | None = "tanh", batch_norm: float | None = 0.9, unnormalized: Sequence[int] = (-1,), **_: Any
  ):  # fmt: skip
    super().__init__()
    strides = strides or (2,) * len(features)
    sizes = [out[0]]
    for stride in reversed(strides):
      sizes.append(math.ceil(sizes[-1] / stride))
    self.start, *sizes = sizes[::-1]
    bare = {number % (len(features) + 1) for number in unnormalized}
    widths = (*features, out[2])
    self.dense = self.add(Dense(inputs, self.start**2 * features[0]))
    self.width, self.steps = features[0], []
    for number, width in enumerate(widths):
      if number:
        self.steps.append(self.add(ConvTranspose(widths[number - 1], width, sizes[number - 1], kernel, strides[number - 1])))
      if batch_norm is not None and number not in bare:
        self.steps.append(self.add(BatchNorm(width)))
      self.steps.append(function(activation if number < len(features) else final))

  def forward(self, z: Tensor) -> Tensor:
    x = unflattened(self.dense(z), self.start, self.width)
    for step in self.steps:
      x = step(x)
    return x


class DCGANDiscriminator(Named):
  def __init__(
    self, shape: Sequence[int], features: Sequence[int] = (64, 128, 256), activation: Any = "leaky_relu", kernel: int = 4,
    strides: Sequence[int] | None = None, batch_norm: float | None = 0.9, unnormalized: Sequence[int] = (0,), **_: Any
  ):  # fmt: skip
    super().__init__()
    bare, size, before = {number % len(features) for number in unnormalized}, shape[0], shape[2]
    self.steps: list[Callable[[Tensor], Tensor]] = []
    for number, (width, stride) in enumerate(zip(features, strides or (2,) * len(features), strict=True)):
      self.steps.append(self.add(Conv(before, width, size, kernel, stride)))
      if batch_norm is not None and number not in bare:
        self.steps.append(self.add(BatchNorm(width)))
      self.steps.append(function(activation))
      size, before = math.ceil(size / stride), width
    self.last = self.add(Dense(size**2 * before, 1))

  def forward(self, x: Tensor) -> Tensor:
    for step in self.steps:
      x = step(x)
    return self.last(x.permute(0, 2, 3, 1).flatten(1))


class ResNetGenerator(Named):
  def __init__(self, inputs: int, out: Sequence[int], features: Sequence[int] = (256,) * 4, **_: Any):
    super().__init__()
    self.start, self.width = out[0] // 2 ** (len(features) - 1), features[0]
    self.dense, size, self.blocks = self.add(Dense(inputs, self.start**2 * features[0])), self.start, []
    for before, width in itertools.pairwise(features):
      norms = [self.add(BatchNorm(before))]
      convs = [self.add(Conv(before, width, 2 * size))]
      norms.append(self.add(BatchNorm(width)))
      convs.append(self.add(Conv(width, width, 2 * size)))
      self.blocks.append((*norms, *convs, self.add(Conv(before, width, size, 1))))
      size *= 2
    self.norm, self.last = self.add(BatchNorm(features[-1])), self.add(Conv(features[-1], out[2], size))

  def forward(self, z: Tensor) -> Tensor:
    x = unflattened(self.dense(z), self.start, self.width)
    for first_norm, second_norm, first, second, shortcut in self.blocks:
      h = first(enlarged(F.relu(first_norm(x), inplace=True)))
      h = second(F.relu(second_norm(h), inplace=True))
      x = enlarged(shortcut(x)) + h
    return torch.tanh(self.last(F.relu(self.norm(x), inplace=True)))


class ResNetDiscriminator(Named):
  def __init__(self, shape: Sequence[int], features: Sequence[int] = (128,) * 4, strides: Sequence[int] = (2, 2, 1, 1), **_: Any):
    super().__init__()
    before, size, self.blocks = shape[2], shape[0], []
    for width, stride in zip(features, strides, strict=True):
      layers = [self.add(SpectralConv(Conv(before, width, size))), self.add(SpectralConv(Conv(width, width, size)))]
      matched = stride > 1 or before != width
      layers.append(self.add(SpectralConv(Conv(before, width, size // stride, 1))) if matched else None)
      self.blocks.append((stride, *layers))
      before, size = width, size // stride
    self.last = self.add(SpectralDense(Dense(before, 1)))

  def forward(self, x: Tensor) -> Tensor:
    for number, (stride, first, second, shortcut) in enumerate(self.blocks):
      h = second(F.relu(first(F.relu(x) if number else x), inplace=True))
      if stride > 1:
        x, h = F.avg_pool2d(x, stride), F.avg_pool2d(h, stride)
      x = (x if shortcut is None else shortcut(x)) + h
    return self.last(F.relu(x).sum((2, 3)))


class Block(Named):
  def __init__(self, width: int, expansion: int, size: int):
    super().__init__()
    wide = width * expansion
    self.steps = [self.add(Conv(width, wide, size, 1)), self.add(Conv(wide, wide, size, 3)), self.add(Conv(wide, width, size, 1, bias=False))]

  def forward(self, x: Tensor) -> Tensor:
    first, second, third = self.steps
    return x + third(F.leaky_relu(second(F.leaky_relu(first(x), 0.2)), 0.2))


class R3GANGenerator(Named):
  leaves: ClassVar = {"basis": ("basis", (2, 0, 1), ())}

  def __init__(self, inputs: int, out: Sequence[int], features: Sequence[int] = (256,) * 4, blocks: int = 2, expansion: int = 2, **_: Any):
    super().__init__()
    size = out[0] // 2 ** (len(features) - 1)
    self.dense = self.add(Dense(inputs, features[0], bias=False))
    self.basis = nn.Parameter(torch.randn(features[0], size, size))
    self.steps: list[Callable[[Tensor], Tensor]] = []
    for number, width in enumerate(features):
      if number:
        if width != features[number - 1]:
          self.steps.append(self.add(Conv(features[number - 1], width, size, 1, bias=False)))
        self.steps.append(enlarged)
        size *= 2
      self.steps += [self.add(Block(width, expansion, size)) for _ in range(blocks)]
    self.steps.append(self.add(Conv(features[-1], out[2], size, 1, bias=False)))

  def forward(self, z: Tensor) -> Tensor:
    x = (self.basis * self.dense(z)[:, :, None, None]).contiguous(memory_format=torch.channels_last)
    for step in self.steps:
      x = step(x)
    return x


class R3GANDiscriminator(Named):
  leaves: ClassVar = {"basis": ("basis", (2, 0, 1), ())}

  def __init__(self, shape: Sequence[int], features: Sequence[int] = (256,) * 4, blocks: int = 2, expansion: int = 2, **_: Any):
    super().__init__()
    size = shape[0]
    self.steps: list[Callable[[Tensor], Tensor]] = [self.add(Conv(shape[2], features[0], size, 1, bias=False))]
    for number, width in enumerate(features):
      if number:
        self.steps.append(halved)
        size //= 2
        if width != features[number - 1]:
          self.steps.append(self.add(Conv(features[number - 1], width, size, 1, bias=False)))
      self.steps += [self.add(Block(width, expansion, size)) for _ in range(blocks)]
    self.basis = nn.Parameter(torch.randn(features[-1], size, size) / size)
    self.last = self.add(Dense(features[-1], 1, bias=False))

  def forward(self, x: Tensor) -> Tensor:
    for step in self.steps:
      x = step(x)
    return self.last((x * self.basis).sum((2, 3)))


GENERATORS = {"mlp": MLP, "dcgan_generator": DCGANGenerator, "resnet_generator": ResNetGenerator, "r3gan_generator": R3GANGenerator}
DISCRIMINATORS = {
  "mlp": MLP, "dcgan_discriminator": DCGANDiscriminator, "resnet_discriminator": ResNetDiscriminator, "r3gan_discriminator": R3GANDiscriminator
}  # fmt: skip


def generator(section: dict, latent: int) -> Named:
  return GENERATORS[section["name"]](latent, **{k: v for k, v in section.items() if k != "name"})


def discriminator(section: dict, shape: tuple[int, ...], pack: int) -> Named:
  """`shape` is that of an example; a pack's channels stand side by side."""
  seen = (*shape[:-1], shape[-1] * pack)
  inputs = math.prod(seen) if section["name"] == "mlp" else seen
  return DISCRIMINATORS[section["name"]](inputs, **{k: v for k, v in section.items() if k != "name"})


def leaves(net: nn.Module) -> Iterator[tuple[str, nn.Parameter, tuple[int, ...], tuple[int, ...]]]:
  """(name in gan_jax, parameter, its axes in gan_jax, axes of gan_jax that run backwards)."""
  for path, module in net.named_modules():
    for name, parameter in module.named_parameters(recurse=False):
      leaf, order, turned = module.leaves[name]
      yield "/".join([*filter(None, path.split(".")), leaf]), parameter, order, turned


def to_torch(array: Any, order: tuple[int, ...], turned: tuple[int, ...]) -> Tensor:
  """gan_jax's array, as PyTorch holds it."""
  return torch.from_numpy(array).flip(turned).permute(order)


def to_jax(tensor: Tensor, order: tuple[int, ...], turned: tuple[int, ...]) -> Tensor:
  back = sorted(range(len(order)), key=order.__getitem__)
  return tensor.detach().permute(back).flip(turned)


def padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
  missing = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
  return missing // 2, missing - missing // 2


def unflattened(x: Tensor, size: int, channels: int) -> Tensor:
  return x.view(-1, size, size, channels).permute(0, 3, 1, 2)


def enlarged(x: Tensor) -> Tensor:
  return F.interpolate(x, scale_factor=2, mode="nearest")


def halved(x: Tensor) -> Tensor:
  return F.avg_pool2d(x, 2)


def function(what: Any) -> Callable[[Tensor], Tensor]:
  """An activation. In place where its input is not needed for a gradient."""
  if what == "leaky_relu" or isinstance(what, dict):
    slope = what["slope"] if isinstance(what, dict) else 0.2
    return lambda x: F.leaky_relu(x, slope)
  return {"relu": F.relu, "tanh": torch.tanh}[what]
