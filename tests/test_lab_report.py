"""The report against a run directory written here by hand, in the documented formats."""

import csv
import io
import json
import math
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from gan_jax.lab import figures, formats, results, rundir, tables, terminal
from gan_jax.lab import report as reports
from gan_jax.lab import summary as summaries
from gan_jax.lab.errors import UsageError

SEEDS = [0, 1, 2, 3, 4]
PERFECT = {
  "modes_t1": 8.0,
  "modes_tquarter": 8.0,
  "high_quality": 0.98889,
  "kl_reverse_nats": 0.00035,
  "tvd": 0.0087,
  "w1_n1000": 0.114,
}
VALUES = {  # arm -> metric -> the five seeds
  "vanilla": {
    "modes_tquarter": [5, 4, 6, 5, 5],
    "high_quality": [0.91, 0.92, 0.93, 0.92, 0.94],
    "kl_reverse_nats": [0.5, 0.6, 0.4, 0.5, 0.5],
  },
  "pacgan2": {
    "modes_tquarter": [8, 8, 7, 8, 8],
    "high_quality": [0.95, 0.95, 0.96, 0.94, 0.95],
    "kl_reverse_nats": [0.01, 0.02, 0.1, 0.01, 0.02],
  },
}
CENTERS = np.array([(math.cos(a), math.sin(a)) for a in 2 * np.pi * np.arange(1, 9) / 8]) * 2.5


def make_run(
  directory: Path,
  *,
  arms=None,
  failed=("unrolled5",),
  unfinished=("r1",),
  num_modes=8,
  perfect=None,
  images=False,
  experiment="ring_rls",
  num_samples=10_000,
  rounds=3000,
) -> Path:
  """A run directory as the runner leaves it, of given final values: arm -> metric -> one value a seed."""
  arms = VALUES if arms is None else arms
  data = {"name": "ring", "num_modes": 8, "radius": 2.5, "sigma": 0.05, "weights": [0.05] * 4 + [1.0] * 4}
  directory.mkdir(parents=True)
  names = [*arms, *failed, *unfinished]
  write_json(
    directory / "config.json",
    {
      "experiment": experiment,
      "argument": None,
      "arms": {arm: {} if arm == "vanilla" else {"view.pack.size": 2} for arm in names},
      "config": {
        "question": "Which methods keep every mode of a ring with four rare modes?",
        "seeds": len(SEEDS),
        "num_steps": rounds,
        "batch_size": 64,
        "data": {"name": "absent"} if images else data,
        "evaluation": {"num_samples": num_samples, "monitor_samples": 2500},
      },
    },
  )
  write_json(
    directory / "environment.json",
    {
      "command": ["gan-jax", "run", "--config=experiments/ring_rls.py"],
      "commit": "0123abc",
      "versions": {"jax": "0.10.2", "flax": "0.12.8"},
      "device": "cpu",
    },
  )
  write_json(directory / "perfect.json", PERFECT if perfect is None else perfect)
  with (directory / "results.csv").open("w", newline="") as file:
    writer = csv.writer(file)
    writer.writerow("experiment,arm,seed,step,weights,metric,value".split(","))
    for arm, metrics in arms.items():
      for weights in ("raw", "ema"):
        for metric, values in metrics.items():
          for seed, value in zip(SEEDS, values, strict=True):
            writer.writerow([experiment, arm, seed, 3000, weights, metric, repr(value)])
  for arm in names:
    done = arm in arms
    write_json(
      directory / "arms" / arm / "status.json",
      {
        "arm": arm,
        "status": "done" if done else "failed" if arm in failed else "running",
        "step": 3000 if done else 1200,
        "num_steps": 3000,
        "parameters": {"generator": 20_098, "discriminator": 17_025},
        "samples_seen": 192_000,
        "seconds_per_seed_round": 1e-4 if arm == "vanilla" else 1.5e-4,
        "seconds": {"compile": 3.1},
        "warnings": [],
      },
    )
    write_monitor(directory / "arms" / arm / "metrics.jsonl", arm, arms.get(arm), num_modes, 3000 if done else 1200)
    if done:
      write_samples(directory / "arms" / arm / "samples", arm, arms[arm], num_modes, num_samples, images)
  return directory


def write_json(path: Path, value) -> None:
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_text(json.dumps(value))


def write_monitor(path: Path, arm: str, metrics, num_modes: int, last: int) -> None:
  rng = np.random.default_rng([len(arm), 0])
  lines = []
  for step in range(0, last + 1, 300):
    for place, seed in enumerate(SEEDS):
      end = metrics["modes_tquarter"][place] if metrics else num_modes / 2
      modes = end if step == last else round(end * (1 - math.exp(-step / 500)) + rng.uniform(-0.04, 0) * num_modes)
      lines.append(
        json.dumps(
          {
            "step": step,
            "seed": seed,
            "weights": "raw",
            "modes": float(max(0, modes)),
            "high_quality": 0.9,
            "time/seconds": 1.0,
          }
        )
      )
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_text("\n".join(lines) + "\n")


def write_samples(folder: Path, arm: str, metrics, num_modes: int, num_samples: int, images: bool) -> None:
  rng = np.random.default_rng([len(arm), 1])
  counts, samples = [], []
  for modes in metrics["modes_tquarter"]:
    p = np.zeros(num_modes)
    p[-int(modes) :] = rng.dirichlet(np.full(int(modes), 4.0))
    counts.append(rng.multinomial(num_samples, p))
    if images:
      samples.append(np.tanh(rng.normal(size=(64, 8, 8, 3)) + np.linspace(-1, 1, 8)[:, None]))
    else:
      mode = rng.choice(num_modes, 512, p=p)
      samples.append(CENTERS[mode % 8] + 0.05 * rng.standard_normal((512, 2)) * np.where(rng.random((512, 1)) < 0.1, 8, 1))
  folder.mkdir(parents=True)
  np.savez(folder / "final.npz", raw=np.array(samples, np.float32), mode_counts=np.array(counts))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
  return make_run(tmp_path_factory.mktemp("runs") / "ring")


@pytest.fixture(scope="module")
def summary(run):
  return reports.summarise_run(run)


@pytest.fixture(scope="module")
def page(run):
  return reports.report(run)


def cells(table: tables.Table, name: str) -> dict[str, tables.Cell]:
  row = next(row for row in table.rows if row.name == name)
  return dict(zip([heading for heading, _ in table.columns], row.cells, strict=True))


def test_summary_holds_the_numbers_of_results_csv(summary):
  modes = summary["arms"]["vanilla"]["raw/modes_tquarter"]
  assert modes["values"] == [5, 4, 6, 5, 5] and modes["seeds"] == SEEDS
  assert modes["mean"] == 5 and modes["median"] == 5 and modes["sd"] == pytest.approx(math.sqrt(0.5))
  assert summary["perfect"]["modes_tquarter"] == 8 and summary["primary"] == "modes_tquarter"
  assert summary["info"]["pacgan2"]["relative_cost"] == pytest.approx(1.5)
  assert summary["info"]["pacgan2"]["parameters"] == {"generator": 20_098, "discriminator": 17_025}


def test_failures_are_seeds_without_all_modes(summary):
  # Wilson, 5 of 5: lower end 5 / (5 + 1.96^2) = .566; 1 of 5: [.036, .624]
  failure = summary["info"]["vanilla"]["failure"]["raw"]
  assert (failure["failures"], failure["n"]) == (5, 5)
  assert failure["wilson"] == pytest.approx([5 / (5 + 1.959964**2), 1], abs=1e-6)
  failure = summary["info"]["pacgan2"]["failure"]["raw"]
  assert failure["failures"] == 1 and failure["wilson"] == pytest.approx([0.036, 0.624], abs=1e-3)


def test_success_and_failure_rates_of_few_modes(tmp_path):
  """Card ring_alpha: all modes and none, of all seeds; a seed that left the finite numbers has none, and thousand modes have no such rate."""
  modes = [8, 8, 0, 7, 8]
  found = {"modes_tquarter": [8, 8, 1, 7, 8], "all_modes_t1": [int(k == 8) for k in modes], "no_modes_t1": [int(k == 0) for k in modes]}
  values = {"vanilla": found, "lost": found}
  perfect = PERFECT | {"all_modes_t1": 1.0, "no_modes_t1": 0.0}
  run = make_run(tmp_path / "few", arms=values, failed=(), unfinished=(), perfect=perfect)
  status = run / "arms" / "lost" / "status.json"
  write_json(status, json.loads(status.read_text()) | {"failed_seeds": {"7": "NaN"}})
  summary = reports.summarise_run(run)
  assert summary["info"]["vanilla"]["rates"]["raw/no_modes_t1"]["wilson"] == pytest.approx([0.036, 0.624], abs=1e-3)
  lost = cells(tables.main_table(summary, "raw"), "lost")
  assert (lost["all t=1"].text, lost["none t=1"].text, lost["all t=1"].small) == ("3/6", "2/6", "50 % [19, 81]")
  assert [cells(tables.main_table(summary, "ema"), "perfect sampler")[f"{name} t=1"].text for name in ("all", "none")] == ["1.00", "0"]
  config = json.loads((run / "config.json").read_text())
  config["config"]["data"] = {"name": "grid", "size": 32}
  write_json(run / "config.json", config)
  many = reports.summarise_run(run)
  assert many["num_modes"] == 1024 and many["info"]["vanilla"]["rates"] == {}


def test_the_test_pairs_seeds_and_corrects_over_finished_arms(summary):
  test = summary["info"]["pacgan2"]["test"]["raw"]
  assert test["difference"] == pytest.approx(7.8 - 5) and test["pairs"] == 5
  assert test["p"] == test["p_holm"] == pytest.approx(2 / 2**5)  # all five differences positive; one arm is tested
  assert all(not summary["info"][arm]["test"] for arm in ("vanilla", "unrolled5", "r1"))


def test_no_floor_is_the_metric_that_arms_are_compared_by():
  names = ["answer_all_five_fill_ref_n500", "consistency_bicubic_ref_n9", "finite", "hole_error_fill_n50", "balanced_accuracy_oracle_s3"]
  assert all(summaries.NOT_PRIMARY.fullmatch(name) for name in names)
  assert not any(summaries.NOT_PRIMARY.fullmatch(name) for name in ("answer_texture_ref_n500", "hole_error_n50", "balanced_accuracy_s3", "modes_t1"))


def test_headings_of_metrics_with_and_without_a_floor():
  wanted = {"answer_all_five_ref_n500": "all five", "answer_all_five_fill_ref_n500": "all five fill", "kept_style_n50": "style"}
  assert {name: tables.heading_of(name) for name in wanted} == wanted


def test_one_seed_has_no_median_of_its_own():
  assert tables.metric_cell({"values": [5.0], "seeds": [3], "mean": 5.0, "sd": None, "median": 5.0}) == tables.Cell("5.00", "", "seed 3: 5")


def test_table_shows_perfect_row_first_then_hand_computed_cells(summary):
  table = tables.main_table(summary, "raw")
  assert [row.name for row in table.rows] == ["perfect sampler", "vanilla", "pacgan2", "unrolled5", "r1"]
  assert cells(table, "perfect sampler")["high quality"].text == "0.989"
  vanilla = cells(table, "vanilla")["modes t=¼"]
  assert vanilla == tables.Cell("5.00 (0.71)", "median 5", "seed 0: 5 · seed 1: 4 · seed 2: 6 · seed 3: 5 · seed 4: 5")
  pacgan = cells(table, "pacgan2")
  assert pacgan["failures"].text == "1/5" and pacgan["failures"].small == "20 % [4, 62]"
  assert pacgan["Δ vs vanilla"].text == "+2.80" and pacgan["Δ vs vanilla"].small == "p 0.062"
  assert (pacgan["parameters"].text, pacgan["samples seen"].text, pacgan["cost per round"].text) == (
    "37.1k",
    "192k",
    "1.50×",
  )


def test_failed_and_unfinished_arms_are_marked_and_not_averaged(summary, page):
  table = tables.main_table(summary, "raw")
  marks = {row.name: row.mark for row in table.rows}
  assert marks["unrolled5"] == "FAILED at round 1,200 of 3,000" and marks["r1"] == "UNFINISHED at round 1,200 of 3,000"
  assert cells(table, "unrolled5")["modes t=¼"].text == tables.ABSENT
  for text in (page.read_text(), page.with_name("report.md").read_text()):
    assert "FAILED at round 1,200 of 3,000" in text and "UNFINISHED at round 1,200 of 3,000" in text


def test_an_arm_that_lost_seeds_says_so(tmp_path):
  run = make_run(tmp_path / "run")
  lines = (run / "results.csv").read_text().splitlines()
  (run / "results.csv").write_text("\n".join(line for line in lines if ",pacgan2,4," not in line) + "\n")
  info = reports.summarise_run(run)["info"]["pacgan2"]
  assert tables.mark_of(info) == "only 4 of 5 seeds" and info["test"]["raw"]["pairs"] == 4


def test_page_stands_alone(page):
  html = page.read_text()
  assert html.count("data:image/png;base64,") == 4
  assert not re.findall(r"(?:src|href)=\"(?!data:)", html) and "<script" not in html and "url(" not in html
  for text in (
    "Which methods keep every mode",
    "gan-jax run --config=experiments/ring_rls.py",
    "0123abc",
    "jax 0.10.2",
  ):
    assert text in html


def test_names_are_escaped(tmp_path):
  run = make_run(tmp_path / "run")
  config = json.loads((run / "config.json").read_text())
  config["config"]["question"] = "is <b>a</b> & b | c?"
  write_json(run / "config.json", config)
  html = reports.report(run).read_text()
  assert "is &lt;b&gt;a&lt;/b&gt; &amp; b | c?" in html and "<b>a</b>" not in html


def test_same_results_give_the_same_bytes(run, page):
  files = [run / "summary.json", run / "report.md", page, *sorted((run / "figures").glob("*.png"))]
  assert len(files) == 7
  before = [file.read_bytes() for file in files]
  reports.report(run)
  assert before == [file.read_bytes() for file in files]


def test_torn_last_line_of_the_monitor_is_skipped_and_a_repeated_step_counts_once(tmp_path):
  path = tmp_path / "metrics.jsonl"
  rows = [(100, 3), (200, 5), (200, 8)]
  lines = [json.dumps({"step": step, "seed": 0, "weights": "raw", "modes": modes}) for step, modes in rows]
  path.write_text("\n".join(lines) + '\n{"step": 300, "seed": 0, "mod')
  steps, modes = results.read_log(path)[0]["modes"]
  assert steps.tolist() == [100, 200] and modes.tolist() == [3, 8]


def test_time_and_area_of_the_mode_curve(tmp_path):
  run = make_run(tmp_path / "run")
  curve = [(0, 0), (1000, 4), (2000, 8), (3000, 8)]
  rows = [{"step": step, "seed": seed, "weights": "raw", "modes": modes / (2 - seed)} for step, modes in curve for seed in (0, 1)]
  (run / "arms/vanilla/metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
  arm = reports.summarise_run(run)["arms"]["vanilla"]
  assert arm["raw/time_to_all_modes"]["values"] == [math.inf, 2000]
  assert arm["raw/area_under_modes"]["values"] == pytest.approx([1 / 3, 2 / 3])  # (.25 + .75 + 1) / 3 for seed 1
  written = json.loads((run / "summary.json").read_text())["arms"]["vanilla"]["raw/time_to_all_modes"]["values"]
  assert [float(value) for value in written] == [math.inf, 2000]
  assert cells(tables.dynamics_table(reports.summarise_run(run)), "vanilla")["rounds to all modes"].text == "∞"


def test_modes_at_equal_samples(tmp_path):
  """An arm that sees 2.5 times the baseline's examples in 3,000 rounds has seen the baseline's after 1,200: the check before is that of 1,000."""
  run = make_run(tmp_path / "run", arms=VALUES | {"minibatch_stddev": VALUES["vanilla"]})
  assert "modes, equal samples" not in cells(tables.dynamics_table(reports.summarise_run(run)), "vanilla")  # all have seen as many
  curve = [(0, 0), (1000, 4), (2000, 6), (3000, 8)]
  rows = [{"step": step, "seed": seed, "weights": "raw", "modes": modes / (2 - seed)} for step, modes in curve for seed in (0, 1)]
  for arm, seen in (("pacgan2", 480_000), ("minibatch_stddev", 96_000)):
    status = run / "arms" / arm / "status.json"
    write_json(status, {**json.loads(status.read_text()), "samples_seen": seen})
    (run / "arms" / arm / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
  summary = reports.summarise_run(run)
  values = lambda arm: summary["arms"][arm]["raw/modes_at_equal_samples"]["values"]
  assert values("pacgan2") == [2, 4]
  assert values("minibatch_stddev") == [4, 8]  # it saw fewer: all it has
  assert cells(tables.dynamics_table(summary), "pacgan2")["modes, equal samples"].text.startswith("3")
  assert "equal samples" in tables.markdown(tables.dynamics_table(summary))
  assert "modes_at_equal_samples" not in [heading for heading, _ in tables.full_table(summary, "raw").columns]


def test_the_second_half_of_training_in_table_and_figure(tmp_path):
  """Two arms with the meters: one whose gradient vanishes with everything in one mode, one that rotates. The others have no such columns."""
  run = make_run(tmp_path / "run")
  assert not any("late_churn" in name for arm in reports.summarise_run(run)["arms"].values() for name in arm)
  for arm, gradient, churn in (("vanilla", 1e-6, 0.0), ("pacgan2", 1.0, 0.5)):
    meters = {"modes": 1.0, "tvd": 0.875, "churn": churn, "generator/gradient_norm": gradient}
    rows = [{"step": step, "seed": seed, **meters, "generator/loss": step / 1000} for step in (1000, 2000, 3000) for seed in SEEDS]
    (run / f"arms/{arm}/metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
  page = reports.report(run)
  summary = json.loads((run / "summary.json").read_text())
  for arm, gradient, churn in (("vanilla", 1e-6, 0), ("pacgan2", 1, 0.5)):
    late = {name: summary["arms"][arm][f"raw/late_{name}"]["values"] for name in ("gradient", "churn", "tvd", "swing")}
    assert late == {"gradient": [gradient] * 5, "churn": [churn] * 5, "tvd": [0.875] * 5, "swing": [pytest.approx(0.5)] * 5}
    assert cells(tables.dynamics_table(summary), arm)["gradient"].text
  assert (run / "figures/on_the_way.png").stat().st_size > 10_000 and "On the way" in page.read_text()
  assert not {name for name, _ in tables.full_table(summary, "raw").columns} & tables.ON_THE_WAY


def test_many_modes_fail_below_nine_tenths_of_the_perfect_sampler(tmp_path):
  arms = {"vanilla": {"modes_tquarter": [20, 897, 898, 100, 50]}}
  run = make_run(tmp_path / "run", arms=arms, failed=(), unfinished=(), num_modes=1024, perfect={"modes_tquarter": 997.5})
  config = json.loads((run / "config.json").read_text())
  config["config"]["data"] = {"name": "grid", "size": 32}
  write_json(run / "config.json", config)
  assert reports.summarise_run(run)["info"]["vanilla"]["failure"]["raw"]["failures"] == 4  # 897.75 are asked for


def other_seeds(first: Path, second: Path, changes=lambda config: config) -> Path:
  """The run again, of seeds 5 to 9 with the same values."""
  shutil.copytree(first, second)
  config = json.loads((second / "config.json").read_text())
  config["config"]["seeds"] = [seed + 5 for seed in SEEDS]
  write_json(second / "config.json", changes(config))
  table = list(csv.reader((second / "results.csv").open()))
  rows = [[experiment, arm, str(int(seed) + 5), *rest] for experiment, arm, seed, *rest in table[1:]]
  (second / "results.csv").write_text("\n".join(",".join(row) for row in [table[0], *rows]) + "\n")
  for path in second.glob("arms/*/metrics.jsonl"):
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps({**line, "seed": line["seed"] + 5}) + "\n" for line in lines))
  return second


def test_more_seeds_of_an_experiment_are_pooled(tmp_path):
  """Five seeds here and five there are ten: one arm, one test of ten pairs, one interval."""
  first = make_run(tmp_path / "a", failed=(), unfinished=())
  second = other_seeds(first, tmp_path / "b")
  whole, _ = summaries.combine([summaries.read_run(run) for run in (first, second)])
  assert list(whole["arms"]) == ["vanilla", "pacgan2"] and whole["seeds"] == list(range(10))
  part = whole["arms"]["pacgan2"]["raw/modes_tquarter"]
  assert part["seeds"] == list(range(10)) and part["values"] == [8, 8, 7, 8, 8] * 2
  assert whole["info"]["pacgan2"]["test"]["raw"]["pairs"] == 10
  assert whole["info"]["pacgan2"]["test"]["raw"]["p"] == pytest.approx(2 / 2**10)
  assert whole["info"]["vanilla"]["failure"]["raw"]["n"] == 10 and whole["info"]["pacgan2"]["relative_cost"] == pytest.approx(1.5)
  assert whole["arms"]["vanilla"]["raw/time_to_all_modes"]["seeds"] == list(range(10))
  text = (reports.report([first, second]).parent / "report.md").read_text()
  assert json.loads((first / "comparison/summary.json").read_text())["seeds"] == list(range(10))
  assert "- seeds: 10 (0" in text and "pacgan2" in text and "a/pacgan2" not in text


def test_what_is_pooled_is_one_experiment(tmp_path):
  """Not with another setting; an arm that one lacks has fewer seeds, and says so."""
  first = make_run(tmp_path / "a", failed=(), unfinished=())
  names = lambda *runs: list(summaries.combine([summaries.read_run(run) for run in runs])[0]["arms"])

  def longer(config):
    config["config"]["num_steps"] = 4000
    return config

  assert "a/pacgan2" in names(first, other_seeds(first, tmp_path / "b", longer))

  def fewer(config):
    del config["arms"]["pacgan2"]
    return config

  second = other_seeds(first, tmp_path / "d", fewer)
  table = (second / "results.csv").read_text().splitlines(keepends=True)
  (second / "results.csv").write_text("".join(line for line in table if ",pacgan2," not in line))
  whole, _ = summaries.combine([summaries.read_run(run) for run in (first, second)])
  assert whole["info"]["pacgan2"]["missing_seeds"] == [5, 6, 7, 8, 9] and whole["info"]["vanilla"]["missing_seeds"] == []
  assert "only 5 of 10 seeds" in tables.mark_of(whole["info"]["pacgan2"])


def test_arms_that_were_played_elsewhere_are_one_table(tmp_path):
  """Where both have an arm they must agree to the last digit; its cost is relative to vanilla's beside it, its samples lie where they were drawn."""
  dragan = {"vanilla": VALUES["vanilla"], "dragan": VALUES["pacgan2"]}
  first = make_run(tmp_path / "a", failed=("unrolled5",), unfinished=("dragan",))
  second = make_run(tmp_path / "b", arms=dragan, failed=(), unfinished=("pacgan2",), experiment="league_ring")
  for arm, seconds in (("vanilla", 3e-4), ("dragan", 6e-4)):
    status = json.loads((second / f"arms/{arm}/status.json").read_text())
    write_json(second / f"arms/{arm}/status.json", status | {"seconds_per_seed_round": seconds})
  whole, sources = summaries.combine([summaries.read_run(run) for run in (first, second)])
  assert list(whole["arms"]) == ["vanilla", "pacgan2", "unrolled5", "dragan"] and whole["seeds"] == SEEDS and whole["experiment"] == "ring_rls"
  info = whole["info"]
  assert [info[arm]["status"] for arm in info] == ["done", "done", "failed", "done"] and not info["dragan"]["missing_seeds"]
  assert info["dragan"]["relative_cost"] == pytest.approx(2.0) and info["pacgan2"]["relative_cost"] == pytest.approx(1.5)
  assert info["dragan"]["test"]["raw"]["p_holm"] == pytest.approx(2 * 2 / 2**5)  # of two tests
  assert sources["dragan"][0].folder("dragan") == second / "arms/dragan" and sources["pacgan2"][0].folder("pacgan2") == first / "arms/pacgan2"
  assert whole["arms"]["dragan"]["raw/time_to_all_modes"]["seeds"] == SEEDS
  table = (second / "results.csv").read_text()
  (second / "results.csv").write_text(table.replace("vanilla,0,3000,raw,high_quality,0.91", "vanilla,0,3000,raw,high_quality,0.911"))
  with pytest.raises(UsageError, match="experiments differ"):  # two machines, or two versions
    summaries.combine([summaries.read_run(run) for run in (first, make_run(tmp_path / "c", experiment="league_ring", num_samples=99))])
  assert "b/vanilla" in summaries.combine([summaries.read_run(run) for run in (first, second)])[0]["arms"]


def test_what_is_kept_names_no_folder_of_the_machine(tmp_path, monkeypatch):
  """The run of a worktree, started as a module and by its absolute path, reported from the checkout."""
  checkout, elsewhere = tmp_path / "checkout", tmp_path / "elsewhere"
  run = make_run(checkout / "runs/ring")
  elsewhere.mkdir()
  monkeypatch.chdir(elsewhere)
  monkeypatch.setattr("sys.argv", [str(tmp_path / "gan_jax/__main__.py"), "run", f"--workdir={run}"])
  write_json(run / "environment.json", rundir.environment(run))
  monkeypatch.chdir(checkout)
  kept = reports.report("runs/ring", "results/ring").parent
  assert json.loads((kept / "environment.json").read_text())["command"] == "gan-jax run --workdir=runs/ring"
  assert "- command: `gan-jax run --workdir=runs/ring`" in (kept / "report.md").read_text()
  for file in kept.rglob("*.*"):
    if file.suffix in (".json", ".md", ".csv", ".html"):
      assert "elsewhere" not in file.read_text() and str(tmp_path) not in file.read_text(), file
  environment = rundir.environment(run)
  assert environment["folder"] == "../.."  # of the checkout itself, where it may be named
  write_json(run / "environment.json", environment)
  reports.report("runs/ring", "results/ring")
  assert json.loads((kept / "environment.json").read_text())["folder"] == "../.."


def test_what_a_report_keeps_is_read_again_and_grows(tmp_path):
  """Without logs, samples and checkpoints: the same summary, to the last digit."""
  first = make_run(tmp_path / "a")
  kept = reports.report(first, tmp_path / "kept").parent
  again = reports.report(kept, tmp_path / "again").parent
  table = lambda folder, name: (folder / name).read_text()
  assert table(again, "results.csv") == table(kept, "results.csv") and len(table(kept, "results.csv").splitlines()) == 1 + 2 * 3 * 2 * 5
  one, two = (json.loads(table(folder, "summary.json")) for folder in (kept, again))
  settled = lambda summary: {arm: info.pop("settled") for arm, info in summary["info"].items()}
  assert set(settled(one).values()) == {False} and set(settled(two).values()) == {True}
  assert one == two and "raw/time_to_all_modes" in two["arms"]["pacgan2"] and two["info"]["pacgan2"]["relative_cost"] == pytest.approx(1.5)
  assert not (again / "figures/samples.png").exists() and (again / "figures/final_values.png").exists()
  with pytest.raises(UsageError, match="--out="):
    reports.report(kept)
  second = make_run(tmp_path / "b", arms={"r1": VALUES["pacgan2"]}, failed=(), unfinished=())
  before = table(kept, "results.csv")
  for out, what in ((kept, r"would be lost \(pacgan2, vanilla\)"), (first, "a run of its own")):
    with pytest.raises(UsageError, match=what):
      reports.report(second, out)
  with pytest.raises(UsageError, match="would be lost"):  # two runs that are no one experiment have no results.csv in common
    reports.report([second, make_run(tmp_path / "e", rounds=4000)], kept)
  assert table(kept, "results.csv") == before and reports.report(first, kept)
  more = other_seeds(make_run(tmp_path / "c", failed=(), unfinished=()), tmp_path / "d")
  reports.report([kept, second], kept)
  grown = json.loads(table(kept, "summary.json"))
  assert list(grown["arms"]) == ["vanilla", "pacgan2", "unrolled5", "r1"] and grown["info"]["r1"]["status"] == "done"
  assert grown["info"]["r1"]["relative_cost"] is None and grown["info"]["pacgan2"]["relative_cost"] == pytest.approx(1.5)
  assert grown["info"]["r1"]["test"]["raw"]["pairs"] == 5
  assert json.loads(table(kept, "environment.json"))["further"][0]["commit"] == "0123abc"
  assert "There are no samples here of vanilla, pacgan2, unrolled5." in table(kept, "report.md")  # and no empty panels
  reports.report([kept, more], kept)
  grown = json.loads(table(kept, "summary.json"))
  assert grown["arms"]["pacgan2"]["raw/area_under_modes"]["seeds"] == list(range(10)) and grown["info"]["r1"]["missing_seeds"] == [5, 6, 7, 8, 9]
  before = [table(kept, name) for name in ("summary.json", "results.csv", "report.md")]
  other = other_seeds(first, tmp_path / "f")
  row = "vanilla,5,3000,raw,modes_tquarter,"
  (other / "results.csv").write_text(table(other, "results.csv").replace(row + "5", row + "4"))
  with pytest.raises(UsageError, match=r"cannot grow by these runs: they do not agree \(raw/modes_tquarter of vanilla, seed 5: 5 and 4\)"):
    reports.report([kept, other], kept)
  assert before == [table(kept, name) for name in ("summary.json", "results.csv", "report.md")]
  beside, _ = summaries.combine([summaries.read_run(run) for run in (kept, other)])
  assert list(beside["arms"]) == ["kept/vanilla", "kept/pacgan2", "kept/unrolled5", "r1", "f/vanilla", "f/pacgan2", "f/unrolled5"]
  write_json(kept / "summary.json", {"info": {"vanilla": 3}})
  with pytest.raises(UsageError, match="not the summary of a report"):
    summaries.read_run(kept)


def test_unlike_runs_are_refused(tmp_path):
  first = make_run(tmp_path / "a")
  others = {
    "experiments": make_run(tmp_path / "b", experiment="grid_rls", rounds=4000),
    "numbers of evaluation samples": make_run(tmp_path / "c", num_samples=2500),
    "perfect sampler": make_run(tmp_path / "d", perfect=PERFECT | {"tvd": 0.02}),
  }
  open_ones = [make_run(tmp_path / name, perfect=PERFECT | {"hidden_px": math.nan}) for name in ("e", "f")]
  reports.report(open_ones)  # what no sampler has is alike
  for what, other in others.items():
    with pytest.raises(UsageError, match=what):
      reports.report([first, other])
  with pytest.raises(UsageError, match="twice"):
    reports.report([first, first])
  with pytest.raises(UsageError, match="not a run directory"):
    reports.report([first, tmp_path])
  assert not (first / "report.html").exists()


def test_several_runs_are_one_comparison(tmp_path):
  first = make_run(tmp_path / "a", failed=(), unfinished=())
  other = {"vanilla": VALUES["pacgan2"], "dragan": VALUES["vanilla"]}
  second = make_run(tmp_path / "b", arms=other, failed=(), unfinished=())
  whole, sources = summaries.combine([summaries.read_run(first), summaries.read_run(second)])
  assert list(whole["arms"]) == ["a/vanilla", "pacgan2", "b/vanilla", "dragan"] and whole["baseline"] == "a/vanilla"
  assert sources["b/vanilla"][1] == "vanilla" and sources["b/vanilla"][0].directory == second
  assert whole["info"]["dragan"]["test"]["raw"]["baseline"] == "b/vanilla"  # its own run's, -2.8
  assert whole["info"]["dragan"]["test"]["raw"]["difference"] == pytest.approx(-2.8)
  assert whole["info"]["dragan"]["test"]["raw"]["p_holm"] == pytest.approx(2 * 0.0625)
  html = reports.report([first, second])
  assert html == first / "comparison/report.html" and "b/vanilla" in html.read_text() and not (first / "report.html").exists()
  assert reports.report([first, second], tmp_path / "both") == tmp_path / "both/report.html"
  assert not (second / "report.html").exists() and not (first / "summary.json").exists()


def test_images_and_data_that_cannot_be_built_still_make_a_report(tmp_path):
  run = make_run(tmp_path / "run", images=True, failed=())
  assert (run / "figures" / "samples.png") not in list(run.rglob("*.png"))
  reports.report(run)
  assert {path.stem for path in (run / "figures").iterdir()} == {"final_values", "samples"}


def test_median_seed_is_the_one_nearest_to_the_median(summary):
  arm = figures.ArmView("vanilla", "", True, {}, SEEDS, np.zeros((5, 1, 2)), None)
  assert reports.median_seed(summary, arm) == 0
  assert reports.median_seed(summary, arm._replace(name="pacgan2")) == 0


@pytest.mark.parametrize(
  ("value", "text"),
  [
    (5.0, "5.00"),
    (0.98889, "0.989"),
    (0.00035, "3.5e−4"),
    (1234.5, "1,234"),
    (-2.5, "−2.50"),
    (math.inf, "∞"),
    (math.nan, "NaN"),
    (None, "—"),
    (0, "0"),
    (0.9999, "1.00"),
  ],
)
def test_three_significant_digits(value, text):
  assert formats.digits(value) == text


def test_terminal_table_is_ascii_in_a_pipe_and_fits_a_narrow_terminal(summary):
  pipe = io.StringIO()
  reports.print_table(summary, pipe)
  text = pipe.getvalue()
  assert text.isascii() and text.index("\nperfect sampler") < text.index("\nvanilla") and "Averaged weights" in text
  assert "! FAILED at round 1,200 of 3,000: unrolled5" in text
  assert max(map(len, text.splitlines())) <= terminal.PIPE_WIDTH
  for width in (40, 80, 120):
    console = Console(width=width, file=io.StringIO(), force_terminal=False)
    console.print(terminal.rich_table(tables.main_table(summary, "raw"), width))
    shown = console.file.getvalue()
    assert "FAILED" in shown and max(len(line.rstrip()) for line in shown.splitlines()) <= width
    assert "5.00 (0.71)" in shown  # the modes are the last column to go


def test_headline_of_tasks_has_the_floor_beside_the_answer():
  names = [
    "psnr_bicubic_ref_n500", "psnr_ref_n500", "answer_vertex_px_ref_n500", "answer_vertex_px_mean_ref_n500", "hole_error_large_fill_ref_n500",
    "hole_error_fill_ref_n500", "hole_error_ref_n500", "balanced_accuracy_plain_s300", "balanced_accuracy_flips_s300", "balanced_accuracy_s300",
  ]  # fmt: skip
  summary = {"arms": {"a": {f"raw/{name}": {} for name in names}}, "perfect": {}}
  assert [(name, heading) for name, heading, _ in tables.headline(summary, "raw")] == [
    ("psnr_ref_n500", "PSNR"), ("psnr_bicubic_ref_n500", "PSNR bicubic"), ("hole_error_ref_n500", "hole error"),
    ("hole_error_fill_ref_n500", "hole error fill"), ("answer_vertex_px_ref_n500", "corners"), ("balanced_accuracy_s300", "accuracy"),
    ("balanced_accuracy_plain_s300", "accuracy plain"),
  ]  # fmt: skip
