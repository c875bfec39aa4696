"""Faults of whole processes, over the command line: killed again and again, moved to other devices and processes, left alone by the other one.

`test_fNN` is row NN of docs/reliability.md. The quick forms are in test_runs.py and in tests/test_lab_train.py.
"""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest
import small_run as small
from games import ADAM, GAMES
from test_distributed import by_hand, free_port, states, together
from test_lab_strategy import close, load

from gan_jax.lab import config, train
from gan_jax.lab.checkpoint import Checkpoints
from gan_jax.lab.errors import Preempted
from gan_jax.lab.stopping import Stop

pytestmark = pytest.mark.slow
KILLS = 20
PROGRAM = """
import sys
from gan_jax.lab import cli, train
train.SECONDS_BETWEEN_CHECKPOINTS = train.SECONDS_BETWEEN_LOOKS = 0.0
sys.exit(cli.main(sys.argv[1:]))
"""


def newest(directory: Path) -> list[int]:
  """The newest checkpoint of each arm."""
  return [max(Checkpoints(directory / "arms" / arm / "checkpoints").steps(), default=0) for arm in ("vanilla", "memory")]


def test_f04_killed_twenty_times(tmp_path):
  """At random moments from the first import to the report; a checkpoint every round. Nothing that was saved is ever lost."""
  lab = small.write(tmp_path)
  settings = ["num_steps=200"]
  train.run(small.load(lab, None, *settings), lab / "done", quiet=True)
  command = [sys.executable, "-c", PROGRAM, "run", f"--config={lab / 'small.py'}", f"--workdir={lab / 'killed'}", "--quiet"]
  command += [f"--config.{setting}" for setting in settings]
  chance, before, kills, moments = random.Random(4), [0, 0], 0, []
  while kills < KILLS:
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    deadline, lock = time.monotonic() + 300, lab / "killed/run.lock"
    # Every fourth at any time after the start, the others some rounds later than the one before: a slow machine takes long to begin.
    further = 0 if kills % 4 == 0 else chance.randrange(1, 25)
    reached = lambda: lock.exists() and str(child.pid) in lock.read_text() and sum(newest(lab / "killed")) >= sum(before) + further
    while child.poll() is None and time.monotonic() < deadline and not reached():
      time.sleep(0.02)
    with contextlib.suppress(subprocess.TimeoutExpired):
      child.wait(chance.uniform(0.0, 0.3 if further else 20.0))
    child.send_signal(signal.SIGKILL)
    said = child.communicate()[1]
    assert child.returncode in (-9, 0), said
    if child.returncode == 0:
      break
    kills, now = kills + 1, newest(lab / "killed")
    assert all(new >= old for new, old in zip(now, before, strict=True)), (before, now)
    moments.append(now)
    before = now
  last = subprocess.run(command, capture_output=True, text=True, timeout=600)
  assert last.returncode == 0, last.stderr
  assert "warning" not in last.stderr
  small.equal(lab / "killed", lab / "done")
  assert not list((lab / "killed").rglob("*.orbax-checkpoint-tmp*"))
  print(f"{kills} kills, at {moments}")
  assert kills >= KILLS / 2 and len(set(map(tuple, moments))) > KILLS / 3, f"nothing to kill: {moments}"


def test_f15_on_other_numbers_of_devices(tmp_path, monkeypatch):
  """1, 2, 4, 8 and 1 devices in turn: the same data and noise, parameters within 1e-5."""
  if len(jax.devices()) < 8:
    pytest.skip("needs 8 devices")
  resolved = load(tmp_path, num_steps=20)
  train.run(resolved, tmp_path / "whole", strategy="jit", quiet=True)
  monkeypatch.setattr(train, "SECONDS_BETWEEN_LOOKS", 0.0)

  class Fourth(Stop):
    looks = 0

    def __call__(self) -> bool:
      self.looks += 1
      return self.looks == 4

  monkeypatch.setattr(train, "Stop", Fourth)
  everyone = jax.devices()
  for count in (1, 2, 4, 8):
    monkeypatch.setattr(train.strategies.jax, "devices", lambda *_, count=count: everyone[:count])
    with pytest.raises(Preempted):
      train.run(resolved, tmp_path / "moved", strategy="sharded", quiet=True)
  monkeypatch.undo()
  train.run(resolved, tmp_path / "moved", strategy="jit", quiet=True)
  (step, got), (whole_step, wanted) = states(tmp_path / "moved"), states(tmp_path / "whole")
  assert step == whole_step == 20
  close(got["states"], wanted["states"])


def test_f16_one_process_then_two(tmp_path, monkeypatch):
  resolved = load(tmp_path, num_steps=20)
  train.run(resolved, tmp_path / "whole", quiet=True)

  class Third(Stop):
    looks = 0

    def __call__(self) -> bool:
      self.looks += 1
      return self.looks == 3

  monkeypatch.setattr(train, "Stop", Third)
  with pytest.raises(Preempted):
    train.run(resolved, tmp_path / "by0", quiet=True)
  assert 0 < states(tmp_path / "by0")[0] < 20
  results = together(tmp_path, by_hand(tmp_path), 1)
  assert [result.returncode for result in results] == [0, 0], results
  assert not (tmp_path / "by1").exists()
  close(states(tmp_path / "by0")[1]["states"], states(tmp_path / "whole")[1]["states"])


@pytest.mark.parametrize("victim", [0, 1])
def test_f17_one_of_two_processes_dies(tmp_path, victim):
  """The other ends, with an error, in the time of a heartbeat; what was saved is whole."""
  load(tmp_path, num_steps=2_000_000)
  common = [f"--coordinator=127.0.0.1:{free_port()}", "--num-processes=2", "--strategy=sharded", "--quiet"]
  program = "import jax\njax.config.update('jax_num_cpu_devices', 1)\n" + PROGRAM
  start = [sys.executable, "-c", program, "run", f"--config={tmp_path / 'small.py'}", f"--workdir={tmp_path / 'run'}", *common]
  files = [(tmp_path / f"process{number}.txt").open("w+") for number in range(2)]
  children = [subprocess.Popen([*start, f"--process-id={number}"], stdout=file, stderr=subprocess.STDOUT) for number, file in enumerate(files)]
  checkpoints = tmp_path / "run/arms/vanilla/checkpoints"
  try:
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and len(Checkpoints(checkpoints).steps()) < 2 and all(child.poll() is None for child in children):
      time.sleep(0.1)
    children[victim].kill()
    code = children[1 - victim].wait(timeout=240)
  finally:
    for child in children:
      child.kill()
  for file in files:
    file.seek(0)
  assert code != 0, files[1 - victim].read()
  step, tree = Checkpoints(checkpoints).restore(None)
  assert step > 0 and all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(tree["states"]["params"]))


ROW = """
import sys
sys.path[:0] = {paths!r}

from gan_jax import data

def play(prior, row):
  import games
  return games.GAMES[row](optimizer=games.ADAM)

def pairs():
  ring = data.ring(num_modes=8, radius=1.0, sigma=0.05)
  given = lambda batch: {{**batch, "condition": batch["image"][:, ::-1]}}
  return ring._replace(draw=lambda table, key, n: given(ring.draw(table, key, n)))
"""


@pytest.mark.parametrize("row", GAMES)
def test_f01_every_game(tmp_path, monkeypatch, row):
  """Every row of the conformance table as an arm of the command line: stopped between checks, it ends as if nobody had stopped it."""
  assert ADAM
  (tmp_path / "fault_rows.py").write_text(ROW.format(paths=[str(Path(__file__).parents[1])]))
  settings = {
    "seeds": 2, "num_steps": 6, "batch_size": 32,
    "data": {"name": "fault_rows:pairs"} if row in ("cyclegan", "cut") else {"name": "ring", "num_modes": 8, "radius": 1.0, "sigma": 0.05},
    "prior": {"name": "normal", "size": 4}, "game": {"name": "fault_rows:play", "row": row},
    "evaluation": {"num_samples": 100, "every": 4, "monitor_samples": 50, "distances": False}, "arms": {"vanilla": {}},
  }  # fmt: skip
  body = f"from ml_collections import ConfigDict\n\ndef get_config(arg=None):\n  return ConfigDict({settings!r}, convert_dict=False)\n"
  (tmp_path / "rows.py").write_text(body)
  monkeypatch.syspath_prepend(str(tmp_path))
  sys.modules.pop("fault_rows", None)
  resolved = config.load(str(tmp_path / "rows.py"))
  train.run(resolved, tmp_path / "whole", quiet=True)
  monkeypatch.setattr(train, "SECONDS_BETWEEN_LOOKS", 0.0)

  class Third(Stop):
    looks = 0

    def __call__(self) -> bool:
      self.looks += 1
      if self.looks == 3:
        os.kill(os.getpid(), signal.SIGTERM)
      return super().__call__()

  monkeypatch.setattr(train, "Stop", Third)
  with pytest.raises(Preempted, match="round 3 of 6"):
    train.run(resolved, tmp_path / "stopped", quiet=True)
  monkeypatch.undo()
  monkeypatch.syspath_prepend(str(tmp_path))
  train.run(resolved, tmp_path / "stopped", quiet=True)
  assert small.log(tmp_path / "stopped", "vanilla") == small.log(tmp_path / "whole", "vanilla")
  assert (tmp_path / "stopped/results.csv").read_bytes() == (tmp_path / "whole/results.csv").read_bytes()
  trees = [Checkpoints(tmp_path / run / "arms/vanilla/checkpoints").restore(None)[1] for run in ("stopped", "whole")]
  assert small.leaves(trees[0]) == small.leaves(trees[1])
  assert json.loads((tmp_path / "stopped/arms/vanilla/status.json").read_text())["status"] == "done"
