"""The record of a run as Markdown, and as a figure."""

import statistics
from pathlib import Path
from typing import Any

UNTHROTTLED = "PyTorch, MKL unthrottled"
COMPILED = "torch.compile"
PEAK = "matrix product 1024x1024x1024"


def document(record: dict[str, Any]) -> str:
  facts = {**record["machine"], "peak": f"{record['peak'] / 1e9:.0f} GFLOP/s, the largest matrix product's", **record["versions"]}
  results = record["results"]
  sides = [name for name in ("PyTorch", UNTHROTTLED, COMPILED, "gan_jax") if any(name in result["mebibytes"] for result in results)]
  parts = [
    "# Training rounds: gan_jax beside PyTorch",
    f"`{record['command']}`",
    f"CPU time of one thread on each side, interleaved turns: {record['rounds']} of at least {record['seconds']:g} s CPU in the last run. Every "
    f"workload has its own load average and commit, below. Targets met: {', '.join(_met(results, name) for name in sides if name != 'gan_jax')}. "
    "What is compared, and how to read it: benchmarks/README.md.",
    "## Ratios\n\nTheirs over ours, median (least-most) of adjacent turns; above 1 gan_jax is faster. Wall time on one core, which neighbours "
    "disturb, beside it.",
    _ratios(results),
    "## Against the machine\n\nOperations of products and convolutions in a seed's round, counted in PyTorch's, and the share of the peak that each "
    "side reaches in its fastest turn. Memory is what the process holds at its peak in training beyond what it held before the workload: libraries "
    "aside (but for what a side loads late), allocators' reserves included; read one digit. Set-up is the CPU time to the first round, compilation "
    "included: with empty caches, and with what the caches on disk hold.",
    _machine(results, sides),
    "## Single operations\n\nTo see where a ratio comes from.",
    _kernels(record["kernels"]),
    "\n".join(f"- {name}: {value}" for name, value in facts.items()),
  ]
  return "\n\n".join(parts) + "\n"


def _met(results: list[dict[str, Any]], name: str) -> str:
  met = [result["ratios"][name]["met"] for result in results if name in result["ratios"] and result["workload"]["target"]]
  return f"{sum(met)} of {len(met)} against {name}"


def _ratios(results: list[dict[str, Any]]) -> str:
  """One row a workload and opponent. Times are medians, in milliseconds of CPU for one seed's round."""
  lines = [
    "| workload | beside | their ms | our ms | times faster | fastest turns | wall | target | met |",
    "|---|---|---:|---:|---|---:|---:|---:|---|",
  ]
  for result in results:
    times = {name: statistics.median(values) * 1e3 for name, values in result["cpu_seconds_per_seed_round"].items()}
    for name, r in result["ratios"].items():
      spread = f"**{r['median']:.2f}** ({r['min']:.2f}-{r['max']:.2f})"
      verdict = f"{r['target'] or ''} | {('yes' if r['met'] else '**no**') if r['target'] else ''}"
      wall = result["wall_ratios"][name]["median"]
      own = f"{result['title']} | {name} | {times[name]:,.3g} | {times['gan_jax']:,.3g}"
      lines.append(f"| {own} | {spread} | {r['fastest']:.2f} | {wall:.2f} | {verdict} |")
    lines += [f"| {result['title']} | {name} | | | {why} | | | | |" for name, why in result["refused"].items()]
  return "\n".join(lines)


def _machine(results: list[dict[str, Any]], sides: list[str]) -> str:
  head = " | ".join(f"{name}: % of peak, MiB, set-up s" for name in sides)
  lines = [f"| workload | MFLOP | {head} | load | commit |", "|---|---:|" + "---|" * (len(sides) + 2)]
  for result in results:
    cells = []
    for name in sides:
      if name in result["refused"] or name not in result["mebibytes"]:
        cells.append("")
        continue
      share = result["operations"] / min(result["cpu_seconds_per_seed_round"][name]) / result["peak"]
      set_up = result["set_up_cpu_seconds"][name]
      cells.append(f"{share:.0%}, {max(0.0, result['mebibytes'][name]):,.0f}, {set_up['cold']:.1f} / {set_up['cached']:.1f}")
    load = "-".join(f"{x:.1f}" for x in result["load_average"])
    lines.append(f"| {result['title']} | {result['operations'] / 1e6:,.4g} | {' | '.join(cells)} | {load} | {result['commit']} |")
  return "\n".join(lines)


def _kernels(kernels: dict[str, dict[str, float]]) -> str:
  names = list(kernels)
  lines = [f"| float32 | {' | '.join('XLA, µs' if name == 'gan_jax' else f'{name}, µs' for name in names)} |", "|---" * (len(names) + 1) + "|"]
  for operation in kernels["gan_jax"]:
    lines.append(f"| {operation} | {' | '.join(f'{kernels[name][operation] * 1e6:,.1f}' for name in names)} |")
  return "\n".join(lines)


def figure(record: dict[str, Any], path: Path) -> None:
  """A row a workload, a point an opponent, with the least and the most; a tick at the target."""
  import matplotlib

  matplotlib.use("Agg")
  from matplotlib import pyplot as plt

  results = record["results"]
  names = [name for name in ("PyTorch", UNTHROTTLED, COMPILED) if any(name in result["ratios"] for result in results)]
  fig, ax = plt.subplots(figsize=(8, 1 + 0.36 * len(results)), layout="constrained")
  for number, name in enumerate(names):
    rows = [(row, result["ratios"][name]) for row, result in enumerate(results) if name in result["ratios"]]
    y = [row + 0.2 * (number - (len(names) - 1) / 2) for row, _ in rows]
    x = [r["median"] for _, r in rows]
    spread = [[r["median"] - r["min"] for _, r in rows], [r["max"] - r["median"] for _, r in rows]]
    ax.errorbar(x, y, xerr=spread, fmt="o", markersize=4, linewidth=1, label=f"beside {name}")
  targets = [(row, result["workload"]["target"]) for row, result in enumerate(results) if result["workload"]["target"]]
  ax.plot([t for _, t in targets], [row for row, _ in targets], "|", color="black", markersize=14, label="target")
  ax.axvline(1, color="grey", linewidth=0.8)
  ax.set_xscale("log")
  ticks = [t for t in (0.25, 0.5, 0.7, 1, 1.5, 2, 3, 4, 6, 8)]
  ax.set_xticks(ticks, [f"{t:g}" for t in ticks], minor=False)
  ax.set_xticks([], minor=True)
  ax.set_yticks(range(len(results)), [result["title"] for result in results], fontsize=8)
  ax.invert_yaxis()
  ax.set_xlabel("CPU time of a round, theirs / ours")
  ax.legend(fontsize=8, loc="upper left")
  fig.savefig(path, dpi=110)
  plt.close(fig)
