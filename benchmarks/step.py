"""gan_jax beside PyTorch: CPU time of training rounds, one thread each, interleaved A B A B in one run.

  python benchmarks/step.py                      all workloads; 8 minutes on a quiet machine; writes results/step.json and results/step.md
  python benchmarks/step.py --quick              a look, in two minutes; writes nothing
  python benchmarks/step.py --workloads=ring_b64,unrolled5_b64 --rounds=11

Before a workload is timed, the sides play one round from the same weights, moments, batch and noise; if any weight then differs by more than
1e-4, or any moment by more than 1e-3 of its tensor's largest, nothing is timed and the exit code is 1. See README.md beside this file.
"""

import argparse
import contextlib
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import machine
import numpy as np
import report
from workloads import WORKLOADS, Workload

HERE = Path(__file__).resolve().parent
TOLERANCE = 1e-4  # of a weight, absolute
MOMENT_TOLERANCE = 1e-3  # of a moment, relative to the largest of its tensor


class Process:
  """A worker and its pipe."""

  def __init__(self, name: str, module: str, environment: dict[str, str] | None = None):
    self.name = name
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_multi_thread_eigen=false".strip()
    one_thread = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    core = max(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
    command = [sys.executable, str(HERE / "worker.py"), module, str(core)]
    environment = {**os.environ, **one_thread, **(environment or {})}
    self.process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

  def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
    assert self.process.stdin and self.process.stdout
    self.process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
    self.process.stdin.flush()
    answer = self.process.stdout.readline()
    if not answer:
      raise SystemExit(f"the {self.name} side failed in {do}; what it said is above")
    return json.loads(answer)

  def __enter__(self) -> "Process":
    return self

  def __exit__(self, *_: Any) -> None:
    assert self.process.stdin and self.process.stdout
    with contextlib.suppress(BrokenPipeError):
      self.process.stdin.close()
    self.process.wait()
    self.process.stdout.close()


def largest_differences(ours: Process, theirs: Process) -> dict[str, float]:
  """Play one round on both sides from the same start: the largest difference of a weight, and of a moment relative to its tensor's largest."""
  with tempfile.TemporaryDirectory() as folder:
    start, here, there = (str(Path(folder) / f"{name}.npz") for name in ("start", "ours", "theirs"))
    ours.ask("take_round", inputs=start, outputs=here)
    theirs.ask("take_round", inputs=start, outputs=there)
    before, after, expected = dict(np.load(start)), dict(np.load(here)), dict(np.load(there))
  worst = {"weights": 0.0, "moments": 0.0}
  for name, value in expected.items():
    if np.array_equal(before[name], after[name]):
      raise SystemExit(f"{name} did not move in a round")
    difference = float(np.abs(after[name] - value).max())
    if "/params/" in name:
      worst["weights"] = max(worst["weights"], difference)
    else:
      worst["moments"] = max(worst["moments"], difference / float(np.abs(after[name]).max()))
  return worst


def check(workload: Workload, ours: Process, theirs: Process) -> dict[str, float]:
  """Raises SystemExit unless both sides, set up for the same workload, compute the same round."""
  worst = largest_differences(ours, theirs)
  if not (worst["weights"] <= TOLERANCE and worst["moments"] <= MOMENT_TOLERANCE):
    raise SystemExit(f"{workload.name}: {theirs.name} and {ours.name} do not compute the same round ({worst}); nothing was timed")
  return worst


def measure(workload: Workload, ours: Process, others: list[Process], rounds: int, seconds: float) -> dict[str, Any]:
  """Check, warm up, then let the sides take turns."""
  for side in (ours, *others):
    side.ask("set_up", workload=workload._asdict())
  differences = {other.name: check(workload, ours, other) for other in others}
  sides = [*others, ours]
  for side in sides:
    side.ask("warm_up")
  times: dict[str, list[float]] = {side.name: [] for side in sides}
  for _ in range(rounds):
    for side in sides:
      times[side.name].append(side.ask("spend", seconds=seconds)["cpu_seconds"] / workload.seeds)
  return {
    "workload": workload._asdict(),
    "title": workload.title,
    "seconds_per_seed_round": times,
    "ratios": {other.name: ratio(times[other.name], times[ours.name], workload.target) for other in others},
    "largest_differences": differences,
  }


def ratio(theirs: list[float], ours: list[float], target: float | None) -> dict[str, Any]:
  """Of the rounds next to each other: median, least and most; and of each side's fastest round, the least disturbed by neighbours."""
  each = [t / o for t, o in zip(theirs, ours, strict=True)]
  median = statistics.median(each)
  met = target is None or median >= target
  return {"median": median, "min": min(each), "max": max(each), "fastest": min(theirs) / min(ours), "target": target, "met": met}


def arguments() -> argparse.Namespace:
  parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
  names = [workload.name for workload in WORKLOADS]
  parser.add_argument("--workloads", help=f"comma-separated, of {', '.join(names)}")
  parser.add_argument("--rounds", type=int, default=7, help="interleaved rounds")
  parser.add_argument("--seconds", type=float, default=1.0, help="CPU seconds of each side in a round, at least")
  parser.add_argument("--quick", action="store_true", help="3 rounds of .2 s; without --workloads, latent 25 only; writes nothing")
  args = parser.parse_args()
  chosen = args.workloads.split(",") if args.workloads else [n for n in names if not (args.quick and n.endswith("z256"))]
  unknown = sorted(set(chosen) - set(names))
  if unknown:
    parser.error(f"no workload {unknown[0]!r}; there are {', '.join(names)}")
  if args.rounds < 1 or not args.seconds > 0:
    parser.error("--rounds and --seconds must be positive")
  if args.quick:
    args.rounds, args.seconds = 3, 0.2
  args.workloads = [workload for workload in WORKLOADS if workload.name in chosen]
  return args


def main() -> None:
  args = arguments()
  record: dict[str, Any] = {
    "command": shlex.join(["python", "benchmarks/step.py", *sys.argv[1:]]),
    "rounds": args.rounds,
    "seconds": args.seconds,
    "machine": machine.describe(),
    "load_average": [round(os.getloadavg()[0], 1)],
    "results": [],
  }
  with contextlib.ExitStack() as stack:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    ours = stack.enter_context(Process("gan_jax", "in_jax"))
    others = [stack.enter_context(Process("PyTorch", "in_torch"))]
    shim = machine.intel_kernels(folder)
    if shim is not None:
      others.append(stack.enter_context(Process(report.UNTHROTTLED, "in_torch", {"LD_PRELOAD": str(shim)})))
    described = {side.name: side.ask("describe") for side in (*others, ours)}
    record["versions"] = described["gan_jax"]["versions"] | described["PyTorch"]["versions"]
    record["kernels"] = {name: answer["kernels"] for name, answer in described.items()}
    for workload in args.workloads:
      result = measure(workload, ours, others, args.rounds, args.seconds)
      record["results"].append(result)
      print(f"{workload.name}: " + "; ".join(f"{r['median']:.2f} of {name}" for name, r in result["ratios"].items()), flush=True)
  record["load_average"].append(round(os.getloadavg()[0], 1))
  print("\n" + report.document(record))
  if not args.quick and len(args.workloads) == len(WORKLOADS):  # a look, or a part, does not replace the record
    (HERE / "results").mkdir(exist_ok=True)
    (HERE / "results" / "step.json").write_text(json.dumps(record, indent=2) + "\n")
    (HERE / "results" / "step.md").write_text(report.document(record))
    print("written: benchmarks/results/step.json and step.md")


if __name__ == "__main__":
  main()
