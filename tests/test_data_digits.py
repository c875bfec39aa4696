"""Stacked digits: channels are hundreds, tens and units; the classifier is good enough to count with."""

import doctest

import jax
import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier

from gan_jax.data import digits, stacked_digits
from gan_jax.data.digits import fit_classifier


class Memory(dict):
  """A cache in memory that counts its hits."""

  hits = 0

  def get(self, identity):
    found = super().get(identity)
    self.hits += found is not None
    return found

  def put(self, identity, arrays):
    self[identity] = dict(arrays)


@pytest.fixture(scope="module")
def images_and_labels():
  images, labels = load_digits(return_X_y=True)
  return (images.reshape(-1, 8, 8) / 8 - 1).astype(np.float32), labels


@pytest.fixture(scope="module")
def cache():
  return Memory()


@pytest.fixture(scope="module")
def data(cache):
  return stacked_digits(cache)


def test_documentation_examples():
  assert doctest.testmod(digits).failed == 0


def test_samples_are_three_real_digits(data, images_and_labels):
  samples = np.asarray(data.sample(jax.random.key(0), 64)["image"])
  assert samples.shape == (64, 8, 8, 3) and samples.dtype == np.float32
  assert samples.min() == -1 and samples.max() == 1
  known = {image.tobytes() for image in images_and_labels[0]}
  assert all(np.ascontiguousarray(sample[..., c]).tobytes() in known for sample in samples for c in range(3))


def test_channels_are_hundreds_tens_and_units(data, images_and_labels):
  images, labels = images_and_labels
  rng = np.random.default_rng(0)
  index = rng.integers(0, len(images), (3000, 3))
  found = data.modes.assign(np.moveaxis(images[index], 1, -1))
  right = found.mode == labels[index] @ np.array([100, 10, 1])
  assert right.mean() > 0.975 and found.high_quality.all() and found.radius is None


def test_the_law_is_the_datas_own(data, images_and_labels):
  marginal = np.bincount(images_and_labels[1], minlength=10) / 1797
  p = data.modes.probabilities
  assert p.sum() == pytest.approx(1)
  # not exact: the classifier misreads a few
  np.testing.assert_allclose(p.reshape(10, 10, 10).sum(axis=(0, 1)), marginal, atol=0.003)
  np.testing.assert_allclose(p[345], p.reshape(10, 100).sum(1)[3] * p.reshape(10, 10, 10).sum((0, 2))[4]
                             * p.reshape(100, 10).sum(0)[5])
  assert (p * np.log(1000 * p)).sum() == pytest.approx(3e-4, abs=2e-4)


def test_images_that_are_not_finite_or_wild_do_not_break_the_count(data):
  samples = np.zeros((3, 8, 8, 3), np.float32)
  samples[0, 3, 3, 1], samples[1, 0, 0, 0] = np.nan, np.inf
  found = data.modes.assign(samples)
  assert found.high_quality.tolist() == [False, False, True] and found.mode[:2].tolist() == [0, 0]


def test_classifier_is_scikit_learns_and_meets_the_bar(images_and_labels):
  images, labels = images_and_labels
  classifier = fit_classifier(images, labels)
  order = np.random.default_rng(0).permutation(1797)
  oracle = MLPClassifier(**digits.RECIPE).fit(images[order[:1500]].reshape(1500, -1), labels[order[:1500]])
  np.testing.assert_array_equal(classifier.predict(images), oracle.predict(images.reshape(1797, -1)))
  assert classifier.accuracy == pytest.approx(oracle.score(images[order[1500:]].reshape(297, -1), labels[order[1500:]]))
  assert classifier.accuracy >= 0.975


def test_a_classifier_below_the_bar_is_refused(images_and_labels):
  images, labels = images_and_labels
  with pytest.raises(ValueError, match=r"mode counts need 97\.5%"):
    fit_classifier(images, labels, num_train=40)
  with pytest.raises(ValueError, match="num_train must leave images to measure on"):
    fit_classifier(images, labels, num_train=1797)


def test_the_cache_is_used_and_keyed_by_the_data(data, cache, images_and_labels, monkeypatch):
  images, labels = images_and_labels
  before = cache.hits
  again = fit_classifier(images, labels, cache=cache)
  assert cache.hits == before + 1 and again.identity in cache
  other = images.copy()
  other[0, 0, 0] += 1e-3
  assert fit_classifier(other, labels, cache=Memory()).identity != again.identity


@pytest.mark.parametrize("damage", [
  lambda arrays: {**arrays, "output_kernel": arrays["output_kernel"][:, ::-1].copy()},  # reads the digits backwards
  lambda arrays: {**arrays, "hidden_bias": np.zeros(3)},
  lambda arrays: {"hidden_bias": arrays["hidden_bias"]},
])
def test_weights_that_do_not_read_digits_are_fitted_anew(images_and_labels, cache, data, damage):
  images, labels = images_and_labels
  (identity, good), = cache.items()
  broken = Memory({identity: damage(good)})
  assert fit_classifier(images, labels, cache=broken).accuracy >= 0.975
  assert set(broken[identity]) == set(good)
