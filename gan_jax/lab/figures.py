"""The figures of a comparison that need only numbers: modes over time, mode histograms, the final values of every seed.

Each function returns a matplotlib Figure; `save` writes it without a date or a version in it, so the same results give the same bytes. Colours are
Okabe and Ito's, which colour-blind readers can tell apart; wherever more than four arms meet, each gets a panel of its own over the baseline.
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
STYLE = {"font.family": "DejaVu Sans", "font.size": 9, "axes.titlesize": 9, "axes.labelsize": 9, "xtick.labelsize": 8, "ytick.labelsize": 8,
         "legend.fontsize": 8, "axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": "#555555", "axes.linewidth": .7,
         "xtick.color": "#444444", "ytick.color": "#444444", "figure.facecolor": "white", "axes.facecolor": "white",
         "legend.frameon": False, "svg.hashsalt": "gan_jax", "path.simplify": True}
MOST_BARS = 64           # modes up to which a histogram has bars
PANELS_FROM = 5          # arms from which each gets a panel: curves of whole numbers hide each other
NICE = [1, 2, 5, 10]     # ticks at multiples of these
FEW_SEEDS = 5            # up to here the band is the range, above it the middle half


class ArmView(NamedTuple):
  """What the figures need of an arm. curves: seed -> (steps, modes); samples: [S, n, ...]; mode_counts: [S, K]; seeds: their S seeds."""
  name: str
  mark: str
  baseline: bool
  curves: Mapping[int, tuple[np.ndarray, np.ndarray]]
  seeds: list[int]
  samples: np.ndarray | None
  mode_counts: np.ndarray | None


def save(figure: Figure, path: Path) -> None:
  """Writes the figure as a PNG of 200 dots an inch, the same bytes every time."""
  FigureCanvasAgg(figure)
  with rc_context(STYLE):
    figure.savefig(path, dpi=200, metadata={"Software": None})


def panels(count: int, *, width: float = 9.6, columns: int = 5, aspect: float = 1.0, share: bool = True) -> tuple[Figure, list]:
  """A figure with `count` axes in rows of at most `columns`, balanced so that the last row is not nearly empty."""
  rows = math.ceil(count / columns)
  columns = math.ceil(count / rows)
  cell = width / max(columns, 3)
  figure = Figure(figsize=(cell * columns + .3, cell * aspect * rows + .5), layout="constrained")
  grid = figure.subplots(rows, columns, sharex=share, sharey=share, squeeze=False)
  axes = list(grid.flat)
  for ax in axes[count:]:
    ax.set_visible(False)
  if share:
    for place in range(max(0, count - columns), count):   # the lowest panel of each column keeps its numbers
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
    figure, axes = panels(len(others), aspect=.72)
    for ax, arm in zip(axes, others, strict=True):
      if baseline is not None:
        _curve(ax, baseline, BASELINE)
      _curve(ax, arm, COLORS[0])
      _perfect_line(ax, top)
      _time_axis(ax, num_modes)
      title(ax, arm)
    figure.supxlabel("round", fontsize=9)
    figure.supylabel(f"modes, of {num_modes:,}", fontsize=9)
    legend(figure, [("this arm", COLORS[0], "-"), *([(baseline.name, BASELINE, "-")] if baseline else []),
                     ("perfect sampler", PERFECT, "--")])
    return figure


def final_values(summary: Mapping[str, Any], metrics: Sequence[tuple[str, str]], *, weights: str = "raw") -> Figure | None:
  """Every seed a dot, the median a bar, the perfect sampler a dashed line; one panel a metric (name, heading), one line an arm."""
  arms = [arm for arm, info in summary["info"].items() if info["rounds"] or info["seeds"]]
  metrics = [(name, heading) for name, heading in metrics if any(f"{weights}/{name}" in summary["arms"][arm] for arm in arms)][:4]
  if not metrics:
    return None
  with rc_context(STYLE):
    figure = Figure(figsize=(2.0 + 2.35 * len(metrics), .9 + .27 * len(arms)), layout="constrained")
    axes = figure.subplots(1, len(metrics), sharey=True, squeeze=False)[0]
    for ax, (name, heading) in zip(axes, metrics, strict=True):
      largest, smallest = 0., math.inf
      for place, arm in enumerate(arms):
        part = summary["arms"][arm].get(f"{weights}/{name}")
        values = np.array(part["values"] if part else [], float)
        finite = values[np.isfinite(values)]
        largest, smallest = max([largest, *finite]), min([smallest, *finite])
        color = BASELINE if arm == summary["baseline"] else COLORS[0]
        if len(finite):
          ax.plot([np.median(finite)] * 2, [place - .42, place + .42], color=INK, linewidth=1.7, zorder=4, solid_capstyle="butt")
          ax.scatter(finite, place + .32 * spread(finite, float(np.ptp(finite)) / 40), s=15, color=color, alpha=.9, linewidths=.5,
                     edgecolors="white", zorder=3, clip_on=False)
        if len(finite) < len(values):
          ax.annotate(f"{len(values) - len(finite)} not finite →", (1, place), xycoords=("axes fraction", "data"), ha="right", va="center",
                      fontsize=7, color=FAILED)
      if name in summary["perfect"] and math.isfinite(float(summary["perfect"][name])):
        ax.axvline(float(summary["perfect"][name]), color=PERFECT, linestyle=(0, (4, 2)), linewidth=1, zorder=1)
        largest = max(largest, float(summary["perfect"][name]))
      if largest > 0:
        near = smallest - .1 * (largest - smallest)    # values far from 0 fill the panel, but modes are counted from 0
        ax.set_xlim(left=near if smallest > .5 * largest and not name.startswith("modes") else min(0., smallest), right=largest * 1.04)
      ax.xaxis.set_major_locator(MaxNLocator(5, integer=largest >= 4, steps=NICE))
      ax.grid(axis="y", color="#E6E6E6", linewidth=.7, zorder=0)
      ax.set_axisbelow(True)
      ax.tick_params(axis="y", length=0)
      ax.set_title(heading)
    axes[0].set_yticks(range(len(arms)), [_clip(arm) + (f" ({summary['info'][arm]['status']})"
                                                        if summary["info"][arm]["status"] != "done" else "") for arm in arms])
    axes[0].set_ylim(len(arms) - .4, -.6)
    for label, arm in zip(axes[0].get_yticklabels(), arms, strict=True):
      label.set_color(FAILED if summary["info"][arm]["status"] != "done" else INK)
    return figure


def mode_histograms(arms: Sequence[ArmView], *, probabilities: np.ndarray, num_samples: int | None) -> Figure | None:
  """n_k / (N p_k) for every mode, 1 is right. Up to 64 modes as bars (mean over seeds, seeds as dots), more as sorted curves."""
  if all(arm.mode_counts is None for arm in arms):
    return None
  with rc_context(STYLE):
    return (_bars if len(probabilities) <= MOST_BARS else _sorted_counts)(arms, probabilities, num_samples)


def _bars(arms: Sequence[ArmView], p: np.ndarray, num_samples: int | None) -> Figure:
  figure, axes = panels(len(arms), columns=4, aspect=.68)
  rare = p < .5 * p.max()
  colors = np.where(rare, COLORS[1], COLORS[0])
  counted = [np.zeros((0, len(p))) if arm.mode_counts is None else np.asarray(arm.mode_counts, float) for arm in arms]
  ratios = [counts / (_total(counts, num_samples) * p) for counts in counted]
  seeds_shown = len(p) <= 30
  top = min(3., max([1.5, *(1.05 * (ratio if seeds_shown else ratio.mean(0)).max() for ratio in ratios if len(ratio))]))
  n = num_samples or 0
  for ax, arm, ratio in zip(axes, arms, ratios, strict=True):
    title(ax, arm, pad=13)
    k = np.arange(len(p))
    ax.set_ylim(0, top)
    ax.set_xlim(-.7, len(p) - .3)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
    if not len(ratio):
      absent(ax)
      continue
    if n:   # two standard deviations of a perfect sampler's count
      spread = 2 * np.sqrt((1 - p) / (n * p))
      ax.bar(k, 2 * spread, bottom=1 - spread, width=.98, color="#DDDDDD", zorder=1)
    mean = ratio.mean(0)
    ax.bar(k, mean, width=.72, color=colors, alpha=.62, zorder=2)
    if seeds_shown:
      offsets = np.linspace(-.22, .22, len(ratio)) if len(ratio) > 1 else np.zeros(1)
      for offset, row in zip(offsets, ratio, strict=True):
        ax.scatter(k + offset, np.minimum(row, top), s=4, color=INK, alpha=.7, linewidths=0, zorder=4, clip_on=False)
    for place in np.flatnonzero(mean > top):
      ax.annotate(f"{mean[place]:.0f}", (place, top), ha="center", va="bottom", fontsize=7, color=INK, annotation_clip=False)
    ax.axhline(1, color=PERFECT, linewidth=.9, linestyle=(0, (4, 2)), zorder=3)
  figure.supxlabel("mode", fontsize=9)
  figure.supylabel("samples / expected samples", fontsize=9)
  entries = [("rare modes", COLORS[1], "s"), ("common modes", COLORS[0], "s")] if rare.any() else [("mean over seeds", COLORS[0], "s")]
  legend(figure, [*entries, *([("one seed", INK, "o")] if seeds_shown else []), ("perfect sampler" + (" ± 2 SD" if n else ""), PERFECT, "--")])
  return figure


def _sorted_counts(arms: Sequence[ArmView], p: np.ndarray, num_samples: int | None) -> Figure:
  figure, axes = panels(len(arms), columns=4, aspect=.68)
  counted = [np.zeros((0, len(p))) if arm.mode_counts is None else np.sort(arm.mode_counts, -1)[:, ::-1] for arm in arms]
  n = num_samples or int(max(counts.sum(-1).max() for counts in counted if len(counts)))
  perfect = np.sort(np.random.default_rng(0).multinomial(n, p / p.sum(), size=64), -1)[:, ::-1].mean(0)
  top = 1.3 * max(perfect.max(), *(counts.max() for counts in counted if len(counts)))
  rank = np.arange(1, len(p) + 1)
  for ax, arm, counts in zip(axes, arms, counted, strict=True):
    for row in counts:
      ax.plot(rank, row, color=BASELINE if arm.baseline else COLORS[0], linewidth=1, alpha=.75)
    ax.plot(rank, perfect, color=PERFECT, linewidth=1, linestyle=(0, (4, 2)))
    ax.set_yscale("symlog", linthresh=n / len(p), linscale=1.2)
    ax.set_ylim(0, top)
    ax.set_xlim(1, len(p))
    ax.set_yticks([tick for tick in (0, 1, 3, 10, 30, 100, 300, 1000, 3000, 10000) if tick <= top and (tick == 0 or tick >= n / len(p) / 2)])
    ax.yaxis.minorticks_off()
    ax.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    title(ax, arm)
    if not len(counts):
      absent(ax)
  for ax in axes:
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
  figure.supxlabel("mode, most frequent first", fontsize=9)
  figure.supylabel("samples of the mode", fontsize=9)
  legend(figure, [("one seed", COLORS[0], "-"), ("perfect sampler", PERFECT, "--")])
  return figure


def spread(values: np.ndarray, width: float) -> np.ndarray:
  """Offsets in [-1, 1] that keep values nearer than `width` apart from each other: 0, 1, -1, 2, -2 ... steps from the middle."""
  offsets, order = np.zeros(len(values)), np.argsort(values, kind="stable")
  groups = np.split(order, np.flatnonzero(np.diff(values[order]) > width) + 1) if len(values) else []
  for group in groups:
    steps = np.arange(len(group)) - (len(group) - 1) / 2
    offsets[group] = steps / max(2.5, (len(group) - 1) / 2)
  return offsets


def absent(ax: Any) -> None:
  """An empty panel that says so."""
  ax.text(.5, .5, "no samples", transform=ax.transAxes, ha="center", va="center", color=FAILED, fontsize=8)


def _curve(ax: Any, arm: ArmView, color: str, label: str | None = None) -> None:
  steps = sorted({int(step) for grid, _ in arm.curves.values() for step in grid})
  table = np.full((len(arm.curves), len(steps)), np.nan)
  for row, (grid, modes) in zip(table, arm.curves.values(), strict=True):
    row[np.searchsorted(steps, grid)] = modes
  known = ~np.isnan(table).all(0)
  steps, table = np.array(steps)[known], table[:, known]
  if not len(steps):
    return
  low, high = (np.nanmin(table, 0), np.nanmax(table, 0)) if len(table) <= FEW_SEEDS else np.nanpercentile(table, (25, 75), axis=0)
  ax.fill_between(steps, low, high, color=color, alpha=.16, linewidth=0)
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
  handles = [Line2D([], [], color=color, label=label, linewidth=1.6,
                    **({"linestyle": (0, (4, 2))} if kind == "--" else {} if kind == "-" else
                       {"linestyle": "", "marker": kind, "markersize": 6 if kind == "s" else 3}))
             for label, color, kind in entries]
  figure.legend(handles=handles, loc="outside upper left", ncols=len(handles), handlelength=1.8, columnspacing=1.4, borderpad=.1)


def title(ax: Any, arm: ArmView, pad: float = 4) -> None:
  ax.set_title(_shown(arm), color=FAILED if arm.mark else INK, fontweight="bold" if arm.baseline else "normal", pad=pad, loc="left",
               fontsize=8.5)


def _shown(arm: ArmView) -> str:
  state = arm.mark.split(",")[0].split(" at ")[0].lower()
  return _clip(arm.name) + (f" ({state})" if state else "")


def _clip(name: str, width: int = 26) -> str:
  return name if len(name) <= width else name[:width // 2 - 1] + "…" + name[-(width // 2):]


def _total(counts: np.ndarray, num_samples: int | None) -> np.ndarray | int:
  return num_samples or np.maximum(counts.sum(-1, keepdims=True), 1)
