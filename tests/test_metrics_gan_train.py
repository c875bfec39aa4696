"""GAN-train: a classifier learns from real images, and nothing from images under the wrong names."""

import jax
import numpy as np
import pytest

from gan_jax import data
from gan_jax.metrics import evaluate, gan_train, identities, perfect

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


def test_data_without_classes_are_refused():
  with pytest.raises(ValueError, match="gan_train needs a class as the condition of data and reference alike; sklearn_digits has none"):
    identities({"gan_train": gan_train(reference=data.sklearn_digits(condition="label"))}, data.sklearn_digits(), 5000)
