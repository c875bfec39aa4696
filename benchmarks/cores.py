"""Both sides with all cores of the machine, by the wall clock: `python benchmarks/cores.py` writes results/cores.json and cores.md.

As benchmarks/step.py (one round compared first, then turns, interleaved), but no side is held to one thread or one core. On a machine with other work
this says nothing: look at the load averages, which count the benchmark's own threads.
"""

import argparse
import contextlib
import json
import os
import shlex
import statistics
import sys
from pathlib import Path
from typing import Any

import machine
import step
from workloads import WORKLOADS

RECORD = Path(__file__).resolve().parent / "results" / "cores.json"
TARGETS = {"ring_b64_s16": None, "ring_b512": 1.3, "dcgan32_b16": None, "dcgan32_b64": 1.0}


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
  parser.add_argument("--rounds", type=int, default=7, help="interleaved rounds")
  parser.add_argument("--seconds", type=float, default=1.0, help="of each side's turn, by the wall, at least")
  args = parser.parse_args()
  cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
  threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(cores))
  every = {**threads, "XLA_FLAGS": os.environ.get("XLA_FLAGS", "")}
  record: dict[str, Any] = {
    "command": shlex.join(["python", "benchmarks/cores.py", *sys.argv[1:]]), "cores": cores, "rounds": args.rounds, "seconds": args.seconds,
    "machine": machine.describe(), "results": [],
  }  # fmt: skip
  with contextlib.ExitStack() as stack:
    ours = stack.enter_context(step.Process("gan_jax", "in_jax", every, "-"))
    others = step.opponents(stack, eager=True, environment=every, core="-")
    for workload in [w for w in WORKLOADS if w.name in TARGETS]:
      result = step.measure(workload._replace(target=TARGETS[workload.name]), ours, others, args.rounds, args.seconds, "perf_counter")
      record["results"].append(result)
      print(f"{workload.name}: " + "; ".join(f"{r['median']:.2f} of {name}" for name, r in result["wall_ratios"].items()), flush=True)
  RECORD.write_text(json.dumps(record, indent=1) + "\n")
  RECORD.with_suffix(".md").write_text(document(record))
  print("\n" + document(record) + "\nwritten: benchmarks/results/cores.json and cores.md")


def document(record: dict[str, Any]) -> str:
  lines = [
    f"# On {record['cores']} cores: gan_jax beside PyTorch", "",
    f"`{record['command']}`: wall time, {record['rounds']} interleaved turns of at least {record['seconds']:g} s, no limit on threads.", "",
    "| a round of | beside | their ms | our ms | times faster | target | met | cores busy, theirs / ours | load |",
    "|---|---|---:|---:|---|---:|---|---|---|",
  ]  # fmt: skip
  for result in record["results"]:
    wall, cpu = ({name: statistics.median(times) for name, times in result[f"{kind}_seconds_per_seed_round"].items()} for kind in ("wall", "cpu"))
    for name, r in result["wall_ratios"].items():
      met = ("yes" if r["met"] else "**no**") if r["target"] else ""
      cells = [
        result["title"], name, f"{wall[name] * 1e3:,.3g}", f"{wall['gan_jax'] * 1e3:,.3g}", f"**{r['median']:.2f}** ({r['min']:.2f}-{r['max']:.2f})",
        f"{r['target'] or ''}", met,
        f"{cpu[name] / wall[name]:.1f} / {cpu['gan_jax'] / wall['gan_jax']:.1f}", "-".join(map(str, result["load_average"])),
      ]  # fmt: skip
      lines.append(f"| {' | '.join(cells)} |")
  return "\n".join([*lines, "", *(f"- {name}: {value}" for name, value in record["machine"].items())]) + "\n"


if __name__ == "__main__":
  main()
