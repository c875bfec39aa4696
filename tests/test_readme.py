"""What the documents show runs: the Python blocks of README.md, in order and in one namespace, the experiment of docs/extending.md, and every doctest
of the package.

Mutations that made a test here fail: a wrong output in a doctest; an unknown name in a README block.
"""

import doctest
import importlib.util
import json
import pkgutil
import re
from pathlib import Path

import numpy as np
import pytest
import tiny_sets

import gan_jax
from gan_jax.lab import cli

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


def test_an_experiment_all_of_whose_parts_are_ones_own(tmp_path, monkeypatch):
  """docs/extending.md, as it stands."""
  text = (README.parent / "docs/extending.md").read_text()
  for name, block in re.findall(r"^```python\n# (\S+)\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE):
    (tmp_path / name).write_text(block)
  monkeypatch.chdir(tmp_path)
  monkeypatch.syspath_prepend(tmp_path)
  assert cli.main(["run", "--config=my_experiment.py", "--workdir=run", "--arms=vanilla,patient,repelled+mirrored", "--quiet"]) == 0
  summary = json.loads((tmp_path / "run/summary.json").read_text())
  assert summary["question"].startswith("Do repelled samples keep both points?")
  assert set(summary["arms"]) == {"vanilla", "patient", "repelled+mirrored"} and summary["num_modes"] == 2
  assert all(arm["raw/mean_distance_n200"]["values"] for arm in summary["arms"].values())
  assert summary["info"]["patient"]["samples_seen"] == 2 * summary["info"]["vanilla"]["samples_seen"]


def write_own_pictures(tmp_path) -> None:
  """The experiments of docs/tasks.md, and folders as they are described there."""
  text = (README.parent / "docs/tasks.md").read_text()
  for name, block in re.findall(r"^```python\n# (\S+)\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE):
    (tmp_path / name).write_text(block)
  made = np.random.default_rng(0).integers(0, 256, (24, 16, 16, 3), dtype=np.uint8)
  for number, picture in enumerate(made):
    for place in ("pairs/train/A", "pairs/train/B", "pairs/test/A", "pairs/test/B", "captioned"):
      tiny_sets.write_png(tmp_path / place / f"{number}.png", picture)
  said = lambda number: f"a small {['red', 'blue'][number % 2]} {['bird', 'dog'][number % 3 > 1]}"
  lines = [json.dumps({"image": f"{number}.png", "caption": said(number)}) for number in range(24)]
  (tmp_path / "captioned/captions.jsonl").write_text("\n".join(lines))


def test_pictures_of_ones_own_are_what_the_networks_were_made_for(tmp_path, monkeypatch, capsys):
  write_own_pictures(tmp_path)
  monkeypatch.chdir(tmp_path)
  for name in ("my_pairs", "my_captions"):
    assert cli.main(["show", f"--config={name}.py"]) == 0, capsys.readouterr().err
  for override, said in {
    "--config.generator.vocabulary=5": "generator: vocabulary = 5, and images has 6 words; set it to 6",
    "--config.data.length=3": 'a caption has 4 words ("a small red bird...")',
  }.items():
    assert cli.main(["show", "--config=my_captions.py", override]) in (2, 3)
    assert said in capsys.readouterr().err
  assert cli.main(["data", "verify", "captioned"]) == 0 and "captions  6 words, 4 in the longest" in capsys.readouterr().out


@pytest.mark.slow
def test_pictures_of_ones_own_are_learnt_from(tmp_path, monkeypatch, capsys):
  write_own_pictures(tmp_path)
  monkeypatch.chdir(tmp_path)
  said = {"pairs": "data: images, 24 images, 16 x 16 RGB (pairs", "captions": "6 words, 4 in the longest caption"}
  for name, words in said.items():
    assert cli.main(["run", f"--config=my_{name}.py", f"--workdir=runs/{name}", "--arms=vanilla", "--config.num_steps=2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert words in lines[0]  # before the first round
  assert cli.main(["translate", "runs/pairs", "pairs/test/A", "answers"]) == 0 and len(list(Path("answers").iterdir())) == 24
  assert cli.main(["sample", "runs/captions", "--caption=a small dog", "--out=dog.png"]) == 0


def test_the_tables_of_the_leagues_are_what_the_results_say():
  """`python experiments/_tables.py` writes them."""
  folder = README.parent / "experiments"
  text = (folder / "README.md").read_text()
  made = importlib.util.module_from_spec(spec := importlib.util.spec_from_file_location("_tables", folder / "_tables.py"))
  spec.loader.exec_module(made)
  assert text.count("<!-- table of ") >= 3 and made.written(text) == text
  assert made.written(text.replace("| ridge_leverage |", "| ridge |")) == text


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
