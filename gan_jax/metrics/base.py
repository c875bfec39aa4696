"""What a metric on samples is, what it may look at, and what makes two of its values comparable.

A builder such as `frechet(features=pixels(), n=5000)` gives a `Metric`. Names of values carry the definition and the number of samples
("fd_pixels_n5000"); what no name can hold is in the value's identity: the real set and its content, the extractor and its weights, the seed.
Values with unlike identities are not comparable, however alike their names are.
"""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax.data.base import Assignment, Data, finite_rows, take

Identity = Mapping[str, Any]  # plain: None, bool, int, float, str, tuples of them
MOST_DRAWS = 64  # draws for each distinct example wanted, before the law is taken to have no more


class Features(NamedTuple):
  """Where distances are measured: `extract` maps images [N, H, W, C] in [-1, 1] to [N, F].

  `reserved` holds names that the field keeps for these features: {"fd": "fid", "kd": "kid"} for Inception of 2015, nothing for any other.
  """

  extract: Callable[[np.ndarray], np.ndarray]
  name: str
  identity: str  # a hash of the network and its weights
  reserved: Mapping[str, str] = {}
  size: int | None = None  # F, where it is known beforehand

  def title(self, prefix: str) -> str:
    """"fd" -> "fd_pixels", or the reserved name."""
    return self.reserved.get(prefix, f"{prefix}_{self.name}")


Extractor = Callable[[Data], Features]  # the features for one data set


class Context(NamedTuple):
  """What a metric may look at beside the samples.

  `generate` is pure JAX, z [n, ...] -> x [n, *shape], and `latent(key, n)` draws such z; None where only samples are at hand. Give
  `generate` as `jax.tree_util.Partial(function, parameters)` and all seeds share one compiled program.
  `sown(name, z)` is what the generator sows under a name on the way to `generate(z)`, as the layers that an image is made of.
  `answer(conditions [n, ...], number) -> [n, *shape]` is what the generator makes of conditions, another latent for each number; None as `generate`.
  `conditions` [N] are the classes that the samples were asked for. `memory` and `seen` keep what was computed of the data and of these samples.
  """

  data: Data
  real: Callable[[int], np.ndarray]  # n -> the first n of a fixed sample of distinct real examples
  conditions: np.ndarray | None = None
  generate: Callable[[Any], jax.Array] | None = None
  latent: Callable[[jax.Array, int], Any] | None = None
  sown: Callable[[str, Any], Any] | None = None
  answer: Callable[[np.ndarray, int], np.ndarray] | None = None
  seed: int = 0
  memory: dict = {}  # noqa: RUF012 (made anew by `context_of`)
  seen: dict = {}  # noqa: RUF012


class Metric(NamedTuple):
  """`score(samples [N, *shape], context)` -> values by name.

  `identity(data)` gives the same names, each with what its value hangs on (`identity_of` makes such records; "n_fake", the number of samples, is
  filled in where it is missing); it raises a ValueError for data that the metric cannot score.
  `num_samples` are needed (None: it takes as many as there are, at least one). `perfect(context)` is what a perfect sampler scores, where that
  is not the mean score of fresh real samples.
  """

  score: Callable[[np.ndarray, Context], dict[str, float]]
  identity: Callable[[Data], Mapping[str, Identity]]
  num_samples: int | None = None
  perfect: Callable[[Context], dict[str, float]] | None = None


def context_of(data: Data, seed: int = 0) -> Context:
  """A context with nothing computed yet."""
  memory: dict = {}

  def real(n: int) -> np.ndarray:
    if len(memory.get("real", ())) < n:
      memory["real"] = distinct_sample(data, n, seed)
    return memory["real"][:n]

  return Context(data, real, seed=seed, memory=memory, seen={})


def against(context: Context, reference: Data | None) -> Context:
  """The context of another reference set, such as a test split, for the same samples; kept, so that its features are computed once."""
  if reference is None:
    return context
  key = ("reference", id(reference))
  if key not in context.memory:
    context.memory[key] = context_of(reference, context.seed)
  return context.memory[key]._replace(conditions=context.conditions, answer=context.answer, seen=context.seen)


def real_features(context: Context, features: Features, n: int) -> np.ndarray:
  """[n, F] float64 of the fixed real sample."""
  key = ("features", features.identity)
  if len(context.memory.get(key, ())) < n:
    context.memory[key] = np.asarray(features.extract(context.real(n)), np.float32)
  return context.memory[key][:n].astype(np.float64)


def fake_features(context: Context, features: Features, samples: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
  """([n, F] float64, [n] bool: which are finite) of the first n samples. One that is not finite becomes the image of zeros, so all such are alike.

  ValueError: fewer than n samples.
  """
  if len(samples) < n:
    raise ValueError(f"needs {n} samples, got {len(samples)}; generate more (evaluation.num_samples) or set a smaller n")
  key = ("features", features.identity, n)
  if key not in context.seen:
    images = np.asarray(samples[:n], np.float32)
    finite = finite_rows(images)
    images = np.where(finite.reshape(-1, *[1] * (images.ndim - 1)), images, np.float32(0))
    context.seen[key] = np.asarray(features.extract(images), np.float32), finite
  extracted, finite = context.seen[key]
  finite = finite & finite_rows(extracted)  # a huge pixel can overflow on the way
  return np.where(finite[:, None], extracted, 0).astype(np.float64), finite


def assignment(context: Context, samples: np.ndarray) -> Assignment:
  """`data.modes.assign` of all samples, computed once."""
  assert context.data.modes is not None
  if "assignment" not in context.seen:
    context.seen["assignment"] = context.data.modes.assign(np.asarray(samples))
  return context.seen["assignment"]


def identity_of(data: Data, names: tuple[str, ...], *, n: int | None, features: Features | None = None, reference: Data | None = None,
                **settings: Any) -> dict[str, Identity]:
  """The identity that all `names` share.

  ValueError: the real set has fewer than n examples, or examples of another shape.
  """
  real = data if reference is None else reference
  if tuple(real.shape) != tuple(data.shape):
    raise ValueError(f"{names[0]}: the reference {real.name} is of shape {tuple(real.shape)}, the data of {tuple(data.shape)}")
  if n is not None and real.rows is not None:
    index = jax.eval_shape(lambda: real.rows.index(jax.random.key(0), 1))  # type: ignore[union-attr]
    if n > (most := len(real.rows.source) ** int(np.prod(index.shape))):
      raise ValueError(f"{names[0]}: {real.name} has {most} distinct examples; set n to at most that")
  record = {
    "n_real": n, "n_fake": n, "real": real.name, "real_source": None if real.rows is None else real.rows.source.identity,
    "split": "training law" if reference is None else "reference",
    "extractor": None if features is None else features.name, "extractor_hash": None if features is None else features.identity,
    "dtype": "float64", **settings,
  }  # fmt: skip
  return {name: record for name in names}


def ending(n: int, reference: Data | None) -> str:
  """How the name of a value ends: "n5000", or "ref_n5000" where a reference set takes the place of the training law."""
  return f"n{n}" if reference is None else f"ref_n{n}"


def distinct_sample(data: Data, n: int, seed: int) -> np.ndarray:
  """n different examples of the law [n, *shape]: of a finite set no example twice, in the order in which the law draws them.

  Drawn with replacement, a small set gives itself neighbours at distance 0, and every k-nearest-neighbour radius is too small.
  ValueError: the law has fewer than n.
  """
  key = jax.random.key(seed)
  if data.rows is None:
    return np.asarray(data.sample(key, n)["image"])
  index: np.ndarray | None = None
  for number in range(MOST_DRAWS // 2):
    drawn = np.asarray(data.rows.index(jax.random.fold_in(key, number), 2 * n))
    index = drawn if index is None else np.concatenate([index, drawn])
    _, first = np.unique(index, axis=0, return_index=True)
    index = index[np.sort(first)]
    if len(index) >= n:
      break
  assert index is not None
  if len(index) < n:
    raise ValueError(f"{data.name} has {len(index)} distinct examples, fewer than n = {n}; set n to at most {len(index)}")
  examples = take(data.rows.source, index[:n], data.rows.columns)
  return np.asarray(data.rows.collate(jax.tree.map(jnp.asarray, examples))["image"])


def digest(*parts: Any) -> str:
  """sha256 of arrays and plain values, in order: a short name for what produced a number."""
  sha = hashlib.sha256()
  for part in parts:
    if isinstance(part, np.ndarray):
      sha.update(repr((part.shape, part.dtype.str)).encode())
      sha.update(np.ascontiguousarray(part).tobytes())
    else:
      sha.update(repr(part).encode())
  return sha.hexdigest()


def whole(name: str, value: int, least: int = 1) -> int:
  """`value`, or a ValueError that names the setting."""
  if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
    raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r}")
  return int(value)
