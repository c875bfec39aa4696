"""Runs of one experiment in several directories, made one: more seeds, more arms, wherever and whenever they were played."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gan_jax.lab.results import Run, Values

NAMES = ("seeds", "question")  # of a config: what two runs of one experiment may differ in


def pooled(runs: Sequence[Run]) -> list[Run]:
  """The runs, those that are one experiment made one: same config but for seeds and question, same patches of the arms that both have.

  What both have played must have the same numbers to the last digit, else they stand side by side. An arm that one of them lacks has the other's
  seeds alone, and is marked so where these are fewer.
  """
  found: list[Run] = []
  for run in runs:
    place = next((place for place, first in enumerate(found) if one_experiment(first, run) and _agree(first, run)), None)
    if place is None:
      found.append(run)
    else:
      found[place] = _joined(found[place], run)
  return found


def one_experiment(first: Run, other: Run) -> bool:
  """Whether nothing but names, seeds and the choice of arms differs."""
  settings = [{key: value for key, value in run.config.get("config", {}).items() if key not in NAMES} for run in (first, other)]
  patches = [run.config.get("arms", {}) for run in (first, other)]
  return settings[0] == settings[1] and all(patches[0][arm] == patches[1][arm] for arm in patches[0].keys() & patches[1].keys())


def seeds_of(config: Mapping) -> list[int]:
  seeds = config.get("seeds", [])
  return list(range(seeds)) if isinstance(seeds, int) else [int(seed) for seed in seeds]


def _agree(first: Run, other: Run) -> bool:
  """On every number that both have."""
  return next(_differences(first, other), None) is None


def _differences(first: Run, other: Run) -> Iterator[str]:
  same = lambda one, two: one == two or (math.isnan(one) and math.isnan(two))
  for arm in (arm for arm in first.values if arm in other.values):
    for name in (name for name in first.values[arm] if name in other.values[arm]):
      for seed, value in first.values[arm][name].items():
        if seed in other.values[arm][name] and not same(value, other.values[arm][name][seed]):
          yield f"{name} of {arm}, seed {seed}: {value:g} and {other.values[arm][name][seed]:g}"


def why_apart(runs: Sequence[Run]) -> str:
  """Why they are not pooled, in a few words."""
  for other in runs[1:]:
    if not one_experiment(runs[0], other):
      return f"{other.directory} has other settings"
    for difference in _differences(runs[0], other):
      return f"they do not agree ({difference}), as runs on another kind of processor, or by other code"
  return "they are not one experiment"


def _joined(*runs: Run) -> Run:
  first, other = map(_settled, runs)
  arms = {**first.config.get("arms", {}), **other.config.get("arms", {})}
  seeds = sorted({*seeds_of(first.config["config"]), *seeds_of(other.config["config"])})
  changes = [*first.config.get("changes", ()), *other.config.get("changes", ())]
  of = {arm: [run for run in (first, other) if has(run, arm)] or [first] for arm in arms}
  whole = lambda part: {arm: found for arm in arms if (found := union(*(part(run).get(arm, {}) for run in of[arm])))}
  return first._replace(
    config={**first.config, "config": {**first.config["config"], "seeds": seeds}, "arms": arms, **({"changes": changes} if changes else {})},
    environment={**first.environment, "further": [*first.environment.get("further", ()), *_environments(other)]},
    perfect={**other.perfect, **first.perfect},
    identities={**other.identities, **first.identities},
    values=whole(lambda run: run.values),
    derived=whole(lambda run: run.derived),
    status={arm: _status(*(run.status.get(arm, {}) for run in of[arm])) for arm in arms},
    logs={arm: {seed: log for run in reversed(of[arm]) for seed, log in run.logs.get(arm, {}).items()} for arm in arms},
    folders={arm: of[arm][0].folder(arm) for arm in arms},
  )


def _settled(run: Run) -> Run:
  """With costs relative to the run's own baseline: the other's machine, or what ran beside it, was perhaps another."""
  base = run.status.get(run.config.get("config", {}).get("baseline", "vanilla"), {})
  ratio = lambda status: cost_ratio(status, base, "seconds_per_seed_round")
  return run._replace(status={arm: {"relative_cost": ratio(status), **status} for arm, status in run.status.items()})


def cost_ratio(of: Mapping[str, Any], base: Mapping[str, Any], cost: str) -> float | None:
  """Of what stands under `cost`; None where seeds were played at once here and one by one there, which cost differently."""
  own, other = of.get(cost), base.get(cost)
  return own / other if own and other and of.get("seeds_by") == base.get("seeds_by") else None


def has(run: Run, arm: str) -> bool:
  """Whether there is something of the arm: values, or how it failed."""
  return arm in run.values or run.status.get(arm, {}).get("status") == "failed"


def union(*tables: Values) -> Values:
  """Metric -> seed -> value of them all; of what several have, the first's."""
  names = dict.fromkeys(name for table in tables for name in table)
  return {name: {seed: value for table in reversed(tables) for seed, value in table.get(name, {}).items()} for name in names}


def _environments(run: Run) -> list[dict[str, Any]]:
  own = {key: value for key, value in run.environment.items() if key not in ("further", "folder")}
  return [own, *run.environment.get("further", ())]


def _status(one: Mapping[str, Any], two: Mapping[str, Any] | None = None) -> dict[str, Any]:
  """Of an arm in both; one that is not done in either is not done."""
  if not one or not two:
    return dict(one or two or {})
  worse = next((status for status in (one, two) if status.get("status") != "done"), one)
  mean = lambda name: sum(costs) / len(costs) if (costs := [status[name] for status in (one, two) if status.get(name)]) else None
  return {
    **worse,
    "seeds": one.get("seeds"),
    "seconds_per_seed_round": mean("seconds_per_seed_round"),
    "relative_cost": mean("relative_cost"),
    "failed_seeds": {**(one.get("failed_seeds") or {}), **(two.get("failed_seeds") or {})},
    "warnings": [*(one.get("warnings") or []), *(two.get("warnings") or [])],
  }


__all__ = ["cost_ratio", "has", "one_experiment", "pooled", "seeds_of", "union", "why_apart"]
