"""Every experiment that is committed: all its forms load, all its arms fit their data, and the quick forms of those on images train on real data."""

import os
import re
from pathlib import Path

import jax
import numpy as np
import pytest

from gan_jax import metrics
from gan_jax.data.sources import idx
from gan_jax.lab import config, resolve
from gan_jax.lab.errors import UsageError
from gan_jax.lab.program import program, seed_keys

FOLDER = Path(__file__).parent.parent / "experiments"
NAMES = sorted(path.stem for path in FOLDER.glob("[!_]*.py"))
CHEAP = ["evaluation.num_samples=1000", "evaluation.monitor_samples=200", "seeds=1"]
ON_IMAGES = {  # experiment -> the arm that is trained here, and overrides
  "stacked_digits_conv": ("pacgan4", []),
  "smnist_q": ("pacgan2", []),
  "smnist_dcgan": ("vanilla", []),
  "smnist_r3": ("rpgan_r1_r2", []),
  "mnist_u3": ("vanilla", []),
  "fashion_mnist": ("r1", []),
  "cifar10": ("vanilla", []),
}
SAME_PROGRAMS = {"smnist_h": "smnist_q", "mnist_u10": "mnist_u3"}  # but for sizes


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


def overrides_for(name: str, request) -> list[str]:
  if name == "cifar10":
    return [f"data.path={request.getfixturevalue('cifar10')}"]
  if name != "stacked_digits_conv" and name in {*ON_IMAGES, *SAME_PROGRAMS}:
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
  on_images = {name for name in NAMES if resolve_shape(name) and name != "stacked_digits"}
  assert on_images == {*ON_IMAGES, *SAME_PROGRAMS}


def resolve_shape(name: str) -> bool:
  return load(name, "quick").base.data["name"] in ("cifar10", "images", "labelled", "minority", "stacked", "stacked_digits")


@pytest.mark.parametrize("name", [*ON_IMAGES, *SAME_PROGRAMS])
def test_quick_forms_fit_real_data(name, request):
  """Down to the shapes of a round, for every arm: what `gan-jax show` does. The classifier is trained, and is good enough for the form."""
  resolved = load(name, "quick", *CHEAP, *overrides_for(name, request))
  for experiment in resolve.build_all(resolved).values():
    batch = experiment.data.sample(jax.random.key(0), 8)["image"]
    assert batch.shape[1:] == experiment.data.shape and float(abs(batch).max()) == 1.0


@pytest.mark.parametrize("name", ON_IMAGES)
def test_quick_forms_train_on_real_data(name, request):
  """Three rounds of one arm with the runner's own program, and its whole evaluation."""
  arm, overrides = ON_IMAGES[name]
  resolved = load(name, "quick", *CHEAP, *overrides, *overrides_for(name, request), arms=arm)
  experiment, settings = resolve.build_all(resolved)[arm], resolved.base.evaluation
  compiled, keys = program(experiment), seed_keys((0,))
  states = compiled.init(keys, experiment.data.table)
  before = jax.tree.map(np.asarray, states.params)
  states, logs = compiled.advance(states, compiled.totals(1), keys, experiment.data.table, np.int32(3))
  assert all(np.isfinite(log).all() for log in logs.values()) and int(states.step[0]) == 3
  moved = jax.tree.map(lambda old, new: bool((old != np.asarray(new)).any()), before, states.params)
  assert all(jax.tree.leaves(moved)), f"parameters that never move: {moved}"

  given = compiled.conditions(keys["evaluate"], settings.num_samples)
  samples = compiled.sample(states, keys["evaluate"], settings.num_samples, given)[0]
  classes = np.asarray(given["condition"])[0] if "condition" in given else None
  values, counts = metrics.evaluate(samples, experiment.data, metrics=experiment.metrics, conditions=classes)
  assert samples.shape == (1000, *experiment.data.shape) and values["finite"] == 1 and all(np.isfinite(value) for value in values.values())
  assert experiment.data.modes is None or counts.sum() == 1000


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_arm_of_every_form_fits_its_data(name, request):
  """Traced, not compiled. A minute or two an experiment; those on MNIST train its classifier for good."""
  for form in forms(name):
    assert resolve.build_all(load(name, form, *overrides_for(name, request)))
