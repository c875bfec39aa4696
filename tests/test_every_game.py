"""The conformance table: what every game must do, whatever its method. A new method is a row in tests/games.py."""

import jax
import numpy as np
import pytest
from games import ADAM, GAMES, ON_SHARDS, SIBLINGS, agree, first_round, first_state, jit, points, run_key
from jax import lax

from gan_jax import build
from gan_jax.core import slices_per_round
from gan_jax.lab.checkpoint import Checkpoints


def over(rows):
  """The table, with all but `rows` among the slow tests."""
  return pytest.mark.parametrize("name", [name if name in rows else pytest.param(name, marks=pytest.mark.slow) for name in GAMES])


every_game = over(set(GAMES) - set(SIBLINGS))
SHARDS = 4


@every_game
def test_rounds_are_one_trace_finite_and_resume_bit_for_bit(name, tmp_path):
  """Ten rounds of Adam, as five and five of one program; the second five again, from a checkpoint."""
  algorithm = build(GAMES[name](optimizer=ADAM))
  traces = []

  def play_on(state, batches, key):
    traces.append(name)
    return lax.scan(lambda state, batch: algorithm.step(state, batch, key), state, batches)  # refuses a state whose types or shapes change

  five = jit(play_on)
  rounds = [points(seed) for seed in range(10)]
  first, second = (jax.tree.map(lambda *x: np.stack(x), *part) for part in (rounds[:5], rounds[5:]))
  state, key = algorithm.init(jax.random.key(0), rounds[0]), run_key(0)

  halfway, _ = five(state, first, key)
  end, metrics = five(halfway, second, key)
  assert len(traces) == 1
  assert int(end.step) == 10
  assert_same_types(end, state)
  for path, leaf in jax.tree_util.tree_leaves_with_path((end, metrics)):
    assert np.isfinite(leaf).all(), f"{jax.tree_util.keystr(path)} is not finite"
  for player in GAMES[name]().players:
    moved = [(a != b).any() for a, b in zip(jax.tree.leaves(end.params[player]), jax.tree.leaves(halfway.params[player]), strict=True)]
    assert any(moved), f"{player} never moved"

  checkpoints = Checkpoints(tmp_path)
  checkpoints.save(5, {"states": halfway})
  step, tree = checkpoints.restore({"states": algorithm.init(jax.random.key(1), rounds[1])})
  checkpoints.close()
  assert step == 5
  assert_same_bits(tree["states"], halfway)
  resumed, again = five(tree["states"], second, key)
  assert_same_bits((resumed, again), (end, metrics))
  assert len(traces) == 1


@every_game
def test_seeds_are_an_axis(name):
  """vmap over two seeds gives each seed what it gets alone."""
  states, batches, keys = (jax.tree.map(lambda *x: np.stack(x), *pair) for pair in (
    [first_state(name, seed) for seed in (0, 1)], [points(seed) for seed in (0, 1)], [np.asarray(jax.random.key_data(run_key(s))) for s in (0, 1)],
  ))  # fmt: skip
  both = jit(jax.vmap(build(GAMES[name]()).step))(states, batches, jax.random.wrap_key_data(keys))
  for seed in (0, 1):
    agree(jax.tree.map(lambda x: x[seed], both), first_round(name, seed), rtol=3e-5)  # 1.8e-5 with jax 0.10.0, whose vmapped products sum otherwise


@over(ON_SHARDS - set(SIBLINGS))
def test_shards_are_the_whole_batch(name):
  """vmap(axis_name) over shards of the batch, whose result holds for all shards (out_axes=None). test_devices.py has the other rows on devices."""
  step = build(GAMES[name](axis_name="devices")).step
  shards = {"image": points()["image"].reshape(SHARDS, -1, 2)}
  got = jit(jax.vmap(step, in_axes=(None, 0, None), out_axes=None, axis_name="devices"))(first_state(name), shards, run_key(0))
  agree(got, first_round(name))


@every_game
def test_samples_are_a_row_each(name):
  algorithm = build(GAMES[name]())
  sample = jax.eval_shape(algorithm.sample, first_state(name), jax.random.key(0), points(n=7))
  assert sample.shape == (7, 2) and sample.dtype == np.float32


@every_game
def test_a_batch_that_cannot_be_cut_is_refused_in_one_line(name):
  game = GAMES[name]()
  unit = slices_per_round(game) * game.pack_size
  if unit == 1:
    return
  with pytest.raises(ValueError, match=r"cannot be cut .*; use a multiple of") as error:
    jax.eval_shape(build(game).step, first_state(name), points(n=4 * unit + 1), jax.random.key(0))
  assert "\n" not in str(error.value)


def assert_same_types(got, wanted):
  assert jax.tree.structure(got) == jax.tree.structure(wanted)
  jax.tree.map(lambda a, b: (a.shape, a.dtype) == (b.shape, b.dtype) or pytest.fail(f"{a.shape} {a.dtype} became {b.shape} {b.dtype}"), got, wanted)


def assert_same_bits(got, wanted):
  assert_same_types(got, wanted)
  for (path, a), b in zip(jax.tree_util.tree_leaves_with_path(got), jax.tree.leaves(wanted), strict=True):
    assert np.asarray(a).tobytes() == np.asarray(b).tobytes(), f"{jax.tree_util.keystr(path)} is not the same, bit for bit"
