"""The flags of the command line: what every command takes, and complaints on one line."""

import argparse
from collections.abc import Sequence
from importlib import metadata
from typing import NoReturn

from gan_jax.lab.errors import UsageError, nearest, show

COMMANDS = ("run", "report", "sample", "evaluate", "export", "translate", "upscale", "synthesize", "show", "list", "cite", "data")
EPILOG = """\
  gan-jax run --config=experiments/ring_rls.py --workdir=runs/ring
  gan-jax run --config=experiments/ring_rls.py:quick --workdir=runs/quick --arms=vanilla,pacgan2+r1 --config.seeds=3
  gan-jax sample runs/ring --arm=vanilla --out=samples.png

--config.key=value changes the base config before the arms; key is dotted: --config.generator.features=64,64
--config.arms.NAME.key=value changes an arm: --config.arms.r1.discriminator_terms.r1.gamma=1.0
The same command again continues a run where it stopped.
"""


class Parser(argparse.ArgumentParser):
  """argparse, with its complaints on one line."""

  def error(self, message: str) -> NoReturn:
    raise UsageError(f"{message}; see {self.prog} --help")


def parse(arguments: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
  """The options, and the overrides `key=value` of `--config.key=value` or `--config.key value`."""
  rest, overrides = _overrides(arguments)
  parser, commands = _parsers()
  if rest and not rest[0].startswith("-") and rest[0] not in COMMANDS:
    raise UsageError(f"{show(rest[0])} is no command{nearest(rest[0], COMMANDS)}")
  options, unknown = parser.parse_known_args(rest)
  if not options.command:
    raise UsageError(f"no command; one of: {', '.join(COMMANDS)}; see gan-jax --help")
  if unknown:
    flags = [
      flag for action in commands[options.command]._actions for flag in action.option_strings if flag.startswith("--")
    ]
    raise UsageError(f"{options.command} knows no {unknown[0]}{nearest(unknown[0].partition('=')[0], flags)}")
  if overrides and options.command not in ("run", "show", "evaluate"):
    raise UsageError(f"--config.{overrides[0]}: {options.command} reads no config; run and show do")
  out = "FOLDER" if options.command in ("export", "synthesize") else "grid.png"
  for name, example in (("config", "FILE.py"), ("workdir", "DIR"), ("what", "methods"), ("out", out), ("model", "DIR")):
    if name in options and not getattr(options, name) and (name, options.command) != ("out", "report"):
      flag = f"--{name}={example}" if name != "what" else "what to list, such as methods"
      raise UsageError(f"{options.command} needs {flag}")
  return options, overrides


def _overrides(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
  rest, overrides = [], []
  waiting = iter(arguments)
  for argument in waiting:
    if not argument.startswith("--config."):
      rest.append(argument)
      continue
    override = argument.removeprefix("--config.")
    if "=" not in override:
      value = next(waiting, None)
      if value is None or value.startswith("--"):
        raise UsageError(f"{argument} needs a value: {argument}=value")
      override = f"{override}={value}"
    overrides.append(override)
  return rest, overrides


def _parsers() -> tuple[Parser, dict[str, Parser]]:
  parser = Parser(
    prog="gan-jax",
    description="Compare methods against mode collapse: train, evaluate, report.",
    epilog=EPILOG,
    formatter_class=argparse.RawDescriptionHelpFormatter,
    allow_abbrev=False,
  )
  parser.add_argument("--version", action="version", version=f"gan_jax {metadata.version('gan_jax')}")
  subparsers = parser.add_subparsers(dest="command", metavar="{" + ",".join(COMMANDS) + "}", parser_class=Parser)
  helps = {
    "run": "train and evaluate the arms of an experiment, then compare them; continues by itself",
    "report": "rebuild the comparison from results on disk, over one or several run directories; other seeds or arms of one experiment are pooled",
    "sample": "draw from an arm's checkpoint: a grid (.png), arrays (.npz) or a walk between latents (.gif)",
    "evaluate": "score stored checkpoints again, with more samples or other metrics; results.csv stays as it is",
    "export": "write an arm's generator as safetensors and config.json, for gan_jax.load",
    "translate": "pictures through a generator that is given pictures: a picture to a picture, a folder to a folder",
    "upscale": "pictures enlarged by a super-resolution generator, of any size",
    "synthesize": "pictures of every class, with their labels, from a generator that is told classes",
    "show": "the resolved config, the arms' differences and the parameters; trains nothing",
    "list": "names for a config: methods, datasets, metrics, networks, experiments",
    "cite": "a method's paper as BibTeX; without a name, the methods that have one",
    "data": "verify: read a whole data set and say what it is; prepare: download and build a TFDS set",
  }
  commands = {
    name: subparsers.add_parser(name, help=text, description=text, allow_abbrev=False) for name, text in helps.items()
  }
  for name in ("run", "show"):
    commands[name].add_argument(
      "--config", metavar="FILE[:arg]", help="the experiment's file; arg goes to its get_config"
    )
    commands[name].add_argument(
      "--arms", metavar="a,b+c", help="which arms, and which compositions of arms; all by default"
    )
  commands["run"].add_argument("--workdir", metavar="DIR", help="where results go")
  commands["run"].add_argument("--quiet", action="store_true", help="no progress")
  commands["run"].add_argument("--tensorboard", action="store_true", help="event files as well: tensorboard --logdir=DIR/tensorboard")
  commands["run"].add_argument(
    "--strategy",
    choices=("auto", "jit", "pmap", "sharded"),
    default="auto",
    help="how seeds and batches lie on the devices; auto: sharded over accelerators; on CPU seeds apart on its cores",
  )
  commands["run"].add_argument("--max-seconds", metavar="N", type=_positive, help="stop then, with everything saved and exit code 75")
  commands["run"].add_argument("--platform", choices=("cpu", "gpu", "tpu"), help="refuse to run on anything else; the fastest there is by default")
  commands["run"].add_argument("--deterministic", action="store_true", help="deterministic operations on a GPU; environment.json says so")
  commands["run"].add_argument("--watchdog", metavar="N", type=_positive, help="after N seconds without progress, print where all threads are")
  commands["run"].add_argument("--watchdog-abort", action="store_true", help="and end the process, with exit code 1: the same command goes on")
  commands["run"].add_argument("--strict", action="store_true", help="a broken checkpoint is an error, even where there is an older one")
  commands["run"].add_argument(
    "--allow-config-change", metavar="KEY,KEY", action="append", default=[], help="go on although these settings are not those of the run in DIR"
  )
  commands["run"].add_argument(
    "--coordinator", metavar="HOST:PORT", help="process 0 of several; under srun or mpirun they find each other"
  )
  commands["run"].add_argument("--num-processes", metavar="N", type=int, help="how many there are")
  commands["run"].add_argument("--process-id", metavar="I", type=int, help="which one this is, from 0")
  commands["report"].add_argument("directories", metavar="DIR", nargs="+", help="run directories")
  commands["report"].add_argument("--out", metavar="FOLDER", help="where it goes; by default DIR, or comparison/ in the first of several")
  for name in ("sample", "evaluate", "export"):
    commands[name].add_argument("directory", metavar="DIR", help="a run directory")
    commands[name].add_argument("--step", metavar="N|best", type=_step, help="which checkpoint; the newest by default")
  for name in ("translate", "upscale"):
    commands[name].add_argument("input", metavar="IN", help="a picture, or a folder of pictures")
    commands[name].add_argument("output", metavar="OUT", help="a .png, or a new folder")
    commands[name].add_argument("--model", metavar="DIR", help="a run directory, or an exported generator")
    commands[name].add_argument("--fit", choices=("crop",), help="scale, cut and make grey what does not fit; by default it is refused")
  commands["translate"].add_argument("--mask", metavar="FILE|DIR", help="where the holes are (white), for a generator that fills them")
  commands["synthesize"].add_argument("model", metavar="DIR", help="a run directory, or an exported generator")
  commands["synthesize"].add_argument("--per-class", metavar="N", type=_positive, required=True, help="how many of each")
  commands["synthesize"].add_argument("--classes", metavar="a,b", help="by name or number; all by default")
  commands["synthesize"].add_argument("--out", metavar="FOLDER", help="a new folder")
  for name in ("translate", "upscale", "synthesize"):
    commands[name].add_argument("--arm", metavar="NAME", dest="one_arm", help="of a run directory, which arm; the only one by default")
    commands[name].add_argument("--seed", metavar="S", type=_count, help="which of the run's seeds; the first by default")
    commands[name].add_argument("--weights", choices=("raw", "ema"), default="raw", help="as trained, or averaged; raw by default")
    commands[name].add_argument("--step", metavar="N|best", type=_step, help="which checkpoint; the newest by default")
    commands[name].add_argument("--draw", metavar="N", type=_count, default=0, help="another number, other latents; 0 by default")
  for name in ("sample", "export"):
    commands[name].add_argument("--arm", metavar="NAME", help="which arm; the only one by default")
    commands[name].add_argument("--seed", metavar="S", type=_count, help="which of the run's seeds; the first by default")
    commands[name].add_argument("--weights", choices=("raw", "ema"), default="raw", help="as trained, or averaged; raw by default")
  commands["sample"].add_argument("--num", metavar="N", type=_positive, help="how many; 64 by default, 16 in a .gif")
  commands["sample"].add_argument("--class", metavar="K", dest="condition", help="of this class alone, by number or name")
  commands["sample"].add_argument("--caption", metavar="TEXT", help="what they are to show, of a generator that is given captions")
  commands["sample"].add_argument("--unknown", choices=("error", "ignore"), default="error", help="words that no caption has; an error by default")
  commands["sample"].add_argument("--out", metavar="FILE", help=".png, .npz or .gif")
  commands["evaluate"].add_argument("--arms", metavar="a,b", help="which arms; by default all that have a checkpoint")
  commands["evaluate"].add_argument("--num-samples", metavar="N", type=_positive, help="samples of each seed")
  commands["evaluate"].add_argument("--metrics", metavar="a,b", help="which of evaluation.metrics, or others by name; all of it by default")
  commands["evaluate"].add_argument("--name", metavar="NAME", help="results go to DIR/evaluations/NAME; made of the settings by default")
  commands["export"].add_argument("--out", metavar="FOLDER", help="a new folder, or an earlier export")
  commands["list"].add_argument(
    "what", metavar="WHAT", nargs="?", help="methods, datasets, metrics, networks or experiments"
  )
  commands["cite"].add_argument("method", metavar="METHOD", nargs="?", help="a method's name, as in `gan-jax list methods`, or a card's")
  commands["data"].add_argument("action", metavar="verify|prepare", choices=("verify", "prepare"), help="what to do")
  commands["data"].add_argument("set", metavar="NAME|DIR", help="a folder or file, a set's name in $GAN_JAX_DATA, or a TFDS set")
  commands["data"].add_argument("--data-dir", metavar="DIR", help="where TFDS sets are kept; $TFDS_DATA_DIR or ~/tensorflow_datasets by default")
  commands["data"].add_argument("--size", metavar="N", type=int, help="verify: scale and crop pictures to N x N")
  for command in commands.values():
    command.add_argument("--traceback", action="store_true", help="where an error comes from")
  return parser, commands


def _count(text: str) -> int:
  if not text.isdecimal():
    raise argparse.ArgumentTypeError(f"needs a whole number, got {show(text)}")
  return int(text)


def _positive(text: str) -> int:
  if not text.isdecimal() or int(text) < 1:
    raise argparse.ArgumentTypeError(f"needs a whole number of at least 1, got {show(text)}")
  return int(text)


def _step(text: str) -> int | str:
  if text != "best" and not text.isdecimal():
    raise argparse.ArgumentTypeError(f'needs a round or "best", got {show(text)}')
  return text if text == "best" else int(text)
