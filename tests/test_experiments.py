"""Every experiment that is committed: all its forms load, all its arms fit their data, and the quick forms of those on images train on real data."""

import json
import os
import re
from pathlib import Path

import jax
import numpy as np
import pytest

from gan_jax import metrics
from gan_jax.core import build, with_ema
from gan_jax.data.sources import idx
from gan_jax.lab import config, resolve, train
from gan_jax.lab.errors import UsageError

FOLDER = Path(__file__).parent.parent / "experiments"
NAMES = sorted(path.stem for path in FOLDER.glob("[!_]*.py"))
TRAINED = {  # experiments on images -> the arm that is trained here
  "stacked_digits_conv": "pacgan4",
  "smnist_q": "pacgan2",
  "smnist_dcgan": "vanilla",
  "smnist_r3": "rpgan_r1_r2",
  "mnist_u3": "vanilla",
  "fashion_mnist": "r1",
  "cifar10": "vanilla",
}
LIKE = {"smnist_h": "smnist_q", "mnist_u10": "mnist_u3"}  # the same programs but for sizes, so not compiled
DEEPEST = {"smnist_r3"}
# Half a minute of compilation each: traced, and with the slow tests trained.
LARGE = ("smnist_dcgan", "smnist_r3", "mnist_u3", "fashion_mnist", "smnist_q", "cifar10")
# A test set is as real as a training set and a sixth of its size; a classifier that reads most of it will do.
CHEAP = ["data.of.split=test", "data.classifier_steps=60", "data.minimum_accuracy=0.5"]
QUICK_TO_COMPILE = {"xla_backend_optimization_level": 0}  # three to five times as quick


def forms(name: str) -> list[str]:
  """"", and what the message about a wrong form offers."""
  with pytest.raises(UsageError, match=r"no form '\?' of this experiment; use ") as error:
    config.load(f"{FOLDER / name}.py:?")
  return ["", *re.findall(r"\w+", str(error.value).rpartition("; use ")[2].replace(" or ", " "))]


def load(name: str, form: str = "", *overrides: str, arms: str | None = None) -> config.Resolved:
  return config.load(f"{FOLDER / name}.py" + (f":{form}" if form else ""), overrides, arms)


@pytest.fixture(scope="session")
def cifar10(tmp_path_factory) -> str:
  """Real images in the shape of CIFAR-10, which is not here: Fashion-MNIST with a border, grey in three channels."""
  rows = idx(needed("fashion_mnist"), "test").rows(np.arange(2000))
  images = np.pad(rows["image"], ((0, 0), (2, 2), (2, 2), (0, 0))).repeat(3, axis=-1)
  path = tmp_path_factory.mktemp("cifar10") / "data.npz"
  np.savez(path, images=images, labels=rows["label"])
  return str(path)


def needed(*sets: str) -> str:
  """The folder of the last of these sets; skips the test where one is not there."""
  place = ""
  for name in sets:
    place = os.path.join(os.environ.get("GAN_JAX_DATA", ""), name)
    if not os.path.isdir(place):
      pytest.skip(f"GAN_JAX_DATA has no {name}")
  return place


def real_data(name: str, request) -> list[str]:
  """The overrides that name it; skips the test where it is not there."""
  if name == "cifar10":
    return [f"data.path={request.getfixturevalue('cifar10')}"]
  if name in {*TRAINED, *LIKE} - {"stacked_digits_conv"}:
    needed("fashion_mnist" if name == "fashion_mnist" else "mnist")
  return []


@pytest.mark.parametrize("name", NAMES)
def test_every_form_of_every_experiment_loads(name):
  found = forms(name)
  assert "quick" in found
  for form in found:
    resolved = load(name, form)
    assert resolved.arms and resolved.question.endswith("?"), form


@pytest.mark.parametrize("name", [name for name in NAMES if name != "ring_imbalanced"])
def test_the_header_has_the_question_and_a_command_for_every_form(name):
  docstring = (FOLDER / f"{name}.py").read_text().split('"""')[1]
  assert "?" in docstring.splitlines()[0]
  for form in forms(name):
    command = f"gan-jax run --config=experiments/{name}.py{':' * bool(form)}{form} --workdir="
    assert command in docstring, f"{name}: no command for form {form!r}"


def test_every_experiment_on_images_is_trained_here():
  sets = {name: load(name, "quick").base.data["name"] for name in NAMES if name not in ("stacked_digits", "league_digits")}  # dense players
  on_images = {name for name, data in sets.items() if data in ("cifar10", "images", "labelled", "minority", "stacked", "stacked_digits")}
  assert on_images == {*TRAINED, *LIKE}


def quick(name: str, request) -> tuple[config.Resolved, resolve.Experiment]:
  """The quick form of an arm on real data, traced down to the shapes of a round."""
  arm = TRAINED[LIKE.get(name, name)]
  cheap = CHEAP if name not in ("stacked_digits_conv", "cifar10") else []
  resolved = load(name, "quick", "evaluation.num_samples=1000", *real_data(name, request), *cheap, arms=arm)
  experiment = resolve.build_all(resolved)[arm]
  real = experiment.data.sample(jax.random.key(0), 8)["image"]
  assert real.shape[1:] == experiment.data.shape and float(abs(real).max()) == 1.0
  return resolved, experiment


TASKS = [name for name in NAMES if name.startswith(("triangles", "fashion_longtail", "fashion_sr"))]


@pytest.mark.slow
@pytest.mark.parametrize("name", TASKS)
def test_the_tasks_run_end_to_end(name, tmp_path):
  """The first arm of the quick form: two rounds, the form's own scores, the report."""
  if name.startswith("fashion"):
    needed("mnist", "fashion_mnist")
  arm = next(iter(load(name, "quick").arms))
  resolved = load(name, "quick", "num_steps=2", "evaluation.every=1", arms=arm)
  page = train.run(resolved, tmp_path / "run", quiet=True)
  summary = json.loads((tmp_path / "run/summary.json").read_text())
  assert page.is_file() and summary["info"][arm]["status"] == "done" and summary["info"][arm]["rounds"] == 2
  asked = set(resolved.base.evaluation.get("metrics") or {})
  assert not asked or len([key for key in summary["arms"][arm] if key.startswith("raw/")]) > 2 * len(asked)
  assert all(np.isfinite(float(value)) for name, part in summary["arms"][arm].items() for value in part["values"] if name == "raw/finite")


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.slow) if name in {*LIKE, *DEEPEST} else name for name in (*LIKE, *LARGE)])
def test_quick_forms_fit_real_data(name, request):
  quick(name, request)


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name in LARGE)) for name in TRAINED])
def test_quick_forms_train_on_real_data(name, request):
  """Two rounds of an arm, samples of the averaged weights, and the form's own evaluation of them."""
  resolved, (data, game, size, *_, measures) = quick(name, request)
  algorithm, key = build(game), jax.random.key(1)

  batch = lambda table, number: data.draw(table, jax.random.fold_in(key, number), size)
  begin = jax.jit(lambda table: algorithm.init(key, batch(table, 0)), compiler_options=QUICK_TO_COMPILE)
  play = jax.jit(lambda table, state: algorithm.step(state, batch(table, state.step), key), compiler_options=QUICK_TO_COMPILE)
  first = begin(data.table)
  state, _ = play(data.table, first)
  state, logs = play(data.table, state)
  assert all(np.isfinite(log).all() for log in logs.values()) and int(state.step) == 2
  still = jax.tree.map(lambda old, new: bool((old == new).all()), first.params, state.params)
  assert not any(jax.tree.leaves(still)), f"parameters that do not move: {still}"

  given = data.conditions(key, 1000)
  draw = jax.jit(lambda state: algorithm.sample(with_ema(state), key, {"image": np.zeros((1000, 1)), **given}), compiler_options=QUICK_TO_COMPILE)
  samples = np.asarray(draw(state))
  classes = np.asarray(given["condition"]) if given else None
  values, counts = metrics.evaluate(samples, data, metrics=measures, conditions=classes)
  assert samples.shape == (1000, *data.shape) and values["finite"] == 1 and all(np.isfinite(value) for value in values.values())
  assert data.modes is None or counts.sum() == 1000
  assert {metric for metric in resolved.base.evaluation.get("metrics", {})} == set(measures)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_arm_of_every_form_fits_its_data(name, request):
  """Traced, not compiled. Up to some minutes an experiment; those on MNIST train its classifier for good, and it passes their bar."""
  for form in forms(name):
    assert resolve.build_all(load(name, form, *real_data(name, request)))
