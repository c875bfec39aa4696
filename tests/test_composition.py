"""Methods compose: every pair of methods plays rounds with finite gradients, or is refused in one clear line.

The matrix is objective x penalty x view x diversity x network x transform. A set of methods is one program; the sets together hold every pair.
"""

import itertools
import random

import jax
import numpy as np
import pytest
from games import LATENT, SGD, agree, discriminator, generator, jit, points, run_key

from gan_jax import build, diversity, games, networks, objectives, penalties, priors, transforms, views
from gan_jax.core import Game

OBJECTIVES = {
  "minimax": objectives.minimax(),
  "non_saturating": objectives.non_saturating(real_label=0.9),
  "least_squares": objectives.least_squares(),
  "hinge": objectives.hinge(),
  "wasserstein": objectives.wasserstein(),
  "relativistic_paired": objectives.relativistic_paired(),
  "relativistic_average": objectives.relativistic_average(),
}
PENALTIES = {
  "r1": penalties.r1(0.1),
  "r2": penalties.r2(0.1),
  "wgan_gp": penalties.wgan_gp(0.1),
  "wgan_lp": penalties.wgan_lp(0.1),
  "zero_gp": penalties.zero_gp(0.1),
  "dragan": penalties.dragan(0.1),
  "lecam": penalties.lecam(0.1),
}
DIVERSITY = {
  "feature_matching": diversity.feature_matching(0.1),
  "mode_seeking": diversity.mode_seeking(0.1),
  "dsgan": diversity.dsgan(0.1, limit=1.0),
  "bures": diversity.bures(0.1),
}
VIEWS = {"pack": views.pack(2), "instance_noise": views.instance_noise(0.1, decay_steps=8)}
LAYERS = {
  "minibatch_discrimination": {"across": networks.minibatch_discrimination(num_kernels=4, dim=3)},
  "minibatch_stddev": {"across": networks.minibatch_stddev(group_size=4)},
  "spectral_norm": {"dense": "SpectralDense", "last": "SpectralDense"},
  "batch_norm": {"batch_norm": 0.9},
}
TRANSFORMS = {
  "unroll": lambda game: transforms.unroll(game, 2),
  "consensus": lambda game: transforms.consensus(game, 0.1),
  "extragradient": transforms.extragradient,
  "simultaneous": transforms.simultaneous,
  "shared_noise": transforms.shared_noise,
  "clip_weights": lambda game: transforms.clip_weights(game, 1.0),
}
SETTINGS = {"n_critic": 2, "ema_decay": 0.9}
METHODS = (*OBJECTIVES, *PENALTIES, *VIEWS, *DIVERSITY, *LAYERS, *TRANSFORMS, *SETTINGS)


def exclusive(a: str, b: str) -> bool:
  """Two methods for a place that holds one."""
  return {a, b} <= set(OBJECTIVES) or {a, b} == {"minibatch_discrimination", "minibatch_stddev"}


PAIRS = [pair for pair in itertools.combinations(METHODS, 2) if not exclusive(*pair)]


def compose(methods, axis_name: str | None = None) -> Game:
  """The game with these methods; views and transforms are applied in the order given."""
  of = lambda table: {name: table[name] for name in methods if name in table}
  layers = {key: value for layer in of(LAYERS).values() for key, value in layer.items()}
  game = games.gan(
    generator(), discriminator(**layers), next(iter(of(OBJECTIVES).values()), objectives.non_saturating()), prior=priors.normal(LATENT),
    optimizers={"generator": SGD, "discriminator": SGD}, discriminator_terms=of(PENALTIES), generator_terms=of(DIVERSITY),
    view=views.chain(*of(VIEWS).values()), axis_name=axis_name, **of(SETTINGS),
  )  # fmt: skip
  for transform in of(TRANSFORMS).values():
    game = transform(game)
  return game


def play(methods, rounds: int = 2):
  """State and metrics after so many rounds; the state holds the gradients, as momentum."""
  algorithm = build(compose(methods))
  state, step = algorithm.init(jax.random.key(0), points()), jit(algorithm.step)
  for _ in range(rounds):
    state, metrics = step(state, points(), run_key(0))
  return state, metrics


def check(methods):
  """Finite numbers everywhere, players that move, and every term in the metrics."""
  state, metrics = play(methods)
  for path, leaf in jax.tree_util.tree_leaves_with_path((state, metrics)):
    assert np.isfinite(leaf).all(), f"{jax.tree_util.keystr(path)} of {' + '.join(methods)} is not finite"
  for player in ("generator", "discriminator"):
    assert any(np.any(leaf) for leaf in jax.tree.leaves(state.opt_state[player])), f"{player} of {' + '.join(methods)} has no gradient"
  terms = {**{name: f"discriminator/{name}" for name in PENALTIES}, **{name: f"generator/{name}" for name in DIVERSITY}}
  assert {terms[name] for name in methods if name in terms} <= set(metrics)


def cover(size: int) -> list[tuple[str, ...]]:
  """Sets of at most `size` methods, at most one transform that nests the game each, that together hold every pair. Greedy."""
  missing, sets = set(PAIRS), []
  while missing:
    chosen = list(min(missing, key=lambda pair: (METHODS.index(pair[0]), METHODS.index(pair[1]))))
    while len(chosen) < size:
      gain = lambda name: sum(tuple(sorted((name, other), key=METHODS.index)) in missing for other in chosen)
      fits = [name for name in METHODS if name not in chosen and not any(exclusive(name, other) for other in chosen) and cheap([*chosen, name])]
      best = max(fits, key=gain, default=None)
      if best is None or not gain(best):
        break
      chosen.append(best)
    sets.append(tuple(sorted(chosen, key=METHODS.index)))
    missing -= set(itertools.combinations(sets[-1], 2))
  return sets


def cheap(methods) -> bool:
  """Small enough a program for the default run: of the methods that differentiate a gradient or repeat the round, few at a time."""
  heavy = {"unroll": 3, "consensus": 3, "extragradient": 2, "r1": 1, "r2": 1, "wgan_gp": 1, "wgan_lp": 1, "zero_gp": 1, "dragan": 1, "bures": 1}
  return sum(heavy.get(name, 0) for name in methods) <= 6


COVER = cover(8)


def test_the_cover_holds_every_pair():
  held = {pair for methods in COVER for pair in itertools.combinations(methods, 2)}
  assert held == set(PAIRS) and len(PAIRS) == len(METHODS) * (len(METHODS) - 1) // 2 - 21 - 1


@pytest.mark.parametrize("methods", COVER, ids="+".join)
def test_every_pair_in_a_cover(methods):
  check(methods)


@pytest.mark.slow
@pytest.mark.parametrize("methods", PAIRS, ids="+".join)
def test_every_pair_alone(methods):
  check(methods)
