"""`gan-jax synthesize`: examples of every class from a class-conditional generator, as pictures with their labels, to train something else on."""

import csv
import io
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from gan_jax.lab import rundir
from gan_jax.lab.errors import StorageError, UsageError, nearest, show
from gan_jax.lab.pictures import as_bytes
from gan_jax.lab.translating import Model

TOGETHER = 250  # examples of one call
LABELS = "labels.csv"


def synthesize(of: Model, out: str | os.PathLike, *, per_class: int, classes: str | None = None, draw: int = 0) -> Path:
  """`per_class` PNGs of every class in folders of its name, which `data.images` reads, and labels.csv: file, label, class. All of it or nothing.

  Args:
    classes: "a,b", by name or number, instead of all.
    draw: another number, other examples.

  Raises:
    UsageError: a generator that is not told classes, or no such class. StorageError: `out` is there already, or cannot be written.
  """
  if of.condition != () or not of.dtype.startswith("int") or len(of.shape) != 3 or not of.classes:
    raise UsageError(f"{of.name}: its generator draws no images of a class that it is told; synthesize needs one that does")
  chosen, folder = _chosen(of, classes), Path(out)
  if folder.exists():
    raise StorageError(f"{folder}: is there already; name a new folder")
  temporary, rows = folder.with_name(f".{folder.name}.new"), []
  try:
    shutil.rmtree(temporary, ignore_errors=True)
    for number in chosen:
      for index, image in enumerate(_drawn(of, number, per_class, draw)):
        name, file = f"{_plain(of.classes)[number]}/{index:06d}.png", io.BytesIO()
        Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(file, "PNG")
        rundir.write(temporary / name, file.getvalue())
        rows.append((name, number, of.classes[number]))
    table = io.StringIO()
    csv.writer(table, lineterminator="\n").writerows([("file", "label", "class"), *rows])
    rundir.write(temporary / LABELS, table.getvalue().encode())
    temporary.rename(folder)
  except OSError as error:
    raise StorageError(f"{folder}: cannot write: {error.strerror or error}") from error
  finally:
    shutil.rmtree(temporary, ignore_errors=True)
  return folder


def _drawn(of: Model, number: int, count: int, draw: int) -> np.ndarray:
  """uint8 [count, H, W, C] of one class."""
  key, size = jax.random.fold_in(jax.random.fold_in(jax.random.key(0), draw), number), min(count, TOGETHER)
  parts = [of.answer(jax.random.fold_in(key, start), jnp.full(size, number, jnp.int32)) for start in range(0, count, size)]
  return as_bytes(np.concatenate(parts)[:count])


def _chosen(of: Model, classes: str | None) -> Sequence[int]:
  if classes is None:
    return range(len(of.classes))
  known, found = list(of.classes), []
  for name in classes.split(","):
    if name not in known and not (name.isdecimal() and int(name) < len(known)):
      raise UsageError(f"--classes={show(classes)}: no class {show(name)}{nearest(name, known)}")
    found.append(known.index(name) if name in known else int(name))
  return sorted(set(found))


def _plain(classes: Sequence[str]) -> list[str]:
  """Names of folders; with the class's number before them where they would not tell classes apart."""
  names = [re.sub(r"[^\w.+ -]", "-", name).lstrip(".") or "-" for name in classes]
  return names if len({name.lower() for name in names}) == len(names) else [f"{number}_{name}" for number, name in enumerate(names)]
