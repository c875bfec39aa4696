"""The report of one or several run directories: summary.json, report.md, report.html and figures.

Nothing in it depends on the clock, so the same results give the same bytes. The steps: read the files (`results`),
compare the arms (`summary`), make tables (`tables`) and pictures (`figures`, `histograms`, `sample_figures`), and lay
them out (`document`, `page`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gan_jax.lab import document, figures, histograms, improvement, meters, pictures, pooling, results, rundir, sample_figures, scoring, tables
from gan_jax.lab import summary as summaries
from gan_jax.lab.errors import UsageError
from gan_jax.lab.page import Picture
from gan_jax.lab.terminal import print_table

__all__ = ["print_table", "report", "summarise_run"]


def summarise_run(directory: str | os.PathLike) -> dict[str, Any]:
  """Writes DIR/summary.json (atomically) and returns it.

  Keys: experiment, question, baseline, seeds, rounds, num_samples, num_modes, monitor_modes (what the live monitor
  would see of a perfect sampler), primary (the metric that decides failure and is tested), threshold (a seed below it has
  failed), measured (the values of evaluation.metrics), perfect {metric: value},
    arms {arm: {"raw/modes_tquarter": {seeds, values, mean, sd, median, ci95}}},
    info {arm: {status ("done", "failed", "unfinished"), error, label, warnings, seeds, missing_seeds, failed_seeds {seed: why},
                parameters {player: n}, samples_seen, rounds, num_steps, cost_per_round, relative_cost, compile_seconds,
                failure {weights: {failures, n, rate, wilson}},
                rates {"raw/all_modes_t1", "raw/no_modes_t1", ...: {count, n, rate, wilson}}, of few modes,
                test {weights: {baseline, pairs, difference, p, p_holm}}}}.
  In the file, numbers that are not finite are the strings "inf", "-inf" and "nan", which float() reads.

  UsageError: DIR is no run directory. StorageError: it cannot be written.
  """
  run = summaries.read_run(directory)
  summary = summaries.summarise(run)
  rundir.write(run.directory / "summary.json", summaries.to_json(summary).encode())
  return summary


def report(directories: str | os.PathLike | Sequence[str | os.PathLike], out: str | os.PathLike | None = None) -> Path:
  """Compares all arms. report.md, report.html, summary.json and figures/ go to `out`, by default the directory, or comparison/ in the first.

  Where the runs are one experiment, `out` has its settings and results as well, and can be read again as one of the directories (or be one, and
  grow): all that a table says, without checkpoints, logs and samples, and so without the figures made of these.

  Returns the path of report.html.
  UsageError: a directory is no run; or experiments, numbers of evaluation samples or perfect-sampler values differ.
  """
  if isinstance(directories, (str, os.PathLike)):
    directories = [directories]
  if not directories:
    raise UsageError("a report needs at least one run directory")
  runs = [summaries.read_run(directory) for directory in directories]
  summary, sources = summaries.combine(runs)
  if out is None and len(runs) == 1 and runs[0].kept:
    raise UsageError(f"{runs[0].directory} is what a report kept, without samples and logs; a report of it goes elsewhere: name --out=")
  folder = Path(out) if out is not None else runs[0].directory / ("comparison" if len(runs) > 1 else "")
  one = summaries.pooled(runs)
  own = [run for run in runs if run.directory.resolve() == folder.resolve()]
  if not own:
    _check_free(folder, one)
  elif len(one) > 1 and all(run.kept for run in own):
    raise UsageError(f"{folder} cannot grow by these runs: {pooling.why_apart(runs)}; name another --out=")
  if len(runs) == 1 or all(run.kept for run in own):
    rundir.write(folder / "summary.json", summaries.to_json(summary).encode())
  if len(one) == 1 and out is not None and all(run.kept for run in own):
    keep(one[0], folder)
  drawn = draw(summary, sources, folder / "figures")
  rundir.write(folder / "report.md", document.markdown(summary, runs, sources, drawn).encode())
  rundir.write(folder / "report.html", document.html(summary, runs, sources, drawn).encode())
  return folder / "report.html"


def _check_free(folder: Path, runs: Sequence[summaries.Run]) -> None:
  """Raises UsageError where a report would write over a run, or over kept results that it does not have."""
  if (folder / "arms").is_dir():
    raise UsageError(f"{folder} is a run of its own; name another --out=")
  if rundir.is_kept(folder):
    held = {(arm, seed) for arm, table in results.read_results(folder / "results.csv").items() for by_seed in table.values() for seed in by_seed}
    here = {(arm, seed) for run in runs[:1] for arm, table in run.values.items() for by_seed in table.values() for seed in by_seed}
    lost = sorted({arm for arm, _ in held - here} if len(runs) == 1 else {arm for arm, _ in held})
    if lost:
      raise UsageError(f"{folder} keeps results that would be lost ({', '.join(lost)}); name it as one of the directories too, or another --out=")


def keep(run: summaries.Run, folder: Path) -> None:
  """What beside summary.json is needed to read the folder again: see `report`."""
  environment, started = {**run.environment}, rundir.started_in(run.directory)
  environment.pop("folder", None)
  if started and folder.resolve().is_relative_to(started):  # elsewhere it would name folders of this machine
    environment["folder"] = os.path.relpath(started, folder.resolve())
  for name, content in (("config", run.config), ("environment", environment), ("perfect", run.perfect), ("identities", run.identities)):
    rundir.write_json(folder / f"{name}.json", content)
  last = lambda arm: run.status.get(arm, {}).get("step") or run.config.get("config", {}).get("num_steps")
  rows = [
    (run.config.get("experiment"), arm, seed, last(arm), *name.split("/", 1), value)
    for arm in run.arms
    for name, by_seed in run.values.get(arm, {}).items()
    for seed, value in sorted(by_seed.items())
  ]
  rundir.write_rows(folder / "results.csv", rows)


def draw(summary: Mapping[str, Any], sources: Mapping[str, tuple[summaries.Run, str]], folder: Path) -> list[Picture]:
  """Draws what the results allow and returns the pictures in the order of the report."""
  arms = [_view(name, summary, *source) for name, source in sources.items() if tables.mark_of(summary["info"][name]) != tables.NOT_STARTED]
  chosen = {arm.name: median_seed(summary, arm) for arm in arms if arm.samples is not None}
  run = next(iter(sources.values()))[0] if sources else None
  data = run.data if run else None
  shown = []
  if summary["num_modes"]:
    band = "the band from the lowest to the highest seed" if len(summary["seeds"]) <= figures.FEW_SEEDS else "the band the middle half of the seeds"
    shown.append(
      (
        "modes_over_time",
        "Modes over time",
        f"Modes seen by the live monitor (raw weights). The line is the median over seeds, {band}; "
        "dashed is the perfect sampler; a red cross marks an arm that stopped early.",
        figures.modes_over_time(arms, num_modes=summary["num_modes"], perfect=summary["monitor_modes"]),
      )
    )
  logs = {arm.name: sources[arm.name][0].logs.get(sources[arm.name][1], {}) for arm in arms}
  shown.append(("on_the_way", "On the way", meters.CAPTION, meters.on_the_way(logs, summary["baseline"])))
  columns = [(name, heading) for name, heading, _ in tables.headline(summary, "raw")]
  wanted = [summary["primary"], "high_quality", "kl_reverse_nats"]
  picked = sorted((pair for pair in columns if pair[0] in wanted), key=lambda pair: wanted.index(pair[0])) or columns[:3]
  shown.append(
    (
      "final_values",
      "Final values",
      "Every seed is a dot, the bar is the median, dashed is the perfect sampler (raw weights, last round).",
      figures.final_values(summary, picked),
    )
  )
  shown.append(
    (
      "improvement",
      "Chance of improvement",
      f"How often a run of the arm beats one of {tables.baseline_name(summary)} ({tables.heading_of(summary['primary'] or '')}, raw weights), a tie"
      " counting half, with a 95 % interval over seeds; filled where the paired test shows a difference at .05 after Holm. Cost and samples are"
      " those of a round, and real examples seen in all, as multiples of the baseline's.",
      improvement.figure(summary),
    )
  )
  shown.append(("samples", *_samples_figure(arms, chosen, data)))
  answers = {arm.name: _answers(*sources[arm.name], chosen.get(arm.name, next(iter(arm.seeds), 0))) for arm in arms}
  if any(path.is_file() for path in answers.values()):
    shown.append(
      (
        "answers",
        "Answers",
        "Images that were given, what the arm makes of them, and the data's own answers: averaged weights, where there are any, of the seed with"
        f" the median {tables.heading_of(summary['primary'] or '')} (raw weights).",
        sample_figures.answers(answers),
      )
    )
  near = [arm for arm in arms if arm.neighbours is not None]
  if near:
    shown.append(
      (
        "nearest_training_images",
        "Nearest training images",
        "Left, samples (raw weights, the seed with the median number of modes); beside each, the training images nearest to it in pixels, of up to"
        f" {scoring.MOST_TRAINING:,}. A sample at distance 0 is a copy of a training image; from one training image to the nearest other the median"
        f" distance is {float(near[0].training_distance or 0):.3g}.",
        sample_figures.nearest(near, chosen),
      )
    )
  modes = data.modes if data is not None else None
  if modes is not None:
    p = np.asarray(modes.probabilities, float)
    caption = (
      "High-quality samples of each mode over what the training law gives it; 1 is right. Bars are means over seeds, "
      "dots are seeds; a bar "
      "that leaves the panel has its height written on it."
      if len(p) <= histograms.MOST_BARS
      else "High-quality samples that a mode gets, modes sorted by it. A curve that falls to 0 early has lost modes."
    )
    shown.append(
      (
        "mode_histograms",
        "Mode histograms",
        caption,
        histograms.mode_histograms(arms, probabilities=p, num_samples=summary["num_samples"]),
      )
    )
  drawn = []
  for stem, title, caption, figure in shown:
    if figure is not None:
      folder.mkdir(parents=True, exist_ok=True)
      figures.save(figure, folder / f"{stem}.png")
      drawn.append(Picture(folder / f"{stem}.png", title, caption, round(100 * figure.get_figwidth())))
  return drawn


def median_seed(summary: Mapping[str, Any], arm: figures.ArmView) -> int:
  """The seed whose primary metric is nearest to the arm's median; of several, the first."""
  part = summary["arms"].get(arm.name, {}).get(f"raw/{summary['primary']}")
  if part is None:
    return arm.seeds[0]
  values = {seed: float(value) for seed, value in zip(part["seeds"], part["values"], strict=True) if seed in arm.seeds}
  finite = {seed: value for seed, value in values.items() if np.isfinite(value)}
  return min(finite, key=lambda seed: (abs(finite[seed] - float(part["median"])), seed)) if finite else arm.seeds[0]


def _answers(run: summaries.Run, arm: str, seed: int) -> Path:
  return run.folder(arm) / "samples" / f"answers_seed{seed}.png"


def _view(name: str, summary: Mapping[str, Any], run: summaries.Run, arm: str) -> figures.ArmView:
  samples = counts = None
  beside: dict[str, Any] = {}
  path = run.folder(arm) / "samples" / "final.npz"
  if path.is_file():
    with np.load(path, allow_pickle=False) as stored:
      samples = stored["raw"] if "raw" in stored else None
      counts = stored["mode_counts"] if "mode_counts" in stored else None
      beside = {name: stored[name] for name in ("neighbours", "neighbour_distances", "training_distance") if name in stored}
  info = summary["info"][name]
  seeds = [int(seed) for seed in run.status.get(arm, {}).get("seeds") or summary["seeds"]]
  size = next((len(part) for part in (samples, counts) if part is not None), 0)
  return figures.ArmView(
    name,
    tables.mark_of(info),
    name == summary["baseline"],
    run.curves(arm),
    seeds if len(seeds) == size else list(range(size)),
    samples if size else None,
    counts if size else None,
    **(beside if size else {}),
  )


def _samples_figure(arms: Sequence[figures.ArmView], chosen: Mapping[str, int], data: Any) -> tuple[str, str, Any]:
  without = [arm.name for arm in arms if arm.samples is None]
  arms = [arm for arm in arms if arm.samples is not None]
  if not arms:
    return "Samples", "", None
  samples: Any = arms[0].samples
  none = f" There are no samples here of {', '.join(without) if len(without) <= 6 else f'{len(without)} other arms'}." if without else ""
  points = samples.ndim == 3
  if points and samples.shape[-1] != 2:
    return "Samples", "", None
  most = min(sample_figures.MOST_POINTS, samples.shape[1]) if points else sample_figures.GRID**2
  modes = data.modes if data is not None else None
  real = _real(data, most)
  if points:
    centers = modes.centers if modes is not None else None
    return (
      "Samples over the true centres",
      f"Raw weights at the last round, the seed with the median number of modes, {most} samples a panel.{none}",
      sample_figures.scatter(arms, chosen, real=real, centers=centers, assign=modes.assign if modes is not None else None),
    )
  rows = " One row a class." if data is not None and _one_row_a_class(data) else ""
  return (
    "Samples",
    f"Raw weights at the last round, the seed with the median number of modes.{rows}{none}",
    sample_figures.image_grids(arms, chosen, real=real),
  )


def _real(data: Any, count: int) -> np.ndarray | None:
  if data is None:
    return None
  import jax

  if not _one_row_a_class(data):
    return np.asarray(data.sample(jax.random.key(0), count)["image"])
  batch = data.sample(jax.random.key(0), 50 * data.num_classes)
  return pictures.by_class(np.asarray(batch["image"]), np.asarray(batch["condition"]), data.num_classes, sample_figures.GRID)


def _one_row_a_class(data: Any) -> bool:
  return data.num_classes is not None and data.num_classes <= scoring.MOST_CLASSES and len(data.shape) == 3
