"""gan_jax beside PyTorch: CPU time of training rounds, one thread each, interleaved A B A B in one run.

  python benchmarks/step.py                      all workloads; writes results/step.json, step.md and step.png
  python benchmarks/step.py --quick              a look at three, in two or three minutes; writes nothing
  python benchmarks/step.py --workloads=ring_b64,sngan32_d --rounds=11     these alone, into the same files
  python benchmarks/step.py --missing            those that the files do not have yet

Before a workload is timed, the sides play one round from the same weights, moments, batch and noise; if any weight then differs by more than
1e-4, or any tensor of moments by more than 5e-3 of its size, the workload is not timed and the exit code is 1. See README.md beside this file.
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
RECORD = HERE / "results" / "step.json"
TOLERANCE = 1e-4  # of a weight, absolute
MOMENT_TOLERANCE = 5e-3  # of a tensor of moments, root mean square, relative to its own; found 1e-6, and 1e-3 where a ReLU turns
SMALL = 1e-3  # of the largest such mean of its player: what a smaller tensor is measured by
ONE_THREAD = {
  "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "JAX_PLATFORMS": "cpu",
  "XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_multi_thread_eigen=false".strip(), "TORCHINDUCTOR_COMPILE_THREADS": "1",
}  # fmt: skip


class DifferentError(Exception):
  """The sides do not compute the same round."""


class Process:
  """A worker and its pipe, on one core with one thread if the environment does not say otherwise. Its compilers' caches are new."""

  def __init__(self, name: str, module: str, environment: dict[str, str] | None = None, core: str | None = None, **options: Any):
    self.name = name
    self.caches = tempfile.TemporaryDirectory()
    fresh = {
      "JAX_COMPILATION_CACHE_DIR": f"{self.caches.name}/jax", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
      "TORCHINDUCTOR_CACHE_DIR": f"{self.caches.name}/inductor",
    }  # fmt: skip
    if core is None:
      core = str(max(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else "-")
    command = [sys.executable, str(HERE / "worker.py"), module, core]
    environment = {**os.environ, **ONE_THREAD, **fresh, **(environment or {})}
    self.process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    if options:
      self.ask("use", **options)

  def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
    assert self.process.stdin and self.process.stdout
    try:
      self.process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
      self.process.stdin.flush()
      answer = self.process.stdout.readline()
    except BrokenPipeError:
      answer = ""
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
    self.caches.cleanup()


def largest_differences(ours: Process, theirs: Process) -> dict[str, float]:
  """Play one round on both sides from the same start: the largest difference of a weight, and of a tensor of moments, relative to its size."""
  with tempfile.TemporaryDirectory() as folder:
    start, here, there = (str(Path(folder) / f"{name}.npz") for name in ("start", "ours", "theirs"))
    ours.ask("take_round", inputs=start, outputs=here)
    theirs.ask("take_round", inputs=start, outputs=there)
    return compare(*(dict(np.load(path)) for path in (start, here, there)))


def compare(before: dict[str, np.ndarray], after: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> dict[str, float]:
  """DifferentError: arrays that only one side has, or that no round would leave as they were.

  Weights are compared by their largest difference, moments by the root mean square of theirs, relative to that of the tensor: among millions of
  activations a few are 0 up to rounding, and there a ReLU's slope turns on one side alone.

  A bias in front of BatchNorm has no gradient; what it has is rounding, of which Adam makes a step. Those are left out: biases of layers whose
  gradients are, on both sides, below SMALL of their player's largest.
  """
  missing = {name for name in after if not name.endswith("/count") and "/u/" not in name} ^ set(expected)
  if missing:
    raise DifferentError(f"the sides do not hold the same arrays: {', '.join(sorted(missing))}")
  size = lambda array: float(np.sqrt(np.mean(np.square(array, dtype=np.float64))))
  largest: dict[str, float] = {}
  for name, value in after.items():
    group = "/".join(name.split("/")[:2])
    largest[group] = max(largest.get(group, 0.0), size(value))
  worst = {"weights": 0.0, "moments": 0.0}
  for name, value in expected.items():
    player, kind, leaf = name.split("/", 2)
    mu = f"{player}/mu/{leaf}"
    if not largest[f"{player}/mu"] > 0:
      raise DifferentError(f"{player} has no gradient, so nothing would be compared")
    if after[mu].any() and np.array_equal(before[name], after[name]):
      raise DifferentError(f"{name} did not move in a round")
    if leaf.endswith("/bias") and "BatchNorm" not in leaf and max(size(after[mu]), size(expected[mu])) < SMALL * largest[f"{player}/mu"]:
      continue
    if kind == "params":
      worst["weights"] = max(worst["weights"], float(np.abs(after[name] - value).max()))
    else:
      worst["moments"] = max(worst["moments"], size(after[name] - value) / max(size(after[name]), SMALL * largest[f"{player}/{kind}"]))
  return worst


def check(workload: Workload, ours: Process, theirs: Process) -> dict[str, float]:
  """Raises DifferentError unless both sides, set up for the same workload, compute the same round."""
  worst = largest_differences(ours, theirs)
  if not (worst["weights"] <= TOLERANCE and worst["moments"] <= MOMENT_TOLERANCE):
    raise DifferentError(f"{workload.name}: {theirs.name} and {ours.name} do not compute the same round ({worst}); nothing was timed")
  return worst


def measure(
  workload: Workload, ours: Process, others: list[Process], rounds: int, seconds: float, clock: str = "process_time", checked: bool = True
) -> dict[str, Any]:
  """Set up, check, warm up, then let the sides take turns by a clock. Sides that refuse the workload say why."""
  load = os.getloadavg()[0]
  set_up = {side.name: side.ask("set_up", workload=workload._asdict()) for side in (*others, ours)}
  refused = {name: answer["refused"] for name, answer in set_up.items() if "refused" in answer}
  others = [other for other in others if other.name not in refused]
  differences = {other.name: check(workload, ours, other) for other in others} if checked else {}
  operations = others[0].ask("operations")["operations"]
  sides = [*others, ours]
  for side in sides:
    side.ask("warm_up", clock=clock)
  turns: dict[str, list[dict[str, float]]] = {side.name: [] for side in sides}
  for _ in range(rounds):
    for side in sides:
      turns[side.name].append(side.ask("spend", seconds=seconds, clock=clock))
  target = lambda kind: workload.target if kind == clock else None  # a target is of the clock that turns are measured by
  times = lambda kind: {name: [turn[kind] / workload.seeds for turn in each] for name, each in turns.items()}
  cpu, wall = times("cpu_seconds"), times("wall_seconds")
  return {
    "workload": workload._asdict(),
    "title": workload.full_title,
    "cpu_seconds_per_seed_round": cpu,
    "wall_seconds_per_seed_round": wall,
    "ratios": {other.name: ratio(cpu[other.name], cpu[ours.name], target("process_time")) for other in others},
    "wall_ratios": {other.name: ratio(wall[other.name], wall[ours.name], target("perf_counter")) for other in others},
    "operations": operations,
    "mebibytes": {side.name: side.ask("memory")["mebibytes"] for side in sides},
    "set_up_cpu_seconds": {name: answer for name, answer in set_up.items() if name not in refused},
    "refused": refused,
    "largest_differences": differences,
    "load_average": [round(load, 1), round(os.getloadavg()[0], 1)],
    "commit": machine.commit(),
  }


def ratio(theirs: list[float], ours: list[float], target: float | None) -> dict[str, Any]:
  """Of the rounds next to each other: median, least and most; and of each side's fastest round, the least disturbed by neighbours."""
  each = [t / o for t, o in zip(theirs, ours, strict=True)]
  median = statistics.median(each)
  met = target is None or median >= target
  return {"median": median, "min": min(each), "max": max(each), "fastest": min(theirs) / min(ours), "target": target, "met": met}


def opponents(
  stack: contextlib.ExitStack, eager: bool, environment: dict[str, str] | None = None, core: str | None = None
) -> list[Process]:
  """PyTorch as it comes; with MKL unthrottled, where that differs; compiled (unthrottled, too), where there is a compiler and it is wanted."""
  environment = environment or {}
  shim = machine.intel_kernels(Path(stack.enter_context(tempfile.TemporaryDirectory())))
  unthrottled = environment if shim is None else {**environment, "LD_PRELOAD": str(shim)}
  found = [stack.enter_context(Process("PyTorch", "in_torch", environment, core))]
  if shim is not None:
    found.append(stack.enter_context(Process(report.UNTHROTTLED, "in_torch", unthrottled, core)))
  if machine.has_compiler() and not eager:
    found.append(stack.enter_context(Process(report.COMPILED, "in_torch", unthrottled, core, compiled=True)))
  return found


def arguments() -> argparse.Namespace:
  parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
  names = [workload.name for workload in WORKLOADS]
  parser.add_argument("--workloads", help=f"comma-separated, of {', '.join(names)}")
  parser.add_argument("--missing", action="store_true", help="only those without a result")
  parser.add_argument("--rounds", type=int, default=7, help="interleaved rounds")
  parser.add_argument("--seconds", type=float, default=0.5, help="CPU seconds of each side in a round, at least")
  parser.add_argument("--eager", action="store_true", help="leave torch.compile out: it takes half a minute to compile a workload")
  parser.add_argument("--quick", action="store_true", help="3 rounds of .2 s; without --workloads, of three; writes nothing")
  args = parser.parse_args()
  chosen = args.workloads.split(",") if args.workloads else [w.name for w in WORKLOADS if w.quick or not args.quick]
  unknown = sorted(set(chosen) - set(names))
  if unknown:
    parser.error(f"no workload {unknown[0]!r}; there are {', '.join(names)}")
  if args.rounds < 1 or not args.seconds > 0:
    parser.error("--rounds and --seconds must be positive")
  if args.missing:
    chosen = [name for name in chosen if name not in results()]
  if args.quick:
    args.rounds, args.seconds = 3, 0.2
  args.workloads = [workload for workload in WORKLOADS if workload.name in chosen]
  return args


def results() -> dict[str, Any]:
  """What was measured so far, by workload."""
  found = json.loads(RECORD.read_text())["results"] if RECORD.exists() else []
  return {result["workload"]["name"]: result for result in found}


def main() -> None:
  args = arguments()
  so_far, different = {} if args.quick else results(), list[str]()
  record: dict[str, Any] = {
    "command": shlex.join(["python", "benchmarks/step.py", *sys.argv[1:]]), "rounds": args.rounds, "seconds": args.seconds,
    "machine": machine.describe(),
  }  # fmt: skip
  with contextlib.ExitStack() as stack:
    ours = stack.enter_context(Process("gan_jax", "in_jax"))
    others = opponents(stack, args.eager)
    described = {side.name: side.ask("describe") for side in (*others, ours)}
    record["versions"] = described["gan_jax"]["versions"] | described["PyTorch"]["versions"]
    record["kernels"] = {name: answer["kernels"] for name, answer in described.items()}
    record["peak"] = max(2 * 1024**3 / each[report.PEAK] for each in record["kernels"].values())
    for workload in args.workloads:
      try:
        result = {**measure(workload, ours, others, args.rounds, args.seconds), "peak": record["peak"]}
      except DifferentError as error:
        print(error, flush=True)
        different.append(workload.name)
        continue
      so_far[workload.name] = result
      record["results"] = [so_far[each.name] for each in WORKLOADS if each.name in so_far]
      print(f"{workload.name}: " + "; ".join(f"{r['median']:.2f} of {name}" for name, r in result["ratios"].items()), flush=True)
      if not args.quick:  # a look does not enter the record
        RECORD.parent.mkdir(exist_ok=True)
        RECORD.write_text(json.dumps(record, indent=1) + "\n")
        RECORD.with_suffix(".md").write_text(report.document(record))
  if different:
    print(f"not timed, because the sides differ: {', '.join(different)}")
  if "results" not in record:
    raise SystemExit(1 if different else "nothing is missing")
  print("\n" + report.document(record))
  if not args.quick:
    report.figure(record, RECORD.with_suffix(".png"))
    print("written: benchmarks/results/step.json, step.md and step.png")
  raise SystemExit(bool(different))


if __name__ == "__main__":
  main()
