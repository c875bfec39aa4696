"""Layouts of devices are one experiment: same data, same noise, and parameters within 1e-5 after 20 rounds of SGD, for a whole arm of the runner.

Mutations tried by hand, with how far parameters were then apart: `spread` of pmap left out 6e-3, `mean_over` left out 1e-2, noise folded with the
device's number 2e-2, seeds of a mesh in reverse 1.5; unchanged code 6e-8.
"""

import functools
import math
import os
import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.data import base, sources
from gan_jax.lab import config, program, resolve, schema, strategy, train
from gan_jax.lab.checkpoint import Checkpoints
from gan_jax.lab.errors import DataError, Preempted, UsageError

SGD = {"name": "sgd", "learning_rate": 0.05}
ROUNDS = 20


def settings(**changes) -> dict:
  """A small experiment; section__entry changes an entry of a section."""
  values = {
    "seeds": 2, "num_steps": ROUNDS, "batch_size": 32,
    "data": {"name": "ring", "num_modes": 8, "radius": 1.0, "sigma": 0.05},
    "generator": {"name": "mlp", "features": (8, 8), "activation": "tanh"},
    "discriminator": {"name": "mlp", "features": (8, 8), "activation": "tanh"},  # smooth: at the kink of a relu a rounding error turns a slope
    "objective": {"name": "non_saturating"}, "prior": {"name": "normal", "size": 4},
    "optimizers": {"generator": SGD, "discriminator": SGD},
    "game": {"name": "gan"},
    "evaluation": {"num_samples": 200, "every": 10, "monitor_samples": 100, "distances": False},
    "arms": {"vanilla": {}},
  }  # fmt: skip
  for key, value in changes.items():
    section, _, entry = key.partition("__")
    if entry:
      values[section] = {**values.get(section, {}), entry: value}
    else:
      values[section] = value
  return values


SMALL = {player: {"name": "sgd", "learning_rate": 5e-4} for player in ("generator", "discriminator")}
GAMES = {
  "plain": {},
  "batch_norm": {"generator__batch_norm": 0.9, "discriminator__batch_norm": 0.9},
  "spectral_norm": {"discriminator__dense": "SpectralDense", "discriminator__last": "SpectralDense"},
  # Steep: at larger rates rounding errors grow a hundredfold a round, and vmap and map of one device part as soon as any two layouts.
  "minibatch_discrimination": {"discriminator__across": {"name": "minibatch_discrimination", "num_kernels": 4, "dim": 3}, "optimizers": SMALL},
  "pack4": {"view__pack": {"size": 4}},
  "r1": {"discriminator_terms__r1": {"gamma": 1.0}},
}
# All that looks across samples or differentiates twice, in one arm.
GAMES["everything"] = {
  "game": {"name": "gan", "ema_decay": 0.9}, "generator__batch_norm": 0.9, "discriminator__dense": "SpectralDense",
  **GAMES["minibatch_discrimination"], "view__pack": {"size": 2}, "discriminator_terms__r1": {"gamma": 0.01},
}  # fmt: skip
GAMES["turns"] = {"game": {"name": "gan", "n_critic": 2}, "batch_size": 16, **GAMES["batch_norm"]}
GAMES["dcgan"] = {
  **GAMES["everything"], "data": {"name": "sklearn_digits"}, "batch_size": 16,
  "generator": {"name": "dcgan_generator", "features": (4, 4), "activation": "tanh"},  # with BatchNorm
  "discriminator": {"name": "dcgan_discriminator", "features": (4, 4), "activation": "tanh", "batch_norm": None,
                    "conv": "SpectralConv", "across": {"name": "minibatch_discrimination", "num_kernels": 4, "dim": 3}},
}  # fmt: skip
GAMES["dcgan_batch_norm"] = {
  **{key: value for key, value in GAMES["dcgan"].items() if not key.startswith("discriminator")}, "discriminator_terms": {},
  "discriminator": {"name": "dcgan_discriminator", "features": (4, 4), "activation": "tanh"},
}  # fmt: skip
CASES = [("dcgan", "pmap", 4, 2), ("plain", "sharded", 2, 2)]
SLOW = [("everything", "sharded", 4, 3), *((game, name, count, 2) for game in GAMES for name in ("sharded", "pmap") for count in (2, 4, 8))]
cases = [pytest.param(*case, id="-".join(map(str, case))) for case in CASES]
cases += [pytest.param(*case, id="-".join(map(str, case)), marks=pytest.mark.slow) for case in SLOW if case not in CASES]


@functools.cache
def experiment(game: str) -> resolve.Experiment:
  return resolve.build(schema.check(settings(**GAMES[game])))


def devices(count: int) -> list:
  if len(jax.devices()) < count:
    pytest.skip(f"needs {count} devices")
  return jax.devices()[:count]


def play(compiled: program.Program, data: base.Data, num_seeds: int, size: int, rounds: int = ROUNDS):
  """States and totals after `rounds` rounds, on one device."""
  keys, layout = program.seed_keys(tuple(range(num_seeds))), compiled.layout
  states, totals = layout.place(compiled.init(keys, data.table)), layout.place(compiled.totals(num_seeds))
  there = layout.place({name: keys[name] for name in ("data", "run")})
  for feed, length in program.feeds(data, layout, keys["data"], range(rounds), rounds, size):
    states, totals = compiled.advance(states, totals, there, feed, np.int32(length))
  return layout.fetch(states), layout.fetch(totals)


@functools.cache
def on_one_device(game: str, num_seeds: int):
  arm = experiment(game)
  return play(program.program(arm), arm.data, num_seeds, arm.round_size)


def close(got, wanted, atol: float = 1e-5) -> None:
  for (path, a), b in zip(jax.tree_util.tree_leaves_with_path(got), jax.tree.leaves(wanted), strict=True):
    a, b = np.asarray(a), np.asarray(b)
    assert a.shape == b.shape and a.dtype == b.dtype, jax.tree_util.keystr(path)
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=atol, err_msg=jax.tree_util.keystr(path))


def equal(got, wanted) -> None:
  for (path, a), b in zip(jax.tree_util.tree_leaves_with_path(got), jax.tree.leaves(wanted), strict=True):
    np.testing.assert_array_equal(np.asarray(a), np.asarray(b), err_msg=jax.tree_util.keystr(path))


@pytest.mark.parametrize(("game", "name", "count", "num_seeds"), cases)
def test_one_experiment_on_any_layout(game, name, count, num_seeds):
  arm = experiment(game)
  layout = getattr(strategy, name)(num_seeds, devices(count))
  states, totals = play(program.program(arm, layout), arm.data, num_seeds, arm.round_size)
  wanted, wanted_totals = on_one_device(game, num_seeds)
  close(states.params, wanted.params)
  close(states.model_state, wanted.model_state)
  close(totals, wanted_totals, atol=1e-3)  # sums over 20 rounds


@functools.cache
def first(game: str, num_seeds: int):
  arm = experiment(game)
  return program.program(arm).init(program.seed_keys(tuple(range(num_seeds))), arm.data.table)


def test_there_is_something_to_agree_on():
  moved = jax.tree.map(lambda a, b: float(jnp.abs(a - b).max()), on_one_device("dcgan", 2)[0].params, first("dcgan", 2).params)
  assert max(jax.tree.leaves(moved)) > 0.005


def test_rows_of_one_device_for_all_are_seen(monkeypatch):
  """The mutation these tests are for: every device plays the first one's rows."""
  arm = experiment("plain")
  monkeypatch.setattr(strategy.core, "own_rows", lambda x, n, axis_name: x[:n])
  layout = strategy.pmap(2, devices(2))
  states, _ = play(program.program(arm, layout), arm.data, 2, arm.round_size)
  with pytest.raises(AssertionError):
    close(states.params, on_one_device("plain", 2)[0].params)


def test_seeds_one_by_one_are_seeds_at_once():
  """lax.map, that seeds on CPU are played with, and vmap."""
  arm = experiment("plain")
  how = "vmap" if strategy.over_seeds() == "map" else "map"
  states, totals = play(program.program(arm, seeds=how), arm.data, 2, arm.round_size)
  close(states, on_one_device("plain", 2)[0])
  close(totals, on_one_device("plain", 2)[1], atol=1e-3)


def test_a_seed_on_cpu_does_not_know_who_is_beside_it():
  """To the bit, of dense players: the second seed of two on one device, of two on two devices, of three on two, and alone.

  Convolutions keep their bits among more seeds, but alone or on several devices XLA fuses them otherwise, 3e-8 away.
  """
  if jax.default_backend() != "cpu":
    pytest.skip("elsewhere seeds are played at once")
  arm = experiment("plain")
  wanted = jax.tree.map(lambda x: x[1:], on_one_device("plain", 2))
  apart = play(program.program(arm, strategy.sharded(2, devices(2))), arm.data, 2, arm.round_size)
  equal(jax.tree.map(lambda x: x[1:], apart), wanted)
  three = play(program.program(arm, strategy.sharded(3, devices(2), apart=2)), arm.data, 3, arm.round_size)
  equal(jax.tree.map(lambda x: x[1:2], three), wanted)
  compiled = program.program(arm)
  keys = {name: key[1:] for name, key in program.seed_keys((0, 1)).items()}
  states, totals = compiled.init(keys, arm.data.table), compiled.totals(1)
  for feed, length in program.feeds(arm.data, compiled.layout, keys["data"], range(ROUNDS), ROUNDS, arm.round_size):
    states, totals = compiled.advance(states, totals, {name: keys[name] for name in ("data", "run")}, feed, np.int32(length))
  equal((states, totals), wanted)


def test_the_best_for_a_machine():
  """On CPU seeds apart, in as few turns as can be, and whole batches; elsewhere as many devices as divide the batch."""
  there = len(devices(4))
  best = lambda seeds: strategy.choose("auto", experiment("plain"), seeds)
  assert strategy.choose("sharded", experiment("plain"), 2).num_devices == len(jax.devices())
  if jax.default_backend() != "cpu":
    assert best(2).strategy == "sharded"
    return
  assert (best(there).strategy, best(there).num_devices, best(there).share) == ("sharded", there, 1)
  assert (best(2).num_devices, best(3).num_devices, best(3).share) == (2, 3, 1)
  every = len(jax.devices())
  assert (best(every + 1).num_devices, best(2 * every + 1).num_devices) == (math.ceil((every + 1) / 2), math.ceil((2 * every + 1) / 3))
  assert best(every + 1).share == best(2 * every + 1).share == 1
  assert best(1).strategy == "jit"


def test_every_core_is_a_device():
  """In a process of its own, for JAX is told before it looks; a number that the user has set stays."""
  program = "import jax; from gan_jax.lab import strategy; strategy.use_cores(); print(len(jax.devices()))"
  command = [sys.executable, "-c", program]
  environment = {**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": ""}
  count = lambda **changes: int(subprocess.run(command, env=environment | changes, capture_output=True, text=True, check=True).stdout)
  cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
  assert count() == cores
  assert count(XLA_FLAGS="--xla_force_host_platform_device_count=3") == count(JAX_NUM_CPU_DEVICES="3") == 3
  before = jax.devices()
  strategy.use_cores()  # once JAX has its devices nothing happens
  assert jax.devices() == before


@pytest.mark.parametrize(
  ("game", "batch", "name", "words"),
  [
    ("plain", 12, "pmap", r"a batch of 12 cannot be spread over 8 devices; use a multiple of 8, or --strategy=jit"),
    ("plain", 12, "sharded", None),  # 4 seeds on 8 devices: a batch over 2
    ("pack4", 24, "sharded", None),
    ("pack4", 20, "sharded", r"a batch of 20 in packs of 4 cannot be spread over 2 devices; use a multiple of 8"),
    ("plain", 12, "pmapp", r'strategy = "pmapp": one of auto, jit, pmap, sharded'),
  ],
)
def test_a_batch_that_the_devices_do_not_divide(game, batch, name, words):
  devices(8)
  arm = resolve.build(schema.check(settings(**{**GAMES[game], "batch_size": batch})))
  if words is None:
    assert strategy.choose(name, arm, 4).share == 2
    return
  with pytest.raises(UsageError, match=words):
    strategy.choose(name, arm, 4)


def test_refused_before_anything_is_written(tmp_path):
  devices(8)
  with pytest.raises(UsageError, match='arm "vanilla": a batch of 33 cannot be spread over 8 devices'):
    train.run(load(tmp_path, batch_size=33, seeds=3), tmp_path / "run", strategy="sharded", quiet=True)
  assert not (tmp_path / "run").exists()


def own_game(generator, discriminator, objective, prior, optimizers):
  from gan_jax import gan

  return gan(generator, discriminator, objective, prior=prior, optimizers=optimizers)


def test_a_game_without_an_axis_is_not_for_pmap():
  devices(8)
  arm = resolve.build(schema.check(settings(game={"name": f"{__name__}:own_game"})))
  assert strategy.choose("sharded", arm, 2).strategy == "sharded"
  with pytest.raises(UsageError, match="takes no axis_name, which pmap needs; use --strategy=sharded"):
    strategy.choose("pmap", arm, 2)


def test_the_work_is_really_spread():
  """4 devices, 1 seed: each works on a quarter of the real rows and of the latents, and they meet in a reduction."""
  arm, layout = experiment("plain"), strategy.sharded(1, devices(4))
  guarded = arm.place
  unguarded = lambda *where: guarded(*where)._replace(patience=None)  # the program that plays while all is finite
  arm = arm._replace(game=arm.game._replace(patience=None), place=unguarded)
  compiled, keys = program.program(arm, layout), program.seed_keys((0,))
  states, totals = layout.place(compiled.init(keys, ())), layout.place(compiled.totals(1))
  text = compiled.advance.lower(states, totals, layout.place(keys), (), np.int32(1)).compile().as_text()
  assert re.search(r"f32\[(1,)?8,4\]", text) and not re.search(r"f32\[(1,)?32,4\]", text)  # latents
  assert "all-reduce" in text


def load(folder, **changes) -> config.Resolved:
  """The experiment, as from a file."""
  body = f"  return ConfigDict({settings(**changes)!r}, convert_dict=False)\n"
  (folder / "small.py").write_text(f"from ml_collections import ConfigDict\n\ndef get_config(arg=None):\n{body}")
  return config.load(str(folder / "small.py"))


def test_a_checkpoint_of_one_layout_goes_on_on_another(tmp_path, monkeypatch):
  """9 rounds on 8 devices, 9 mapped, and the others on one: as an uninterrupted run on one."""
  devices(8)
  resolved = load(tmp_path, num_steps=30)
  train.run(resolved, tmp_path / "whole", quiet=True)
  monkeypatch.setattr(train, "SECONDS_BETWEEN_LOOKS", 1e9)
  looks = []

  class Second(train.Stop):
    """At the second look of each run, after pieces of 1 and 8 rounds."""

    def __call__(self) -> bool:
      looks.append(None)
      return len(looks) % 2 == 0

  monkeypatch.setattr(train, "Stop", Second)
  for name in ("sharded", "pmap"):
    with pytest.raises(Preempted):
      train.run(resolved, tmp_path / "moved", strategy=name, quiet=True)
  monkeypatch.undo()
  train.run(resolved, tmp_path / "moved", strategy="jit", quiet=True)
  got, wanted = (Checkpoints(tmp_path / run / "arms/vanilla/checkpoints").restore(None) for run in ("moved", "whole"))
  assert got[0] == wanted[0] == 30
  close(got[1]["states"], wanted[1]["states"])


def images(streamed: bool, broken: bool = False) -> base.Data:
  pixels = np.random.default_rng(0).integers(0, 256, (50, 4, 4, 1)).astype(np.uint8)
  source = sources.memory(pixels, np.arange(50, dtype=np.int32) % 5)
  rows = base.Rows(source, base.uniform(50), labelled, ("image", "label"))
  return base.from_rows("tiny", (4, 4, 1), rows, num_classes=5, device_bytes=0 if streamed else base.DEVICE_BYTES)


def labelled(examples):
  return {**base.unconditional(examples), "condition": examples["label"]}


def arm_of_images(**source) -> resolve.Experiment:
  """Class-conditional, on 50 examples of 5 classes."""
  data = {"name": f"{__name__}:images", **source}
  labels = {"generator__num_classes": 5, "discriminator__num_classes": 5}
  return resolve.build(schema.check(settings(data=data, discriminator_terms={"r1": {"gamma": 1.0}}, **labels)))


@pytest.mark.parametrize("name", ["jit", "sharded"])
def test_a_streamed_run_is_the_run_on_the_device(name, monkeypatch):
  """Bit for bit, whatever the pieces: here of 3 rounds, 20 rounds in stretches of 10. With the emitters that users have (conftest.py)."""
  emitters = {"xla_cpu_use_fusion_emitters": True} if "use_fusion_emitters=false" in os.environ["XLA_FLAGS"] else {}
  monkeypatch.setattr(jax, "jit", functools.partial(jax.jit, compiler_options=emitters))
  on_device, streamed = arm_of_images(streamed=False), arm_of_images(streamed=True)
  assert streamed.data.streamed and not on_device.data.streamed
  monkeypatch.setattr(program, "CHUNK_BYTES", 3 * 2 * 32 * 20)
  layout = getattr(strategy, name)(2, devices(4) if name == "sharded" else None)
  pieces = list(program.feeds(streamed.data, layout, program.seed_keys((0, 1))["data"], range(20), 10, 32))
  assert [length for _, length in pieces] == [3, 3, 3, 1, 3, 3, 3, 1]
  equal(*(play(program.program(arm, layout), arm.data, 2, 32) for arm in (streamed, on_device)))


def test_a_source_that_breaks_while_it_is_streamed(monkeypatch):
  arm = arm_of_images(streamed=True)
  monkeypatch.setattr(program.stream, "take", _broken)
  with pytest.raises(DataError, match=r"tiny: b\.png is truncated"):
    list(program.feeds(arm.data, strategy.jit(), program.seed_keys((0, 1))["data"], range(20), 10, 32))


def _broken(*_):
  raise base.DataFormatError("b.png is truncated")


def test_samples_have_conditions():
  """By the data's law, or as given; the same key and condition, the same sample; a slice's first rows follow from its number."""
  arm = arm_of_images(streamed=False)
  compiled, keys = program.program(arm), program.seed_keys((0, 1))
  states = compiled.init(keys, arm.data.table)
  conditions = compiled.conditions(keys["evaluate"], 400)["condition"]
  assert conditions.shape == (2, 400) and np.bincount(conditions[0], minlength=5).min() > 50
  assert (conditions[0] != conditions[1]).any()
  drawn = compiled.sample(states, keys["evaluate"], 400)
  equal(drawn, compiled.sample(states, keys["evaluate"], 400, {"condition": conditions}))
  other = compiled.sample(states, keys["evaluate"], 400, {"condition": (conditions + 1) % 5})
  assert (np.abs(drawn - other).max(axis=(2, 3, 4)) > 1e-4).all()
  streamed = arm_of_images(streamed=True)
  equal(conditions, program.program(streamed).conditions(keys["evaluate"], 400)["condition"])


def test_sampling_in_slices(monkeypatch):
  """A slice is a whole draw under its own key; the last is cut."""
  arm = arm_of_images(streamed=False)
  keys = program.seed_keys((0, 1))
  whole = program.program(arm)
  states, key = whole.init(keys, arm.data.table), keys["evaluate"]
  conditions = whole.conditions(key, 70)["condition"]
  monkeypatch.setattr(program, "SLICE_NUMBERS", 30 * 16)
  sliced = program.program(arm).sample(states, key, 70)
  assert sliced.shape == (2, 70, 4, 4, 1)
  for number, start in enumerate((0, 30, 60)):
    own = jax.vmap(jax.random.fold_in, in_axes=(0, None))(key, number)
    rows = np.minimum(np.arange(start, start + 30), 69)
    equal(whole.sample(states, own, 30, {"condition": conditions[:, rows]})[:, : 70 - start], sliced[:, start : start + 30])
