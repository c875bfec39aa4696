"""How many samples each mode gets, against what the training law gives it: bars for few modes, curves for many."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from gan_jax.lab.figures import BASELINE, COLORS, INK, PERFECT, STYLE, ArmView, absent, legend, panels, title

MOST_BARS = 64  # modes up to which there are bars


def mode_histograms(arms: Sequence[ArmView], *, probabilities: np.ndarray, num_samples: int | None) -> Figure | None:
  """n_k / (N p_k) for every mode, 1 is right: up to 64 modes as bars (means over seeds), more as curves of n_k."""
  if all(arm.mode_counts is None for arm in arms):
    return None
  with rc_context(STYLE):
    return (_bars if len(probabilities) <= MOST_BARS else _sorted_counts)(arms, probabilities, num_samples)


def _bars(arms: Sequence[ArmView], p: np.ndarray, num_samples: int | None) -> Figure:
  figure, axes = panels(len(arms), columns=4, aspect=0.68)
  rare = p < 0.5 * p.max()
  colors = np.where(rare, COLORS[1], COLORS[0])
  counted = [np.zeros((0, len(p))) if arm.mode_counts is None else np.asarray(arm.mode_counts, float) for arm in arms]
  ratios = [counts / (_total(counts, num_samples) * p) for counts in counted]
  seeds_shown = len(p) <= 30
  top = min(
    3.0, max([1.5, *(1.05 * (ratio if seeds_shown else ratio.mean(0)).max() for ratio in ratios if len(ratio))])
  )
  n = num_samples or 0
  for ax, arm, ratio in zip(axes, arms, ratios, strict=True):
    title(ax, arm, pad=13)
    k = np.arange(len(p))
    ax.set_ylim(0, top)
    ax.set_xlim(-0.7, len(p) - 0.3)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8, min_n_ticks=1))
    if not len(ratio):
      absent(ax)
      continue
    if n:  # two standard deviations of a perfect sampler's count
      spread = 2 * np.sqrt((1 - p) / (n * p))
      ax.bar(k, 2 * spread, bottom=1 - spread, width=0.98, color="#DDDDDD", zorder=1)
    mean = ratio.mean(0)
    ax.bar(k, mean, width=0.72, color=colors, alpha=0.62, zorder=2)
    if seeds_shown:
      offsets = np.linspace(-0.22, 0.22, len(ratio)) if len(ratio) > 1 else np.zeros(1)
      for offset, row in zip(offsets, ratio, strict=True):
        ax.scatter(k + offset, np.minimum(row, top), s=4, color=INK, alpha=0.7, linewidths=0, zorder=4, clip_on=False)
    for place in np.flatnonzero(mean > top):
      ax.annotate(
        f"{mean[place]:.0f}", (place, top), ha="center", va="bottom", fontsize=7, color=INK, annotation_clip=False
      )
    ax.axhline(1, color=PERFECT, linewidth=0.9, linestyle=(0, (4, 2)), zorder=3)
  figure.supxlabel("mode", fontsize=9)
  figure.supylabel("samples / expected", fontsize=9)
  entries = (
    [("rare modes", COLORS[1], "s"), ("common modes", COLORS[0], "s")]
    if rare.any()
    else [("mean over seeds", COLORS[0], "s")]
  )
  legend(
    figure,
    [
      *entries,
      *([("one seed", INK, "o")] if seeds_shown else []),
      ("perfect sampler" + (" ± 2 SD" if n else ""), PERFECT, "--"),
    ],
  )
  return figure


def _sorted_counts(arms: Sequence[ArmView], p: np.ndarray, num_samples: int | None) -> Figure:
  figure, axes = panels(len(arms), columns=4, aspect=0.68)
  counted = [
    np.zeros((0, len(p))) if arm.mode_counts is None else np.sort(arm.mode_counts, -1)[:, ::-1] for arm in arms
  ]
  n = num_samples or int(max(counts.sum(-1).max() for counts in counted if len(counts)))
  perfect = np.sort(np.random.default_rng(0).multinomial(n, p / p.sum(), size=64), -1)[:, ::-1].mean(0)
  top = 1.3 * max(perfect.max(), *(counts.max() for counts in counted if len(counts)))
  rank = np.arange(1, len(p) + 1)
  for ax, arm, counts in zip(axes, arms, counted, strict=True):
    for row in counts:
      ax.plot(rank, row, color=BASELINE if arm.baseline else COLORS[0], linewidth=1, alpha=0.75)
    ax.plot(rank, perfect, color=PERFECT, linewidth=1, linestyle=(0, (4, 2)))
    ax.set_yscale("symlog", linthresh=n / len(p), linscale=1.2)
    ax.set_ylim(0, top)
    ax.set_xlim(1, len(p))
    ax.set_yticks(
      [
        tick
        for tick in (0, 1, 3, 10, 30, 100, 300, 1000, 3000, 10000)
        if tick <= top and (tick == 0 or tick >= n / len(p) / 2)
      ]
    )
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


def _total(counts: np.ndarray, num_samples: int | None) -> np.ndarray | int:
  return num_samples or np.maximum(counts.sum(-1, keepdims=True), 1)
