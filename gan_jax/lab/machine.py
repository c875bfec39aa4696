"""What the machine must be and do: the platform that was asked for, deterministic operations, a watchdog, and what to say when memory is short."""

import faulthandler
import math
import os
import sys
from typing import TYPE_CHECKING, Any

from gan_jax.lab.errors import UsageError

if TYPE_CHECKING:
  from gan_jax.lab.resolve import Experiment

PLATFORMS = ("cpu", "gpu", "tpu")
DETERMINISTIC = "--xla_gpu_deterministic_ops=true"


def ask(platform: str | None, *, deterministic: bool) -> None:
  """Settings that must be there before the first device is touched. Deterministic operations are on a GPU what they are anyway on a CPU."""
  if deterministic and DETERMINISTIC not in os.environ.get("XLA_FLAGS", ""):
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {DETERMINISTIC}".strip()  # which environment.json records
  if platform is not None:
    import jax

    jax.config.update("jax_platforms", {"gpu": "cuda,rocm"}.get(platform, platform) if _has_gpu_plugin() else platform)


def check(platform: str | None) -> None:
  """UsageError: there is no such device. Never a silent run on something slower."""
  if platform is None:
    return
  import jax

  try:
    if jax.default_backend() == platform:
      return
    seen = f"sees {jax.default_backend()} only"
  except RuntimeError:
    seen = "sees no such device"
  install = {"gpu": "pip install 'gan_jax[cuda12]' (or cuda13) on a machine with one", "tpu": "pip install 'gan_jax[tpu]' on a machine with one"}
  raise UsageError(f"--platform={platform}: jax {jax.__version__} {seen}; {install.get(platform, 'use another --platform')}, or leave --platform out")


def _has_gpu_plugin() -> bool:
  import importlib.util

  return any(importlib.util.find_spec(f"jax_{kind}_plugin") for kind in ("cuda12", "cuda13", "rocm7"))


class Watchdog:
  """Prints the stacks of all threads when nobody has called `alive` for `seconds`, again and again, or once, and ends the process with exit code 1.

  A C thread does it, so that it works while Python waits for a device.
  """

  def __init__(self, seconds: float | None, *, abort: bool):
    self.seconds, self.abort = seconds, abort

  def alive(self) -> None:
    if self.seconds is not None:
      faulthandler.dump_traceback_later(self.seconds, repeat=not self.abort, exit=self.abort, file=sys.__stderr__ or 2)

  def __enter__(self) -> "Watchdog":
    self.alive()
    return self

  def __exit__(self, *rest: Any) -> None:
    if self.seconds is not None:
      faulthandler.cancel_dump_traceback_later()


def out_of_memory(error: BaseException) -> bool:
  """Whether it is about the memory of the host or of a device; XLA says so in words."""
  return isinstance(error, MemoryError) or (type(error).__name__ in ("JaxRuntimeError", "XlaRuntimeError") and "RESOURCE_EXHAUSTED" in str(error))


def too_large(experiment: "Experiment", num_seeds: int, num_samples: int, error: BaseException) -> str:
  """What an arm needs at least, and what would make it less."""
  import jax

  bytes_of = lambda tree: sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))
  states = num_seeds * bytes_of(experiment.shapes)
  batch = num_seeds * bytes_of(experiment.data.abstract(experiment.round_size))
  asked = next((word for word in str(error).replace(",", "").split() if word.isdecimal() and len(word) > 6), None)
  said = f" (one request was for {_size(int(asked))})" if asked else ""
  return (
    f"out of memory{said}: {num_seeds} seeds hold {_size(states)} of state and draw batches of {experiment.round_size} x "
    f"{'x'.join(map(str, experiment.data.shape))} ({_size(batch)}), before activations. Smaller: batch_size, the networks' features, fewer seeds in "
    f"one run (--config.seeds=0,), evaluation.num_samples (now {num_samples:,}). The last checkpoint is whole"
  )


def _size(count: int) -> str:
  for unit, name in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
    if count >= unit:
      return f"{count / unit:.1f} {name}"
  return f"{count} bytes"
