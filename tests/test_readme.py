"""What the documents show runs: the Python blocks of README.md, in order and in one namespace, and every doctest of
the package.

Mutations that made a test here fail: a wrong output in a doctest; an unknown name in a README block.
"""

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import gan_jax

README = Path(__file__).parent.parent / "README.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```", README.read_text(), flags=re.DOTALL | re.MULTILINE)
MODULES = [
  "gan_jax",
  *sorted(m.name for m in pkgutil.walk_packages(gan_jax.__path__, "gan_jax.") if not m.name.endswith("__main__")),
]


def test_readme(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  assert len(BLOCKS) >= 2
  namespace = {"__name__": "readme"}
  for block in BLOCKS:
    exec(compile(block, "README.md", "exec"), namespace)


def examples(name):
  return [
    test for test in doctest.DocTestFinder(exclude_empty=True).find(importlib.import_module(name)) if test.examples
  ]


@pytest.mark.parametrize("name", MODULES)
def test_doctests(name):
  runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
  for test in examples(name):
    assert runner.run(test).failed == 0, test.name


def test_the_step_carries_an_example():
  assert any(test.name == "gan_jax.core.build" for test in examples("gan_jax.core"))
