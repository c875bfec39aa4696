"""Do pictures of triangles show what their captions say? Read by the verifier, which no generator has trained against."""

from typing import Literal

import numpy as np

from gan_jax.data.base import Data
from gan_jax.data.triangles import captions
from gan_jax.data.triangles.attributes import NAMES
from gan_jax.data.triangles.verifier import verify
from gan_jax.metrics.answers import another, answers_of, pairs_of
from gan_jax.metrics.base import Context, Identity, Metric, ending, identity_of, whole

FILL, BACKGROUND = NAMES.index("fill"), NAMES.index("background")


def caption_scores(*, n: int = 500, among: int = 100, reference: Data | None = None, label: str = "caption",
                   floor: Literal["another"] | None = None) -> Metric:  # fmt: skip
  """Answers to n captions against what the captions say; over all answers, valid or not, but for the valid ones.

    triangle_ok, background_ok    share of answers that show a triangle, and a background of one colour
    type, size, fill, background, texture    share whose attribute is the one said
    all_five, valid_all_five   share whose five attributes are those said; the same of answers with a valid triangle and background as well
    swapped                    share with the two colours of the caption exchanged
    r_precision                symbolic R-precision: the caption ranked among `among` - 1 that say something else, by how many of its attributes the
                               picture has; the share of pictures whose own caption comes first, a tie of k captions counting 1 / k
    r_precision_colors         the same by the two colours alone, among captions with other ones

  As "caption_all_five_n500". R-precision by a network that was trained beside the generator flatters it (TISE, arXiv:2112.01398); here is none.
  Chance is 1 / among where combinations are many, and more where they are few; a perfect sampler answers with the caption's own image.

  floor: "another" scores the image of another caption as well, which is what a generator gets that draws perfectly and does not listen:
    "caption_all_five_another_n500".
  label: what names begin with, where one experiment has the metric twice: "held_out" for a reference of pairs that training never saw.

  ValueError: data that are no captioned triangles, or fewer captions than `among`.
  """
  if whole("n", n) < whole("among", among, 2):
    raise ValueError(f"caption_scores ranks among {among} captions and has n = {n}; set n to at least that")
  if floor not in (None, "another"):
    raise ValueError(f'caption_scores: floor {floor!r}; captions are no images, so it is "another" or None')
  kinds = ("triangle_ok", "background_ok", *NAMES, "all_five", "valid_all_five", "swapped", "r_precision", "r_precision_colors")
  title = lambda kind, of="": f"{label}_{kind}{of and '_' + of}_{ending(n, reference)}"

  def values(images: np.ndarray, tokens: np.ndarray, seed: int, of: str = "") -> dict[str, float]:
    found, said = verify(images), captions.read(tokens)
    same = found.attributes == said
    right, valid = same.all(axis=1), found.triangle_ok & found.background_ok
    swapped = (found.attributes[:, FILL] == said[:, BACKGROUND]) & (found.attributes[:, BACKGROUND] == said[:, FILL])
    colors = [FILL, BACKGROUND]
    every = {
      "triangle_ok": found.triangle_ok.mean(), "background_ok": found.background_ok.mean(),
      **dict(zip(NAMES, same.mean(axis=0), strict=True)), "all_five": right.mean(),
      "valid_all_five": (right & valid).mean(), "swapped": swapped.mean(),
      "r_precision": r_precision(found.attributes, said, others(said, among - 1, seed)),
      "r_precision_colors": r_precision(found.attributes[:, colors], said[:, colors], others(said[:, colors], among - 1, seed)),
    }  # fmt: skip
    return {title(kind, of): float(every[kind]) for kind in kinds}

  def of_floor(context: Context) -> dict[str, float]:
    tokens, images = pairs_of(context, reference, n)
    return values(another(images), tokens, context.seed, "another") if floor else {}

  def score(samples: np.ndarray, context: Context) -> dict[str, float]:
    tokens, _ = pairs_of(context, reference, n)
    return values(answers_of(context, tokens, reference, 0), tokens, context.seed) | of_floor(context)

  def perfect(context: Context) -> dict[str, float]:
    tokens, images = pairs_of(context, reference, n)
    return values(images, tokens, context.seed) | of_floor(context)

  def identity(data: Data) -> dict[str, Identity]:
    for one in (data, *([] if reference is None else [reference])):
      if not one.vocabulary or one.name != "triangles":
        raise ValueError(f'caption_scores reads captions of triangles, and {one.name} has none; set condition = "caption"')
    names = tuple(title(kind, of) for of in ("", *([floor] if floor else [])) for kind in kinds)
    return identity_of(data, names, n=n, reference=reference, among=among)

  return Metric(score, identity, perfect=perfect)


def r_precision(found: np.ndarray, said: np.ndarray, rivals: np.ndarray) -> float:
  """Share of pictures, with attributes found [N, A], that their own caption fits best: row i of said [M, A], M >= N.

  rivals: [N, R], the captions that each is ranked among beside its own. A tie of k captions for the first place counts 1 / k.
  """
  own = (found == said[: len(found)]).sum(axis=1)
  theirs = (found[:, None] == said[rivals]).sum(axis=2)
  first = (theirs <= own[:, None]).all(axis=1)
  return float(np.where(first, 1 / (1 + (theirs == own[:, None]).sum(axis=1)), 0.0).mean())


def others(said: np.ndarray, number: int, seed: int) -> np.ndarray:
  """[N, number]: for each caption [N, A], so many rows of captions that say something else; the same more than once where there are fewer.

  ValueError: all say the same.
  """
  rng = np.random.default_rng(seed)
  found = []
  for own in said:
    unlike = np.flatnonzero((said != own).any(axis=1))
    if not len(unlike):
      raise ValueError("caption_scores ranks a caption among others, and all captions say the same; allow more attributes")
    found.append(rng.choice(unlike, number, replace=len(unlike) < number))
  return np.stack(found)
