"""How good answers to given images are: nearness to the known target, agreement with what was given, and how much the answers to one input differ.

The inputs and their targets are those of the training law, or of a `reference`, such as a test split; a perfect sampler answers with the target.
Beside each value may stand what a `floor` scores that has learnt nothing: "copy" (the input), "nearest" or "bicubic" (enlarged), "fill" (holes with
the nearest known pixel), "another" (a perfect picture that does not listen: the target of another input).
"""

from collections.abc import Callable
from typing import Any, Literal

import jax
import numpy as np
from PIL import Image
from scipy.ndimage import distance_transform_edt

from gan_jax.data.base import Data, finite_rows
from gan_jax.metrics.base import Context, Identity, Metric, ending, identity_of, whole
from gan_jax.metrics.similarity import structural_similarity

Floor = Literal["copy", "nearest", "bicubic", "fill", "another"]
HOLE_BINS = 3


def psnr(*, n: int = 500, crop: int = 0, reference: Data | None = None, floor: Floor | None = None) -> Metric:
  """Mean over images of 10 log10(255^2 / MSE), on all channels of images rounded to 0 ... 255, `crop` pixels of the border left out.

  "psnr_n500", "psnr_crop2_n500", and of the floor "psnr_bicubic_n500". An image without any error counts as one with a single value off by 1: so
  no mean is infinite, and a perfect sampler of 28 x 28 grey images gets 77. Values with another crop or of luminance alone do not compare.
  """

  def value(answers: np.ndarray, targets: np.ndarray, inputs: np.ndarray) -> float:
    inside = slice(crop, -crop or None)
    squares = np.square(_levels(answers)[:, inside, inside] - _levels(targets)[:, inside, inside]).reshape(len(answers), -1)
    return float(np.mean(10 * np.log10(255**2 / np.maximum(squares.mean(axis=1), 1 / squares.shape[1]))))

  whole("crop", crop, 0)
  return _compared("psnr" + (f"_crop{crop}" if crop else ""), value, n, reference, floor, crop=crop)


def ssim(*, n: int = 500, reference: Data | None = None, floor: Floor | None = None) -> Metric:
  """Mean structural similarity to the target, in [-1, 1], 1 for the target itself: "ssim_n500".

  Wang et al., 2004: Gaussian windows of 11 x 11, sigma 1.5, those that fit whole, K .01 and .03, mean over channels. Images are rounded to 0 ... 255.
  """

  def value(answers: np.ndarray, targets: np.ndarray, inputs: np.ndarray) -> float:
    return float(structural_similarity(_levels(answers) / 255, _levels(targets) / 255).mean())

  return _compared("ssim", value, n, reference, floor)


def consistency(*, n: int = 500, reference: Data | None = None, floor: Floor | None = None) -> Metric:
  """PSNR between the input of super-resolution and the answer made as small again, by means over blocks: "consistency_n500".

  Says whether the answer is one of those that the input allows; nothing about whether it is a likely one.
  """

  def value(answers: np.ndarray, targets: np.ndarray, inputs: np.ndarray) -> float:
    k, (height, width, channels) = answers.shape[1] // inputs.shape[1], inputs.shape[1:]
    small = _levels(answers).reshape(len(answers), height, k, width, k, channels).mean(axis=(2, 4))
    squares = np.square(small - (np.asarray(inputs, np.float64) + 1) * 127.5).reshape(len(answers), -1)
    return float(np.mean(10 * np.log10(255**2 / np.maximum(squares.mean(axis=1), 1 / squares.shape[1]))))

  return _compared("consistency", value, n, reference, floor, needs="an input some times smaller than the image", fits=_smaller)


def hole_error(*, n: int = 500, reference: Data | None = None, floor: Floor | None = None) -> Metric:
  """Mean absolute error inside the hole, in 0 ... 255, over all holes and by thirds of their area: "hole_error_n500", "hole_error_small_n500", ...

  Every hole weighs the same. Of `data.hole` alone: the last channel of the condition says where the hole is.
  """
  whole("n", n, HOLE_BINS)

  def values(answers: np.ndarray, targets: np.ndarray, inputs: np.ndarray) -> dict[str, float]:
    cut = inputs[..., -1] > 0.5
    error = np.abs(_levels(answers) - _levels(targets)).mean(axis=-1)
    area = cut.sum(axis=(1, 2))
    each = (error * cut).sum(axis=(1, 2)) / area
    bins = np.array_split(np.argsort(area, kind="stable"), HOLE_BINS)
    return {"": float(each.mean())} | {f"_{name}": float(each[own].mean()) for name, own in zip(("small", "middle", "large"), bins, strict=True)}

  return _compared("hole_error", values, n, reference, floor, parts=("", "_small", "_middle", "_large"), needs="an input that says where its hole is",
                   fits=lambda image, given: given == (*image[:2], image[2] + 1))  # fmt: skip


def answer_diversity(*, n: int = 100, outputs: int = 5, reference: Data | None = None) -> Metric:
  """Mean absolute difference, in 0 ... 255, between `outputs` answers to one input: "answer_diversity_o5_n100". 0 where the latent changes nothing.

  There is no perfect value: the data has one target an input. Noise is diverse; read it beside psnr.
  """
  whole("outputs", outputs, 2)
  whole("n", n)
  name = f"answer_diversity_o{outputs}_{ending(n, reference)}"

  def score(samples: np.ndarray, context: Context) -> dict[str, float]:
    inputs, _ = pairs_of(context, reference, n)
    answers = np.stack([_levels(answers_of(context, inputs, reference, number)) for number in range(outputs)])
    gaps = [np.abs(answers[i] - answers[j]).mean() for i in range(outputs) for j in range(i)]
    return {name: float(np.mean(gaps))}

  def identity(data: Data) -> dict[str, Identity]:
    input_shape(data, reference, name)
    return identity_of(data, (name,), n=n, reference=reference)

  return Metric(score, identity, perfect=lambda context: {})


Values = Callable[[np.ndarray, np.ndarray, np.ndarray], float | dict[str, float]]  # (answers, targets, inputs)


def _compared(name: str, value: Values, n: int, reference: Data | None, floor: Floor | None, *, parts: tuple[str, ...] = ("",),
              needs: str = "an input that is an image", fits: Callable[[tuple, tuple], bool] = lambda image, given: len(given) == 3,
              **settings: Any) -> Metric:  # fmt: skip
  """The metric `value` of answers to n inputs, and of the floor's."""
  whole("n", n)
  check_floor(name, floor)
  titles = {kind: {part: f"{name}{part}{kind and '_' + kind}_{ending(n, reference)}" for part in parts} for kind in ("", floor) if kind is not None}

  def named(kind: str, answers: np.ndarray, targets: np.ndarray, inputs: np.ndarray) -> dict[str, float]:
    found = value(answers, targets, inputs)
    return {titles[kind][part]: one for part, one in (found.items() if isinstance(found, dict) else [("", found)])}

  def score(samples: np.ndarray, context: Context) -> dict[str, float]:
    inputs, targets = pairs_of(context, reference, n)
    answers = answers_of(context, inputs, reference, 0)
    return named("", answers, targets, inputs) | of_floor(context)

  def perfect(context: Context) -> dict[str, float]:
    inputs, targets = pairs_of(context, reference, n)
    return named("", targets, targets, inputs) | of_floor(context)

  def of_floor(context: Context) -> dict[str, float]:
    if floor is None:
      return {}
    inputs, targets = pairs_of(context, reference, n)
    return named(floor, floor_of(floor, inputs, targets), targets, inputs)

  def identity(data: Data) -> dict[str, Identity]:
    names = tuple(title for group in titles.values() for title in group.values())
    given = input_shape(data, reference, name)
    if not fits(tuple(data.shape), given):
      raise ValueError(f"{name} needs {needs}; {data.name} has inputs of shape {given} and images of {tuple(data.shape)}")
    fitting_floor(name, floor, data, given)
    return identity_of(data, names, n=n, reference=reference, floor=floor, **settings)

  return Metric(score, identity, perfect=perfect)


def input_shape(data: Data, reference: Data | None, name: str) -> tuple[int, ...]:
  """The shape of one input. ValueError: the data, or the reference, has none, or unlike ones."""
  shapes = [one.abstract(1).get("condition") for one in (data, *([] if reference is None else [reference]))]
  for one, found in zip((data, reference), shapes, strict=False):
    if found is None or found.dtype.kind != "f" or found.shape != shapes[0].shape:  # type: ignore[union-attr]
      said = "no condition" if found is None else f"conditions {found.dtype} of shape {found.shape[1:]}"
      raise ValueError(f"{name} compares answers to inputs that are images, alike in data and reference; {one.name} has {said}")  # type: ignore[union-attr]
  return tuple(shapes[0].shape[1:])  # type: ignore[union-attr]


def pairs_of(context: Context, reference: Data | None, n: int) -> tuple[np.ndarray, np.ndarray]:
  """n fixed inputs, and their targets."""
  data = context.data if reference is None else reference
  key = ("pairs", id(data), n)
  if key not in context.memory:
    batch = data.sample(jax.random.key(context.seed), n)
    context.memory[key] = np.asarray(batch["condition"]), np.asarray(batch["image"])
  return context.memory[key]


def answers_of(context: Context, inputs: np.ndarray, reference: Data | None, number: int) -> np.ndarray:
  """What the generator makes of them, computed once; where it is not finite, grey."""
  if context.answer is None:
    raise ValueError("scores of answers need a generator that is given conditions")
  key = ("answers", id(reference), len(inputs), number)
  if key not in context.seen:
    made = np.asarray(context.answer(inputs, number), np.float32)
    context.seen[key] = np.where(finite_rows(made)[:, None, None, None], made, np.float32(0))
  return context.seen[key]


def check_floor(name: str, floor: str | None) -> None:
  """ValueError: there is no such floor."""
  if floor is not None and floor not in FLOORS:
    raise ValueError(f"{name}: floor {floor!r}; one of: {', '.join(FLOORS)}")


def fitting_floor(name: str, floor: Floor | None, data: Data, given: tuple[int, ...]) -> None:
  """ValueError: from inputs of shape `given` this floor makes no images like the data's."""
  if floor in ("copy", "nearest", "bicubic") and not (given == tuple(data.shape) if floor == "copy" else _smaller(tuple(data.shape), given)):
    raise ValueError(f"{name}: floor {floor!r} makes no image of shape {tuple(data.shape)} from inputs of {given}; use another, or none")
  if floor == "fill" and given != (*data.shape[:2], data.shape[2] + 1):
    raise ValueError(f"{name}: floor {floor!r} fills holes, and the inputs of {data.name} have none; use another, or none")


def floor_of(floor: str, inputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
  """What the floor answers to these inputs, like the targets."""
  return FLOORS[floor](inputs, targets)


def another(targets: np.ndarray) -> np.ndarray:
  """To each input the target of the one before it."""
  return np.roll(targets, 1, axis=0)


def _levels(images: np.ndarray) -> np.ndarray:
  """[-1, 1] -> whole numbers 0 ... 255, float64."""
  return np.rint(np.clip((np.asarray(images, np.float64) + 1) * 127.5, 0, 255))


def _smaller(image: tuple, given: tuple) -> bool:
  return len(given) == 3 and given[2] == image[2] and given[0] < image[0] and image[0] % given[0] == 0 and image[1] * given[0] == image[0] * given[1]


def _nearest(inputs: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
  k = shape[0] // inputs.shape[1]
  return inputs.repeat(k, axis=1).repeat(k, axis=2)


def _bicubic(inputs: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
  """PIL's, of float pixels, channel by channel."""
  size = (shape[1], shape[0])
  enlarge = lambda plane: np.asarray(Image.fromarray(np.asarray(plane, np.float32)).resize(size, Image.Resampling.BICUBIC))
  return np.stack([np.stack([enlarge(image[..., c]) for c in range(shape[2])], axis=-1) for image in inputs])


def _fill(inputs: np.ndarray) -> np.ndarray:
  """Every pixel of a hole as the known one nearest to it."""
  filled = []
  for image in inputs:
    rows, columns = distance_transform_edt(image[..., -1] > 0.5, return_distances=False, return_indices=True)
    filled.append(image[rows, columns, :-1])
  return np.stack(filled)


FLOORS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {  # (inputs, targets) -> answers
  "copy": lambda inputs, targets: inputs, "nearest": lambda inputs, targets: _nearest(inputs, targets.shape[1:]),
  "bicubic": lambda inputs, targets: _bicubic(inputs, targets.shape[1:]), "fill": lambda inputs, targets: _fill(inputs),
  "another": lambda inputs, targets: another(targets),
}  # fmt: skip
