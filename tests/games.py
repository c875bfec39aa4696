"""One small game for every method, by name: the table that the conformance, device and composition tests run over.

A row is a builder, `GAMES[name](axis_name=None, optimizer=SGD) -> Game`. All rows share one batch of 2-D points and tiny networks.
"""

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import numpy as np
import optax

from gan_jax import (
  build,
  coverage,
  distributions,
  diversity,
  f_divergences,
  games,
  networks,
  objectives,
  optimizers,
  penalties,
  priors,
  transforms,
  views,
)
from gan_jax.core import Game, GanState

BATCH = 32  # divides into 8 devices x packs of 4
LATENT = 4
WIDTHS = (8, 8)
SGD = optax.sgd(0.05, momentum=0.9)  # after one turn the momentum is the gradient itself, so comparing states compares gradients
ADAM = optimizers.adam(1e-3, b1=0.5)


def generator(out: int = 2, **settings: Any):
  return networks.mlp(out, WIDTHS, "tanh", **settings)


def discriminator(out: int = 1, **settings: Any):
  return networks.mlp(out, WIDTHS, **{"activation": "leaky_relu", **settings})


class OnPoints(nn.Module):
  """A player of 8 x 8 images in the table's plane: points become images, or images points, by fixed linear maps."""

  network: nn.Module
  axis_name: str | None = None

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
    patterns = np.cos(np.arange(2 * 64)).reshape(2, 64).astype(np.float32)
    network = self.network.clone(parent=self, name="player", axis_name=self.axis_name)
    if x.shape[1:] == (2,):
      return network((x @ patterns).reshape(len(x), 8, 8, 1), train=train)
    return network(x, train=train).reshape(len(x), 64) @ patterns.T / 8


class Sowing(nn.Module):
  """A generator that is told a point and sows four patches of two features."""

  @nn.compact
  def __call__(self, z: jax.Array, condition: jax.Array, *, train: bool) -> jax.Array:
    h = nn.tanh(nn.Dense(8)(jax.numpy.concatenate([z, condition], axis=-1)))
    self.sow("intermediates", "layers", (h.reshape(len(h), 2, 2, 2),))
    return nn.Dense(2)(h)


def row(objective=None, *, g=None, d=None, prior=None, transform: Callable[[Game], Game] = lambda game: game, **settings: Any):
  """A row of the table: the two-player game with these slots filled."""

  def make(axis_name: str | None = None, optimizer: optax.GradientTransformation = SGD) -> Game:
    return transform(games.gan(
      g or generator(), d or discriminator(), objective or objectives.non_saturating(), prior=prior or priors.normal(LATENT),
      optimizers={"generator": optimizer, "discriminator": optimizer}, axis_name=axis_name, **settings,
    ))  # fmt: skip

  return make


FURTHER = {  # players
  "veegan": ("reconstructor",), "d2gan": ("second_discriminator",), "ali": ("encoder",), "bigan": ("encoder",), "mode_regularized": ("encoder",),
  "mdgan": ("encoder", "second_discriminator"), "gman": ("sharpness",), "cyclegan": ("inverse", "second_discriminator"),
  "cut": ("heads",),
}  # fmt: skip


def own(game, *networks: Any, **settings: Any):
  """A row for a game with players of its own."""

  def make(axis_name: str | None = None, optimizer: optax.GradientTransformation = SGD) -> Game:
    players = {name: optimizer for name in ("generator", "discriminator", *FURTHER.get(game.__name__, ()))}
    return game(*networks, prior=priors.normal(LATENT), optimizers=players, axis_name=axis_name, **settings)

  return make


def translated(make):
  """The row, whose batches hold the points of another set as the condition: the same in another order, each coordinate in the other's place."""
  given = lambda batch: {**batch, "condition": batch["image"][:, ::-1]} if batch["image"].shape[1:] == (2,) else batch

  def player(own):
    return own._replace(init=lambda key, batch: own.init(key, given(batch)), loss=lambda p, state, batch, key: own.loss(p, state, given(batch), key))

  def made(axis_name: str | None = None, optimizer: optax.GradientTransformation = SGD) -> Game:
    game = make(axis_name, optimizer)
    players = {name: player(own) for name, own in game.players.items()}
    return game._replace(players=players, sample=lambda state, key, batch: game.sample(state, key, given(batch)))

  return made


def with_optimizer(game: Game, optimizer: optax.GradientTransformation) -> Game:
  return game._replace(players={name: player._replace(optimizer=optimizer) for name, player in game.players.items()})


def penalized(objective=None, **terms: Any):
  return row(objective, discriminator_terms=terms)


def spread(**terms: Any):
  return row(generator_terms=terms)


CODE = {"weight": 1.0, "categories": (3,), "continuous": 1}

GAMES = {
  # objectives
  "minimax": row(objectives.minimax()),
  "non_saturating": row(objectives.non_saturating()),
  "least_squares": row(objectives.least_squares()),
  "hinge": row(objectives.hinge()),
  "wasserstein": row(objectives.wasserstein()),
  "relativistic_paired": row(objectives.relativistic_paired()),
  "relativistic_average": row(objectives.relativistic_average()),
  "label_smoothing": row(objectives.non_saturating(real_label=0.9)),
  "mmd": row(distributions.mmd(), d=discriminator(4), discriminator_terms={"wgan_gp": penalties.wgan_gp(1.0)}),
  "sinkhorn": row(distributions.sinkhorn(epsilon=1.0, iterations=5), d=discriminator(4)),
  "sliced_wasserstein": row(distributions.sliced_wasserstein(num_projections=5)),
  "alpha": row(objectives.alpha(0.7, 2.0)),
  **{name: row(getattr(objectives, name)()) for name in f_divergences.__all__},
  "top_k": row(objectives.top_k(objectives.non_saturating(), share=0.5, decay=0.9)),
  "san": row(objectives.san(objectives.hinge()), d=discriminator(last="SlicedDense")),
  # discriminator terms
  "r1": penalized(r1=penalties.r1(1.0)),
  "r2": penalized(r2=penalties.r2(1.0)),
  "wgan_gp": penalized(objectives.wasserstein(), wgan_gp=penalties.wgan_gp(1.0)),
  "wgan_lp": penalized(objectives.wasserstein(), wgan_lp=penalties.wgan_lp(10.0)),
  "zero_gp": penalized(zero_gp=penalties.zero_gp(1.0)),
  "dragan": penalized(dragan=penalties.dragan(1.0)),
  "lecam": penalized(objectives.hinge(), lecam=penalties.lecam(0.3)),
  "r3gan": penalized(objectives.relativistic_paired(), r1=penalties.r1(1.0), r2=penalties.r2(1.0)),
  "approximate_r1": penalized(approximate_r1=penalties.approximate_r1(10.0, 0.1)),
  "approximate_r2": penalized(approximate_r2=penalties.approximate_r2(10.0, 0.1)),
  "roth": penalized(roth=penalties.roth(1.0)),
  "consistency": penalized(consistency=penalties.consistency(1.0, views.instance_noise(0.3))),
  "balanced_consistency": penalized(balanced_consistency=penalties.balanced_consistency(1.0, 1.0, views.instance_noise(0.3))),
  # generator terms
  "feature_matching": spread(feature_matching=diversity.feature_matching(1.0)),
  "mode_seeking": spread(mode_seeking=diversity.mode_seeking(0.1)),
  "dsgan": spread(dsgan=diversity.dsgan(0.1, limit=1.0)),
  "bures": spread(bures=diversity.bures()),
  "gdpp": spread(gdpp=diversity.gdpp(0.1)),
  "gdpp_eigenvalues": spread(gdpp_eigenvalues=diversity.gdpp_eigenvalues(1e-3)),
  "infogan": row(
    prior=priors.coded(priors.normal(LATENT), (3,), 1), d=discriminator(across=networks.recognition(4)),
    discriminator_terms={"information": penalties.information(**CODE)}, generator_terms={"information": diversity.information(**CODE)},
  ),
  "imle": spread(imle=coverage.imle(0.1, pool=3)),
  "ridge_leverage": row(transform=lambda game: transforms.ridge_leverage(game, pool=2, sketch=3)),
  "kernel_leverage": row(transform=lambda game: transforms.ridge_leverage(game, pool=2, on="samples", scale=0.5, gamma=0.01)),
  "self_conditioned": row(transform=lambda game: transforms.self_conditioned(game, num_clusters=3, every=3, examples=64, iterations=2)),
  "deligan": row(prior=priors.trained_mixture(LATENT, num_components=4), generator_terms={"unit_scales": coverage.unit_scales()}),
  # views
  "pack2": row(view=views.pack(2)),
  "pack4": row(view=views.pack(4)),
  "instance_noise": row(view=views.instance_noise(0.3, decay_steps=8)),
  "noisy_pack": row(view=views.chain(views.instance_noise(0.3), views.pack(2)), discriminator_terms={"wgan_gp": penalties.wgan_gp(1.0)}),
  "adaptive": row(view=views.chain(
    views.ada(views.instance_noise(0.3), images=256, every=2, start=0.5), views.diffusion(images=256, every=2, shortest=4, longest=8),
  )),
  # networks
  "minibatch_discrimination": row(d=discriminator(across=networks.minibatch_discrimination(num_kernels=4, dim=3))),
  "minibatch_stddev": row(d=discriminator(across=networks.minibatch_stddev(group_size=4))),
  "spectral_norm": row(objectives.hinge(), d=discriminator(dense="SpectralDense", last="SpectralDense")),
  "batch_norm_generator": row(g=generator(batch_norm=0.9)),
  "batch_norm_discriminator": row(d=discriminator(batch_norm=0.9)),
  "convolutional": row(
    objectives.hinge(), g=OnPoints(networks.dcgan_generator((8, 8, 1), (4, 4), kernel=3)),
    d=OnPoints(networks.dcgan_discriminator(1, (4, 4), kernel=3, conv="SpectralConv", last="SpectralDense", batch_norm=None)),
  ),
  "virtual_batch": row(**{player: networks.virtual_batch(net(dense="VirtualDense"), 8) for player, net in (("g", generator), ("d", discriminator))}),
  "maxout": row(d=discriminator(dense="Maxout", activation="identity")),
  # optimisers
  "clip_weights": row(objectives.wasserstein(), transform=lambda game: transforms.clip_weights(game, 0.3)),
  "ema": row(ema_decay=0.9),
  # the order of play
  "n_critic": row(n_critic=2),
  "simultaneous": row(transform=transforms.simultaneous),
  "shared_noise": row(transform=transforms.shared_noise),
  "repeat": row(transform=lambda game: transforms.repeat(game, 2)),
  "unroll": row(transform=lambda game: transforms.unroll(game, 2)),
  "consensus": row(transform=lambda game: transforms.consensus(game, 0.5)),
  "extragradient": row(transform=transforms.extragradient),
  "extra_adam": row(transform=lambda game: transforms.extragradient(game, moments="both")),
  "symplectic": row(transform=lambda game: transforms.symplectic(game, 0.5)),
  "competitive": row(objectives.minimax(), transform=lambda game: transforms.competitive(with_optimizer(game, optax.sgd(0.05)))),
  "lookahead": row(transform=lambda game: transforms.lookahead(game, k=2)),
  "historical_averaging": row(transform=lambda game: transforms.historical_averaging(game, 0.1)),
  "optimistic_adam": row(transform=lambda game: with_optimizer(game, optimizers.optimistic_adam(1e-3, b1=0.5))),
  # own games
  "veegan": own(games.veegan, generator(), discriminator(), networks.mlp(LATENT, WIDTHS, "tanh")),
  "d2gan": own(games.d2gan, generator(), discriminator()),
  "mgan": own(games.mgan, generator(heads=4), discriminator(5), num_generators=4, ema_decay=0.9),
  "ali": own(games.ali, generator(), discriminator(), networks.mlp(2 * LATENT, WIDTHS, "tanh")),
  "bigan": own(games.bigan, generator(), discriminator(), networks.mlp(LATENT, WIDTHS, "tanh")),
  "mode_regularized": own(games.mode_regularized, generator(), discriminator(), networks.mlp(LATENT, WIDTHS, "tanh")),
  "mdgan": own(games.mdgan, generator(), discriminator(), networks.mlp(LATENT, WIDTHS, "tanh")),
  "madgan": own(games.madgan, generator(heads=4), discriminator(5), num_generators=4),
  "presgan": own(games.presgan, generator(), discriminator(), num_samples=1, burn_in=1, leapfrog=2),
  "gman": own(games.gman, generator(), discriminator(), sharpness=None, reward=1.0),
  "cyclegan": translated(own(games.cyclegan, generator(), discriminator(), weight=2.0, identity_weight=1.0, ema_decay=0.9)),
  "cut": translated(own(games.cut, Sowing(), discriminator(), identity_weight=1.0, patches=3, heads=4, ema_decay=0.9)),
}  # fmt: skip

# Rows whose machinery another row has already, or nearly (competitive also solves a system): they run with the slow tests.
SIBLINGS = {
  "bigan": "ali", "mode_regularized": "mdgan", "madgan": "mgan", "historical_averaging": "clip_weights", "optimistic_adam": "clip_weights",
  "sliced_wasserstein": "bures", "alpha": "minimax", **dict.fromkeys(f_divergences.__all__, "minimax"), "top_k": "relativistic_average",
  "san": "feature_matching", "approximate_r1": "dragan", "approximate_r2": "dragan", "roth": "r1", "consistency": "dragan",
  "balanced_consistency": "dragan", "gdpp": "bures", "gdpp_eigenvalues": "bures", "infogan": "feature_matching", "virtual_batch": "spectral_norm",
  "deligan": "mgan", "kernel_leverage": "ridge_leverage", "cut": "cyclegan", "label_smoothing": "non_saturating", "least_squares": "minimax",
  "hinge": "minimax", "wgan_lp": "wgan_gp", "zero_gp": "wgan_gp", "r2": "r1", "noisy_pack": "pack2",
  "batch_norm_generator": "batch_norm_discriminator",
  "extra_adam": "extragradient", "ema": "mgan", "maxout": "minibatch_stddev", "repeat": "simultaneous", "competitive": "symplectic",
}  # fmt: skip
# Rows that test_every_game.py has on shards of one device; the others test_devices.py has on four. The rest are slow: every program costs seconds.
ON_SHARDS = {
  *SIBLINGS, "ali", "mdgan", "gman", "symplectic", "lookahead", "mmd", "sinkhorn", "presgan", "adaptive", "imle",
  "ridge_leverage", "self_conditioned", "veegan", "d2gan", "convolutional", "cyclegan", "extragradient", "simultaneous", "shared_noise",
  "pack2", "minimax", "clip_weights", "dragan", "mode_seeking", "instance_noise",
}  # fmt: skip


def points(seed: int = 0, n: int = BATCH) -> dict[str, np.ndarray]:
  """`{"image": [n, 2]}`: points around a ring."""
  random = np.random.default_rng(seed)
  angle = 2 * np.pi * random.integers(8, size=n) / 8
  ring = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
  return {"image": (ring + 0.1 * random.standard_normal((n, 2))).astype(np.float32)}


def jit(function: Callable, **settings: Any) -> Callable:
  """`jax.jit` without LLVM's optimiser: half the time to compile, for programs that run a few times."""
  return jax.jit(function, compiler_options={"xla_backend_optimization_level": 0}, **settings)


@functools.cache
def first_state(name: str, seed: int = 0) -> GanState:
  """On one device and off every axis; SGD."""
  return build(GAMES[name]()).init(jax.random.key(seed), points(seed))


@functools.cache
def first_round(name: str, seed: int = 0) -> tuple[GanState, dict]:
  """The whole batch on one device, SGD: what every other way to play the first round must agree with."""
  return _whole_step(name)(first_state(name, seed), points(seed), run_key(seed))


def run_key(seed: int) -> jax.Array:
  return jax.random.key(seed + 100)


@functools.cache
def _whole_step(name: str) -> Callable:
  return jit(build(GAMES[name]()).step)


def agree(got: Any, wanted: Any, rtol: float = 1e-5) -> None:
  """Equal `(state, metrics)`: every array up to `rtol` of its largest entry, or of a third of the largest in that field.

  float32 sums in another order cannot do better for the smallest entries, nor for gradients that are zero but for rounding, as of a bias
  before batch normalisation.
  """
  assert jax.tree.structure(got) == jax.tree.structure(wanted)
  flat = [(path, np.asarray(leaf)) for path, leaf in jax.tree_util.tree_leaves_with_path(wanted)]
  field = lambda path: str(path[: min(3, len(path) - 1)])  # ([0], .params, ['generator']) of a state; ([1],) of metrics
  largest = {}
  for path, b in flat:
    largest[field(path)] = max(largest.get(field(path), 0), np.max(np.abs(b), initial=0))
  for a, (path, b) in zip(map(np.asarray, jax.tree.leaves(got)), flat, strict=True):
    assert a.shape == b.shape and a.dtype == b.dtype, jax.tree_util.keystr(path)
    error, scale = np.max(np.abs(a - b), initial=0), max(np.max(np.abs(b), initial=0), largest[field(path)] / 3)
    assert error <= rtol * scale, f"{jax.tree_util.keystr(path)} differs by {error:.2g} on a scale of {scale:.2g}"
