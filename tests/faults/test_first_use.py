"""What people met who ran the program for the first time: numbers that were quietly wrong, and errors that were no line.

Each test here was a run of theirs.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
import stored_runs
from PIL import Image

from gan_jax import gan, load, networks, objectives, penalties, priors
from gan_jax.core import build
from gan_jax.lab import cli, config, evaluation, report, results, rundir, sampling, train
from gan_jax.lab.errors import DataError, UsageError

SET = '''"""A set of one's own, by a relative path, and a metric and terms of one's own."""
from ml_collections import ConfigDict

ADAM = {"name": "adam", "learning_rate": 1e-3}

def get_config(arg=None):
  return ConfigDict({
    "seeds": 1, "num_steps": 10, "batch_size": 8, "data": {"name": "images", "path": "pictures"},
    "generator": {"name": "mlp", "features": (4,)}, "discriminator": {"name": "mlp", "features": (4,)},
    "objective": {"name": "non_saturating"}, "prior": {"name": "normal", "size": 2},
    "optimizers": {"generator": ADAM, "discriminator": ADAM}, "game": {"name": "gan"},
    "evaluation": {"num_samples": 60, "thresholds": (1,), "every": 5, "monitor_samples": 60, "metrics": {"own_lab:spread": {"k": 2.0}}},
    "arms": {"vanilla": {}, "r1": {"discriminator_terms.r1.gamma": 0.1}},
  }, convert_dict=False)
'''
LAB = """
from gan_jax.metrics.base import Metric

def spread(k):
  return Metric(lambda samples, context: {"spread": float(k * samples.std())}, lambda data: {"spread": {"k": k}})

def broken():
  return Metric(lambda samples, context: {"broken": 1 / 0}, lambda data: {"broken": {}})

def unable():
  return Metric(lambda samples, context: {}, lambda data: {"unable": data.nothing})

def vector():
  return lambda play: play.fake.reshape(len(play.fake), -1)
"""


def pictures(folder: Path, seed: int) -> None:
  folder.mkdir(parents=True, exist_ok=True)
  np.savez(folder / "data.npz", images=np.random.default_rng(seed).integers(0, 256, (80, 4, 4, 1), np.uint8))


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
  folder = tmp_path_factory.mktemp("own")
  (folder / "own.py").write_text(SET)
  (folder / "own_lab.py").write_text(LAB)
  pictures(folder / "pictures", 0)
  sys.path.append(str(folder))
  yield folder
  sys.path.remove(str(folder))


def resolved(lab: Path, *overrides: str, arms: str = "vanilla") -> config.Resolved:
  return config.load(str(lab / "own.py"), overrides, arms)


@pytest.fixture(scope="module")
def done(lab) -> Path:
  before = Path.cwd()
  os.chdir(lab)
  try:
    train.run(resolved(lab), "run", quiet=True)
  finally:
    os.chdir(before)
  return lab / "run"


def test_a_metric_of_ones_own_has_a_value_and_an_identity(done):
  assert json.loads((done / "identities.json").read_text())["spread"] == {"k": 2.0, "n_fake": 60, "real_seed": 0}
  assert results.read_run(done).values["vanilla"]["raw/spread"][0] > 0


def test_nothing_is_trained_where_a_report_kept_results(done, lab, tmp_path, monkeypatch):
  """The next arm would rewrite results.csv, and the kept ones would be gone."""
  kept = report.report(done, tmp_path / "kept").parent
  before = (kept / "results.csv").read_text()
  monkeypatch.chdir(lab)
  with pytest.raises(UsageError, match="what a report kept"):
    train.run(resolved(lab), kept, quiet=True)
  assert (kept / "results.csv").read_text() == before


@pytest.mark.parametrize(("metric", "words"), [("broken", "own_lab:broken: ZeroDivisionError: division"), ("unable", "no attribute 'nothing'")])
def test_a_metric_of_ones_own_that_raises_is_one_line(lab, tmp_path, monkeypatch, metric, words):
  monkeypatch.chdir(lab)
  with pytest.raises(UsageError, match=f"evaluation.*{words}"):
    train.run(resolved(lab, f"evaluation.metrics={{'own_lab:{metric}': {{}}}}"), tmp_path / "run", quiet=True)


def test_what_lies_elsewhere_is_found_from_anywhere(lab, done, tmp_path, monkeypatch):
  """data.path is of the folder that the run was started in; run.py may be called from another."""
  monkeypatch.chdir(tmp_path)
  assert sampling.sample(done, tmp_path / "grid.png", num=4).is_file()  # and the only arm need not be named
  elsewhere = tmp_path / "moved"
  shutil.copytree(done, elsewhere / "run")
  with pytest.raises(DataError, match="pictures: no such file or folder"):
    sampling.sample(elsewhere / "run", tmp_path / "again.png")
  pictures(elsewhere / "pictures", 0)  # a tree that was moved as a whole
  assert sampling.sample(elsewhere / "run", tmp_path / "again.png", num=4).is_file()


def test_other_data_of_the_same_name_are_refused(lab, done, tmp_path, monkeypatch):
  """Arms on different pictures would be compared; an evaluation would be of others than were trained on."""
  shutil.copytree(done, tmp_path / "run")
  pictures(tmp_path / "pictures", 1)
  monkeypatch.chdir(tmp_path)
  held = {name: Path("run", name).read_bytes() for name in ("config.json", "environment.json", "identities.json", "results.csv")}
  for again in (lambda: train.run(resolved(lab, arms="vanilla,r1"), "run", quiet=True), lambda: evaluation.evaluate("run")):
    with pytest.raises(DataError, match=r"not the data that run began with .* --allow-config-change=data\.files") as error:
      again()
    assert error.value.exit_code == 3 and held == {name: Path("run", name).read_bytes() for name in held}
  train.run(resolved(lab, arms="vanilla,r1"), "run", quiet=True, allow=["data.files"])
  change = json.loads(Path("run/config.json").read_text())["changes"]
  assert [(one["arm"], one["round"], list(one["settings"])) for one in change] == [("vanilla", 10, ["data.files"])]
  assert "data.files" in Path("run/report.html").read_text()
  train.run(resolved(lab, arms="vanilla,r1"), "run", quiet=True)  # taken for the same from now on
  assert evaluation.evaluate("run").is_dir()


def test_pictures_are_read_where_they_were_found(done, lab, tmp_path, monkeypatch):
  """One by one, perhaps after the program has come back to the folder that it is called in."""
  folder = tmp_path / "there"
  (folder / "pictures").mkdir(parents=True)
  for number in range(80):
    Image.fromarray(np.random.default_rng(number).integers(0, 256, (4, 4), np.uint8)).save(folder / f"pictures/{number}.png")
  monkeypatch.chdir(folder)
  train.run(resolved(lab), "run", quiet=True)
  monkeypatch.chdir(tmp_path)
  assert evaluation.evaluate("there/run").is_dir()
  assert results.read_run("there/run").data is not None
  (tmp_path / "linked").symlink_to(folder / "run")  # the folder is seen from the run itself
  assert rundir.started_in("linked") == folder


def test_nothing_is_imported_from_where_a_run_says_it_was_started(done, tmp_path, monkeypatch):
  """A run directory may come from anyone."""
  shutil.copytree(done, tmp_path / "run")
  (tmp_path / "run/hostile_lab.py").write_text(f"open({str(tmp_path / 'was_run')!r}, 'w')")
  environment, settings = (json.loads((tmp_path / "run" / name).read_text()) for name in ("environment.json", "config.json"))
  settings["config"]["objective"]["name"] = "hostile_lab:f"
  rundir.write_json(tmp_path / "run/environment.json", environment | {"folder": "."})
  rundir.write_json(tmp_path / "run/config.json", settings)
  monkeypatch.chdir(tmp_path)
  with pytest.raises(UsageError, match="hostile_lab"):
    sampling.sample("run", "x.png")
  assert not (tmp_path / "was_run").exists()


def test_the_joint_table_is_not_believed_where_arms_have_their_own(done, tmp_path):
  shutil.copytree(done, tmp_path / "run")
  whole = results.read_run(done).values
  text = (tmp_path / "run/results.csv").read_text()
  at_a_line = text[: text.rindex("\n", 0, len(text) // 2) + 1]
  for damaged in (at_a_line, at_a_line + text.splitlines()[1][:-25], "", None):
    path = tmp_path / "run/results.csv"
    path.unlink() if damaged is None else path.write_text(damaged)
    assert results.read_run(tmp_path / "run").values == whole
  shutil.copytree(tmp_path / "run/arms/vanilla", tmp_path / "run/arms/vanilla_old")  # a backup is no arm
  copy = tmp_path / "run/arms/vanilla_old/results.csv"
  copy.write_text(copy.read_text().replace(",10,raw,", ",99,raw,"))
  assert results.read_run(tmp_path / "run").values == whole and results.read_run(tmp_path / "run").arms == ["vanilla"]


def test_an_arm_that_trains_on_has_no_final_values_yet(done, tmp_path):
  """Its table is of before; nobody is compared with it, and it is compared with nobody."""
  shutil.copytree(done, tmp_path / "run")
  assert report.summarise_run(tmp_path / "run")["info"]["vanilla"]["status"] == "done"
  (tmp_path / "run/arms/vanilla/status.json").unlink()  # as it is while an arm is trained for longer
  assert report.summarise_run(tmp_path / "run")["info"]["vanilla"]["status"] == "unfinished"


def test_a_monitor_of_too_few_samples_is_refused_before_anything_is_written(lab, tmp_path, monkeypatch):
  monkeypatch.chdir(lab)
  with pytest.raises(UsageError, match=r"evaluation.monitor_samples = 16: data without modes get 50 bins"):
    train.run(resolved(lab, "evaluation.monitor_samples=16"), tmp_path / "run", quiet=True)
  assert not (tmp_path / "run").exists()


def test_a_number_that_is_too_large_is_told_so(lab, monkeypatch):
  monkeypatch.chdir(lab)
  with pytest.raises(UsageError, match="num_steps = 99999999999: needs an integer of at least 1, and of at most 2147483647"):
    resolved(lab, "num_steps=99999999999")


def test_a_term_that_gives_no_number_is_named(lab, tmp_path, monkeypatch):
  monkeypatch.chdir(lab)
  with pytest.raises(UsageError, match=r'a term gives a number, and "own_lab:vector" gives an array of shape \(8, 16\)'):
    train.run(resolved(lab, "generator_terms={'own_lab:vector': {}}"), tmp_path / "run", quiet=True)


def test_functions_that_were_not_called():
  settings = {"prior": priors.normal(2), "optimizers": dict.fromkeys(("generator", "discriminator"), networks)}
  with pytest.raises(ValueError, match=r"needs an Objective, as objectives.hinge\(\) gives one"):
    gan(networks.mlp(2), networks.mlp(1), objectives.hinge, **settings)
  import optax

  settings["optimizers"] = dict.fromkeys(("generator", "discriminator"), optax.sgd(0.1))
  game = gan(networks.mlp(2), networks.mlp(1), objectives.hinge(), discriminator_terms={"r1": penalties.r1}, **settings)
  batch = {"image": np.zeros((4, 2), "float32")}
  state = build(game).init(jax.random.key(0), batch)
  with pytest.raises(ValueError, match=r'"r1" gives a function: call it with its settings'):
    build(game).step(state, batch, jax.random.key(0))


def test_more_samples_than_there_is_memory(done, lab, monkeypatch):
  monkeypatch.chdir(lab)
  with pytest.raises(UsageError, match=r"--num: that many take [\d,]+ GiB, and this machine has \d+; ask for fewer"):
    sampling.sample(done, lab / "much.npz", num=10**13)


def test_several_runs_are_compared_in_a_folder_of_their_own(done, tmp_path, monkeypatch, capsys):
  """The report of each stays what it was."""
  for name in "ab":
    shutil.copytree(done, tmp_path / name)
  before = (tmp_path / "a/report.html").read_bytes()
  assert cli.main(["report", str(tmp_path / "a"), str(tmp_path / "b")]) == 0
  assert capsys.readouterr().out.strip().endswith(str(tmp_path / "a/comparison/report.html"))
  assert cli.main(["report", str(tmp_path / "a"), str(tmp_path / "b"), f"--out={tmp_path / 'both'}"]) == 0
  assert (tmp_path / "both/report.md").exists() and before == (tmp_path / "a/report.html").read_bytes()


def test_a_table_is_printed_though_its_report_cannot_be_written(done, tmp_path, capsys, monkeypatch):
  shutil.copytree(done, tmp_path / "run")

  def unable(path, content):
    raise cli.StorageError(f"{path}: cannot write: Read-only file system")

  monkeypatch.setattr(rundir, "write", unable)
  assert cli.main(["report", str(tmp_path / "run")]) == 7
  assert "perfect sampler" in capsys.readouterr().out


def test_a_full_disk_for_the_output_is_one_line():
  if not Path("/dev/full").exists():
    pytest.skip("no /dev/full here")
  with open("/dev/full", "w") as full:
    ended = subprocess.run([sys.executable, "-m", "gan_jax", "list", "methods"], stdout=full, stderr=subprocess.PIPE, text=True)
  assert ended.returncode == 7 and ended.stderr.strip() == "gan-jax: cannot write the output: No space left on device"


NAMES = {"pacgan": "pack", "msgan": "mode_seeking", "rpgan": "relativistic", "drs": "rejection_sampling"}


@pytest.mark.parametrize(("name", "wanted"), NAMES.items())
def test_a_paper_is_found_by_its_usual_name(name, wanted, capsys):
  assert cli.main(["cite", name]) == 2
  assert capsys.readouterr().err.strip().endswith(f'did you mean "{wanted}"?')


def test_a_loaded_generator_shows_what_it_is(tmp_path):
  assert cli.main(["export", str(stored_runs.trained()), f"--out={tmp_path / 'made'}"]) == 0
  generator = load(tmp_path / "made")
  assert repr(generator).startswith("Generator(shape (8, 8, 1), 10 classes, ") and len(repr(generator)) < 100
  with pytest.raises(ValueError, match="n is 0; at least one is drawn"):
    generator.sample(jax.random.key(0), 0)


def test_the_version(capsys):
  with pytest.raises(SystemExit) as ended:
    cli.main(["--version"])
  assert ended.value.code == 0 and capsys.readouterr().out.startswith("gan_jax ")


def test_a_run_of_no_length_has_no_cost(done):
  """Ten rounds of milliseconds gave anything from .15 to 2.75 times vanilla's."""
  assert json.loads((done / "arms/vanilla/status.json").read_text())["seconds_per_seed_round"] is None
