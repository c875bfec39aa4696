"""Samples of a trained arm, as a picture, as arrays, or as a walk through its latents."""

import io
import math
import os
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gan_jax import core
from gan_jax.calls import Sampler
from gan_jax.data import tokens
from gan_jax.data.base import Data
from gan_jax.lab import figures, pictures, rundir, sample_figures, stored
from gan_jax.lab.errors import StorageError, UsageError, nearest, show
from gan_jax.lab.program import program, seed_keys

KINDS = {".png": (64, 8), ".npz": (64, 8), ".gif": (16, 3)}  # what --out may be; how many examples it holds by default, and how many of each class
STOPS, FRAMES_BETWEEN = 4, 12  # of a walk: latents it passes, and frames from one to the next
COLUMNS = 8


def sample(
  directory: str | os.PathLike, out: str | os.PathLike, *, arm: str | None = None, seed: int | None = None, weights: str = "raw",
  num: int | None = None, step: int | str | None = None, condition: str | None = None, caption: str | None = None, unknown: str = "error",
) -> Path:  # fmt: skip
  """Draw from an arm's checkpoint and write `out`: .png (a grid; points over the true centres), .npz (`samples`, `condition`) or .gif.

  The same arguments give the same file. A .gif is a walk: every image passes 4 latents in a circle, along the way that its prior knows
  between latents (`priors.arc` for normal ones). Where data has classes, a grid has one row a class, or shows class `condition` alone.

  Args:
    arm: by default the only one.
    seed: one of the run's seeds, by default the first.
    weights: "raw" or "ema".
    num: examples; by default 64 (8 of each class), or 16 (3) in a walk. Cut down to whole rows where there is one row a class.
    step: a round that has a checkpoint, "best", or None for the newest.
    condition: a class, by number or name.
    caption: what every example is to show, of a generator that is given captions. unknown: "ignore" leaves out words that no caption has.

  Raises:
    UsageError: no such arm, seed, class, word or kind of file. CheckpointError: no such checkpoint. StorageError: `out` cannot be written.
  """
  path = Path(out)
  if path.suffix not in KINDS:
    raise UsageError(f"--out={path}: needs one of {', '.join(KINDS)}{nearest(path.suffix, KINDS) if path.suffix else ''}")
  _check_writable(path)
  arm, config = stored.one_arm(directory, arm)
  trained = stored.restore(directory, arm, config, step)
  data, sampler = trained.experiment.data, trained.experiment.game.sample
  if path.suffix != ".npz" and len(data.shape) != 3 and (data.shape != (2,) or path.suffix == ".gif"):
    what = "a .gif shows images" if path.suffix == ".gif" else "a .png shows images, or points of the plane"
    raise UsageError(f"--out={path}: {data.name} holds points of shape {data.shape}, and {what}; use .npz")
  number, state = stored.one_seed(trained, seed, weights)
  keys = seed_keys((number,))["evaluate"]
  default, of_each = KINDS[path.suffix]
  count = num or (default if condition is not None or data.num_classes is None else of_each * data.num_classes)
  _check_memory(count * math.prod(data.shape) * (STOPS * FRAMES_BETWEEN if path.suffix == ".gif" else 1))
  columns, classes = _classes(data, count, condition)
  told = None if caption is None else captioned(data, caption, unknown)
  compiled = program(trained.experiment)
  given = compiled.conditions(keys, count) if classes is None else {"condition": jnp.asarray(classes)[None]}
  given = given if told is None else {"condition": jnp.asarray(np.tile(told, (1, count, 1)))}
  count = count if classes is None else len(classes)
  if path.suffix == ".gif":
    if not isinstance(sampler, Sampler):
      game = show(config.game["name"])
      raise UsageError(f"--out={path}: game {game} does not draw its samples by play.sampler, so there are no latents to walk through")
    own_state, own_key, own_given = jax.tree.map(lambda leaf: leaf[0], (state, keys, given))
    frames = walk(sampler, own_state, own_key, own_given, count)
    pictures.film([pictures.tile(frame, columns=columns) for frame in frames], path)
    return path
  drawn = compiled.sample(state, keys, count, given)[0]
  if path.suffix == ".npz":
    content: Any = io.BytesIO()
    np.savez(content, samples=drawn, **{name: np.asarray(value[0]) for name, value in given.items()})  # type: ignore[arg-type]
    rundir.write(path, content.getvalue())
  elif len(data.shape) == 3:
    names = data.rows.source.classes if data.rows is not None and classes is not None and condition is None else ()
    pictures.grid(drawn, path, columns=columns, rows=names if len(names) * columns == count else ())
  else:
    _points(drawn, data, arm, number, path)
  return path


def walk(sampler: Sampler, state: core.GanState, key: Array, given: dict[str, Array], count: int) -> list[np.ndarray]:
  """The frames `[count, H, W, C]` of a walk of `count` examples, each of its own, that ends where it began."""
  keys = jax.random.split(key, STOPS)
  stops = [sampler.latent(stop, count) for stop in keys]
  generate = jax.jit(lambda latent: sampler.generate(state, latent, {"image": jnp.zeros((count, 1)), **given}))
  frames = []
  for number in range(STOPS):
    start, end = stops[number], stops[(number + 1) % STOPS]
    frames += [np.asarray(generate(sampler.between(start, end, jnp.float32(t)))) for t in np.arange(FRAMES_BETWEEN) / FRAMES_BETWEEN]
  return frames


def captioned(data: Data, caption: str, unknown: str) -> np.ndarray:
  """A caption as what the generator of this data is given, [L]. UsageError: it is given none, or the caption says what it cannot know."""
  if not data.vocabulary:
    raise UsageError(f"--caption={show(caption)}: {data.name} has no captions that a generator is told")
  try:
    return tokens.encode(caption, data.vocabulary, data.abstract(1)["condition"].shape[1], unknown)
  except ValueError as error:
    raise UsageError(f"--caption={show(caption)}: {error}; --unknown=ignore leaves unknown words out") from error


def _classes(data: Data, count: int, condition: str | None) -> tuple[int, np.ndarray | None]:
  """`(columns, classes)`: which class each example is to be of; None leaves conditions, if there are any, to the data's law."""
  if data.num_classes is None:
    if condition is not None:
      raise UsageError(f"--class={condition}: {data.name} has no classes that a generator is told")
    return COLUMNS, None
  names = data.rows.source.classes if data.rows is not None else ()
  if condition is not None:
    chosen = names.index(condition) if condition in names else int(condition) if condition.isdecimal() else -1
    if not 0 <= chosen < data.num_classes:
      known = [str(name) for name in names] or [str(number) for number in range(data.num_classes)]
      raise UsageError(f"--class={condition}: {data.name} has no such class{nearest(condition, known)}")
    return COLUMNS, np.full(count, chosen, np.int32)
  columns = max(1, count // data.num_classes)
  return columns, np.repeat(np.arange(data.num_classes, dtype=np.int32), columns)


def _points(points: np.ndarray, data: Data, arm: str, seed: int, path: Path) -> None:
  real = np.asarray(data.sample(jax.random.key(0), len(points))["image"])
  view = figures.ArmView(arm, "", False, {}, [seed], points[None], None)
  modes = data.modes
  centers, assign = (None, None) if modes is None else (modes.centers, modes.assign)
  figure = sample_figures.scatter([view], {arm: seed}, real=real, centers=centers, assign=assign)
  content: Any = io.BytesIO()
  figures.save(figure, content)
  rundir.write(path, content.getvalue())


def _check_memory(numbers: int) -> None:
  """Twice the numbers of float32 must fit: drawn, and as they are written."""
  there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 2**62
  if 8 * numbers > there:
    raise UsageError(f"--num: that many take {8 * numbers / 2**30:,.0f} GiB, and this machine has {there / 2**30:,.0f}; ask for fewer")


def _check_writable(path: Path) -> None:
  """Before anything is computed."""
  folder = path.absolute().parent
  if path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
    reason = "is a folder" if path.is_dir() else f"{folder} {'cannot be written to' if folder.is_dir() else 'is no folder'}"
    raise StorageError(f"{path}: {reason}")
