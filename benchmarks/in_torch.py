"""The other side: the same rounds in PyTorch, eager, as someone who knows it would write them.

Fused Adam; fakes under no_grad in D's turn; no gradients for D's weights in G's turn; real and fake in one forward of D; gradients set to
None; one loss kernel (binary cross-entropy on logits is softplus(-x) for label 1 and softplus(x) for label 0).
"""

import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from workloads import CENTERS, SIGMA, WEIGHTS, Workload

EPS, EPS_ROOT = 1e-8, 1e-16
PLAYERS = ("generator", "discriminator")


class Plain:
  """One seed: a turn of D, a turn of G."""

  def __init__(self, workload: Workload):
    self.workload = workload
    self.generator, self.discriminator = _mlp(workload.latent, *workload.hidden, 2), _mlp(2, *workload.hidden, 1)
    self.weights = {"generator": list(self.generator.parameters()), "discriminator": list(self.discriminator.parameters())}
    self.optimizers = {name: self._adam(self.weights[name]) for name in PLAYERS}
    n = workload.batch
    self.real_and_fake = torch.cat([torch.ones(n, 1), torch.zeros(n, 1)])
    self.ones = torch.ones(n, 1)
    self.two = torch.tensor(2.0)
    self.centers = torch.tensor(CENTERS)
    self.cumulative = (torch.tensor(WEIGHTS).cumsum(0) / sum(WEIGHTS))[:-1]

  def _adam(self, parameters: list[nn.Parameter]) -> torch.optim.Adam:
    w = self.workload
    return torch.optim.Adam(parameters, lr=w.learning_rate, betas=(w.b1, w.b2), eps=EPS, fused=True)

  def draw_real(self) -> Tensor:
    n = self.workload.batch
    return torch.add(self.centers[torch.bucketize(torch.rand(n), self.cumulative)], torch.randn(n, 2), alpha=SIGMA)

  def draw_latent(self) -> Tensor:
    return torch.randn(self.workload.batch, self.workload.latent)

  def round(self, real: Tensor, latent: Callable[[], Tensor]) -> None:
    self.discriminator_turn(real, latent)
    self.generator_turn(real, latent)

  def discriminator_turn(self, real: Tensor, latent: Callable[[], Tensor]) -> None:
    self.optimizers["discriminator"].zero_grad(set_to_none=True)
    with torch.no_grad():
      fake = self.generator(latent())
    loss = F.binary_cross_entropy_with_logits(self.discriminate(torch.cat([real, fake])), self.real_and_fake)
    loss.backward(self.two)  # the mean over both halves together, times two
    self.optimizers["discriminator"].step()

  def generator_turn(self, real: Tensor, latent: Callable[[], Tensor]) -> None:
    del real
    self.optimizers["generator"].zero_grad(set_to_none=True)
    loss = F.binary_cross_entropy_with_logits(self.discriminate(self.generator(latent())), self.ones)
    loss.backward(inputs=self.weights["generator"])  # D stays frozen: no gradients for its weights
    self.optimizers["generator"].step()

  def discriminate(self, x: Tensor) -> Tensor:
    return self.discriminator(x)

  def load(self, player: str, kind: str, values: list[Tensor], count: float) -> None:
    """Set the weights ("params"), or one of Adam's moments ("mu", "nu")."""
    for weight, value in zip(self.weights[player], values, strict=True):
      with torch.no_grad():
        if kind == "params":
          weight.copy_(value)
        else:
          self.optimizers[player].state[weight][MOMENTS[kind]] = value.clone()
          self.optimizers[player].state[weight]["step"] = torch.tensor(count)

  def stored(self, player: str, kind: str) -> list[Tensor]:
    if kind == "params":
      return [weight.detach() for weight in self.weights[player]]
    return [self.optimizers[player].state[weight][MOMENTS[kind]] for weight in self.weights[player]]


MOMENTS = {"mu": "exp_avg", "nu": "exp_avg_sq"}


class Unrolled(Plain):
  """G's turn looks D `unroll` Adam steps ahead and differentiates through them, moments included.

  D's weights are one flat vector, so that Adam by hand takes 7 operations a step and not 7 for each of 6 tensors (measured: the fastest of
  functional_call, plain functions of lists, and this; torch._foreach_* fail in the double backward).
  """

  def __init__(self, workload: Workload):
    super().__init__(workload)
    self.shapes = [weight.shape for weight in self.weights["discriminator"]]
    self.sizes = [shape.numel() for shape in self.shapes]
    self.flat = nn.Parameter(self._join(self.weights["discriminator"]).detach())
    self.weights["discriminator"] = [self.flat]
    self.optimizers["discriminator"] = self._adam([self.flat])

  def discriminate(self, x: Tensor) -> Tensor:
    return self.apply(self.flat, x)

  def apply(self, flat: Tensor, x: Tensor) -> Tensor:
    pieces = self._cut(flat)
    for weight, bias in zip(pieces[:-2:2], pieces[1:-2:2], strict=True):
      x = torch.tanh(F.linear(x, weight, bias))
    return F.linear(x, pieces[-2], pieces[-1])

  def generator_turn(self, real: Tensor, latent: Callable[[], Tensor]) -> None:
    w = self.workload
    state = self.optimizers["discriminator"].state[self.flat]
    flat, mu, nu, count = self.flat.detach().requires_grad_(), state["exp_avg"], state["exp_avg_sq"], int(state["step"])
    for step in range(count + 1, count + 1 + w.unroll):
      logits = self.apply(flat, torch.cat([real, self.generator(latent())]))
      loss = 2 * F.binary_cross_entropy_with_logits(logits, self.real_and_fake)
      (grad,) = torch.autograd.grad(loss, flat, create_graph=True)
      mu = torch.lerp(mu, grad, 1 - w.b1)
      nu = torch.addcmul(nu * w.b2, grad, grad, value=1 - w.b2)
      size = (nu / (1 - w.b2**step) + EPS_ROOT).sqrt() + EPS
      flat = torch.addcdiv(flat, mu, size, value=-w.learning_rate / (1 - w.b1**step))
    self.optimizers["generator"].zero_grad(set_to_none=True)
    loss = F.binary_cross_entropy_with_logits(self.apply(flat, self.generator(latent())), self.ones)
    loss.backward(inputs=self.weights["generator"])
    self.optimizers["generator"].step()

  def load(self, player: str, kind: str, values: list[Tensor], count: float) -> None:
    super().load(player, kind, [self._join(values)] if player == "discriminator" else values, count)

  def stored(self, player: str, kind: str) -> list[Tensor]:
    values = super().stored(player, kind)
    return self._cut(values[0]) if player == "discriminator" else values

  def _join(self, values: list[Tensor]) -> Tensor:
    return torch.cat([value.reshape(-1) for value in values])

  def _cut(self, flat: Tensor) -> list[Tensor]:
    return [piece.view(shape) for piece, shape in zip(flat.split(self.sizes), self.shapes, strict=True)]


class Side:
  """One workload, all its seeds, one after the other."""

  def __init__(self, workload: Workload):
    torch.manual_seed(0)
    self.seeds = [(Unrolled if workload.unroll else Plain)(workload) for _ in range(workload.seeds)]

  def advance(self, rounds: int) -> None:
    for seed in self.seeds:
      for _ in range(rounds):
        seed.round(seed.draw_real(), seed.draw_latent)

  def take_round(self, inputs: Path, outputs: Path) -> None:
    """Start every seed from `inputs`, play one round with the batch and latents found there, write `outputs`."""
    given, made = dict(np.load(inputs)), []
    for number, seed in enumerate(self.seeds):
      arrays = {name: array[number] for name, array in given.items()}
      for player, kind in itertools.product(PLAYERS, ("params", *MOMENTS)):
        seed.load(player, kind, list(_to_torch(arrays, f"{player}/{kind}")), float(arrays[f"{player}/count"]))
      latents = iter(torch.from_numpy(arrays["latents"]))
      seed.round(torch.from_numpy(arrays["real"]), lambda: next(latents))
      if next(latents, None) is not None:
        raise ValueError("the other side drew more latents in a round")
      made.append({name: array for player in PLAYERS for name, array in self._arrays(seed, player)})
    np.savez(outputs, **{name: np.stack([one[name] for one in made]) for name in made[0]})

  def finite(self) -> bool:
    return all(bool(torch.isfinite(w).all()) for seed in self.seeds for name in PLAYERS for w in seed.stored(name, "params"))

  def _arrays(self, seed: Plain, player: str) -> Iterator[tuple[str, np.ndarray]]:
    for kind in ("params", *MOMENTS):
      for number, value in enumerate(seed.stored(player, kind)):
        leaf = "bias" if number % 2 else "kernel"
        yield f"{player}/{kind}/{number // 2}/{leaf}", value.numpy().T.copy()


def _to_torch(arrays: dict[str, np.ndarray], prefix: str) -> Iterator[Tensor]:
  """Kernels are [in, out] there and [out, in] here."""
  for layer in itertools.count():
    if f"{prefix}/{layer}/kernel" not in arrays:
      return
    for leaf in ("kernel", "bias"):
      yield torch.from_numpy(arrays[f"{prefix}/{layer}/{leaf}"].T.copy())


def _mlp(*widths: int) -> nn.Sequential:
  pairs = list(itertools.pairwise(widths))
  layers: list[nn.Module] = []
  for number, (inputs, outputs) in enumerate(pairs):
    linear = nn.Linear(inputs, outputs)
    nn.init.xavier_normal_(linear.weight)
    nn.init.zeros_(linear.bias)
    layers += [linear] if number == len(pairs) - 1 else [linear, nn.Tanh()]
  return nn.Sequential(*layers)


def kernels() -> dict[str, float]:
  """Seconds of single operations, dispatch included, to see where a ratio comes from."""
  x, weight = torch.randn(512, 128), torch.randn(128, 128)
  return {
    "matrix product 512x128x128": _seconds(lambda: x @ weight),
    "tanh 512x128": _seconds(lambda: torch.tanh(x)),
    "normal 512x128": _seconds(lambda: torch.randn(512, 128)),
  }


def _seconds(function: Callable[[], Tensor], repeats: int = 300) -> float:
  times = []
  for _ in range(6):
    start = time.process_time()
    for _ in range(repeats):
      function()
    times.append((time.process_time() - start) / repeats)
  return float(np.median(times[1:]))


def versions() -> dict[str, str]:
  return {"torch": torch.__version__, "torch threads": str(torch.get_num_threads())}
