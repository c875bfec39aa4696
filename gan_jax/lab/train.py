"""Train, evaluate and compare the arms of an experiment. All seeds of an arm are one XLA program; a killed run goes on where it was saved."""

import contextlib
import json
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from ml_collections import ConfigDict

from gan_jax import core, metrics
from gan_jax.lab import config as configs
from gan_jax.lab import progress, report, resolve, rundir
from gan_jax.lab.checkpoint import Checkpoints
from gan_jax.lab.errors import NumericsError, Preempted
from gan_jax.lab.scoring import look, score

SECONDS_BETWEEN_CHECKPOINTS = 60.0
WARN_AFTER = 3  # checks in a row


def run(resolved: configs.Resolved, workdir: str | Path, *, quiet: bool = False) -> Path:
  """Train every arm that is not done yet, then write the comparison; gives the path of report.html.

  Raises:
    GanJaxError: before anything is written, for what is wrong with the settings or the directory; Preempted after SIGTERM or SIGINT, with
    everything saved; NumericsError at the end, if an arm failed.
  """
  directory = Path(workdir)
  experiments = resolve.build_all(resolved)
  failed = []
  with rundir.opened(directory, resolved), stop_signal() as stopped, progress.display(list(experiments), quiet=quiet) as show:
    _write_perfect(directory, experiments, resolved.base)
    for name, experiment in experiments.items():
      folder = directory / "arms" / name
      if _status(folder).get("status") == "done":
        show.done(name)
        continue
      try:
        train_arm(name, experiment, resolved.arms[name], folder, resolved.experiment, show=show, stopped=stopped)
      except (Preempted, MemoryError):
        raise
      except Exception as error:
        failed.append(name)
        rundir.write(folder / "error.txt", traceback.format_exc())
        rundir.write_json(folder / "status.json", {"arm": name, "status": "failed", "error": str(error).splitlines()[0]})
        show.note(f"arm {name} failed: {str(error).splitlines()[0]} (see {folder / 'error.txt'})")
      rundir.join_rows(directory)
    rundir.join_rows(directory)
    page = report.report([directory])
  if failed:
    raise NumericsError(f"{', '.join(failed)}: failed; the others are compared in {page}; details in arms/*/error.txt")
  return page


class Program(NamedTuple):
  """The compiled functions of an arm, over all its seeds at once."""

  init: Callable[[Any, Any], core.GanState]  # (keys, table)
  advance: Any  # jitted (states, keys, table, rounds) -> (states, mean metrics)
  sample: Callable[..., Array]  # (states, keys, n) -> [S, n, ...]


def program(experiment: resolve.Experiment) -> Program:
  """`keys` is `{"init", "data", "run"}`, each `[S]`. Batches are drawn on the device from the data's table, as a function of (seed, round) alone."""
  algorithm = core.build(experiment.game)
  draw = experiment.data.draw

  def one_round(state: core.GanState, keys: dict[str, Array], table: core.PyTree) -> tuple[core.GanState, core.Metrics]:
    batch = draw(table, jax.random.fold_in(keys["data"], state.step), experiment.round_size)
    return algorithm.step(state, batch, keys["run"])

  def init(keys: dict[str, Array], table: core.PyTree) -> core.GanState:
    return algorithm.init(keys["init"], draw(table, keys["data"], experiment.round_size))

  def advance(states: core.GanState, keys: dict[str, Array], table: core.PyTree, rounds: Array) -> tuple[core.GanState, dict[str, Array]]:
    # The number of rounds is an argument, so that a last, shorter stretch is the same program.
    every_seed = jax.vmap(one_round, in_axes=(0, 0, None))
    zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(every_seed, states, keys, table)[1])

    def body(_: Array, carry: tuple) -> tuple:
      states, logs = every_seed(carry[0], keys, table)
      return states, jax.tree.map(jnp.add, carry[1], logs)

    states, total = lax.fori_loop(0, rounds, body, (states, zeros))
    return states, jax.tree.map(lambda x: x / rounds, total)

  def sample(states: core.GanState, keys: Array, n: int) -> Array:
    return jax.vmap(lambda state, key: algorithm.sample(state, key, {"image": jnp.zeros((n, 1))}))(states, keys)

  return Program(jax.jit(jax.vmap(init, in_axes=(0, None))), jax.jit(advance, donate_argnums=0), jax.jit(sample, static_argnums=2))


def seed_keys(seeds: tuple[int, ...]) -> dict[str, Array]:
  """The keys of each seed, `[S]` each: the same for every arm, so arms start alike and see the same data."""
  names = ("init", "data", "run", "monitor", "evaluate")
  split = jax.vmap(lambda seed: jax.random.split(jax.random.key(seed), len(names)))(jnp.asarray(seeds, jnp.uint32))
  return {name: split[:, number] for number, name in enumerate(names)}


def train_arm(
  name: str, experiment: resolve.Experiment, config: ConfigDict, folder: Path, title: str, *, show: progress.Display, stopped: Callable[[], bool]
) -> None:
  """Train one arm to the end (from its newest checkpoint, if it has one), with a check every `evaluation.every` rounds, and score it."""
  seeds, every, num_steps = configs.seeds(config), config.evaluation.every, config.num_steps
  compiled, keys, table = program(experiment), seed_keys(seeds), experiment.data.table
  show.start(name, num_steps)
  states = compiled.init(keys, table)
  previous = np.full((len(seeds), config.evaluation.monitor_samples), -1, np.int32)  # the mode of each fixed latent at the last check
  checkpoints = Checkpoints(folder / "checkpoints")
  step, watch = 0, Watch(folder)
  restored = checkpoints.restore({"states": states, "previous": previous})
  if restored is not None:
    step, tree = restored
    states, previous = jax.tree.map(jnp.asarray, tree["states"]), np.array(tree["previous"])
    show.note(f"arm {name} goes on at round {step}")
  rundir.truncate_log(folder / "metrics.jsonl", step)
  start = time.perf_counter()
  compiled_advance = compiled.advance.lower(states, keys, table, jnp.int32(every)).compile()
  compile_seconds, last_save, costs = time.perf_counter() - start, time.monotonic(), []
  real = np.asarray(experiment.data.sample(jax.random.key(0), config.evaluation.monitor_samples)["image"])
  watched = experiment.data if experiment.data.modes else experiment.data._replace(modes=metrics.kmeans_modes(real))
  while step < num_steps:
    rounds = min(every, num_steps - step)
    cpu, wall = time.process_time(), time.perf_counter()
    states, logs = jax.block_until_ready(compiled_advance(states, keys, table, jnp.int32(rounds)))
    spent = {"time/cpu_seconds": time.process_time() - cpu, "time/seconds": time.perf_counter() - wall}
    costs.append(spent["time/cpu_seconds" if jax.default_backend() == "cpu" else "time/seconds"] / rounds / len(seeds))
    step += rounds
    samples = np.asarray(compiled.sample(states, keys["monitor"], len(real)))
    previous = _check(watched, seeds, step, samples, real, previous, logs, spent, folder, watch)
    look(folder, step, samples, experiment.data)
    show.advance(name, step, watch.summary)
    if stopped() and step < num_steps:
      checkpoints.save(step, {"states": states, "previous": previous})
      raise Preempted(f"stopped at round {step} of {num_steps} of arm {name}; the same command goes on from there")
    if step == num_steps or time.monotonic() - last_save > SECONDS_BETWEEN_CHECKPOINTS:
      checkpoints.save(step, {"states": states, "previous": previous})
      last_save = time.monotonic()
  checkpoints.close()
  score(name, experiment, config, states, compiled, keys, folder, title)
  rundir.write_json(folder / "status.json", {
    "arm": name, "status": "done", "step": step, "num_steps": num_steps, "seeds": list(seeds),
    "parameters": {n: int(sum(x.size for x in jax.tree.leaves(p)) // len(seeds)) for n, p in states.params.items()},
    "samples_seen": num_steps * experiment.round_size,
    "seconds_per_seed_round": float(np.median(costs)) if costs else None, "compile_seconds": compile_seconds, "warnings": watch.warnings,
  })  # fmt: skip
  show.done(name)


class Watch:
  """Warnings of the collapse monitor, which records and never stops a run: what held for WARN_AFTER checks in a row is worth a line."""

  def __init__(self, folder: Path):
    self.folder, self.summary = folder, ""
    self.warnings: list[str] = []
    self._streaks: dict[tuple[int, str], int] = {}

  def see(self, seed: int, step: int, line: dict[str, Any]) -> None:
    signs = {
      "samples are not finite": not np.isfinite(line["diversity"]),
      "samples are less than half as diverse as the data": line["diversity"] < 0.5,
      "the discriminator is always right": line.get("discriminator/accuracy", 0) > 0.99,
    }
    for sign, holds in signs.items():
      streak = self._streaks[seed, sign] = self._streaks.get((seed, sign), 0) + 1 if holds else 0
      if streak == WARN_AFTER:
        self.warnings.append(f"seed {seed}: {sign} (round {step})")


def _check(data, seeds, step, samples, real, previous, logs, spent, folder, watch) -> np.ndarray:
  """One look at every seed: a line each in metrics.jsonl. Gives the mode of every monitored sample."""
  modes, lines = np.array(previous), []
  for number, seed in enumerate(seeds):
    before = previous[number] if (previous[number] >= 0).all() else None
    seen, modes[number] = metrics.monitor(samples[number], real, data, before)
    line = {"step": step, "seed": seed, "weights": "raw", **seen, **{key: float(log[number]) for key, log in logs.items()}}
    watch.see(seed, step, line)
    lines.append({**line, **spent})
  watch.summary = f"modes {np.median([line['modes'] for line in lines]):g}"
  with (folder / "metrics.jsonl").open("a") as file:
    file.writelines(json.dumps(line) + "\n" for line in lines)
  return modes


def _write_perfect(directory: Path, experiments: dict[str, resolve.Experiment], base: ConfigDict) -> None:
  """DIR/perfect.json: what a perfect sampler of the training law would score in this very evaluation."""
  path = directory / "perfect.json"
  if not path.exists():
    data = next(iter(experiments.values())).data
    evaluation = base.evaluation
    values = metrics.perfect(data, evaluation.num_samples, thresholds=tuple(evaluation.thresholds), distances=evaluation.distances)
    rundir.write_json(path, {name: float(value) for name, value in values.items()})


def _status(folder: Path) -> dict[str, Any]:
  try:
    return rundir.read_json(folder / "status.json")
  except (OSError, ValueError):
    return {}


@contextlib.contextmanager
def stop_signal() -> Iterator[Callable[[], bool]]:
  """SIGTERM and SIGINT only raise a flag, looked at between stretches of rounds; a second SIGINT interrupts at once."""
  seen: list[int] = []

  def note(number: int, frame: Any) -> None:
    if number == signal.SIGINT and seen:
      raise KeyboardInterrupt
    seen.append(number)

  old = {}
  with contextlib.suppress(ValueError):  # not in the main thread: the caller's business
    old = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
  try:
    yield lambda: bool(seen)
  finally:
    for number, handler in old.items():
      signal.signal(number, handler)
