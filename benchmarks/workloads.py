"""What is timed: the same GAN rounds on both sides. Imports neither JAX nor PyTorch; both sides and the parent read it."""

import math
from typing import NamedTuple

MODES = 8  # the imbalanced ring of experiments/ring_rls.py
RADIUS, SIGMA = 2.5, 0.05
WEIGHTS = (0.05,) * 4 + (1.0,) * 4
CENTERS = tuple(
  (RADIUS * math.cos(2 * math.pi * i / MODES), RADIUS * math.sin(2 * math.pi * i / MODES)) for i in range(1, MODES + 1)
)


class Workload(NamedTuple):
  """A non-saturating GAN on the ring: G latent-hidden-2 and D 2-hidden-1, tanh, Adam, one turn of D and one of G a round.

  `seeds` runs train side by side (vmapped here, one after the other in PyTorch); `unroll` looks D so many Adam steps ahead in G's turn.
  `target` is the ratio of CPU times to hold.
  """

  name: str
  batch: int
  latent: int
  seeds: int = 1
  unroll: int = 0
  target: float | None = None
  hidden: tuple[int, ...] = (128, 128)
  learning_rate: float = 1e-3
  b1: float = 0.5
  b2: float = 0.999

  @property
  def title(self) -> str:
    parts = [f"unrolled {self.unroll}" if self.unroll else "ring", f"batch {self.batch}", f"latent {self.latent}"]
    return ", ".join(parts) + (f", {self.seeds} seeds" if self.seeds > 1 else "")


# Latent 25: the nets of experiments/ring_rls.py. Latent 256: those of Metz et al.'s notebook, which the targets were first measured on.
WORKLOADS = (
  Workload("ring_b64", 64, 25, target=1.9),
  Workload("ring_b64_s16", 64, 25, seeds=16, target=2.3),
  Workload("ring_b512", 512, 25, target=1.2),
  Workload("unrolled5_b64", 64, 25, unroll=5, target=1.4),
  Workload("ring_b64_z256", 64, 256, target=1.9),
  Workload("ring_b64_s16_z256", 64, 256, seeds=16, target=2.3),
  Workload("ring_b512_z256", 512, 256, target=1.2),
  Workload("unrolled5_b512_z256", 512, 256, unroll=5, target=1.4),
)
