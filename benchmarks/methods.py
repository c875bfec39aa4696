"""What does a round of each method cost, beside a vanilla one? CPU time at the sizes of experiments/ring_rls.py, one seed.

  python benchmarks/methods.py                       every arm of experiments/league_ring.py; writes results/methods.* and the cards
  python benchmarks/methods.py --arms=r1,unrolled5   these alone, into the same files
  python benchmarks/methods.py --cards               no timing: write what is measured, here and in experiments/results, into docs/methods/*.md

One process on one core. An arm is compiled, as the runner does it (rounds in one loop, data drawn inside), and then takes turns with vanilla: a
block of rounds of the one, of the other, and so on, each block of about `--seconds` of the process's CPU time. A repetition's ratio is that of two
adjacent blocks; given are the median over repetitions, the least and the most. CPU time, because the machine may be busy; compilation is not in it.
The same command goes on where it stopped: arms that the file has are not timed again, unless they are named. A method's own number of turns
(n_critic) and of samples are in its round: the column samples says how many real examples it takes.
"""

import argparse
import json
import os
import re
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "methods.json"
CARDS = HERE.parent / "docs" / "methods"
TABLES = (  # that cards quote; a league has the arms of the table before it as well
  "ring_rls", "grid_rls", "stacked_digits", "stacked_digits_conv", "league_ring", "league_grid", "league_digits", "league_digits_more",
)  # fmt: skip

ARMS_OF: Mapping[str, tuple[str, ...]] = {  # card -> its arms, where they are not of its own name
  "gan": ("vanilla", "minimax"), "wasserstein": ("wgan_clip",), "relativistic": ("relativistic_paired", "relativistic_average"),
  "f_gan": ("kl", "reverse_kl", "pearson_chi2", "squared_hellinger", "jensen_shannon", "total_variation"),
  "r1": ("r1", "r2", "rpgan_r1_r2"), "approximate_r1": ("approximate_r1", "approximate_r2"), "bures": ("buresgan",),
  "gdpp": ("gdpp", "gdpp_eigenvalues"), "pack": ("pacgan2", "pacgan4", "pacgan2_packs", "pacgan4_packs"), "unroll": ("unrolled5",),
  "order_of_play": ("simultaneous",), "extra_adam": ("extra_adam", "extragradient"),
  "self_conditioned": ("self_conditioned", "self_conditioned4"), "adam": (), "pix2pix": (), "diff_augment": (), "virtual_batch": (),
}  # fmt: skip
AT_EVALUATION = ("rejection_sampling", "truncation")


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--arms", help="a,b: these arms, anew")
  parser.add_argument("--seconds", type=float, default=0.1, help="CPU time of a block, at least")
  parser.add_argument("--repetitions", type=int, default=5)
  parser.add_argument("--cards", action="store_true", help="fill docs/methods")
  options = parser.parse_args()
  if options.cards:
    return fill_cards(json.loads(RESULTS.read_text()))
  os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
  if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
  from machine import describe

  from gan_jax.lab import config

  arms = config.load(str(HERE.parent / "experiments" / "league_ring.py")).arms
  record = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"machine": describe(), "load_average": os.getloadavg(), "arms": {}}
  wanted = options.arms.split(",") if options.arms else [name for name in arms if name not in record["arms"]]
  vanilla, _ = compiled(arms["vanilla"])
  for name in wanted:
    start = time.process_time()
    advance, samples = compiled(arms[name])
    record["arms"][name] = {"samples": samples, **compare(advance, vanilla, options.repetitions, options.seconds)}
    took = time.process_time() - start
    record["cpu_seconds"] = record.get("cpu_seconds", 0.0) + took
    RESULTS.write_text(json.dumps(record, indent=1) + "\n")
    RESULTS.with_suffix(".md").write_text(document(record))
    fill_cards(record)
    print(f"{name:<26} {record['arms'][name]['median']:6.2f}   ({took:.0f} s of CPU)", flush=True)


def compiled(arm: Any) -> tuple[Callable[[int], None], int]:
  """`advance(rounds)`, and the real examples of a round."""
  import jax
  import numpy as np

  from gan_jax.lab import resolve
  from gan_jax.lab.program import program, seed_keys

  experiment = resolve.build(arm)
  played = program(experiment)
  keys = seed_keys((0,))
  with jax.disable_jit():  # op by op, for every arm the same small programs: nothing to compile for a state that is made once
    states = played.init(keys, experiment.data.table)
  totals = played.totals(1)

  def advance(rounds: int) -> None:
    nonlocal states, totals
    states, totals = jax.block_until_ready(played.advance(states, totals, keys, experiment.data.table, np.int32(rounds)))

  advance(3)
  return advance, experiment.round_size


def compare(arm: Callable[[int], None], vanilla: Callable[[int], None], repetitions: int, seconds: float) -> dict[str, Any]:
  rounds = [enough(advance, seconds) for advance in (vanilla, arm)]
  pairs = [[spend(advance, n) for advance, n in zip((vanilla, arm), rounds, strict=True)] for _ in range(repetitions)]
  ratios = [own / other for other, own in pairs]
  microseconds = {"vanilla": statistics.median(other for other, _ in pairs) * 1e6, "own": statistics.median(own for _, own in pairs) * 1e6}
  return {"median": statistics.median(ratios), "min": min(ratios), "max": max(ratios), "ratios": ratios, "microseconds": microseconds}


def enough(advance: Callable[[int], None], seconds: float) -> int:
  """Rounds that take about so much CPU time."""
  rounds = 4
  while (taken := spend(advance, rounds) * rounds) < seconds / 4:
    rounds *= 2
  return max(1, round(rounds * seconds / taken))


def spend(advance: Callable[[int], None], rounds: int) -> float:
  """CPU seconds a round."""
  start = time.process_time()
  advance(rounds)
  return (time.process_time() - start) / rounds


def document(record: Mapping[str, Any]) -> str:
  lines = [
    "# What a round costs beside vanilla's", "",
    "`python benchmarks/methods.py`: CPU time, ratio of adjacent blocks, median over repetitions (least to most). Sizes of experiments/ring_rls.py,",
    "one seed. `samples`: real examples a round. Read one digit: the machine was busy (see the last line), and small programs feel their neighbours.",
    "",
    "| arm | times vanilla | least to most | µs | vanilla µs | samples |", "|---|---:|---:|---:|---:|---:|",
  ]  # fmt: skip
  for name, found in sorted(record["arms"].items(), key=lambda item: item[1]["median"]):
    own, vanilla = found["microseconds"]["own"], found["microseconds"]["vanilla"]
    lines.append(f"| {name} | {found['median']:.2f} | {found['min']:.2f}-{found['max']:.2f} | {own:,.0f} | {vanilla:,.0f} | {found['samples']} |")
  facts = [f"- {name}: {value}" for name, value in record["machine"].items()]
  return "\n".join([*lines, "", *facts, f"- load average at the start: {', '.join(f'{x:.1f}' for x in record['load_average'])}"]) + "\n"


def fill_cards(record: Mapping[str, Any]) -> None:
  """Rewrites the two measured lines of every card."""
  summaries = {name: json.loads((HERE.parent / "experiments" / "results" / name / "summary.json").read_text()) for name in TABLES}
  for path in sorted(CARDS.glob("*.md")):
    arms = ARMS_OF.get(path.stem, (path.stem,))
    text = replaced(path.read_text(), "Cost of a round, relative to vanilla", cost(arms, record, summaries))
    path.write_text(replaced(text, "When it helps, and when not, by our tables", helps(arms, summaries)))


def replaced(text: str, label: str, value: str) -> str:
  return re.sub(rf"^- \*\*{label}:\*\* .*$", lambda _: f"- **{label}:** {value}", text, count=1, flags=re.MULTILINE)


def cost(arms: tuple[str, ...], record: Mapping[str, Any], summaries: Mapping[str, Mapping[str, Any]]) -> str:
  """Of this benchmark; of arms that it has not reached, that of the ring's table, whose seeds run as one program."""
  if arms and all(arm in AT_EVALUATION for arm in arms):
    return "none, it acts on samples alone"
  arms = tuple(arm for arm in arms if arm != "vanilla")
  timed = {arm: record["arms"][arm]["median"] for arm in arms if arm in record["arms"]}
  place = "benchmarks/results/methods.md"
  if not timed:
    infos = summaries["ring_rls"]["info"]
    timed = {arm: infos[arm]["relative_cost"] for arm in arms if arm in infos}
    place = "experiments/results/ring_rls, ten seeds at once"
  if not timed:
    return "not measured yet" if arms else "not measured: no arm of it on points"
  parts = [f"{figure(ratio)}{f' (`{arm}`)' if len(timed) > 1 else ''}" for arm, ratio in timed.items()]
  return f"{', '.join(parts)} in CPU time ({place})"


def figure(ratio: float) -> str:
  return f"{ratio:.1f}" if ratio < 10 else f"{ratio:.0f}"


def helps(arms: tuple[str, ...], summaries: Mapping[str, Mapping[str, Any]]) -> str:
  """Modes at t = a quarter, mean (SD), beside vanilla's, and Holm's p: what the tables say, in no other words."""
  found: list[str] = []
  quoted: set[tuple] = set()
  for table, summary in summaries.items():
    name = f"raw/{summary['primary']}"
    values = {arm: part[name] for arm, part in summary["arms"].items() if name in part}
    shown = [arm for arm in arms if arm in values and arm != "vanilla" and (arm, *values[arm]["values"]) not in quoted]
    quoted |= {(arm, *values[arm]["values"]) for arm in shown}
    if not shown:
      continue
    own = "; ".join(
      f"{f'`{arm}` ' if len(arms) > 1 else ''}{spread(values[arm])}, p {summary['info'][arm]['test']['raw']['p_holm']:.2g}" for arm in shown
    )
    found.append(f"{table} (vanilla {spread(values['vanilla'])}): {own}")
  if not found:
    return "the baseline of every table" if "vanilla" in arms else "not in our tables yet"
  return "modes at t = ¼, mean (SD), Holm's p against vanilla. " + ". ".join(found)


def spread(part: Mapping[str, Any]) -> str:
  digits = 0 if part["mean"] >= 100 else 1
  return f"{part['mean']:.{digits}f} ({part['sd']:.{digits}f})"


if __name__ == "__main__":
  sys.path.insert(0, str(HERE))
  main()
