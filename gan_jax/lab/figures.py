"""Figures of a comparison: what they share, and the two of lines and dots, modes over time and the final values.

Each function returns a matplotlib Figure; `save` writes it without a date or a version in it, so the same results give
the same bytes. Colours are Okabe and Ito's, which colour-blind readers can tell apart; where more than four arms meet,
each gets a panel of its own over the baseline.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
BASELINE, PERFECT, INK, FAILED = "#8A8A8A", "#000000", "#222222", "#B00020"
STYLE: Any = {
  "font.family": "DejaVu Sans",
  "font.size": 9,
  "axes.titlesize": 9,
  "axes.labelsize": 9,
  "xtick.labelsize": 8,
  "ytick.labelsize": 8,
  "legend.fontsize": 8,
  "axes.spines.top": False,
  "axes.spines.right": False,
  "axes.edgecolor": "#555555",
  "axes.linewidth": 0.7,
  "xtick.color": "#444444",
  "ytick.color": "#444444",
  "figure.facecolor": "white",
  "axes.facecolor": "white",
  "legend.frameon": False,
  "svg.hashsalt": "gan_jax",
  "path.simplify": True,
}
PANELS_FROM = 5  # arms from which each gets a panel: curves of whole numbers hide each other
NICE = [1, 2, 5, 10]  # ticks at multiples of these
FEW_SEEDS = 5  # up to here the band is the range, above it the middle half


class ArmView(NamedTuple):
  """What the figures need of an arm.

  curves: seed -> (steps, modes). samples: [S, n, ...] and mode_counts: [S, K], of the S `seeds`. neighbours: [S, m, 1 + k, H, W, C] uint8, images
  and the k training images nearest to each, at neighbour_distances [S, m, k]; training_distance: that of training images to each other.
  """

  name: str
  mark: str
  baseline: bool
  curves: Mapping[int, tuple[np.ndarray, np.ndarray]]
  seeds: list[int]
  samples: np.ndarray | None
  mode_counts: np.ndarray | None
  neighbours: np.ndarray | None = None
  neighbour_distances: np.ndarray | None = None
  training_distance: float | None = None


def save(figure: Figure, path: Path) -> None:
  """Writes the figure as a PNG of 200 dots an inch, the same bytes every time."""
  FigureCanvasAgg(figure)
  with rc_context(STYLE):
    figure.savefig(path, dpi=200, metadata={"Software": None})


def panels(
  count: int, *, width: float = 9.6, columns: int = 5, aspect: float = 1.0, share: bool = True
) -> tuple[Figure, list]:
  """A figure with `count` axes in rows of at most `columns`, balanced so that the last row is not nearly empty."""
  rows = math.ceil(count / columns)
  columns = math.ceil(count / rows)
  cell = width / max(columns, 3)
  figure = Figure(figsize=(cell * columns + 0.3, cell * aspect * rows + 0.5), layout="constrained")
  grid = figure.subplots(rows, columns, sharex=share, sharey=share, squeeze=False)
  axes = list(grid.flat)
  for ax in axes[count:]:
    ax.set_visible(False)
  if share:
    for place in range(max(0, count - columns), count):  # the lowest panel of each column keeps its numbers
      axes[place].tick_params(labelbottom=True)
  return figure, axes[:count]


def modes_over_time(arms: Sequence[ArmView], *, num_modes: int, perfect: float | None = None) -> Figure | None:
  """Median over seeds of the modes the monitor sees, with a band over seeds; the dashed line is the perfect sampler."""
  drawn = [arm for arm in arms if arm.curves]
  if not drawn:
    return None
  with rc_context(STYLE):
    top = num_modes if perfect is None else perfect
    if len(drawn) < PANELS_FROM:
      figure = Figure(figsize=(7.2, 3.9), layout="constrained")
      ax = figure.subplots()
      colors = iter(COLORS)
      for arm in drawn:
        color = BASELINE if arm.baseline else next(colors)
        _curve(ax, arm, color, label=_shown(arm))
      _perfect_line(ax, top, label="perfect sampler")
      figure.legend(loc="outside right upper", handlelength=1.6)
      _time_axis(ax, num_modes)
      ax.set_xlabel("round")
      ax.set_ylabel(f"modes, of {num_modes:,}")
      return figure
    baseline = next((arm for arm in drawn if arm.baseline), None)
    others = [arm for arm in drawn if arm is not baseline]
    figure, axes = panels(len(others), aspect=0.72)
    for ax, arm in zip(axes, others, strict=True):
      if baseline is not None:
        _curve(ax, baseline, BASELINE)
      _curve(ax, arm, COLORS[0])
      _perfect_line(ax, top)
      _time_axis(ax, num_modes)
      title(ax, arm)
    figure.supxlabel("round", fontsize=9)
    figure.supylabel(f"modes, of {num_modes:,}", fontsize=9)
    legend(
      figure,
      [
        ("this arm", COLORS[0], "-"),
        *([(baseline.name, BASELINE, "-")] if baseline else []),
        ("perfect sampler", PERFECT, "--"),
      ],
    )
    return figure


def final_values(
  summary: Mapping[str, Any], metrics: Sequence[tuple[str, str]], *, weights: str = "raw"
) -> Figure | None:
  """Every seed a dot, the median a bar, the perfect sampler dashed. One panel for each of `metrics`, (name, heading), that tells seeds apart."""
  arms = [arm for arm, info in summary["info"].items() if info["rounds"] or info["seeds"]]
  found = {name: [value for arm in arms for value in summary["arms"][arm].get(f"{weights}/{name}", {"values": []})["values"]] for name, _ in metrics}
  metrics = [(name, heading) for name, heading in metrics if len({*found[name], summary["perfect"].get(name)} - {None}) > 1][:4]
  if not metrics:
    return None
  with rc_context(STYLE):
    figure = Figure(figsize=(2.0 + 2.35 * len(metrics), 0.9 + 0.27 * len(arms)), layout="constrained")
    axes = figure.subplots(1, len(metrics), sharey=True, squeeze=False)[0]
    for ax, (name, heading) in zip(axes, metrics, strict=True):
      largest, smallest = 0.0, math.inf
      for place, arm in enumerate(arms):
        part = summary["arms"][arm].get(f"{weights}/{name}")
        values = np.array(part["values"] if part else [], float)
        finite = values[np.isfinite(values)]
        largest, smallest = max([largest, *finite]), min([smallest, *finite])
        color = BASELINE if arm == summary["baseline"] else COLORS[0]
        if len(finite):
          ax.plot(
            [np.median(finite)] * 2,
            [place - 0.42, place + 0.42],
            color=INK,
            linewidth=1.7,
            zorder=4,
            solid_capstyle="butt",
          )
          ax.scatter(
            finite,
            place + 0.32 * spread(finite, float(np.ptp(finite)) / 40),
            s=15,
            color=color,
            alpha=0.9,
            linewidths=0.5,
            edgecolors="white",
            zorder=3,
            clip_on=False,
          )
        if len(finite) < len(values):
          ax.annotate(
            f"{len(values) - len(finite)} not finite →",
            (1, place),
            xycoords=("axes fraction", "data"),
            ha="right",
            va="center",
            fontsize=7,
            color=FAILED,
          )
      if name in summary["perfect"] and math.isfinite(float(summary["perfect"][name])):
        ax.axvline(float(summary["perfect"][name]), color=PERFECT, linestyle=(0, (4, 2)), linewidth=1, zorder=1)
        largest = max(largest, float(summary["perfect"][name]))
      if largest > 0:
        near = smallest - 0.1 * (largest - smallest)  # values far from 0 fill the panel, but modes are counted from 0
        ax.set_xlim(
          left=near if smallest > 0.5 * largest and not name.startswith("modes") else min(0.0, smallest),
          right=largest * 1.04,
        )
      ax.xaxis.set_major_locator(MaxNLocator(5, integer=largest >= 4, steps=NICE))
      ax.grid(axis="y", color="#E6E6E6", linewidth=0.7, zorder=0)
      ax.set_axisbelow(True)
      ax.tick_params(axis="y", length=0)
      ax.set_title(heading)
    axes[0].set_yticks(
      range(len(arms)),
      [
        _clip(arm) + (f" ({summary['info'][arm]['status']})" if summary["info"][arm]["status"] != "done" else "")
        for arm in arms
      ],
    )
    axes[0].set_ylim(len(arms) - 0.4, -0.6)
    for label, arm in zip(axes[0].get_yticklabels(), arms, strict=True):
      label.set_color(FAILED if summary["info"][arm]["status"] != "done" else INK)
    return figure


def spread(values: np.ndarray, width: float) -> np.ndarray:
  """Offsets in [-1, 1] that keep values nearer than `width` apart from each other, spread evenly about 0."""
  offsets, order = np.zeros(len(values)), np.argsort(values, kind="stable")
  groups = np.split(order, np.flatnonzero(np.diff(values[order]) > width) + 1) if len(values) else []
  for group in groups:
    steps = np.arange(len(group)) - (len(group) - 1) / 2
    offsets[group] = steps / max(2.5, (len(group) - 1) / 2)
  return offsets


def absent(ax: Any) -> None:
  """An empty panel that says so."""
  ax.text(0.5, 0.5, "no samples", transform=ax.transAxes, ha="center", va="center", color=FAILED, fontsize=8)


def _curve(ax: Any, arm: ArmView, color: str, label: str | None = None) -> None:
  steps = sorted({int(step) for grid, _ in arm.curves.values() for step in grid})
  table = np.full((len(arm.curves), len(steps)), np.nan)
  for row, (grid, modes) in zip(table, arm.curves.values(), strict=True):
    row[np.searchsorted(steps, grid)] = modes
  known = ~np.isnan(table).all(0)
  steps, table = np.array(steps)[known], table[:, known]
  if not len(steps):
    return
  low, high = (
    (np.nanmin(table, 0), np.nanmax(table, 0)) if len(table) <= FEW_SEEDS else np.nanpercentile(table, (25, 75), axis=0)
  )
  ax.fill_between(steps, low, high, color=color, alpha=0.16, linewidth=0)
  ax.plot(steps, np.nanmedian(table, 0), color=color, linewidth=1.6, label=label)
  if arm.mark.startswith(("FAILED", "UNFINISHED")):
    ax.plot(steps[-1], np.nanmedian(table[:, -1]), "x", color=FAILED, markersize=6, markeredgewidth=1.6, clip_on=False)


def _perfect_line(ax: Any, value: float, label: str | None = None) -> None:
  ax.axhline(value, color=PERFECT, linestyle=(0, (4, 2)), linewidth=1, label=label)


def _time_axis(ax: Any, num_modes: int) -> None:
  ax.set_ylim(0, num_modes * 1.06)
  ax.set_xlim(left=0)
  ax.xaxis.set_major_locator(MaxNLocator(4, steps=NICE))
  ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / 1000:g}k" if value >= 1000 else f"{value:g}"))
  ax.yaxis.set_major_locator(MaxNLocator(5, integer=True))


def legend(figure: Figure, entries: Sequence[tuple[str, str, str]]) -> None:
  from matplotlib.lines import Line2D

  handles = [
    Line2D(
      [],
      [],
      color=color,
      label=label,
      linewidth=1.6,
      **(
        {"linestyle": (0, (4, 2))}
        if kind == "--"
        else {}
        if kind == "-"
        else {"linestyle": "", "marker": kind, "markersize": 6 if kind == "s" else 3}
      ),
    )
    for label, color, kind in entries
  ]
  columns = min(len(handles), max(1, int(figure.get_figwidth() / 1.7)))  # inches: what the longest of our labels needs
  figure.legend(handles=handles, loc="outside upper left", ncols=columns, handlelength=1.8, columnspacing=1.4, borderpad=0.1)


def title(ax: Any, arm: ArmView, pad: float = 4) -> None:
  ax.set_title(
    _shown(arm),
    color=FAILED if arm.mark else INK,
    fontweight="bold" if arm.baseline else "normal",
    pad=pad,
    loc="left",
    fontsize=8.5,
  )


def _shown(arm: ArmView) -> str:
  state = arm.mark.split(",")[0].split(" at ")[0].lower()
  return _clip(arm.name) + (f" ({state})" if state else "")


def _clip(name: str, width: int = 26) -> str:
  return name if len(name) <= width else name[: width // 2 - 1] + "…" + name[-(width // 2) :]
