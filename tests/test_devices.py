"""One device and many are one experiment: a round on 1, 2, 4 and 8 devices equals the round of the whole batch on one, for every game.

Optimisers are SGD with momentum, whose momentum after one turn is the gradient: an equal state says equal gradients and an equal round.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from games import GAMES, ON_SHARDS, agree, first_round, first_state, jit, points, run_key
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from gan_jax import build, core

# One of each kind that looks across samples, cuts the batch or reduces over it: on 2 and 8 devices as well. Every other game and count is slow.
TELLING = ("minibatch_discrimination", "pack4", "batch_norm_discriminator", "bures")
DEFAULT = {*((name, 4) for name in GAMES if name not in ON_SHARDS), *((name, count) for name in TELLING for count in (2, 8)), ("non_saturating", 1)}
everywhere = [
  pytest.param(name, count, marks=[] if (name, count) in DEFAULT else pytest.mark.slow, id=f"{name}-{count}")
  for name in GAMES for count in (1, 2, 4, 8)
]  # fmt: skip


def mesh(count):
  if len(jax.devices()) < count:
    pytest.skip(f"needs {count} devices")
  return Mesh(np.asarray(jax.devices()[:count]), ("devices",))


def on_pmap(name, count):
  """State and key go in and come out unreplicated."""
  devices = list(mesh(count).devices)
  step = jax.pmap(build(GAMES[name](axis_name="devices")).step, "devices", in_axes=(None, 0, None), out_axes=None, devices=devices)
  return step(first_state(name), {"image": points()["image"].reshape(count, -1, 2)}, run_key(0))


def on_a_sharded_batch(name, count):
  """The plain step: XLA spreads the work as the batch is spread."""
  spread = jax.device_put(points(), NamedSharding(mesh(count), PartitionSpec("devices")))
  state = jax.device_put(first_state(name), NamedSharding(mesh(count), PartitionSpec()))
  return jit(build(GAMES[name]()).step)(state, spread, run_key(0))


def on_shard_map(name, count):
  """check_vma=True would sum the gradients by itself, before core's mean."""
  everybody, rows = PartitionSpec(), PartitionSpec("devices")
  step = build(GAMES[name](axis_name="devices")).step
  mapped = jax.shard_map(step, mesh=mesh(count), in_specs=(everybody, rows, everybody), out_specs=everybody, check_vma=False)
  return jit(mapped)(first_state(name), points(), run_key(0))


@pytest.mark.parametrize(("name", "count"), everywhere)
def test_pmap(name, count):
  agree(on_pmap(name, count), first_round(name))


@pytest.mark.parametrize(("name", "count"), everywhere)
def test_jit_on_a_sharded_batch(name, count):
  agree(on_a_sharded_batch(name, count), first_round(name))


@pytest.mark.parametrize("name", ["non_saturating", "minibatch_discrimination", "relativistic_average"])
def test_shard_map(name):
  agree(on_shard_map(name, 4), first_round(name))


def test_the_batch_is_really_spread():
  """The sharded program works on a quarter of the rows a device, and reduces over devices."""
  spread = jax.device_put(points(), NamedSharding(mesh(4), PartitionSpec("devices")))
  state = jax.device_put(first_state("non_saturating"), NamedSharding(mesh(4), PartitionSpec()))
  program = jit(build(GAMES["non_saturating"]()).step).lower(state, spread, run_key(0)).compile().as_text()
  assert "f32[8,2]" in program and "all-reduce" in program


def test_a_step_without_the_mean_over_devices_is_seen(monkeypatch):
  """The mutation that these tests are for: every device goes its own way, and the first one's way is returned."""
  monkeypatch.setattr(core, "mean_over", lambda tree, axis_name: tree)
  with pytest.raises(AssertionError, match="differs by"):
    agree(on_pmap("non_saturating", 4), first_round("non_saturating"))


def test_a_mean_over_one_slice_too_many_is_seen(monkeypatch):
  """And a sum in place of the mean, as `shard_map` with `check_vma=True` would have it."""
  add = lambda tree, axis_name: jax.tree.map(lambda x: jax.lax.psum(x, axis_name) if jnp.issubdtype(x.dtype, jnp.inexact) else x, tree)
  monkeypatch.setattr(core, "mean_over", add)
  with pytest.raises(AssertionError, match="differs by"):
    agree(on_pmap("non_saturating", 4), first_round("non_saturating"))
