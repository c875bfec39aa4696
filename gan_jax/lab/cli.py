"""The command line: one function a command. What goes wrong is one line on stderr and an exit code.

Exit codes: 0 done, 2 usage or config, 3 data, 4 checkpoint, 5 numerics, 6 run directory busy, 7 storage, 75 preempted
and resumable, 130 interrupted. JAX is imported only by the commands that need it.
"""

import argparse
import errno
import itertools
import json
import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gan_jax.lab import flags
from gan_jax.lab.errors import GanJaxError, StorageError, UsageError, one_line, show

if TYPE_CHECKING:
  from gan_jax.lab.config import Resolved
  from gan_jax.lab.translating import Model


def main(argv: Sequence[str] | None = None) -> int:
  """Run one command; returns the exit code."""
  arguments = list(sys.argv[1:] if argv is None else argv)
  os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # small factorisations inside a loop: more threads only wait for each other
  for stream in (sys.stdout, sys.stderr):
    if hasattr(stream, "reconfigure"):
      stream.reconfigure(errors="replace")  # a terminal that cannot show a letter shows "?"
  try:
    with warnings.catch_warnings():
      warnings.showwarning = lambda message, *rest, **kwargs: print(f"gan-jax: warning: {message}", file=sys.stderr)
      options, overrides = flags.parse(arguments)
      functions = {
        "run": run, "report": report, "sample": sample, "evaluate": evaluate, "export": export, "translate": translate,
        "upscale": upscale, "synthesize": synthesize, "show": show_config, "list": show_list, "cite": cite,
        "data": data,
      }  # fmt: skip
      code = functions[options.command](options, overrides)
      sys.stdout.flush()
      return code
  except GanJaxError as error:
    if "--traceback" in arguments:
      traceback.print_exc()
    print(f"gan-jax: {error}", file=sys.stderr)
    return error.exit_code
  except KeyboardInterrupt:
    print(f"gan-jax: interrupted{'; the same command continues the run' if 'run' in arguments[:1] else ''}", file=sys.stderr)
    return 130
  except MemoryError as error:
    print(f"gan-jax: not enough memory ({one_line(str(error)) or 'no more of it to be had'}); ask for less at once", file=sys.stderr)
    return UsageError.exit_code
  except BrokenPipeError:  # `gan-jax list methods | head`
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0
  except OSError as error:
    if error.errno not in (errno.ENOSPC, errno.EDQUOT) or error.filename is not None:
      raise
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # `gan-jax list methods > /full/disk`
    print(f"gan-jax: cannot write the output: {error.strerror}", file=sys.stderr)
    return StorageError.exit_code


def run(options: argparse.Namespace, overrides: Sequence[str]) -> int:
  resolved = _load(options, overrides)
  from gan_jax.lab import cache, distributed, machine, strategy, train

  machine.ask(options.platform, deterministic=options.deterministic)
  if not distributed.start(options.coordinator, options.num_processes, options.process_id) and options.strategy == "auto":
    strategy.use_cores()
  machine.check(options.platform)
  cache.compile_to_disk()
  allow = [name for names in options.allow_config_change for name in names.split(",")]
  path = train.run(
    resolved, options.workdir, quiet=options.quiet, strategy=options.strategy, tensorboard=options.tensorboard,
    max_seconds=options.max_seconds, strict=options.strict, allow=allow, watchdog=options.watchdog, watchdog_abort=options.watchdog_abort,
  )  # fmt: skip
  if distributed.first():
    _print_comparison([options.workdir])
    print(path)
  return 0


def report(options: argparse.Namespace, overrides: Sequence[str]) -> int:
  from gan_jax.lab import report

  _print_comparison(options.directories)
  print(report.report(options.directories, options.out))
  return 0


def sample(options: argparse.Namespace, overrides: Sequence[str]) -> int:
  from gan_jax.lab import cache, sampling

  cache.compile_to_disk()
  chosen = {"arm": options.arm, "seed": options.seed, "weights": options.weights, "step": options.step}
  shown = {"condition": options.condition, "caption": options.caption, "unknown": options.unknown}
  print(sampling.sample(options.directory, options.out, **chosen, num=options.num, **shown))
  return 0


def evaluate(options: argparse.Namespace, overrides: Sequence[str]) -> int:
  from gan_jax.lab import cache, evaluation

  cache.compile_to_disk()
  asked = list(overrides) + ([f"evaluation.num_samples={options.num_samples}"] if options.num_samples else [])
  chosen = {"arms": options.arms, "metrics": options.metrics, "step": options.step, "name": options.name}
  folder = evaluation.evaluate(options.directory, overrides=asked, **chosen)
  _print_comparison([str(folder)])
  print(folder)
  return 0


def export(options: argparse.Namespace, overrides: Sequence[str]) -> int:
  from gan_jax.lab import export

  chosen = {"arm": options.arm, "seed": options.seed, "weights": options.weights, "step": options.step}
  print(export.export(options.directory, options.out, **chosen))
  return 0


def translate(options: argparse.Namespace, overrides: Sequence[str]) -> int:
  from gan_jax.lab import translating

  print(translating.translate(_model(options), options.input, options.output, mask=options.mask, fit=options.fit, draw=options.draw))
  return 0


def upscale(options: argparse.Namespace, overrides: Sequence[str]) -> int:
  from gan_jax.lab import translating

  print(translating.upscale(_model(options), options.input, options.output, fit=options.fit, draw=options.draw))
  return 0


def synthesize(options: argparse.Namespace, overrides: Sequence[str]) -> int:
  from gan_jax.lab import synthesizing

  print(synthesizing.synthesize(_model(options), options.out, per_class=options.per_class, classes=options.classes, draw=options.draw))
  return 0


def show_config(options: argparse.Namespace, overrides: Sequence[str]) -> int:
  resolved = _load(options, overrides)
  from gan_jax.lab import config, resolve

  experiments = resolve.build_all(resolved)
  count = len(config.seeds(resolved.base))
  print(f"{resolved.experiment}: {resolved.question}\n")
  print(f"base config\n{json.dumps(config.as_json(resolved.base), indent=2)}\n")
  for name, experiment in experiments.items():
    arm = resolved.arms[name]
    print(f"arm {name}")
    for key, (old, new) in config.differences(resolved.base, arm).items():
      print(f"  {key}: {show(old)} -> {show(new)}")
    for player, rows in resolve.parameter_table(experiment.shapes).items():
      print(f"  {player}: {sum(size for _, _, size in rows):,} parameters")
      for path, shape, size in rows:
        print(f"    {path:<40} {shape!s:<16} {size:>10,}")
    rounds = arm.num_steps
    turns = ", ".join(
      f"{len(list(same))} x {' + '.join(names)}" for names, same in itertools.groupby(experiment.game.turns)
    )
    print(f"  a round: {turns}; {experiment.round_size:,} real samples, in packs of {experiment.game.pack_size}")
    print(f"  {count} seeds x {rounds:,} rounds: {count * rounds * experiment.round_size:,} real samples\n")
  return 0


def show_list(options: argparse.Namespace, overrides: Sequence[str]) -> int:
  from gan_jax.lab import catalogue

  print(catalogue.text(options.what))
  return 0


def cite(options: argparse.Namespace, overrides: Sequence[str]) -> int:
  from gan_jax.lab import cards

  print(cards.cite(options.method))
  return 0


def data(options: argparse.Namespace, overrides: Sequence[str]) -> int:
  from gan_jax.lab import data_command

  if options.size is not None and options.size < 1:
    raise UsageError(f"--size={options.size}: needs a whole number of at least 1")
  if options.action == "prepare":
    print(data_command.prepare(options.set, data_dir=options.data_dir))
  else:
    print(data_command.verify(options.set, data_dir=options.data_dir, size=options.size))
  return 0


def _model(options: argparse.Namespace) -> "Model":
  from gan_jax.lab import cache, translating

  cache.compile_to_disk()
  return translating.model(options.model, arm=options.one_arm, seed=options.seed, weights=options.weights, step=options.step)


def _print_comparison(directories: Sequence[str]) -> None:
  from gan_jax.lab import report, summary

  report.print_table(summary.combine([summary.read_run(directory) for directory in directories])[0])


def _load(options: argparse.Namespace, overrides: Sequence[str]) -> "Resolved":
  from gan_jax.lab import config

  return config.load(options.config, overrides, options.arms)
