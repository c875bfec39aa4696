"""The report's text: what the tables say in sentences, how to run it again, the layout in Markdown and HTML."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from gan_jax.lab import formats, page, tables
from gan_jax.lab import summary as summaries
from gan_jax.lab.page import Picture


def findings(summary: Mapping[str, Any]) -> list[str]:
  """What the table says, in sentences that claim no more than it does."""
  lines = []
  info, name, threshold = summary["info"], summary["primary"], summary["threshold"]
  done = [arm for arm in info if info[arm]["status"] == "done" and f"raw/{name}" in summary["arms"][arm]]
  if threshold and done:
    medians = {arm: float(summary["arms"][arm][f"raw/{name}"]["median"]) for arm in done}
    reach = [arm for arm in done if medians[arm] >= threshold]
    short = [f"{arm} ({formats.number(medians[arm])})" for arm in sorted(done, key=lambda arm: -medians[arm]) if arm not in reach]
    goal = (
      f"{formats.number(threshold)} modes or more"
      if (summary["num_modes"] or 0) >= summaries.MANY_MODES
      else f"all {formats.number(threshold)} modes"
    )
    lines.append(f"A median of {goal} ({tables.heading_of(name)}, raw weights): {', '.join(reach) or 'no arm'}.")
    if short:
      lines.append(f"Below it, with their median: {', '.join(short)}.")
  if (summary["num_modes"] or 0) >= summaries.MANY_MODES and "modes_t1" in summary["perfect"]:
    goal = 0.9 * summary["perfect"]["modes_t1"]
    parts = {arm: summary["arms"][arm].get("raw/modes_t1") for arm in done}
    seen = {arm: float(part["median"]) for arm, part in parts.items() if part}
    reach = [f"{arm} ({formats.number(median)})" for arm, median in seen.items() if median >= goal]
    lines.append(f"A median of {formats.number(goal)} modes or more at t=1: {', '.join(reach) or 'no arm'}.")
  tests = {arm: info[arm]["test"]["raw"] for arm in done if "raw" in info[arm]["test"]}
  if tests:
    better, worse, same = (
      [arm for arm, test in tests.items() if rule(test)]
      for rule in (
        lambda test: test["p_holm"] < 0.05 and test["difference"] > 0,
        lambda test: test["p_holm"] < 0.05 and test["difference"] < 0,
        lambda test: not test["p_holm"] < 0.05,
      )
    )
    more, fewer = ("More modes", "Fewer") if threshold else (f"Larger {name}", "Smaller")
    lines.append(
      f"{more} than {tables.baseline_name(summary)} at p < .05 after Holm: {', '.join(better) or 'no arm'}."
      + (f" {fewer}: {', '.join(worse)}." if worse else "")
      + (f" No difference shown: {', '.join(same)}." if same else "")
    )
    pairs = max(test["pairs"] for test in tests.values())
    least = min(1.0, 2 ** (1 - pairs) * len(tests))  # all signs alike, the first of Holm's steps
    if least >= 0.05:
      lines.append(
        f"With {pairs} pairs of seeds and {len(tests)} arms the smallest p after Holm is {formats.probability(least)}:"
        " this run cannot show a difference at .05 by itself."
      )
  waiting = [arm for arm in info if tables.mark_of(info[arm]) == tables.NOT_STARTED]
  odd = [
    f"{arm} ({tables.mark_of(info[arm])}{': ' + str(info[arm]['error']) if info[arm]['error'] else ''})"
    for arm in info
    if tables.mark_of(info[arm]) and arm not in waiting
  ]
  if odd:
    lines.append(f"Incomplete: {', '.join(odd)}. Their numbers cover only what is there and are not tested.")
  if waiting:
    lines.append(f"Not started: {', '.join(waiting)}.")
  return lines


def _facts(summary: Mapping[str, Any], runs: Sequence[summaries.Run]) -> list[tuple[str, str]]:
  """What one needs to run it again, for every run once."""
  pairs = [
    ("seeds", f"{len(summary['seeds'])} ({_ranges(summary['seeds'])})"),
    ("rounds", formats.number(summary["rounds"])),
    ("evaluation", f"{formats.number(summary['num_samples'])} samples a seed"),
  ]
  for env in [env for run in runs for env in (run.environment, *run.environment.get("further", ()))]:
    command = env.get("command")
    shown = [
      ("command", " ".join(command) if isinstance(command, list) else command),
      ("commit", env.get("commit")),
      ("device", env.get("device") or env.get("devices")),
      ("versions", env.get("versions")),
    ]
    for name, value in shown:
      text = (
        ", ".join(f"{key} {item}" for key, item in value.items())
        if isinstance(value, Mapping)
        else (", ".join(map(str, value)) if isinstance(value, list) else str(value) if value else "")
      )
      if text and (name, text) not in pairs:
        pairs.append((name, text))
  return pairs


def _ranges(seeds: Sequence[int]) -> str:
  if len(seeds) > 2 and list(seeds) == list(range(seeds[0], seeds[-1] + 1)):
    return f"{seeds[0]}–{seeds[-1]}"
  return ", ".join(map(str, seeds))


def _tables(summary: Mapping[str, Any]) -> list[tables.Table]:
  averaged = any(name.startswith("ema/") for metrics in summary["arms"].values() for name in metrics)
  shown = [
    tables.main_table(summary, "raw"),
    tables.main_table(summary, "ema") if averaged else None,
    tables.dynamics_table(summary),
    tables.measured_table(summary, "raw"),
    tables.measured_table(summary, "ema") if averaged else None,
  ]
  return [table for table in shown if table is not None]


def _title(summary: Mapping[str, Any]) -> str:
  return str(summary["question"] or summary["experiment"] or "Comparison")


READING = (
  "Each cell is the mean over seeds (standard deviation). The first row is what a perfect sampler of the training law "
  "gets with as many samples: "
  "no method can be expected to beat it."
)


def _legend(summary: Mapping[str, Any]) -> list[str]:
  return [f"{heading}: {meaning}" for heading, meaning in tables.main_table(summary, "raw").columns if meaning]


def _patches(sources: Mapping[str, tuple[summaries.Run, str]]) -> str:
  lines = []
  for name, (run, arm) in sources.items():
    arms = run.config.get("arms", {})
    parts = [arms.get(part) for part in ([arm] if arm in arms else arm.split("+"))]
    lines.append(f"{name}: {' + '.join(json.dumps(part) for part in parts)}")
  return "\n".join(lines)


def _warnings(summary: Mapping[str, Any]) -> list[str]:
  return [f"{arm}: {warning}" for arm, info in summary["info"].items() for warning in info["warnings"]]


def html(summary: Mapping[str, Any], runs: Sequence[summaries.Run], sources: Mapping, pictures: Sequence[Picture]) -> str:
  body = [
    f'<p class="eyebrow">gan_jax · {page.escape(str(summary["experiment"]))}</p>',
    f"<h1>{page.escape(_title(summary))}</h1>",
    page.items(findings(summary)),
    page.facts(_facts(summary, runs)),
  ]
  for place, shown in enumerate(_tables(summary)):
    body += [page.heading(shown.title), page.table(shown)]
    if place == 0:
      body += [page.note(READING), page.folded("What the columns mean", page.items(_legend(summary)))]
  for picture in pictures:
    body += [page.heading(picture.title), page.figure(picture)]
  body.append(page.heading("In full"))
  for weights in ("raw", "ema"):
    full = tables.full_table(summary, weights)
    if full.columns:
      body.append(page.folded(full.title, page.table(full)))
  seeds = tables.seeds_table(summary)
  body.append(page.folded(seeds.title, page.table(seeds)))
  body.append(page.folded("The arms, as changes to the base config", page.code(_patches(sources))))
  body.append(page.folded("The base config", page.code(json.dumps(runs[0].config.get("config", {}), indent=2))))
  if _warnings(summary):
    body.append(page.folded("Warnings of the monitor", page.items(_warnings(summary))))
  return page.page(_title(summary), body)


def markdown(summary: Mapping[str, Any], runs: Sequence[summaries.Run], sources: Mapping, pictures: Sequence[Picture]) -> str:
  parts = [
    f"# {_title(summary)}",
    f"gan_jax · {summary['experiment']}",
    "\n".join(f"- {line}" for line in findings(summary)),
    "\n".join(f"- {name}: " + (f"`{value}`" if name == "command" else value) for name, value in _facts(summary, runs)),
  ]
  for place, shown in enumerate(_tables(summary)):
    parts += [f"## {shown.title}", tables.markdown(shown).rstrip()]
    if place == 0:
      parts += [
        READING,
        "<details><summary>What the columns mean</summary>\n\n" + "\n".join(f"- {line}" for line in _legend(summary)) + "\n\n</details>",
      ]
  for picture in pictures:
    parts += [f"## {picture.title}", f"![{picture.title}](figures/{picture.path.name})", picture.caption]
  seeds = tables.seeds_table(summary)
  parts += [
    f"<details><summary>{seeds.title}</summary>\n\n{tables.markdown(seeds)}\n</details>",
    f"<details><summary>The arms, as changes to the base config</summary>\n\n```\n{_patches(sources)}\n```\n\n</details>",
  ]
  if _warnings(summary):
    parts.append("Warnings of the monitor:\n\n" + "\n".join(f"- {line}" for line in _warnings(summary)))
  return "\n\n".join(part for part in parts if part) + "\n"
