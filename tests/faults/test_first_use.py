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

from gan_jax import data, gan, load, networks, objectives, penalties, priors
from gan_jax.core import build
from gan_jax.lab import cli, config, evaluation, results, rundir, sampling, scoring, train
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
  for again in (lambda: train.run(resolved(lab, arms="vanilla,r1"), "run", quiet=True), lambda: evaluation.evaluate("run")):
    with pytest.raises(DataError, match="not the data that run began with") as error:
      again()
    assert error.value.exit_code == 3 and not Path("run/arms/r1").exists()
  scoring.same_data(Path("run"), data.images("pictures"), ["data.files"])
  monkeypatch.chdir(lab)
  assert evaluation.evaluate(tmp_path / "run").is_dir()


def test_the_joint_table_is_not_believed_where_arms_have_their_own(done, tmp_path):
  shutil.copytree(done, tmp_path / "run")
  whole = results.read_run(done).values
  text = (tmp_path / "run/results.csv").read_text()
  for damaged in (text[: len(text) // 2], "", None):
    path = tmp_path / "run/results.csv"
    path.unlink() if damaged is None else path.write_text(damaged if damaged.count(",") % 6 == 0 else damaged[: damaged.rindex("\n") + 1])
    assert results.read_run(tmp_path / "run").values == whole


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
