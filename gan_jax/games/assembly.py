"""What games with further players share: every player has a network, initialised on what it is called with, and a loss; G alone keeps an average."""

from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import optax
from jax import Array

from gan_jax.calls import Prior, init_network, sampler
from gan_jax.core import Batch, Game, Loss, Player, PyTree, Turns

Inputs = Callable[[str, Array, Batch], tuple[Any, ...]]  # (player, key, batch) -> what its network is called with


def assemble(
  modules: Mapping[str, nn.Module],
  losses: Mapping[str, Loss],
  inputs: Inputs,
  *,
  prior: Prior,
  optimizers: Mapping[str, optax.GradientTransformation],
  turns: Turns,
  ema_decay: float | None,
  axis_name: str | None,
) -> Game:
  """The game of these players, whose samples are G(z). `modules` are on their axis; their order is that of the players."""

  def init_of(name: str) -> Callable[[Array, Batch], tuple[PyTree, PyTree]]:
    def init(key: Array, batch: Batch) -> tuple[PyTree, PyTree]:
      params, network_state = init_network(modules[name], key, *inputs(name, key, batch))
      return params, {"network": network_state}

    return init

  decays = {"generator": ema_decay}
  players = {name: Player(init_of(name), losses[name], optimizers[name], decays.get(name)) for name in modules}
  return Game(players, turns, sampler(modules["generator"], prior), axis_name)


def of_examples(prior: Prior) -> Inputs:
  """The generator takes latents, everybody else examples."""

  def inputs(name: str, key: Array, batch: Batch) -> tuple[Any, ...]:
    return (prior.sample(key, len(batch["image"])) if name == "generator" else batch["image"],)

  return inputs


def of_pairs(prior: Prior) -> Inputs:
  """The discriminator takes pairs of an example and a latent."""

  def inputs(name: str, key: Array, batch: Batch) -> tuple[Any, ...]:
    real, latent = batch["image"], prior.sample(key, len(batch["image"]))
    return {"generator": (latent,), "discriminator": (real, latent)}.get(name, (real,))

  return inputs
