"""More seeds of an experiment, run in another directory: pooled with the first where nothing but the seeds differs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gan_jax.lab.results import Run


def pooled(runs: Sequence[Run]) -> list[Run]:
  """The runs, those that are one experiment on other seeds made one: same config and same arms' patches, and no seed in both.

  An arm that one of them lacks has the other's seeds alone, and is marked so. Samples that figures show are the first's.
  """
  found: list[Run] = []
  for run in runs:
    place = next((place for place, first in enumerate(found) if _alike(first, run)), None)
    if place is None:
      found.append(run)
    else:
      found[place] = _joined(found[place], run)
  return found


def seeds_of(config: Mapping) -> list[int]:
  seeds = config.get("seeds", [])
  return list(range(seeds)) if isinstance(seeds, int) else [int(seed) for seed in seeds]


def _alike(first: Run, other: Run) -> bool:
  settings = [{key: value for key, value in run.config.get("config", {}).items() if key != "seeds"} for run in (first, other)]
  seeds = [set(seeds_of(run.config.get("config", {}))) for run in (first, other)]
  patches = [run.config.get("arms", {}) for run in (first, other)]
  same_arms = all(patches[0][arm] == patches[1][arm] for arm in patches[0].keys() & patches[1].keys())
  same = settings[0] == settings[1] and first.config.get("experiment") == other.config.get("experiment")
  return same and same_arms and all(seeds) and not seeds[0] & seeds[1]


def _joined(first: Run, other: Run) -> Run:
  arms = {**first.config.get("arms", {}), **other.config.get("arms", {})}
  config = {**first.config["config"], "seeds": sorted([*seeds_of(first.config["config"]), *seeds_of(other.config["config"])])}
  by_metric = lambda arm: first.values.get(arm, {}).keys() | other.values.get(arm, {}).keys()
  values = {
    arm: {name: {**first.values.get(arm, {}).get(name, {}), **other.values.get(arm, {}).get(name, {})} for name in by_metric(arm)} for arm in arms
  }
  changes = [*first.config.get("changes", ()), *other.config.get("changes", ())]
  return first._replace(
    config={**first.config, "config": config, "arms": arms, **({"changes": changes} if changes else {})},
    values={arm: found for arm, found in values.items() if found},
    status={arm: _status(first.status.get(arm, {}), other.status.get(arm, {})) for arm in arms},
    logs={arm: {**first.logs.get(arm, {}), **other.logs.get(arm, {})} for arm in arms},
  )


def _status(one: Mapping[str, Any], two: Mapping[str, Any]) -> dict[str, Any]:
  """Of an arm in both; one that is not done in either is not done."""
  if not one or not two:
    return dict(one or two)
  worse = next((status for status in (one, two) if status.get("status") != "done"), one)
  costs = [cost for cost in (one.get("seconds_per_seed_round"), two.get("seconds_per_seed_round")) if cost]
  return {
    **worse,
    "seeds": one.get("seeds"),
    "seconds_per_seed_round": sum(costs) / len(costs) if costs else None,
    "failed_seeds": {**(one.get("failed_seeds") or {}), **(two.get("failed_seeds") or {})},
    "warnings": [*(one.get("warnings") or []), *(two.get("warnings") or [])],
  }


__all__ = ["pooled", "seeds_of"]
