"""What is timed: the same GAN rounds on both sides. Imports neither JAX nor PyTorch; both sides and the parent read it."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

MODES = 8  # the imbalanced ring of experiments/ring_rls.py
RADIUS, SIGMA = 2.5, 0.05
WEIGHTS = (0.05,) * 4 + (1.0,) * 4
CENTERS = tuple(
  (RADIUS * math.cos(2 * math.pi * i / MODES), RADIUS * math.sin(2 * math.pi * i / MODES)) for i in range(1, MODES + 1)
)
IMAGES = 1024  # images of noise that image workloads draw their batches from: what is in them does not matter for speed

Section = Mapping[str, Any]


class Workload(NamedTuple):
  """Two players, as sections of an experiment name them, and one round of their game.

  `shape` is that of an example, `batch` counts D's inputs (packs, where `pack` examples make one), `latent` the width of N(0, I). `terms` are D's.
  `seeds` runs train side by side (one program here, one after the other in PyTorch). `unroll` looks D so many steps ahead in G's turn; `turns` are
  a round. `target` is the ratio of CPU times to PyTorch's to hold, `quick` says whether `--quick` plays it.
  """

  name: str
  title: str
  shape: tuple[int, ...]
  batch: int
  latent: int
  generator: Section
  discriminator: Section
  objective: str = "non_saturating"
  terms: Mapping[str, Any] = {}
  adam: Mapping[str, Any] = {"learning_rate": 1e-3, "b1": 0.5, "b2": 0.999}
  pack: int = 1
  seeds: int = 1
  unroll: int = 0
  turns: tuple[str, ...] = ("discriminator", "generator")
  target: float | None = None
  quick: bool = False

  @property
  def full_title(self) -> str:
    return f"{self.title}, batch {self.batch}" + (f", {self.seeds} seeds" if self.seeds > 1 else "")


def from_json(record: Mapping[str, Any]) -> Workload:
  """What was `workload._asdict()` before it went through a pipe: lists are tuples again."""
  plain = lambda x: tuple(map(plain, x)) if isinstance(x, list) else {k: plain(v) for k, v in x.items()} if isinstance(x, dict) else x
  return Workload(**plain(dict(record)))


def ring(name: str, batch: int, latent: int = 25, hidden: tuple[int, ...] = (128, 128), **settings: Any) -> Workload:
  """G latent-128-128-2 and D 2-128-128-1 of tanh. Latent 25: experiments/ring_rls.py; 256: Metz et al.'s notebook, which targets were set on."""
  net = {"name": "mlp", "features": hidden, "activation": "tanh"}
  title = f"{'unrolled ' + str(settings['unroll']) if 'unroll' in settings else 'ring'}, latent {latent}"
  return Workload(name, title, (2,), batch, latent, {**net, "out": 2}, net, **settings)


def dcgan(name: str, size: int, channels: int, batch: int, maps: tuple[int, ...] = (64, 128, 256), **settings: Any) -> Workload:
  """The networks' defaults: kernels of 4, strides of 2, BatchNorm in G and, unless there are `terms`, in D."""
  bare = {"batch_norm": None} if settings.get("terms") else {}
  generator = {"name": "dcgan_generator", "out": (size, size, channels), "features": maps[::-1]}
  discriminator = {"name": "dcgan_discriminator", "features": maps, **bare}
  title = settings.pop("title", f"DCGAN {size}x{size}x{channels}")
  adam = {"learning_rate": 2e-4, "b1": 0.5, "b2": 0.999}
  return Workload(name, title, (size, size, channels), batch, 128, generator, discriminator, adam=adam, **settings)


def sngan(name: str, turn: str, batch: int = 4, maps: int = 256, **settings: Any) -> Workload:
  """Miyato et al.'s ResNet for 32x32, one of its turns: a round of theirs has five of D. Their other loss: hinge leaves D no gradient to compare."""
  generator = {"name": "resnet_generator", "out": (32, 32, 3), "features": (maps,) * 4}
  discriminator = {"name": "resnet_discriminator", "features": (maps // 2,) * 4}
  adam = {"learning_rate": 2e-4, "b1": 0.0, "b2": 0.9}
  title = f"SNGAN 32x32x3, {turn}'s turn"
  return Workload(name, title, (32, 32, 3), batch, 128, generator, discriminator, adam=adam, turns=(turn,), **settings)


def r3gan(name: str, batch: int = 8, maps: tuple[int, ...] = (64, 64, 128, 128), **settings: Any) -> Workload:
  generator = {"name": "r3gan_generator", "out": (32, 32, 3), "features": maps[::-1], "blocks": 1}
  discriminator = {"name": "r3gan_discriminator", "features": maps, "blocks": 1}
  terms = {"r1": {"gamma": 0.1}, "r2": {"gamma": 0.1}}
  adam = {"learning_rate": 2e-4, "b1": 0.0, "b2": 0.99}
  title = "R3GAN-style 32x32x3, R1 + R2"
  return Workload(name, title, (32, 32, 3), batch, 128, generator, discriminator, "relativistic_paired", terms, adam, **settings)


PAC = {"kernel_init": "normal", "init_scale": 0.02}
WORKLOADS = (
  ring("ring_b64", 64, target=1.9, quick=True),
  ring("ring_b64_s16", 64, seeds=16, target=2.3, quick=True),
  ring("ring_b512", 512, target=1.2),
  ring("ring_b512_s16", 512, seeds=16),
  ring("unrolled5_b64", 64, unroll=5, target=1.5),
  ring("unrolled10_b64", 64, unroll=10),
  ring("ring_b64_z256", 64, 256, target=1.9),
  ring("ring_b64_s16_z256", 64, 256, seeds=16, target=2.3),
  ring("ring_b512_z256", 512, 256, target=1.2),
  ring("unrolled5_b512_z256", 512, 256, unroll=5, target=1.5),
  Workload(
    "pacgan2_ring", "PacGAN2's ring: BatchNorm, maxout, packs of 2", (2,), 100, 2,
    {"name": "mlp", "out": 2, "features": (400,) * 4, "activation": "relu", "batch_norm": 0.95, **PAC},
    {"name": "mlp", "features": (200,) * 3, "dense": "Maxout", "activation": "identity", **PAC},
    pack=2, adam={"learning_rate": 1e-4, "b1": 0.8, "b2": 0.999},
  ),
  Workload(
    "digits_mlp", "stacked digits 8x8x3 (MLP)", (8, 8, 3), 64, 64,
    {"name": "mlp", "out": (8, 8, 3), "features": (256, 256), "activation": "relu", "final": "tanh"},
    {"name": "mlp", "features": (64, 64), "activation": "leaky_relu"}, adam={"learning_rate": 2e-4, "b1": 0.5, "b2": 0.999},
  ),
  dcgan("dcgan28_b16", 28, 1, 16, (64, 128), target=1.1, quick=True),
  dcgan("dcgan28_b64", 28, 1, 64, (64, 128), target=1.1),
  dcgan("dcgan32_b16", 32, 3, 16, target=1.1),
  dcgan("dcgan32_b64", 32, 3, 64, target=1.1),
  dcgan(
    "dcgan32_wgan_gp", 32, 3, 16, objective="wasserstein", terms={"wgan_gp": {"weight": 10.0}}, target=1.1, title="DCGAN 32x32x3, WGAN-GP"
  ),
  dcgan("dcgan32_r1", 32, 3, 16, terms={"r1": {"gamma": 1.0}}, target=1.1, title="DCGAN 32x32x3, R1"),
  Workload(
    "smnist_q", "small-D StackedMNIST 28x28x3 (experiments/smnist_q.py)", (28, 28, 3), 128, 256,
    {"name": "dcgan_generator", "out": (28, 28, 3), "features": (64, 32, 16, 8), "kernel": 3, "strides": (2, 2, 2, 1)},
    {"name": "dcgan_discriminator", "features": (2, 4, 8), "kernel": 3, "activation": {"name": "leaky_relu", "slope": 0.3}, "unnormalized": ()},
    adam={"learning_rate": 2e-4, "b1": 0.5, "b2": 0.99},
  ),
  sngan("sngan32_d", "discriminator", target=0.95),
  sngan("sngan32_g", "generator", target=0.7),
  r3gan("r3gan32"),
)  # fmt: skip
