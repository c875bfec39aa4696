"""Scores by class: counted by hand, with a stand-in for a classifier that reads the first pixel.

Mutations that made a test here fail: NaN read as a class; accuracy by what was read and not by what was asked; > for >= in either bar of the sweep.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.data.base import Assignment, Data, Modes
from gan_jax.metrics import classifier, confidence_sweep, evaluate, frechet, identities, per_class, perfect

LAW = np.array([0.5, 0.3, 0.2])


class FirstPixel:
  """Reads class = the first number, with the second as its confidence."""

  identity = "first pixel"

  def features(self, images: np.ndarray) -> np.ndarray:
    return np.asarray(images, np.float32).reshape(len(images), -1)[:, :2]


def labelled(confident: bool = True, num_classes: int | None = 3) -> Data:
  def draw(table, key, n):
    label = jax.random.choice(key, 3, (n,), p=jnp.asarray(LAW))
    return {"image": jnp.stack([label.astype(jnp.float32), jnp.full(n, 0.75)], axis=1), "condition": label}

  def assign(samples):
    finite = np.isfinite(samples).all(axis=1)
    kind, sure = np.where(finite[:, None], samples, 0).T
    return Assignment(kind.astype(int), finite, None, sure if confident else None)

  return Data("labelled", (2,), draw, Modes(LAW, assign, 1.0, classifier=FirstPixel()), num_classes=num_classes)


def rows(*pairs: tuple[float, float]) -> np.ndarray:
  return np.array(pairs, np.float32)


def test_shares_and_accuracy_by_hand():
  samples = rows((0, 1), (0, 1), (0, 1), (1, 1), (np.nan, 1))
  values, _ = evaluate(samples, labelled(), distances=False, metrics={"c": per_class()}, conditions=np.array([0, 0, 1, 1, 0]))
  assert [values[f"class_share_{k}"] for k in range(3)] == [0.75, 0.25, 0.0]
  assert values["class_share_least"] == 0 and values["class_accuracy"] == 3 / 5  # what is not finite is no class, and wrong
  assert [values[f"class_accuracy_{k}"] for k in range(3)] == [2 / 3, 1 / 2, 0.0] and values["class_accuracy_least"] == 0
  values, _ = evaluate(samples, labelled(), distances=False, metrics={"c": per_class()})
  assert "class_accuracy" not in values and values["class_share_0"] == 0.75


def test_a_perfect_sampler_has_the_laws_shares_and_the_classifiers_accuracy():
  ideal = perfect(labelled(), 3000, distances=False, metrics={"c": per_class()})
  assert [ideal[f"class_share_{k}"] for k in range(3)] == pytest.approx(LAW, abs=0.03)
  assert ideal["class_share_least"] == pytest.approx(1, abs=0.1) and ideal["class_accuracy"] == ideal["class_accuracy_2"] == 1
  unconditional = perfect(labelled(num_classes=None), 100, distances=False, metrics={"c": per_class()})
  assert "class_accuracy" not in unconditional and "class_share_2" in unconditional


def test_confidence_sweep_by_hand():
  # Class 0 three times (.2, .5, .9), class 1 once (.95), and a NaN that would be class 0.
  samples = rows((0, 0.2), (0, 0.5), (0, 0.9), (1, 0.95), (0, np.nan))
  metric = confidence_sweep(confidences=(0.0, 0.5, 0.92), thresholds=(1, 2, 3))
  values, _ = evaluate(samples, labelled(), distances=False, metrics={"s": metric})
  table = [[values[f"modes_c{c}_t{t}"] for t in (1, 2, 3)] for c in ("0", "0.5", "0.92")]
  assert table == [[2, 1, 1], [2, 1, 0], [1, 0, 0]]
  ideal = perfect(labelled(), 2000, distances=False, metrics={"s": metric})
  assert [ideal[f"modes_c{c}_t3"] for c in ("0", "0.5", "0.92")] == [3, 3, 0]


def test_the_report_does_not_take_a_sweep_for_the_deciding_count():
  from gan_jax.lab.summary import quarter_metric

  assert quarter_metric(["modes_c0.9_t10", "modes_t1"]) == "modes_t1"


def test_classifier_features_are_the_data_sets_own():
  metric = frechet(classifier(), n=50)
  values, _ = evaluate(rows((1, 1)).repeat(50, axis=0), labelled(), distances=False, metrics={"f": metric})
  assert values["fd_classifier_n50"] > 0.1
  assert identities({"f": metric}, labelled(), 50)["fd_classifier_n50"]["extractor_hash"] == "first pixel"


@pytest.mark.parametrize("metric, data, message", [
  (per_class(), labelled()._replace(modes=None), "per_class needs a data set with known classes, and labelled has none"),
  (confidence_sweep(), labelled(confident=False), "confidence_sweep needs a classifier's confidences, and labelled has none"),
  (frechet(classifier()), labelled()._replace(modes=labelled().modes._replace(classifier=None)), "a classifier of its own.*use random_conv"),
])  # fmt: skip
def test_data_without_what_a_metric_needs_is_refused_before_training(metric, data, message):
  with pytest.raises(ValueError, match=message):
    identities({"m": metric}, data, 10_000)


def test_sweeps_of_nothing_are_refused():
  for settings in ({"confidences": ()}, {"confidences": (1.5,)}, {"thresholds": ()}, {"thresholds": (0,)}):
    with pytest.raises(ValueError, match=r"confidence|thresholds"):
      confidence_sweep(**settings)
  with pytest.raises(ValueError, match="one condition for each sample: got 1 for 2"):
    evaluate(rows((0, 1), (0, 1)), labelled(), conditions=np.zeros(1, int))
