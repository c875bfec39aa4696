"""What classifiers learn from generated images: real ones teach, noise and wrong names do not, alone or beside the real images of a long tail.

Mutations that made a test here fail: the best baseline left out of `gain`; kept examples in the withheld ones' place; recalls over all examples;
an interval that keeps the oracle as it is.
"""

import doctest
import sys

import jax
import numpy as np
import pytest
import stored_runs

from gan_jax import data
from gan_jax.data.base import LEVELS, take
from gan_jax.data.classifier import taught
from gan_jax.lab.synthesizing import synthesize
from gan_jax.lab.translating import model
from gan_jax.metrics import balancing, evaluate, gan_test, gan_train, identities, perfect
from gan_jax.metrics.base import context_of
from gan_jax.metrics.gan_train import gap_closed, gap_interval, recall, withheld

N = 600


def test_real_images_teach_and_wrong_names_do_not():
  digits = data.sklearn_digits(condition="label")
  metric = {"gan_train": gan_train(reference=digits, n=N, steps=60)}
  best = perfect(digits, N, distances=False, metrics=metric)
  name = f"gan_train_ref_n{N}"
  assert 0.8 < best[name] <= 1
  drawn = digits.sample(jax.random.key(3), N)
  images, classes = np.array(drawn["image"]), np.asarray(drawn["condition"])
  score = lambda images, classes: evaluate(images, digits, distances=False, metrics=metric, conditions=classes)[0][name]
  assert score(images, classes) > 0.8
  assert score(images, (classes + 1) % 10) < 0.1  # learned well, and all wrong
  images[classes == 3] = np.nan
  assert score(images, classes) == 0


def test_real_images_are_read_as_what_they_are_and_wrong_names_are_not():
  """The other way round."""
  digits = data.sklearn_digits(condition="label")
  metric = {"gan_test": gan_test(reference=digits, n=N, steps=60)}
  name = f"gan_test_ref_n{N}"
  best = perfect(digits, N, distances=False, metrics=metric)[name]
  assert 0.8 < best <= 1
  drawn = digits.sample(jax.random.key(3), N)
  images, classes = np.array(drawn["image"]), np.asarray(drawn["condition"])
  score = lambda images, classes, metric=metric: evaluate(images, digits, distances=False, metrics=metric, conditions=classes)[0]
  right = score(images, classes)[name]
  assert right == pytest.approx(best, abs=0.05)
  assert score(images, (classes + 1) % 10)[name] < 0.1
  assert score(np.random.default_rng(0).uniform(-1, 1, images.shape), classes)[name] < 0.3
  broken = np.where(np.arange(N)[:, None, None, None] % 2, images, np.nan)
  assert score(broken, classes)[name] == pytest.approx(right / 2, abs=0.05)
  assert score(np.full_like(images, np.nan), classes)[name] == 0


def test_data_without_classes_are_refused():
  for name, metric in (("gan_train", gan_train), ("gan_test", gan_test)):
    with pytest.raises(ValueError, match=f"{name} needs a class as the condition of data and reference alike; sklearn_digits has none"):
      identities({name: metric(reference=data.sklearn_digits(condition="label"))}, data.sklearn_digits(), 5000)


def answers(of, source):
  """Generators that are asked for classes: the real examples that were left out, in turn, and noise."""
  images, labels = withheld(source)
  members = [np.flatnonzero(labels == k) for k in range(10)]
  real = lambda asked, number: LEVELS[images[[members[k][i % len(members[k])] for i, k in enumerate(asked)]]]
  noise = lambda asked, number: np.random.default_rng(0).uniform(-1, 1, (len(asked), *of.shape)).astype("float32")
  return {"real": real, "noise": noise}


def test_real_images_close_the_gap_and_noise_does_not():
  digits = data.sklearn_digits(condition="label")
  tail = data.long_tail(data.sklearn_digits(condition="label"), ratio=0.02, classifier_steps=60)
  sizes = np.bincount(tail.rows.source.labels)
  assert sizes[0] == 174 and sizes[-1] == 3
  metric = {"balancing": balancing(reference=digits, steps=60, classifiers=1)}
  best = perfect(tail, 100, distances=False, metrics=metric)
  assert set(identities(metric, tail, 100)) == {name for name in best if name.endswith("_s60")}
  best = {name.removesuffix("_s60"): value for name, value in best.items()}
  assert best["balanced_accuracy_plain"] < best["balanced_accuracy_oversampled"] < best["balanced_accuracy_oracle"] - 0.03
  assert best["rare_recall_plain"] < best["rare_recall_oracle"] - 0.15 and best["gap_closed"] == 1
  found = {}
  for name, answer in answers(tail, tail.rows.source).items():
    values, _ = evaluate(np.zeros((4, 8, 8, 1)), tail, distances=False, metrics=metric, answer=answer)
    found[name] = {key.removesuffix("_s60"): value for key, value in values.items() if key.endswith("_s60")}
    assert found[name]["balanced_accuracy_plain"] == best["balanced_accuracy_plain"] and set(found[name]) <= set(best)
    low, high = found[name]["gap_closed_low"], found[name]["gap_closed_high"]
    assert low == high == found[name]["gap_closed"]  # of one classifier
  assert found["real"]["gap_closed"] == pytest.approx(1, abs=0.15)  # the same images, drawn in another order
  assert found["noise"]["gap_closed"] < 0.5 and found["noise"]["gain"] < found["real"]["gain"]
  free = max(best[f"balanced_accuracy_{name}"] for name in ("plain", "reweighted", "oversampled"))
  assert found["noise"]["balanced_accuracy_flips"] - free == pytest.approx(found["noise"]["gain"])


def test_without_withheld_examples_there_is_no_oracle():
  digits = data.sklearn_digits(condition="label")
  assert withheld(digits.rows.source) is None
  names = list(identities({"balancing": balancing(reference=digits, steps=50)}, digits, 10))
  assert "balanced_accuracy_oversampled_s50" in names and not [name for name in names if "oracle" in name or "gap" in name]
  with pytest.raises(ValueError, match="can be asked for a class"):
    balancing(reference=digits).score(np.zeros((1, 8, 8, 1)), context_of(digits))
  with pytest.raises(ValueError, match="balancing needs a class as the condition"):
    identities({"balancing": balancing(reference=digits)}, data.sklearn_digits(), 10)


def test_the_gap_and_its_interval_by_hand():
  accuracy, plain, oracle = (np.array(values) for values in ([0.6, 0.8], [0.5, 0.5], [0.9, 0.9]))
  assert gap_closed(accuracy, plain, oracle) == pytest.approx(0.5)
  assert gap_closed(oracle, oracle, plain) == gap_closed(plain, oracle, plain) == 0  # the oracle is behind
  assert gap_closed(plain, plain, oracle) == 0 and gap_closed(oracle, plain, oracle) == 1 and gap_closed(plain, plain, plain) == 0
  # Two classifiers drawn anew: both the first (.25), both the second (.75), or one of each (.5), with 1/4, 1/4 and 1/2.
  assert gap_interval(accuracy, plain, oracle) == pytest.approx((0.25, 0.75))
  # Each keeps its own plain and oracle: .1 / .4 and .3 / .2 are not mixed.
  assert gap_interval(np.array([0.6, 0.9]), np.array([0.5, 0.6]), np.array([0.9, 0.8])) == pytest.approx((0.25, 1.5))
  assert gap_closed(np.array([0.6, 0.9]), np.array([0.5, 0.6]), np.array([0.9, 0.8])) == pytest.approx(0.2 / 0.3)
  np.testing.assert_allclose(recall(np.array([0, 1, 1, 2, 2]), np.array([0, 0, 1, 2, 3]), 4), [0.5, 1, 1, 0])


def test_what_synthesize_writes_teaches_beside_real_images(tmp_path):
  """From a run directory to a classifier: the folder is read back, its names are the real set's, and the mixed set is learned."""
  synthesize(model(stored_runs.untrained("label")), tmp_path / "made", per_class=5)
  real, made = data.sklearn_digits(condition="label").rows.source, data.images(str(tmp_path / "made"), condition="label").rows.source
  assert made.classes == real.classes and made.shape == real.shape and np.bincount(made.labels).tolist() == [5] * 10
  images = [take(source, np.arange(len(source)), ("image",))["image"] for source in (real, made)]
  found = taught(np.concatenate(images), np.concatenate([real.labels, made.labels]), 10, steps=60)
  assert (found.predict(LEVELS[images[0]]) == real.labels).mean() > 0.9


def test_documentation_examples():
  assert doctest.testmod(sys.modules[gan_train.__module__]).failed == 0
