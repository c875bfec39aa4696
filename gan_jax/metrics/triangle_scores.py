"""Generated triangles, read by the verifier: are they valid, is the background as good as the subject, is every combination there, are they new?"""

import numpy as np
from scipy.spatial import cKDTree

from gan_jax.data.base import Data
from gan_jax.data.triangles.attributes import BACKGROUND, NAMES, SUBJECT, bins, num_bins
from gan_jax.data.triangles.dataset import Reading, Rendered, stream
from gan_jax.data.triangles.verifier import Verdict, verify
from gan_jax.metrics.base import Context, Identity, Metric, identity_of, whole

MOST_CLASSES = 24  # with more, single classes are not listed


def triangle_scores(*, n: int = 2000) -> Metric:
  """What the verifier reads in the first n samples of a generator of `data.triangles`.

    triangle_ok, background_ok     share with a triangle; with a background of one hue and a known texture
    both_ok, subject_gap           share with both; triangle_ok - background_ok, below 0 where the subject is the worse drawn
    subject_modes, subject_tvd     of the combinations of type, size and fill (72 of all) those that valid samples show; total variation distance to
                                   the law, 1 where nothing is valid
    background_modes, background_tvd    the same of background colour and texture (36 of all)
    nearest_train                  median distance of valid samples' corners to the nearest training triangle's, over that of new true ones:
                                   1 is new, 0 is copied; 0 where nothing is valid; of a split alone
    class_right, class_right_ok    of conditional data: share of samples that are valid and of the class they were asked for; the same of valid ones
    class_ok_0 ..., class_right_0 ...   share valid, and valid and right, of those asked for each class (up to 24 classes); class_right_least
    triangle_ok_noise, background_ok_noise    the floor: what uniform noise scores

  Each as "triangle_ok_n2000". A perfect sampler makes new true images: the row of perfect values is scored on n of those, by the same code.

  ValueError: data that are not `data.triangles` with modes.

  >>> from gan_jax.data import triangles as data
  >>> [name for name in triangle_scores(n=100).identity(data(16, modes=("type",))) if "modes" in name]
  ['subject_modes_n100', 'background_modes_n100']
  """
  whole("n", n)
  title = lambda name: f"{name}_n{n}"

  def classes(data: Data) -> int:
    return data.num_classes or 0

  def names(data: Data) -> list[str]:
    made = ["triangle_ok", "background_ok", "both_ok", "subject_gap", "subject_modes", "subject_tvd", "background_modes", "background_tvd"]
    made += ["nearest_train"] * isinstance(data.rows and data.rows.source, Rendered)
    if classes(data):
      listed = range(classes(data) if classes(data) <= MOST_CLASSES else 0)
      made += ["class_right", "class_right_ok", *(f"class_{kind}_{k}" for kind in ("ok", "right") for k in listed), "class_right_least"]
    return [*made, "triangle_ok_noise", "background_ok_noise"]

  def score(samples: np.ndarray, context: Context) -> dict[str, float]:
    if len(samples) < n:
      raise ValueError(f"needs {n} samples, got {len(samples)}; generate more (evaluation.num_samples) or set a smaller n")
    reading = reading_of(context.data)
    asked = None if context.conditions is None else np.asarray(context.conditions)[:n]
    return values(reading.verdict(samples[:n]), reading, asked, context)

  def perfect(context: Context) -> dict[str, float]:
    fresh = stream(context.data, n, context.seed)
    asked = reading_of(context.data).classes.of(fresh["attributes"]) if classes(context.data) else None
    return values(reading_of(context.data).verdict(fresh["image"]), reading_of(context.data), asked, context)

  def values(found: Verdict, reading: Reading, asked: np.ndarray | None, context: Context) -> dict[str, float]:
    data, ok, ground = context.data, found.triangle_ok, found.background_ok
    made = {"triangle_ok": ok.mean(), "background_ok": ground.mean(), "both_ok": (ok & ground).mean(), "subject_gap": ok.mean() - ground.mean()}
    for part, kind, valid in (("subject", SUBJECT, ok), ("background", BACKGROUND, ground)):
      law = np.bincount(bins(reading.allowed, kind), minlength=num_bins(kind)) / len(reading.allowed)
      seen = np.bincount(bins(found.attributes[valid], kind), minlength=num_bins(kind))
      made |= {f"{part}_modes": (seen[law > 0] > 0).sum(), f"{part}_tvd": abs(seen / valid.sum() - law).sum() / 2 if valid.any() else 1.0}
    if isinstance(data.rows and data.rows.source, Rendered):
      tree, typical = _training(context)
      made["nearest_train"] = np.median(tree.query(found.vertices[ok].reshape(-1, 6))[0]) / typical if ok.any() else 0.0
    if asked is not None and classes(data):
      right = ok & (reading.classes.of(found.attributes) == asked)
      made |= {"class_right": right.mean(), "class_right_ok": right.sum() / max(1, ok.sum())}
      counts = np.maximum(1, np.bincount(asked, minlength=classes(data)))
      each = {kind: np.bincount(asked[which], minlength=classes(data)) / counts for kind, which in (("ok", ok), ("right", right))}
      made |= {f"class_{kind}_{k}": share for kind, shares in each.items() for k, share in enumerate(shares)}
      made["class_right_least"] = each["right"].min()
    noise = _noise(context, n)
    made |= {"triangle_ok_noise": noise.triangle_ok.mean(), "background_ok_noise": noise.background_ok.mean()}
    return {title(name): float(made[name]) for name in names(data) if name in made}

  def identity(data: Data) -> dict[str, Identity]:
    reading_of(data)
    return identity_of(data, tuple(map(title, names(data))), n=n, attributes=NAMES)

  return Metric(score, identity, n, perfect)


def reading_of(data: Data) -> Reading:
  """What reads samples of this data set, or a ValueError: it is none of triangles."""
  reading = data.modes and data.modes.assign
  if not isinstance(reading, Reading):
    raise ValueError(f"triangle_scores reads data.triangles with modes, such as (\"type\", \"size\", \"fill\"); {data.name} has others, or none")
  return reading


def _training(context: Context) -> tuple[cKDTree, float]:
  """The corners of all training triangles, from each of the three first; the median distance of new triangles to them."""
  if "training triangles" not in context.memory:
    corners = context.data.rows.source.vertices  # type: ignore[union-attr]
    tree = cKDTree(np.concatenate([np.roll(corners, k, axis=1).reshape(-1, 6) for k in range(3)]))
    fresh = stream(context.data, 1000, context.seed + 1)["vertices"]
    context.memory["training triangles"] = tree, float(np.median(tree.query(fresh.reshape(-1, 6))[0]))
  return context.memory["training triangles"]


def _noise(context: Context, n: int) -> Verdict:
  if ("noise", n) not in context.memory:
    noise = np.random.default_rng(context.seed).uniform(-1, 1, (min(n, 1000), *context.data.shape))
    context.memory["noise", n] = verify(noise)
  return context.memory["noise", n]
