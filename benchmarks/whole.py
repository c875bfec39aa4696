"""Whole runs by the wall clock: arms of experiments/ring_rls.py beside a sequential PyTorch loop, and how long a new user waits.

  python benchmarks/whole.py                     both parts, about an hour; writes results/whole.json and whole.md
  python benchmarks/whole.py --arms=vanilla:10   this arm alone, 10 of PyTorch's seeds, into the same record
  python benchmarks/whole.py --arms=r1:1 --rounds=600    a look: fewer rounds, writes nothing

Ours is the command of the README, `gan-jax run --config=experiments/ring_rls.py --arms=ARM`: 10 seeds, 30,000 rounds, a check every 500, metrics,
checkpoints, figures, scores (exact W1 among them) and the report, with an empty compilation cache. Theirs is what a script would do: the same
round (compared with ours to 1e-4 before anything is timed), seed after seed, modes counted every 500 rounds and at the end, and nothing else: no
checkpoints, no figures, no W1. A sequential loop takes k times as long for k seeds, so theirs is measured for the number of seeds that the arm
names and scaled to 10; the record has both numbers. Our seeds run side by side on the cores there are; theirs has one thread, for on these sizes more
threads spend CPU time and save no wall time, and a script a core would use the others: **quote the ratios of CPU time**. One run of each side. MKL
unthrottled: see README.md; two seeds at most.

The modes that PyTorch's seeds hold are in the record, too: an independent repetition of the arm.
"""

import argparse
import contextlib
import importlib
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import machine
import numpy as np
import report
import step
from workloads import CENTERS, SIGMA, Workload, ring

HERE = Path(__file__).resolve().parent
RECORD = HERE / "results" / "whole.json"
EXPERIMENT = "experiments/ring_rls.py"
SEEDS, ROUNDS, EVERY = 10, 30_000, 500
ARMS = {
  "vanilla": ring("vanilla", 64),
  "pacgan2": ring("pacgan2", 32, pack=2),
  "r1": ring("r1", 64, terms={"r1": {"gamma": 0.1}}),
  "rpgan_r1_r2": ring("rpgan_r1_r2", 64, objective="relativistic_paired", terms={"r1": {"gamma": 1.0}, "r2": {"gamma": 1.0}}),
  "unrolled5": ring("unrolled5", 64, unroll=5),
}
MEASURED = "vanilla:10,pacgan2:2,r1:2,rpgan_r1_r2:2,unrolled5:1"  # seeds of PyTorch's


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
  parser.add_argument("--arms", help=f"ARM:SEEDS, comma-separated: how many of PyTorch's seeds ({MEASURED}); without it, the start as well")
  parser.add_argument("--rounds", type=int, default=ROUNDS)
  parser.add_argument("--theirs", help=argparse.SUPPRESS)  # ARM:SEEDS: be the PyTorch script
  args = parser.parse_args()
  chosen = [(name, int(seeds or SEEDS)) for name, _, seeds in (arm.partition(":") for arm in (args.theirs or args.arms or MEASURED).split(","))]
  unknown = [name for name, _ in chosen if name not in ARMS]
  if unknown:
    parser.error(f"no arm {unknown[0]!r}; there are {', '.join(ARMS)}")
  if args.theirs:
    print(json.dumps(theirs(*chosen[0], args.rounds)))
    return
  record: dict[str, Any] = {
    "command": shlex.join(["python", "benchmarks/whole.py", *sys.argv[1:]]), "rounds": args.rounds, "seeds": SEEDS, "machine": machine.describe(),
  }  # fmt: skip
  whole = args.rounds == ROUNDS
  before = json.loads(RECORD.read_text()) if whole and RECORD.exists() else {"start": [], "arms": []}
  record["start"] = before["start"] if args.arms else starts()
  measured = {arm["arm"]: arm for arm in before["arms"]}
  for name, seeds in chosen:
    measured[name] = compare(name, seeds, args.rounds)
    record["arms"] = [measured[arm] for arm in ARMS if arm in measured]
    if whole:
      RECORD.write_text(json.dumps(record, indent=1) + "\n")
      RECORD.with_suffix(".md").write_text(document(record))
  print("\n" + document(record))


def starts() -> list[dict[str, Any]]:
  """From the command to the first scores of a model in training, and to the report, with an empty cache and with a full one."""
  found = []
  for config in (f"{EXPERIMENT}:quick", "experiments/stacked_digits.py:quick"):
    with tempfile.TemporaryDirectory() as folder:
      for cache in ("empty", "full"):
        found.append({"config": config, "cache": cache, **ours(config, Path(folder) / cache, Path(folder) / "xla")})
        seconds = f"first scores after {found[-1]['first_scores']:.1f} s, report after {found[-1]['wall_seconds']:.1f} s"
        print(f"{config}, {cache} cache: {seconds}", flush=True)
  return found


def compare(name: str, seeds: int, rounds: int) -> dict[str, Any]:
  with step.Process("gan_jax", "in_jax") as one, step.Process("PyTorch", "in_torch") as other:
    for side in (one, other):
      side.ask("set_up", workload=ARMS[name]._asdict())
    differences = step.check(ARMS[name], one, other)
  load = os.getloadavg()[0]
  with tempfile.TemporaryDirectory() as folder:
    own = ours(EXPERIMENT, Path(folder) / "run", Path(folder) / "xla", f"--arms={name}", f"--config.num_steps={rounds}")
    shim = machine.intel_kernels(Path(folder))
    scripts = {"PyTorch": script(name, seeds, rounds)}
    if shim is not None:
      scripts[report.UNTHROTTLED] = script(name, min(seeds, 2), rounds, {"LD_PRELOAD": str(shim)})
  result = {
    "arm": name, "ours": own, "theirs": scripts, "largest_differences": differences,
    "load_average": [round(load, 1), round(os.getloadavg()[0], 1)], "commit": machine.commit(),
  }  # fmt: skip
  beside = "; ".join(f"{side} {each['all_seeds']['cpu_seconds']:.0f}" for side, each in scripts.items())
  print(f"{name}: ours {own['cpu_seconds']:.0f} CPU s; {beside}", flush=True)
  return result


def script(name: str, seeds: int, rounds: int, environment: dict[str, str] | None = None) -> dict[str, Any]:
  """A run of the PyTorch script, and what it would have taken for all seeds: the interpreter starts once, however many follow."""
  one_thread = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", **(environment or {})}
  said, wall, cpu = spent([sys.executable, str(HERE / "whole.py"), f"--theirs={name}:{seeds}", f"--rounds={rounds}"], one_thread)
  made = json.loads(said)
  once = lambda total, start: start + (total - start) * SEEDS / seeds
  every = {"wall_seconds": once(wall, made["start"]["wall_seconds"]), "cpu_seconds": once(cpu, made["start"]["cpu_seconds"])}
  return {"seeds": seeds, "wall_seconds": wall, "cpu_seconds": cpu, "all_seeds": every, **made}


def ours(config: str, workdir: Path, cache: Path, *arguments: str) -> dict[str, Any]:
  """A whole run in a process of its own."""
  command = [sys.executable, "-m", "gan_jax", "run", f"--config={config}", f"--workdir={workdir}", "--quiet", *arguments]
  first: list[float] = []

  def watch(since: float) -> None:
    if not first and any(path.stat().st_size for path in workdir.glob("arms/*/metrics.jsonl")):
      first.append(time.perf_counter() - since)

  _, wall, cpu = spent(command, {"JAX_COMPILATION_CACHE_DIR": str(cache)}, watch)
  status = [json.loads(path.read_text()) for path in workdir.glob("arms/*/status.json")]
  seconds = {kind: sum(each["seconds"][kind] for each in status) for kind in status[0]["seconds"]}
  modes = [row.split(",") for path in workdir.glob("arms/*/results.csv") for row in path.read_text().splitlines() if ",raw,modes_t1," in row]
  held = {"modes_t1": [float(row[-1]) for row in modes]} if len(status) == 1 else {}
  return {"wall_seconds": wall, "cpu_seconds": cpu, "first_scores": first[0] if first else float("nan"), "seconds": seconds, **held}


def spent(command: list[str], environment: dict[str, str] | None = None, watch: Any = lambda since: None) -> tuple[str, float, float]:
  """What a command says, and its wall and CPU seconds."""
  start = time.perf_counter()
  with tempfile.TemporaryFile("w+") as out:
    process = subprocess.Popen(command, cwd=HERE.parent, env={**os.environ, **(environment or {})}, stdout=out)
    while True:
      pid, status, usage = os.wait4(process.pid, os.WNOHANG)
      watch(start)
      if pid:
        break
      time.sleep(0.02)
    wall = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
      raise SystemExit(f"{shlex.join(command)} failed; what it said is above")
    out.seek(0)
    return out.read(), wall, usage.ru_utime + usage.ru_stime


def theirs(name: str, seeds: int, rounds: int) -> dict[str, Any]:
  """The PyTorch script: seed after seed, Glorot's normal weights, modes counted every EVERY rounds and at the end."""
  began = time.perf_counter()
  torch, in_torch = importlib.import_module("torch"), importlib.import_module("in_torch")
  start = {"wall_seconds": time.perf_counter() - began, "cpu_seconds": time.process_time()}
  held = []
  for seed in range(seeds):
    torch.manual_seed(seed)
    player, noise, modes = glorot(torch, in_torch, ARMS[name]), in_torch.Noise(), []
    if ARMS[name].unroll:  # looks at D's moments, which the first update makes
      player.discriminator_turn(player.draw_real(), noise)
    for number in range(1, rounds + 1):
      player.round(player.draw_real(), noise)
      if number % EVERY == 0:
        modes.append(count(torch, player, ARMS[name], 2500, 1))
    held.append({"modes_t1": count(torch, player, ARMS[name], 10_000, 1), "in_training": modes})
  return {"start": start, "held": held, "modes_t1": [each["modes_t1"] for each in held]}


def glorot(torch: Any, in_torch: Any, workload: Workload) -> Any:
  """One seed's players, with the weights that gan_jax starts from in law: Glorot's normal ones, here not truncated, and biases of 0."""
  player = (in_torch.Unrolled if workload.unroll else in_torch.Plain)(workload)
  for net in player.nets.values():
    for module in net.modules():
      if isinstance(module, torch.nn.Linear):
        torch.nn.init.xavier_normal_(module.weight)
        torch.nn.init.zeros_(module.bias)
  if workload.unroll:  # which keeps D's weights in one vector of its own
    player.flat.data.copy_(player._join(player.own))
  return player


def count(torch: Any, player: Any, workload: Workload, n: int, threshold: int) -> int:
  """Modes with at least so many of n samples within 3 sigma."""
  with torch.no_grad():
    samples = player.generator(torch.randn(n, workload.latent)).numpy()
  distances = np.linalg.norm(samples[:, None] - np.asarray(CENTERS), axis=-1)
  close = np.bincount(distances.argmin(1)[distances.min(1) <= 3 * SIGMA], minlength=len(CENTERS))
  return int((close >= threshold).sum())


def document(record: dict[str, Any]) -> str:
  lines = [
    "# Whole runs", "", f"`{record['command']}`; what is compared: `benchmarks/whole.py`.", "",
    "## How long a new user waits", "",
    "| `gan-jax run --config=` | compilation cache | first scores after, s | report after, s | CPU s | compiling, s |",
    "|---|---|---:|---:|---:|---:|",
  ]  # fmt: skip
  for each in record["start"]:
    cells = f"{each['first_scores']:.1f} | {each['wall_seconds']:.1f} | {each['cpu_seconds']:.1f} | {each['seconds']['compile']:.1f}"
    lines.append(f"| `{each['config']}` | {each['cache']} | {cells} |")
  lines += [
    "", f"## Arms of `{EXPERIMENT}`, {record['seeds']} seeds, {record['rounds']:,} rounds, beside a sequential PyTorch loop", "",
    "CPU seconds; wall seconds are in whole.json. Theirs scaled from the seeds that were measured.", "",
    "| arm | beside | ours, s | theirs, s | times faster | seeds of theirs measured | modes, ours | modes, theirs | load | commit |",
    "|---|---|---:|---:|---:|---:|---|---|---|---|",
  ]  # fmt: skip
  for each in record["arms"]:
    own = each["ours"]
    for side, made in each["theirs"].items():
      total = made["all_seeds"]["cpu_seconds"]
      cells = [
        each["arm"], side, f"{own['cpu_seconds']:,.0f}", f"{total:,.0f}", f"**{total / own['cpu_seconds']:.1f}**", f"{made['seeds']}",
        " ".join(f"{m:g}" for m in own["modes_t1"]), " ".join(f"{m:g}" for m in made["modes_t1"]), "-".join(map(str, each["load_average"])),
        each["commit"],
      ]  # fmt: skip
      lines.append(f"| {' | '.join(cells)} |")
  return "\n".join([*lines, "", *(f"- {name}: {value}" for name, value in record["machine"].items())]) + "\n"


if __name__ == "__main__":
  with contextlib.suppress(KeyboardInterrupt):
    main()
