"""Can one learn from generated images, and are they what was asked for? Classifiers of generated and of real images, tried on the other kind."""

import warnings

import jax
import numpy as np

from gan_jax.data import sources
from gan_jax.data.base import Data, finite_rows, take
from gan_jax.data.classifier import STEPS, Classifier, classifier, taught
from gan_jax.data.wrappers import Selected
from gan_jax.metrics.base import Context, Identity, Metric, ending, identity_of, whole

TRIED = 5000  # real images
RESAMPLES = 2000


def gan_train(*, reference: Data, n: int = 5000, steps: int = STEPS) -> Metric:
  """Accuracy on real images of the classifier of `data.classifier`, trained for `steps` on generated ones with the classes they were asked for.

  It learns from five sixths of n images, real or generated; the rest is held out.
  "gan_train_ref_n5000". Shmelkov et al., 2018 (arXiv:1807.09499); the same as CAS, Ravuri and Vinyals, 2019 (arXiv:1905.10887). It is low where
  images are wrong, and where a class is made in one way alone; FID sees the second less. A perfect sampler gets what a classifier trained on n real
  images gets. 0 where some class has fewer than two images that are finite.

  reference: the law of real images and classes that it is tried on, such as the test split, with the same condition; always the same 5,000 draws.
  Trap: nothing is chosen on these images, neither steps nor the best classifier. ValueError: data without classes.
  """
  whole("n", n, 2)
  title = f"gan_train_{ending(n, reference)}"

  def learned(images: np.ndarray, classes: np.ndarray, context: Context) -> float:
    kept = finite_rows(images)
    if np.bincount(classes[kept], minlength=context.data.num_classes or 0).min() < 2:
      return 0.0
    found = _reader(images[kept], classes[kept], context, steps)
    real, truth = _tried(context, reference)
    return float((found.predict(real) == truth).mean())

  def score(samples: np.ndarray, context: Context) -> dict[str, float]:
    return {title: learned(*_asked(samples, context, n), context)}

  def perfect(context: Context) -> dict[str, float]:
    batch = context.data.sample(jax.random.key(context.seed + 1), n)
    return {title: learned(np.asarray(batch["image"]), np.asarray(batch["condition"]), context)}

  def identity(data: Data) -> dict[str, Identity]:
    _with_classes("gan_train", data, reference)
    return identity_of(data, (title,), n=None, n_fake=n, reference=reference, steps=steps)

  return Metric(score, identity, n, perfect)


def gan_test(*, reference: Data, n: int = 5000, steps: int = STEPS) -> Metric:
  """Share of n generated images that are read as the class they were asked for, by the classifier of `data.classifier`, trained on n real ones.

  "gan_test_ref_n5000". Shmelkov et al., 2018 (arXiv:1807.09499). It is low where an image is not of its class; unlike `gan_train` it does not see a
  class that is made in one way alone. A perfect sampler gets what real images of `reference` get; more than that says that the training set was
  copied. An image with a NaN or an infinity is read wrongly.

  reference: the law of real images and classes of the perfect sampler's row, such as the test split; always the same 5,000 draws.
  Trap: a classifier knows no images that are of no class, and names those, too. ValueError: data without classes.
  """
  whole("n", n, 2)
  title = f"gan_test_{ending(n, reference)}"

  def reader(context: Context) -> Classifier:
    key = ("gan_test", n, steps)
    if key not in context.memory:
      batch = context.data.sample(jax.random.key(context.seed + 1), n)
      context.memory[key] = _reader(np.asarray(batch["image"]), np.asarray(batch["condition"]), context, steps)
    return context.memory[key]

  def score(samples: np.ndarray, context: Context) -> dict[str, float]:
    images, classes = _asked(samples, context, n)
    kept = finite_rows(images)
    right = reader(context).predict(images[kept]) == classes[kept] if kept.any() else np.zeros(0)
    return {title: float(right.sum() / n)}

  def perfect(context: Context) -> dict[str, float]:
    real, truth = _tried(context, reference)
    return {title: float((reader(context).predict(real) == truth).mean())}

  def identity(data: Data) -> dict[str, Identity]:
    _with_classes("gan_test", data, reference)
    return identity_of(data, (title,), n=None, n_fake=n, reference=reference, steps=steps)

  return Metric(score, identity, n, perfect)


def balancing(*, reference: Data, steps: int = 400, classifiers: int = 3) -> Metric:
  """Do generated images of rare classes help a classifier more than what costs nothing? Trained on all real examples of a set and on generated ones.

  Every class gets as many examples as the largest has, by generated ones; the classifier is that of `data.classifier`, and all sets teach the same
  network in `steps` updates of 125 images by the same schedule, moved at random by up to a sixteenth of their side. Accuracies are balanced, means
  over classes of the share that is recognised, and over so many classifiers, which differ in their seed.

    balanced_accuracy          with generated examples; balanced_accuracy_flips with mirror images as well
    ..._plain, _reweighted, _oversampled    without any: as they are; a class's loss over its share of the examples; batches that draw classes alike,
                               with mirror images
    ..._oracle                 with real examples instead of generated ones: those that `data.long_tail` withheld
    gap_closed                 (balanced_accuracy - plain) / (oracle - plain): 0 is no help, 1 what real examples would be. gap_closed_low and _high:
                               95 % bootstrap interval over classifiers (that over generators is `ci95` of the summary). gap_closed_flips and
                               gap_closed_oversampled: the same of those two
    gain                       balanced_accuracy_flips - the best of the three without a generator
    rare_recall, rare_recall_flips, _plain, _oversampled, _oracle    the same mean over the rarest third of the classes (of four, two)

  Each as "gap_closed_s400". Ravuri and Vinyals, 2019 (arXiv:1905.10887) call the first naive augmentation. A perfect sampler's images are as good as
  real ones: its row is the oracle. Nothing is chosen on the images that it is tried on. Without withheld examples there is no oracle and no gap.

  reference: what it is tried on, as in `gan_train`. ValueError: data that are no finite set with classes as their condition, all of one size.
  """
  whole("steps", steps)
  whole("classifiers", classifiers)
  known: dict[str, dict[str, np.ndarray]] = {}  # recalls [classifiers, K] of what needs no generator, by the training set's identity
  title = lambda name: f"{name}_s{steps}"

  def recalls(images: np.ndarray, labels: np.ndarray, tried: tuple[np.ndarray, np.ndarray], num_classes: int, *, reweighted: bool = False,
              alike: bool = False, flips: bool = False) -> np.ndarray:  # fmt: skip
    """[classifiers, K]: the share of each class that each classifier recognises."""
    sizes = np.bincount(labels, minlength=num_classes)
    weights = sizes.sum() / (num_classes * sizes) if reweighted else None
    found = []
    for seed in range(classifiers):
      made = taught(images, labels, num_classes, steps=steps, seed=seed, weights=weights, alike=alike, flips=flips)
      found.append(recall(made.predict(tried[0]), tried[1], num_classes))
    return np.array(found)

  def without(context: Context) -> dict[str, np.ndarray]:
    """What costs no generator, and the oracle; once for a training set."""
    images, labels = _examples(context)
    source, num_classes = context.data.rows.source, context.data.num_classes or 0  # type: ignore[union-attr]
    if source.identity not in known:
      tried = _tried(context, reference)
      found = {
        "plain": recalls(images, labels, tried, num_classes),
        "reweighted": recalls(images, labels, tried, num_classes, reweighted=True),
        "oversampled": recalls(images, labels, tried, num_classes, alike=True, flips=True),
      }
      spare = withheld(source)
      if spare is not None:
        more = _filled_up(images, labels, *spare, np.random.default_rng(0))
        found |= {"oracle": recalls(*more, tried, num_classes), "oracle_flips": recalls(*more, tried, num_classes, flips=True)}
      known[source.identity] = found
    return known[source.identity]

  def values(mixed: np.ndarray, flipped: np.ndarray, context: Context) -> dict[str, float]:
    base, sizes = without(context), np.bincount(_examples(context)[1])
    rare = np.argsort(sizes, kind="stable")[: -(-len(sizes) // 3)]
    plain, oracle = base["plain"], base.get("oracle")
    free = [base[name].mean() for name in ("plain", "reweighted", "oversampled")]
    made = {"balanced_accuracy": mixed.mean(), "balanced_accuracy_flips": flipped.mean(), "gain": flipped.mean() - max(free)}
    for name in ("plain", "reweighted", "oversampled", *(["oracle"] if oracle is not None else [])):
      made[f"balanced_accuracy_{name}"] = base[name].mean()
    of_rare = {"": mixed, "_flips": flipped, "_plain": plain, "_oversampled": base["oversampled"], **({} if oracle is None else {"_oracle": oracle})}
    made |= {f"rare_recall{name}": found[:, rare].mean() for name, found in of_rare.items()}
    if oracle is not None:
      each = {"": mixed, "_flips": flipped, "_oversampled": base["oversampled"]}
      made |= {f"gap_closed{name}": gap_closed(*(r.mean(axis=1) for r in (found, plain, oracle))) for name, found in each.items()}
      made["gap_closed_low"], made["gap_closed_high"] = gap_interval(*(r.mean(axis=1) for r in (mixed, plain, oracle)))
    return {title(name): float(value) for name, value in made.items()}

  def score(samples: np.ndarray, context: Context) -> dict[str, float]:
    del samples  # as many of each class as it lacks are asked for
    if context.answer is None:
      raise ValueError("needs a generator that can be asked for a class, not samples alone")
    images, labels = _examples(context)
    sizes = np.bincount(labels, minlength=context.data.num_classes or 0)
    asked = np.repeat(np.arange(len(sizes)), sizes.max() - sizes).astype(np.int32)
    made = np.asarray(context.answer(asked, 0))
    kept = finite_rows(made)
    tried = _tried(context, reference)
    more = np.concatenate([images, _bytes(made[kept])]), np.concatenate([labels, asked[kept]])
    return values(recalls(*more, tried, len(sizes)), recalls(*more, tried, len(sizes), flips=True), context)

  def perfect(context: Context) -> dict[str, float]:
    base = without(context)
    return values(base["oracle"], base["oracle_flips"], context) if "oracle" in base else {}

  def identity(data: Data) -> dict[str, Identity]:
    _with_classes("balancing", data, reference)
    if data.rows is None or data.rows.source.labels is None:
      raise ValueError(f"balancing needs a finite set with labels, and {data.name} is none")
    accuracies, gaps = ["", "_flips", "_plain", "_reweighted", "_oversampled"], []
    if withheld(data.rows.source) is not None:
      accuracies, gaps = [*accuracies, "_oracle"], ["", "_low", "_high", "_flips", "_oversampled"]
    recalled = [name for name in ("", "_flips", "_plain", "_oversampled", "_oracle") if name in accuracies]
    names = [*(f"balanced_accuracy{name}" for name in accuracies), *(f"gap_closed{name}" for name in gaps), "gain",
             *(f"rare_recall{name}" for name in recalled)]  # fmt: skip
    taught_on = data.rows.source.identity
    return identity_of(data, tuple(map(title, names)), n=None, reference=reference, steps=steps, classifiers=classifiers, training_source=taught_on)

  return Metric(score, identity, perfect=perfect)


def recall(found: np.ndarray, truth: np.ndarray, num_classes: int) -> np.ndarray:
  """[K]: of the examples of each class, the share found to be of it. Their mean is the balanced accuracy.

  >>> recall(np.array([0, 0, 1, 1]), np.array([0, 0, 0, 1]), 2)
  array([0.66666667, 1.        ])
  """
  return np.bincount(truth[found == truth], minlength=num_classes) / np.maximum(1, np.bincount(truth, minlength=num_classes))


def gap_closed(accuracy: np.ndarray, plain: np.ndarray, oracle: np.ndarray) -> float:
  """How far towards the oracle, of mean accuracies over classifiers: 0 where there is no gap (or the oracle is behind), as nothing can close it.

  >>> round(gap_closed(np.array([.7, .8]), np.array([.6, .6]), np.array([.9, .9])), 6)
  0.5
  """
  gap = float(np.mean(oracle) - np.mean(plain))
  return float(np.mean(accuracy) - np.mean(plain)) / gap if gap > 0 else 0.0


def gap_interval(accuracy: np.ndarray, plain: np.ndarray, oracle: np.ndarray) -> tuple[float, float]:
  """95 % percentile-bootstrap interval of `gap_closed`: classifiers are drawn anew, each with all its accuracies. Of one it is a point."""
  drawn = np.random.default_rng(0).integers(len(accuracy), size=(RESAMPLES, len(accuracy)))
  gaps = [gap_closed(accuracy[index], plain[index], oracle[index]) for index in drawn]
  low, high = np.quantile(gaps, [0.025, 0.975], method="inverted_cdf")
  return float(low), float(high)


def withheld(source: object) -> tuple[np.ndarray, np.ndarray] | None:
  """Images uint8 and labels of the examples that a wrapper such as `long_tail` left out; None where all classes are as they were, or others."""
  if not isinstance(source, Selected) or source.classes != source.source.classes:
    return None
  spare = np.setdiff1d(np.arange(len(source.source)), source.index)
  if not len(spare):
    return None
  return take(source.source, spare, ("image",))["image"], np.asarray(source.source.labels)[spare]


def _filled_up(
  images: np.ndarray, labels: np.ndarray, spare: np.ndarray, kinds: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
  """The examples, and spare ones of every class up to the size of the largest, as far as there are."""
  sizes = np.bincount(labels)
  chosen = np.concatenate([rng.permutation(np.flatnonzero(kinds == k))[: sizes.max() - size] for k, size in enumerate(sizes)])
  return np.concatenate([images, spare[chosen]]), np.concatenate([labels, kinds[chosen]])


def _examples(context: Context) -> tuple[np.ndarray, np.ndarray]:
  """All training images uint8 [N, H, W, C] and their labels [N]."""
  if "examples" not in context.memory:
    source = context.data.rows.source  # type: ignore[union-attr]
    context.memory["examples"] = take(source, np.arange(len(source)), ("image",))["image"], np.asarray(source.labels)
  return context.memory["examples"]


def _asked(samples: np.ndarray, context: Context, n: int) -> tuple[np.ndarray, np.ndarray]:
  """The first n samples and the classes they were asked for."""
  if context.conditions is None or len(samples) < n:
    raise ValueError(f"needs {n} samples and the classes they were asked for, got {len(samples)}")
  return np.asarray(samples[:n]), np.asarray(context.conditions)[:n]


def _reader(images: np.ndarray, classes: np.ndarray, context: Context, steps: int) -> Classifier:
  source = sources.memory(_bytes(images), classes, classes=tuple(map(str, range(context.data.num_classes or 0))))
  with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # that one is trained is what was asked for
    return classifier(source, steps=steps)


def _tried(context: Context, reference: Data) -> tuple[np.ndarray, np.ndarray]:
  """Real images and their classes, always the same."""
  key = ("tried on", id(reference))
  if key not in context.memory:
    batch = reference.sample(jax.random.key(context.seed), TRIED)
    context.memory[key] = np.asarray(batch["image"]), np.asarray(batch["condition"])
  return context.memory[key]


def _with_classes(name: str, *several: Data) -> None:
  for one in several:
    if one.num_classes is None or one.num_classes != several[0].num_classes:
      raise ValueError(f"{name} needs a class as the condition of data and reference alike; {one.name} has none, or others")


def _bytes(images: np.ndarray) -> np.ndarray:
  return np.round((np.clip(images, -1, 1) + 1) * 127.5).astype(np.uint8)
