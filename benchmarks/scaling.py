"""How the cost of a round grows: with batch, seeds, unroll depth, packs, minibatch discrimination, devices and data, each beside its law.

  python benchmarks/scaling.py                      all curves, under 10 minutes of CPU time; writes results/scaling.json, .md and .png
  python benchmarks/scaling.py --curves=seeds,pack  these alone, into the same files

Small nets of experiments/ring_rls.py, one core, CPU time; a point is the median of five stretches. A law is the sum of the terms named, with
coefficients of at least 0 that fit the points by relative error; where a point is more than a fifth off, the law breaks, and the table says so.
Devices are forced ones that share the core: what they show is overhead alone. Memory is what XLA reserves for temporaries.
"""

import argparse
import functools
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from workloads import WORKLOADS, Workload, ring

HERE = Path(__file__).resolve().parent
RECORD = HERE / "results" / "scaling.json"
SECONDS = 0.15  # CPU time of a stretch
STRETCHES = 5
DEVICES = 8


class Point(NamedTuple):
  """CPU seconds of a round (of all seeds), MiB of temporaries, and of the program's arguments."""

  seconds: float
  temporary: float
  arguments: float


class Curve(NamedTuple):
  """`measure(x)` for each of `xs`, against the terms of a law; `of` says what of a Point is drawn."""

  title: str
  axis: str
  xs: tuple[int, ...]
  law: tuple[str, ...]
  measure: Callable[[int], Point]
  of: str = "seconds"


TERMS: dict[str, Callable[[float], float]] = {"1": lambda x: 1.0, "x": lambda x: x, "x²": lambda x: x * x}


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
  parser.add_argument("--curves", help=f"comma-separated, of {', '.join(CURVES)}")
  parser.add_argument("--forced", help=argparse.SUPPRESS)  # in a process of its own: this many devices, as a JSON line
  options = parser.parse_args()
  if options.forced:
    print(json.dumps([on_devices(int(n))._asdict() for n in options.forced.split(",")]))
    return
  chosen = options.curves.split(",") if options.curves else list(CURVES)
  unknown = sorted(set(chosen) - set(CURVES))
  if unknown:
    parser.error(f"no curve {unknown[0]!r}; there are {', '.join(CURVES)}")
  os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")
  if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
  import machine

  record = json.loads(RECORD.read_text()) if RECORD.exists() else {"curves": {}}
  record["machine"] = machine.describe()
  for name in chosen:
    start, load, curve = time.process_time(), os.getloadavg()[0], CURVES[name]
    points = forced(curve.xs) if name == "devices" else [curve.measure(x) for x in curve.xs]
    record["curves"][name] = {
      "xs": curve.xs, "points": [point._asdict() for point in points], "load_average": round(load, 1), "commit": machine.commit(),
      "cpu_seconds": time.process_time() - start,
    }  # fmt: skip
    print(f"{name}: {', '.join(f'{x}: {shown(curve, getattr(p, curve.of))}' for x, p in zip(curve.xs, points, strict=True))}", flush=True)
    RECORD.parent.mkdir(exist_ok=True)
    RECORD.write_text(json.dumps(record, indent=1) + "\n")
  RECORD.with_suffix(".md").write_text(document(record))
  figure(record, RECORD.with_suffix(".png"))
  print("\n" + document(record))


def measured(workload: Workload, layout: Any = None, remat: bool = False, timed: bool = True, **sections: Any) -> Point:
  """The runner's program of the workload, compiled and played."""
  import in_jax
  import jax
  import numpy as np

  from gan_jax.lab import program, resolve
  from gan_jax.transforms import anticipation

  config = in_jax.config(workload)
  config |= {name: section if "name" in section else {**config[name], **section} for name, section in sections.items()}
  experiment = resolve.build(config)
  bare = lambda game: game._replace(patience=None)  # then the program is one, and can be compiled ahead of time
  experiment = experiment._replace(game=bare(experiment.game), place=lambda *where, place=experiment.place: bare(place(*where)))
  played = program.program(experiment, layout)
  keys = program.seed_keys(tuple(range(workload.seeds)))
  with jax.disable_jit():  # op by op: nothing to compile for a state that is made once
    states = played.init(keys, experiment.data.table)
  arguments = (*map(played.layout.place, (states, played.totals(workload.seeds), keys)), played.layout.replicate(experiment.data.table), np.int32(1))
  plain = anticipation.look_ahead
  if remat:  # each step ahead is computed again on the way back
    again = lambda game, names: jax.checkpoint(lambda *arguments: plain(game, names, *arguments))
    anticipation.look_ahead = lambda game, names, *arguments: again(game, names)(*arguments)
  try:
    advance = played.advance.lower(*arguments).compile()
  finally:
    anticipation.look_ahead = plain
  memory = advance.memory_analysis()
  sizes = (memory.temp_size_in_bytes / 2**20, memory.argument_size_in_bytes / 2**20)
  if not timed:
    return Point(0.0, *sizes)
  states, totals, rest = *arguments[:2], arguments[2:4]

  def spend(rounds: int) -> float:
    nonlocal states, totals
    start = time.process_time()
    states, totals = jax.block_until_ready(advance(states, totals, *rest, np.int32(rounds)))
    return time.process_time() - start

  rounds = 1
  spend(rounds)
  while (taken := spend(rounds)) < SECONDS / 4:
    rounds *= 2
  rounds = max(1, round(rounds * SECONDS / taken))
  return Point(statistics.median(spend(rounds) / rounds for _ in range(STRETCHES)), *sizes)


def on_devices(count: int) -> Point:
  import jax

  from gan_jax.lab import strategy

  return measured(ring("", 512), layout=strategy.sharded(1, jax.devices()[:count]))


def forced(counts: Sequence[int]) -> list[Point]:
  """In a process whose CPU is split into devices."""
  flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={DEVICES}"
  command = [sys.executable, __file__, "--forced", ",".join(map(str, counts))]
  found = subprocess.run(command, env={**os.environ, "XLA_FLAGS": flags}, stdout=subprocess.PIPE, text=True, check=True)
  return [Point(**point) for point in json.loads(found.stdout.splitlines()[-1])]


def table(size: int) -> Any:
  """Images 8x8x3 of noise, `size` of them, on the device. For the config below."""
  import numpy as np

  from gan_jax.data import base, sources

  source = sources.memory(np.random.default_rng(0).integers(0, 256, (size, 8, 8, 3), dtype=np.uint8))
  return base.from_rows("noise", (8, 8, 3), base.Rows(source, base.uniform(size), base.unconditional))


def named(name: str) -> Workload:
  return next(workload for workload in WORKLOADS if workload.name == name)


@functools.cache
def unrolled(steps: int) -> Point:
  """Both of time and of memory."""
  return measured(ring("", 64, unroll=steps))


SALIMANS = {"across": {"name": "minibatch_discrimination", "num_kernels": 20, "dim": 5}}
UNROLLS = (1, 2, 5, 10, 20)
CURVES = {
  "batch": Curve("a round", "batch", (16, 64, 256, 1024, 4096), ("1", "x"), lambda x: measured(ring("", x))),
  "seeds": Curve("a round of all seeds, batch 64", "seeds", (1, 4, 16, 64, 256), ("1", "x"), lambda x: measured(ring("", 64, seeds=x))),
  "unroll": Curve("a round, batch 64", "steps looked ahead", UNROLLS, ("1", "x"), unrolled),
  "unroll_memory": Curve(
    "temporaries", "steps looked ahead", UNROLLS, ("1", "x"), unrolled, "temporary"
  ),
  "unroll_memory_remat": Curve(
    "temporaries, steps recomputed", "steps looked ahead", UNROLLS, ("1", "x"),
    lambda x: measured(ring("", 64, unroll=x), remat=True, timed=False), "temporary",
  ),
  "pack": Curve("a round of 64 packs", "examples in a pack", (1, 2, 4, 8), ("1", "x"), lambda x: measured(ring("", 64, pack=x))),
  "minibatch": Curve(
    "a round, minibatch discrimination", "batch", (16, 64, 256, 1024), ("1", "x", "x²"),
    lambda x: measured(ring("", x), discriminator=SALIMANS),
  ),
  "devices": Curve("a round, batch 512, on one core", "forced devices", (1, 2, 4, 8), ("1", "x"), on_devices),
  "data": Curve(
    "a round of the digits' MLP, batch 64", "examples on the device", (1_000, 10_000, 100_000, 1_000_000), ("1",),
    lambda x: measured(named("digits_mlp"), data={"name": "scaling:table", "size": x}),
  ),
}  # fmt: skip


def fitted(curve: Curve, values: Sequence[float]) -> list[float]:
  """The law at the points."""
  import numpy as np
  from scipy.optimize import nnls

  basis = np.array([[TERMS[term](x) for term in curve.law] for x in curve.xs])
  scaled = basis / np.asarray(values)[:, None]  # relative errors
  coefficients, _ = nnls(scaled, np.ones(len(values)))
  return list(basis @ coefficients)


def shown(curve: Curve, value: float) -> str:
  return f"{value:.3g} MiB" if curve.of != "seconds" else f"{value * 1e6:,.0f} µs"


def document(record: dict[str, Any]) -> str:
  lines = [
    "# How a round's cost grows", "", "`python benchmarks/scaling.py`: CPU time of one core. What is measured: the script's docstring.", "",
    "| curve | points | law | where it is more than a fifth off | load |", "|---|---|---|---|---:|",
  ]  # fmt: skip
  for name, found in record["curves"].items():
    curve = CURVES[name]
    values = [point[curve.of] for point in found["points"]]
    points = ", ".join(f"{x:,}: {shown(curve, value)}" for x, value in zip(curve.xs, values, strict=True))
    off = [(x, value / law) for x, value, law in zip(curve.xs, values, fitted(curve, values), strict=True)]
    breaks = ", ".join(f"{x:,}: {ratio:.2f} of it" for x, ratio in off if not 5 / 6 < ratio < 1.2)
    lines.append(f"| {curve.title}, by {curve.axis} | {points} | {' + '.join(curve.law)} | {breaks or 'nowhere'} | {found['load_average']} |")
  return "\n".join([*lines, "", *(f"- {name}: {value}" for name, value in record["machine"].items())]) + "\n"


def figure(record: dict[str, Any], path: Path) -> None:
  """A panel a curve: points, and the law as a line."""
  import matplotlib

  matplotlib.use("Agg")
  from matplotlib import pyplot as plt

  panels = [name for name in record["curves"] if name != "unroll_memory_remat"]
  fig, axes = plt.subplots(2, 4, figsize=(13, 6), layout="constrained")
  for ax in axes.flat[len(panels) :]:
    ax.set_axis_off()
  for ax, name in zip(axes.flat, panels, strict=False):
    drawn = [name, "unroll_memory_remat"] if name == "unroll_memory" and "unroll_memory_remat" in record["curves"] else [name]
    for each in drawn:
      curve = CURVES[each]
      scale = 1.0 if curve.of != "seconds" else 1e3
      values = [point[curve.of] * scale for point in record["curves"][each]["points"]]
      (points,) = ax.plot(curve.xs, values, "o", markersize=5, label="recomputed" if each != name else "kept" if len(drawn) > 1 else "measured")
      ax.plot(curve.xs, fitted(curve, values), color=points.get_color(), linewidth=1, label="law: " + " + ".join(curve.law) if each == name else None)
    ax.set(xscale="log", yscale="log", xlabel=curve.axis, title=curve.title.split(", steps")[0])
    ax.set_ylabel("MiB" if curve.of != "seconds" else "ms of CPU")
    ax.set_xticks(curve.xs, [f"{x:,}" if x < 1e5 else f"{x / 1e3:,.0f}k" for x in curve.xs], minor=False)
    ax.set_xticks([], minor=True)
    low, high = ax.get_ylim()
    if high / low < 4:  # a flat curve should look flat
      ax.set_ylim((low * high) ** 0.5 / 2, (low * high) ** 0.5 * 2)
    ax.title.set_fontsize(9)
    ax.legend(fontsize=7)
  fig.savefig(path, dpi=100)
  plt.close(fig)


if __name__ == "__main__":
  main()
