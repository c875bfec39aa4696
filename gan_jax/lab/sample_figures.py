"""Figures of samples: points over the true centres, or grids of images. One panel an arm, real data first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from PIL import Image

from gan_jax.lab import pictures
from gan_jax.lab.figures import COLORS, INK, STYLE, ArmView, absent, legend, panels, title

MOST_POINTS = 1000
GRID = 8
MOST_ANSWERS = 40  # arms


def scatter(
  arms: Sequence[ArmView],
  chosen: Mapping[str, int],
  *,
  real: np.ndarray | None,
  centers: np.ndarray | None,
  assign: Callable | None = None,
) -> Figure:
  """Points [S, n, 2] of the chosen seed of each arm, all of which have samples. Blue points are of high quality, orange ones between the modes.

  The panels share the frame of the real data; how many points lie outside it is written into the panel.
  """
  points = {arm.name: _of_seed(arm, chosen).astype(float) for arm in arms}
  several = None if centers is None or not np.ptp(centers, axis=0).any() else centers  # one place has no extent
  frame = next((part for part in (several, real) if part is not None), np.concatenate([*points.values()]))
  frame = frame[np.isfinite(frame).all(-1)]
  middle = (frame.max(0) + frame.min(0)) / 2
  reach = 0.5 * 1.3 * max(float((frame.max(0) - frame.min(0)).max()), 1e-6)
  with rc_context(STYLE):
    figure, axes = panels(len(arms) + (real is not None))
    if real is not None:
      _points(axes[0], real, centers, assign)
      axes[0].set_title("real data", loc="left", fontsize=8.5, fontweight="bold", color=INK, pad=4)
    for ax, arm in zip(axes[real is not None :], arms, strict=True):
      title(ax, arm)
      outside = _points(ax, points[arm.name], centers, assign, middle, reach)
      note = f"seed {chosen[arm.name]}" + (f", {100 * outside:.3g} % outside" if outside > 0 else "")
      ax.text(0.5, -0.03, note, transform=ax.transAxes, ha="center", va="top", fontsize=7, color="#555555")
    for ax in axes:
      ax.set_xlim(middle[0] - reach, middle[0] + reach)
      ax.set_ylim(middle[1] - reach, middle[1] + reach)
      ax.set_aspect("equal")
      ax.set_xticks([])
      ax.set_yticks([])
      for spine in ax.spines.values():
        spine.set_visible(True)
        spine.set_color("#BBBBBB")
    entries = (
      [("high-quality sample", COLORS[0], "o"), ("other sample", COLORS[1], "o")]
      if assign
      else [("sample", COLORS[0], "o")]
    )
    legend(figure, entries + ([("centre of a mode", "#999999", "+")] if centers is not None else []))
    return figure


def image_grids(arms: Sequence[ArmView], chosen: Mapping[str, int], *, real: np.ndarray | None) -> Figure:
  """Images [S, n, h, w, c] in [-1, 1] of the chosen seed of each arm, all of which have samples, in rows of 8."""
  with rc_context(STYLE):
    figure, axes = panels(len(arms) + (real is not None), columns=4, share=False)
    if real is not None:
      _images(axes[0], real)
      axes[0].set_title("real data", loc="left", fontsize=8.5, fontweight="bold", color=INK, pad=4)
    for ax, arm in zip(axes[real is not None :], arms, strict=True):
      title(ax, arm)
      _images(ax, _of_seed(arm, chosen))
      ax.text(
        0.5,
        -0.02,
        f"seed {chosen[arm.name]}",
        transform=ax.transAxes,
        ha="center",
        va="top",
        fontsize=7,
        color="#555555",
      )
    for ax in axes:
      ax.set_axis_off()
    return figure


def answers(paths: Mapping[str, Path]) -> Figure:
  """The stored pictures of images given, answers and the data's answers, one arm below the other; of many arms the first."""
  images = {name: _picture(path) for name, path in list(paths.items())[:MOST_ANSWERS]}
  with rc_context(STYLE):
    height = sum(0.02 if image is None else image.shape[0] / image.shape[1] for image in images.values())
    figure = Figure(figsize=(9, 9 * height + 0.3 * len(images)), layout="constrained")
    for ax, (name, image) in zip(np.atleast_1d(figure.subplots(len(images))), images.items(), strict=True):
      what = "no picture" if image is None else paths[name].stem.removeprefix("answers_").replace("seed", "seed ")
      ax.set_title(f"{name}, {what}", loc="left", fontsize=8.5, color=INK, pad=4)
      ax.set_axis_off()
      if image is not None:
        ax.imshow(image, interpolation="nearest")
    return figure


def _picture(path: Path) -> np.ndarray | None:
  """Its pixels; None where there is no whole one."""
  try:
    return np.asarray(Image.open(path).convert("RGB"))
  except OSError:
    return None


def nearest(arms: Sequence[ArmView], chosen: Mapping[str, int]) -> Figure:
  """Samples of the chosen seed of each arm, each followed by the training images nearest to it, and how near those are."""
  with rc_context(STYLE):
    figure, axes = panels(len(arms), columns=4, share=False)
    for ax, arm in zip(axes, arms, strict=True):
      title(ax, arm)
      ax.set_axis_off()
      if arm.neighbours is None or arm.neighbour_distances is None:
        absent(ax)
        continue
      number = arm.seeds.index(chosen[arm.name])
      shown = arm.neighbours[number].astype(np.float32) / 127.5 - 1
      count = shown.shape[1]
      canvas = pictures.tile(shown.reshape(-1, *shown.shape[2:]), columns=count, gap=5)
      width = (canvas.shape[1] - 5) // count
      canvas = np.insert(canvas, [width] * (width // 4), 255, axis=1)  # sets the samples apart
      ax.imshow(canvas, interpolation="nearest")
      note = f"seed {chosen[arm.name]}, median distance {np.median(arm.neighbour_distances[number, :, 0]):.3g}"
      ax.text(0.5, -0.02, note, transform=ax.transAxes, ha="center", va="top", fontsize=7, color="#555555")
    return figure


def _of_seed(arm: ArmView, chosen: Mapping[str, int]) -> np.ndarray:
  return np.asarray(arm.samples)[arm.seeds.index(chosen[arm.name])]


def _points(ax, points: np.ndarray, centers, assign, middle=None, reach=None) -> float:
  """Draws points and centres; returns the share of points outside the frame."""
  finite = np.isfinite(points).all(-1)
  good = np.asarray(assign(points).high_quality) if assign else finite
  shown, good = points[finite][:MOST_POINTS], good[finite][:MOST_POINTS]
  if centers is not None:
    size = 34 if len(centers) <= 40 else 12
    ax.scatter(*np.asarray(centers)[:, :2].T, marker="+", s=size, color="#999999", linewidths=0.8, zorder=1)
  for mask, color in ((~good, COLORS[1]), (good, COLORS[0])):
    ax.scatter(*shown[mask].T, s=3.5, color=color, alpha=0.55, linewidths=0, zorder=2)
  if middle is None:
    return 0.0
  inside = finite.copy()
  inside[finite] = (np.abs(points[finite] - middle) <= reach).all(-1)
  return 1 - float(inside.mean())


def _images(ax, images: np.ndarray) -> None:
  ax.imshow(pictures.tile(np.asarray(images), columns=GRID, gap=5), interpolation="nearest")
