"""Faults of checkpoints: whatever happens to the files, what is restored is what was saved, or nothing is.

Two checkpoints, of rounds 1 and 2; one is harmed. `test_fNN` is row NN of docs/reliability.md.

Mutations tried by hand: digests not compared, the manifest's own digest left out, an empty folder counted as a checkpoint, no reading back.
"""

import errno
import json
import os
import resource
import shutil
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest
from test_lab_checkpoint import same, saved, tree

from gan_jax.lab import checkpoint, train
from gan_jax.lab.checkpoint import FORMAT, Checkpoints
from gan_jax.lab.errors import CheckpointError, StorageError

# Orbax's own threads complain of a read that has failed.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
POSITIONS = 10
KINDS = {  # of the files in a checkpoint
  "data": "default/**/d/*",
  "index": "default/**/manifest.ocdbt",
  "arrays": "default/_METADATA",
  "manifest": "manifest/metadata",
  "step": "_CHECKPOINT_METADATA",
  "marks": "**/commit_success.txt",
}


@pytest.fixture(scope="module")
def pair(tmp_path_factory) -> Path:
  folder = tmp_path_factory.mktemp("pair")
  saved(folder, {1: 0.5, 2: 0.25})
  return folder


@pytest.fixture
def folder(pair, tmp_path) -> Path:
  """Its own copy of the two."""
  return Path(shutil.copytree(pair, tmp_path / "checkpoints"))


def files(folder: Path, kind: str, step: int = 2) -> list[Path]:
  return sorted(path for path in (folder / str(step)).glob(KINDS[kind]) if path.is_file())


def survives(folder: Path) -> int:
  """What a run that goes on gets: round 2 as it was, or with a warning round 1 as it was. Gives the round."""
  with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    step, found = Checkpoints(folder).restore(jax.eval_shape(tree))
  assert same(found, tree(step)), "restored silently wrong"
  said = [str(warning.message) for warning in caught]
  assert (step == 1) == any("cannot read checkpoint 2" in text and "going back to 1" in text for text in said), said
  return step


def test_there_is_a_file_of_each_kind(pair):
  known = {path for kind in KINDS for path in files(pair, kind)}
  others = {path.name for path in (pair / "2").rglob("*") if path.is_file() and path not in known}
  assert others <= {"_sharding"}


@pytest.mark.parametrize("position", range(POSITIONS))
@pytest.mark.parametrize("kind", KINDS)
def test_f06_bit_flip(folder, kind, position):
  """One bit of every file of a kind, one file after the other."""
  for number, path in enumerate(files(folder, kind)):
    whole = path.read_bytes()
    harmed = bytearray(whole)
    harmed[(len(whole) - 1) * position // (POSITIONS - 1)] ^= 1 << (position + number) % 8
    path.write_bytes(harmed)
    step = survives(folder)
    assert step == 1 or kind != "manifest" or json.loads(bytes(harmed)) == json.loads(whole)
    path.write_bytes(whole)
  assert survives(folder) == 2


def test_f06_names_the_leaf(folder, monkeypatch):
  """A value that changes without anything else noticing: Orbax restores it without a word."""
  whole = ocp.Checkpointer.restore

  def changed(self, path, **settings):
    found = whole(self, path, **settings)
    if Path(path).name == "2":
      found["default"]["previous"][3] ^= 1
    return found

  monkeypatch.setattr(ocp.Checkpointer, "restore", changed)
  with pytest.warns(UserWarning, match=r"cannot read checkpoint 2 \(previous has changed since it was saved\); going back to 1"):
    assert Checkpoints(folder).restore(jax.eval_shape(tree))[0] == 1
  with pytest.raises(CheckpointError, match=r"previous has changed .*; run without --strict to go on from an older one") as error:
    Checkpoints(folder).restore(jax.eval_shape(tree), strict=True)
  assert error.value.exit_code == 4


@pytest.mark.parametrize("size", ["empty", "half", "one_less"])
@pytest.mark.parametrize("kind", KINDS)
def test_f07_truncated(folder, kind, size):
  for path in files(folder, kind):
    whole = path.read_bytes()
    os.truncate(path, {"empty": 0, "half": len(whole) // 2, "one_less": len(whole) - 1}[size])
    survives(folder)
    path.write_bytes(whole)


@pytest.mark.parametrize("what", ["2/default", "2/manifest", "2/manifest/metadata", "2/default/_METADATA", "2/default/manifest.ocdbt", "2/default/d"])
def test_f08_deleted(folder, what):
  path = folder / what
  shutil.rmtree(path) if path.is_dir() else path.unlink()
  if what == "2/default":  # no checkpoint any more
    assert Checkpoints(folder).restore(jax.eval_shape(tree))[0] == 1
  else:
    assert survives(folder) == 1
  with pytest.raises(CheckpointError):
    Checkpoints(folder).restore(jax.eval_shape(tree), 2)


STRANGERS = ["3", "3/", "3/notes.txt", "003/default/", "٣/default/", "3.5/default/", "notes/default/", "3.orbax-checkpoint-tmp/default/"]


@pytest.mark.parametrize("name", STRANGERS)
def test_f08_a_stranger_is_never_the_latest(folder, name):
  path = folder / name
  path.mkdir(parents=True) if name.endswith("/") else (path.parent.mkdir(exist_ok=True), path.write_text("3"))
  assert Checkpoints(folder).steps() == [1, 2] and survives(folder) == 2
  with Checkpoints(folder) as checkpoints:
    checkpoints.save(4, tree(4))
  assert Checkpoints(folder).steps() == [2, 4]


def test_f08_a_link_is_no_checkpoint(folder):
  (folder / "3").symlink_to(folder / "2")
  assert Checkpoints(folder).steps() == [1, 2]


def test_f08_an_empty_state_is_a_broken_checkpoint(folder):
  (folder / "3/default").mkdir(parents=True)
  with pytest.warns(UserWarning, match=r"cannot read checkpoint 3 .*going back to 2"):
    assert Checkpoints(folder).restore(jax.eval_shape(tree))[0] == 2


@pytest.mark.parametrize("how", ["flipped", "emptied", "states_gone", "manifests_gone"])
def test_f09_all_broken(folder, how):
  """An error that lists what was tried; and nothing is changed, least of all begun anew."""
  for step in (1, 2):
    if how == "flipped":
      path = files(folder, "manifest", step)[0]
      path.write_bytes(path.read_bytes().replace(b"float32", b"float33", 1))
    elif how == "emptied":
      for path in files(folder, "data", step):
        path.write_bytes(b"")
    else:
      shutil.rmtree(folder / str(step) / ("default" if how == "states_gone" else "manifest"))
  before = sorted(folder.rglob("*"))
  with pytest.raises(CheckpointError, match="remove the folder to start anew") as error:
    Checkpoints(folder).restore(jax.eval_shape(tree))
  assert error.value.exit_code == 4 and all(str(step) in str(error.value) for step in (1, 2))
  assert before == sorted(folder.rglob("*"))


@pytest.fixture(params=["tmpfs", "quota"])
def small_disk(request, tmp_path, monkeypatch):
  """A folder for 1 MB: a file system of its own where we may mount one, and a save that counts bytes elsewhere."""
  folder = tmp_path / "disk"
  folder.mkdir()
  if request.param == "tmpfs":
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True).returncode:
      pytest.skip("may not mount a file system")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)
    return
  whole = ocp.Checkpointer.save

  def save(self, path, **settings):
    whole(self, path, **settings)
    if sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) > 2**20:
      raise OSError(errno.ENOSPC, "No space left on device")

  monkeypatch.setattr(ocp.Checkpointer, "save", save)
  yield folder


def large(step: int, bytes_: int) -> dict[str, np.ndarray]:
  return {"noise": np.random.default_rng(step).integers(0, 256, bytes_, np.uint8)}


def test_f10_room_is_made_for_a_checkpoint(small_disk):
  """Three do not fit: the oldest goes before the third is there, with a warning, and never the newest or the best."""
  with Checkpoints(small_disk, keep_best="max modes") as checkpoints:
    for step, modes in {1: 3.0, 2: 1.0}.items():
      checkpoints.save(step, large(step, 370_000), {"modes": modes})
    checkpoints.wait()
    assert checkpoints.steps() == [1, 2]
    checkpoints.save(3, large(3, 370_000), {"modes": 2.0})
    with pytest.raises(StorageError, match=r"cannot save checkpoint 3: .*[nN]o space left on device.*; older ones are as they were"):
      checkpoints.wait()
    assert checkpoints.steps() == [1, 2]
  with Checkpoints(small_disk) as checkpoints:
    checkpoints.save(3, large(3, 370_000))
    with pytest.warns(UserWarning, match="no space for checkpoint 3 before 1 was removed"):
      checkpoints.wait()
  assert Checkpoints(small_disk).steps() == [2, 3]
  for step in (2, 3):
    assert same(Checkpoints(small_disk).restore(large(step, 370_000), step)[1], large(step, 370_000))
  assert sorted(path.name for path in small_disk.iterdir()) == ["2", "3"]


def test_f10_no_room_for_two(small_disk):
  with Checkpoints(small_disk) as checkpoints:
    checkpoints.save(1, large(1, 600_000))
    checkpoints.save(2, large(2, 600_000))
    with pytest.raises(StorageError) as error:
      checkpoints.wait()
  assert error.value.exit_code == 7
  assert same(Checkpoints(small_disk).restore(large(1, 600_000))[1], large(1, 600_000))


def test_f11_a_failed_save_shows_at_the_next_look(tmp_path):
  """Orbax's asynchronous save reports success; here the next `poll` raises, and no newer checkpoint is said to be there."""
  checkpoints = saved(tmp_path, {1: None})
  limit = resource.getrlimit(resource.RLIMIT_FSIZE)
  try:
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limit[1]))
    checkpoints.save(2, large(2, 600_000))
    while not checkpoints._saving[1].done():
      threading.Event().wait(0.01)
    with pytest.raises(StorageError, match="cannot save checkpoint 2"):
      checkpoints.poll()
    checkpoints.poll()  # said once
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, limit)
  assert checkpoints.steps() == [1] and sorted(path.name for path in tmp_path.iterdir()) == ["1"]


def test_f11_what_was_written_wrong_replaces_nothing(tmp_path, monkeypatch):
  """A disk that writes another bit than it was given: the checkpoint is read back before an older one goes."""
  saved(tmp_path, {1: None, 2: None})
  whole = ocp.Checkpointer.save

  def save(self, path, **settings):
    whole(self, path, **settings)
    for file in Path(path).glob("default/**/d/*"):
      content = bytearray(file.read_bytes())
      content[len(content) // 2] ^= 1
      file.write_bytes(content)

  monkeypatch.setattr(ocp.Checkpointer, "save", save)
  checkpoints = Checkpoints(tmp_path)
  checkpoints.save(3, tree(3))
  with pytest.raises(StorageError, match="cannot save checkpoint 3"):
    checkpoints.close()
  assert Checkpoints(tmp_path).steps() == [1, 2] and survives(tmp_path) == 2


KILLED = """
import os, signal, sys
from pathlib import Path
import numpy as np
import orbax.checkpoint as ocp
from gan_jax.lab import checkpoint

def die(*_, **__): os.kill(os.getpid(), signal.SIGKILL)

folder, where = Path(sys.argv[1]), sys.argv[2]
with checkpoint.Checkpoints(folder, keep_last=1) as checkpoints:
  if where == "before_the_manifest":
    ocp.JsonCheckpointHandler.async_save = die
  elif where == "before_the_rename":
    from orbax.checkpoint._src.path import atomicity
    atomicity.on_commit_callback = die
  elif where == "before_it_is_read_back":
    checkpoints._read = die
  elif where == "while_older_ones_go":
    checkpoint.shutil.rmtree = die
  checkpoints.save(2, {"noise": np.full(1000, 2.0)})
"""


SLOW = ("before_the_manifest", "before_it_is_read_back", "while_older_ones_go")


@pytest.mark.parametrize("where", ["before_the_rename", *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)])
def test_f05_killed_inside_a_save(tmp_path, where):
  with Checkpoints(tmp_path) as checkpoints:
    checkpoints.save(1, {"noise": np.full(1000, 1.0)})
  child = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), where], capture_output=True, text=True, timeout=300)
  assert child.returncode == -9, child.stderr
  step, found = Checkpoints(tmp_path).restore({"noise": np.zeros(1000)})
  assert step == (1 if where in ("before_the_rename", "before_the_manifest") else 2)
  assert (found["noise"] == step).all()
  with Checkpoints(tmp_path, keep_last=1) as checkpoints:
    checkpoints.save(3, {"noise": np.full(1000, 3.0)})
  assert sorted(path.name for path in tmp_path.iterdir()) == ["3"]


PARTS = ["params/Dense_0/kernel", "params/scale", "opt_state", "opt_state/0/count", "memory", "key", "step"]


@pytest.mark.parametrize("part", PARTS)
def test_f24_a_state_that_lacks_a_part_is_refused(tmp_path, part):
  """Never a moment, an average, a key or a counter that starts anew."""
  states = {**tree()["states"], "opt_state": {"0": {"count": np.int32(3), "mu": np.ones(3)}}, "memory": {"lecam": np.ones(2)}}
  whole = {"states": states, "previous": np.arange(5)}
  lacking = jax.tree.map(lambda leaf: leaf, whole)
  *sections, last = part.split("/")
  at = lacking["states"]
  for name in sections:
    at = at[name]
  del at[last]
  with Checkpoints(tmp_path) as checkpoints:
    checkpoints.save(1, lacking)
  with pytest.raises(CheckpointError, match=rf"holds another state than this arm has: states/{part}.* is absent there"):
    Checkpoints(tmp_path).restore(whole)


def rewritten(folder: Path, change) -> None:
  """The manifest of round 2, changed by someone who knows how."""
  (path,) = files(folder, "manifest")
  manifest = json.loads(path.read_bytes())
  manifest.pop("sha256")
  change(manifest)
  if manifest["format"] != 1:
    manifest["sha256"] = checkpoint._digest_of(manifest)
  path.write_text(json.dumps(manifest))


def test_f43_a_newer_format(folder):
  rewritten(folder, lambda manifest: manifest.update(format=FORMAT + 1))
  with pytest.raises(CheckpointError, match=rf"format {FORMAT + 1}, of a newer gan_jax; this one reads formats up to {FORMAT}") as error:
    Checkpoints(folder).restore(jax.eval_shape(tree))
  assert error.value.exit_code == 4


def test_f43_format_1(folder):
  """It had no config, no digest of its own, and nothing to tell between checks."""

  def older(manifest):
    del manifest["config"]
    manifest["format"] = 1

  rewritten(folder, older)
  fresh = {**tree(), "totals": {"loss": np.zeros(2)}, "since": np.zeros((), np.int32)}
  step, found = train._restored(Checkpoints(folder, configs=["now"]), fresh, strict=True)
  assert step == 2 and found["since"] == 2 and same({key: found[key] for key in tree()}, tree(2))


def test_f14_a_checkpoint_of_another_config(tmp_path):
  with Checkpoints(tmp_path, configs=["aaaa", "before"]) as checkpoints:
    checkpoints.save(1, {"x": np.ones(3)})
  with pytest.raises(CheckpointError, match=r"trained with another config \(aaaa there, bbbb here\)"):
    Checkpoints(tmp_path, configs=["bbbb"]).restore({"x": np.ones(3)})
  assert Checkpoints(tmp_path, configs=["bbbb", "aaaa"]).restore({"x": np.ones(3)})[0] == 1
