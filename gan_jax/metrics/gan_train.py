"""Is a generator's output good enough to learn from? A classifier trained on generated images, tried on real ones."""

import warnings

import jax
import numpy as np

from gan_jax.data import sources
from gan_jax.data.base import Data, finite_rows
from gan_jax.data.classifier import STEPS, classifier
from gan_jax.metrics.base import Context, Identity, Metric, ending, identity_of, whole


def gan_train(*, reference: Data, n: int = 5000, steps: int = STEPS) -> Metric:
  """Accuracy on real images of the classifier of `data.classifier`, trained for `steps` on n generated ones with the classes they were asked for.

  "gan_train_ref_n5000". Shmelkov et al., 2018 (arXiv:1807.09499); the same as CAS, Ravuri and Vinyals, 2019 (arXiv:1905.10887). It is low where
  images are wrong, and where a class is made in one way alone; FID sees the second less. A perfect sampler gets what a classifier trained on n real
  images gets. 0 where some class has fewer than two images that are finite.

  reference: the law of real images and classes that it is tried on, such as the test split, with the same condition; always the same 5,000 draws.
  Trap: nothing is chosen on these images, neither steps nor the best classifier. ValueError: data without classes.
  """
  whole("n", n, 2)
  title = f"gan_train_{ending(n, reference)}"

  def learned(images: np.ndarray, classes: np.ndarray, context: Context) -> float:
    if "tried on" not in context.memory:
      batch = reference.sample(jax.random.key(context.seed), 5000)
      context.memory["tried on"] = np.asarray(batch["image"]), np.asarray(batch["condition"])
    kept = finite_rows(images)
    names = tuple(map(str, range(context.data.num_classes or 0)))
    if np.bincount(classes[kept], minlength=len(names)).min() < 2:
      return 0.0
    source = sources.memory(np.round((np.clip(images[kept], -1, 1) + 1) * 127.5).astype(np.uint8), classes[kept], classes=names)
    with warnings.catch_warnings():
      warnings.simplefilter("ignore")  # that one is trained is what was asked for
      found = classifier(source, steps=steps)
    real, truth = context.memory["tried on"]
    return float((found.predict(real) == truth).mean())

  def score(samples: np.ndarray, context: Context) -> dict[str, float]:
    if context.conditions is None or len(samples) < n:
      raise ValueError(f"needs {n} samples and the classes they were asked for, got {len(samples)}")
    return {title: learned(np.asarray(samples[:n]), np.asarray(context.conditions)[:n], context)}

  def perfect(context: Context) -> dict[str, float]:
    batch = context.data.sample(jax.random.key(context.seed + 1), n)
    return {title: learned(np.asarray(batch["image"]), np.asarray(batch["condition"]), context)}

  def identity(data: Data) -> dict[str, Identity]:
    for one in (data, reference):
      if one.num_classes is None or one.num_classes != data.num_classes:
        raise ValueError(f"gan_train needs a class as the condition of data and reference alike; {one.name} has none, or others")
    return identity_of(data, (title,), n=n, reference=reference, steps=steps)

  return Metric(score, identity, n, perfect)
