"""What importing costs and must not touch: no TensorFlow, no torch, no jax before it is needed, and nothing that runs
code from a file.

Mutations that made a test here fail: `import torch` and `import pickle` at the top of a module; `import jax` in
`__init__`; a misspelt public name. What the lint sees inside functions and calls has a test of its own.
"""

import ast
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import gan_jax

PACKAGE = Path(gan_jax.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
MODULES = sorted(m.name for m in pkgutil.walk_packages(gan_jax.__path__, "gan_jax.") if not m.name.endswith("__main__"))
FOREIGN = {"tensorflow", "torch", "keras"}
ALLOWED = {"lab/config.py": ["exec"]}  # an experiment is a Python file, and its author's own
UNSAFE = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "marshal", "shelve"}


def loaded_by(code: str) -> set[str]:
  """The top-level modules that a fresh interpreter holds after `code`."""
  code += "\nimport sys; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
  return set(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split())


def test_importing_the_package_loads_no_array_library():
  assert not loaded_by("import gan_jax; gan_jax.__version__; dir(gan_jax)") & {
    "jax",
    "flax",
    "optax",
    "numpy",
    *FOREIGN,
  }


def test_importing_every_module_loads_neither_tensorflow_nor_torch():
  assert len(MODULES) > 20
  loaded = loaded_by("\n".join(f"import {name}" for name in MODULES))
  assert "jax" in loaded and not loaded & FOREIGN


def test_public_names_are_there():
  for name in gan_jax.__all__:
    assert getattr(gan_jax, name) is not None
  with pytest.raises(AttributeError, match="no attribute 'trainer'"):
    gan_jax.trainer  # noqa: B018


@pytest.mark.parametrize("name", [name for name in MODULES if ".lab" not in name])
def test_what_a_module_exports_exists(name):
  module = importlib.import_module(name)
  for public in getattr(module, "__all__", ()):
    assert hasattr(module, public), public


def imports(tree: ast.AST) -> set[str]:
  """The top-level names of all that a file imports, at the top or inside a function."""
  found = set()
  for node in ast.walk(tree):
    if isinstance(node, ast.Import):
      found |= {alias.name.partition(".")[0] for alias in node.names}
    elif isinstance(node, ast.ImportFrom) and node.level == 0:
      found.add(node.module.partition(".")[0])
  return found


def unsafe_calls(tree: ast.AST) -> list[str]:
  found = []
  for node in ast.walk(tree):
    if isinstance(node, ast.Call):
      called = ast.unparse(node.func)
      if called in ("eval", "exec") or called in ("yaml.load", "yaml.unsafe_load", "yaml.full_load", "yaml.load_all"):
        found.append(called)
      if any(keyword.arg == "allow_pickle" and getattr(keyword.value, "value", True) for keyword in node.keywords):
        found.append(f"{called}(allow_pickle=True)")
  return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_file_imports_foreign_frameworks_or_unsafe_readers(path):
  tree = ast.parse(path.read_text())
  assert not imports(tree) & (FOREIGN | UNSAFE)
  assert unsafe_calls(tree) == ALLOWED.get(path.relative_to(PACKAGE).as_posix(), [])


def test_the_lint_sees_what_it_should():
  assert imports(ast.parse("def f():\n  import torch.nn\nfrom pickle import loads")) == {"torch", "pickle"}
  code = "yaml.load(f); np.load(p, allow_pickle=True); np.load(p, allow_pickle=False); eval('1')"
  assert unsafe_calls(ast.parse(code)) == [
    "yaml.load", "np.load(allow_pickle=True)", "eval",
  ]  # fmt: skip


def test_nothing_outside_the_lab_prints_or_opens_a_file():
  """Sources of data open the files that they are named for; they print nothing either."""
  for path in FILES:
    parts = path.relative_to(PACKAGE).parts
    if "lab" not in parts[0]:
      calls = {ast.unparse(node.func) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)}
      assert not calls & ({"print"} if parts[:2] == ("data", "sources") else {"print", "open"}), path
