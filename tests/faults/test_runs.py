"""Faults of runs: stopped, starved, changed, torn and shared directories. `test_fNN` is row NN of docs/reliability.md.

One run of two arms is stopped in every way in turn, and must end as one that nobody stopped, bit by bit.

Mutations tried by hand: the warnings' streaks not recalled, a lock that is not looked at.
"""

import errno
import fcntl
import itertools
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest
import small_run as small

from gan_jax import data
from gan_jax.lab import config as configs
from gan_jax.lab import flags, program, resolve, rundir, scoring, strategy, train
from gan_jax.lab.checkpoint import Checkpoints
from gan_jax.lab.errors import BusyError, CheckpointError, DataError, Preempted, StorageError, UsageError
from gan_jax.lab.stopping import Stop
from gan_jax.lab.watch import WARN_AFTER, Watch

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="module")
def lab(tmp_path_factory) -> Path:
  return small.write(tmp_path_factory.mktemp("lab"))


@pytest.fixture(scope="module")
def done(lab) -> Path:
  """Nobody stopped this one."""
  train.run(small.load(lab), lab / "done", quiet=True)
  return lab / "done"


def send(*signals: int) -> None:
  """To ourselves; each has arrived before the next goes."""
  for number in signals:
    os.kill(os.getpid(), number)
    for _ in range(1000):
      pass


def at_look(number: int, *signals: int) -> type[Stop]:
  class Sending(Stop):
    looks = 0

    def __call__(self) -> bool:
      self.looks += 1
      if self.looks == number:
        send(*signals)
      return super().__call__()

  return Sending


def stopped_in(attempt: str, patch: pytest.MonkeyPatch, again) -> BaseException | None:
  """How a run ends that is stopped in this way."""
  if attempt == "compiling":
    whole = train.program

    def compiling(*arguments):
      made, calls = whole(*arguments), itertools.count()

      def advance(*parts):
        if next(calls) == 0:
          send(signal.SIGTERM)
        return made.advance(*parts)

      return made._replace(advance=advance)

    patch.setattr(train, "program", compiling)
  elif attempt == "saving":
    patch.setattr(train, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    save, calls = ocp.Checkpointer.save, itertools.count()

    def saving(*arguments, **settings):
      if next(calls) == 3:
        send(signal.SIGTERM)
      return save(*arguments, **settings)

    patch.setattr(ocp.Checkpointer, "save", saving)
  elif attempt == "scoring":
    score = train.score

    def scoring(*arguments, **settings):
      send(signal.SIGTERM)
      score(*arguments, **settings)

    patch.setattr(train, "score", scoring)
  elif attempt != "limit":
    signals = {"once": [signal.SIGINT], "twice": [signal.SIGINT] * 2}.get(attempt, [signal.SIGTERM])
    patch.setattr(train, "Stop", at_look(8, *signals))
  try:
    again(max_seconds=0.0 if attempt == "limit" else None)
  except (Preempted, KeyboardInterrupt) as error:
    return error
  return None


ATTEMPTS = ["compiling", "training", "once", "twice", "saving", "limit", "scoring", "second_arm"]


@pytest.fixture(scope="module")
def stopped(lab) -> dict:
  """What each attempt ended with, and the newest checkpoint of "vanilla" then."""
  found = {}
  again = lambda **settings: train.run(small.load(lab), lab / "stopped", quiet=True, **settings)
  for attempt in ATTEMPTS:
    with pytest.MonkeyPatch.context() as patch:
      patch.setattr(train, "SECONDS_BETWEEN_LOOKS", 0.0)  # pieces of one round
      error = stopped_in(attempt, patch, again)
    found[attempt] = error, max(Checkpoints(lab / "stopped/arms/vanilla/checkpoints").steps())
  again()
  return found


def rounds(stopped, attempt: str) -> int:
  """By how many rounds the attempt came further."""
  order = ["", *ATTEMPTS]
  before = stopped.get(order[order.index(attempt) - 1], (None, 0))
  return stopped[attempt][1] - before[1]


def test_f01_sigterm(stopped):
  for attempt in ("training", "second_arm"):
    error, _ = stopped[attempt]
    assert isinstance(error, Preempted) and error.exit_code == 75 and "the same command goes on from there" in str(error)
  assert rounds(stopped, "training") == 8 and "of arm vanilla" in str(stopped["training"][0])
  assert "round 7 of 60 of arm memory" in str(stopped["second_arm"][0])


def test_f01_ends_bit_equal(stopped, lab, done):
  small.equal(lab / "stopped", done)


def test_f06_a_run_falls_back_and_ends_bit_equal(stopped, lab, done, tmp_path):
  run = copy(lab / "stopped", tmp_path)
  newest, older = max(steps := Checkpoints(run / "arms/vanilla/checkpoints").steps()), min(steps)
  assert older < newest
  (run / "arms/vanilla/status.json").unlink()
  for path in (run / f"arms/vanilla/checkpoints/{newest}").glob("default/**/d/*"):
    path.write_bytes(path.read_bytes()[:-1])
  with pytest.raises(CheckpointError, match="run without --strict to go on from an older one") as error:
    train.run(small.load(lab, "vanilla"), run, quiet=True, strict=True)
  assert error.value.exit_code == 4
  with pytest.warns(UserWarning, match=rf"cannot read checkpoint {newest} .*; going back to {older}"):
    train.run(small.load(lab, "vanilla"), run, quiet=True)
  small.equal(run, done)


def test_flags():
  given = ["--strict", "--max-seconds=5", "--allow-config-change=x,y", "--allow-config-change=z"]
  options, _ = flags.parse(["run", "--config=a.py", "--workdir=b", *given])
  assert (options.strict, options.max_seconds, options.allow_config_change) == (True, 5, ["x,y", "z"])
  with pytest.raises(UsageError, match=r"--max-seconds: needs a whole number of at least 1"):
    flags.parse(["run", "--config=a.py", "--workdir=b", "--max-seconds=0"])


def test_f02_sigint(stopped):
  assert isinstance(stopped["once"][0], Preempted) and rounds(stopped, "once") == 8
  assert isinstance(stopped["twice"][0], KeyboardInterrupt) and rounds(stopped, "twice") == 0


def test_f03_sigterm_while_compiling_saving_or_scoring(stopped):
  assert isinstance(stopped["compiling"][0], Preempted) and rounds(stopped, "compiling") == 1
  assert isinstance(stopped["saving"][0], Preempted) and 3 <= rounds(stopped, "saving") <= 6
  assert str(stopped["scoring"][0]) == "stopped while arm vanilla was scored; the same command scores it"
  assert stopped["scoring"][1] == 60


def test_f47_limit_of_time(stopped):
  """However short it is, there is one round more."""
  assert stopped["limit"][0].exit_code == 75 and rounds(stopped, "limit") == 1


def copy(done: Path, tmp_path: Path) -> Path:
  return Path(shutil.copytree(done, tmp_path / "run"))


def test_f09_all_checkpoints_broken(lab, done, tmp_path):
  """The run says so, and neither starts anew nor touches its log."""
  run = copy(done, tmp_path)
  (run / "arms/vanilla/status.json").unlink()
  for path in (run / "arms/vanilla/checkpoints").glob("*/manifest/metadata"):
    path.write_text("{}")
  before = (run / "arms/vanilla/metrics.jsonl").read_bytes()
  with pytest.raises(CheckpointError, match="cannot read checkpoint 60") as error:
    train.run(small.load(lab, "vanilla"), run, quiet=True)
  assert error.value.exit_code == 4 and before == (run / "arms/vanilla/metrics.jsonl").read_bytes()


def monitor(step: int, watch: Watch) -> None:
  watch.check(step, np.zeros((1, 50, 2), np.float32), {}, {"time/seconds": 0.1})


@pytest.fixture
def no_space():
  limit = resource.getrlimit(resource.RLIMIT_FSIZE)

  def fill(size: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limit[1]))

  yield fill
  resource.setrlimit(resource.RLIMIT_FSIZE, limit)


def test_f10_no_space_for_the_log(tmp_path, no_space):
  """One warning; when there is space again, the log is as it would have been."""
  watches = [Watch(tmp_path / name, (0,), data.ring(num_modes=8, radius=2.0, sigma=0.05), 50) for name in ("whole", "starved")]
  for step in (1, 2, 3, 4):
    monitor(step, watches[0])
  monitor(1, watches[1])
  with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("default")
    no_space((tmp_path / "starved/metrics.jsonl").stat().st_size + 10)  # a part of a line would fit
    monitor(2, watches[1])
    monitor(3, watches[1])
    no_space(2**30)
  monitor(4, watches[1])
  assert len(caught) == 1 and "metrics.jsonl: cannot write: File too large; training goes on" in str(caught[0].message)
  assert (tmp_path / "whole/metrics.jsonl").read_bytes() == (tmp_path / "starved/metrics.jsonl").read_bytes()


def test_f10_no_space_for_pictures(tmp_path, no_space):
  images = data.sklearn_digits()
  with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("default")
    no_space(10)
    for step in (1, 2, 3):
      scoring.look(tmp_path, step, np.zeros((1, 16, *images.shape), np.float32), images)
  assert len(caught) == 1 and "training goes on" in str(caught[0].message)


def resolved(name: str = "tiny", **changes):
  """An experiment as `rundir` knows it."""
  from test_lab_strategy import settings

  from gan_jax.lab import config, schema

  base = settings(**changes)
  arms = base.pop("arms")
  return config.Resolved(name, None, "", config.as_config(schema.check(base)), {}, arms, "tiny.py")


@pytest.mark.parametrize("fault", ["below_a_file", "read_only", "not_ours"])
def test_f12_a_directory_that_cannot_be_written(tmp_path, fault):
  """Exit 7, with the path, before anything is compiled."""
  tmp_path.chmod(0o755)
  place = tmp_path / "place"
  place.mkdir()
  if fault == "below_a_file":
    (place / "file").write_text("")
    place = place / "file"
  elif fault == "read_only":
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(place)], capture_output=True).returncode:
      pytest.skip("may not mount a file system")
  elif os.geteuid() == 0:
    place.chmod(0o700)
    os.seteuid(65534)
  else:
    place.chmod(0o500)
  try:
    with pytest.raises(StorageError, match="place") as error, rundir.opened(place / "run", resolved()):
      pytest.fail("opened")
    assert error.value.exit_code == 7
  finally:
    if os.getuid() == 0:
      os.seteuid(0)
    if fault == "read_only":
      subprocess.run(["umount", "-l", str(place)], check=True)


def test_f13_a_second_run_says_who_is_there(tmp_path):
  with rundir.opened(tmp_path / "run", resolved()):
    with pytest.raises(BusyError, match=rf"another run writes there \(process {os.getpid()} on {socket.gethostname()}\)") as error:
      with rundir.opened(tmp_path / "run", resolved()):
        pytest.fail("opened")
    assert error.value.exit_code == 6
  with rundir.opened(tmp_path / "run", resolved()):
    pass


def test_f13_a_dead_process_lets_go(tmp_path):
  """It was killed while it held the directory."""
  holder = "import fcntl, os, signal, sys; f = open(sys.argv[1], 'a'); fcntl.flock(f, fcntl.LOCK_EX)"
  died = "; print('process', os.getpid(), file=f, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
  tmp_path.joinpath("run").mkdir()
  child = subprocess.run([sys.executable, "-c", holder + died, str(tmp_path / "run/run.lock")])
  assert child.returncode == -9 and "process" in (tmp_path / "run/run.lock").read_text()
  with rundir.opened(tmp_path / "run", resolved()):
    assert f"process {os.getpid()} " in (tmp_path / "run/run.lock").read_text()


@pytest.mark.parametrize("holder, busy", [
  ("", False), ("process {dead} on {host}", False), ("process {alive} on {host}", True), ("process {dead} on elsewhere", True), ("who knows", True),
], ids=["nobody", "dead", "alive", "elsewhere", "unknown"])  # fmt: skip
def test_f13_where_files_cannot_be_locked(tmp_path, monkeypatch, holder, busy):
  """As on some network file systems: the name in the file decides."""
  child = subprocess.Popen(["true"])
  child.wait()
  (tmp_path / "run").mkdir()
  (tmp_path / "run/run.lock").write_text(holder.format(dead=child.pid, alive=os.getppid(), host=socket.gethostname()))

  def unable(*_):
    raise OSError(errno.ENOLCK, "No locks available")

  monkeypatch.setattr(fcntl, "flock", unable)
  if busy:
    with pytest.raises(BusyError), rundir.opened(tmp_path / "run", resolved()):
      pytest.fail("opened")
  else:
    with rundir.opened(tmp_path / "run", resolved()):
      pass


CHANGES = {
  "learning_rate": ({"optimizers__generator": {"name": "sgd", "learning_rate": 0.01}}, "optimizers.generator.learning_rate: 0.05 there, 0.01 here"),
  "architecture": ({"generator__features": (8, 16)}, r"generator.features: \(8, 8\) there, \(8, 16\) here"),
  "objective": ({"objective__name": "hinge"}, "objective.name: non_saturating there, hinge here"),
  "batch": ({"batch_size": 64}, "batch_size: 32 there, 64 here"),
  "length": ({"num_steps": 40}, "num_steps: 20 there, 40 here"),
  "term": ({"discriminator_terms__r1": {"gamma": 1.0}}, r"discriminator_terms.r1.gamma: None there, 1.0 here"),
}
NEVER = {"seeds": {"seeds": 3}, "data": {"data__num_modes": 9}, "samples": {"evaluation__num_samples": 300}}


@pytest.mark.parametrize("change", CHANGES)
def test_f14_another_config_is_refused_with_what_differs(tmp_path, change):
  changes, words = CHANGES[change]
  with rundir.opened(tmp_path / "run", resolved()):
    before = (tmp_path / "run/config.json").read_bytes()
  (tmp_path / "run/arms/vanilla/checkpoints/5").mkdir(parents=True)
  key = words.partition(":")[0]
  with pytest.raises(UsageError, match=rf"{words}\); use another --workdir, or go on all the same with --allow-config-change={key}") as error:
    with rundir.opened(tmp_path / "run", resolved(**changes)):
      pytest.fail("opened")
  assert error.value.exit_code == 2 and before == (tmp_path / "run/config.json").read_bytes()
  with pytest.raises(UsageError), rundir.opened(tmp_path / "run", resolved(**changes), ["prior"]):
    pytest.fail("opened")
  for allowed in ([key], [key.partition(".")[0]]):
    with rundir.opened(tmp_path / "run", resolved(**changes), allowed):
      pass
  with rundir.opened(tmp_path / "run", resolved(**changes)):  # it is the run's config now
    pass


@pytest.mark.parametrize("change", NEVER)
def test_f14_what_makes_arms_unlike_never_changes(tmp_path, change):
  with rundir.opened(tmp_path / "run", resolved()):
    (tmp_path / "run/arms/vanilla/checkpoints/5").mkdir(parents=True)
  with pytest.raises(UsageError, match=r"there, .* here\); use another --workdir$"):
    with rundir.opened(tmp_path / "run", resolved(**NEVER[change]), [next(iter(NEVER[change])).replace("__", ".")]):
      pytest.fail("opened")


OTHER_ARM = {"arms": {"vanilla": {"batch_size": 8}}}


@pytest.mark.parametrize("change", [*CHANGES.values(), *((changes, "") for changes in (*NEVER.values(), OTHER_ARM))])
def test_a_run_that_kept_nothing_takes_another_config(tmp_path, change):
  """One that failed before its first round was kept, say for a setting that is mended now; what it wrote of its evaluation goes."""
  with rundir.opened(tmp_path / "run", resolved()):
    (tmp_path / "run/perfect.json").write_text("{}")
    rundir.write_json(tmp_path / "run/arms/vanilla/status.json", {"status": "failed"})
  with rundir.opened(tmp_path / "run", resolved(**change[0])):
    assert not (tmp_path / "run/perfect.json").exists()
  assert json.loads((tmp_path / "run/config.json").read_text())["config"] == configs.as_json(resolved(**change[0]).base)


def test_f14_an_allowed_change_is_logged_and_shown(lab, done, tmp_path):
  """Twenty rounds more at another rate: the checkpoint is gone on from, config.json lists the change, and the report tells it."""
  run = copy(done, tmp_path)
  longer = small.load(lab, "vanilla", "num_steps=80", "optimizers.generator.learning_rate=5e-4")
  with pytest.raises(UsageError, match=r"num_steps: 60 there, 80 here; optimizers.generator.learning_rate: 0\.001 there, 0\.0005 here"):
    train.run(longer, run, quiet=True)
  train.run(longer, run, quiet=True, allow=["num_steps", "optimizers"])
  assert small.log(run, "vanilla")[:-2] == small.log(done, "vanilla") and small.log(run, "vanilla")[-1]["step"] == 80
  listed = json.loads((run / "config.json").read_text())["changes"]
  assert [(change["arm"], change["round"]) for change in listed] == [("vanilla", 60), ("memory", 60)]
  assert listed[0]["settings"] == {"num_steps": [60, 80], "optimizers.generator.learning_rate": [0.001, 0.0005]}
  assert "optimizers.generator.learning_rate 0.001 -&gt; 0.0005 from round 60 on" in (run / "report.html").read_text()
  assert json.loads((run / "arms/memory/status.json").read_text())["step"] == 60  # not asked for
  found = json.loads((run / "summary.json").read_text())["info"]["memory"]
  assert (found["status"], found["rounds"], found["num_steps"]) == ("unfinished", 60, 80) and not found["test"]
  assert "optimizers.generator.learning_rate 0.001 -> 0.0005 was changed after round 60, its last" in found["warnings"]


def test_f25_the_order_of_the_data_does_not_depend_on_where_one_begins(lab):
  """What each round is played on, from round 0 and from the middle of a stretch on."""
  streamed = resolve.load_data(json.dumps({"name": "fault_data:blobs", "streamed": True})) if small.load(lab) else None
  keys, layout = program.seed_keys((0, 1)), strategy.jit()

  def seen(start: int) -> dict[int, bytes]:
    rounds = {}
    for feed, length in program.feeds(streamed, layout, keys["data"], range(start, 20), 10, 16):
      first = int(feed["first"][0])
      rounds |= {first + number: np.asarray(feed["examples"]["image"][:, number]).tobytes() for number in range(length)}
    return rounds

  whole = seen(0)
  assert list(whole) == list(range(20)) and len(set(whole.values())) == 20
  for start in (7, 10, 19):
    assert seen(start) == {number: rows for number, rows in whole.items() if number >= start}


def test_f26_a_source_that_raises(lab, tmp_path):
  """Its own words, the place in its file, and the example, in one line."""
  faulty = small.load(lab, "vanilla", "data.streamed=True", "data.fault=raises")
  with pytest.raises(DataError, match=r"blobs: .*fault_data.py:\d+: ZeroDivisionError: no such pixel \(round \d+, example 17\)") as error:
    train.run(faulty, tmp_path / "run", quiet=True)
  assert error.value.exit_code == 3 and isinstance(error.value.__cause__, ZeroDivisionError)


def test_f26_f27_a_source_that_hangs_and_a_signal(lab, tmp_path):
  """What has been played is saved; nobody waits for the loader."""
  hanging = small.load(lab, "vanilla", "data.streamed=True", "data.fault=hangs")
  resolve.build_all(hanging)
  import fault_data  # where the config lies

  def knock() -> None:
    fault_data.HANGS.wait(300)
    time.sleep(1.0)
    os.kill(os.getpid(), signal.SIGTERM)

  knocking = threading.Thread(target=knock, name="knock")
  old = signal.signal(signal.SIGTERM, signal.SIG_IGN)
  try:
    knocking.start()
    with pytest.raises(Preempted, match=r"stopped at round \d+ of 60"):
      train.run(hanging, tmp_path / "run", quiet=True)
  finally:
    fault_data.RELEASE.set()
    knocking.join()
    signal.signal(signal.SIGTERM, old)


LEAVING = """
import sys, threading, time
import gan_jax.__main__ as program
program.GRACE = {grace}
threading.Thread(target=lambda: time.sleep({sleep})).start()
program.main = lambda: 75
program.entry()
"""


@pytest.mark.parametrize(("sleep", "grace"), [(600, 1.0), (0.1, 600)], ids=["hangs", "ends"])
def test_f26_f27_the_process_ends_though_a_thread_does_not(sleep, grace):
  done = subprocess.run([sys.executable, "-c", LEAVING.format(sleep=sleep, grace=grace)], timeout=60)
  assert done.returncode == 75


KNOCKING = """
import os, signal, sys, threading
import fault_data
import gan_jax.__main__ as program
program.GRACE = 2.0

def knock():
  fault_data.HANGS.wait(300)
  os.kill(os.getpid(), signal.SIGTERM)

threading.Thread(target=knock, daemon=True).start()
program.entry()
"""


@pytest.mark.slow
def test_f26_f27_a_whole_process_whose_loader_hangs(tmp_path):
  small.write(tmp_path)
  line = [sys.executable, "-c", KNOCKING, "run", f"--config={tmp_path / 'small.py'}", f"--workdir={tmp_path / 'run'}", "--arms=vanilla", "--quiet"]
  line += ["--config.data.streamed=True", "--config.data.fault=hangs"]
  done = subprocess.run(line, capture_output=True, text=True, timeout=300, env={**os.environ, "PYTHONPATH": str(tmp_path)})
  assert done.returncode == 75 and "the same command goes on" in done.stderr, done.stderr


TAILS = {
  "torn": '{"step": 3, "se', "whole": '{"step": 3, "seed": 0}', "brace": "{", "nothing": "", "zeros": "\x00\x00\x00", "number": "3",
  "no_text": "\udcff",
}  # fmt: skip


@pytest.mark.parametrize("tail", TAILS.values(), ids=TAILS)
def test_f37_a_torn_line_and_rounds_twice(tmp_path, tail):
  path = tmp_path / "metrics.jsonl"
  whole = "".join(json.dumps({"step": step, "seed": seed}) + "\n" for step in (1, 2) for seed in (0, 1))
  path.write_bytes((whole + tail).encode(errors="surrogateescape"))
  rundir.truncate_log(path, 2)
  assert path.read_text() == whole
  rundir.truncate_log(path, 1)
  assert path.read_text() == "".join(whole.splitlines(keepends=True)[:2])


def test_f37_a_damaged_line_in_the_middle_is_said(tmp_path):
  path = tmp_path / "metrics.jsonl"
  path.write_text('{"step": 1, "seed": 0}\n{"st\n{"step": 2, "seed": 0}\n')
  with pytest.warns(UserWarning, match=r"metrics.jsonl line 2 is damaged; it is left out"):
    rundir.truncate_log(path, 2)
  assert path.read_text().count("\n") == 2


def test_f37_warnings_are_those_of_the_whole_run(tmp_path):
  """What held for three checks in a row is said, though the run was stopped in between."""
  ring = data.ring(num_modes=8, radius=2.0, sigma=0.05)
  whole, first, second = (Watch(tmp_path / name, (0,), ring, 50) for name in ("whole", "parts", "parts"))
  for step in range(1, WARN_AFTER + 1):
    monitor(step, whole)
  monitor(1, first)
  second.recall()
  for step in range(2, WARN_AFTER + 1):
    monitor(step, second)
  assert whole.warnings == second.warnings and whole.warnings
  third = Watch(tmp_path / "parts", (0,), ring, 50)
  third.recall()
  assert third.warnings == whole.warnings


def test_f45_only_the_failed_arm_is_run_again(lab, done, tmp_path):
  run = copy(done, tmp_path)
  train._write_failure("memory", run / "arms/memory", "out of luck", "Traceback")
  before = {path: path.stat().st_mtime_ns for path in (run / "arms/vanilla").rglob("*") if path.is_file()}
  train.run(small.load(lab), run, quiet=True)
  assert before == {path: path.stat().st_mtime_ns for path in (run / "arms/vanilla").rglob("*") if path.is_file()}
  assert not (run / "arms/memory/error.txt").exists()
  small.equal(run, done)


def test_f45_a_full_disk_is_no_failed_arm(lab, done, tmp_path, monkeypatch):
  """It is exit 7, and the arm can go on; its state is saved."""
  run = copy(done, tmp_path)
  (run / "arms/memory/status.json").unlink()

  def full(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device", "final.npz")

  monkeypatch.setattr(scoring.np, "savez_compressed", full)
  with pytest.raises(StorageError, match=r"final.npz: cannot write: No space left on device") as error:
    train.run(small.load(lab, "memory"), run, quiet=True)
  assert error.value.exit_code == 7
  assert not (run / "arms/memory/status.json").exists() and jax.tree.leaves(Checkpoints(run / "arms/memory/checkpoints").restore(None)[1])
