"""Row 20 in the runner: which seed, round, player and array is told, what is on disk stays finite, and the others are compared."""

import csv
import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.lab import cli, config, numerics, resolve, strategy
from gan_jax.lab.checkpoint import Checkpoints
from gan_jax.lab.program import program, seed_keys

CONFIG = '''"""A small ring, spoilt."""
from ml_collections import ConfigDict

ADAM = {"name": "adam", "learning_rate": 1e-4, "b1": 0.5}

def get_config(arg=None):
  return ConfigDict({
    "seeds": 4, "num_steps": 20, "batch_size": 8, "data": {"name": "ring", "num_modes": 8, "radius": 2.0, "sigma": 0.05},
    "generator": {"name": "mlp", "features": (8,), "activation": "tanh"}, "discriminator": {"name": "mlp", "features": (8,), "activation": "tanh"},
    "objective": {"name": "non_saturating"}, "prior": {"name": "normal", "size": 4}, "optimizers": {"generator": ADAM, "discriminator": ADAM},
    "game": {"name": "gan", "ema_decay": 0.9}, "transforms": {"skip_not_finite": {"patience": 3}},
    "evaluation": {"num_samples": 50, "thresholds": (1,), "every": 10, "monitor_samples": 50, "distances": False},
    "discriminator_terms": {"spoilt:spoil": {"first": 99, "last": 99, "all_seeds": True}},
    "arms": {
      "vanilla": {}, "once": {"discriminator_terms.spoilt:spoil.first": 13, "discriminator_terms.spoilt:spoil.last": 14},
      "some": {"discriminator_terms.spoilt:spoil.first": 5, "discriminator_terms.spoilt:spoil.all_seeds": False},
      "all": {"discriminator_terms.spoilt:spoil.first": 5},
    },
  }, convert_dict=False)
'''
TERM = '''
import jax.numpy as jnp

def spoil(first, last, all_seeds):
  """NaN from round `first` to before `last`, in all seeds or in those whose D starts with a positive weight."""
  def term(play):
    here = (play.state.step >= first) & (play.state.step < last)
    chosen = all_seeds | (play.state.params["discriminator"]["Dense_0"]["kernel"][0, 0] > 0)
    return jnp.where(here & chosen, jnp.nan, 0.0)
  return term
'''


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
  folder = tmp_path_factory.mktemp("lab")
  (folder / "small.py").write_text(CONFIG)
  (folder / "spoilt.py").write_text(TERM)
  return folder


@pytest.fixture(scope="module")
def built(lab):
  """arm -> its program and where it starts."""
  made = {}

  def of(arm):
    if arm not in made:
      experiment = resolve.build(config.load(str(lab / "small.py"), (), arm).arms[arm])
      compiled, keys = program(experiment), seed_keys((0, 1, 2, 3))
      made[arm] = experiment, compiled, keys, compiled.init(keys, experiment.data.table)
    return made[arm]

  return of


def advanced(built, arm, *pieces):
  experiment, compiled, keys, states = built(arm)
  totals = compiled.totals(4)
  for rounds in pieces:
    states, totals = compiled.advance(states, totals, {"data": keys["data"], "run": keys["run"]}, experiment.data.table, np.int32(rounds))
  return jax.device_get((states, totals))


def same(one, two):
  return all(np.asarray(a).tobytes() == np.asarray(b).tobytes() for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(two), strict=True))


def finite(tree):
  return all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(tree) if np.asarray(leaf).dtype.kind == "f")


def positive(built, arm="some"):
  return [seed for seed in range(4) if np.asarray(built(arm)[3].params["discriminator"]["Dense_0"]["kernel"])[seed, 0, 0] > 0]


@pytest.mark.parametrize("pieces", [(20,), (5, 15), (6, 14), (1,) * 20], ids=str)
@pytest.mark.parametrize("arm", ["once", "some"])
def test_f20_it_does_not_matter_how_a_run_is_cut(built, arm, pieces):
  """So a run that was stopped around a bad round ends as one that was not, bit for bit, its counts as well."""
  states, _ = advanced(built, arm, *pieces)
  assert finite(states) and (states.step == 20).all()
  assert same(states, advanced(built, arm, 12, 8)[0])
  if arm == "once":
    assert {tuple(count) for count in states.skipped["discriminator"][:, :3]} == {(1, 0, 13)}
  else:
    expected = [[3, 3, 7] if seed in positive(built) else [0, 0, 0] for seed in range(4)]
    assert states.skipped["discriminator"][:, :3].tolist() == expected and {sum(row) for row in expected} == {0, 13}


def test_f20_finite_runs_are_what_they_were(built):
  """While all is finite, the program has no guard in it: its bits are those of a game without patience."""
  experiment, _, keys, states = built("vanilla")
  game = experiment.game._replace(patience=None)
  bare = program(experiment._replace(game=game, shapes=experiment.shapes.replace(skipped={})))
  own = {"data": keys["data"], "run": keys["run"]}
  without = bare.advance(jax.tree.map(jnp.copy, states.replace(skipped={})), bare.totals(4), own, experiment.data.table, np.int32(20))
  with_guard = advanced(built, "vanilla", 20)
  assert same((with_guard[0].replace(skipped={}), with_guard[1]), without)
  assert not any(count.any() for count in with_guard[0].skipped.values())


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["pmap", "sharded"])
def test_f20_on_other_layouts(lab, built, layout):
  experiment = built("some")[0]
  compiled = program(experiment, getattr(strategy, layout)(4, jax.devices()[:2]))
  keys = seed_keys((0, 1, 2, 3))
  there = compiled.layout.place
  states, totals = there(compiled.init(keys, experiment.data.table)), there(compiled.totals(4))
  own, table = there({"data": keys["data"], "run": keys["run"]}), compiled.layout.replicate(experiment.data.table)
  states, totals = compiled.advance(states, totals, own, table, np.int32(20))
  states = jax.device_get(compiled.layout.fetch(states))
  assert finite(states)
  np.testing.assert_array_equal(states.skipped["discriminator"], advanced(built, "some", 20)[0].skipped["discriminator"])


@pytest.fixture(scope="module")
def run(lab):
  """Three arms: the second has two bad rounds, in the third some seeds give up. What the command said."""
  import contextlib
  import io

  said, out = io.StringIO(), io.StringIO()
  with contextlib.redirect_stderr(said), contextlib.redirect_stdout(out):
    code = cli.main(["run", f"--config={lab / 'small.py'}", f"--workdir={lab / 'run'}", "--arms=once,some"])
  return lab / "run", code, said.getvalue(), out.getvalue()


def test_f20_exit_code_and_one_line(run, built):
  directory, code, said, out = run
  assert code == 5
  line = said.splitlines()[-1]
  failed = positive(built)
  for seed in failed:
    assert f"seed {seed} of some (gave up in round 7, discriminator: loss is not finite, for 3 turns in a row)" in line
  assert f"seed {({0, 1, 2, 3} - set(failed)).pop()} of some" not in line and str(directory) in line
  assert "arm once, seed 0: 1 turns of discriminator skipped, the last in round 13, discriminator: loss is not finite" in out


def test_f20_what_is_on_disk(run, built):
  directory, *_ = run
  with (directory / "results.csv").open() as file:
    rows = list(csv.DictReader(file))
  good = {str(seed) for seed in range(4)} - {str(seed) for seed in positive(built)}
  assert {row["seed"] for row in rows if row["arm"] == "some"} == good
  assert {row["seed"] for row in rows if row["arm"] == "once"} == {"0", "1", "2", "3"}
  for arm in ("once", "some"):
    with Checkpoints(directory / "arms" / arm / "checkpoints") as checkpoints:
      assert finite(checkpoints.restore(None)[1]["states"])
  status = json.loads((directory / "arms/some/status.json").read_text())
  assert status["status"] == "done" and set(status["failed_seeds"]) == {str(seed) for seed in positive(built)}
  lines = [json.loads(line) for line in (directory / "arms/once/metrics.jsonl").read_text().splitlines()]
  assert [line.get("discriminator/skipped") for line in lines] == [None] * 4 + [1.0] * 4
  assert math.isnan(lines[-1]["discriminator/loss"]) and math.isfinite(lines[-1]["generator/loss"])


def test_f20_the_report_marks_it_and_never_averages_it(run, built):
  directory, *_ = run
  failed = positive(built)
  text = (directory / "report.md").read_text()
  assert f"seed {', '.join(map(str, failed))} FAILED" in text and f"only {4 - len(failed)} of 4 seeds" in text
  summary = json.loads((directory / "summary.json").read_text())
  failure = summary["info"]["some"]["failure"]["raw"]
  assert failure["n"] == 4 and failure["failures"] >= len(failed)
  assert all(not set(part["seeds"]) & set(failed) for name, part in summary["arms"]["some"].items() if "time_to" not in name and "area" not in name)


def test_f20_the_same_command_says_it_again(run, lab, capsys):
  """A finished arm is not trained again, and its failed seeds are not forgotten."""
  assert cli.main(["run", f"--config={lab / 'small.py'}", f"--workdir={lab / 'run'}", "--arms=once,some", "--quiet"]) == 5
  assert f"seed {positive_of(run[0])} of some" in capsys.readouterr().err


def positive_of(directory):
  return next(iter(json.loads((directory / "arms/some/status.json").read_text())["failed_seeds"]))


def test_f20_when_all_seeds_give_up_the_arm_has_failed(lab, capsys):
  code = cli.main(["run", f"--config={lab / 'small.py'}", f"--workdir={lab / 'none'}", "--arms=all", "--quiet"])
  assert code == 5 and "all: failed" in capsys.readouterr().err
  status = json.loads((lab / "none/arms/all/status.json").read_text())
  assert status["status"] == "failed" and "seed 0 gave up in round 7, discriminator: loss is not finite, for 3 turns in a row" in status["error"]
  assert "FAILED" in (lab / "none/report.md").read_text()


def test_f20_names_of_arrays(built):
  """The numbers in the count are those of the arrays that `core` looks at, in order."""
  experiment = built("vanilla")[0]
  names = numerics.arrays(experiment.shapes, "generator")
  params = len(jax.tree.leaves(experiment.shapes.params["generator"]))
  assert names[0] == "loss" and names[1] == "gradient of Dense_0/bias" and all(name.startswith("gradient of ") for name in names[1 : 1 + params])
  assert all(name.startswith("new ") for name in names[1 + params :]) and "new ema/Dense_0/kernel" in names and "new params/Dense_1/kernel" in names
