"""Rows 19, 28 to 33 and 42: what is read is never run, never trusted, and bounded.

Broken data files are in tests/test_data_sources_bad.py, configs in tests/test_lab_cli.py, exports in tests/test_lab_export.py, PyTorch files in
tests/test_metrics_inception.py; here is what holds for all of them.
"""

import ast
import json
import os
import pickle
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import gan_jax
from gan_jax.lab import config, pretrained, resolve, results, rundir, summary
from gan_jax.lab.cache import ArrayCache
from gan_jax.lab.checkpoint import Checkpoints
from gan_jax.lab.errors import CheckpointError, DataError, GanJaxError, UsageError

PACKAGE = Path(gan_jax.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
READERS = {"lab/config.py": {"exec", "compile"}}  # an experiment is a Python file, and its author's own
# Modules that run or unpack what they read, and functions that do.
MODULES = {
  "pickle", "cPickle", "_pickle", "cloudpickle", "dill", "marshal", "shelve", "joblib", "yaml", "tarfile", "torch", "tensorflow", "code", "ctypes",
}  # fmt: skip
CALLS = {"eval", "exec", "compile", "__import__", "os.system", "os.popen", "shutil.unpack_archive", "jnp.load", "jax.numpy.load", "np.fromregex"}
METHODS = {"extractall", "unpack_archive", "read_pickle", "unsafe_load", "full_load", "from_yaml", "load_module"}


def unsafe(tree: ast.AST) -> set[str]:
  found = set()
  for node in ast.walk(tree):
    if isinstance(node, ast.Import):
      found |= {alias.name for alias in node.names if alias.name.partition(".")[0] in MODULES}
    elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module.partition(".")[0] in MODULES:
      found.add(node.module)
    elif isinstance(node, ast.Call):
      called = ast.unparse(node.func)
      given = {keyword.arg: keyword.value for keyword in node.keywords}
      if called in CALLS or ("." in called and called.rpartition(".")[2] in METHODS):
        found.add(called)
      pickled = ast.unparse(given["allow_pickle"]) if "allow_pickle" in given else None
      if (called in ("np.load", "numpy.load") and pickled != "False") or pickled not in (None, "False"):
        found.add(f"{called} without allow_pickle=False")
      if ast.unparse(given.get("shell", ast.Constant(False))) != "False":
        found.add(f"{called}(shell)")
  return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_f32_no_load_path_reaches_what_runs_or_unpacks(path):
  assert unsafe(ast.parse(path.read_text())) == READERS.get(path.relative_to(PACKAGE).as_posix(), set())


@pytest.mark.parametrize("code", [
  "import pickle", "from cloudpickle import loads", "def f():\n  import yaml", "np.load(p)", "np.load(p, allow_pickle=True)",
  "numpy.load(p, allow_pickle=x)",
  "eval(s)", "exec(s)", "__import__(s)", "archive.extractall(p)", "shutil.unpack_archive(p)", "import tarfile", "subprocess.run(c, shell=True)",
  "config.from_yaml(f)", "pd.read_pickle(p)", "jnp.load(p)", "import torch.serialization", "os.system(c)", "np.memmap and np.load(p, mmap_mode='r')",
])  # fmt: skip
def test_f32_the_lint_sees(code):
  assert unsafe(ast.parse(code))


class Bomb:
  """Unpickled, it leaves a file."""

  def __init__(self, path):
    self.path = path

  def __reduce__(self):
    return (os.system, (f"touch {self.path}",))


def attacks(mark: Path) -> dict[str, bytes]:
  deep = 100_000
  return {
    "pickle": pickle.dumps(Bomb(mark)),
    "yaml_tag": f"!!python/object/apply:os.system ['touch {mark}']\n".encode(),
    "deep_json": b"[" * deep + b"]" * deep,
    "deep_objects": b'{"a":' * deep + b"1" + b"}" * deep,
    "a_number": b"1e999",
    "nul": b"\0" * 64,
    "not_utf8": b"\xff\xfe\x00{",
    "a_list": b"[1, 2]",
    "a_text": b'"config"',
    "empty": b"",
  }


NAMES = list(attacks(Path("x")))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("file", [
  "config.json", "environment.json", "perfect.json", "identities.json", "results.csv", "arms/a/status.json", "arms/a/metrics.jsonl",
])  # fmt: skip
def test_f32_run_directories(tmp_path, file, name):
  """Reading a run directory of somebody else's: one line, or the rest of it; nothing is run, in bounded time."""
  (tmp_path / "arms/a").mkdir(parents=True)
  (tmp_path / "config.json").write_text(json.dumps({"format": 1, "experiment": "e", "question": "", "config": {"seeds": 1}, "arms": {"a": {}}}))
  mark = tmp_path / "was_run"
  (tmp_path / file).write_bytes(attacks(mark)[name])
  start = time.process_time()
  try:
    summary.to_json(summary.summarise(results.read_run(tmp_path)))
  except GanJaxError as error:
    assert error.exit_code in (2, 7) and "\n" not in str(error) and file.rpartition("/")[2] in str(error)
  assert not mark.exists() and time.process_time() - start < 5


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("file", ["config.json", "model.safetensors", "SHA256SUMS"])
def test_f32_exports(tmp_path, file, name):
  mark = tmp_path / "was_run"
  good = {"config.json": b"{}", "model.safetensors": b"", "SHA256SUMS": b""} | {file: attacks(mark)[name]}
  for other, content in good.items():
    (tmp_path / other).write_bytes(content)
  with pytest.raises(CheckpointError) as error:
    pretrained.load(tmp_path)
  assert error.value.exit_code == 4 and "\n" not in str(error.value) and not mark.exists()


@pytest.mark.parametrize("length", [2**60, 2**63 - 1, 2**40, 0, 7])
def test_f32_a_header_that_promises_too_much(tmp_path, length):
  """The first 8 bytes of a safetensors file are its header's length."""
  path = tmp_path / "model.safetensors"
  path.write_bytes(length.to_bytes(8, "little") + b"{}")
  with pytest.raises(CheckpointError, match=r"model\.safetensors"):
    pretrained._read_tensors(path, {})


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
  folder = tmp_path_factory.mktemp("checkpoints")
  with Checkpoints(folder) as checkpoints:
    checkpoints.save(3, {"w": np.arange(4, dtype=np.float32)})
  return folder


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("file", ["manifest/metadata", "_CHECKPOINT_METADATA", "default/_METADATA", "default/manifest.ocdbt"])
def test_f32_checkpoints(checkpoint, tmp_path, file, name):
  """Refused, or what was saved; never something else."""
  import shutil

  copy = tmp_path / "checkpoints"
  shutil.copytree(checkpoint, copy)
  mark = tmp_path / "was_run"
  assert (copy / "3" / file).exists()
  (copy / "3" / file).write_bytes(attacks(mark)[name])
  try:
    restored = Checkpoints(copy).restore({"w": np.zeros(4, np.float32)})
    np.testing.assert_array_equal(restored[1]["w"], np.arange(4))
  except CheckpointError as error:
    assert "\n" not in str(error)
  assert not mark.exists()


@pytest.mark.parametrize("name", [name for name in NAMES if name != "a_number"])
def test_f32_caches(tmp_path, monkeypatch, name):
  monkeypatch.setenv("GAN_JAX_CACHE", str(tmp_path))
  cache = ArrayCache("things")
  cache.put("x", {"a": np.ones(2)})
  mark = tmp_path / "was_run"
  (tmp_path / "things/x.npz").write_bytes(attacks(mark)[name])
  assert cache.get("x") is None and not mark.exists()


def test_f32_object_arrays_are_not_unpickled(tmp_path, monkeypatch):
  monkeypatch.setenv("GAN_JAX_CACHE", str(tmp_path))
  mark = tmp_path / "was_run"
  (tmp_path / "things").mkdir(mode=0o700)
  np.savez(tmp_path / "things/x.npz", a=np.array([Bomb(mark)], dtype=object))
  assert ArrayCache("things").get("x") is None and not mark.exists()


@pytest.mark.parametrize("arm", ["../outside", "/etc", "a/b", "..", ".", "a\0b", "a\nb"])
def test_f31_no_arm_leads_out_of_the_directory(tmp_path, arm):
  """Arms are folders: a config that comes from elsewhere names none outside."""
  made = f"ConfigDict({{'num_steps': 1, 'arms': {{{arm!r}: {{}}}}}}, convert_dict=False)"
  (tmp_path / "small.py").write_text(f"from ml_collections import ConfigDict\ndef get_config(arg=None):\n  return {made}\n")
  with pytest.raises(UsageError):
    config.load(str(tmp_path / "small.py"), (), None)


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_f31_archives_are_no_data_sets(tmp_path, kind):
  """No load path unpacks an archive (the lint above): it is refused as data, and nothing is written."""
  import tarfile
  import zipfile

  from gan_jax.data import sources

  path = tmp_path / f"images.{kind}"
  if kind == "zip":
    with zipfile.ZipFile(path, "w") as archive:
      archive.writestr("../../evil.png", b"x")
  else:
    (tmp_path / "evil.png").write_bytes(b"x")
    with tarfile.open(path, "w:gz" if kind == "tar.gz" else "w") as archive:
      archive.add(tmp_path / "evil.png", "../../evil.png")
  before = sorted(tmp_path.parent.rglob("*"))
  with pytest.raises((ValueError, OSError)):
    sources.source(str(path))
  assert sorted(tmp_path.parent.rglob("*")) == before


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_f19_data_of_ones_own(tmp_path, monkeypatch, value):
  (tmp_path / "own_points.py").write_text(f'''
import jax.numpy as jnp
from gan_jax.data import base

def points():
  return base.Data("points", (2,), base.pick, None, table=jnp.zeros((9, 2)).at[5, 1].set(float("{value}")))
''')
  monkeypatch.syspath_prepend(tmp_path)
  monkeypatch.delitem(sys.modules, "own_points", raising=False)
  resolve.loaded.cache_clear()
  with pytest.raises(DataError, match=rf"data: points: training data \[5, 1\] is {value}; leave the example out, or mend it") as error:
    resolve.load_data(json.dumps({"name": "own_points:points"}))
  assert error.value.exit_code == 3


def test_f42_neither_tensorflow_nor_torch_is_imported(tmp_path):
  """Both are there, as stubs that leave a file when they are imported; everything of ours is."""
  for name in ("tensorflow", "torch"):
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").write_text(f"import pathlib; pathlib.Path({str(tmp_path)!r}, 'was_{name}').touch()\n")
  code = "import pkgutil, importlib, gan_jax\nfor module in pkgutil.walk_packages(gan_jax.__path__, 'gan_jax.'):\n"
  code += "  if not module.name.endswith('__main__'): importlib.import_module(module.name)\n"
  path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
  subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": path})
  assert not list(tmp_path.glob("was_*"))


def test_f32_what_a_run_writes_is_strict_json(tmp_path):
  """So that nobody needs a lenient reader."""
  text = summary.to_json({"a": float("nan"), "b": [float("inf"), np.float32(1)]})
  assert json.loads(text, parse_constant=lambda word: pytest.fail(word)) == {"a": "nan", "b": ["inf", 1.0]}
  rundir.write_json(tmp_path / "x.json", {"a": 1})
  assert rundir.read_json(tmp_path / "x.json") == {"a": 1}
