"""Train, evaluate and compare the arms of an experiment, on one device or many. A killed run goes on where it was saved."""

import contextlib
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from gan_jax.lab import config as configs
from gan_jax.lab import distributed, progress, report, resolve, rundir, writers
from gan_jax.lab import strategy as strategies
from gan_jax.lab.checkpoint import Checkpoints
from gan_jax.lab.errors import CheckpointError, DataError, GanJaxError, NumericsError, Preempted, StorageError, UsageError
from gan_jax.lab.program import Program, feeds, program, seed_keys
from gan_jax.lab.scoring import look, score, standards
from gan_jax.lab.watch import Watch

SECONDS_BETWEEN_CHECKPOINTS = 60.0

__all__ = ["Program", "program", "run", "seed_keys"]


def run(resolved: configs.Resolved, workdir: str | Path, *, quiet: bool = False, strategy: str = "auto", tensorboard: bool = False) -> Path:
  """Train every arm that is not done yet, then write the comparison; gives the path of report.html.

  Of several processes all compute, and process 0 writes. `strategy` is one of `strategy.NAMES`. With `tensorboard`, DIR/tensorboard shows what
  the arms' metrics.jsonl say.

  Raises:
    GanJaxError: before anything is written, for what is wrong with the settings or the directory; Preempted after SIGTERM or SIGINT, with
    everything saved; DataError if a streamed set turns out broken; CheckpointError if no checkpoint of an arm can be read, StorageError if none
    can be written; NumericsError at the end, if an arm failed.
  """
  directory = Path(workdir)
  experiments = resolve.build_all(resolved)
  layouts = {name: _layout(name, strategy, experiment, resolved.arms[name]) for name, experiment in experiments.items()}
  failed = []
  with contextlib.ExitStack() as stack:
    distributed.lead(lambda: stack.enter_context(rundir.opened(directory, resolved)))
    stopped = stack.enter_context(stop_signal())
    show = stack.enter_context(progress.display(list(experiments), quiet=quiet or not distributed.first()))
    distributed.lead(lambda: standards(directory, experiments, resolved.base.evaluation))
    for name, experiment in experiments.items():
      folder = directory / "arms" / name
      if distributed.lead(lambda: _status(folder).get("status")) == "done":
        with writers.following(directory, name, on=tensorboard and distributed.first()) as follow:
          follow()
        show.done(name)
        continue
      try:
        with writers.following(directory, name, on=tensorboard and distributed.first()) as follow:
          train_arm(
            name, experiment, layouts[name], resolved.arms[name], folder, resolved.experiment, show=show, stopped=stopped, follow=follow
          )  # fmt: skip
      except (Preempted, UsageError, DataError, CheckpointError, StorageError, MemoryError):
        raise
      except Exception as error:
        failed.append(name)
        reason, trace = _first_line(error), "".join(traceback.format_exception(error))
        distributed.lead(lambda: _write_failure(name, folder, reason, trace))
        show.note(f"arm {name} failed: {reason} (see {folder / 'error.txt'})")
      distributed.lead(lambda: rundir.join_rows(directory))
    distributed.lead(lambda: rundir.join_rows(directory))
    page = Path(distributed.lead(lambda: str(report.report([directory]))))
  if failed:
    raise NumericsError(f"{', '.join(failed)}: failed; the others are compared in {page}; details in arms/*/error.txt")
  return page


def train_arm(
  name: str, experiment: resolve.Experiment, layout: strategies.Layout, config: ConfigDict, folder: Path, title: str,
  *, show: progress.Display, stopped: Callable[[], bool], follow: Callable[[], None] = lambda: None,
) -> None:  # fmt: skip
  """Train one arm to the end (from its newest checkpoint, if it has one), with a check every `evaluation.every` rounds, and score it. Each check
  ends with `follow()`."""
  seeds, every, num_steps, data = configs.seeds(config), config.evaluation.every, config.num_steps, experiment.data
  compiled, keys = program(experiment, layout), seed_keys(seeds)
  show.start(name, num_steps)
  states = compiled.init(keys, data.table)
  watch = Watch(folder, seeds, data, config.evaluation.monitor_samples)
  kept = {name: config.evaluation[name] for name in ("keep_best", "keep_last") if name in config.evaluation}
  with Checkpoints(folder / "checkpoints", **kept) as checkpoints:
    step, states, watch.previous = _restored(checkpoints, states, watch.previous)
    if step:
      show.note(f"arm {name} goes on at round {step}")
    distributed.lead(lambda: rundir.truncate_log(folder / "metrics.jsonl", step))
    states, totals, keys_there = layout.place(states), layout.place(compiled.totals(len(seeds))), layout.place(_own(keys))
    costs: list[float] = []
    compile_seconds, last_save = 0.0, time.monotonic()
    for number, (feed, rounds) in enumerate(feeds(data, layout, keys["data"], range(step, num_steps), every, experiment.round_size)):
      if number == 0:  # no round at all: compiles
        start = time.perf_counter()
        states, totals = jax.block_until_ready(compiled.advance(states, totals, keys_there, feed, np.int32(0)))
        compile_seconds, since = time.perf_counter() - start, (step, time.process_time(), time.perf_counter())
      jax.block_until_ready(totals)  # streamed examples come in while the device is busy, but no more than one piece waits for it
      states, totals = compiled.advance(states, totals, keys_there, feed, np.int32(rounds))
      step += rounds
      if step % every and step < num_steps:
        continue
      jax.block_until_ready(totals)
      spent = {"time/cpu_seconds": time.process_time() - since[1], "time/seconds": time.perf_counter() - since[2]}
      costs.append(spent["time/cpu_seconds" if jax.default_backend() == "cpu" else "time/seconds"] / (step - since[0]) / len(seeds))
      logs = {metric: np.asarray(total) / np.float32(step - since[0]) for metric, total in layout.fetch(totals).items()}
      here = layout.fetch(states)
      stop = distributed.anyone(stopped()) and step < num_steps

      def check() -> None:
        nonlocal last_save
        samples = compiled.sample(here, keys["monitor"], config.evaluation.monitor_samples)
        means = watch.check(step, samples, logs, spent)
        look(folder, step, samples, data)
        follow()
        show.advance(name, step, watch.summary)
        due = time.monotonic() - last_save > SECONDS_BETWEEN_CHECKPOINTS
        if stop or step == num_steps or due or checkpoints.better(means):
          checkpoints.save(step, {"states": here, "previous": watch.previous}, means)
          last_save = time.monotonic()

      distributed.lead(check)
      if stop:
        distributed.lead(checkpoints.wait)  # saved only when it is finished
        raise Preempted(f"stopped at round {step} of {num_steps} of arm {name}; the same command goes on from there")
      totals = layout.place(compiled.totals(len(seeds)))
      since = (step, time.process_time(), time.perf_counter())
    distributed.lead(checkpoints.wait)
  here = layout.fetch(states)
  distributed.lead(lambda: score(name, experiment, config, here, compiled, keys, folder, title))
  status = {
    "arm": name, "status": "done", "step": step, "num_steps": num_steps, "seeds": list(seeds),
    "parameters": {player: int(sum(x.size for x in jax.tree.leaves(p)) // len(seeds)) for player, p in here.params.items()},
    "samples_seen": num_steps * experiment.round_size,
    "seconds_per_seed_round": float(np.median(costs)) if costs else None, "compile_seconds": compile_seconds, "warnings": watch.warnings,
    "strategy": layout.strategy, "devices": layout.num_devices, "processes": jax.process_count(), "seeds_by": compiled.seeds,
  }  # fmt: skip
  distributed.lead(lambda: rundir.write_json(folder / "status.json", status))
  show.done(name)


def _layout(name: str, strategy: str, experiment: resolve.Experiment, config: ConfigDict) -> strategies.Layout:
  try:
    return strategies.choose(strategy, experiment, len(configs.seeds(config)))
  except GanJaxError as error:
    raise type(error)(f'arm "{name}": {error}') from error


def _own(keys: dict[str, jax.Array]) -> dict[str, jax.Array]:
  """The keys that training needs."""
  return {name: keys[name] for name in ("data", "run")}


def _restored(checkpoints: Checkpoints, states: Any, previous: np.ndarray) -> tuple[int, Any, np.ndarray]:
  """Round, states and monitor of the newest checkpoint that process 0 finds; as given without one."""
  found: list[Any] = []

  def restore() -> int:
    restored = checkpoints.restore({"states": states, "previous": previous})
    found.extend(restored or (0, {"states": states, "previous": previous}))
    return int(found[0])

  step = distributed.lead(restore)
  tree = distributed.share(found[1] if found else {"states": states, "previous": previous})
  return step, tree["states"], np.array(tree["previous"])


def _first_line(error: BaseException) -> str:
  return (str(error).splitlines() or [type(error).__name__])[0]


def _write_failure(name: str, folder: Path, reason: str, trace: str) -> None:
  rundir.write(folder / "error.txt", trace)
  rundir.write_json(folder / "status.json", {"arm": name, "status": "failed", "error": reason})


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
