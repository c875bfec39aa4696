"""The figure of what goes wrong in training: the monitor's columns over time, an arm beside the other."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from gan_jax.lab.figures import BASELINE, COLORS, FEW_SEEDS, NICE, STYLE
from gan_jax.lab.results import Log

MOST_ARMS = 8  # columns that a page holds
METERS = (  # column of metrics.jsonl, what stands beside its row, limits
  ("generator/gradient_norm", "gradient of\nG's loss", "log"),
  ("discriminator/accuracy", "D is right", (0.0, 1.0)),
  ("high_quality", "high quality", (0.0, 1.0)),
  ("tvd", "TVD to the law", (0.0, 1.0)),
  ("churn", "churn", (0.0, 1.0)),
  ("generator/loss", "G's loss", None),
)
CAPTION = (
  "The norm of the gradient of the generator's loss, the share of examples that the discriminator gets right, the share of"
  " samples of high quality, the distance of the histogram of modes"
  " to the law and to that of the check before, and the generator's loss (each arm on its own scale). Lines are medians over seeds, bands the middle"
  " half of them (of five or fewer all), the thin line one seed."
)


def on_the_way(logs: Mapping[str, Mapping[int, Log]], baseline: str) -> Figure | None:
  """One column an arm, one row a meter that any of them has; None without `generator/gradient_norm`, and for more arms than a page holds.

  logs: arm -> seed -> columns of metrics.jsonl.
  """
  drawn = {arm: seeds for arm, seeds in logs.items() if any(METERS[0][0] in log for log in seeds.values())}
  if not drawn or len(drawn) > MOST_ARMS:
    return None
  found = {meter: [log[meter[0]][1] for seeds in drawn.values() for log in seeds.values() if meter[0] in log] for meter in METERS}
  rows = [meter for meter, parts in found.items() if len(np.unique(np.concatenate([*parts, np.zeros(1)]))) > 1]  # all 0: nothing to see
  with rc_context(STYLE):
    figure = Figure(figsize=(0.9 + 1.75 * max(2, len(drawn)), 0.6 + 1.15 * len(rows)), layout="constrained")
    grid = figure.subplots(len(rows), len(drawn), squeeze=False, sharex=True)
    for axes, (column, heading, limits) in zip(grid, rows, strict=True):
      for ax, (arm, seeds) in zip(axes, drawn.items(), strict=True):
        _curve(ax, {seed: log[column] for seed, log in seeds.items() if column in log}, BASELINE if arm == baseline else COLORS[0])
        ax.xaxis.set_major_locator(MaxNLocator(3, steps=NICE))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / 1000:g}k" if value >= 1000 else f"{value:g}"))
        if isinstance(limits, tuple):
          ax.set_ylim(limits[0] - 0.03, limits[1] + 0.03)
          ax.tick_params(labelleft=ax is axes[0])
      if limits == "log":
        _same_decades(axes)
      axes[0].set_ylabel(heading)
    for ax, arm in zip(grid[0], drawn, strict=True):
      ax.set_title(arm, loc="left", fontweight="bold" if arm == baseline else "normal", fontsize=8.5)
    figure.supxlabel("round", fontsize=9)
    return figure


def _curve(ax, curves: Mapping[int, tuple[np.ndarray, np.ndarray]], color: str) -> None:
  steps = sorted({int(step) for grid, _ in curves.values() for step in grid})
  table = np.full((len(curves), len(steps)), np.nan)
  for row, (grid, values) in zip(table, curves.values(), strict=True):
    row[np.searchsorted(steps, grid)] = np.where(np.isfinite(values), values, np.nan)
  known = ~np.isnan(table).all(axis=0)
  if not known.any():
    return
  at, table = np.array(steps)[known], table[:, known]
  low, high = (np.nanmin(table, 0), np.nanmax(table, 0)) if len(table) <= FEW_SEEDS else np.nanpercentile(table, (25, 75), axis=0)
  ax.fill_between(at, low, high, color=color, alpha=0.18, linewidth=0)
  if len(table) > 1:
    ax.plot(at, table[0], color=color, linewidth=0.5, alpha=0.6)
  ax.plot(at, np.nanmedian(table, 0), color=color, linewidth=1.4)
  ax.set_xlim(left=0)


def _same_decades(axes) -> None:
  """One logarithmic scale for a row: how small is small is only seen beside the others."""
  values = np.concatenate([np.asarray(line.get_ydata(), float) for ax in axes for line in ax.get_lines()] or [np.zeros(0)])
  values = values[np.isfinite(values) & (values > 0)]
  if not len(values):
    return
  for ax in axes:
    ax.set_yscale("log")
    ax.set_ylim(max(values.min(), values.max() * 1e-12) / 2, values.max() * 2)
    ax.tick_params(labelleft=ax is axes[0])
    ax.minorticks_off()
