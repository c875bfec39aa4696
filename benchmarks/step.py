"""gan_jax beside PyTorch: CPU time of training rounds, one thread each, interleaved A B A B in one run.

  python benchmarks/step.py                      all workloads; about 6 minutes; writes results/step.json and results/step.md
  python benchmarks/step.py --quick              a look, in about a minute; writes nothing
  python benchmarks/step.py --workloads=ring_b64,unrolled5_b64 --rounds=11

Before a workload is timed, both sides play one round from the same weights, moments, batch and noise; if any weight then differs by more
than 1e-4, or any moment by more than 1e-3 of its layer's largest, the benchmark stops. See README.md beside this file.
"""

import argparse
import json
import os
import platform
import shlex
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from workloads import WORKLOADS, Workload

HERE = Path(__file__).resolve().parent
TOLERANCE = 1e-4  # of a weight, absolute
MOMENT_TOLERANCE = 1e-3  # of a moment, relative to the largest of its tensor
NAMES = {"in_jax": "gan_jax", "in_torch": "PyTorch"}


class Process:
  """A worker and its pipe."""

  def __init__(self, name: str):
    self.name = name
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_multi_thread_eigen=false".strip()
    one_thread = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    core = max(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
    command = [sys.executable, str(HERE / "worker.py"), name, str(core)]
    self.process = subprocess.Popen(
      command, env={**os.environ, **one_thread}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )

  def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
    assert self.process.stdin and self.process.stdout
    self.process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
    self.process.stdin.flush()
    answer = self.process.stdout.readline()
    if not answer:
      raise SystemExit(f"the {NAMES[self.name]} side failed in {do}; what it said is above")
    return json.loads(answer)

  def __enter__(self) -> "Process":
    return self

  def __exit__(self, *_: Any) -> None:
    if self.process.stdin:
      self.process.stdin.close()
    self.process.wait()


def play_one_round(ours: Process, theirs: Process) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
  """Both sides' weights and moments after one round from the same start. Both must be set up."""
  with tempfile.TemporaryDirectory() as folder:
    start, here, there = (str(Path(folder) / f"{name}.npz") for name in ("start", "ours", "theirs"))
    ours.ask("take_round", inputs=start, outputs=here)
    theirs.ask("take_round", inputs=start, outputs=there)
    return dict(np.load(here)), dict(np.load(there))


def disagreement(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> dict[str, float]:
  """The largest difference of a weight, and of a moment relative to the largest of its tensor."""
  worst = {"weights": 0.0, "moments": 0.0}
  for name, value in theirs.items():
    difference = float(np.abs(ours[name] - value).max())
    if "/params/" in name:
      worst["weights"] = max(worst["weights"], difference)
    else:
      worst["moments"] = max(worst["moments"], difference / float(np.abs(ours[name]).max()))
  return worst


def agrees(worst: dict[str, float]) -> bool:
  return worst["weights"] <= TOLERANCE and worst["moments"] <= MOMENT_TOLERANCE


def measure(workload: Workload, ours: Process, theirs: Process, rounds: int, seconds: float) -> dict[str, Any]:
  """Check, warm up, then let the sides take turns."""
  compile_seconds = ours.ask("set_up", workload=workload._asdict())["compile_seconds"]
  theirs.ask("set_up", workload=workload._asdict())
  worst = disagreement(*play_one_round(ours, theirs))
  if not agrees(worst):
    raise SystemExit(f"{workload.name}: the two sides do not compute the same round ({worst}); nothing was timed")
  for side in (ours, theirs):
    side.ask("warm_up")
  times: dict[str, list[float]] = {"in_jax": [], "in_torch": []}
  for _ in range(rounds):
    for side in (theirs, ours):
      times[side.name].append(side.ask("spend", seconds=seconds)["cpu_seconds"] / workload.seeds)
  ratios = [t / o for t, o in zip(times["in_torch"], times["in_jax"], strict=True)]
  ratio = statistics.median(ratios)
  return {
    "workload": workload._asdict(), "title": workload.title, "ratio": ratio, "ratio_min": min(ratios), "ratio_max": max(ratios),
    "target": workload.target, "met": workload.target is None or ratio >= workload.target,
    "gan_jax_seconds": times["in_jax"], "pytorch_seconds": times["in_torch"],
    "largest_difference": worst, "compile_cpu_seconds": compile_seconds,
  }  # fmt: skip


def table(results: list[dict[str, Any]]) -> str:
  lines = [
    "| workload | PyTorch, µs a seed-round | gan_jax, µs a seed-round | times faster: median (min-max) | target | met |",
    "|---|---|---|---|---|---|",
  ]
  for r in results:
    theirs, ours = (statistics.median(r[f"{side}_seconds"]) * 1e6 for side in ("pytorch", "gan_jax"))
    target, met = (f"{r['target']:g}", "yes" if r["met"] else "**no**") if r["target"] else ("", "")
    spread = f"**{r['ratio']:.2f}** ({r['ratio_min']:.2f}-{r['ratio_max']:.2f})"
    lines.append(f"| {r['title']} | {theirs:,.0f} | {ours:,.0f} | {spread} | {target} | {met} |")
  return "\n".join(lines)


def kernel_table(kernels: dict[str, dict[str, float]]) -> str:
  lines = ["| one operation, float32 | PyTorch, µs | XLA, µs | ratio |", "|---|---|---|---|"]
  for name, theirs in kernels["in_torch"].items():
    ours = kernels["in_jax"][name]
    lines.append(f"| {name} | {theirs * 1e6:.1f} | {ours * 1e6:.1f} | {theirs / ours:.2f} |")
  return "\n".join(lines)


def machine() -> dict[str, Any]:
  """What the numbers hold for."""
  model = platform.processor() or platform.machine()
  if Path("/proc/cpuinfo").exists():
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    fields = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    vectors = [name for name in ("avx2", "avx512f", "amx_tile") if name in fields.get("flags", "").split()]
    model = f"{fields.get('model name', model)} (family {fields.get('cpu family')}, model {fields.get('model')}; {', '.join(vectors)})"
  return {
    "cpu": model, "cores": os.cpu_count(), "system": platform.platform(), "python": platform.python_version(),
    "load_average_at_start": round(os.getloadavg()[0], 1), "commit": _commit(),
  }  # fmt: skip


def _commit() -> str:
  """The commit, with a mark if tracked files of the package or the benchmarks differ from it."""
  git = lambda *words: subprocess.run(["git", *words], cwd=HERE, capture_output=True, text=True, check=False).stdout.strip()
  changed = git("status", "--porcelain", "--untracked-files=no", "--", "../gan_jax", "*.py")
  return f"{git('rev-parse', '--short', 'HEAD')}{' with changes' if changed else ''}"


def document(record: dict[str, Any]) -> str:
  described = "\n".join(f"- {key.replace('_', ' ')}: {value}" for key, value in {**record["machine"], **record["versions"]}.items())
  met = sum(r["met"] for r in record["results"])
  return "\n\n".join([
    "# Training rounds: gan_jax beside PyTorch",
    f"`{record['command']}`\n\nCPU time, one thread each, {record['rounds']} interleaved rounds of at least {record['seconds']:g} s CPU; "
    f"{met} of {len(record['results'])} targets met. What is compared, and how to read it: ../README.md.",
    table(record["results"]), kernel_table(record["kernels"]), described,
  ]) + "\n"  # fmt: skip


def arguments() -> argparse.Namespace:
  parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
  names = [workload.name for workload in WORKLOADS]
  parser.add_argument("--workloads", help=f"comma-separated, of {', '.join(names)}")
  parser.add_argument("--rounds", type=int, default=9, help="interleaved rounds")
  parser.add_argument("--seconds", type=float, default=1.0, help="CPU seconds of each side in a round, at least")
  parser.add_argument("--quick", action="store_true", help="3 rounds of .2 s, latent 25 only; writes nothing")
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


def main() -> int:
  args = arguments()
  record: dict[str, Any] = {
    "command": shlex.join(["python", "benchmarks/step.py", *sys.argv[1:]]), "machine": machine(),
    "rounds": args.rounds, "seconds": args.seconds, "results": [],
  }  # fmt: skip
  with Process("in_jax") as ours, Process("in_torch") as theirs:
    described = {side.name: side.ask("describe") for side in (theirs, ours)}
    record["versions"] = {**described["in_jax"]["versions"], **described["in_torch"]["versions"]}
    record["kernels"] = {name: answer["kernels"] for name, answer in described.items()}
    for workload in args.workloads:
      result = measure(workload, ours, theirs, args.rounds, args.seconds)
      record["results"].append(result)
      print(f"{workload.name}: {result['ratio']:.2f} ({result['ratio_min']:.2f}-{result['ratio_max']:.2f})", flush=True)
  record["machine"]["load_average_at_end"] = round(os.getloadavg()[0], 1)
  print("\n" + document(record))
  # A look, or a part, does not replace the record.
  if not args.quick and len(args.workloads) == len(WORKLOADS):
    folder = HERE / "results"
    folder.mkdir(exist_ok=True)
    (folder / "step.json").write_text(json.dumps(record, indent=2) + "\n")
    (folder / "step.md").write_text(document(record))
    print("written: benchmarks/results/step.json, benchmarks/results/step.md")
  return 0 if all(r["met"] for r in record["results"]) else 1


if __name__ == "__main__":
  sys.exit(main())
