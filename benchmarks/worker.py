"""One side in a process of its own, for as long as the benchmark lasts: reads requests from stdin, a JSON line each, and answers in kind.

  python worker.py in_jax|in_torch CORE        started by step.py, on one core, with one thread
"""

import importlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from workloads import Workload

LONGEST_STRETCH = 500  # rounds a call: the experiments look at their runs that often
SECONDS_A_STRETCH = 0.1


class Worker:
  """Answers `{"do": METHOD, **arguments}`."""

  side: Any = None
  stretch = 10

  def __init__(self, name: str):
    self.module = importlib.import_module(name)
    if name == "in_torch":
      self.module.torch.set_num_threads(1)

  def set_up(self, workload: dict) -> dict:
    self.side = None  # frees the last workload before the next
    self.side = self.module.Side(Workload(**{**workload, "hidden": tuple(workload["hidden"])}))
    return {}

  def take_round(self, inputs: str, outputs: str) -> dict:
    self.side.take_round(Path(inputs), Path(outputs))
    return {}

  def warm_up(self) -> dict:
    """Play a while, and see how many rounds make a stretch."""
    self.side.advance(10)
    start = time.process_time()
    self.side.advance(20)
    seconds = (time.process_time() - start) / 20
    self.stretch = max(10, min(LONGEST_STRETCH, int(SECONDS_A_STRETCH / seconds)))
    self.side.advance(self.stretch)
    return {"stretch": self.stretch}

  def spend(self, seconds: float) -> dict:
    """Play for so many seconds of CPU time of this process, all threads; gives seconds per round."""
    rounds, start = 0, time.process_time()
    while (spent := time.process_time() - start) < seconds:
      self.side.advance(self.stretch)
      rounds += self.stretch
    if not self.side.finite():
      raise ValueError("weights are not finite")
    return {"cpu_seconds": spent / rounds, "rounds": rounds}

  def describe(self) -> dict:
    return {"versions": self.module.versions(), "kernels": self.module.kernels()}


def main() -> None:
  answers = os.fdopen(os.dup(1), "w")
  os.dup2(2, 1)  # whatever else writes to stdout must not end up among the answers
  if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {int(sys.argv[2])})
  worker = Worker(sys.argv[1])
  for line in sys.stdin:
    request = json.loads(line)
    answer = getattr(worker, request.pop("do"))(**request)
    print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
  main()
