"""Harder versions of any labelled set: a thousand modes, a long tail, a minority, a class that no label names. The modes are classes.

A classifier trained on the set (`classifier.py`) reads the class of a sample, and the law that samples are compared with is what that classifier
reads in the training examples themselves, weighted as training draws them. So the row of a perfect sampler is exact, whatever the classifier gets
wrong.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gan_jax.data.base import CHUNK, LEVELS, Assignment, Batch, Data, Modes, Rows, Source, count, finite_rows, from_rows, positive, unconditional
from gan_jax.data.classifier import STEPS, Cache, Classifier, classifier

MINIMUM_ACCURACY = 0.9


def labelled(of: Data, *, minimum_accuracy: float = MINIMUM_ACCURACY, classifier_steps: int = STEPS, cache: Cache | None = None) -> Data:
  """A labelled set as it is, with its classes as modes.

  Mode = the class that the classifier reads; every finite sample counts as high quality; confidence = the classifier's probability of that class.

  minimum_accuracy: of the classifier, on examples that it was not trained on. classifier_steps: how long it is trained. cache: where it is kept.
  ValueError: no labels, modes already, or a classifier that reads too few of the held-out examples.
  """
  rows = _rows(of, "labelled")
  reader = _reader(of, minimum_accuracy, classifier_steps, cache)
  every = range(len(rows.source.classes))
  law = np.bincount(_read(reader, rows.source, every), minlength=len(every)) / len(rows.source)
  if (law <= 0).any():
    raise ValueError(f'class "{rows.source.classes[law.argmin()]}": the classifier reads none of its examples as such')
  return of._replace(name=f"labelled_{of.name}", modes=_modes(reader, law, every))


def stacked(of: Data, *, triples: int | None = None, seed: int = 0, minimum_accuracy: float = MINIMUM_ACCURACY, classifier_steps: int = STEPS,
            cache: Cache | None = None) -> Data:
  """Three grey images, drawn independently, as the channels of one: with ten classes a thousand modes, 100 a + 10 b + c.

  Of MNIST this is StackedMNIST (Metz et al., 2017, arXiv:1611.02163). The law is the outer product of the classes' frequencies, or, with fixed
  triples, what the classifier reads in these triples. Confidence is the product of the channels'.

  of: any grey labelled set, also a `long_tail` or `minority` of one. For 32 x 32, mnist(size=32).
  triples: None draws new ones for every batch; a number draws that many once, from `seed`, and training picks from them uniformly (PacGAN: 128,000).
  minimum_accuracy, classifier_steps, cache: as in `labelled`; per channel.
  ValueError: as `labelled`; images in colour, a condition, or a mode that no triple shows.

  >>> from gan_jax.data import sklearn_digits
  >>> data = stacked(sklearn_digits(), classifier_steps=100)
  >>> data.shape, len(data.modes.probabilities)
  ((8, 8, 3), 1000)
  """
  single = of
  if of.modes is None or of.rows is None:
    single = labelled(of, minimum_accuracy=minimum_accuracy, classifier_steps=classifier_steps, cache=cache)
  rows, modes = single.rows, single.modes
  if rows is None or modes is None or not isinstance(modes.classifier, Classifier) or of.shape[-1] != 1:
    raise ValueError(f"stacked takes a set of grey images with labels; {of.name} has images of shape {of.shape}")
  if of.num_classes is not None:
    raise ValueError("stacked makes batches without a condition; take `condition` out of `of`")
  num_classes = len(modes.probabilities)
  places, size = num_classes ** np.arange(2, -1, -1), count("triples", 1 if triples is None else triples)
  index, law = rows.index, np.einsum("i,j,k->ijk", *3 * [modes.probabilities]).reshape(-1)

  def fresh(key: Array, n: int) -> Array:
    return index(key, 3 * n).reshape(n, 3)

  def fixed(key: Array, n: int) -> Array:
    return jax.vmap(nth)(jax.random.randint(key, (n,), 0, size))

  def nth(number: Array) -> Array:  # a triple is a function of its number, so no program holds a list of them
    return index(jax.random.fold_in(jax.random.key(seed), number), 3)

  if triples is not None:
    numbers = jnp.arange(size)
    read = _in_chunks(rows.source, lambda images: modes.assign(images).mode)
    law = np.bincount(read[np.asarray(jax.jit(jax.vmap(nth))(numbers))] @ places, minlength=num_classes**3) / size
    if (law == 0).any():
      raise ValueError(f"{size:,} triples show {(law > 0).sum()} of the {num_classes**3} modes; draw more, or set triples = None")

  def collate(examples: dict[str, Array]) -> Batch:
    flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), examples)
    return {"image": jnp.moveaxis(rows.collate(flat)["image"].reshape(-1, 3, *single.shape[:2]), 1, -1)}

  def assign(samples: np.ndarray) -> Assignment:
    found = modes.assign(_channels(samples))
    finite = finite_rows(samples)
    assert found.confidence is not None
    return Assignment(np.where(finite, found.mode.reshape(-1, 3) @ places, 0), finite, None, found.confidence.reshape(-1, 3).prod(axis=1) * finite)

  shape = (*single.shape[:2], 3)
  made = rows._replace(index=fresh if triples is None else fixed, collate=collate)
  return from_rows(f"stacked_{of.name}", shape, made, modes=Modes(law, assign, quality=1.0, classifier=_OfChannels(modes.classifier)), of=single)


def long_tail(of: Data, *, ratio: float = 0.01, seed: int = 0, drawn: Literal["examples", "classes"] = "examples",
              minimum_accuracy: float = MINIMUM_ACCURACY, classifier_steps: int = STEPS, cache: Cache | None = None) -> Data:
  """Fewer and fewer examples from class to class: n_i = n ratio^(i / (K - 1)), i = 0 ... K - 1, n the size of the smallest class.

  Cui et al., 2019 (arXiv:1901.05555): CIFAR-10-LT is ratio .01, 5000 ... 50. Rare classes have few distinct examples, chosen once from `seed`; of
  `minority` they have all, drawn rarely. The classifier is trained on the whole set; a set that knows its modes (`triangles`) is read as it is.

  drawn: "examples" draws each example alike, so classes by their size; "classes" each class alike, so rare examples often.
  ValueError: a ratio outside (0, 1], or as `labelled`.
  """
  rows, ratio = _rows(of, "long_tail", known=True), positive("ratio", ratio)
  if ratio > 1:
    raise ValueError(f"ratio is the last class's share of the first one's, at most 1; got {ratio:g}")
  if drawn not in ("examples", "classes"):
    raise ValueError(f'drawn is {drawn!r}; "examples" draws each example alike, "classes" each class')
  members = _members(rows.source)
  rng, size, last = np.random.default_rng(seed), min(map(len, members)), len(members) - 1
  kept = [np.sort(rng.permutation(numbers)[: max(1, round(size * ratio ** (i / max(1, last))))]) for i, numbers in enumerate(members)]
  mass = [len(numbers) if drawn == "examples" else 1 for numbers in kept]
  reader = of.modes or _reader(of, minimum_accuracy, classifier_steps, cache)
  return _reweighted(f"long_tail_{of.name}", of, rows, kept, mass, range(len(kept)), reader)


def minority(of: Data, *, weights: Mapping[str, float], classes: Sequence[str] | None = None, minimum_accuracy: float = MINIMUM_ACCURACY,
             classifier_steps: int = STEPS, cache: Cache | None = None) -> Data:
  """Some classes drawn less often: each example with the weight of its class.

  Schreurs et al., 2021 (RLS-GAN, arXiv:2104.02373): weights {"2": .05} of the digits ("0", "1", "2"), and .05 for each of "0" to "4" of all.

  weights: by the name of the class; those not named weigh 1. classes: those that are kept, all by default; they are then the modes, in this order.
  ValueError: a name that is no class, a weight that is not positive, or as `labelled`.
  """
  rows = _rows(of, "minority")
  chosen = [_class(rows.source, name) for name in (rows.source.classes if classes is None else classes)]
  if len(set(chosen)) < max(2, len(chosen)):
    raise ValueError(f"classes must be two at least, each once; got {classes!r}")
  names = [rows.source.classes[k] for k in chosen]
  for name in weights:
    if name not in names:
      raise ValueError(f'weights: no class "{name}" among {", ".join(names)}')
  members = [_members(rows.source)[k] for k in chosen]
  mass = [len(numbers) * positive(f"weights.{name}", weights.get(name, 1.0)) for name, numbers in zip(names, members, strict=True)]
  return _reweighted(f"minority_{of.name}", of, rows, members, mass, chosen, _reader(of, minimum_accuracy, classifier_steps, cache))


def hidden_class(of: Data, *, label: str, share: float, minimum_accuracy: float = MINIMUM_ACCURACY, classifier_steps: int = STEPS,
                 cache: Cache | None = None) -> Data:
  """One class with a small share of the data, and no labels in a batch: does the generator make it at all?

  The others keep their proportions. The score is the share of the class among samples over that in the data: 1 is right, 0 is lost. It is
  `minority_mass_ratio` where the share is under half of an even one, and `class_share_...` of the metric `per_class` says it for every class.
  A share near the rate at which the classifier takes other classes for this one (see its accuracy) measures the classifier.

  share: in (0, 1), such as .05, .01 or .002. ValueError: another share, no such class, or as `labelled`.
  """
  rows, share = _rows(of, "hidden_class"), positive("share", share)
  if share >= 1:
    raise ValueError(f"share must be in (0, 1), got {share:g}")
  hidden, members = _class(rows.source, label), _members(rows.source)
  others = sum(map(len, members)) - len(members[hidden])
  mass = [share if k == hidden else (1 - share) * len(numbers) / others for k, numbers in enumerate(members)]
  bare = of._replace(num_classes=None, vocabulary=())
  return _reweighted(f"hidden_class_{of.name}", bare, rows._replace(collate=unconditional, columns=("image",)), members, mass, range(len(members)),
                     _reader(of, minimum_accuracy, classifier_steps, cache))  # fmt: skip


class Selected:
  """Examples `index` [n] of a source, with the columns that say their class renumbered: class k of `source` becomes numbers[k]."""

  def __init__(self, source: Source, index: np.ndarray, numbers: Mapping[int, int], columns: Sequence[str] = ("label",)):
    self.source, self.index, self.kind, self.shape, self.columns = source, index, source.kind, source.shape, columns
    self.classes = tuple(source.classes[k] for k in numbers)
    self.renumbered = np.zeros(len(source.classes), np.int32)
    self.renumbered[list(numbers)] = list(numbers.values())
    assert source.labels is not None
    self.labels = self.renumbered[source.labels[index]]

  @property
  def identity(self) -> str:
    digest = hashlib.sha256(repr((self.source.identity, self.classes)).encode())
    digest.update(np.ascontiguousarray(self.index).data)
    return digest.hexdigest()

  def __len__(self) -> int:
    return len(self.index)

  def rows(self, index: np.ndarray) -> dict[str, np.ndarray]:
    found = self.source.rows(self.index[index])
    return {name: self.renumbered[values] if name in self.columns else values for name, values in found.items()}


class _OfChannels(NamedTuple):
  """A grey classifier's features of every channel, side by side."""

  grey: Classifier

  @property
  def identity(self) -> str:
    return hashlib.sha256(f"channels {self.grey.identity}".encode()).hexdigest()

  def features(self, images: np.ndarray) -> np.ndarray:
    return self.grey.features(_channels(images)).reshape(len(images), -1)


def _reweighted(name: str, of: Data, rows: Rows, members: Sequence[np.ndarray], mass: Sequence[float], chosen: Sequence[int],
                reader: Classifier | Modes) -> Data:
  """Draw class i with probability mass[i] / sum, then one of its examples members[i], all alike. A set with modes keeps them, in their new shares."""
  columns = ("label",) if of.num_classes is None else ("label", "condition")
  source = Selected(rows.source, np.concatenate(members), {k: i for i, k in enumerate(chosen)}, columns)
  sizes = np.array([len(numbers) for numbers in members])
  share = np.asarray(mass, np.float64) / np.sum(mass)
  if isinstance(reader, Modes):
    read, known = _in_chunks(source, lambda images: reader.assign(images).mode), len(reader.probabilities)
  else:
    read, known = _read(reader, source, chosen), len(chosen)
  law = np.bincount(read, np.repeat(share / sizes, sizes), minlength=known)
  if (law <= 0).any():
    lost = f'class "{source.classes[law.argmin()]}"' if known == len(chosen) else f"mode {law.argmin()}"
    raise ValueError(f"{lost}: the classifier reads none of its examples as such")
  law = law / law.sum()
  modes = reader._replace(probabilities=law) if isinstance(reader, Modes) else _modes(reader, law, chosen)
  index = _by_class(np.concatenate([[0], np.cumsum(sizes)[:-1]]), sizes, share)
  return from_rows(name, of.shape, rows._replace(source=source, index=index), modes=modes,
                   num_classes=None if of.num_classes is None else len(chosen))._replace(vocabulary=of.vocabulary)  # fmt: skip


def _by_class(starts: np.ndarray, sizes: np.ndarray, share: np.ndarray) -> Callable[[Array, int], Array]:
  """The index law of examples that lie class after class: first the class, then the example."""
  cumulative = np.cumsum(share)[:-1].astype(np.float32)

  def index(key: Array, n: int) -> Array:
    class_key, example_key = jax.random.split(key)
    k = (jax.random.uniform(class_key, (n, 1)) >= jnp.asarray(cumulative)).sum(axis=1)
    return jnp.asarray(starts, jnp.int32)[k] + jax.random.randint(example_key, (n,), 0, jnp.asarray(sizes, jnp.int32)[k])

  return index


def _modes(reader: Classifier, law: np.ndarray, chosen: Sequence[int]) -> Modes:
  columns = list(chosen)

  def assign(samples: np.ndarray) -> Assignment:
    finite = finite_rows(samples)
    images = np.where(finite[:, None, None, None], samples, np.float32(0))
    probabilities = reader.probabilities(images)[:, columns]
    mode = np.where(finite, probabilities.argmax(axis=1), 0)
    return Assignment(mode, finite, None, probabilities.max(axis=1) * finite)

  return Modes(law, assign, quality=1.0, classifier=reader)


def _read(reader: Classifier, source: Source, chosen: Sequence[int]) -> np.ndarray:
  """[N] in 0 ... K - 1: which of the chosen classes the classifier reads in every example."""
  columns = list(chosen)
  return _in_chunks(source, lambda images: reader.probabilities(images)[:, columns].argmax(axis=1))


def _in_chunks(source: Source, read: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
  parts = [np.arange(start, min(start + CHUNK, len(source))) for start in range(0, len(source), CHUNK)]
  return np.concatenate([read(LEVELS[source.rows(part)["image"]]) for part in parts])


def _reader(of: Data, minimum_accuracy: float, steps: int, cache: Cache | None) -> Classifier:
  assert of.rows is not None
  found = classifier(of.rows.source, cache, steps=steps)
  if found.accuracy < minimum_accuracy:
    raise ValueError(f"the classifier of {of.name} reads {found.accuracy:.1%} of the held-out examples; minimum_accuracy is {minimum_accuracy:.1%}")
  return found


def _rows(of: Data, name: str, known: bool = False) -> Rows:
  if of.rows is None or of.rows.source.labels is None:
    raise ValueError(f"{name} takes a finite set of images with labels; {of.name} has none")
  if of.modes is not None and (not known or isinstance(of.modes.classifier, Classifier)):
    raise ValueError(f"{name} takes a set as it is; {of.name} has modes already")
  return of.rows


def _members(source: Source) -> list[np.ndarray]:
  """For every class, the numbers of its examples."""
  assert source.labels is not None
  members = [np.flatnonzero(source.labels == k) for k in range(len(source.classes))]
  for name, numbers in zip(source.classes, members, strict=True):
    if not len(numbers):
      raise ValueError(f'class "{name}" has no examples')
  return members


def _class(source: Source, name: str) -> int:
  if name not in source.classes:
    raise ValueError(f'no class "{name}"; there are {", ".join(source.classes)}')
  return source.classes.index(name)


def _channels(samples: np.ndarray) -> np.ndarray:
  """[N, H, W, 3] -> [3 N, H, W, 1], the channels of one image in a row."""
  n, height, width, _ = samples.shape
  return np.moveaxis(samples, -1, 1).reshape(3 * n, height, width, 1)
