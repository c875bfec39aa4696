"""The comparison as tables: the same cells for the terminal, for Markdown and for the web page.

A table is a list of rows of cells; a cell has its text, a second line in small print, and what one sees on hover. The
first row is always the perfect sampler: what an exact sampler of the training law gets under the same evaluation.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from gan_jax.lab import summary as summaries
from gan_jax.lab.formats import ABSENT, digits, mean_sd, number, probability, short

NOT_STARTED = "NOT STARTED"


class Cell(NamedTuple):
  text: str
  small: str = ""
  hover: str = ""
  line: str = ""  # instead of `text` where there is no room for small print

  @property
  def one_line(self) -> str:
    return self.line or self.text


class Row(NamedTuple):
  name: str
  cells: list[Cell]
  mark: str = ""  # "FAILED at round 1,200": shown beside the name, never left out
  kind: str = "arm"  # "perfect", "baseline", "arm"
  note: str = ""  # the arm's own label


class Table(NamedTuple):
  title: str
  columns: list[tuple[str, str]]  # (heading, what it means)
  rows: list[Row]


class _Column(NamedTuple):
  heading: str
  meaning: str
  perfect: Cell
  cell: Callable[[str], Cell]  # of an arm


FLOOR = rf"(?:_({summaries.FLOORS}))?(?:_ref)?_n\d+"  # what a task's metric ends in: a floor beside it has its name there
READ = r"(?:answer_|kept_)?"  # what the verifier read: off samples, off answers, off translations beside what was given
# Metrics worth the first table, in this order: (pattern of the name, heading, meaning). The rest is in the last table.
HEADLINE: list[tuple[str, str, str]] = [
  (r"modes_t_?1", "modes t=1", "modes with at least one high-quality sample"),
  (r"modes_t_?(\d+)", "modes t={0}", "modes with at least {0} high-quality samples"),
  (
    r"modes_t?_?quarter",
    "modes t=¼",
    "modes with at least ¼·N·p_k high-quality samples, a quarter of what the training law gives them",
  ),
  (r"high_quality", "high quality", "fraction of samples within three σ of a centre (classified data: finite samples)"),
  (r"kl_reverse_nats", "KL rev. (nats)", "Σ p̂ ln(p̂/p) over the modes, p the training law, all samples"),
  (r"tvd", "TVD", "½ Σ |p̂ − p| over the modes"),
  (r"minority(_mass)?_ratio", "minority", "mass of the rare modes over what the training law gives them; 1 is right"),
  (r"w1(_.*)?|wasserstein_?1", "W1", "Wasserstein-1 distance to real samples; the perfect row is real against real"),
  (rf"psnr{FLOOR}", "PSNR {0}", "peak signal-to-noise ratio to the data's own answer, dB; a second column is a floor that has learnt nothing"),
  (rf"ssim{FLOOR}", "SSIM {0}", "structural similarity to the data's own answer"),
  (rf"hole_error{FLOOR}", "hole error {0}", "mean absolute error in the hole, 0 ... 255"),
  (rf"{READ}triangle_ok{FLOOR}", "valid {0}", "share in which the verifier finds a triangle"),
  (rf"{READ}vertex_px{FLOOR}", "corners {0}", "pixels from the corners of the true triangle, median"),
  (rf"{READ}miou{FLOOR}", "IoU {0}", "intersection over union with the true triangle's mask, mean"),
  (rf"{READ}all_five{FLOOR}", "all five {0}", "share with all five attributes right"),
  (rf"kept_style{FLOOR}", "style {0}", "share with a fill and a texture of the other set"),
  (r"(?:caption_)?r_precision_ref_n\d+", "R-precision", "share whose caption is the best among those that say something else"),
  (rf"alpha_iou{FLOOR}", "mask IoU", "intersection over union of the learned mask and the triangle that the verifier finds"),
  (r"balanced_accuracy(?:_(plain|oversampled|oracle))?_s\d+", "accuracy {0}", "balanced, of a classifier that the generated images teach, too"),
  (r"gap_closed_s\d+", "gap closed", "of the accuracy between plain and oracle; 1 is as good as real images"),
]

# How the second half of training went (`metrics.monitor.second_half`); in the table of the way there alone.
LATE_COLUMNS: list[tuple[str, str, str]] = [
  ("raw/late_gradient", "gradient", "norm of the gradient of the generator's loss, median over the second half of training; near 0 it has vanished"),
  ("raw/late_tvd", "TVD late", "distance of the histogram of modes to the law, mean over the second half"),
  ("raw/late_churn", "churn late", "the same to the histogram of the check before; high beside a high TVD is rotation through few modes"),
  ("raw/late_quality", "high quality late", "share of samples of high quality, mean over the checks of the second half"),
  ("raw/late_quality_swing", "swing of it", "its standard deviation over those checks; 0 where training has settled"),
  ("raw/late_swing", "swing of loss", "standard deviation of the generator's loss over the checks of the second half; compare within one objective"),
]
ON_THE_WAY = {"time_to_all_modes", "area_under_modes", "modes_at_equal_samples", *(name.removeprefix("raw/") for name, *_ in LATE_COLUMNS)}


def mark_of(info: Mapping[str, Any]) -> str:
  """What must be said beside an arm's name, "" when all is well."""
  at = f" at round {info['rounds']:,}" if info.get("rounds") else ""
  at += f" of {info['num_steps']:,}" if at and info.get("num_steps") else ""
  missing = info.get("missing_seeds") or []
  partial = (
    f"only {len(info['seeds'])} of {len(info['seeds']) + len(missing)} seeds" if missing and info["seeds"] else ""
  )
  if info.get("failed_seeds"):
    partial += f", seed {', '.join(info['failed_seeds'])} FAILED" if partial else f"seed {', '.join(info['failed_seeds'])} FAILED"
  state = {"failed": f"FAILED{at}", "unfinished": f"UNFINISHED{at}" if at else NOT_STARTED}.get(info["status"], "")
  return ", ".join(part for part in (state, partial) if part)


def main_table(summary: Mapping[str, Any], weights: str) -> Table:
  """The headline table of one kind of weights ("raw", "ema"): metrics, failures, test; for raw weights the costs."""
  columns = _comparison(summary, weights)
  at = next((place for place, column in enumerate(columns) if not column.heading.startswith("modes")), len(columns))
  columns[at:at] = _verdicts(summary, weights)  # beside the modes that they are about
  columns += _costs(summary) if weights == "raw" else []
  rows = [Row("perfect sampler", [column.perfect for column in columns], kind="perfect")]
  for arm, info in summary["info"].items():
    kind = "baseline" if arm == summary["baseline"] or arm.endswith(f"/{baseline_name(summary)}") else "arm"
    rows.append(Row(arm, [column.cell(arm) for column in columns], mark_of(info), kind, info.get("label") or ""))
  title = {"raw": "Raw weights, last round", "ema": "Averaged weights (EMA), last round"}[weights]
  return Table(title, [(column.heading, column.meaning) for column in columns], rows)


def dynamics_table(summary: Mapping[str, Any]) -> Table | None:
  """How training went rather than where it ended: from the monitor, every few hundred rounds."""
  many = (summary["num_modes"] or 0) >= summaries.MANY_MODES
  goal = "90 % of the modes that the monitor would see of a perfect sampler" if many else "every mode"
  names = [
    (
      "raw/time_to_all_modes",
      "rounds to 90 % of modes" if many else "rounds to all modes",
      f"first monitor check with {goal}; ∞ where a seed never had them",
    ),
    (
      "raw/area_under_modes",
      "area under modes",
      "mean over training of the modes held, over those of a perfect sampler; 1 is all of them from the first check on",
    ),
  ]
  if len({info.get("samples_seen") for info in summary["info"].values()} - {None}) > 1:
    names.append(
      (
        "raw/modes_at_equal_samples",
        "modes, equal samples",
        f"that the monitor saw when the arm had seen as many real examples as {baseline_name(summary)} sees in all: is its lead one of samples?",
      )
    )
  names = [entry for entry in [*names, *LATE_COLUMNS] if any(entry[0] in metrics for metrics in summary["arms"].values())]
  if not names:
    return None
  columns = [(heading, meaning) for _, heading, meaning in names]
  columns += [("s per 1,000 rounds", "seconds per seed"), ("compile (s)", "once an arm"), ("rounds", "rounds trained")]
  rows = []
  for arm, info in summary["info"].items():
    cost = info.get("cost_per_round")
    cells = [metric_cell(summary["arms"][arm].get(name)) for name, *_ in names]
    cells += [
      Cell(number(cost and 1000 * cost)),
      Cell(number(info.get("compile_seconds"))),
      Cell(number(info.get("rounds"))),
    ]
    rows.append(Row(arm, cells, mark_of(info), "baseline" if arm == summary["baseline"] else "arm"))
  return Table("On the way there (raw weights, live monitor)", columns, rows)


def measured_table(summary: Mapping[str, Any], weights: str) -> Table | None:
  """What evaluation.metrics names, without the lists of single classes and confidences; None where it names nothing."""
  there = {name for metrics in summary["arms"].values() for name in metrics}
  names = [name for name in summary["measured"] if f"{weights}/{name}" in there and not re.fullmatch(r"class_\w+_\d+|modes_c.*", name)]
  if not names:
    return None
  rows = [Row("perfect sampler", [Cell(digits(summary["perfect"].get(name))) for name in names], kind="perfect")]
  for arm, info in summary["info"].items():
    cells = [metric_cell(summary["arms"][arm].get(f"{weights}/{name}")) for name in names]
    rows.append(Row(arm, cells, mark_of(info), "baseline" if arm == summary["baseline"] else "arm"))
  return Table(f"Metrics by name, {weights} weights", [(name, "") for name in names], rows)


def full_table(summary: Mapping[str, Any], weights: str) -> Table:
  """Every metric of one kind of weights."""
  names = sorted(
    {
      name.split("/", 1)[1]
      for metrics in summary["arms"].values()
      for name in metrics
      if name.startswith(f"{weights}/")
    }
    - ON_THE_WAY
  )
  rows = [Row("perfect sampler", [Cell(digits(summary["perfect"].get(name))) for name in names], kind="perfect")]
  for arm, info in summary["info"].items():
    rows.append(Row(arm, [metric_cell(summary["arms"][arm].get(f"{weights}/{name}")) for name in names], mark_of(info)))
  return Table(f"Every metric, {weights} weights", [(name, "") for name in names], rows)


def metric_cell(part: Mapping[str, Any] | None) -> Cell:
  """mean (SD), the median in small print where there is more than one seed, the seeds on hover."""
  if part is None or not part["values"]:
    return Cell(ABSENT)
  return Cell(mean_sd(part), f"median {number(part['median'])}" if len(part["values"]) > 1 else "", seeds_text(part))


def seeds_text(part: Mapping[str, Any]) -> str:
  """All values: "seed 0: 5 · seed 1: 4"."""
  seeds = part.get("seeds") or range(len(part["values"]))
  return " · ".join(f"seed {seed}: {number(value)}" for seed, value in zip(seeds, part["values"], strict=True))


def failure_rule(summary: Mapping[str, Any]) -> str:
  """What counts as a failed seed, in words."""
  threshold, num_modes = summary["threshold"], summary["num_modes"]
  name = heading_of(summary["primary"]).replace("modes ", "")
  if num_modes and num_modes >= summaries.MANY_MODES:
    return f"seeds with fewer than {number(threshold)} modes at {name} (90 % of what the perfect sampler gets)"
  return f"seeds without all {number(threshold)} modes at {name}"


def heading_of(metric: str | None) -> str:
  for pattern, heading, _ in HEADLINE:
    match = re.fullmatch(pattern, metric or "")
    if match:
      return _filled(heading, match)
  return metric or "metric"


def _filled(heading: str, match: re.Match[str]) -> str:
  return heading.format(*(group or "" for group in match.groups())).strip()


def markdown(table: Table) -> str:
  """The table in GitHub's Markdown; small print stays in the cell, hover texts are left out."""

  def clean(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")

  lines = [
    "| | " + " | ".join(clean(heading) for heading, _ in table.columns) + " |",
    "|---|" + "---:|" * len(table.columns),
  ]
  for row in table.rows:
    name = f"**{clean(row.name)}**" + (f"<br>⚠ {clean(row.mark)}" if row.mark else "")
    cells = [clean(cell.text) + (f"<br><sub>{clean(cell.small)}</sub>" if cell.small else "") for cell in row.cells]
    lines.append("| " + " | ".join([name, *cells]) + " |")
  return "\n".join(lines) + "\n"


def _comparison(summary: Mapping[str, Any], weights: str) -> list[_Column]:
  def column(name: str, heading: str, meaning: str) -> _Column:
    return _Column(
      heading,
      meaning,
      Cell(digits(summary["perfect"].get(name))),
      lambda arm: metric_cell(summary["arms"][arm].get(f"{weights}/{name}")),
    )

  return [column(*found) for found in headline(summary, weights)]


def _verdicts(summary: Mapping[str, Any], weights: str) -> list[_Column]:
  info, columns = summary["info"], []
  if any(weights in info[arm]["failure"] for arm in info):
    columns.append(
      _Column(
        "failures",
        failure_rule(summary) + "; 95 % Wilson interval in small print",
        Cell("0"),
        lambda arm: _rate_cell(info[arm]["failure"].get(weights), "failures"),
      )
    )
  if any(weights in info[arm]["test"] for arm in info):
    columns.append(
      _Column(
        f"Δ vs {baseline_name(summary)}",
        f"difference of the means of {summary['primary']}; Wilcoxon signed-rank test over shared "
        "seeds, p after Holm's correction over the arms",
        Cell(ABSENT),
        lambda arm: _test_cell(info[arm]["test"].get(weights)),
      )
    )
  for rate, heading, meaning in (("all_modes_t1", "all", "seeds with every mode at t=1"), ("no_modes_t1", "none", "seeds with no mode at t=1")):
    if any(f"{weights}/{rate}" in info[arm]["rates"] for arm in info):
      perfect = Cell(digits(summary["perfect"].get(rate)))
      cell = lambda arm, name=f"{weights}/{rate}": _rate_cell(info[arm]["rates"].get(name), "count")
      columns.append(_Column(f"{heading} t=1", f"{meaning}; 95 % Wilson interval in small print", perfect, cell))
  return columns


def _costs(summary: Mapping[str, Any]) -> list[_Column]:
  info = summary["info"]
  return [
    _Column(
      "parameters",
      "trained numbers of all players, then of each",
      Cell(ABSENT),
      lambda arm: _parameters_cell(info[arm]),
    ),
    _Column(
      "samples seen", "real samples per seed", Cell(ABSENT), lambda arm: Cell(short(info[arm].get("samples_seen")))
    ),
    _Column(
      "cost per round",
      f"time per seed and round relative to {baseline_name(summary)}, same machine",
      Cell(ABSENT),
      lambda arm: _cost_cell(info[arm]),
    ),
  ]


def headline(summary: Mapping[str, Any], weights: str) -> list[tuple[str, str, str]]:
  present = {
    name.split("/", 1)[1] for metrics in summary["arms"].values() for name in metrics if name.startswith(f"{weights}/")
  }
  present = present - ON_THE_WAY or set(summary["perfect"])
  found: list[tuple[str, str, str]] = []
  for pattern, heading, meaning in HEADLINE:
    for name in sorted(present - {name for name, *_ in found}, key=lambda name: (len(name), name)):
      match = re.fullmatch(pattern, name)
      if match:
        found.append((name, _filled(heading, match), _filled(meaning, match)))
  return found or [(name, name, "") for name in sorted(present)[:6]]


def baseline_name(summary: Mapping[str, Any]) -> str:
  return str(summary["baseline"]).rsplit("/", 1)[-1]


def _rate_cell(rate: Mapping[str, Any] | None, count: str) -> Cell:
  if rate is None:
    return Cell(ABSENT)
  low, high = (100 * float(end) for end in rate["wilson"])
  return Cell(f"{rate[count]}/{rate['n']}", f"{100 * rate['rate']:.0f} % [{low:.0f}, {high:.0f}]")


def _test_cell(test: Mapping[str, Any] | None) -> Cell:
  if test is None:
    return Cell(ABSENT)
  difference = digits(abs(float(test["difference"])))
  sign = "+" if float(test["difference"]) > 0 else "−" if float(test["difference"]) < 0 else ""
  p = f"p {probability(float(test['p_holm']))}"
  return Cell(
    sign + difference,
    p,
    line=f"{sign}{difference}, {p}",
    hover=f"against {test['baseline']} over {test['pairs']} pairs of seeds: p {probability(float(test['p']))}, "
    f"after Holm {probability(float(test['p_holm']))}",
  )


def _parameters_cell(info: Mapping[str, Any]) -> Cell:
  parameters = info["parameters"]
  if not parameters:
    return Cell(ABSENT)
  return Cell(
    short(sum(parameters.values())),
    " + ".join(map(short, parameters.values())),
    " · ".join(f"{player}: {count:,}" for player, count in parameters.items()),
  )


def _cost_cell(info: Mapping[str, Any]) -> Cell:
  relative, cost = info.get("relative_cost"), info.get("cost_per_round")
  if relative is None:
    return Cell(ABSENT)
  return Cell(
    f"{relative:.2f}×",
    f"{1e3 * cost:.3g} ms" if cost else "",
    f"{1e3 * cost:.3g} ms per seed and round" if cost else "",
  )


def seeds_table(summary: Mapping[str, Any]) -> Table:
  """Every value of every seed of the headline metrics: the small print."""
  kinds = [weights for weights in ("raw", "ema") if any(name.startswith(f"{weights}/") for found in summary["arms"].values() for name in found)]
  columns = [(weights, name, heading) for weights in kinds for name, heading, _ in headline(summary, weights)]
  rows = []
  for arm, info in summary["info"].items():
    parts = [summary["arms"][arm].get(f"{weights}/{name}") for weights, name, _ in columns]
    cells = [
      Cell(
        ", ".join(number(value) for value in part["values"]) if part else ABSENT, hover=seeds_text(part) if part else ""
      )
      for part in parts
    ]
    rows.append(Row(arm, cells, mark_of(info)))
  return Table("Every seed", [(f"{weights} {heading}", "") for weights, _, heading in columns], rows)
