"""The league's figure: chances by hand, their order, and what is said of cost.

Mutations that made a test here fail: ties counted as wins, as losses; the baseline's runs first; a smaller distance taken for worse; filled dots by p
before Holm; the worst arm first.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from test_lab_report import make_run

from gan_jax.lab import improvement
from gan_jax.lab import report as reports
from gan_jax.lab import summary as summaries
from gan_jax.metrics.statistics import probability_of_improvement

ROOT = Path(__file__).parent.parent


def test_the_chance_by_hand():
  """Of 2 x 3 pairs (5 or 8 against 4, 5, 6): 5 beats 4, ties 5, loses to 6; 8 beats all: (1 + .5 + 3) / 6."""
  p, low, high = probability_of_improvement([5, 8], [4, 5, 6])
  assert p == pytest.approx(4.5 / 6) and low < p < high
  assert probability_of_improvement([4, 5, 6], [5, 8])[0] == pytest.approx(1 - 4.5 / 6)
  assert probability_of_improvement([2, 2], [2, 2, 2]) == (0.5, 0.5, 0.5)
  assert probability_of_improvement([3, 4], [1, 2]) == (1.0, 1.0, 1.0)
  assert np.isnan(probability_of_improvement([np.nan], [1])).all()
  with pytest.raises(ValueError, match="needs runs of both"):
    probability_of_improvement([], [1])


def test_the_interval_holds_the_chance_as_often_as_it_says():
  """Two normal laws a standard deviation apart: P(a > b) = Phi(1 / sqrt 2) = .760. 20 runs of each: about 19 intervals of 20."""
  rng = np.random.default_rng(0)
  held = [low <= 0.7602 <= high for _, low, high in (probability_of_improvement(rng.normal(1, 1, 20), rng.normal(0, 1, 20)) for _ in range(200))]
  assert 0.88 <= np.mean(held) <= 0.99


ARMS = {
  "vanilla": {"modes_tquarter": [5, 4, 6, 5, 5]},
  "worse": {"modes_tquarter": [1, 4, 2, 3, 1]},
  "better": {"modes_tquarter": [8, 8, 5, 8, 8]},
  "alike": {"modes_tquarter": [5, 5, 5, 5, 5]},
}


def test_places_are_in_order_and_tested_after_holm(tmp_path):
  run = make_run(tmp_path / "run", arms=ARMS, failed=(), unfinished=())
  summary = summaries.summarise(summaries.read_run(run))
  league = improvement.places(summary)
  assert [place.arm for place in league] == ["better", "alike", "worse"]
  assert league[0].probability == pytest.approx((4 * 5 + 1 * (1 + 3 * 0.5)) / 25)
  assert not any(place.shown for place in league)  # five pairs: nothing can be shown
  summary["info"]["better"]["test"]["raw"].update(p=0.01, p_holm=0.04)
  summary["info"]["worse"]["test"]["raw"].update(p=0.03, p_holm=0.06)
  assert [place.arm for place in improvement.places(summary) if place.shown] == ["better"]


def test_a_smaller_distance_is_better(tmp_path):
  values = {"vanilla": [0.5, 0.6], "near": [0.1, 0.2], "far": [0.9, 0.8]}
  tests = {arm: {"raw": {"baseline": "vanilla", "p_holm": 1.0}} if arm != "vanilla" else {} for arm in values}
  summary = {
    "primary": "w1_n1000", "baseline": "vanilla", "arms": {arm: {"raw/w1_n1000": {"values": own}} for arm, own in values.items()},
    "info": {arm: {"test": test} for arm, test in tests.items()},
  }  # fmt: skip
  assert [(place.arm, place.probability) for place in improvement.places(summary)] == [("near", 1.0), ("far", 0.0)]
  assert improvement.places(summary | {"primary": "vendi"}) == []  # who knows


def test_the_report_has_the_figure_where_there_is_a_league(tmp_path):
  run = make_run(tmp_path / "run", arms=ARMS, failed=(), unfinished=())
  reports.report(run)
  assert (run / "figures" / "improvement.png").is_file()
  assert "improvement.png" in (run / "report.md").read_text()
  pair = make_run(tmp_path / "pair", arms={name: ARMS[name] for name in ("vanilla", "better")}, failed=(), unfinished=())
  reports.report(pair)
  assert not (pair / "figures" / "improvement.png").exists()


def test_the_findings_are_those_of_the_tables():
  """docs/findings.md quotes chances and intervals of four tables: they are what the committed summaries give."""
  rows = [line.strip("| ").split(" | ") for line in (ROOT / "docs" / "findings.md").read_text().splitlines() if line.startswith("| ")]
  tables, quoted = rows[0][1:], {row[0]: row[1:] for row in rows[1:]}
  for column, table in enumerate(tables):
    summary = json.loads((ROOT / "experiments" / "results" / table / "summary.json").read_text())
    found = {place.arm: place for place in improvement.places(summary)}
    assert set(found) == {arm for arm, cells in quoted.items() if cells[column] != "—"}
    for arm, place in found.items():
      chance = f"{place.probability:.2f}"
      assert quoted[arm][column] == f"{f'**{chance}**' if place.shown else chance} [{place.low:.2f}, {place.high:.2f}]", (arm, table)
