"""A thousand modes of real handwriting: three 8x8 digits stacked into the channels of one image.

The images come inside scikit-learn, so nothing is downloaded, and a GAN on them trains in minutes on a laptop.
"""

import hashlib
import warnings
from collections.abc import Mapping
from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax.data.base import Assignment, Data, Modes, count, finite_rows

MINIMUM_ACCURACY = 0.975
HIDDEN = 128
# of scikit-learn's MLPClassifier
RECIPE = {"hidden_layer_sizes": (HIDDEN,), "alpha": 0.01, "max_iter": 400, "random_state": 0}


class Cache(Protocol):
  """Arrays kept between runs. `get` gives None for what it does not have, or cannot trust."""

  def get(self, identity: str) -> Mapping[str, np.ndarray] | None: ...

  def put(self, identity: str, arrays: Mapping[str, np.ndarray]) -> None: ...


class Classifier(NamedTuple):
  """argmax(relu(x W + b) V + c): which digit an image shows."""

  weights: Mapping[str, np.ndarray]  # hidden_kernel [D, H], hidden_bias [H], output_kernel [H, 10], output_bias [10]
  accuracy: float  # on the images it was not fitted to
  identity: str  # sha256 of the images, the labels and the recipe

  def predict(self, images: np.ndarray) -> np.ndarray:
    """Images [N, ...] in [-1, 1] -> digits [N]."""
    return _predict(self.weights, images)


def stacked_digits(cache: Cache | None = None) -> Data:
  """Three of scikit-learn's 1,797 digits, drawn independently each time, as the channels of one 8x8x3 image in [-1, 1].

  Mode = 100 a + 10 b + c for the digits a, b, c that the classifier reads in channels 0, 1, 2; every finite sample
  counts as high quality. The law is the outer product of the digits' frequencies in the whole set, as the classifier
  reads them, so it is exactly what a perfect sampler would show. The small stand-in for StackedMNIST (Metz et al.,
  2017, arXiv:1611.02163), which needs a download and a GPU.

  cache: where a fitted classifier is kept between runs; None fits one, in a second or two.
  ValueError: the classifier reads fewer than 97.5 % of the held-out digits.

  >>> data = stacked_digits()
  >>> data.shape, len(data.modes.probabilities)
  ((8, 8, 3), 1000)
  """
  from sklearn.datasets import load_digits  # a second of import that only this data set pays

  images, labels = load_digits(return_X_y=True)
  images = (images.reshape(-1, 8, 8) / 8 - 1).astype(np.float32)
  classifier = fit_classifier(images, labels, cache=cache)
  marginal = np.bincount(classifier.predict(images), minlength=10) / len(images)
  probabilities = np.einsum("i,j,k->ijk", marginal, marginal, marginal).reshape(-1)

  def draw(table: jax.Array, key: jax.Array, n: int) -> dict[str, jax.Array]:
    index = jax.random.randint(key, (n, 3), 0, len(table))
    return {"image": jnp.moveaxis(table[index], 1, -1)}

  def assign(samples: np.ndarray) -> Assignment:
    finite = finite_rows(samples)
    samples = np.where(finite[:, None, None, None], samples, 0.0)
    digits = classifier.predict(np.moveaxis(samples, -1, 1).reshape(-1, 8, 8)).reshape(-1, 3)
    return Assignment(np.where(finite, digits @ np.array([100, 10, 1]), 0), finite, None)

  return Data("stacked_digits", (8, 8, 3), draw, Modes(probabilities, assign, quality=1.0), (-1.0, 1.0), table=jnp.asarray(images))


def fit_classifier(images: np.ndarray, labels: np.ndarray, num_train: int = 1500, cache: Cache | None = None,
                   minimum_accuracy: float = MINIMUM_ACCURACY) -> Classifier:
  """Fit scikit-learn's MLP (one hidden layer of 128) to `num_train` random images and measure it on the others.

  images: [N, ...] in [-1, 1]; labels: [N] in 0 ... 9. The split and the fit are fixed by a seed. Weights from the
  cache are measured again, and fitted anew if they fall short.

  ValueError: no image is left to measure on, or the accuracy on those left is below `minimum_accuracy`.
  """
  if count("num_train", num_train) >= len(images):
    raise ValueError(f"num_train must leave images to measure on: at most {len(images) - 1}, got {num_train}")
  import sklearn
  from sklearn.exceptions import ConvergenceWarning
  from sklearn.neural_network import MLPClassifier

  images, labels = np.ascontiguousarray(images, np.float32), np.ascontiguousarray(labels, np.int64)
  digest = hashlib.sha256(repr((sorted(RECIPE.items()), num_train, images.shape, sklearn.__version__)).encode())
  digest.update(images.tobytes())
  digest.update(labels.tobytes())
  identity = digest.hexdigest()
  order = np.random.default_rng(0).permutation(len(images))
  train, held_out = order[:num_train], order[num_train:]

  stored = cache.get(identity) if cache is not None else None
  if stored is not None and _shapes(stored) == _expected_shapes(images):
    accuracy = float((_predict(stored, images[held_out]) == labels[held_out]).mean())
    if accuracy >= minimum_accuracy:
      return Classifier(dict(stored), accuracy, identity)

  with warnings.catch_warnings():
    warnings.simplefilter("ignore", ConvergenceWarning)  # the held-out accuracy is the test that counts
    model = MLPClassifier(**RECIPE).fit(images[train].reshape(num_train, -1), labels[train])
  output = np.zeros((HIDDEN, 10)), np.full(10, -np.inf)  # digits that `labels` lacks stay at -inf
  output[0][:, model.classes_], output[1][model.classes_] = model.coefs_[1], model.intercepts_[1]
  weights = {"hidden_kernel": model.coefs_[0], "hidden_bias": model.intercepts_[0],
             "output_kernel": output[0], "output_bias": output[1]}
  accuracy = float((_predict(weights, images[held_out]) == labels[held_out]).mean())
  if accuracy < minimum_accuracy:
    raise ValueError(f"the digit classifier reads {accuracy:.1%} of the held-out images; "
                     f"mode counts need {minimum_accuracy:.1%}")
  if cache is not None:
    cache.put(identity, weights)
  return Classifier(weights, accuracy, identity)


def _predict(weights: Mapping[str, np.ndarray], images: np.ndarray) -> np.ndarray:
  flat = np.asarray(images, np.float64).reshape(len(images), -1)
  hidden = np.maximum(flat @ weights["hidden_kernel"] + weights["hidden_bias"], 0)
  return (hidden @ weights["output_kernel"] + weights["output_bias"]).argmax(axis=1)


def _shapes(arrays: Mapping[str, np.ndarray]) -> dict[str, tuple[int, ...]]:
  return {name: np.shape(value) for name, value in arrays.items()}


def _expected_shapes(images: np.ndarray) -> dict[str, tuple[int, ...]]:
  pixels = int(np.prod(images.shape[1:]))
  return {"hidden_kernel": (pixels, HIDDEN), "hidden_bias": (HIDDEN,),
          "output_kernel": (HIDDEN, 10), "output_bias": (10,)}
