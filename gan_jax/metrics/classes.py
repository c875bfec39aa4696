"""Scores that read the classes of samples, with the data set's own classifier."""

import numpy as np

from gan_jax.data.base import Data, finite_rows
from gan_jax.metrics.base import Context, Identity, Metric, assignment, identity_of, whole

MOST_CLASSES = 100  # with more, single classes are not listed


def per_class() -> Metric:
  """What each class gets, and whether a conditional generator makes what it is asked for.

    class_share_0, ...        share of the finite samples that are read as this class (up to 100 classes)
    class_share_least         the least of share / probability over classes: 1 is right, 0 is a lost class
    class_accuracy            share of samples that are read as the class they were asked for; of conditional data alone
    class_accuracy_0, ...     the same, among samples asked for this class; 0 where none was
    class_accuracy_least      the least of these

  Classes are the modes of the data set. Trap: a classifier is not always right, so a perfect sampler's class_accuracy is the classifier's.
  All samples are used; those that are not finite are no class.

  >>> from gan_jax.data import ring
  >>> list(per_class().identity(ring(num_modes=2)))
  ['class_share_0', 'class_share_1', 'class_share_least']
  """

  def names(data: Data) -> tuple[str, ...]:
    if data.modes is None:
      raise ValueError(f"per_class needs a data set with known classes, and {data.name} has none")
    count = len(data.modes.probabilities)
    each = range(count if count <= MOST_CLASSES else 0)
    found = [*(f"class_share_{k}" for k in each), "class_share_least"]
    if data.num_classes == count:
      found += ["class_accuracy", *(f"class_accuracy_{k}" for k in each), "class_accuracy_least"]
    return tuple(found)

  def score(samples: np.ndarray, context: Context) -> dict[str, float]:
    data, found = context.data, assignment(context, samples)
    law = data.modes.probabilities  # type: ignore[union-attr]
    read = np.where(finite_rows(samples), found.mode, -1)
    shares = np.bincount(read[read >= 0], minlength=len(law)) / max(1, (read >= 0).sum())
    values = {f"class_share_{k}": share for k, share in enumerate(shares)} | {"class_share_least": (shares / law).min()}
    if context.conditions is not None and data.num_classes == len(law):
      asked = np.asarray(context.conditions)
      right = np.bincount(asked[read == asked], minlength=len(law)) / np.maximum(1, np.bincount(asked, minlength=len(law)))
      values |= {f"class_accuracy_{k}": share for k, share in enumerate(right)}
      values |= {"class_accuracy": (read == asked).mean(), "class_accuracy_least": right.min()}
    return {name: float(values[name]) for name in names(data) if name in values}

  return Metric(score, lambda data: identity_of(data, names(data), n=None, classifier=classifier_identity(data)))


def confidence_sweep(confidences: tuple[float, ...] = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9),
                     thresholds: tuple[int, ...] = (1, 3, 5, 10)) -> Metric:
  """Modes with at least t samples that the classifier reads with confidence c or more: "modes_cC_tT", for every c and t.

  As in alpha-GAN, Rosca et al., 2017 (arXiv:1706.04987) and AdaGAN, Tolstikhin et al., 2017 (arXiv:1701.02386), who count only confidence
  >= .999. The confidence of three stacked digits is the product of theirs. Trap: an argmax always reads something, so a thousand modes can be
  counted in noise; modes that go away as c rises were read into bad samples. All samples are used.

  ValueError: the data set's modes come without confidences.
  """
  levels = tuple(float(c) for c in confidences)
  bars = tuple(whole("thresholds", t) for t in thresholds)
  if not levels or not bars or not all(0 <= c <= 1 for c in levels):
    raise ValueError(f"confidence_sweep needs confidences in [0, 1] and thresholds of at least 1, got {confidences!r} and {thresholds!r}")
  names = {(c, t): f"modes_c{c:g}_t{t}" for c in levels for t in bars}

  def score(samples: np.ndarray, context: Context) -> dict[str, float]:
    found = assignment(context, samples)
    assert found.confidence is not None
    values: dict[str, float] = {}
    modes = len(context.data.modes.probabilities)  # type: ignore[union-attr]
    for level in levels:
      counts = np.bincount(found.mode[finite_rows(samples) & (found.confidence >= level)], minlength=modes)
      values |= {names[level, bar]: float((counts >= bar).sum()) for bar in bars}
    return values

  def identity(data: Data) -> dict[str, Identity]:
    if data.modes is None or data.modes.assign(np.zeros((1, *data.shape), np.float32)).confidence is None:
      raise ValueError(f"confidence_sweep needs a classifier's confidences, and {data.name} has none")
    return identity_of(data, tuple(names.values()), n=None, classifier=classifier_identity(data))

  return Metric(score, identity)


def classifier_identity(data: Data) -> str | None:
  return getattr(getattr(data.modes, "classifier", None), "identity", None)
