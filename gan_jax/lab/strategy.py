"""How an arm's seeds and batches lie on the devices: on one, mapped (`pmap`), or sharded over a mesh. One experiment whichever it is.

A layout wraps the runner's program and knows nothing of games: every array that belongs to seeds is `[S, ...]`, goes in from the host or one
device and comes back so, and so a checkpoint of one layout resumes on another.
"""

import contextlib
import functools
import math
import os
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from gan_jax import core
from gan_jax.core import PyTree
from gan_jax.data.base import DEVICE_BYTES
from gan_jax.lab import distributed, resolve
from gan_jax.lab.errors import UsageError

AXIS = "devices"  # of pmap
SEEDS, BATCH = "seeds", "batch"  # of the mesh
NAMES = ("auto", "jit", "pmap", "sharded")


class Layout(NamedTuple):
  """One way to lay `advance(states, totals, keys, feed, rounds) -> (states, totals)` over devices.

  `compile(advance, feed_axis, donated)` is that function over all devices, jitted (`feed_axis` is 0 where the feed belongs to seeds, None where it
  is for all; `donated` are arguments, the states and totals by default). The game that it plays is made with `axis_name` and `spread`: within the
  program, `spread(rows)` makes of the rows of a global batch those of this device. `place`, `stream` and `replicate` put what is `[S, ...]`, the
  examples `[S, rounds, n, ...]` of streamed data, and what is for all, where the program expects it; `fetch` brings what is `[S, ...]` back to one
  device of this process.
  """

  strategy: str
  num_devices: int
  share: int  # so many devices hold one batch between them
  axis_name: str | None
  spread: Callable[[PyTree], PyTree] | None
  compile: Callable[..., Callable[..., Any]]
  place: Callable[[PyTree], PyTree]
  stream: Callable[[PyTree], PyTree]
  replicate: Callable[[PyTree], PyTree]
  fetch: Callable[[PyTree], PyTree]


def jit(num_seeds: int = 1, devices: Sequence[Any] | None = None) -> Layout:
  """Everything on one device."""
  del num_seeds, devices
  same = lambda tree: tree
  compile = lambda advance, feed_axis, donated=(0, 1): jax.jit(advance, donate_argnums=donated)
  return Layout("jit", 1, 1, None, None, compile, same, same, same, same)


def pmap(num_seeds: int, devices: Sequence[Any] | None = None) -> Layout:
  """Every device holds all seeds and its rows of each batch; gradients meet in `core.take_turn`. Data and noise are drawn for the whole batch."""
  del num_seeds
  everyone = jax.devices() if devices is None else list(devices)
  local = [device for device in everyone if device.process_index == jax.process_index()]
  everywhere = NamedSharding(Mesh(np.asarray(local), (AXIS,)), PartitionSpec())
  put = lambda tree: distributed.put(tree, everywhere)

  def compile(advance: Callable[..., Any], feed_axis: int | None, donated: tuple[int, ...] = (0, 1)) -> Callable[..., Any]:
    del feed_axis
    axes = (None, None, None, None, 0)  # pmap wants one mapped argument
    mapped = jax.pmap(advance, AXIS, in_axes=axes, out_axes=None, devices=devices, donate_argnums=donated)
    return lambda states, totals, keys, feed, rounds: mapped(states, totals, keys, feed, np.full(len(local), rounds, np.int32))

  def spread(rows: PyTree) -> PyTree:
    return jax.tree.map(lambda x: core.own_rows(x, len(x) // len(everyone), AXIS), rows)

  fetch = lambda tree: jax.tree.map(lambda x: x.addressable_data(0), tree)
  return Layout("pmap", len(everyone), len(everyone), AXIS, spread, compile, put, put, put, fetch)


def sharded(num_seeds: int, devices: Sequence[Any] | None = None, apart: int | None = None) -> Layout:
  """jit over a mesh `(seeds, batch)`: seeds go to `apart` groups of devices (default: the common factor of both numbers), batches over a group.

  Seeds never meet, so that axis is manual (`shard_map`: each device loops over, or vmaps, its own); along the other XLA spreads the work as the
  rows of real examples and latents are spread. Where `apart` does not divide the seeds, the places left over play the last one again, to be dropped.
  """
  everyone = jax.devices() if devices is None else list(devices)
  apart = apart or math.gcd(num_seeds, len(everyone))
  share = len(everyone) // apart
  even = num_seeds % apart == 0
  played = np.minimum(np.arange(apart * math.ceil(num_seeds / apart)), num_seeds - 1)
  mesh = Mesh(np.asarray(everyone).reshape(apart, share), (SEEDS, BATCH))
  along = SEEDS if even else None
  by_seed, whole = NamedSharding(mesh, PartitionSpec(along)), NamedSharding(mesh, PartitionSpec())

  def compile(advance: Callable[..., Any], feed_axis: int | None, donated: tuple[int, ...] = (0, 1)) -> Callable[..., Any]:
    feeds = PartitionSpec() if feed_axis is None else PartitionSpec(SEEDS)
    mine = PartitionSpec(SEEDS)
    specs = (mine, mine, mine, feeds, PartitionSpec())
    mapped = jax.shard_map(advance, mesh=mesh, in_specs=specs, out_specs=mine, axis_names={SEEDS}, check_vma=False)
    own = lambda tree: jax.tree.map(lambda x: x[played], tree)

    def filled(states: PyTree, totals: PyTree, keys: PyTree, feed: PyTree, rounds: Any) -> PyTree:
      out = mapped(own(states), own(totals), own(keys), feed if feed_axis is None else own(feed), rounds)
      return jax.tree.map(lambda x: x[:num_seeds], out)

    return jax.jit(mapped if even else filled, donate_argnums=donated, out_shardings=by_seed)

  def spread(rows: PyTree) -> PyTree:
    constrained = lambda x: lax.with_sharding_constraint(x, PartitionSpec(BATCH)) if len(x) % share == 0 else x
    return jax.tree.map(constrained, rows)

  by_row = NamedSharding(mesh, PartitionSpec(along, None, BATCH))
  place, stream, replicate = (functools.partial(distributed.put, sharding=sharding) for sharding in (by_seed, by_row, whole))
  rows = spread if share > 1 else None
  return Layout("sharded", len(everyone), share, None, rows, compile, place, stream, replicate, lambda tree: distributed.fetch(tree, whole))


def choose(name: str, experiment: resolve.Experiment, num_seeds: int) -> Layout:
  """The layout of that name for an arm on this machine. "auto": every accelerator, sharded; on CPU seeds apart, and batches whole.

  Raises:
    UsageError: the devices do not divide the batch, or the strategy does not fit the game or the number of processes.
  """
  if name not in NAMES:
    raise UsageError(f'strategy = "{name}": one of {", ".join(NAMES)}')
  if name == "auto":
    layout = _best(experiment, num_seeds)
  else:
    layout = {"jit": jit, "pmap": pmap, "sharded": sharded}[name](num_seeds)
  if jax.process_count() > 1 and layout.num_devices < len(jax.devices()):
    raise UsageError(f'strategy "{layout.strategy}" is for one process; {jax.process_count()} are running: use --strategy=sharded')
  if not divides(experiment, layout):
    rows, pack = turn_rows(experiment), experiment.game.pack_size
    packs = f" in packs of {pack}" if pack > 1 else ""
    raise UsageError(
      f"a batch of {rows}{packs} cannot be spread over {layout.share} devices; use a multiple of {layout.share * pack}, or --strategy=jit"
    )
  if layout.axis_name is not None:
    experiment.place(layout.axis_name, None)  # that the game takes an axis
  return layout


def turn_rows(experiment: resolve.Experiment) -> int:
  """Real examples of one turn."""
  return experiment.round_size // core.slices_per_round(experiment.game)


def divides(experiment: resolve.Experiment, layout: Layout) -> bool:
  """Whether every device gets equally many whole packs of every turn."""
  return turn_rows(experiment) % (layout.share * experiment.game.pack_size) == 0


def over_seeds() -> str:
  """How one device plays its seeds: "vmap", at once; on CPU "map", one by one.

  There a seed of dense players then has the same bits alone and beside others; convolutions, whose vmapped kernels would become slow grouped
  ones, are several times as fast, and dense players between a few per cent slower and a sixth faster (docs/performance.md).
  """
  return "map" if jax.default_backend() == "cpu" else "vmap"


def each_seed(function: Callable[..., PyTree], how: str, in_axes: Sequence[int | None]) -> Callable[..., PyTree]:
  """`function` over the leading axis of the arguments whose entry in `in_axes` is 0; the others (None) are for all seeds."""
  if how == "vmap":
    return jax.vmap(function, in_axes=tuple(in_axes))

  def one_by_one(*arguments: PyTree) -> PyTree:
    def one(own: list[PyTree]) -> PyTree:
      waiting = iter(own)
      return function(*(whole if axis is None else next(waiting) for whole, axis in zip(arguments, in_axes, strict=True)))

    return lax.map(one, [argument for argument, axis in zip(arguments, in_axes, strict=True) if axis is not None])

  return one_by_one


def use_cores() -> None:
  """Makes every core of this machine a CPU device, before anything asks JAX for its devices: "auto" then plays seeds side by side.

  A number of devices that was set before stays.
  """
  if getattr(jax.config, "jax_num_cpu_devices", -1) >= 0 or "xla_force_host_platform_device_count" in os.environ.get("XLA_FLAGS", ""):
    return
  cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
  with contextlib.suppress(RuntimeError):  # JAX has its devices already
    jax.config.update("jax_num_cpu_devices", cores or 1)


def _best(experiment: resolve.Experiment, num_seeds: int) -> Layout:
  """As many accelerators as divide the batch; on CPU the fewest devices that play the seeds in as few turns as all of them would, batches whole;
  with several processes, all devices.

  CPU devices share memory, and each has a copy of the data: together no more than one device may have.
  """
  devices = jax.devices()
  if jax.process_count() > 1:
    return sharded(num_seeds)
  if jax.default_backend() == "cpu":
    table = sum(leaf.nbytes for leaf in jax.tree.leaves(experiment.data.table))
    most = max(1, min(len(devices), DEVICE_BYTES // max(table, 1)))
    count = math.ceil(num_seeds / math.ceil(num_seeds / most))
    return sharded(num_seeds, devices[:count], apart=count) if count > 1 else jit()
  for count in range(len(devices), 1, -1):
    layout = sharded(num_seeds, devices[:count])
    if divides(experiment, layout):
      return layout
  return jit()


__all__ = ["NAMES", "Layout", "choose", "each_seed", "jit", "over_seeds", "pmap", "sharded", "use_cores"]

