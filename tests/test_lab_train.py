"""The runner, end to end on a small ring: what it writes, that a killed run ends as an uninterrupted one, and what it refuses.

Mutations tried by hand: data keys drawn anew after a restore (results differ), metrics.jsonl not cut back to the checkpoint (double lines),
`train_arm` called for a finished arm (its files change).
"""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest

from gan_jax.lab import config, rundir, train
from gan_jax.lab.errors import BusyError, NumericsError, Preempted, UsageError
from gan_jax.lab.stopping import Stop

CONFIG = '''"""A small ring."""
from ml_collections import ConfigDict

ADAM = {"name": "adam", "learning_rate": 1e-3, "b1": 0.5}

def get_config(arg=None):
  return ConfigDict({
    "question": "Does it run?", "seeds": 2, "num_steps": 250, "batch_size": 16, "batch_unit": "samples",
    "data": {"name": "ring", "num_modes": 8, "radius": 2.0, "sigma": 0.05},
    "generator": {"name": "mlp", "out": 2, "features": (16,), "activation": "tanh"},
    "discriminator": {"name": "mlp", "features": (16,), "activation": "tanh"},
    "objective": {"name": "non_saturating"}, "prior": {"name": "normal", "size": 4},
    "optimizers": {"generator": ADAM, "discriminator": ADAM},
    "discriminator_terms": {}, "generator_terms": {}, "view": {}, "transforms": {},
    "game": {"name": "gan", "ema_decay": 0.9},
    "evaluation": {"num_samples": 500, "thresholds": (1,), "every": 50, "monitor_samples": 100, "distances": False},
    "arms": {
      "vanilla": {},
      "lecam": {"discriminator_terms.lecam.weight": 0.1},
      "mine": {"generator_terms": {"my_lab.terms:repel": {"weight": 0.1}}},
    },
  }, convert_dict=False)
'''
TERM = """
import jax.numpy as jnp

def repel(weight):
  def term(play):
    x = play.fake.reshape(len(play.fake), -1)
    return weight * jnp.exp(-jnp.square(x[:, None] - x[None]).sum(-1)).mean()
  return term
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory) -> Path:
  folder = tmp_path_factory.mktemp("lab")
  (folder / "small.py").write_text(CONFIG)
  (folder / "my_lab").mkdir()
  (folder / "my_lab/terms.py").write_text(TERM)
  return folder


def resolve(lab: Path, arms: str = "vanilla,lecam", overrides=()) -> config.Resolved:
  return config.load(str(lab / "small.py"), overrides, arms)


@pytest.fixture(scope="module")
def done(lab) -> Path:
  """One uninterrupted run of two arms."""
  train.run(resolve(lab), lab / "done", quiet=True)
  return lab / "done"


def rows(directory: Path) -> list[dict]:
  with (directory / "results.csv").open() as file:
    return list(csv.DictReader(file))


def untimed_log(directory: Path, arm: str) -> list[dict]:
  lines = [json.loads(line) for line in (directory / "arms" / arm / "metrics.jsonl").read_text().splitlines()]
  return [{key: value for key, value in line.items() if not key.startswith("time/")} for line in lines]


def test_files(done):
  for name in ("config.json", "environment.json", "perfect.json", "results.csv", "summary.json", "report.md", "report.html"):
    assert (done / name).stat().st_size > 0, name
  found = rows(done)
  assert list(found[0]) == list(rundir.COLUMNS)
  assert {(row["arm"], row["seed"], row["weights"]) for row in found} == {
    (arm, seed, weights) for arm in ("vanilla", "lecam") for seed in "01" for weights in ("raw", "ema")
  }
  assert {row["step"] for row in found} == {"250"}
  status = json.loads((done / "arms/lecam/status.json").read_text())
  assert status["status"] == "done" and status["samples_seen"] == 250 * 16
  on_cpu = jax.default_backend() == "cpu"
  assert (status["processes"], status["seeds_by"]) == (1, "map" if on_cpu else "vmap")
  if on_cpu:
    assert (status["strategy"], status["devices"]) == ("sharded", 2)  # two seeds
  log = [json.loads(line) for line in (done / "arms/lecam/metrics.jsonl").read_text().splitlines()]
  told = {kind: sum(line[f"time/{kind}"] for line in log if line["seed"] == 0) for kind in status["seconds"]}
  assert all(0 <= told[kind] <= status["seconds"][kind] for kind in told)  # what came after the last line is in the status alone
  assert all(status["seconds"][kind] > 0 for kind in ("train", "compile", "data", "eval", "checkpoint"))
  environment = json.loads((done / "environment.json").read_text())
  assert environment["device_kinds"] == ["cpu"] and environment["processes"] == 1 and "xla_flags" in environment
  assert status["parameters"] == {"generator": 4 * 16 + 16 + 16 * 2 + 2, "discriminator": 2 * 16 + 16 + 16 + 1}
  assert [line["step"] for line in untimed_log(done, "vanilla")] == [step for step in (50, 100, 150, 200, 250) for _ in range(2)]
  samples = np.load(done / "arms/vanilla/samples/final.npz")
  assert samples["raw"].shape == (2, 500, 2) and samples["mode_counts"].shape == (2, 8)
  perfect = json.loads((done / "perfect.json").read_text())
  assert perfect["modes_t1"] == pytest.approx(8, abs=1e-6)


def test_results_are_those_of_the_samples(done):
  """The table says what the kept samples show (here all 500 are kept)."""
  from gan_jax import data, metrics

  ring = data.ring(num_modes=8, radius=2.0, sigma=0.05)
  samples = np.load(done / "arms/vanilla/samples/final.npz")["raw"]
  for seed in (0, 1):
    values, _ = metrics.evaluate(samples[seed], ring, distances=False)
    table = {r["metric"]: float(r["value"]) for r in rows(done) if (r["arm"], r["seed"], r["weights"]) == ("vanilla", str(seed), "raw")}
    assert table == pytest.approx(values, nan_ok=True)


def test_finished_arms_are_left_alone(lab, done):
  before = {path: path.stat().st_mtime_ns for path in (done / "arms").rglob("*") if path.is_file()}
  results = (done / "results.csv").read_bytes()
  train.run(resolve(lab), done, quiet=True)
  assert before == {path: path.stat().st_mtime_ns for path in (done / "arms").rglob("*") if path.is_file()}
  assert results == (done / "results.csv").read_bytes()


def test_stopped_run_goes_on_to_the_same_result(lab, done, monkeypatch):
  """Stopped after every third piece, at checks and between them, until done."""
  monkeypatch.setattr(train, "SECONDS_BETWEEN_CHECKPOINTS", 1e9)
  monkeypatch.setattr(train, "SECONDS_BETWEEN_LOOKS", 0.0)  # pieces of one round
  looks, rounds = [], []

  class Now(Stop):
    def __call__(self) -> bool:
      looks.append(None)
      return len(looks) % 37 == 0

  monkeypatch.setattr(train, "Stop", Now)
  for _ in range(20):
    try:
      train.run(resolve(lab, "lecam"), lab / "stopped", quiet=True)
      break
    except Preempted as stop:
      assert stop.exit_code == 75
      rounds.append(int(re.search(r"round (\d+) of 250", str(stop))[1]))
  else:
    pytest.fail("never done")
  assert len(rounds) == 6 and any(step % 50 for step in rounds)
  assert untimed_log(lab / "stopped", "lecam") == untimed_log(done, "lecam")
  assert rows(lab / "stopped") == [row for row in rows(done) if row["arm"] == "lecam"]


def test_killed_run_goes_on_to_the_same_result(lab, done):
  """SIGKILL in the middle, twice; then the command once more."""
  program = "import sys; from gan_jax.lab import train, cli; train.SECONDS_BETWEEN_CHECKPOINTS = 0; sys.exit(cli.main(sys.argv[1:]))"
  command = [sys.executable, "-c", program, "run", f"--config={lab / 'small.py'}", f"--workdir={lab / 'killed'}", "--arms=vanilla"]
  log = lab / "killed/arms/vanilla/metrics.jsonl"
  for lines in (4, 8):
    child = subprocess.Popen(command, env={**os.environ, "COLUMNS": "80"}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 240
    while child.poll() is None and time.monotonic() < deadline and not (log.exists() and log.read_text().count("\n") >= lines):
      time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.wait()
  assert log.exists()
  last = subprocess.run(command, capture_output=True, text=True, timeout=240)
  assert last.returncode == 0, last.stderr
  assert untimed_log(lab / "killed", "vanilla") == untimed_log(done, "vanilla")
  assert rows(lab / "killed") == [row for row in rows(done) if row["arm"] == "vanilla"]


def test_own_term_by_name(lab):
  train.run(resolve(lab, "mine", ("num_steps=50",)), lab / "mine", quiet=True)
  assert "generator/my_lab.terms:repel" in untimed_log(lab / "mine", "mine")[0]


def test_refuses_another_config(lab, done):
  with pytest.raises(UsageError, match=r"num_steps: 250 there, 300 here"):
    train.run(resolve(lab, "vanilla", ("num_steps=300",)), done, quiet=True)


def test_refuses_a_foreign_directory(lab, tmp_path):
  (tmp_path / "thesis.tex").write_text("important")
  with pytest.raises(UsageError, match="not of a gan_jax run"):
    train.run(resolve(lab, "vanilla"), tmp_path, quiet=True)
  assert os.listdir(tmp_path) == ["thesis.tex"]


def test_refuses_a_second_writer(lab, done):
  with rundir.opened(done, resolve(lab)), pytest.raises(BusyError, match=f"process {os.getpid()}"):
    train.run(resolve(lab), done, quiet=True)


def test_failed_arm_is_marked_and_others_go_on(lab, monkeypatch):
  whole = train.score

  def score(name, *rest):
    if name == "vanilla":
      raise RuntimeError("out of luck")
    whole(name, *rest)

  monkeypatch.setattr(train, "score", score)
  with pytest.raises(NumericsError, match="vanilla"):
    train.run(resolve(lab, "vanilla,lecam", ("num_steps=50",)), lab / "failed", quiet=True)
  assert json.loads((lab / "failed/arms/vanilla/status.json").read_text())["status"] == "failed"
  assert {row["arm"] for row in rows(lab / "failed")} == {"lecam"}
  assert "FAILED" in (lab / "failed/report.md").read_text()

