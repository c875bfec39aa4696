"""Answers about triangles, read by the verifier: is the triangle that was asked for there, and where it was asked for?"""

import itertools
from collections.abc import Sequence
from typing import Literal

import numpy as np

from gan_jax.data.base import Data
from gan_jax.data.triangles.attributes import NAMES
from gan_jax.data.triangles.verifier import Verdict, mattes, verify, vertex_error
from gan_jax.metrics.answers import Floor, answers_of, check_floor, fitting_floor, floor_of, input_shape, pairs_of
from gan_jax.metrics.base import Context, Identity, Metric, ending, identity_of, whole

FILL, BACKGROUND, TEXTURE = (NAMES.index(name) for name in ("fill", "background", "texture"))
HIDDEN = ("hidden_px", "hidden_px_mean")


def triangle_answers(*, n: int = 500, reference: Data | None = None, floor: Floor | None = None,
                     truth: Literal["target", "input"] = "target") -> Metric:  # fmt: skip
  """What the verifier reads in answers to n inputs, beside what it reads in their targets. All over all answers, valid or not.

    triangle_ok, background_ok   share of answers that show a triangle, and a background of one colour
    vertex_px, vertex_px_mean    median and mean distance to the target's corners, in pixels (root mean square over the three)
    miou                         mean intersection over union of subject and background (mattes over 1/2)
    type, size, fill, background, texture, all_five    share whose attribute is the target's
    swapped                      share with the target's two colours exchanged
    hidden_px, hidden_px_mean    of inputs with a hole (`data.hole`): median and mean distance, in pixels, to those corners of the targets that lie
                                 in the holes. Their two sides still tell where they are. NaN where none of the n holes hides one

  truth: "input" compares with what the verifier reads in the inputs: of unpaired translation, where the data's image is another one. The names then
    begin with "kept", there is no perfect value, and "kept_style" is the share of answers whose fill and texture are those of one of the images
    that they should look like.
  As "answer_vertex_px_n500", and of the floor "answer_vertex_px_bicubic_n500". A perfect sampler answers with the target, and gets the verifier's
  own ceiling. What an input leaves open (colours, of edges) is right by chance alone.

  ValueError: data that are no triangles, or without a condition.
  """
  whole("n", n)
  check_floor("triangle_answers", floor)
  if truth not in ("target", "input"):
    raise ValueError(f'triangle_answers: truth is {truth!r}; it is "target" or "input"')
  style = ("style",) if truth == "input" else ()
  first = {"target": "answer", "input": "kept"}[truth]
  title = lambda kind, of: f"{first}_{kind}{of and '_' + of}_{ending(n, reference)}"

  def read(context: Context, which: str) -> tuple[Verdict, np.ndarray]:
    """What the verifier reads in the n inputs, or targets; once."""
    key = ("verdict", id(context.data if reference is None else reference), n, which)
    if key not in context.memory:
      images = dict(zip(("input", "target"), pairs_of(context, reference, n), strict=True))[which]
      context.memory[key] = verify(images), mattes(images) > 0.5
    return context.memory[key]

  def values(answers: np.ndarray, context: Context, of: str) -> dict[str, float]:
    known, mask = read(context, truth)
    found: Verdict = verify(answers)
    distance = vertex_error(found.vertices, known.vertices)
    same = found.attributes == known.attributes
    swapped = (found.attributes[:, FILL] == known.attributes[:, BACKGROUND]) & (found.attributes[:, BACKGROUND] == known.attributes[:, FILL])
    own = mattes(answers) > 0.5
    every = {
      "triangle_ok": found.triangle_ok.mean(), "background_ok": found.background_ok.mean(), "vertex_px": np.median(distance),
      "vertex_px_mean": distance.mean(), "miou": (overlap(own, mask) + overlap(~own, ~mask)).mean() / 2,
      **dict(zip(NAMES, same.mean(axis=0), strict=True)), "all_five": same.all(axis=1).mean(), "swapped": swapped.mean(),
    }  # fmt: skip
    if style:
      wanted = {tuple(pair) for pair in read(context, "target")[0].attributes[:, [FILL, TEXTURE]].tolist()}
      every["style"] = np.mean([tuple(pair) in wanted for pair in found.attributes[:, [FILL, TEXTURE]].tolist()])
    inputs, targets = pairs_of(context, reference, n)
    if _has_hole(targets.shape[1:], inputs.shape[1:]):
      hidden = corner_errors(found.vertices, known.vertices)[inside(known.vertices, inputs[..., -1] > 0.5)]
      every |= {"hidden_px": np.median(hidden), "hidden_px_mean": hidden.mean()} if len(hidden) else dict.fromkeys(HIDDEN, np.nan)
    return {title(kind, of): float(value) for kind, value in every.items()}

  def of_floor(context: Context) -> dict[str, float]:
    if floor is None:
      return {}
    inputs, targets = pairs_of(context, reference, n)
    return values(floor_of(floor, inputs, targets), context, floor)

  def score(samples: np.ndarray, context: Context) -> dict[str, float]:
    inputs, _ = pairs_of(context, reference, n)
    return values(answers_of(context, inputs, reference, 0), context, "") | of_floor(context)

  def perfect(context: Context) -> dict[str, float]:
    _, targets = pairs_of(context, reference, n)
    return (values(targets, context, "") if truth == "target" else {}) | of_floor(context)

  def identity(data: Data) -> dict[str, Identity]:
    for one in (data, *([] if reference is None else [reference])):
      if "condition" not in one.abstract(1) or not one.name.endswith("triangles"):
        raise ValueError(f"triangle_answers reads answers about triangles, and {one.name} has none, or no condition")
    given = tuple(data.abstract(1)["condition"].shape[1:])
    if floor is not None:
      fitting_floor("triangle_answers", floor, data, input_shape(data, reference, "triangle_answers"))
    if truth == "input" and given != tuple(data.shape):
      raise ValueError(f'triangle_answers: truth "input" reads triangles in inputs of the images\' shape, {tuple(data.shape)}; they are of {given}')
    hidden = HIDDEN if _has_hole(data.shape, given) else ()
    kinds = ("triangle_ok", "background_ok", "vertex_px", "vertex_px_mean", "miou", *NAMES, "all_five", "swapped", *style, *hidden)
    names = tuple(title(kind, of) for of in ("", *([floor] if floor else [])) for kind in kinds)
    return identity_of(data, names, n=n, reference=reference, floor=floor, truth=truth)

  return Metric(score, identity, perfect=perfect)


def overlap(a: np.ndarray, b: np.ndarray) -> np.ndarray:
  """Intersection over union of masks [N, H, W], [N]; 1 where both are empty."""
  union = (a | b).sum(axis=(1, 2))
  return np.where(union, (a & b).sum(axis=(1, 2)) / np.maximum(union, 1), 1.0)


def corner_errors(found: np.ndarray, true: np.ndarray) -> np.ndarray:
  """Distances of corners [N, 3, 2] to each of the true ones, in the order of `vertex_error`: [N, 3].

  >>> corners = np.array([[[0., 0.], [3., 0.], [0., 4.]]])
  >>> corner_errors(corners[:, ::-1] + [[0., 0.], [0., 0.], [0., 2.]], corners)
  array([[2., 0., 0.]])
  """
  orders = np.stack([found[:, list(order)] for order in itertools.permutations(range(3))])
  squares = np.square(orders - true).sum(-1)
  return np.sqrt(squares[squares.sum(-1).argmin(axis=0), np.arange(len(true))])


def inside(vertices: np.ndarray, mask: np.ndarray) -> np.ndarray:
  """Whether the pixel that a corner [N, 3, 2], (x, y), lies in is one of the mask's [N, H, W]: [N, 3] bool."""
  column, row = (np.clip(np.floor(vertices[..., i]).astype(int), 0, mask.shape[2 - i] - 1) for i in (0, 1))
  return mask[np.arange(len(mask))[:, None], row, column]


def _has_hole(image: Sequence[int], given: Sequence[int]) -> bool:
  return tuple(given) == (*image[:2], image[2] + 1)
