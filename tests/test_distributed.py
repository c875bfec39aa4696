"""Two processes over gloo are one run: process 0 alone writes, and what they reach together goes on in one process to the same end."""

import os
import socket
import subprocess
import sys

import numpy as np
import pytest
from test_lab_strategy import close, load

from gan_jax.lab import distributed, train
from gan_jax.lab.checkpoint import Checkpoints
from gan_jax.lab.errors import UsageError

# The command line, on so many CPU devices, and with a check after which it stops as SIGTERM would have it.
PROGRAM = """
import sys
import jax
jax.config.update("jax_num_cpu_devices", int(sys.argv[1]))
from gan_jax.lab import cli, train
if sys.argv[2] == "stop":
  looks = []
  train.SECONDS_BETWEEN_LOOKS = 1e9  # pieces of 1, 8 and more rounds
  train.Stop.__call__ = lambda self: looks.append(0) or (len(looks) == 3 and jax.process_index() == 1)
sys.exit(cli.main(sys.argv[3:]))
"""


def free_port() -> int:
  with socket.socket() as found:
    found.bind(("127.0.0.1", 0))
    return found.getsockname()[1]


def together(folder, commands, devices, *, stop=False, environments=({}, {})) -> list[subprocess.CompletedProcess]:
  """Both processes, from one start to their ends."""
  start = [sys.executable, "-c", PROGRAM, str(devices), "stop" if stop else "go", "run", f"--config={folder / 'small.py'}", "--quiet"]
  files = [(folder / f"process{number}.txt").open("w+") for number in range(2)]
  children = [
    subprocess.Popen([*start, *command], stdout=file, stderr=subprocess.STDOUT, env={**os.environ, **environment})
    for command, file, environment in zip(commands, files, environments, strict=True)
  ]
  try:
    codes = [child.wait(timeout=400) for child in children]
  finally:
    for child in children:
      child.kill()
  texts = []
  for file in files:
    file.seek(0)
    texts.append(file.read())
    file.close()
  return [subprocess.CompletedProcess(child.args, code, text) for child, code, text in zip(children, codes, texts, strict=True)]


def by_hand(folder, strategy="sharded") -> list[list[str]]:
  """Each with a directory of its own, so that it shows who writes."""
  common = [f"--coordinator=127.0.0.1:{free_port()}", "--num-processes=2", f"--strategy={strategy}"]
  return [[f"--workdir={folder / f'by{number}'}", f"--process-id={number}", *common] for number in range(2)]


def states(folder):
  return Checkpoints(folder / "arms/vanilla/checkpoints").restore(None)


# 3 seeds do not divide into 2 devices: the batch is spread.
def test_two_processes_then_one(tmp_path):
  resolved = load(tmp_path, seeds=3, num_steps=30, evaluation={"num_samples": 200, "every": 20, "monitor_samples": 100, "distances": False})
  results = together(tmp_path, by_hand(tmp_path), 1, stop=True)
  assert [result.returncode for result in results] == [75, 75], results
  assert not (tmp_path / "by1").exists()
  assert states(tmp_path / "by0")[0] == 20
  train.run(resolved, tmp_path / "whole", quiet=True)
  train.run(resolved, tmp_path / "by0", quiet=True)
  (step, got), (whole_step, wanted) = states(tmp_path / "by0"), states(tmp_path / "whole")
  assert step == whole_step == 30
  close(got["states"], wanted["states"])
  lines = [(tmp_path / run / "arms/vanilla/metrics.jsonl").read_text().count("\n") for run in ("by0", "whole")]
  assert lines == [6, 6]


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["pmap", "sharded"])
def test_two_processes_of_two_devices_to_the_end(tmp_path, strategy):
  resolved = load(tmp_path)
  results = together(tmp_path, by_hand(tmp_path, strategy), 2)
  assert [result.returncode for result in results] == [0, 0], results
  assert not (tmp_path / "by1").exists()
  assert "report.html" in results[0].stdout and "report.html" not in results[1].stdout
  train.run(resolved, tmp_path / "whole", quiet=True)
  (_, got), (_, wanted) = states(tmp_path / "by0"), states(tmp_path / "whole")
  close(got["states"], wanted["states"])


@pytest.mark.slow
def test_processes_that_mpirun_started_find_each_other(tmp_path):
  load(tmp_path)
  environments = [
    {"OMPI_MCA_orte_hnp_uri": f"{4096 * (os.getpid() % 4096)}.0;tcp://127.0.0.1:1", "OMPI_COMM_WORLD_SIZE": "2",
     "OMPI_COMM_WORLD_RANK": str(number), "OMPI_COMM_WORLD_LOCAL_RANK": str(number)}
    for number in range(2)
  ]  # fmt: skip
  results = together(tmp_path, [[f"--workdir={tmp_path / f'by{number}'}"] for number in range(2)], 1, environments=environments)
  assert [result.returncode for result in results] == [0, 0], results
  assert (tmp_path / "by0" / "report.html").exists() and not (tmp_path / "by1").exists()


@pytest.mark.slow
def test_what_process_0_refuses_ends_all(tmp_path):
  """A directory of someone else's."""
  load(tmp_path)
  (tmp_path / "by0").mkdir()
  (tmp_path / "by0" / "thesis.tex").write_text("important")
  results = together(tmp_path, by_hand(tmp_path), 1)
  assert [result.returncode for result in results] == [2, 2], results
  assert all("not of a gan_jax run" in result.stdout for result in results)


@pytest.mark.parametrize(
  ("arguments", "words"),
  [
    (("127.0.0.1", 2, 0), "--coordinator=127.0.0.1: needs HOST:PORT of process 0"),
    ((":1", 2, 0), "needs HOST:PORT"),
    (("host:70000", 2, 0), "needs HOST:PORT"),
    (("host:1234", 2, None), "needs --num-processes=N and --process-id=I as well"),
    (("host:1234", 2, 2), "--process-id=2: processes are numbered from 0 to 1"),
    (("host:1234", 0, 0), "--process-id=0"),
    ((None, 2, 0), "need --coordinator=HOST:PORT"),
  ],
)
def test_flags_that_do_not_fit(arguments, words):
  with pytest.raises(UsageError, match=words):
    distributed.start(*arguments)


def test_a_coordinator_that_is_not_there(monkeypatch):
  monkeypatch.setattr(distributed, "PATIENCE", 0.3)
  with pytest.raises(UsageError, match=r"cannot join the other processes .nobody answers there: Connection refused"):
    distributed.start(f"127.0.0.1:{free_port()}", 2, 1)


def test_a_port_that_is_taken():
  with socket.socket() as taken:
    taken.bind(("", 0))
    taken.listen()
    with pytest.raises(UsageError, match="Address already in use"):
      distributed.start(f"127.0.0.1:{taken.getsockname()[1]}", 2, 0)


def test_one_process_is_the_plain_thing(monkeypatch):
  for name in distributed.COUNTS:
    monkeypatch.setenv(name, "1")
  distributed.start()
  assert distributed.first() and distributed.anyone(True) and not distributed.anyone(False)
  tree = {"a": np.arange(3)}
  assert distributed.lead(lambda: tree) is tree and distributed.share(tree) is tree
