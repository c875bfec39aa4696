"""Rows 20 and 21: NaN and infinities in either player, alone and among other seeds, on one replica of several, with every optimiser.

Mutations that made a test here fail: see the end of docs/reliability.md.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gan_jax import gan, networks, objectives, optimizers, priors, transforms
from gan_jax.core import Aux, Game, Player, broken, build, given_up, take_turn

PLAYERS = ("generator", "discriminator")
BATCH = {"image": np.random.default_rng(0).normal(size=(8, 2)).astype("float32")}
ROUNDS = 6
NAN, INF = float("nan"), float("inf")


@jax.custom_vjp
def tilted(x, slope):
  """0, whose derivative in x is `slope`: a gradient that is not finite, of a loss that is."""
  return 0.0 * x


tilted.defvjp(lambda x, slope: (0.0 * x, slope), lambda slope, g: (slope * g, 0.0 * g))


def small(poison=None, axis_name=None):
  """A game with everything that a bad turn could spoil: moments, BatchNorm, an average, spectral vectors.

  poison: `{player: [rounds, 2]}`, what is added to its loss in each round, and to one slope of its gradient.
  """

  def term(player):
    def spoil(play):
      loss, slope = poison[player][play.state.step]
      first = jax.tree.leaves(play.state.params[player])[0].reshape(-1)[0]
      return loss + tilted(first, slope)

    return {"poison": spoil}

  terms = {} if poison is None else {f"{player}_terms": term(player) for player in PLAYERS}
  return gan(
    networks.mlp(2, (4,), batch_norm=0.9), networks.mlp(1, (3,), dense="SpectralDense"), objectives.non_saturating(), prior=priors.normal(2),
    optimizers=dict.fromkeys(PLAYERS, optimizers.adam(1e-2)), ema_decay=0.9, axis_name=axis_name, **terms,
  )  # fmt: skip


def entries(state, player):
  return [state.params[player], state.model_state[player], state.opt_state[player], state.ema.get(player, ())]


def same(one, two):
  return all(np.asarray(a).tobytes() == np.asarray(b).tobytes() for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(two), strict=True))


def finite(tree):
  return all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(tree) if leaf.dtype.kind == "f")


# name -> (player, what is spoilt, with what, in which rounds, patience)
WAYS = [(player, where, value) for player in PLAYERS for where in ("loss", "slope") for value in (NAN, INF, -INF)]
CASES = {f"{player}_{where}_{value}": (player, where, value, [1], 8) for player, where, value in WAYS}
SEVERAL = {
  "healthy": ("generator", "loss", 0.0, [], 8),
  "for_good": ("discriminator", "slope", NAN, [1, 2, 3, 4, 5], 3),
  "every_second": ("discriminator", "loss", NAN, [1, 3, 5], 2),
  "too_large_for_adam": ("generator", "slope", 1e30, [2], 8),  # finite, its square is not
}


@pytest.fixture(scope="module")
def plays():
  """case -> the states before each round and after the last. All cases are seeds of one program, and start alike."""
  table = {**CASES, **SEVERAL}
  spoilt = {player: np.zeros((len(table), ROUNDS, 2), np.float32) for player in PLAYERS}
  for lane, (player, where, value, rounds, _) in enumerate(table.values()):
    spoilt[player][lane, rounds, ("loss", "slope").index(where)] = value
  patience = np.array([case[-1] for case in table.values()], np.int32)
  state = build(transforms.skip_not_finite(small())).init(jax.random.key(0), BATCH)

  def one(poison, patience):
    step = build(small(poison)._replace(patience=patience)).step

    def play_on(state, _):
      new, _ = step(state, BATCH, jax.random.key(1))
      return new, new

    return jax.lax.scan(play_on, state, length=ROUNDS)[1]

  after = jax.device_get(jax.jit(jax.vmap(one))(spoilt, patience))
  return {name: [state, *(jax.tree.map(lambda x, i=i, r=r: x[i, r], after) for r in range(ROUNDS))] for i, name in enumerate(table)}


@pytest.mark.parametrize("case", CASES)
def test_f20_a_bad_turn_leaves_its_player_alone(plays, case):
  """Round 1 is spoilt: the player stays, its rival moves, and in round 2 both move again."""
  states, player = plays[case], CASES[case][0]
  rival = PLAYERS[1 - PLAYERS.index(player)]
  assert not same(states[0].params[player], states[1].params[player])
  assert same(entries(states[1], player), entries(states[2], player))
  assert not same(states[1].params[rival], states[2].params[rival])
  assert not same(states[2].params[player], states[3].params[player])
  assert finite(states)
  counted = {name: count[:3].tolist() for name, count in states[3].skipped.items()}
  assert counted == {player: [1, 0, 1], rival: [0, 0, 0]}  # turns, in a row, last round
  assert states[2].skipped[player][1] == 1
  assert states[3].skipped[player][3] == (0 if CASES[case][1] == "loss" else 1), "which array: the loss, else the first of the gradient"


def test_f20_seeds_do_not_touch_each_other(plays):
  """Up to the round in which its own poison comes, every seed plays as the healthy one, bit for bit."""
  for name, (*_, rounds, _) in {**CASES, **SEVERAL}.items():
    first = min(rounds, default=ROUNDS)
    assert same([entries(plays[name][first], player) for player in PLAYERS], [entries(plays["healthy"][first], player) for player in PLAYERS])
  assert not any(count.any() for count in plays["healthy"][-1].skipped.values())


def test_f20_patience(plays):
  """From round 1 on D is spoilt: after 3 turns in a row nobody moves any more, G neither, and the count stands."""
  states = plays["for_good"]
  assert [s.skipped["discriminator"][1] for s in states] == [0, 0, 1, 2, 3, 3, 3]
  assert not same(states[2].params["generator"], states[3].params["generator"])
  assert same([entries(states[4], player) for player in PLAYERS][1], [entries(states[6], player) for player in PLAYERS][1])
  assert same(states[4].params["discriminator"], states[1].params["discriminator"]) and int(states[6].step) == 6
  assert same(states[5].params, states[6].params)
  assert states[6].skipped["discriminator"][:3].tolist() == [3, 3, 3]
  assert [bool(given_up(jax.tree.map(jnp.asarray, s), 3)) for s in states] == [False] * 4 + [True] * 3


def test_f20_in_a_row_means_in_a_row(plays):
  """Every second round is bad: a patience of 2 is never lost."""
  assert plays["every_second"][-1].skipped["discriminator"][:3].tolist() == [3, 1, 5]
  assert not same(plays["every_second"][4].params, plays["every_second"][5].params)


def test_f20_a_gradient_whose_square_is_infinite(plays):
  """Adam's second moment would be infinite, and the parameter would never move again; nothing else would look wrong."""
  states = plays["too_large_for_adam"]
  assert finite(states) and states[-1].skipped["generator"][:3].tolist() == [1, 0, 2]
  assert same(entries(states[2], "generator"), entries(states[3], "generator"))


def test_f20_without_the_guard_it_is_lost():
  """And finite rounds are the same play with and without it."""
  state = build(small()).init(jax.random.key(0), BATCH)
  spoilt = {player: np.zeros((ROUNDS, 2), np.float32) for player in PLAYERS}
  step = jax.jit(lambda state, poison: build(small(poison)).step(state, BATCH, jax.random.key(1))[0])
  first = step(state, spoilt)
  spoilt["discriminator"][1, 1] = NAN
  assert finite(first) and not finite(step(step(first, spoilt), spoilt).params)


@pytest.mark.parametrize("how", ["vmap", "pmap", "sharded"])
def test_f20_replicas_decide_alike(how):
  """One replica of four meets a NaN: all four leave the player alone, and count it once."""
  image = BATCH["image"].copy()
  image[5, 0] = np.nan  # in the third quarter
  game = transforms.skip_not_finite(small(axis_name=None if how == "sharded" else "devices"))
  state = build(transforms.skip_not_finite(small())).init(jax.random.key(0), BATCH)
  turn = lambda state, batch: take_turn(game, ("discriminator",), state, batch, jax.random.key(1))[0]
  shards, devices = {"image": image.reshape(4, -1, 2)}, jax.devices()[:4]
  if how == "sharded":
    mesh = jax.sharding.Mesh(np.asarray(devices), ("rows",))
    rows = jax.device_put(image, jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("rows")))
    replicas = [jax.jit(turn)(state, {"image": rows})]
  else:
    vmapped = jax.jit(jax.vmap(turn, (None, 0), axis_name="devices"))
    each = jax.device_get((vmapped if how == "vmap" else jax.pmap(turn, "devices", in_axes=(None, 0), devices=devices))(state, shards))
    replicas = [jax.tree.map(lambda x, k=k: x[k], each) for k in range(4)]
  for end in replicas:
    assert same(entries(end, "discriminator"), entries(state, "discriminator"))
    assert np.asarray(end.skipped["discriminator"])[:2].tolist() == [1, 1]


OPTIMISERS = ("sgd", "adam", "adamw", "rmsprop", "adagrad", "lion", "optimistic_adam_v2", "adabelief", "nadam", "radam", "yogi", "lamb", "sign_sgd")


@pytest.fixture(scope="module")
def lines():
  """A player on a line for each optimiser, all in one game: slope 1, then infinity, then NaN, then 1."""
  slopes = jnp.array([1.0, jnp.inf, jnp.nan, 1.0])

  def loss(x, state, batch, key):
    return tilted(x, slopes[state.step]), Aux({}, {})

  line = lambda name: Player(lambda key, batch: (jnp.ones((1,)), {}), lambda x, *rest: loss(x[0], *rest), getattr(optax, name)(1e-3))
  game = transforms.skip_not_finite(Game({name: line(name) for name in OPTIMISERS}, (OPTIMISERS,), sample=lambda *_: None))
  algorithm = build(game)
  step, states = jax.jit(algorithm.step), [algorithm.init(jax.random.key(0), BATCH)]
  for _ in range(4):
    states.append(step(states[-1], BATCH, jax.random.key(1))[0])
  return states


@pytest.mark.parametrize("name", OPTIMISERS)
def test_f20_every_optimiser(lines, name):
  assert same(entries(lines[1], name), entries(lines[3], name)) and not same(lines[3].params[name], lines[4].params[name])
  assert np.asarray(lines[-1].skipped[name])[:3].tolist() == [2, 0, 2] and finite(entries(lines[-1], name))


def test_f20_what_optax_does():
  """`optax.apply_if_finite` applies the update after its last allowed error: the measured behaviour that the guard repairs."""
  guard = optax.apply_if_finite(optax.sgd(0.1), max_consecutive_errors=3)
  params = jnp.ones(())
  state = guard.init(params)
  for _ in range(4):
    updates, state = guard.update(jnp.full((), jnp.nan), state, params)
    params = optax.apply_updates(params, updates)
  assert np.isnan(params)


def test_f20_infinities_that_belong_there_may_stay():
  tree = {"best": jnp.array([jnp.inf, 1.0]), "count": jnp.array(3)}
  assert not broken(tree, tree).any()
  assert np.asarray(broken(tree, {"best": jnp.array([jnp.inf, jnp.nan]), "count": jnp.array(4)})).tolist() == [True, False]


def test_f20_patience_is_checked():
  with pytest.raises(ValueError, match="patience is 0; it takes at least 1 bad turn to give up"):
    transforms.skip_not_finite(small(), patience=0)
