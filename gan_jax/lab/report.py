"""The report of one or several run directories: summary.json, report.md, report.html and figures, rebuilt from the results on disk.

Nothing in it depends on the clock, so the same results give the same bytes. The steps: read the runs (`summary`), make tables (`tables`) and
pictures (`figures`, `sample_figures`), and lay them out (`page`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gan_jax.lab import figures, page, sample_figures, tables
from gan_jax.lab import summary as summaries
from gan_jax.lab.errors import StorageError, UsageError
from gan_jax.lab.page import Picture
from gan_jax.lab.terminal import print_table

__all__ = ["print_table", "report", "summarise_run"]


def summarise_run(directory: str | os.PathLike) -> dict[str, Any]:
  """Writes DIR/summary.json (atomically) and returns it.

  Keys: experiment, question, baseline, seeds, rounds, num_samples, num_modes, perfect {metric: value}, primary (the metric that decides failure
  and is tested), threshold (the modes a seed must reach); arms {arm: {"raw/modes_t50": {"seeds", "values", "mean", "sd", "median", "ci95"}}};
  info {arm: {status, parameters, samples_seen, rounds, cost_per_round, relative_cost, seeds, missing_seeds, label, warnings,
  failure {weights: {failures, n, rate, wilson}}, test {weights: {baseline, pairs, difference, p, p_holm}}}}.
  Numbers that are not finite are the strings "inf", "-inf" and "nan" in the file. Raises UsageError when DIR is no run directory.
  """
  run = summaries.read_run(directory)
  summary = summaries.summarise(run)
  write(run.directory / "summary.json", summaries.to_json(summary).encode())
  return summary


def report(directories: str | os.PathLike | Sequence[str | os.PathLike], out: str | os.PathLike | None = None) -> Path:
  """Compares all arms of the run directories; writes report.md, report.html and figures/ into `out` (the first directory unless given).

  Returns the path of report.html. Raises UsageError for directories that are no runs, or whose experiments, numbers of evaluation samples or
  perfect-sampler values differ.
  """
  if isinstance(directories, (str, os.PathLike)):
    directories = [directories]
  if not directories:
    raise UsageError("a report needs at least one run directory")
  runs = [summaries.read_run(directory) for directory in directories]
  summary, sources = summaries.combine(runs)
  folder = Path(out) if out is not None else runs[0].directory
  if len(runs) == 1 and folder == runs[0].directory:
    write(folder / "summary.json", summaries.to_json(summary).encode())
  pictures = draw(summary, sources, folder / "figures")
  write(folder / "report.md", _markdown(summary, runs, sources, pictures).encode())
  write(folder / "report.html", _html(summary, runs, sources, pictures).encode())
  return folder / "report.html"


def write(path: Path, content: bytes) -> None:
  """Writes the file whole or not at all."""
  temporary = path.with_name(path.name + ".tmp")
  try:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary.write_bytes(content)
    os.replace(temporary, path)
  except OSError as error:
    raise StorageError(f"cannot write {path}: {error.strerror or error}") from error


def draw(summary: Mapping[str, Any], sources: Mapping[str, tuple[summaries.Run, str]], folder: Path) -> list[Picture]:
  """Draws what the results allow and returns the pictures in the order of the report."""
  arms = [_view(name, summary, *source) for name, source in sources.items() if tables.mark_of(summary["info"][name]) != tables.NOT_STARTED]
  chosen = {arm.name: median_seed(summary, arm) for arm in arms if arm.samples is not None}
  run = next(iter(sources.values()))[0] if sources else None
  data = run.data if run else None
  shown = []
  if summary["num_modes"]:
    band = ("the band from the lowest to the highest seed" if len(summary["seeds"]) <= figures.FEW_SEEDS else "the band the middle half of the seeds")
    shown.append(("modes_over_time", "Modes over time", f"Modes seen by the live monitor (raw weights). The line is the median over seeds, {band}; "
                  "dashed is the perfect sampler; a red cross marks an arm that stopped early.",
                  figures.modes_over_time(arms, num_modes=summary["num_modes"], perfect=summary["monitor_modes"])))
  columns = [(name, heading) for name, heading, _ in tables.headline(summary, "raw")]
  wanted = [summary["primary"], "high_quality", "kl_reverse_nats"]
  picked = sorted((pair for pair in columns if pair[0] in wanted), key=lambda pair: wanted.index(pair[0])) or columns[:3]
  shown.append(("final_values", "Final values", "Every seed is a dot, the bar is the median, dashed is the perfect sampler (raw weights, last round).",
                figures.final_values(summary, picked)))
  shown.append(("samples", *_samples_figure(arms, chosen, data)))
  modes = data.modes if data is not None else None
  if modes is not None:
    p = np.asarray(modes.probabilities, float)
    caption = ("High-quality samples of each mode over what the training law gives it; 1 is right. Bars are means over seeds, dots are seeds; a bar "
               "that leaves the panel has its height written on it." if len(p) <= figures.MOST_BARS else
               "High-quality samples that a mode gets, modes sorted by it. A curve that falls to 0 early has lost modes.")
    shown.append(("mode_histograms", "Mode histograms", caption,
                  figures.mode_histograms(arms, probabilities=p, num_samples=summary["num_samples"])))
  pictures = []
  for stem, title, caption, figure in shown:
    if figure is not None:
      folder.mkdir(parents=True, exist_ok=True)
      figures.save(figure, folder / f"{stem}.png")
      pictures.append(Picture(folder / f"{stem}.png", title, caption, round(100 * figure.get_figwidth())))
  return pictures


def median_seed(summary: Mapping[str, Any], arm: figures.ArmView) -> int:
  """The seed whose primary metric is nearest to the arm's median; of several, the first."""
  part = summary["arms"].get(arm.name, {}).get(f"raw/{summary['primary']}")
  if part is None:
    return arm.seeds[0]
  values = {seed: float(value) for seed, value in zip(part["seeds"], part["values"], strict=True) if seed in arm.seeds}
  finite = {seed: value for seed, value in values.items() if np.isfinite(value)}
  return min(finite, key=lambda seed: (abs(finite[seed] - float(part["median"])), seed)) if finite else arm.seeds[0]


def findings(summary: Mapping[str, Any]) -> list[str]:
  """What the table says, in sentences that claim no more than it does."""
  lines = []
  info, name, threshold = summary["info"], summary["primary"], summary["threshold"]
  done = [arm for arm in info if info[arm]["status"] == "done" and f"raw/{name}" in summary["arms"][arm]]
  if threshold and done:
    medians = {arm: float(summary["arms"][arm][f"raw/{name}"]["median"]) for arm in done}
    reach = [arm for arm in done if medians[arm] >= threshold]
    short = [f"{arm} ({tables.number(medians[arm])})" for arm in sorted(done, key=lambda arm: -medians[arm]) if arm not in reach]
    goal = f"{tables.number(threshold)} modes or more" if (summary["num_modes"] or 0) >= summaries.MANY_MODES else f"all {tables.number(threshold)} modes"
    lines.append(f"A median of {goal} ({tables.heading_of(name)}, raw weights): {', '.join(reach) or 'no arm'}.")
    if short:
      lines.append(f"Below it, with their median: {', '.join(short)}.")
  tests = {arm: info[arm]["test"]["raw"] for arm in done if "raw" in info[arm]["test"]}
  if tests:
    better, worse, same = ([arm for arm, test in tests.items() if rule(test)] for rule in (
      lambda test: test["p_holm"] < .05 and test["difference"] > 0, lambda test: test["p_holm"] < .05 and test["difference"] < 0,
      lambda test: not test["p_holm"] < .05))
    more, fewer = ("More modes", "Fewer") if threshold else (f"Larger {name}", "Smaller")
    lines.append(f"{more} than {tables.baseline_name(summary)} at p < .05 after Holm: {', '.join(better) or 'no arm'}."
                 + (f" {fewer}: {', '.join(worse)}." if worse else "") + (f" No difference shown: {', '.join(same)}." if same else ""))
    pairs = min(test["pairs"] for test in tests.values())
    if 2 ** (1 - pairs) * len(tests) >= .05:
      lines.append(f"With {pairs} pairs of seeds and {len(tests)} arms the smallest p after Holm is {tables.probability(min(1., 2 ** (1 - pairs) * len(tests)))}:"
                   " this run cannot show a difference at .05 by itself.")
  waiting = [arm for arm in info if tables.mark_of(info[arm]) == tables.NOT_STARTED]
  odd = [f"{arm} ({tables.mark_of(info[arm])}{': ' + str(info[arm]['error']) if info[arm]['error'] else ''})" for arm in info
         if tables.mark_of(info[arm]) and arm not in waiting]
  if odd:
    lines.append(f"Incomplete: {', '.join(odd)}. Their numbers cover only what is there and are not tested.")
  if waiting:
    lines.append(f"Not started: {', '.join(waiting)}.")
  return lines


def _view(name: str, summary: Mapping[str, Any], run: summaries.Run, arm: str) -> figures.ArmView:
  samples = counts = None
  path = run.directory / "arms" / arm / "samples" / "final.npz"
  if path.is_file():
    with np.load(path, allow_pickle=False) as stored:
      samples = stored["raw"] if "raw" in stored else None
      counts = stored["mode_counts"] if "mode_counts" in stored else None
  info = summary["info"][name]
  seeds = [int(seed) for seed in run.status.get(arm, {}).get("seeds") or summary["seeds"]]
  size = next((len(part) for part in (samples, counts) if part is not None), 0)
  return figures.ArmView(name, tables.mark_of(info), name == summary["baseline"], run.curves.get(arm, {}),
                         seeds if len(seeds) == size else list(range(size)), samples if size else None, counts if size else None)


def _samples_figure(arms: Sequence[figures.ArmView], chosen: Mapping[str, int], data: Any) -> tuple[str, str, Any]:
  drawn = [arm for arm in arms if arm.samples is not None]
  if not drawn:
    return "Samples", "", None
  points = drawn[0].samples.ndim == 3
  if points and drawn[0].samples.shape[-1] != 2:
    return "Samples", "", None
  modes = data.modes if data is not None else None
  real = _real(data, min(sample_figures.MOST_POINTS, drawn[0].samples.shape[1]) if points else sample_figures.GRID ** 2)
  if points:
    centers = modes.centers if modes is not None else None
    return ("Samples over the true centres", "Raw weights at the last round, the seed with the median number of modes, up to "
            f"{min(sample_figures.MOST_POINTS, drawn[0].samples.shape[1])} samples an arm.",
            sample_figures.scatter(arms, chosen, real=real, centers=centers, assign=modes.assign if modes is not None else None))
  return ("Samples", "Raw weights at the last round, the seed with the median number of modes.", sample_figures.image_grids(arms, chosen, real=real))


def _real(data: Any, count: int) -> np.ndarray | None:
  if data is None:
    return None
  import jax
  return np.asarray(data.sample(jax.random.key(0), count)["image"])


def _facts(summary: Mapping[str, Any], runs: Sequence[summaries.Run]) -> list[tuple[str, str]]:
  """What one needs to run it again, for every run once."""
  pairs = [("seeds", f"{len(summary['seeds'])} ({_ranges(summary['seeds'])})"), ("rounds", tables.number(summary["rounds"])),
           ("evaluation", f"{tables.number(summary['num_samples'])} samples a seed")]
  for run in runs:
    env = run.environment
    command = env.get("command")
    shown = [("command", " ".join(command) if isinstance(command, list) else command), ("commit", env.get("commit")),
             ("device", env.get("device") or env.get("devices")), ("versions", env.get("versions"))]
    for name, value in shown:
      text = ", ".join(f"{key} {item}" for key, item in value.items()) if isinstance(value, Mapping) else (
        ", ".join(map(str, value)) if isinstance(value, list) else str(value) if value else "")
      if text and (name, text) not in pairs:
        pairs.append((name, text))
  return pairs


def _ranges(seeds: Sequence[int]) -> str:
  if len(seeds) > 2 and list(seeds) == list(range(seeds[0], seeds[-1] + 1)):
    return f"{seeds[0]}–{seeds[-1]}"
  return ", ".join(map(str, seeds))


def _tables(summary: Mapping[str, Any]) -> list[tables.Table]:
  averaged = any(name.startswith("ema/") for metrics in summary["arms"].values() for name in metrics)
  shown = [tables.main_table(summary, "raw"), tables.main_table(summary, "ema") if averaged else None, tables.dynamics_table(summary)]
  return [table for table in shown if table is not None]


def _title(summary: Mapping[str, Any]) -> str:
  return str(summary["question"] or summary["experiment"] or "Comparison")


READING = ("Each cell is the mean over seeds (standard deviation). The first row is what a perfect sampler of the training law gets with as many samples: "
           "no method can be expected to beat it.")


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


def _html(summary: Mapping[str, Any], runs: Sequence[summaries.Run], sources: Mapping, pictures: Sequence[Picture]) -> str:
  body = [f"<p class=\"eyebrow\">gan_jax · {page.escape(str(summary['experiment']))}</p>", f"<h1>{page.escape(_title(summary))}</h1>",
          page.items(findings(summary)), page.facts(_facts(summary, runs))]
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


def _markdown(summary: Mapping[str, Any], runs: Sequence[summaries.Run], sources: Mapping, pictures: Sequence[Picture]) -> str:
  parts = [f"# {_title(summary)}", f"gan_jax · {summary['experiment']}", "\n".join(f"- {line}" for line in findings(summary)),
           "\n".join(f"- {name}: " + (f"`{value}`" if name == "command" else value) for name, value in _facts(summary, runs))]
  for place, shown in enumerate(_tables(summary)):
    parts += [f"## {shown.title}", tables.markdown(shown).rstrip()]
    if place == 0:
      parts += [READING, "<details><summary>What the columns mean</summary>\n\n" + "\n".join(f"- {line}" for line in _legend(summary)) + "\n\n</details>"]
  for picture in pictures:
    parts += [f"## {picture.title}", f"![{picture.title}](figures/{picture.path.name})", picture.caption]
  seeds = tables.seeds_table(summary)
  parts += [f"<details><summary>{seeds.title}</summary>\n\n{tables.markdown(seeds)}\n</details>",
            f"<details><summary>The arms, as changes to the base config</summary>\n\n```\n{_patches(sources)}\n```\n\n</details>"]
  if _warnings(summary):
    parts.append("Warnings of the monitor:\n\n" + "\n".join(f"- {line}" for line in _warnings(summary)))
  return "\n\n".join(part for part in parts if part) + "\n"
