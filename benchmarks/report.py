"""The record of a run as Markdown."""

import statistics
from typing import Any

UNTHROTTLED = "PyTorch, MKL unthrottled"


def document(record: dict[str, Any]) -> str:
  facts = {**record["machine"], "load average at start and end": record["load_average"], **record["versions"]}
  verdicts = [f"{_met(record, name)} against {name}" for name in record["results"][0]["ratios"]]
  parts = [
    "# Training rounds: gan_jax beside PyTorch",
    f"`{record['command']}`",
    f"CPU time of one thread on each side, {record['rounds']} interleaved rounds of at least {record['seconds']:g} s CPU. "
    f"Targets met: {', '.join(verdicts)}. What is compared, and how to read it: benchmarks/README.md.",
    _results(record["results"]),
    "Single operations, to see where a ratio comes from:",
    _kernels(record["kernels"]),
    "\n".join(f"- {name}: {value}" for name, value in facts.items()),
  ]
  return "\n\n".join(parts) + "\n"


def _met(record: dict[str, Any], name: str) -> str:
  met = [result["ratios"][name]["met"] for result in record["results"]]
  return f"{sum(met)} of {len(met)}"


def _results(results: list[dict[str, Any]]) -> str:
  """One row a workload and opponent. Times are medians, in microseconds of CPU for one seed's round."""
  lines = [
    "| workload | beside | their µs | our µs | times faster, median (min-max) | fastest rounds | target | met |",
    "|---|---|---|---|---|---|---|---|",
  ]
  for result in results:
    times = {name: statistics.median(values) * 1e6 for name, values in result["seconds_per_seed_round"].items()}
    for name, r in result["ratios"].items():
      spread = f"**{r['median']:.2f}** ({r['min']:.2f}-{r['max']:.2f})"
      verdict = f"{r['target'] or ''} | {('yes' if r['met'] else '**no**') if r['target'] else ''}"
      lines.append(f"| {result['title']} | {name} | {times[name]:,.0f} | {times['gan_jax']:,.0f} | {spread} | {r['fastest']:.2f} | {verdict} |")
  return "\n".join(lines)


def _kernels(kernels: dict[str, dict[str, float]]) -> str:
  names = list(kernels)
  lines = [f"| float32 | {' | '.join('XLA, µs' if name == 'gan_jax' else f'{name}, µs' for name in names)} |", "|---" * (len(names) + 1) + "|"]
  for operation in kernels["gan_jax"]:
    lines.append(f"| {operation} | {' | '.join(f'{kernels[name][operation] * 1e6:.1f}' for name in names)} |")
  return "\n".join(lines)
