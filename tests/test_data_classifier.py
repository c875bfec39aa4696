"""The classifier that modes are counted with: what it reads, what it is measured on, and when its weights are not to be trusted."""

import os

import jax
import numpy as np
import pytest
from scipy.signal import correlate

from gan_jax.data import fashion_mnist, mnist, sklearn_digits
from gan_jax.data.base import LEVELS
from gan_jax.data.classifier import HIDDEN, Network, _train, classifier, taught
from gan_jax.data.sources import memory

STEPS = 120
needs_data = pytest.mark.skipif(not os.path.isdir(os.path.join(os.environ.get("GAN_JAX_DATA", ""), "mnist")), reason="GAN_JAX_DATA has no mnist")


class Memory(dict):
  """A cache in memory."""

  def put(self, identity, arrays):
    self[identity] = dict(arrays)


@pytest.fixture(scope="module")
def source():
  return sklearn_digits().rows.source


@pytest.fixture(scope="module")
def images(source):
  return LEVELS[source.rows(np.arange(len(source)))["image"]]


@pytest.fixture(scope="module")
def cache():
  return Memory()


@pytest.fixture(scope="module")
def reader(source, cache):
  return classifier(source, cache, steps=STEPS)


def test_it_reads_digits_that_it_was_not_trained_on(reader, source, images):
  assert reader.accuracy >= 0.975
  held_out = np.random.default_rng(0).permutation(1797)[:299]  # a sixth
  assert reader.accuracy == (reader.predict(images[held_out]) == source.labels[held_out]).mean()


def test_what_it_is_measured_on_is_not_what_it_was_trained_on(source):
  """Random labels can be learnt by heart but not guessed."""
  labels = np.random.default_rng(1).permutation(source.labels)
  found = classifier(memory(source.columns["image"], labels), steps=STEPS)
  assert found.accuracy < 0.2


def test_the_network_against_numpy(reader, images):
  """Convolution by scipy, pooling and population statistics by hand."""

  def convolved(x, kernel):
    out = [sum(correlate(x[..., c], kernel[:, :, c, k], mode="same") for c in range(x.shape[-1])) for k in range(kernel.shape[-1])]
    return np.stack(out, axis=-1)

  def normal(x, name):
    mean, var = reader.weights[f"batch_stats.{name}.mean"], reader.weights[f"batch_stats.{name}.var"]
    scale, bias = reader.weights[f"params.{name}.scale"], reader.weights[f"params.{name}.bias"]
    return np.maximum((x - mean) / np.sqrt(var + 1e-5) * scale + bias, 0)

  weights = {name.removeprefix("params."): value for name, value in reader.weights.items()}
  x = images[17].astype(np.float64)
  x = normal(convolved(x, weights["Conv_0.kernel"]), "BatchNorm_0")
  x = convolved(x, weights["Conv_1.kernel"])
  x = normal(np.stack([[x[2 * i : 2 * i + 2, 2 * j : 2 * j + 2].max((0, 1)) for j in range(4)] for i in range(4)]), "BatchNorm_1")
  features = normal(x.reshape(-1) @ weights["Dense_0.kernel"], "BatchNorm_2")
  logits = features @ weights["Dense_1.kernel"] + weights["Dense_1.bias"]
  np.testing.assert_allclose(reader.features(images[17:18])[0], features, atol=1e-4)
  np.testing.assert_allclose(reader.probabilities(images[17:18])[0], np.exp(logits) / np.exp(logits).sum(), atol=1e-5)


def test_one_image_or_many(reader, images):
  probabilities = reader.probabilities(images[:501])
  assert probabilities.shape == (501, 10) and reader.features(images[:3]).shape == (3, HIDDEN)
  np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
  np.testing.assert_array_equal(reader.probabilities(images[500:501]), probabilities[500:])
  np.testing.assert_array_equal(reader.predict(images[:501]), probabilities.argmax(axis=1))


def test_the_same_again_from_the_cache_and_from_scratch(reader, source, cache):
  (key,) = cache
  again = classifier(source, Memory(cache), steps=STEPS)
  assert again.identity == reader.identity and again.accuracy == reader.accuracy
  scratch = Memory()
  assert classifier(source, scratch, steps=STEPS).identity == reader.identity and list(scratch) == [key]


def test_another_set_or_recipe_is_another_classifier(reader, source, cache):
  kept = Memory(cache)
  other = source.columns["image"].copy()
  other[0, 0, 0] += 1
  assert classifier(memory(other, source.labels), kept, steps=STEPS).identity != reader.identity
  assert classifier(source, kept, steps=STEPS - 1).identity != reader.identity
  assert len(kept) == 3


@pytest.mark.parametrize("damage", [
  lambda arrays: {**arrays, "params.Dense_1.kernel": arrays["params.Dense_1.kernel"][:, ::-1].copy()},
  lambda arrays: {**arrays, "params.Dense_1.bias": np.full(10, np.nan, np.float32)},
  lambda arrays: {**arrays, "params.Conv_0.kernel": np.zeros((5, 5, 1, 16), np.float32)},
  lambda arrays: {"accuracy": arrays["accuracy"]},
], ids=["backwards", "nan", "shape", "missing"])  # fmt: skip
def test_weights_that_do_not_read_what_they_did_are_trained_anew(reader, source, cache, damage):
  ((key, good),) = cache.items()
  broken = Memory({key: damage(good)})
  assert classifier(source, broken, steps=STEPS).identity == reader.identity
  assert set(broken[key]) == set(good)


@pytest.mark.parametrize("shape, stages", [((28, 28, 1), (14, 7)), ((32, 32, 3), (16, 8)), ((64, 64, 3), (32, 16, 8)), ((8, 8, 1), (8, 4))])
def test_images_of_every_size_end_in_at_most_eight_pixels(shape, stages):
  image = jax.ShapeDtypeStruct((2, *shape), np.float32)
  made = jax.eval_shape(lambda x: Network(10).init(jax.random.key(0), x, True), image)["params"]
  channels = [made[f"Conv_{i}"]["kernel"].shape[-1] for i in range(len(stages))]
  assert f"Conv_{len(stages)}" not in made and channels == [16, 32, 64][: len(stages)]
  assert made["Dense_0"]["kernel"].shape == (stages[-1] ** 2 * channels[-1], HIDDEN)


@pytest.mark.parametrize("images, labels, classes, message", [
  (np.zeros((20, 8, 8), np.uint8), None, None, "have none"),
  (np.zeros((20, 8, 8), np.uint8), np.zeros(20, int), None, "got 1 classes"),
  (np.zeros((20, 3, 8), np.uint8), np.arange(20) % 2, None, "3x8 pixels"),
  (np.zeros((20, 8, 8), np.uint8), np.arange(20) % 2, ("cat", "dog", "owl"), 'class "owl" has 0 examples'),
  (np.zeros((4, 8, 8), np.uint8), np.arange(4) % 2, None, "4 in all"),
])  # fmt: skip
def test_sets_that_no_classifier_can_learn(images, labels, classes, message):
  with pytest.raises(ValueError, match=message):
    classifier(memory(images, labels, classes=classes))


@pytest.mark.slow
@needs_data
@pytest.mark.parametrize("builder, bar", [(mnist, 0.992), (fashion_mnist, 0.9)])
def test_the_bar_on_a_test_set_it_never_saw(builder, bar):
  """About a minute each on two cores; the warning says so."""
  with pytest.warns(UserWarning, match="training a classifier on 60,000 images"):
    found = classifier(builder().rows.source)
  test = builder("test").rows.source
  right = found.predict(LEVELS[test.rows(np.arange(len(test)))["image"]]) == test.labels
  assert right.mean() >= bar
  assert found.accuracy == pytest.approx(right.mean(), abs=0.01)


def halves(n, rare, seed=0):
  """8x8 noise with a bright left (0) or right (1) half; of the second kind `rare` among n. Shapes and steps are those of test_metrics_gan_train."""
  rng, labels = np.random.default_rng(seed), (np.arange(n) < rare).astype(np.int32)
  images = rng.integers(0, 100, (n, 8, 8, 1)).astype(np.uint8)
  for k, side in enumerate((slice(0, 4), slice(4, 8))):
    images[labels == k, :, side] += 100
  return images, labels


def test_sets_are_compared_by_the_recipe_of_the_classifier():
  images, labels = halves(300, 150)
  plain, made = _train(images, labels, 10, 60), taught(images, labels, 10, steps=60)
  for name, value in plain.items():
    np.testing.assert_allclose(made.weights[name], value, rtol=1e-3, atol=1e-4, err_msg=name)  # weights of 1 change nothing but the program
  fresh, kinds = halves(300, 150, seed=1)
  assert np.isnan(made.accuracy) and (made.predict(LEVELS[fresh]) == kinds).mean() > 0.98
  assert taught(images, labels, 10, steps=60, seed=1).identity != made.identity == taught(images, labels, 10, steps=60).identity
  mirrored = taught(images, labels, 10, steps=60, flips=True)
  assert (mirrored.predict(LEVELS[fresh]) == kinds).mean() < 0.65  # sides do not matter


def test_weights_and_classes_drawn_alike_teach_what_is_rare():
  """Where nothing tells two kinds apart, a classifier says what it met, or paid for, most."""
  images, labels = np.tile(halves(8, 0)[0], (50, 1, 1, 1)), (np.arange(400) // 8 % 10 == 0).astype(np.int32)  # each image ten times in a hundred
  weights = np.array([1 / 9, *[1.0] * 9])
  said = lambda **how: float(taught(images, labels, 10, steps=60, **how).probabilities(LEVELS[images[:8]])[:, 1].mean())
  plain, weighed, alike = said(), said(weights=weights), said(alike=True)
  assert plain < 0.2 and abs(weighed - 0.5) < 0.15 and abs(alike - 0.5) < 0.15, (plain, weighed, alike)
