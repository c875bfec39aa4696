"""The remedies that the comparisons share: an arm each, and three settings of each one's own knob.

An experiment says what its players must match: `arms(adam=..., wide=..., reconstructor=..., ...)`. Arms of its own it adds itself. This file is no
experiment, hence the underscore.
"""

from collections.abc import Mapping, Sequence
from typing import Any

Patch = dict[str, Any]

RELATIVISTIC = {"objective": {"name": "relativistic_paired"}}
WASSERSTEIN = {"objective": {"name": "wasserstein"}, "game.n_critic": 5}


def arms(
  *,
  adam: Patch,
  wide: Patch,
  reconstructor: Patch,
  num_generators: int,
  r1: float,
  rpgan: float,
  wgan_gp: float,
  dragan: float,
  mode_seeking: float,
) -> dict[str, Patch]:
  """Vanilla, sixteen remedies, and their control: a wider discriminator.

  adam: the optimiser of a further player. wide: the patch that doubles the discriminator. reconstructor: VEEGAN's third network, x -> z.
  num_generators: MGAN's. The others are the weights of penalties: gamma of R1, gamma of RpGAN + R1 + R2, and so on.

  `pacgan4` holds the samples of a batch (64 samples are 16 packs), `pacgan4_packs` the packs (64 packs are 256 samples), as PacGAN's paper does.
  """
  return {
    "vanilla": {},
    "wide_discriminator": wide,
    "minibatch_discrimination": {"discriminator.across": {"name": "minibatch_discrimination", "num_kernels": 20, "dim": 5}},
    "minibatch_stddev": {"discriminator.across": {"name": "minibatch_stddev", "group_size": 4}},
    "pacgan2": {"view.pack.size": 2},
    "pacgan4": {"view.pack.size": 4},
    "pacgan2_packs": {"view.pack.size": 2, "batch_unit": "packs"},
    "pacgan4_packs": {"view.pack.size": 4, "batch_unit": "packs"},
    "r1": {"discriminator_terms.r1.gamma": r1},
    "rpgan_r1_r2": _rpgan(rpgan),
    "wgan_gp": {**WASSERSTEIN, "discriminator_terms.wgan_gp.weight": wgan_gp},
    "dragan": {"discriminator_terms.dragan.weight": dragan},
    "mode_seeking": {"generator_terms.mode_seeking.weight": mode_seeking},
    "buresgan": {"generator_terms.bures.weight": 1.0},
    "veegan": _veegan(adam, reconstructor),
    "mgan": _mgan(num_generators),
    "unrolled5": {"transforms.unroll.steps": 5},
  }


def tuned(
  *, adam: Patch, reconstructor: Patch, num_generators: int, gammas: Sequence[float], mode_seeking: Sequence[float]
) -> dict[str, Patch]:
  """Three settings of each method's own knob; the protocol's knobs (widths, learning rates, batch) stay."""
  return {
    **_sweep("r1", gammas, lambda g: {"discriminator_terms.r1.gamma": g}),
    **_sweep("rpgan_r1_r2", gammas, _rpgan),
    **_sweep("wgan_gp", (0.1, 1.0, 10.0), lambda w: {**WASSERSTEIN, "discriminator_terms.wgan_gp.weight": w}),
    **_sweep("dragan", (0.1, 1.0, 10.0), lambda w: {"discriminator_terms.dragan.weight": w}),
    **_sweep("mode_seeking", mode_seeking, lambda w: {"generator_terms.mode_seeking.weight": w}),
    **_sweep("buresgan", (0.1, 1.0, 10.0), lambda w: {"generator_terms.bures.weight": w}),
    **_sweep("veegan", (0.01, 0.1, 1.0), lambda w: {**_veegan(adam, reconstructor), "game.weight": w}),
    **_sweep("mgan", (0.01, 0.1, 1.0), lambda b: {**_mgan(num_generators), "game.beta": b}),
  }


def pick(patches: Mapping[str, Patch], *names: str) -> dict[str, Patch]:
  """Some of the arms, in this order."""
  return {name: patches[name] for name in names}


def _sweep(name: str, values: Sequence[float], patch) -> dict[str, Patch]:
  return {f"{name}_{value:g}": patch(value) for value in values}


def _rpgan(gamma: float) -> Patch:
  return {**RELATIVISTIC, "discriminator_terms.r1.gamma": gamma, "discriminator_terms.r2.gamma": gamma}


def _veegan(adam: Patch, reconstructor: Patch) -> Patch:
  game = {"name": "veegan", "ema_decay": 0.999, "reconstructor": reconstructor}
  return {"game": game, "objective": None, "optimizers.reconstructor": adam}


def _mgan(num_generators: int) -> Patch:
  game = {"name": "mgan", "ema_decay": 0.999, "num_generators": num_generators}
  return {"game": game, "objective": None, "generator.heads": num_generators, "discriminator.out": num_generators + 1}
