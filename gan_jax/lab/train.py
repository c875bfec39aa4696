"""Train, evaluate and compare the arms of an experiment, on one device or many. A killed run goes on where it was saved."""

import contextlib
import errno
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from gan_jax.lab import config as configs
from gan_jax.lab import data_command, distributed, machine, numerics, progress, report, resolve, rundir, writers
from gan_jax.lab import strategy as strategies
from gan_jax.lab.checkpoint import Checkpoints
from gan_jax.lab.errors import CheckpointError, DataError, GanJaxError, NumericsError, Preempted, StorageError, UsageError
from gan_jax.lab.goodput import Goodput
from gan_jax.lab.program import Program, feeds, program, seed_keys
from gan_jax.lab.scoring import look, same_data, score, standards
from gan_jax.lab.stopping import Stop
from gan_jax.lab.watch import LOG, Watch

SECONDS_BETWEEN_CHECKPOINTS = 60.0
SECONDS_FOR_A_COST = 1.0  # of training behind a cost per round; fewer say nothing
SECONDS_BETWEEN_LOOKS = 1.0  # at whether to stop, or to save
STORAGE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO)

__all__ = ["Program", "program", "run", "seed_keys"]


def run(
  resolved: configs.Resolved, workdir: str | Path, *, quiet: bool = False, strategy: str = "auto", tensorboard: bool = False,
  max_seconds: float | None = None, strict: bool = False, allow: Sequence[str] = (), watchdog: float | None = None, watchdog_abort: bool = False,
) -> Path:  # fmt: skip
  """Train every arm that is not done yet, then write the comparison; gives the path of report.html.

  Of several processes all compute, and process 0 writes.

  Args:
    strategy: one of `strategy.NAMES`.
    tensorboard: DIR/tensorboard shows what the arms' metrics.jsonl say.
    max_seconds: after this time, stop as after SIGTERM, but not before an arm is a round further.
    strict: a newest checkpoint that is broken is an error, whatever older ones there are.
    allow: settings, or sections of them, in which the directory's config may differ from this one; "data.files": the files of the data, too.
    watchdog: after so many seconds without progress, print where all threads are; with `watchdog_abort`, end the process then.

  Raises:
    GanJaxError: before anything is written, for what is wrong with the settings or the directory; Preempted after SIGTERM or SIGINT, with
    everything saved; DataError if a streamed set turns out broken; CheckpointError if no checkpoint of an arm can be read, StorageError if none
    can be written; NumericsError at the end, if an arm or a seed failed, and UsageError, if an arm did not fit into memory.
  """
  directory = Path(workdir)
  experiments = resolve.build_all(resolved)
  layouts = {name: _layout(name, strategy, experiment, resolved.arms[name]) for name, experiment in experiments.items()}
  other_files = distributed.lead(lambda: same_data(directory, next(iter(experiments.values())).data, "--allow-config-change=data.files", allow))
  failed, too_large, trained = [], [], False
  with contextlib.ExitStack() as stack:
    distributed.lead(lambda: stack.enter_context(rundir.opened(directory, resolved, allow)))
    stopped = stack.enter_context(Stop(max_seconds))
    dog = stack.enter_context(machine.Watchdog(watchdog if distributed.first() else None, abort=watchdog_abort))
    show = stack.enter_context(progress.display(list(experiments), quiet=quiet or not distributed.first(), alive=dog.alive))
    for said in dict.fromkeys(data_command.described(experiment.data) for experiment in experiments.values()):
      if said and distributed.first():
        show.note(said)
    if other_files:
      distributed.lead(lambda: rundir.note_data(directory, *other_files))
    distributed.lead(lambda: standards(directory, experiments, resolved.base.evaluation))
    for name, experiment in experiments.items():
      folder, config = directory / "arms" / name, resolved.arms[name]
      if distributed.lead(lambda: _done(folder, config)):
        with writers.following(directory, name, on=tensorboard and distributed.first()) as follow:
          follow()
        show.done(name)
        continue
      if distributed.anyone(stopped() if trained else stopped.signalled()):
        raise Preempted(f"stopped before arm {name}; the same command goes on from there")
      trained = True
      distributed.lead(lambda: _forget_failure(folder))
      trained_as = distributed.lead(lambda: rundir.digests(directory, name, config))
      try:
        with writers.following(directory, name, on=tensorboard and distributed.first()) as follow:
          train_arm(
            name, experiment, layouts[name], config, folder, resolved.experiment,
            show=show, stopped=stopped, follow=follow, strict=strict, trained_as=trained_as,
          )  # fmt: skip
      except (Preempted, UsageError, DataError, CheckpointError, StorageError):
        raise
      except Exception as error:
        if isinstance(error, OSError) and error.errno in STORAGE:
          raise StorageError(f"{error.filename or folder}: cannot write: {error.strerror}") from error
        reason, trace = _first_line(error), "".join(traceback.format_exception(error))
        if machine.out_of_memory(error):
          reason = machine.too_large(experiment, len(configs.seeds(config)), config.evaluation.num_samples, error)
          too_large.append(f"arm {name}: {reason}")
        else:
          failed.append(name)
        distributed.lead(lambda: _write_failure(name, folder, reason, trace))
        show.note(f"arm {name} failed: {reason} (see {folder / 'error.txt'})")
      distributed.lead(lambda: rundir.join_rows(directory))
    distributed.lead(lambda: rundir.join_rows(directory))
    failed += distributed.lead(lambda: _failed_seeds(directory, list(experiments)))
    page = Path(distributed.lead(lambda: str(report.report([directory]))))
  if failed:
    raise NumericsError(f"{', '.join(failed)}: failed; the others are compared in {page}; details in arms/*/error.txt")
  if too_large:
    raise UsageError("; ".join(too_large))
  return page


def train_arm(
  name: str, experiment: resolve.Experiment, layout: strategies.Layout, config: ConfigDict, folder: Path, title: str,
  *, show: progress.Display, stopped: Stop, follow: Callable[[], None], strict: bool, trained_as: Sequence[str],
) -> None:  # fmt: skip
  """Train one arm to the end (from its newest checkpoint, if it has one), with a check every `evaluation.every` rounds, and score it. Each check
  ends with `follow()`.

  The device plays pieces of about SECONDS_BETWEEN_LOOKS; between them the arm can be saved, stopped and continued without a trace, for what a check
  has still to tell is saved as well.
  """
  seeds, every, num_steps, data = configs.seeds(config), config.evaluation.every, config.num_steps, experiment.data
  compiled, keys, goodput = program(experiment, layout), seed_keys(seeds), Goodput()
  show.start(name, num_steps)
  watch = Watch(folder, seeds, data, config.evaluation.monitor_samples)
  with goodput.on("compile"):
    first = jax.block_until_ready(compiled.init(keys, data.table))
  fresh = {**_apart(first), "previous": watch.previous, "totals": compiled.totals(len(seeds)), "since": np.zeros((), np.int32)}
  kept = {name: config.evaluation[name] for name in ("keep_best", "keep_last") if name in config.evaluation}
  with Checkpoints(folder / "checkpoints", configs=trained_as, **kept) as checkpoints:
    step, tree = _restored(checkpoints, fresh, strict)
    if step > num_steps:
      raise UsageError(f'num_steps = {num_steps}: arm "{name}" has played {step} rounds already')
    if step:
      show.note(f"arm {name} goes on at round {step}")
    distributed.lead(lambda: rundir.truncate_log(folder / LOG, step))
    watch.previous, since = tree["previous"], int(tree["since"])
    watch.recall()
    states = layout.place(tree["states"].replace(skipped=tree["skipped"]))
    totals, keys_there = layout.place(tree["totals"]), layout.place(_own(keys))
    costs: list[float] = []
    measured = 0.0
    noted: set[int] = set()  # seeds that have been told to have skipped turns
    timed, begun, piece, played, last_save = _now(step), step, 1, 0, time.monotonic()

    def between() -> None:
      """The device has played a piece: check what is due, save, and stop if asked to. All processes do the same."""
      nonlocal totals, since, timed, piece, last_save, measured
      with goodput.on("train"):
        jax.block_until_ready(totals)
      fit = min(8 * piece, played * SECONDS_BETWEEN_LOOKS / max(time.perf_counter() - piece_began, 1e-6), 2.0**20)
      due = time.monotonic() - last_save > SECONDS_BETWEEN_CHECKPOINTS
      everyone = distributed.everyone([stopped(), due, fit])
      last, checked = step == num_steps, step % every == 0 or step == num_steps
      stop, due, piece = bool(everyone[:, 0].any()) and not last, bool(everyone[0, 1]), max(1, int(everyone[0, 2]))
      logs, spent = {}, {"time/cpu_seconds": time.process_time() - timed[1], "time/seconds": time.perf_counter() - timed[2]}
      if checked:
        seconds = spent["time/cpu_seconds" if jax.default_backend() == "cpu" else "time/seconds"]
        costs.append(seconds / (step - timed[0]) / len(seeds))
        measured += seconds
        logs = {metric: np.asarray(total) / np.float32(step - since) for metric, total in layout.fetch(totals).items()}
        totals, since = layout.place(compiled.totals(len(seeds))), step
      here = layout.fetch({"states": states, "totals": totals}) if checked or stop or due else {}

      def tell() -> None:
        nonlocal last_save
        checkpoints.poll()
        means, save = {}, stop or due or last
        if checked:
          notes, given_up = numerics.told(here["states"].skipped, experiment.shapes, seeds, experiment.game.patience)
          if len(given_up) == len(seeds):
            raise NumericsError("; ".join(f"seed {seed} gave up in {why}" for seed, why in given_up.items()))
          for seed in notes.keys() - noted:
            show.note(f"arm {name}, seed {seed}: {notes[seed]}")
          noted.update(notes)
          logs.update(numerics.counts(here["states"].skipped))
          with goodput.on("eval"):
            samples = compiled.sample(here["states"], keys["monitor"], config.evaluation.monitor_samples)
            means = watch.check(step, samples, logs, {**spent, **goodput.line()})
            look(folder, step, samples, data)
            follow()
          save = checkpoints.better(means) or save
        show.advance(name, step, watch.summary)
        if save:
          with goodput.on("checkpoint"):
            checkpoints.save(step, {**here, **_apart(here["states"]), "previous": watch.previous, "since": np.int32(since)}, means)
          last_save = time.monotonic()

      distributed.lead(tell)
      if stop:
        distributed.lead(checkpoints.wait)  # saved only when it is finished
        raise Preempted(f"stopped at round {step} of {num_steps} of arm {name}; the same command goes on from there")
      if checked:
        timed = _now(step)

    coming = feeds(data, layout, keys["data"], range(step, num_steps), every, experiment.round_size)
    for feed, rounds in goodput.waiting("data", _waited(coming, stopped)):
      if not played:  # no round at all: compiles
        with goodput.on("compile"):
          states, totals = jax.block_until_ready(compiled.advance(states, totals, keys_there, feed, np.int32(0)))
        timed = _now(step)
      end = step + rounds
      while step < end:
        if played:  # streamed examples come in while the device is busy, but no more than one piece waits for it
          between()
        played, piece_began = min(piece, end - step), time.perf_counter()
        with goodput.on("train"):
          states, totals = compiled.advance(states, totals, keys_there, feed, np.int32(played))
        step += played
    if played:
      between()
    with goodput.on("checkpoint"):
      distributed.lead(checkpoints.wait)
  if step < num_steps or (step > begun and distributed.anyone(stopped())):
    raise Preempted(f"stopped at round {step} of {num_steps} of arm {name}; the same command goes on from there")
  here = layout.fetch(states)
  notes, given_up = numerics.told(here.skipped, experiment.shapes, seeds, experiment.game.patience)

  def scored() -> None:
    with stopped.at_once(f"stopped while arm {name} was scored; the same command scores it"), goodput.on("eval"):
      score(name, experiment, config, here, compiled, keys, folder, title, None, given_up)

  distributed.lead(scored)
  goodput.line()
  status = {
    "arm": name, "status": "done", "step": step, "num_steps": num_steps, "seeds": list(seeds),
    "parameters": {player: int(sum(x.size for x in jax.tree.leaves(p)) // len(seeds)) for player, p in here.params.items()},
    "samples_seen": num_steps * experiment.round_size,
    "seconds_per_seed_round": float(np.median(costs)) if measured > SECONDS_FOR_A_COST else None, "seconds": goodput.total,
    "warnings": watch.warnings + [f"seed {seed}: {note}" for seed, note in notes.items()],
    "failed_seeds": {str(seed): why for seed, why in given_up.items()},
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


def _apart(states: Any) -> dict[str, Any]:
  """States as a checkpoint has them, the counts of skipped turns beside them: older ones have none."""
  return {"states": states.replace(skipped={}), "skipped": dict(states.skipped)}


def _restored(checkpoints: Checkpoints, fresh: dict[str, Any], strict: bool) -> tuple[int, dict[str, Any]]:
  """Round and content of the newest checkpoint that process 0 finds; 0 and `fresh` without one."""
  found: list[Any] = []

  def restore() -> int:
    step, tree = checkpoints.restore(fresh, strict=strict, added=("totals", "since", "skipped")) or (0, fresh)
    found.append({**fresh, "since": np.int32(step), **tree})  # before format 2 there were checkpoints at checks alone
    return int(step)

  step = distributed.lead(restore)
  tree = distributed.share(found[0] if found else fresh)
  return step, {**tree, "previous": np.array(tree["previous"])}


def _waited(feeds: Iterator[tuple[Any, int]], stopped: Stop) -> Iterator[tuple[Any, int]]:
  """The feeds, until a signal comes while the next is waited for. Several processes wait on, for one alone cannot leave the others."""
  while True:
    try:
      with stopped.at_once("") if jax.process_count() == 1 else contextlib.nullcontext():
        feed = next(feeds, None)
    except Preempted:
      return
    if feed is None:
      return
    yield feed


def _now(step: int) -> tuple[int, float, float]:
  return step, time.process_time(), time.perf_counter()


def _first_line(error: BaseException) -> str:
  return (str(error).splitlines() or [type(error).__name__])[0]


def _write_failure(name: str, folder: Path, reason: str, trace: str) -> None:
  rundir.write(folder / "error.txt", trace)
  rundir.write_json(folder / "status.json", {"arm": name, "status": "failed", "error": reason})


def _failed_seeds(directory: Path, arms: Sequence[str]) -> list[str]:
  """Those of arms that are done otherwise, with the reason."""
  seeds = {name: _status(directory / "arms" / name).get("failed_seeds") or {} for name in arms}
  return [f"seed {seed} of {name} (gave up in {why})" for name, held in seeds.items() for seed, why in held.items()]


def _done(folder: Path, config: ConfigDict) -> bool:
  status = _status(folder)
  return status.get("status") == "done" and status.get("num_steps", config.num_steps) == config.num_steps


def _forget_failure(folder: Path) -> None:
  """Of an arm that is tried again, or trained for longer: what it was no longer holds."""
  for name in ("status.json", "error.txt"):
    (folder / name).unlink(missing_ok=True)


def _status(folder: Path) -> dict[str, Any]:
  try:
    return rundir.read_json(folder / "status.json")
  except (OSError, ValueError):
    return {}
