"""`gan-jax translate` and `gan-jax upscale`: pictures through a trained generator, of a run directory or of an export.

Everything is read and checked before anything is computed, and computed before anything is written.
"""

import io
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from gan_jax.data.base import LEVELS, DataFormatError
from gan_jax.data.sources import files, pictures
from gan_jax.lab import machine, pretrained, rundir, stored
from gan_jax.lab.errors import DataError, StorageError, UsageError, show
from gan_jax.lab.pictures import as_bytes

TOGETHER, PIXELS = 16, 2**18  # pictures of one size that go through the generator at once, and their pixels (of one picture, any number)


class Model(NamedTuple):
  """A generator that answers: `answer(key, conditions [n, ...]) -> [n, *shape]`. `condition` is the shape of one, `dtype` its kind."""

  name: str
  shape: tuple[int, ...]
  condition: tuple[int, ...] | None
  dtype: str
  classes: tuple[str, ...]
  answer: Callable[[jax.Array, jax.Array], jax.Array]


def model(
  directory: str | os.PathLike, *, arm: str | None = None, seed: int | None = None, weights: str = "raw", step: int | str | None = None
) -> Model:  # fmt: skip
  """The generator of an arm of a run directory (the only one, where none is named), or that of an exported folder.

  Raises:
    UsageError: neither of them, or no such arm or seed. CheckpointError: it cannot be read.
  """
  folder = Path(directory)
  if (folder / pretrained.WEIGHTS).is_file():
    if (arm, seed, step) != (None, None, None) or weights != "raw":
      raise UsageError(f"{directory}: an exported generator has no arms, seeds, weights or rounds to choose; leave them out")
    made = pretrained.load(folder)
    given, config = made.config["condition"], made.config
    shape = None if given is None else tuple(given["shape"])
    alone = jax.jit(lambda key, condition: made.sampler.generate(made.state, made.sampler.latent(key, len(condition)), {"condition": condition}))
    return Model(str(directory), made.shape, shape, "" if given is None else given["dtype"], tuple(config.get("classes") or ()), alone)
  arm, config = stored.one_arm(directory, arm)
  trained = stored.restore(directory, arm, config, step)
  _, states = stored.one_seed(trained, seed, weights)
  state, data, draw = jax.tree.map(lambda leaf: leaf[0], states), trained.experiment.data, trained.experiment.game.sample
  given = data.abstract(1).get("condition")
  classes = data.rows.source.classes if data.rows is not None and data.num_classes is not None else ()

  @jax.jit
  def answer(key: jax.Array, condition: jax.Array) -> jax.Array:
    return draw(state, key, {"image": jnp.zeros((len(condition), 1)), "condition": condition})

  return Model(f"{directory}, arm {arm}", tuple(data.shape), None if given is None else given.shape[1:], "" if given is None else str(given.dtype),
               tuple(classes), answer)  # fmt: skip


def translate(of: Model, inputs: str | os.PathLike, out: str | os.PathLike, *, mask: str | os.PathLike | None = None, fit: str | None = None,
              draw: int = 0) -> Path:  # fmt: skip
  """Each picture's answer, of a picture to a PNG or of a folder to a folder of PNGs.

  Grey and colour pictures for a generator of such; for one of maps of K classes grey pictures whose pixels are 0 ... K - 1; for one of holes
  pictures and masks (a picture, or a folder of the same names), whose pixels of 128 and more are the hole.

  Args:
    fit: "crop" scales the shorter side to the generator's size, cuts out the middle, and makes colour grey; None refuses what does not fit. Maps of
      classes must fit.
    draw: another number is another latent.

  Raises:
    UsageError: a generator that is given no images, or masks without need. DataError: a picture that is missing, broken or does not fit, with
    its name. StorageError: `out` cannot be written.
  """
  if of.condition is None or len(of.condition) != 3 or of.dtype != "float32":
    raise UsageError(f"{of.name}: its generator is given no images; gan-jax sample draws from it")
  if (mask is None) == _holes(of):
    raise UsageError(f"{of.name}: {'it fills holes: say where they are, --mask=FILE' if _holes(of) else 'it fills no holes; leave --mask out'}")
  if fit is not None and mask is None and of.condition[-1] not in (1, 3):
    raise UsageError(f"{of.name}: it is given maps of classes, which scaling would mix; leave --fit out")
  pairs = _pairs(Path(inputs), Path(out))
  masks = None if mask is None else [Path(mask)] if Path(mask).is_file() else [path for path, _ in _pairs(Path(mask), Path(out))]
  if masks is not None and [path.name for path in masks] != [path.name for path, _ in pairs] and Path(mask or "").is_dir():
    raise DataError(f"{mask}: the masks are named unlike the pictures: {_unlike([p.name for p, _ in pairs], [p.name for p in masks])}")
  read = partial(_condition, of, size=of.condition[:2], fit=fit)
  given = [read(path, None if masks is None else masks[min(i, len(masks) - 1)]) for i, (path, _) in enumerate(pairs)]
  return _answered(of, given, [target for _, target in pairs], Path(out), draw)


def upscale(of: Model, inputs: str | os.PathLike, out: str | os.PathLike, *, fit: str | None = None, draw: int = 0) -> Path:
  """Each picture enlarged, as `translate`, but of any size: a super-resolution generator is made of convolutions alone.

  Raises:
    UsageError: a generator that does not enlarge; others as `translate`.
  """
  if of.condition is None or len(of.condition) != 3 or of.shape[0] <= of.condition[0] or of.shape[-1] != of.condition[-1]:
    raise UsageError(f"{of.name}: its generator enlarges nothing; gan-jax translate or sample is for others")
  pairs = _pairs(Path(inputs), Path(out))
  given = [_condition(of, path, None, size=None, fit=fit) for path, _ in pairs]
  return _answered(of, given, [target for _, target in pairs], Path(out), draw)


def _answered(of: Model, given: Sequence[np.ndarray], targets: Sequence[Path], out: Path, draw: int) -> Path:
  """Compute all, then write all."""
  key = jax.random.fold_in(jax.random.key(0), draw)
  answers: dict[int, np.ndarray] = {}
  by_size: dict[tuple[int, ...], list[int]] = {}
  for number, one in enumerate(given):
    by_size.setdefault(one.shape, []).append(number)
  for size, numbers in by_size.items():
    together = min(len(numbers), TOGETHER, max(1, PIXELS // (size[0] * size[1])))
    for start in range(0, len(numbers), together):
      rows = numbers[start : start + together]
      padded = np.stack([given[row] for row in rows] + [given[rows[0]]] * (together - len(rows)))
      try:
        made = np.asarray(of.answer(jax.random.fold_in(key, start), jnp.asarray(padded)))
      except ValueError as error:
        raise DataError(f"pictures of {size[1]} x {size[0]}: the generator of {of.name} cannot take them: {error}") from error
      except Exception as error:
        if not machine.out_of_memory(error):
          raise
        raise DataError(f"pictures of {size[1]} x {size[0]}: out of memory, {together} at once; cut them into smaller ones") from error
      answers |= dict(zip(rows, made, strict=False))
  content = []
  for number in range(len(given)):
    pixels, file = as_bytes(answers[number]), io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(file, "PNG")
    content.append(file.getvalue())
  if len(targets) != 1 or targets[0] != out:
    try:
      out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
      raise StorageError(f"{out}: cannot be made: {error.strerror}") from error
  for target, raw in zip(targets, content, strict=True):
    rundir.write(target, raw)
  return out


def _pairs(inputs: Path, out: Path) -> list[tuple[Path, Path]]:
  """Pictures and where their answers go."""
  if inputs.is_dir():
    try:
      deeper, names = files.listing(str(inputs))
    except (DataFormatError, OSError) as error:
      raise DataError(str(error)) from error
    if not names:
      raise DataError(f"{inputs}: holds no pictures" + (f'; its folder "{deeper[0]}" may' if deeper else ""))
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
      raise StorageError(f"{out}: is there already; answers to a folder go to a new or an empty one")
    stems = [Path(name).stem for name in names]
    if len(set(stems)) < len(stems):
      twice = next(stem for stem in stems if stems.count(stem) > 1)
      raise DataError(f'{inputs}: two pictures are called "{twice}", and their answers would be one file')
    return [(inputs / name, out / f"{stem}.png") for name, stem in zip(names, stems, strict=True)]
  if not inputs.is_file():
    raise DataError(f"{inputs}: no such picture or folder")
  if out.suffix.lower() != ".png":
    raise UsageError(f"{out}: answers are written as PNG; name a file that ends in .png")
  folder = out.absolute().parent
  if out.is_dir() or not folder.is_dir():
    raise StorageError(f"{out}: {'is a folder' if out.is_dir() else f'{folder} is no folder'}")
  return [(inputs, out)]


def _condition(of: Model, path: Path, mask: Path | None, *, size: tuple[int, ...] | None, fit: str | None) -> np.ndarray:
  """What the generator is given of a picture, [h, w, K] float32."""
  assert of.condition is not None
  count = of.condition[-1]
  channels = count - 1 if mask is not None else count if count in (1, 3) else 1
  try:
    found = pictures.header(str(path))
    if fit is None and found.channels > channels:
      raise DataError(f"{path}: in colour, and the generator of {of.name} is given {_kind(of)}; --fit=crop makes it grey")
    if size is not None and fit is None and (found.height, found.width) != tuple(size):
      sizes = f"{found.width} x {found.height} pixels, and the generator of {of.name} is given {size[1]} x {size[0]}"
      raise DataError(f"{path}: {sizes}; --fit=crop scales and cuts it")
    square = size[0] if size is not None and fit is not None else None
    if square is not None and size != (square, square):
      raise DataError(f"{path}: --fit=crop makes squares, and the generator of {of.name} is given {size[1]} x {size[0]}")  # type: ignore[index]
    pixels = pictures.read(str(path), channels, square)
    if mask is None:
      return LEVELS[pixels] if count in (1, 3) else _one_hot(pixels[..., 0], count, path)
    cut = pictures.read(str(mask), 1, square) >= 128
  except (DataFormatError, OSError) as error:
    raise DataError(str(error)) from error
  if cut.shape[:2] != pixels.shape[:2]:
    raise DataError(f"{mask}: {cut.shape[1]} x {cut.shape[0]} pixels, and its picture {path} has {pixels.shape[1]} x {pixels.shape[0]}")
  return np.concatenate([np.where(cut, np.float32(0), LEVELS[pixels]), cut.astype(np.float32)], axis=-1)


def _one_hot(classes: np.ndarray, count: int, path: Path) -> np.ndarray:
  """A map of numbers as `count` maps of 0 and 1; numbers beyond are an error that says where."""
  wrong = np.argwhere(classes >= count)
  if len(wrong):
    row, column = wrong[0]
    raise DataError(f"{path}: class {classes[row, column]} at column {column}, row {row}; maps have the classes 0 to {count - 1}, a grey level each")
  return np.eye(count, dtype=np.float32)[classes]


def _kind(of: Model) -> str:
  count = (of.condition or (0,))[-1]
  return {1: "grey pictures", 3: "pictures in colour"}.get(count - _holes(of), f"grey maps of {count} classes")


def _holes(of: Model) -> bool:
  return of.condition is not None and len(of.condition) == 3 and of.condition == (*of.shape[:2], of.shape[-1] + 1)


def _unlike(names: Sequence[str], others: Sequence[str]) -> str:
  alone = sorted(set(names) ^ set(others))
  return ", ".join(show(name) for name in alone[:5]) + (", ..." if alone[5:] else "")


__all__ = ["Model", "model", "translate", "upscale"]
