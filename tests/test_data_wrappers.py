"""Stacked, long-tailed, imbalanced and hidden classes, on scikit-learn's digits: what is drawn, and the law that samples are compared with."""

import doctest

import jax
import numpy as np
import pytest

from gan_jax import metrics
from gan_jax.data import hidden_class, hole, labelled, long_tail, lowres, minority, ring, sklearn_digits, stacked, triangles, unpaired, wrappers
from gan_jax.data.base import LEVELS
from gan_jax.data.image_sets import conditioned
from gan_jax.data.sources import memory


class Memory(dict):
  """A cache in memory."""

  def put(self, identity, arrays):
    self[identity] = dict(arrays)


SETTINGS = {"classifier_steps": 120, "cache": Memory()}  # one classifier for all tests
N = 20_000


@pytest.fixture(scope="module")
def digits():
  return sklearn_digits()


@pytest.fixture(scope="module")
def examples(digits):
  source = digits.rows.source
  return LEVELS[source.rows(np.arange(len(source)))["image"]]


@pytest.fixture(scope="module")
def read(digits, examples):
  """What the classifier reads in every example."""
  return labelled(digits, **SETTINGS).modes.classifier.predict(examples)


def drawn(data, n=N, seed=0):
  """Which examples a batch of n is made of."""
  return np.asarray(data.rows.index(jax.random.key(seed), n))


def agrees(counts, law, n):
  """A chi-square test at one in a million."""
  from scipy.stats import chi2

  assert ((counts - n * law) ** 2 / (n * law)).sum() < chi2.isf(1e-6, len(law) - 1)


def test_documentation_examples():
  assert doctest.testmod(wrappers).failed == 0


def test_a_labelled_set_stays_as_it_is(digits, read):
  data = labelled(digits, **SETTINGS)
  assert data.draw is digits.draw and data.table is digits.table and data.rows is digits.rows
  np.testing.assert_allclose(data.modes.probabilities, np.bincount(read) / 1797)


def test_classes_are_modes_with_the_classifiers_confidence(digits, examples, read):
  data = labelled(digits, **SETTINGS)
  found = data.modes.assign(examples)
  np.testing.assert_array_equal(found.mode, read)
  np.testing.assert_allclose(found.confidence, data.modes.classifier.probabilities(examples).max(axis=1))
  assert found.high_quality.all() and found.radius is None and (found.mode == digits.rows.source.labels).mean() > 0.99


def test_samples_that_are_not_finite_count_as_nothing(digits):
  samples = np.zeros((3, 8, 8, 1), np.float32)
  samples[0, 3, 3], samples[1, 0, 0] = np.nan, np.inf
  found = labelled(digits, **SETTINGS).modes.assign(samples)
  assert found.high_quality.tolist() == [False, False, True] and found.mode[:2].tolist() == [0, 0] and found.confidence[:2].tolist() == [0, 0]
  channels = np.concatenate([samples, np.zeros((3, 8, 8, 2), np.float32)], axis=-1)
  found = stacked(digits, **SETTINGS).modes.assign(channels)
  assert found.high_quality.tolist() == [False, False, True] and found.mode[:2].tolist() == [0, 0] and found.confidence[:2].tolist() == [0, 0]


def test_a_stack_is_three_examples_in_order(digits, examples, read):
  data = stacked(digits, **SETTINGS)
  index, batch = drawn(data, 500), np.asarray(data.sample(jax.random.key(0), 500)["image"])
  assert index.shape == (500, 3) and batch.shape == (500, 8, 8, 3)
  np.testing.assert_array_equal(batch, np.moveaxis(examples[index][..., 0], 1, -1))
  found = data.modes.assign(batch)
  np.testing.assert_array_equal(found.mode, read[index] @ [100, 10, 1])
  single = data.modes.classifier.grey.probabilities(examples).max(axis=1)
  np.testing.assert_allclose(found.confidence, single[index].prod(axis=1), rtol=1e-5)


def test_the_law_of_stacks_is_that_of_their_digits(digits, read):
  data = stacked(digits, **SETTINGS)
  marginal = np.bincount(read) / 1797
  np.testing.assert_allclose(data.modes.probabilities.reshape(10, 10, 10)[3, 4, 5], marginal[3] * marginal[4] * marginal[5])
  index = drawn(data)
  for channel in range(3):
    agrees(np.bincount(read[index[:, channel]], minlength=10), marginal, N)
  agrees(np.bincount(read[index] @ [100, 10, 1], minlength=1000), data.modes.probabilities, N)


def test_features_of_a_stack_are_those_of_its_channels(digits, examples):
  data = stacked(digits, **SETTINGS)
  images = np.moveaxis(examples[np.arange(12).reshape(4, 3)][..., 0], 1, -1)
  features = data.modes.classifier.features(images)
  np.testing.assert_array_equal(features[2, 128:256], data.modes.classifier.grey.features(examples[7:8])[0])
  assert data.modes.classifier.identity != data.modes.classifier.grey.identity
  assert metrics.classifier()(data).extract(images).shape == (4, 384)


def test_fixed_triples_are_the_same_for_ever(digits, read):
  data = stacked(digits, triples=20_000, **SETTINGS)
  index = drawn(data, 60_000)
  triples = {tuple(row) for row in index}
  assert 18_500 < len(triples) < 19_500  # 1 - e^-3 of 20,000
  assert {tuple(row) for row in drawn(data, 60_000, seed=1)} - triples  # those that the first did not meet
  assert len(triples | {tuple(row) for row in np.concatenate([drawn(data, 60_000, seed) for seed in range(1, 6)])}) == 20_000
  counts = np.bincount(read[index] @ [100, 10, 1], minlength=1000)
  agrees(counts, data.modes.probabilities, 60_000)
  with pytest.raises(AssertionError):
    agrees(counts, stacked(digits, **SETTINGS).modes.probabilities, 60_000)  # 20,000 triples are a law of their own
  assert {tuple(row) for row in drawn(stacked(digits, triples=20_000, seed=1, **SETTINGS), 100)} - triples


def test_a_streamed_stack_is_the_same_stack(digits):
  streamed = conditioned("digits", digits.rows.source, where="digits", device_bytes=0)
  data, other = stacked(digits, **SETTINGS), stacked(streamed, **SETTINGS)
  assert other.streamed and not data.streamed
  np.testing.assert_array_equal(*(np.asarray(d.sample(jax.random.key(5), 7)["image"]) for d in (data, other)))


def test_minorities_by_hand(digits, read):
  """Digits 0, 1, 2 are 178, 182 and 177 examples: .05 of the last are 8.85."""
  data = minority(sklearn_digits(condition="label"), classes=("0", "1", "2"), weights={"2": 0.05}, **SETTINGS)
  law = np.array([178, 182, 8.85]) / 368.85
  assert len(data.rows.source) == 537 and data.num_classes == 3
  np.testing.assert_allclose(data.modes.probabilities, law, atol=0.004)  # but for what the classifier misreads
  batch = data.sample(jax.random.key(0), N)
  agrees(np.bincount(batch["condition"], minlength=3), law, N)
  agrees(np.bincount(data.modes.assign(np.asarray(batch["image"])).mode, minlength=3), data.modes.probabilities, N)
  source, whole = data.rows.source, digits.rows.source
  np.testing.assert_array_equal(source.rows(np.arange(537))["label"], source.labels)
  np.testing.assert_array_equal(source.rows(np.array([0, 536]))["image"], whole.rows(np.array([np.flatnonzero(whole.labels == 0)[0],
                                                                                              np.flatnonzero(whole.labels == 2)[-1]]))["image"])


def test_classes_in_any_order_are_modes_in_that_order(examples, digits):
  data = minority(sklearn_digits(condition="label"), classes=("7", "3"), weights={}, **SETTINGS)
  batch = data.sample(jax.random.key(0), 300)
  assert (data.modes.assign(np.asarray(batch["image"])).mode == np.asarray(batch["condition"])).mean() > 0.99
  assert data.rows.source.classes == ("7", "3")
  sevens = data.modes.assign(examples[digits.rows.source.labels == 7])
  assert (sevens.mode == 0).mean() > 0.99
  wrong = data.modes.assign(examples[digits.rows.source.labels == 0])  # a 0 is neither: the confidence says so
  assert np.median(wrong.confidence) < 0.1 and np.median(sevens.confidence) > 0.9


def test_a_long_tail_by_hand(digits):
  """174 eights are the smallest class: 174 * .1^(i / 9)."""
  data = long_tail(digits, ratio=0.1, **SETTINGS)
  sizes = [174, 135, 104, 81, 63, 48, 37, 29, 22, 17]
  assert np.bincount(data.rows.source.labels).tolist() == sizes
  assert len(np.unique(data.rows.source.index)) == sum(sizes)
  agrees(np.bincount(data.rows.source.labels[drawn(data)]), np.array(sizes) / sum(sizes), N)
  np.testing.assert_allclose(data.modes.probabilities, np.array(sizes) / sum(sizes), atol=0.004)
  other = long_tail(digits, ratio=0.1, seed=1, **SETTINGS)
  assert set(other.rows.source.index) != set(data.rows.source.index) and other.rows.source.identity != data.rows.source.identity
  assert long_tail(digits, ratio=0.1, **SETTINGS).rows.source.identity == data.rows.source.identity


def test_classes_of_a_long_tail_drawn_alike(digits):
  data = long_tail(sklearn_digits(condition="label"), ratio=0.1, drawn="classes", **SETTINGS)
  plain = long_tail(digits, ratio=0.1, **SETTINGS)
  np.testing.assert_array_equal(data.rows.source.index, plain.rows.source.index)  # the same examples, drawn otherwise
  batch = data.sample(jax.random.key(0), N)
  agrees(np.bincount(batch["condition"], minlength=10), np.full(10, 0.1), N)
  np.testing.assert_allclose(data.modes.probabilities, 0.1, atol=0.02)
  seventeen = drawn(data)[data.rows.source.labels[drawn(data)] == 9]
  assert len(np.unique(seventeen)) == 17


def test_a_set_that_knows_its_modes_keeps_them():
  """Of triangles the verifier reads the type, and no classifier is trained."""
  settings = {"condition": "class", "label": ("type",), "only": {"size": ("large",), "texture": ("plain",)}, "num_images": 200}
  whole = triangles(16, modes=("type",), **settings)
  data = long_tail(whole, ratio=0.1, minimum_accuracy=1.0)
  kept = np.bincount(data.rows.source.labels)
  assert data.modes.assign is whole.modes.assign and kept[0] == np.bincount(whole.rows.source.labels).min() and kept[3] == round(kept[0] / 10)
  np.testing.assert_allclose(data.modes.probabilities, kept / kept.sum(), atol=0.02)
  batch = data.sample(jax.random.key(0), 64)
  assert (data.modes.assign(np.asarray(batch["image"])).mode == np.asarray(batch["condition"])).mean() > 0.96


def test_a_hidden_class_has_its_share_and_no_label(digits):
  data = hidden_class(sklearn_digits(condition="label"), label="3", share=0.02, **SETTINGS)
  batch = data.sample(jax.random.key(0), N)
  assert set(batch) == {"image"} and data.num_classes is None
  sizes = np.bincount(digits.rows.source.labels).astype(float)
  law = 0.98 * sizes / (1797 - sizes[3])
  law[3] = 0.02
  agrees(np.bincount(data.rows.source.labels[drawn(data)]), law, N)
  np.testing.assert_allclose(data.modes.probabilities, law, atol=0.003)
  lost = np.asarray(batch["image"])[data.rows.source.labels[drawn(data)] != 3]
  assert metrics.evaluate(lost, data, distances=False)[0]["minority_mass_ratio"] < 0.05
  assert metrics.evaluate(np.asarray(batch["image"]), data, distances=False)[0]["minority_mass_ratio"] == pytest.approx(1, abs=0.2)


def test_wrappers_nest_in_a_stack(digits, read):
  tail = long_tail(digits, ratio=0.1, **SETTINGS)
  data = stacked(tail)  # the classifier is the tail's
  assert data.modes.classifier.grey is tail.modes.classifier
  index = drawn(data)
  agrees(np.bincount(tail.rows.source.labels[index[:, 1]]), np.bincount(tail.rows.source.labels) / len(tail.rows.source), N)
  np.testing.assert_allclose(data.modes.probabilities.reshape(10, 10, 10).sum((0, 2)), tail.modes.probabilities)


def twins():
  """Two classes of one and the same image, one of them rare."""
  return conditioned("twins", memory(np.zeros((400, 8, 8), np.uint8), np.arange(400) // 390, classes=("a", "b")), where="twins")


def test_a_perfect_sampler_scores_its_row(digits):
  data = minority(digits, weights={"0": 0.1, "1": 0.1}, **SETTINGS)
  perfect = metrics.perfect(data, 2000, distances=False)
  scores = [metrics.evaluate(np.asarray(data.sample(jax.random.key(seed), 2000)["image"]), data, distances=False)[0] for seed in range(20)]
  for name in ("modes_t1", "kl_reverse_nats", "minority_mass_ratio", "high_quality"):
    values = [score[name] for score in scores]
    assert np.mean(values) == pytest.approx(perfect[name], abs=4 * np.std(values) / np.sqrt(20) + 1e-9), name


def test_classes_that_are_conditions_are_renumbered():
  """Of triangles the class is the column "condition" alone."""
  settings = {"condition": "class", "label": ("type",), "num_images": 120, "only": {"size": ("large",), "texture": ("plain",)}}
  whole = triangles(16, **settings)
  data = minority(whole, classes=whole.rows.source.classes[:1:-1], weights={}, minimum_accuracy=0.0, **SETTINGS)
  assert data.num_classes == 2 and data.rows.source.classes == whole.rows.source.classes[3:1:-1]
  batch = data.sample(jax.random.key(0), 64)
  index = np.asarray(data.rows.index(jax.random.key(0), 64))
  np.testing.assert_array_equal(np.asarray(batch["condition"]), data.rows.source.labels[index])
  assert set(np.asarray(batch["condition"])) == {0, 1}


def test_words_stay_with_captions():
  said = triangles(16, condition="caption", modes=("type",), num_images=200, only={"size": ("large",), "texture": ("plain",)})
  assert said.vocabulary and long_tail(said, ratio=0.5, minimum_accuracy=0.0).vocabulary == said.vocabulary
  assert lowres(said).vocabulary == hole(said).vocabulary == unpaired(said, source=said).vocabulary == ()


@pytest.mark.parametrize("build, message", [
  (lambda d: stacked(ring()), "labelled takes a finite set of images with labels; ring has none"),
  (lambda d: long_tail(conditioned("bare", memory(np.zeros((9, 8, 8), np.uint8)), where="")), "bare has none"),
  (lambda d: labelled(twins(), minimum_accuracy=0.0, **SETTINGS), 'class "[ab]": the classifier reads none'),
  (lambda d: minority(long_tail(d, **SETTINGS), weights={}), "has modes already"),
  (lambda d: stacked(sklearn_digits(condition="label"), **SETTINGS), "without a condition"),
  (lambda d: stacked(d, triples=1000, **SETTINGS), "of the 1000 modes; draw more"),
  (lambda d: stacked(d, triples=0, **SETTINGS), "triples must be a whole number of at least 1"),
  (lambda d: stacked(stacked(d, **SETTINGS)), "takes a set of grey images"),
  (lambda d: long_tail(d, ratio=1.5, **SETTINGS), "at most 1; got 1.5"),
  (lambda d: long_tail(d, drawn="both", **SETTINGS), "drawn is 'both'"),
  (lambda d: long_tail(labelled(d, **SETTINGS), **SETTINGS), "has modes already"),
  (lambda d: long_tail(d, ratio=0, **SETTINGS), "ratio must be a positive number"),
  (lambda d: minority(d, weights={"10": 0.1}, **SETTINGS), 'no class "10" among 0, 1'),
  (lambda d: minority(d, classes=("0", "x"), weights={}, **SETTINGS), 'no class "x"; there are 0, 1'),
  (lambda d: minority(d, classes=("0", "0"), weights={}, **SETTINGS), "each once"),
  (lambda d: minority(d, weights={"1": 0.0}, **SETTINGS), "weights.1 must be a positive number"),
  (lambda d: hidden_class(d, label="3", share=1.0, **SETTINGS), r"share must be in \(0, 1\), got 1"),
  (lambda d: labelled(d, minimum_accuracy=0.999, **SETTINGS), r"reads 9\d\.\d% of the held-out examples; minimum_accuracy is 99\.9%"),
])  # fmt: skip
def test_what_cannot_be_wrapped_is_one_line(digits, build, message):
  with pytest.raises(ValueError, match=message) as error:
    build(digits)
  assert "\n" not in str(error.value)
