"""Plays, players and games whose every number is known: what the tests of single methods are made of."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from gan_jax.calls import Prior
from gan_jax.core import Aux, Game, GanState, Player, build
from gan_jax.play import Play


def play_of(
  *,
  real: Any = None,
  fake: Any = None,
  discriminate: Callable[[Array], Array] | None = None,
  real_logits: Any = None,
  fake_logits: Any = None,
  latent: Any = None,
  generate: Callable[[Any], Array] | None = None,
  features: Callable[[Array], Array] | None = None,
  step: int = 0,
  seed: int = 0,
) -> Play:
  """A `Play` by hand. What is not given is missing, and a term that looks at it fails."""
  given = [None if x is None else jnp.asarray(x) for x in (real, fake, latent, real_logits, fake_logits)]
  real, fake, latent, real_logits, fake_logits = given
  state = GanState(step=jnp.asarray(step, jnp.int32), params={}, model_state={}, opt_state={}, ema={})
  return Play(
    real, fake, latent, None, real_logits, fake_logits,
    generate=generate, discriminate=discriminate, features=features, state=state,
    key=jax.random.key(seed), axis_name=None,
  )  # fmt: skip


class Affine(nn.Module):
  """Inputs, flattened and joined, times `kernel`, plus `bias`: every gradient in closed form."""

  out: int = 1

  @nn.compact
  def __call__(self, *inputs: Array, train: bool) -> Array:
    del train
    x = jnp.concatenate([part.reshape(len(part), -1) for part in inputs], axis=-1)
    kernel = self.param("kernel", nn.initializers.normal(0.5), (x.shape[-1], self.out))
    return x @ kernel + self.param("bias", nn.initializers.zeros, (self.out,))


def affine(state, name, *inputs):
  """What the `Affine` network of a player says."""
  params = state.params[name]
  return np.concatenate(inputs, axis=1) @ np.asarray(params["kernel"]) + np.asarray(params["bias"])


def loss(game, state, name, batch, key=None):
  """A player's loss (or that of one of its parts, "player.part"), and its metrics."""
  player, _, part = name.partition(".")
  own = game.players[player]
  value, aux = (own.parts[part] if part else own.loss)(state.params[player], state, batch, jax.random.key(0) if key is None else key)
  return float(value), aux.metrics


def with_params(state, **params):
  return state.replace(params={**state.params, **params})


softplus = lambda x: np.log1p(np.exp(x))


def fixed_prior(rows: Any) -> Prior:
  """Always the same latents, the first n of `rows`."""
  rows = jnp.asarray(rows)
  return Prior(lambda key, n: rows[:n])


A, RATE = 0.7, 0.1
X, Y = 2.0, -1.0
ROW = {"image": np.zeros((1, 1), "float32")}


def bilinear(optimizer=None, ema_decay=None, turns=(("discriminator",), ("generator",))) -> Game:
  """Two numbers: x is the generator and minimises a x y, y is the discriminator and minimises -a x y."""

  def player(start, sign, other, ema):
    def loss(own, state, batch, key):
      return sign * A * own * state.params[other], Aux({}, {})

    return Player(lambda key, batch: (jnp.asarray(start), {}), loss, optimizer or optax.sgd(RATE), ema)

  players = {"generator": player(X, 1, "discriminator", ema_decay), "discriminator": player(Y, -1, "generator", None)}
  return Game(players, turns, sample=lambda state, key, batch: state.params["generator"][None])


def two_numbers(g, d, optimizer=None, start=(X, Y)) -> Game:
  """x minimises g(x, y), and y minimises d(x, y)."""

  def player(first, value):
    def loss(own, state, batch, key):
      return value(own, state.params), Aux({}, {})

    return Player(lambda key, batch: (jnp.asarray(first), {}), loss, optimizer or optax.sgd(RATE))

  players = {
    "generator": player(start[0], lambda x, p: g(x, p["discriminator"])),
    "discriminator": player(start[1], lambda y, p: d(p["generator"], y)),
  }
  return Game(players, (("discriminator",), ("generator",)), sample=lambda state, key, batch: state.params["generator"][None])


def play(game, rounds=1):
  """The states from the first one on."""
  algorithm = build(game)
  state, step = algorithm.init(jax.random.key(0), ROW), jax.jit(algorithm.step)
  states = [state]
  for _ in range(rounds):
    states.append(step(states[-1], ROW, jax.random.key(0))[0])
  return states


def values(state):
  """(x, y)."""
  return float(state.params["generator"]), float(state.params["discriminator"])
