"""Methods compose: every pair of methods plays rounds with finite gradients, or is refused in one clear line.

The matrix is objective x penalty x view x diversity x network x transform. A set of methods is one program; the sets together hold every pair.
"""

import itertools
import random

import jax
import numpy as np
import optax
import pytest
from games import ADAM, GAMES, LATENT, SGD, agree, jit, points, run_key, with_optimizer

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
TRANSFORMS = {  # in the order in which they are applied
  "clip_weights": lambda game: transforms.clip_weights(game, 1.0),
  "historical_averaging": lambda game: transforms.historical_averaging(game, 0.1),
  "lookahead": lambda game: transforms.lookahead(game, k=2),
  "unroll": lambda game: transforms.unroll(game, 2),
  "consensus": lambda game: transforms.consensus(game, 0.1),
  "extragradient": transforms.extragradient,
  "simultaneous": transforms.simultaneous,
  "shared_noise": transforms.shared_noise,
}
SETTINGS = {"n_critic": 2, "ema_decay": 0.9}
METHODS = (*OBJECTIVES, *PENALTIES, *VIEWS, *DIVERSITY, *LAYERS, *TRANSFORMS, *SETTINGS)
TWO_LAYERS = {"minibatch_discrimination", "minibatch_stddev"}  # for one place
# One turn cannot hold two turns of D.
REFUSED = {(name, "n_critic") for name in ("consensus", "extragradient", "simultaneous")}
PAIRS = [pair for pair in itertools.combinations(METHODS, 2) if not (set(pair) <= set(OBJECTIVES) or set(pair) == TWO_LAYERS)]
COMPATIBLE = [pair for pair in PAIRS if pair not in REFUSED]


def compose(methods, axis_name: str | None = None, optimizer=ADAM) -> Game:
  """The game with these methods, on small networks."""
  of = lambda table: {name: table[name] for name in table if name in methods}
  layers = {key: value for layer in of(LAYERS).values() for key, value in layer.items()}
  game = games.gan(
    networks.mlp(2, (8,), "tanh"), networks.mlp(1, (8,), "tanh", **layers), next(iter(of(OBJECTIVES).values()), objectives.non_saturating()),
    prior=priors.normal(LATENT), optimizers={"generator": optimizer, "discriminator": optimizer}, discriminator_terms=of(PENALTIES),
    generator_terms=of(DIVERSITY), view=views.chain(*of(VIEWS).values()), axis_name=axis_name, **of(SETTINGS),
  )  # fmt: skip
  for transform in of(TRANSFORMS).values():
    game = transform(game)
  return game


def check(methods):
  """Two rounds of Adam, whose moments hold the gradients: finite numbers everywhere, players that move, and every term in the metrics."""
  algorithm = build(compose(methods))
  state, step = algorithm.init(jax.random.key(0), points()), jit(algorithm.step)
  for _ in range(2):
    state, metrics = step(state, points(), run_key(0))
  for path, leaf in jax.tree_util.tree_leaves_with_path((state, metrics)):
    assert np.isfinite(leaf).all(), f"{jax.tree_util.keystr(path)} of {' + '.join(methods)} is not finite"
  for player in ("generator", "discriminator"):
    moments = optax.tree.get(state.opt_state[player], "mu")
    assert any(np.any(leaf) for leaf in jax.tree.leaves(moments)), f"{player} has no gradient under {' + '.join(methods)}"
  terms = {**{name: f"discriminator/{name}" for name in PENALTIES}, **{name: f"generator/{name}" for name in DIVERSITY}}
  assert {terms[name] for name in methods if name in terms} <= set(metrics)


def cost(methods) -> float:
  """About how large the program is, in plain rounds: the transforms that nest the round multiply each other and what they nest."""
  light = {"r1", "r2", "wgan_gp", "wgan_lp", "zero_gp", "dragan", "bures", "minibatch_discrimination", "batch_norm", "spectral_norm"}
  nested = {"unroll": 2.5, "consensus": 2.5, "extragradient": 2}
  return (1 + sum(0.4 for name in methods if name in light)) * np.prod([nested.get(name, 1) for name in methods])


def cover(pairs, size: int, budget: float) -> list[tuple[str, ...]]:
  """Sets of at most `size` methods, of small programs, that together hold every pair. Greedy."""
  missing, sets, allowed = set(pairs), [], set(pairs)
  in_order = lambda names: tuple(sorted(names, key=METHODS.index))
  while missing:
    chosen = list(min(missing, key=lambda pair: (-cost(pair), [METHODS.index(name) for name in pair])))
    while len(chosen) < size:
      gain = {
        name: sum(in_order((name, other)) in missing for other in chosen)
        for name in METHODS
        if all(in_order((name, other)) in allowed for other in chosen) and cost([*chosen, name]) <= budget
      }
      best = max(gain, key=gain.get, default=None)
      if best is None or not gain[best]:
        break
      chosen.append(best)
    sets.append(in_order(chosen))
    missing -= set(itertools.combinations(sets[-1], 2))
  return sets


COVER = cover(COMPATIBLE, size=12, budget=5)


def test_the_cover_holds_every_pair():
  held = {pair for methods in COVER for pair in itertools.combinations(methods, 2)}
  assert held == set(PAIRS) - REFUSED
  assert len(PAIRS) == len(METHODS) * (len(METHODS) - 1) // 2 - 21 - 1


@pytest.mark.parametrize("methods", COVER, ids="+".join)
def test_every_pair_in_a_cover(methods):
  check(methods)


@pytest.mark.slow
@pytest.mark.parametrize("methods", COMPATIBLE, ids="+".join)
def test_every_pair_alone(methods):
  check(methods)


@pytest.mark.parametrize("methods", sorted(REFUSED), ids="+".join)
def test_refused_in_one_line(methods):
  with pytest.raises(ValueError, match="use n_critic 1") as refusal:
    compose(methods)
  assert_one_line(refusal)


def random_set(seed: int) -> tuple[str, ...]:
  """Up to four methods that fit together."""
  generator = random.Random(seed)
  while True:
    methods = sorted(generator.sample(METHODS, generator.randint(2, 4)), key=METHODS.index)
    if set(itertools.combinations(methods, 2)) <= set(COMPATIBLE) and cost(methods) <= 6.5:
      return tuple(methods)


@pytest.mark.parametrize("seed", [*range(4), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(4, 60))])
def test_random_sets_are_finite_and_the_same_on_shards(seed):
  """A round of SGD on four shards equals the round of the whole batch, gradients (the momentum) and all."""
  methods = random_set(seed)
  whole, shards = (build(compose(methods, axis_name, SGD)) for axis_name in (None, "devices"))
  state = whole.init(jax.random.key(seed), points(seed))
  after = jit(whole.step)(state, points(seed), run_key(seed))
  assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(after)), methods
  parts = {"image": points(seed)["image"].reshape(4, -1, 2)}
  step = jit(jax.vmap(shards.step, in_axes=(None, 0, None), out_axes=None, axis_name="devices"))
  agree(step(state, parts, run_key(seed)), after, rtol=1e-4)


CHANGE_OPTIMIZERS, LOOK_AHEAD = ("clip_weights", "historical_averaging", "lookahead"), ("unroll", "extragradient")
FIRST_SIX = [name for name in TRANSFORMS if name not in ("historical_averaging", "lookahead")]
ORDERED = [
  *itertools.permutations(FIRST_SIX, 2), ("lookahead", "unroll"), ("lookahead", "extragradient"), ("lookahead", "clip_weights"),
  ("unroll", "lookahead"), ("extragradient", "lookahead"), ("historical_averaging", "lookahead"), ("unroll", "historical_averaging"),
]  # fmt: skip


@pytest.mark.parametrize(("first", "then"), ORDERED, ids=[f"{first}-{then}" for first, then in ORDERED])
def test_transforms_in_either_order(first, then):
  """Traced, not run: the order in the table above has been. A look-ahead would leave out a later change of the optimiser: refused."""
  optimizers = {"generator": SGD, "discriminator": SGD}
  game = games.gan(networks.mlp(2, (8,)), networks.mlp(1, (8,)), objectives.hinge(), prior=priors.normal(LATENT), optimizers=optimizers)
  algorithm = build(TRANSFORMS[then](TRANSFORMS[first](game)))
  state = jax.eval_shape(algorithm.init, jax.random.key(0), points())
  play = lambda: jax.eval_shape(algorithm.step, state, points(), run_key(0))
  if then in CHANGE_OPTIMIZERS and first in LOOK_AHEAD:
    with pytest.raises(ValueError, match=r"put clip_weights etc\. before that one") as refusal:
      play()
    assert_one_line(refusal)
  else:
    after, _ = play()
    assert jax.tree.structure(after) == jax.tree.structure(state)


def test_hyperparameters_may_be_arrays():
  """So that a sweep is a vmap: no method looks at the value of its weight."""

  def step(w):
    game = games.gan(
      networks.mlp(2, (8,), input_scale=w), networks.mlp(1, (8,)), objectives.non_saturating(real_label=w), prior=priors.normal(LATENT, scale=w),
      optimizers={"generator": optax.sgd(w), "discriminator": optax.sgd(w)}, view=views.instance_noise(w, decay_steps=w), ema_decay=w,
      discriminator_terms={name: getattr(penalties, name)(w) for name in PENALTIES} | {"lecam": penalties.lecam(w, decay=w, start=w)},
      generator_terms={name: getattr(diversity, name)(w) for name in DIVERSITY},
    )  # fmt: skip
    algorithm = build(transforms.consensus(game, w))
    return algorithm.step(algorithm.init(jax.random.key(0), points()), points(), run_key(0))

  state, _ = jax.eval_shape(jax.vmap(step), np.ones(3, np.float32))
  assert state.step.shape == (3,)


def competitive(game):
  return transforms.competitive(with_optimizer(game, optax.sgd(0.05)))


FIELD = {"symplectic": lambda game: transforms.symplectic(game, 0.1), "competitive": competitive}


@pytest.mark.slow
@pytest.mark.parametrize("other", [name for name in METHODS if name != "n_critic"])
@pytest.mark.parametrize("name", FIELD)
def test_the_whole_field_with_every_method(name, other):
  """Two rounds of the two methods together: finite numbers, the same types. (With n_critic they are refused, as simultaneous play is.)"""
  algorithm = build(FIELD[name](compose((other,))))
  state, step = algorithm.init(jax.random.key(0), points()), jit(algorithm.step)
  for _ in range(2):
    state, metrics = step(state, points(), run_key(0))
  assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((state, metrics)))


OWN_GAMES = ("veegan", "d2gan", "mgan", "ali", "mdgan", "gman")
TWO_MOVES = {("mdgan", "consensus"), ("mdgan", "extragradient"), ("mdgan", "simultaneous")}  # of G, which one turn cannot hold


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("name", OWN_GAMES)
def test_transforms_of_games_with_further_players(name, transform):
  """Traced; the games themselves run in test_every_game.py."""
  if (name, transform) in TWO_MOVES:
    with pytest.raises(ValueError, match="simultaneous play is one turn a round") as refusal:
      TRANSFORMS[transform](GAMES[name]())
    return assert_one_line(refusal)
  algorithm = build(TRANSFORMS[transform](GAMES[name]()))
  state = jax.eval_shape(algorithm.init, jax.random.key(0), points())
  after, metrics = jax.eval_shape(algorithm.step, state, points(), run_key(0))
  assert jax.tree.structure(after) == jax.tree.structure(state) and "generator/loss" in metrics


def conditioned(**settings):
  optimizers = {"generator": SGD, "discriminator": SGD}
  game = games.gan(
    networks.mlp(2, (8,)), settings.pop("d", networks.mlp(1, (8,))), objectives.hinge(), prior=priors.normal(LATENT), optimizers=optimizers,
    **settings,
  )  # fmt: skip
  batch = {**points(), "condition": np.eye(4, dtype=np.float32)[np.arange(32) % 4]}
  return build(game), batch


@pytest.mark.parametrize("term", [*PENALTIES, *DIVERSITY])
def test_terms_meet_a_condition(term):
  slot = "discriminator_terms" if term in PENALTIES else "generator_terms"
  algorithm, batch = conditioned(**{slot: {term: {**PENALTIES, **DIVERSITY}[term]}})
  state = jax.eval_shape(algorithm.init, jax.random.key(0), batch)
  jax.eval_shape(algorithm.step, state, batch, run_key(0))


def test_packs_of_conditions_are_refused_in_one_line():
  algorithm, batch = conditioned(view=views.pack(2))
  with pytest.raises(ValueError, match="exclude each other") as refusal:
    algorithm.init(jax.random.key(0), batch)
  assert_one_line(refusal)


def assert_one_line(refusal):
  assert "\n" not in str(refusal.value) and len(str(refusal.value)) < 200
