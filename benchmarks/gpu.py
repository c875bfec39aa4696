"""gan_jax beside PyTorch, eager and compiled, on a GPU: one call, every workload, three precisions.

  python benchmarks/gpu.py                         all of it, within --budget minutes; writes results/gpu.json and gpu.md after every workload
  python benchmarks/gpu.py --workloads=dcgan32_b64,sngan32 --precisions=bfloat16 --no-seeds --out=DIR --add
  python benchmarks/gpu.py --cpu                   the same code on a CPU at toy sizes, to see that it runs; writes nothing

As benchmarks/step.py: both sides take one identical round before anything is timed (in float32; the other precisions differ by their rounding and
are held to finite weights), then turns, interleaved; here by the wall clock, synchronised. A share of the peak (MFU) is operations of products and
convolutions in a second over those of the largest matrix product, measured in the same process at the same precision. First, seeds per card: ring,
digits and DCGAN with 1, 4, 16, ... seeds as one program; the card is full where a seed's round stops getting cheaper. A workload that fails is
listed with what it said, and the next one starts in new processes. Without a GPU: one line, and exit code 1.

Needs `pip install -e '.[cuda13]'` (or cuda12) and a CUDA build of PyTorch.
"""

import argparse
import contextlib
import json
import os
import shutil
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import machine
import report
import step
from workloads import WORKLOADS, Workload, dcgan, r3gan, ring, sngan

RESULTS = Path(__file__).resolve().parent / "results"
PRECISIONS = ("bfloat16", "float32", "tf32")  # in this order, for what the budget does not reach is left out
SIZE = 8192  # of the matrix product that is the peak


def workloads(tiny: bool) -> list[Workload]:
  """Small nets as on a CPU; images at batches that fill a card."""
  if tiny:
    return [ring("ring_b64", 8, hidden=(8, 8)), dcgan("dcgan32_b64", 8, 1, 4, (4, 8))]
  small = [w for w in WORKLOADS if w.name in ("ring_b64", "ring_b512", "unrolled5_b64", "pacgan2_ring", "digits_mlp", "smnist_q", "dcgan32_b64")]
  # SNGAN's round with one turn of D, so that both turns count alike.
  whole = sngan("sngan32", "discriminator", batch=64)._replace(title="SNGAN 32x32x3", turns=("discriminator", "generator"))
  gp = next(w for w in WORKLOADS if w.name == "dcgan32_wgan_gp")
  large = [
    gp._replace(name="dcgan32_wgan_gp", batch=64), dcgan("dcgan64", 64, 3, 128, (64, 128, 256, 512)), whole,
    r3gan("r3gan32", batch=64, maps=(256, 256, 256, 256)),
  ]  # fmt: skip
  return [w._replace(target=None) for w in (*small, *large)]


def families(tiny: bool) -> list[tuple[Workload, tuple[int, ...]]]:
  """Whose seeds are counted, and how many."""
  if tiny:
    return [(ring("ring_b64", 8, hidden=(8, 8)), (1, 2))]
  counts = (1, 4, 16, 64, 256, 1024)
  named = {w.name: w for w in WORKLOADS}
  return [(named["ring_b64"], counts), (named["digits_mlp"], counts), (named["dcgan32_b64"]._replace(batch=64), (1, 4, 16, 64))]


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
  parser.add_argument("--workloads", help="comma-separated names")
  parser.add_argument("--precisions", default=",".join(PRECISIONS), help="comma-separated, of %(default)s")
  parser.add_argument("--rounds", type=int, default=5)
  parser.add_argument("--seconds", type=float, default=1.0, help="of each turn, by the wall")
  parser.add_argument("--budget", type=float, default=25.0, help="minutes; what has not begun by then is left out, and said to be")
  parser.add_argument("--out", type=Path, default=RESULTS, help="the folder of gpu.json and gpu.md")
  parser.add_argument("--add", action="store_true", help="to what gpu.json there holds; a workload that is measured again takes the old one's place")
  parser.add_argument("--no-seeds", action="store_true", help="do not count seeds per card")
  parser.add_argument("--cpu", action="store_true", help="toy sizes on a CPU: shows that the script runs; writes nothing")
  args = parser.parse_args()
  if not args.cpu and shutil.which("nvidia-smi") is None:
    raise SystemExit("no GPU here (nvidia-smi is not found); benchmarks/gpu.py --cpu shows that the script runs, benchmarks/step.py measures CPUs")
  chosen = [w for w in workloads(args.cpu) if args.workloads is None or w.name in args.workloads.split(",")]
  unknown = sorted(set(args.precisions.split(",")) - set(PRECISIONS))
  if unknown or not chosen:
    parser.error(f"no precision {unknown[0]!r}; there are {', '.join(PRECISIONS)}" if unknown else f"no workload of {args.workloads}")
  if args.cpu:
    args.rounds, args.seconds = 2, 0.05
  until = time.monotonic() + 60 * args.budget
  record: dict[str, Any] = {"machine": machine.describe(), "card": card(), "runs": [], "seeds": [], "left_out": [], "failed": []}
  kept = args.out / "gpu.json"
  if args.add and kept.is_file():
    record |= {name: json.loads(kept.read_text())[name] for name in ("runs", "seeds")}
  if not args.cpu:
    args.out.mkdir(parents=True, exist_ok=True)
  for workload, counts in () if args.no_seeds else families(args.cpu):
    count_seeds(record, workload, counts, args, until)
  for precision in args.precisions.split(","):
    compare(record, chosen, precision, args, until)
  print("\n" + document(record))


def put(record: dict[str, Any], table: str, entry: dict[str, Any], by: tuple[str, ...], args: argparse.Namespace) -> None:
  """Adds a measurement, in place of an older one of the same, and writes all: whatever stops the script, what was measured is there."""
  same = lambda other: all(other[key] == entry[key] for key in by)
  record[table] = [*(other for other in record[table] if not same(other)), entry]
  if not args.cpu:
    (args.out / "gpu.json").write_text(json.dumps(record, indent=1) + "\n")
    (args.out / "gpu.md").write_text(document(record))


@contextlib.contextmanager
def failing(record: dict[str, Any], what: str) -> Iterator[None]:
  """A side that dies, or computes another round, costs its workload alone."""
  try:
    yield
  except (step.DifferentError, SystemExit) as error:
    record["failed"].append(f"{what}: {error}")
    print(f"{what}: failed: {error}", flush=True)


def processes(stack: contextlib.ExitStack, cpu: bool, precision: str) -> tuple[step.Process, list[step.Process]]:
  """Ours and theirs, on the card, at a precision."""
  # Both sides share the card, so neither may take all of its memory.
  environment = {} if cpu else {"JAX_PLATFORMS": "cuda", "XLA_FLAGS": os.environ.get("XLA_FLAGS", ""), "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
  device = "cpu" if cpu else "cuda"
  ours = stack.enter_context(step.Process("gan_jax", "in_jax", environment, None if cpu else "-", precision=precision))
  torch = lambda name, **options: stack.enter_context(
    step.Process(name, "in_torch", environment, None if cpu else "-", device=device, precision=precision, **options)
  )
  others = [torch("PyTorch")]
  if machine.has_compiler():
    others.append(torch(report.COMPILED, compiled=True))
  return ours, others


def compare(record: dict[str, Any], chosen: list[Workload], precision: str, args: argparse.Namespace, until: float) -> None:
  waiting = list(chosen)
  while waiting:  # new processes for what is left, after a workload that failed
    with failing(record, f"{waiting[0].name} at {precision}"), contextlib.ExitStack() as stack:
      ours, others = processes(stack, args.cpu, precision)
      size = 256 if args.cpu else SIZE
      peak = max(side.ask("peak", size=size)["operations_a_second"] for side in (ours, others[0]))
      while waiting:
        workload = waiting[0]
        if time.monotonic() > until:
          record["left_out"].append(f"{workload.name} at {precision}")
        else:
          result = step.measure(workload, ours, others, args.rounds, args.seconds, "perf_counter", checked=precision == "float32")
          put(record, "runs", {**result, "precision": precision, "peak": peak}, ("title", "precision"), args)
          print(f"{precision} {workload.name}: " + "; ".join(f"{r['median']:.2f} of {name}" for name, r in result["wall_ratios"].items()), flush=True)
        waiting.pop(0)
      return
    waiting.pop(0)


def count_seeds(record: dict[str, Any], workload: Workload, counts: tuple[int, ...], args: argparse.Namespace, until: float) -> None:
  """A seed's round in one program of many, and PyTorch's alone, float32."""
  with failing(record, f"seeds of {workload.name}"), contextlib.ExitStack() as stack:
    ours, others = processes(stack, args.cpu, "float32")
    for side, seeds in [(others[0], 1), *((ours, count) for count in counts)]:
      if time.monotonic() > until:
        record["left_out"].append(f"{workload.name}, {seeds} seeds")
        continue
      side.ask("set_up", workload=workload._replace(seeds=seeds)._asdict())
      side.ask("warm_up", clock="perf_counter")
      times = [side.ask("spend", seconds=args.seconds, clock="perf_counter")["wall_seconds"] / seeds for _ in range(args.rounds)]
      entry = {"workload": workload.name, "side": side.name, "seeds": seeds, "wall_seconds_per_seed_round": times}
      put(record, "seeds", entry, ("workload", "side", "seeds"), args)


def card() -> str:
  if shutil.which("nvidia-smi") is None:
    return "none"
  query = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
  return machine.output(query)


def document(record: dict[str, Any]) -> str:
  facts = {**record["machine"], "card": record["card"], "left out for lack of time": ", ".join(record["left_out"]) or "nothing"}
  facts |= {"failed": "; ".join(record["failed"])} if record["failed"] else {}
  lines = [
    "# On a GPU: gan_jax beside PyTorch", "", "Wall time of a round, medians; how: `benchmarks/gpu.py`.", "",
    "| workload | precision | beside | their µs | our µs | times faster | their MFU | our MFU |", "|---|---|---|---:|---:|---|---:|---:|",
  ]  # fmt: skip
  for run in record["runs"]:
    times = {name: statistics.median(values) for name, values in run["wall_seconds_per_seed_round"].items()}
    share = {name: f"{run['operations'] / seconds / run['peak']:.1%}" for name, seconds in times.items()}
    for name, r in run["wall_ratios"].items():
      shown = f"**{r['median']:.2f}** ({r['min']:.2f}-{r['max']:.2f})"
      own = f"{run['title']} | {run['precision']} | {name} | {times[name] * 1e6:,.0f} | {times['gan_jax'] * 1e6:,.0f}"
      lines.append(f"| {own} | {shown} | {share[name]} | {share['gan_jax']} |")
    lines += [f"| {run['title']} | {run['precision']} | {name} | | | {why} | | |" for name, why in run["refused"].items()]
  lines += ["", "| a seed's round of | side | seeds as one program | µs | of PyTorch's |", "|---|---|---:|---:|---:|"]
  alone = {e["workload"]: statistics.median(e["wall_seconds_per_seed_round"]) for e in record["seeds"] if e["side"] == "PyTorch"}
  for entry in record["seeds"]:
    own = statistics.median(entry["wall_seconds_per_seed_round"])
    against = f"{alone[entry['workload']] / own:.1f}x" if entry["workload"] in alone else ""
    lines.append(f"| {entry['workload']} | {entry['side']} | {entry['seeds']} | {own * 1e6:,.1f} | {against} |")
  return "\n".join([*lines, "", *(f"- {name}: {value}" for name, value in facts.items())]) + "\n"


if __name__ == "__main__":
  main()
