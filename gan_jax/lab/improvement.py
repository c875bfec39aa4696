"""The figure of a league: how often does a run of each arm beat one of the baseline, and at what cost?"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from gan_jax.lab.figures import BASELINE, COLORS, INK, STYLE
from gan_jax.metrics import statistics

LARGER_IS_BETTER, SMALLER_IS_BETTER = r"modes_.*|high_quality.*", r"(w1|sw2|kl|tvd).*"
FEWEST = 2  # arms beside the baseline, for a league


class Place(NamedTuple):
  arm: str
  probability: float
  low: float
  high: float
  shown: bool  # p < .05 after Holm's correction
  cost: float | None
  samples: float | None  # real examples, as multiples of the baseline's


def places(summary: Mapping[str, Any], weights: str = "raw") -> list[Place]:
  """The tested arms, the best one first; none where it is not known which way the primary metric is better."""
  sign = next((s for s, names in ((1, LARGER_IS_BETTER), (-1, SMALLER_IS_BETTER)) if re.fullmatch(names, summary["primary"] or "")), 0)
  found = []
  for arm, info in summary["info"].items():
    test = info["test"].get(weights)
    if not sign or test is None:
      continue
    name, other = f"{weights}/{summary['primary']}", test["baseline"]
    mine, theirs = ([sign * float(value) for value in summary["arms"][run][name]["values"]] for run in (arm, other))
    seen, seen_there = info.get("samples_seen"), summary["info"][other].get("samples_seen")
    samples = seen / seen_there if seen and seen_there else None
    chance = statistics.probability_of_improvement(mine, theirs)
    found.append(Place(arm, *chance, test["p_holm"] < 0.05, info.get("relative_cost"), samples))
  return sorted((place for place in found if place.probability == place.probability), key=lambda place: (-place.probability, place.arm))


def figure(summary: Mapping[str, Any], weights: str = "raw") -> Figure | None:
  """A dot and a 95 % interval for each arm; filled where the paired test shows a difference after Holm's correction."""
  league = places(summary, weights)
  if len(league) < FEWEST:
    return None
  with rc_context(STYLE):
    figure = Figure(figsize=(7.2, 1.0 + 0.21 * len(league)), layout=ConstrainedLayoutEngine(w_pad=0.1))  # inches: the columns stand at the very edge
    ax = figure.subplots()
    for row, place in enumerate(league):
      color = COLORS[0] if place.probability >= 0.5 else COLORS[1]
      ax.plot([place.low, place.high], [row, row], color=color, linewidth=1.6, alpha=0.55, solid_capstyle="butt", zorder=2)
      ax.plot(place.probability, row, "o", color=color, markerfacecolor=color if place.shown else "white", markersize=5, zorder=3, clip_on=False)
      for at, value in ((1.1, place.cost), (1.22, place.samples)):
        ax.text(at, row, "—" if value is None else f"{value:.2g}×", transform=ax.get_yaxis_transform(), ha="right", va="center", fontsize=8)
    for at, heading in ((1.1, "cost"), (1.22, "samples")):
      ax.text(at, -1.0, heading, transform=ax.get_yaxis_transform(), ha="right", va="center", fontsize=8, color=BASELINE)
    ax.axvline(0.5, color=BASELINE, linewidth=1, zorder=1)
    ax.set_yticks(range(len(league)), [place.arm for place in league], color=INK)
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(len(league) - 0.4, -1.6)
    ax.set_xlim(0, 1)
    ax.set_xlabel(f"chance that a run beats one of {summary['baseline']} ({summary['primary']}, {weights} weights)")
    return figure
