"""The other side: the same rounds in PyTorch, as someone who knows it would write them.

Fused Adam; channels_last; fakes under no_grad in D's turn; no gradients for D's weights in G's turn; real and fake in one forward of D, but where
BatchNorm would mix them; the forward of real examples shared with R1; gradients set to None; one loss kernel (binary cross-entropy on logits is
softplus(-x) for label 1 and softplus(x) for label 0). With `compiled`, torch.compile makes the two losses' forwards and backwards.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
import torch_players
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry
from workloads import CENTERS, IMAGES, SIGMA, WEIGHTS, Workload

EPS, EPS_ROOT = 1e-8, 1e-16
PLAYERS = ("generator", "discriminator")
MOMENTS = {"mu": "exp_avg", "nu": "exp_avg_sq"}
NO_DOUBLE_BACKWARD = "torch.compile does not differentiate twice"

_options: dict[str, Any] = {"compiled": False, "device": "cpu", "precision": "float32"}


def use(**options: Any) -> None:
  """How to run what is set up from now on: `compiled`; `device` "cpu" or "cuda"; `precision` "float32", "tf32" or "bfloat16" (autocast)."""
  _options.update(options)
  torch.set_default_device(_options["device"])
  for backend in (torch.backends.cuda.matmul, torch.backends.cudnn):
    backend.allow_tf32 = _options["precision"] != "float32"
  torch.backends.cudnn.benchmark = True


def forget() -> None:
  """Drop what is compiled, so that it comes from torch.compile's cache on disk."""
  torch._dynamo.reset()


def synchronize() -> None:
  if _options["device"] == "cuda":
    torch.cuda.synchronize()


class Noise:
  """Fresh noise."""

  def normal(self, n: int, size: int) -> Tensor:
    return torch.randn(n, size)

  def uniform(self, n: int) -> Tensor:
    return torch.rand(n)


class Recorded(Noise):
  """The noise of the other side, in the order in which it was drawn there."""

  def __init__(self, arrays: list[np.ndarray]):
    self.left = [torch.from_numpy(array).to(_options["device"]) for array in arrays]

  def normal(self, n: int, size: int) -> Tensor:
    return self.left.pop(0)

  def uniform(self, n: int) -> Tensor:
    return self.left.pop(0).flatten()


class Plain:
  """One seed: a turn of D, a turn of G."""

  def __init__(self, workload: Workload):
    w = self.workload = workload
    self.generator = torch_players.generator(w.generator, w.latent)
    self.discriminator = torch_players.discriminator(w.discriminator, w.shape, w.pack)
    self.nets = {"generator": self.generator, "discriminator": self.discriminator}
    self.weights = {name: list(net.parameters()) for name, net in self.nets.items()}
    self.optimizers = {name: self._adam(self.weights[name]) for name in PLAYERS}
    self.mixes = any(isinstance(module, torch_players.BatchNorm) for module in self.discriminator.modules())
    n = w.batch
    self.real_and_fake = torch.cat([torch.ones(n, 1), torch.zeros(n, 1)])
    self.ones = torch.ones(n, 1)
    if len(w.shape) == 1:
      self.centers = torch.tensor(CENTERS)
      self.cumulative = (torch.tensor(WEIGHTS).cumsum(0) / sum(WEIGHTS))[:-1]
    else:
      images = torch.from_numpy(noise_images(w.shape)).permute(0, 3, 1, 2).to(_options["device"])
      self.images = images.contiguous(memory_format=torch.channels_last)
    self.losses: dict[str, Callable[..., Tensor]] = {"discriminator": self.discriminator_loss, "generator": self.generator_loss}
    if _options["compiled"]:
      if w.terms or w.unroll:
        raise NotImplementedError(NO_DOUBLE_BACKWARD)
      self.losses = {name: torch.compile(loss) for name, loss in self.losses.items()}

  def _adam(self, parameters: list[nn.Parameter]) -> torch.optim.Adam:
    settings = self.workload.adam
    return torch.optim.Adam(parameters, lr=settings["learning_rate"], betas=(settings["b1"], settings["b2"]), eps=EPS, fused=True)

  def draw_real(self) -> Tensor:
    n = self.workload.batch * self.workload.pack
    if len(self.workload.shape) == 1:
      return torch.add(self.centers[torch.bucketize(torch.rand(n), self.cumulative)], torch.randn(n, 2), alpha=SIGMA)
    return self.images[torch.randint(IMAGES, (n,))].float().div_(127.5).sub_(1)

  def round(self, real: Tensor, noise: Noise) -> None:
    for turn in self.workload.turns:
      {"discriminator": self.discriminator_turn, "generator": self.generator_turn}[turn](real, noise)

  def discriminator_turn(self, real: Tensor, noise: Noise) -> None:
    self.optimizers["discriminator"].zero_grad(set_to_none=True)
    with torch.no_grad(), self.precision():
      fake = self.view(self.generator(self.latent(noise)))
    mix = (noise.uniform(self.workload.batch),) if "wgan_gp" in self.workload.terms else ()
    with self.precision():
      loss = self.losses["discriminator"](self.view(real), fake.float(), *mix)
    loss.backward(inputs=self.weights["discriminator"])
    self.optimizers["discriminator"].step()

  def generator_turn(self, real: Tensor, noise: Noise) -> None:
    self.optimizers["generator"].zero_grad(set_to_none=True)
    with self.precision():
      loss = self.losses["generator"](self.view(real), self.latent(noise))
    loss.backward(inputs=self.weights["generator"])  # D stays frozen: no gradients for its weights
    self.optimizers["generator"].step()

  def discriminator_loss(self, real: Tensor, fake: Tensor, mix: Tensor | None = None) -> Tensor:
    terms, n = self.workload.terms, self.workload.batch
    if "r1" in terms and "r2" in terms:
      both = torch.cat([real, fake]).requires_grad_()
      logits = self.discriminate(both)
      squares = self.squares(logits, both).view(2, n).mean(1)
      return self.adversarial(logits) + terms["r1"]["gamma"] / 2 * squares[0] + terms["r2"]["gamma"] / 2 * squares[1]
    if "r1" in terms:
      real.requires_grad_()
      real_logits = self.discriminate(real)
      penalty = terms["r1"]["gamma"] / 2 * self.squares(real_logits, real).mean()
      return self.adversarial(torch.cat([real_logits, self.discriminate(fake)])) + penalty
    logits = torch.cat([self.discriminate(real), self.discriminate(fake)]) if self.mixes else self.discriminate(torch.cat([real, fake]))
    loss = self.adversarial(logits)
    if mix is not None:
      between = torch.lerp(real, fake, mix.view(-1, *[1] * (real.ndim - 1))).requires_grad_()
      norms = (self.squares(self.discriminate(between), between) + 1e-12).sqrt()
      loss = loss + terms["wgan_gp"]["weight"] * (norms - 1).square().mean()
    return loss

  def adversarial(self, logits: Tensor) -> Tensor:
    """D's loss of the logits of real and fake, one after the other."""
    real, fake = logits.float().chunk(2)
    match self.workload.objective:
      case "non_saturating":  # the mean over both halves together, times two
        return 2 * F.binary_cross_entropy_with_logits(logits.float(), self.real_and_fake)
      case "wasserstein":
        return fake.mean() - real.mean()
      case "hinge":
        return F.relu(1 - real).mean() + F.relu(1 + fake).mean()
      case "relativistic_paired":
        return F.softplus(fake - real).mean()
      case other:
        raise ValueError(f"no objective {other!r} on this side")

  def generator_loss(self, real: Tensor, latent: Tensor) -> Tensor:
    fake = self.discriminate(self.view(self.generator(latent))).float()
    match self.workload.objective:
      case "non_saturating":
        return F.binary_cross_entropy_with_logits(fake, self.ones)
      case "relativistic_paired":
        with torch.no_grad():
          logits = self.discriminate(real).float()
        return F.softplus(logits - fake).mean()
      case _:
        return -fake.mean()

  def squares(self, logits: Tensor, x: Tensor) -> Tensor:
    """|grad D(x_i)|^2."""
    (gradient,) = torch.autograd.grad(logits.sum(), x, create_graph=True)
    return gradient.square().flatten(1).sum(1)

  def latent(self, noise: Noise) -> Tensor:
    return noise.normal(self.workload.batch * self.workload.pack, self.workload.latent)

  def view(self, x: Tensor) -> Tensor:
    """Members of a pack, of points, side by side."""
    return x if self.workload.pack == 1 else x.reshape(self.workload.batch, -1)

  def discriminate(self, x: Tensor) -> Tensor:
    return self.discriminator(x)

  def precision(self) -> contextlib.AbstractContextManager:
    bfloat16 = _options["precision"] == "bfloat16"
    return torch.autocast(_options["device"], torch.bfloat16) if bfloat16 else contextlib.nullcontext()

  def load(self, player: str, arrays: dict[str, np.ndarray]) -> None:
    """Set weights, Adam's moments and spectral vectors from gan_jax's."""
    count = torch.tensor(float(arrays[f"{player}/count"]), device=_options["device"])
    for name, weight, *axes in torch_players.leaves(self.nets[player]):
      value = lambda kind: torch_players.to_torch(arrays[f"{player}/{kind}/{name}"], *axes).to(_options["device"])
      with torch.no_grad():
        weight.copy_(value("params"))
      moments = {there: torch.empty_like(weight).copy_(value(here)) for here, there in MOMENTS.items()}
      self.optimizers[player].state[weight] = {"step": count.clone(), **moments}
    for path, module in self.nets[player].named_modules():
      if isinstance(module, torch_players.SpectralConv):
        module.u.copy_(torch.from_numpy(arrays[f"{player}/u/{path.replace('.', '/')}"]))

  def stored(self, player: str) -> Iterator[tuple[str, Tensor]]:
    """Weights and moments, by gan_jax's names and in its order of axes."""
    for name, weight, *axes in torch_players.leaves(self.nets[player]):
      yield f"{player}/params/{name}", torch_players.to_jax(weight, *axes)
      for here, there in MOMENTS.items():
        yield f"{player}/{here}/{name}", torch_players.to_jax(self.optimizers[player].state[weight][there], *axes)


class Unrolled(Plain):
  """G's turn looks D `unroll` Adam steps ahead and differentiates through them, moments included. For MLPs of one activation.

  D's weights are one flat vector, so that Adam by hand takes 7 operations a step and not 7 for each of 6 tensors (measured: the fastest of
  functional_call, plain functions of lists, and this; torch._foreach_* fail in the double backward).
  """

  def __init__(self, workload: Workload):
    super().__init__(workload)
    self.own = self.weights["discriminator"]
    self.shapes = [weight.shape for weight in self.own]
    self.sizes = [shape.numel() for shape in self.shapes]
    self.activation = torch_players.function(workload.discriminator["activation"])
    self.flat = nn.Parameter(self._join(self.own).detach())
    self.weights["discriminator"] = [self.flat]
    self.optimizers["discriminator"] = self._adam([self.flat])
    self.updates = 0

  def discriminate(self, x: Tensor) -> Tensor:
    return self.apply(self.flat, x)

  def apply(self, flat: Tensor, x: Tensor) -> Tensor:
    pieces = self._cut(flat)
    for weight, bias in zip(pieces[:-2:2], pieces[1:-2:2], strict=True):
      x = self.activation(F.linear(x, weight, bias))
    return F.linear(x, pieces[-2], pieces[-1])

  def generator_turn(self, real: Tensor, noise: Noise) -> None:
    adam = self.workload.adam
    b1, b2 = adam["b1"], adam["b2"]
    state = self.optimizers["discriminator"].state[self.flat]
    flat, mu, nu = self.flat.detach().requires_grad_(), state["exp_avg"], state["exp_avg_sq"]
    for step in range(self.updates + 1, self.updates + 1 + self.workload.unroll):
      with self.precision():
        logits = self.apply(flat, torch.cat([real, self.generator(self.latent(noise))]))
      (grad,) = torch.autograd.grad(self.adversarial(logits.float()), flat, create_graph=True)
      mu = torch.lerp(mu, grad, 1 - b1)
      nu = torch.addcmul(nu * b2, grad, grad, value=1 - b2)
      size = (nu / (1 - b2**step) + EPS_ROOT).sqrt() + EPS
      flat = torch.addcdiv(flat, mu, size, value=-adam["learning_rate"] / (1 - b1**step))
    self.optimizers["generator"].zero_grad(set_to_none=True)
    with self.precision():
      logits = self.apply(flat, self.generator(self.latent(noise)))
    loss = F.binary_cross_entropy_with_logits(logits.float(), self.ones)
    loss.backward(inputs=self.weights["generator"])
    self.optimizers["generator"].step()

  def discriminator_turn(self, real: Tensor, noise: Noise) -> None:
    super().discriminator_turn(real, noise)
    self.updates += 1  # Adam's own count is on the card, and reading it would wait for the card

  def load(self, player: str, arrays: dict[str, np.ndarray]) -> None:
    super().load(player, arrays)
    if player == "discriminator":
      self.updates = int(arrays["discriminator/count"])
      states = [self.optimizers[player].state.pop(weight) for weight in self.own]
      moments = {name: self._join([state[name] for state in states]) for name in MOMENTS.values()}
      self.optimizers[player].state[self.flat] = {"step": states[0]["step"], **moments}
      with torch.no_grad():
        self.flat.copy_(self._join(self.own))

  def stored(self, player: str) -> Iterator[tuple[str, Tensor]]:
    if player == "discriminator":
      state = self.optimizers[player].state[self.flat]
      for number, weight in enumerate(self.own):
        with torch.no_grad():
          weight.copy_(self._cut(self.flat)[number])
        self.optimizers[player].state[weight] = {name: self._cut(state[name])[number] for name in MOMENTS.values()}
    yield from super().stored(player)

  def _join(self, values: list[Tensor]) -> Tensor:
    return torch.cat([value.reshape(-1) for value in values])

  def _cut(self, flat: Tensor) -> list[Tensor]:
    return [piece.view(shape) for piece, shape in zip(flat.split(self.sizes), self.shapes, strict=True)]


class Side:
  """One workload, all its seeds, one after the other."""

  def __init__(self, workload: Workload):
    torch.manual_seed(0)
    self.seeds = [(Unrolled if workload.unroll else Plain)(workload) for _ in range(workload.seeds)]
    if workload.unroll:  # looks at D's moments, which the first update makes
      for seed in self.seeds:
        seed.discriminator_turn(seed.draw_real(), Noise())

  def advance(self, rounds: int) -> None:
    noise = Noise()
    for seed in self.seeds:
      for _ in range(rounds):
        seed.round(seed.draw_real(), noise)
    synchronize()

  def take_round(self, inputs: Path, outputs: Path) -> None:
    """Start every seed from `inputs`, play one round with the batch and noise found there, write `outputs`."""
    given, made = dict(np.load(inputs)), []
    for number, seed in enumerate(self.seeds):
      arrays = {name: array[number] for name, array in given.items()}
      for player in PLAYERS:
        seed.load(player, arrays)
      noise = Recorded([arrays[f"noise/{i}"] for i in range(sum(name.startswith("noise/") for name in arrays))])
      real = torch.from_numpy(arrays["real"]).to(_options["device"])
      seed.round(real.permute(0, 3, 1, 2) if real.ndim == 4 else real, noise)
      if noise.left:
        raise ValueError("the other side drew more noise in a round")
      made.append({name: value.cpu().numpy() for player in seed.workload.turns for name, value in seed.stored(player)})
    np.savez(outputs, **{name: np.stack([one[name] for one in made]) for name in made[0]})

  def finite(self) -> bool:
    return all(bool(torch.isfinite(w).all()) for seed in self.seeds for name in PLAYERS for w in seed.weights[name])

  def operations(self) -> int:
    """Floating-point operations of products and convolutions in one round of one seed."""
    with Counter() as counter:
      self.seeds[0].round(self.seeds[0].draw_real(), Noise())
    return counter.total


class Counter(TorchDispatchMode):
  """Adds operations up by PyTorch's own formulas. (Its FlopCounterMode hooks modules, and fails in a double backward.)"""

  total = 0

  def __torch_dispatch__(self, function: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
    out = function(*args, **(kwargs or {}))
    formula = flop_registry.get(function._overloadpacket)
    self.total += 0 if formula is None else formula(*args, **(kwargs or {}), out_val=out)
    return out


def noise_images(shape: tuple[int, ...]) -> np.ndarray:
  return np.random.default_rng(0).integers(0, 256, (IMAGES, *shape), dtype=np.uint8)


def kernels() -> dict[str, float]:
  """Seconds of single operations, dispatch included, to see where a ratio comes from, and what the machine can do at most."""
  x, weight, large = torch.randn(512, 128), torch.randn(128, 128), torch.randn(1024, 1024)
  return {
    "matrix product 1024x1024x1024": _seconds(lambda: large @ large, 3),
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


def peak(size: int) -> float:
  """Operations a second in a matrix product, by the wall clock."""
  dtype = torch.bfloat16 if _options["precision"] == "bfloat16" else torch.float32
  x, times = torch.randn(size, size, dtype=dtype), []
  for _ in range(5):
    synchronize()
    start = time.perf_counter()
    for _ in range(10):
      y = x @ x
    synchronize()
    times.append((time.perf_counter() - start) / 10)
  del y
  return 2 * size**3 / min(times)


def versions() -> dict[str, str]:
  return {"torch": torch.__version__, "torch threads": str(torch.get_num_threads())}
