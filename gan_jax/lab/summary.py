"""From the files of a run directory to one summary: per arm and metric the values of all seeds, failures, tests, costs.

    results.Run  ->  summary, a dict whose keys are listed at `gan_jax.lab.report.summarise_run`

Nothing here draws or formats; `tables`, `figures` and `page` do, from the same dict.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from gan_jax.lab import pooling
from gan_jax.lab.errors import UsageError
from gan_jax.lab.pooling import pooled
from gan_jax.lab.results import Log, Run, Values, read_run
from gan_jax.metrics import statistics
from gan_jax.metrics.monitor import LATE, second_half

__all__ = ["Run", "combine", "pooled", "quarter_metric", "read_run", "set_baselines", "summarise", "to_json"]

# With this many modes a seed does not fail by missing one, but by missing a tenth of what a perfect sampler gets.
MANY_MODES = 100
# Success and failure rates where there are few modes; a seed that left the finite numbers has none (Welfert et al., 2024, arXiv:2302.14320).
RATES = ("all_modes_t1", "no_modes_t1")

FLOORS = "copy|nearest|bicubic|fill|another|noise"  # what stands beside a task's metric, by the names that its columns have
# A floor's score says nothing about an arm; `finite` little.
NOT_PRIMARY = re.compile(rf"finite|.*_({FLOORS})(_ref)?_n\d+|balanced_accuracy_(plain|oversampled|oracle)_s\d+")


def quarter_metric(names: Iterable[str]) -> str | None:
  """The metric that decides failure: modes at t = a quarter of their expected number, else at the largest t."""
  counts = [name for name in names if re.fullmatch(r"modes_t?_?(quarter|\d+)", name)]
  counts.sort(key=lambda name: math.inf if "quarter" in name else int(re.sub(r"\D", "", name)))
  return counts[-1] if counts else None


def summarise(run: Run) -> dict[str, Any]:
  """The summary of one run, ready for `json`: see `gan_jax.lab.report.summarise_run` for its keys."""
  config = run.config.get("config", {})
  seeds = pooling.seeds_of(config)
  names = {name.split("/", 1)[1] for metrics in run.values.values() for name in metrics}
  told = sorted(name for name in names if not NOT_PRIMARY.fullmatch(name))
  primary = quarter_metric(names) or next((name for name in told if name.startswith(("w1", "sw2"))), next(iter(told), None))
  baseline = config.get("baseline", "vanilla")
  summary: dict[str, Any] = {
    "experiment": run.config.get("experiment"),
    "question": run.config.get("question") or config.get("question"),
    "baseline": baseline,
    "arms": {},
    "perfect": run.perfect,
    "info": {},
    "primary": primary,
    "num_modes": run.num_modes,
    "seeds": seeds,
    "rounds": config.get("num_steps"),
    "num_samples": _num_samples(config),
    "threshold": _threshold(run, primary),
    "monitor_modes": run.monitor_modes,
    "measured": [name for name, record in run.identities.items() if "extractor" in record],
  }
  for arm in run.arms:
    gave_up = {int(seed) for seed in run.status.get(arm, {}).get("failed_seeds") or {}}
    late = _late({seed: log for seed, log in run.logs.get(arm, {}).items() if seed not in gave_up})
    found = pooling.union(run.values.get(arm, {}), _curve_metrics(run.curves(arm), run), late, run.derived.get(arm, {}))
    metrics = {name: _over_seeds(by_seed) for name, by_seed in sorted(found.items())}
    summary["arms"][arm] = metrics
    summary["info"][arm] = _info(run, arm, seeds, metrics, summary)
  baselines = {arm: baseline for arm in run.arms}
  set_baselines(summary, baselines)
  _set_equal_samples(summary, {arm: (run, arm) for arm in run.arms}, baselines)
  return summary


def _over_seeds(values: Mapping[int, float]) -> dict[str, Any]:
  return {"seeds": sorted(values), **statistics.summarise([values[seed] for seed in sorted(values)])}


def set_baselines(summary: dict[str, Any], baselines: Mapping[str, str]) -> None:
  """Fills in what compares an arm to its baseline: relative cost and, by kind of weights, a paired test after Holm.

  Only finished arms are tested, against a finished baseline; pairs are the seeds that both arms have.
  """
  for arm, info in summary["info"].items():
    baseline = summary["info"].get(baselines[arm], {})
    if not info["settled"]:
      info["relative_cost"] = pooling.cost_ratio(info, baseline, "cost_per_round")
    info["test"] = {}
  for weights in ("raw", "ema"):
    tested = {}
    for arm, info in summary["info"].items():
      pair = _pairs(summary, f"{weights}/{summary['primary']}", arm, baselines[arm])
      both = [info["status"], summary["info"].get(baselines[arm], {}).get("status")]
      if arm != baselines[arm] and both == ["done", "done"] and pair is not None and len(pair[0]) >= 2:
        difference = float(np.mean(pair[0]) - np.mean(pair[1]))
        info["test"][weights] = {
          "baseline": baselines[arm],
          "pairs": len(pair[0]),
          "difference": difference,
          "p": float(statistics.paired_test(*pair)),
        }
        tested[arm] = info["test"][weights]
    for test, adjusted in zip(tested.values(), statistics.holm([test["p"] for test in tested.values()]), strict=True):
      test["p_holm"] = float(adjusted)


def combine(runs: list[Run]) -> tuple[dict[str, Any], dict[str, tuple[Run, str]]]:
  """One comparison of several runs, and where each of its arms is from: (run, name of the arm in that run).

  Runs of one experiment, with other seeds or other arms, are pooled (`pooling`). Else an arm is renamed "directory/arm" when two runs have it,
  and compared to the baseline of its own run where that has one (the same machine, the same seeds), else to that of the first. Raises UsageError
  for runs that cannot be compared.
  """
  if len({run.directory.resolve() for run in runs}) < len(runs):
    raise UsageError("the same run directory is named twice")
  for other in runs[1:]:
    _check_alike(runs[0], other)
  runs = pooled(runs)
  summaries = [summarise(run) for run in runs]
  if len(runs) == 1:
    return summaries[0], {arm: (runs[0], arm) for arm in runs[0].arms}
  there = [arm for run in runs for arm in run.arms if pooling.has(run, arm)]
  left = {arm for run in runs for arm in run.arms} - set(there)  # nothing is known of these yet; listed once
  arms_of = []
  for run in runs:
    arms_of.append([arm for arm in run.arms if pooling.has(run, arm) or arm in left])
    left -= set(run.arms)
  labels = _directory_labels(runs)
  whole = summaries[0] | {"arms": {}, "info": {}}
  sources, baselines = {}, {}
  named = [
    {arm: arm if there.count(arm) <= 1 else f"{label}/{arm}" for arm in arms}
    for arms, label in zip(arms_of, labels, strict=True)
  ]
  first = named[0].get(whole["baseline"]) or next(
    (names[whole["baseline"]] for names in named if whole["baseline"] in names), whole["baseline"]
  )
  for run, summary, names in zip(runs, summaries, named, strict=True):
    for arm, name in names.items():
      whole["arms"][name], whole["info"][name] = summary["arms"][arm], summary["info"][arm]
      if summary["rounds"] != whole["rounds"]:
        summary["info"][arm]["warnings"].append(f"of a run of {summary['rounds']} rounds; the first named here is of {whole['rounds']}")
      sources[name], baselines[name] = (run, arm), names.get(whole["baseline"], first)
  whole["baseline"] = first
  whole["seeds"] = sorted({seed for summary in summaries for seed in summary["seeds"]})
  set_baselines(whole, baselines)
  _set_equal_samples(whole, sources, baselines)
  return whole, sources


def to_json(summary: Mapping[str, Any]) -> str:
  """Strict JSON: numbers that are not finite become the strings "inf", "-inf", "nan", which `float` reads back."""
  return json.dumps(_plain(summary), indent=2, allow_nan=False) + "\n"


def _info(run: Run, arm: str, seeds: list[int], metrics: Mapping, summary: Mapping) -> dict[str, Any]:
  status = run.status.get(arm, {})
  patch = run.config.get("arms", {}).get(arm) or {}
  state = status.get("status", "done" if arm in run.values and not run.logs.get(arm) else "unfinished")  # a log without a status: it trains
  planned = patch.get("num_steps", run.config.get("config", {}).get("num_steps")) if isinstance(patch, dict) else None
  if state == "done" and isinstance(planned, int) and status.get("num_steps", planned) < planned:
    state, status = "unfinished", {**status, "num_steps": planned}  # the run was made longer, and this arm not yet
  last = max((int(steps[-1]) for steps, _ in run.curves(arm).values()), default=None)
  evaluated = sorted({seed for by_seed in run.values.get(arm, {}).values() for seed in by_seed})
  given_up = len(status.get("failed_seeds") or {})
  return {
    "status": state if state in ("done", "failed") else "unfinished",
    "error": status.get("error"),
    "parameters": status.get("parameters") or {},
    "samples_seen": status.get("samples_seen"),
    "rounds": status.get("step", last),
    "num_steps": status.get("num_steps", run.config.get("config", {}).get("num_steps")),
    "cost_per_round": status.get("seconds_per_seed_round"),
    "relative_cost": status.get("relative_cost"),
    "settled": "relative_cost" in status,  # measured beside a baseline of its own, which may not be the one here
    "seeds_by": status.get("seeds_by"),
    "compile_seconds": (status.get("seconds") or {}).get("compile"),
    "seeds": evaluated,
    "missing_seeds": [seed for seed in seeds if seed not in evaluated],
    "failed_seeds": status.get("failed_seeds") or {},
    "label": status.get("label") or (patch.get("label") if isinstance(patch, dict) else None),
    "warnings": list(dict.fromkeys([*(str(warning) for warning in status.get("warnings") or []), *_changes(run, arm)])),
    "failure": {
      weights: _failure(metrics[f"{weights}/{summary['primary']}"]["values"], summary["threshold"], given_up)
      for weights in ("raw", "ema")
      if summary["threshold"] and f"{weights}/{summary['primary']}" in metrics
    },
    "rates": {
      name: _rate(int(sum(metrics[name]["values"])) + (given_up if rate.startswith("no_") else 0), len(metrics[name]["values"]) + given_up)
      for weights in ("raw", "ema")
      for rate in RATES
      if (name := f"{weights}/{rate}") in metrics and (summary["num_modes"] or MANY_MODES) < MANY_MODES
    },
  }


def _changes(run: Run, arm: str) -> list[str]:
  """What was changed on the way, with --allow-config-change, or after the arm was last played."""
  changes = [change for change in run.config.get("changes", ()) if change["arm"] == arm]
  played = run.status.get(arm, {}).get("step", math.inf)
  when = lambda change: f"from round {change['round']} on" if played > change["round"] else f"was changed after round {played}, its last"
  return [f"{key} {old} -> {new} {when(change)}" for change in changes for key, (old, new) in change["settings"].items()]


def _failure(values: list[float], threshold: float, given_up: int) -> dict[str, Any]:
  """Seeds without the modes; those that have no values because they left the finite numbers count as well."""
  rate = _rate(sum(not value >= threshold for value in values) + given_up, len(values) + given_up)  # NaN fails
  return {"failures": rate.pop("count"), **rate}


def _rate(count: int, n: int) -> dict[str, Any]:
  return {"count": count, "n": n, "rate": count / n, "wilson": [float(end) for end in statistics.wilson_interval(count, n)]}


def _threshold(run: Run, primary: str | None) -> float | None:
  """The modes a seed must have at the primary metric not to count as failed."""
  if primary is None or run.num_modes is None or quarter_metric([primary]) is None:
    return None
  return float(run.num_modes) if run.num_modes < MANY_MODES else 0.9 * run.perfect.get(primary, float(run.num_modes))


def _curve_metrics(curves: Mapping[int, tuple[np.ndarray, np.ndarray]], run: Run) -> Values:
  """Time and area of the mode curves.

  Of many modes the monitor, which draws few samples, cannot see all even of a perfect sampler: there the goal is 90 %
  of what it would see, and the area is in units of that.
  """
  if not curves or run.num_modes is None or run.monitor_modes is None:
    return {}
  few = run.num_modes < MANY_MODES
  goal = run.num_modes if few else math.ceil(0.9 * run.monitor_modes)
  unit = 1.0 if few else run.num_modes / run.monitor_modes
  seeds = sorted(curves)
  lists = [(steps.tolist(), modes.tolist()) for steps, modes in (curves[seed] for seed in seeds)]
  times = [statistics.time_to_all_modes(steps, modes, goal) for steps, modes in lists]
  areas = [unit * statistics.area_under_modes(steps, modes, run.num_modes) for steps, modes in lists]
  return {"raw/time_to_all_modes": dict(zip(seeds, times, strict=True)), "raw/area_under_modes": dict(zip(seeds, areas, strict=True))}


def _late(logs: Mapping[int, Log]) -> Values:
  """How the second half of training went, of the seeds whose log says it. A seed that gave up stands still: it has none."""
  found = {seed: second_half(log) for seed, log in logs.items()}
  names = [name for name in LATE if any(name in values for values in found.values())]
  return {f"raw/{name}": {seed: found[seed][name] for seed in sorted(found) if name in found[seed]} for name in names}


def _set_equal_samples(summary: dict[str, Any], sources: Mapping[str, tuple[Run, str]], baselines: Mapping[str, str]) -> None:
  """The modes that the monitor saw when an arm had seen as many real examples as its baseline in the end, at the last check before.

  An arm that sees no more of them than the baseline has those of its last check.
  """
  info = summary["info"]
  for arm, (run, name) in sources.items():
    own, other = (info.get(key, {}).get("samples_seen") for key in (arm, baselines[arm]))
    if not (own and other and info[arm]["rounds"]):
      continue
    rounds = info[arm]["rounds"] * min(1.0, other / own)
    then = {seed: float(modes[steps <= rounds][-1]) for seed, (steps, modes) in run.curves(name).items() if steps[0] <= rounds}
    if then:
      known = run.derived.get(name, {}).get("raw/modes_at_equal_samples", {})
      summary["arms"][arm]["raw/modes_at_equal_samples"] = _over_seeds({**known, **then})


def _pairs(summary: Mapping, name: str, arm: str, baseline: str) -> tuple[list[float], list[float]] | None:
  one, two = (summary["arms"].get(key, {}).get(name) for key in (arm, baseline))
  if one is None or two is None:
    return None
  left, right = (dict(zip(part["seeds"], part["values"], strict=True)) for part in (one, two))
  shared = [seed for seed in left if seed in right]
  return [left[seed] for seed in shared], [right[seed] for seed in shared]


def _check_alike(first: Run, other: Run) -> None:
  for name in (name for name in first.identities if name in other.identities):
    mine, its = first.identities[name], other.identities[name]
    unlike = next((key for key in (*mine, *its) if mine.get(key) != its.get(key)), None)
    if unlike is not None:
      raise UsageError(
        f"{first.directory} and {other.directory} cannot be compared: {name} was measured with another {unlike}"
        f" ({mine.get(unlike)} and {its.get(unlike)})"
      )
  names = [None, None] if pooling.one_experiment(first, other) else [run.config.get("experiment") for run in (first, other)]
  compared = {
    "experiments": tuple(names),
    "numbers of evaluation samples": tuple(_num_samples(run.config.get("config", {})) for run in (first, other)),
  }
  for name in first.perfect | other.perfect:
    one, two = first.perfect.get(name), other.perfect.get(name)
    # Machines differ in the last digits; laws differ in more.
    if one is None or two is None or not (math.isclose(one, two, rel_tol=1e-3, abs_tol=1e-6) or (math.isnan(one) and math.isnan(two))):
      compared[f"values of a perfect sampler for {name}"] = (one, two)
  for what, (one, two) in compared.items():
    if one != two:
      raise UsageError(
        f"{first.directory} and {other.directory} cannot be compared: the {what} differ ({one} and {two})"
      )


def _directory_labels(runs: list[Run]) -> list[str]:
  """The shortest trailing parts of the directories that tell them apart."""
  parts = [run.directory.resolve().parts for run in runs]
  depth = 1
  while len({path[-depth:] for path in parts}) < len(parts):
    depth += 1
  return ["/".join(path[-depth:]) for path in parts]


def _num_samples(config: Mapping) -> int | None:
  evaluation = config.get("evaluation") or {}
  return evaluation.get("num_samples") if isinstance(evaluation, Mapping) else None


def _plain(value: Any) -> Any:
  if isinstance(value, Mapping):
    return {str(key): _plain(item) for key, item in value.items()}
  if isinstance(value, (list, tuple, np.ndarray)):
    return [_plain(item) for item in value]
  if isinstance(value, (float, np.floating)):
    return float(value) if math.isfinite(value) else str(float(value))
  if isinstance(value, np.integer):
    return int(value)
  return value
