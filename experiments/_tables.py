"""The leagues' tables in README.md beside this, from results/*/summary.json: `python experiments/_tables.py` writes them, `--check` compares.

A table stands between `<!-- table of NAME -->` (or `tuning of`) and `<!-- end -->`; arms without results are left out. After more arms of a league:

  gan-jax report experiments/results/league_ring runs/league_ring --out=experiments/results/league_ring
  python experiments/_tables.py

Where that is refused, as the processor is another kind and vanilla's numbers with it, the runs have a folder and a table of their own.
"""

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
DECIDES = "raw/modes_tquarter"


def table(summary: Mapping[str, Any]) -> str:
  """Sorted by the median of what decides; the raw weights of the last round."""
  few = summary["num_modes"] < 100
  points = summary["perfect"]["high_quality"] < 1  # else every sample is of some class
  arms = {arm: values for arm, values in summary["arms"].items() if DECIDES in values and summary["info"][arm]["status"] == "done"}
  mean = lambda arm, name: float(arms[arm][name]["mean"])
  spread = lambda arm, name: f"{mean(arm, name):.2f} ({arms[arm][name]['sd']:.2f})" if few else f"{mean(arm, name):.0f} ({arms[arm][name]['sd']:.0f})"

  def row(arm: str) -> str:
    values, test = arms[arm], summary["info"][arm]["test"].get("raw")
    seeds = " ".join(f"{value:g}" for value in values[DECIDES]["values"])
    equal = f"{mean(arm, 'raw/modes_at_equal_samples'):.{1 if few else 0}f}" if "raw/modes_at_equal_samples" in values else ""
    against = f"{test['difference']:+.{1 if few else 0}f}, {test['p_holm']:.2g}" if test else "—"
    cells = [f"**{values[DECIDES]['median']:g}** [{seeds}]", spread(arm, DECIDES), spread(arm, "raw/modes_t1")]
    cells += [spread(arm, "raw/high_quality")] if points else []
    cells += [f"{mean(arm, 'raw/kl_reverse_nats'):.2g}", equal, against]
    return f"| {f'**{arm}**' if arm == summary['baseline'] else arm} | {' | '.join(cells)} |"

  perfect = {name: summary["perfect"][name] for name in ("modes_tquarter", "modes_t1", "high_quality", "kl_reverse_nats")}
  best = [f"**{perfect['modes_tquarter']:.0f}**", "", f"**{perfect['modes_t1']:.0f}**", *[f"**{perfect['high_quality']:.3f}**"] * points]
  best += [f"**{perfect['kl_reverse_nats']:.2g}**", "", ""]
  headings = ["arm", "median t=¼ [all seeds]", "mean t=¼ (sd)", "t=1", *["in 3σ"] * points, "KL (nats)", "equal samples", "Δ t=¼, p (Holm)"]
  order = sorted(arms, key=lambda arm: (-float(arms[arm][DECIDES]["median"]), -mean(arm, DECIDES)))
  lines = [f"| {' | '.join(headings)} |", "|---" * len(headings) + "|", f"| **perfect sampler** | {' | '.join(best)} |"]
  return "\n".join([*lines, *map(row, order)])


def tuning(summary: Mapping[str, Any]) -> str:
  """Methods all of whose three settings are done: mean modes at t = 1/4 and every seed, the best in bold."""
  done = [arm for arm in summary["arms"] if summary["info"][arm]["status"] == "done" and DECIDES in summary["arms"][arm]]
  lines = ["| method | default | its second setting | its third |", "|---|---|---|---|"]
  for method, *others in zip(done, done[1:], done[2:], strict=False):
    if all(other.startswith(f"{method}_") for other in others):
      means = [float(summary["arms"][arm][DECIDES]["mean"]) for arm in (method, *others)]
      shown = []
      for place, arm in enumerate((method, *others)):
        mean = f"**{means[place]:.1f}**" if place == means.index(max(means)) else f"{means[place]:.1f}"
        name = "" if arm == method else f"`{arm.removeprefix(f'{method}_')}` "
        shown.append(f"{name}{mean} [{' '.join(f'{value:g}' for value in summary['arms'][arm][DECIDES]['values'])}]")
      lines.append(f"| {method} | {' | '.join(shown)} |")
  return "\n".join(lines)


def written(text: str) -> str:
  """The README with its tables as the results have them now."""
  made = {"table": table, "tuning": tuning}
  found = lambda kind, name: made[kind](json.loads((HERE / "results" / name / "summary.json").read_text()))
  pattern = r"(<!-- (table|tuning) of (\w+) -->\n)(?:(?!<!--).)*(<!-- end -->)"
  return re.sub(pattern, lambda match: f"{match[1]}{found(match[2], match[3])}\n{match[4]}", text, flags=re.DOTALL)


if __name__ == "__main__":
  path = HERE / "README.md"
  now, wanted = path.read_text(), written(path.read_text())
  if "--check" in sys.argv and now != wanted:
    sys.exit(f"{path}: a table is not what results/ says; python experiments/_tables.py writes it")
  path.write_text(wanted)
