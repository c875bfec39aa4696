"""One side in a process of its own, for as long as the benchmark lasts: reads requests from stdin, a JSON line each, and answers in kind.

  python worker.py in_jax|in_torch CORE        started by step.py, on one core (all of them: -), with one thread
"""

import ctypes
import gc
import importlib
import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

from workloads import from_json

LONGEST_STRETCH = 500  # rounds a call: the experiments look at their runs that often
SECONDS_A_STRETCH = 1.0  # as the runner, which plays pieces of a second: a piece's first round pays for its memory, up to half of itself


class Worker:
  """Answers `{"do": METHOD, **arguments}`."""

  side: Any = None
  stretch = 10
  before = 0.0  # MiB of this process before the workload

  def __init__(self, name: str):
    self.module = importlib.import_module(name)
    if name == "in_torch":
      self.module.torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))

  def use(self, **options: Any) -> dict:
    self.module.use(**options)
    return {}

  def set_up(self, workload: dict) -> dict:
    """Until the first round is played, twice: at first with cold caches, then with what the caches on disk hold."""
    made, seconds = from_json(workload), []
    self.side = None  # frees the last workload before the next
    tidy()
    self.before = resident("VmRSS")
    for _ in range(2):
      self.side = None
      self.module.forget()
      start = spent()
      try:
        self.side = self.module.Side(made)
      except NotImplementedError as error:
        return {"refused": str(error)}
      self.side.advance(1)
      seconds.append(spent() - start)
    return {"cold": seconds[0], "cached": seconds[1]}

  def take_round(self, inputs: str, outputs: str) -> dict:
    self.side.take_round(Path(inputs), Path(outputs))
    return {}

  def operations(self) -> dict:
    return {"operations": self.side.operations()}

  def warm_up(self, clock: str = "process_time") -> dict:
    """Play a while, and see how many rounds make a stretch, by the clock that they will be timed by."""
    now = getattr(time, clock)
    rounds, taken = 1, 0.0
    while taken < SECONDS_A_STRETCH / 10 and rounds < LONGEST_STRETCH:
      rounds = min(LONGEST_STRETCH, 2 * rounds)
      start = now()
      self.side.advance(rounds)
      taken = now() - start
    self.stretch = max(1, min(LONGEST_STRETCH, int(SECONDS_A_STRETCH * rounds / taken)))
    tidy()
    Path("/proc/self/clear_refs").write_text("5") if Path("/proc/self/clear_refs").exists() else None  # the peak counts from here
    return {"stretch": self.stretch}

  def spend(self, seconds: float, clock: str = "process_time") -> dict:
    """Play for so many seconds of CPU time of this process, all threads, or of the wall ("perf_counter"); gives seconds per round."""
    now = getattr(time, clock)
    rounds, start, cpu, wall = 0, now(), time.process_time(), time.perf_counter()
    while now() - start < seconds:
      self.side.advance(self.stretch)
      rounds += self.stretch
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    if not self.side.finite():
      raise ValueError("weights are not finite")
    return {"cpu_seconds": cpu / rounds, "wall_seconds": wall / rounds, "rounds": rounds}

  def memory(self) -> dict:
    """MiB at the peak since warm-up, over what the process held before the workload."""
    return {"mebibytes": resident("VmHWM") - self.before}

  def describe(self) -> dict:
    return {"versions": self.module.versions(), "kernels": self.module.kernels()}

  def peak(self, size: int) -> dict:
    return {"operations_a_second": self.module.peak(size)}


def spent() -> float:
  """CPU seconds of this process and of the compilers it has started and waited for."""
  children = resource.getrusage(resource.RUSAGE_CHILDREN)
  return time.process_time() + children.ru_utime + children.ru_stime


def tidy() -> None:
  """Give freed memory back, so that the next workload's peak is its own."""
  gc.collect()
  if sys.platform == "linux":
    ctypes.CDLL(None).malloc_trim(0)


def resident(what: str) -> float:
  """MiB in memory now ("VmRSS") or at most so far ("VmHWM"); 0 where there is no /proc."""
  path = Path("/proc/self/status")
  lines = path.read_text().splitlines() if path.exists() else []
  return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(what)), 0.0)


def main() -> None:
  answers = os.fdopen(os.dup(1), "w")
  os.dup2(2, 1)  # whatever else writes to stdout must not end up among the answers
  if hasattr(os, "sched_setaffinity") and sys.argv[2] != "-":
    os.sched_setaffinity(0, {int(sys.argv[2])})
  worker = Worker(sys.argv[1])
  for line in sys.stdin:
    request = json.loads(line)
    answer = getattr(worker, request.pop("do"))(**request)
    print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
  main()
