"""`gan-jax data`: what a data set is and whether it is whole (verify), and the building of TFDS sets (prepare), the one command that downloads."""

import contextlib
import importlib.util
import io
import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from gan_jax.data import sources
from gan_jax.data.base import CHUNK, Data, DataFormatError, Source
from gan_jax.data.sources.folders import CAPTIONS, Pictures
from gan_jax.data.sources.prepared import NAME, open_builder
from gan_jax.data.tokens import Tokenised, words
from gan_jax.lab import catalogue
from gan_jax.lab.errors import DataError, nearest

KINDS = {
  "idx": "IDX files",
  "npz": "arrays in an npz file",
  "npy": "an array in an npy file",
  "folder": "pictures",
  "pairs": "pairs of pictures, A/ -> B/",
  "captions": "pictures with captions",
  "tfds": "a TensorFlow Datasets set",
  "memory": "arrays that come with scikit-learn",
}
CHANNELS = {1: "grey", 3: "RGB"}
MOST_CLASSES = 40  # listed one by one
RETRIES = 2  # of a download: the default of 10 takes minutes to say that there is no network
UNFINISHED = ("incomplete.", ".tmp.")  # in names of what TFDS leaves when it is stopped


class Findings(NamedTuple):
  """What was read of a split: every example."""

  source: Source
  counts: np.ndarray  # [K] examples of each class
  low: int
  high: int
  mean: float


def verify(what: str, *, data_dir: str | None = None, size: int | None = None) -> str:
  """Read all of a set (a path, a name in $GAN_JAX_DATA, "sklearn_digits" or a TFDS name) and describe it in a few lines.

  Raises:
    DataError: what is wrong, in a line: which file, and where in it.
  """
  try:
    return _text(what, {split: _read(source) for split, source in _open(what, data_dir, size).items()})
  except (DataFormatError, OSError, ImportError) as error:
    raise DataError(str(error)) from error


def described(data: Data) -> str:
  """A set of files in a line, for the beginning of a run; "" for what is made up."""
  if data.rows is None or data.rows.source.kind == "memory":
    return ""
  source = data.rows.source
  height, width, channels = source.shape
  said = [f"data: {data.name}, {len(source):,} images, {width} x {height} {CHANNELS.get(channels, f'x {channels}')} ({KINDS[source.kind]})"]
  if source.classes and source.labels is not None:
    counts = np.bincount(source.labels[source.labels >= 0], minlength=len(source.classes))
    said.append(f"{len(source.classes)} classes of {counts.min():,} to {counts.max():,}")
  if isinstance(source, Tokenised):
    said.append(f"{len(data.vocabulary):,} words, {source.longest} in the longest caption")
  return "; ".join(said)


def prepare(name: str, *, data_dir: str | None = None) -> str:
  """Download and build a TFDS set as array_record in `data_dir`, and say what is there; leaves nothing half-built behind.

  Raises:
    DataError: no such set, no network, or a set that needs TensorFlow to be built; with what to install.
  """
  if not NAME.fullmatch(name):
    raise DataError(f'"{name}": not the name of a TFDS set, such as cifar10')
  place = os.path.abspath(os.path.expanduser(data_dir)) if data_dir else None
  try:
    with contextlib.suppress(DataFormatError):
      open_builder(name, place)
      return verify(name, data_dir=data_dir)
    with contextlib.redirect_stdout(io.StringIO()):
      _build(name, place)
  except DataError:
    raise
  except Exception as error:  # a set's own code, and what it meets on the way
    raise DataError(f"{name}: {_reason(name, error)}") from error
  return verify(name, data_dir=data_dir)


def _open(what: str, data_dir: str | None, size: int | None) -> dict[str, Source]:
  """The splits of the set that a path or a name stands for."""
  home = os.environ.get("GAN_JAX_DATA")
  place = os.path.expanduser(what)
  if not os.path.exists(place) and home and os.path.exists(os.path.join(home, what)):
    place = os.path.join(home, what)
  if os.path.exists(place):
    return {split: sources.source(place, split, size=size) for split in sources.splits(place)}
  if what == "sklearn_digits":
    from gan_jax.data import sklearn_digits

    rows = sklearn_digits(size=size).rows
    assert rows is not None
    return {"train": rows.source}
  ours = [entry.name for entry in catalogue.entries("datasets")]
  if what in ours and what not in ("mnist", "fashion_mnist", "cifar10"):
    raise DataError(f"{what} is no set of files; give a folder, or the name of a set in GAN_JAX_DATA or of TFDS")
  if os.sep in what.partition("/")[2] or what.startswith(".") or not NAME.fullmatch(what):
    raise DataError(f"{what}: no such file or folder")
  try:
    builder = open_builder(what, data_dir)
  except DataFormatError as error:
    looked = f"no {what} in GAN_JAX_DATA ({home})" if home else "GAN_JAX_DATA is not set"
    raise DataError(f"{what}: no such folder, {looked}, and as a TFDS set: {error}") from error
  return {split: sources.tfds(what, split, data_dir=data_dir, size=size) for split in builder.info.splits}


def _read(source: Source) -> Findings:
  total, low, high, counts = 0.0, 255, 0, np.zeros(len(source.classes), np.int64)
  for start in range(0, len(source), CHUNK):
    rows = source.rows(np.arange(start, min(start + CHUNK, len(source))))
    image = rows["image"]
    total, low, high = total + float(image.sum(dtype=np.int64)), min(low, int(image.min())), max(high, int(image.max()))
    if "label" in rows:
      counts += np.bincount(rows["label"][rows["label"] >= 0], minlength=len(counts))  # TFDS marks what has no label with -1
  if counts.any() and not counts.all():
    raise DataFormatError(f'class "{source.classes[int(counts.argmin())]}" has no images')
  return Findings(source, counts, low, high, total / (len(source) * np.prod(source.shape)))


def _text(what: str, found: dict[str, Findings]) -> str:
  first = next(iter(found.values()))
  source = first.source
  height, width, channels = source.shape
  lines = [
    f"{what}: whole",
    f"  kind      {source.kind}: {KINDS[source.kind]}",
    "  images    " + ", ".join(f"{len(split.source):,} {name}" for name, split in found.items()),
    f"  size      {width} x {height}",
    f"  channels  {channels} ({CHANNELS[channels]})",
    "  range     " + "; ".join(f"{split.low} to {split.high}, mean {split.mean:.2f} ({name})" for name, split in found.items()),
  ]
  other = getattr(source, "source_shape", None)
  if other is not None:
    lines.insert(4, f"  source    {other[1]} x {other[0]}, {other[2]} ({CHANNELS[other[2]]})")
  if source.kind == "captions":
    lines += _captions([text for split in found.values() for text in getattr(split.source, "texts", None) or ()])
  lines += _unnamed(source)
  if not source.classes:
    return "\n".join([*lines, "  classes   none"])
  lines.append(f"  classes   {len(source.classes)}")
  width = max(len(name) for name in source.classes)
  for k in range(min(len(source.classes), MOST_CLASSES)):
    lines.append(f"    {source.classes[k]:<{width}}" + "".join(f"  {split.counts[k]:>9,} {name}" for name, split in found.items()))
  if len(source.classes) > MOST_CLASSES:
    lines.append(f"    ... and {len(source.classes) - MOST_CLASSES} more, of {first.counts.min():,} to {first.counts.max():,} images")
  return "\n".join(lines)


def _captions(texts: list[str]) -> list[str]:
  said = [words(text) for text in texts]
  return [f"  captions  {len({word for one in said for word in one}):,} words, {max(map(len, said))} in the longest"]


def _unnamed(source: Source) -> list[str]:
  """Of a folder with captions: files that no caption names are not read, which may be an oversight."""
  if source.kind != "captions" or not isinstance(source, Pictures):
    return []
  root = source.root
  there = {os.path.relpath(os.path.join(parent, name), root) for parent, _, names in os.walk(root) for name in names}
  left = sorted(there - set(source.names) - {CAPTIONS})
  return [f"  not read  {len(left):,} file{'s' * (len(left) > 1)} that no line of {CAPTIONS} names, as {left[0]}"] if left else []


def _build(name: str, place: str | None) -> None:
  import absl.logging
  import tensorflow_datasets
  from tensorflow_datasets.core.download import downloader

  absl.logging.set_verbosity(absl.logging.ERROR)
  logging.getLogger("urllib3").setLevel(logging.ERROR)
  if not sys.stderr.isatty():
    tensorflow_datasets.disable_progress_bar()
  downloader.MAX_RETRIES = RETRIES
  with tempfile.TemporaryDirectory() as scratch:
    tempfile.tempdir = scratch  # every builder leaves an empty folder in the system's
    try:
      builder = tensorflow_datasets.builder(name, data_dir=place, file_format="array_record")
    finally:
      tempfile.tempdir = None
  with _no_leftovers(str(builder.data_dir_root), str(builder.data_path.parent)):
    builder.download_and_prepare()


@contextlib.contextmanager
def _no_leftovers(root: str, target: str) -> Iterator[None]:
  """On failure, takes away what is half-built, and empty folders, that were not there before."""
  places = (target, os.path.join(root, "downloads"))
  before = {path for place in places for path in _below(place)}
  parents = [path for path in _parents(places) if not os.path.isdir(path)]
  try:
    yield
  except BaseException:
    for path in sorted({path for place in places for path in _below(place)} - before, reverse=True):  # what is inside comes first
      if os.path.isdir(path) and not os.path.islink(path):
        with contextlib.suppress(OSError):  # not empty: whole downloads stay for the next attempt
          os.rmdir(path)
      elif any(mark in path[len(root) :] for mark in UNFINISHED):
        os.remove(path)
    for path in parents:
      with contextlib.suppress(OSError):
        os.rmdir(path)
    raise


def _below(folder: str) -> Iterator[str]:
  for parent, folders, files in os.walk(folder):
    yield from (os.path.join(parent, name) for name in [*folders, *files])


def _parents(paths: tuple[str, ...]) -> list[str]:
  """The paths and all folders above them, the deepest first."""
  found = set(paths)
  for path in paths:
    while (above := os.path.dirname(path)) != path:
      found.add(above)
      path = above
  return sorted(found, key=len, reverse=True)


def _reason(name: str, error: Exception) -> str:
  text = str(error) or type(error).__name__
  if isinstance(error, ImportError) and importlib.util.find_spec("tensorflow") is None and "tensorflow" in _chain(error):
    return f"TFDS needs TensorFlow to build this set (not to read it): pip install 'gan_jax[tf]', then again: gan-jax data prepare {name}"
  if type(error).__name__ == "DatasetNotFoundError":
    from tensorflow_datasets import list_builders

    return f"TFDS has no such set{nearest(name, list_builders(with_community_datasets=False))}"
  if isinstance(error, OSError) and type(error).__module__.startswith("requests"):
    return f"cannot be downloaded: {text}"
  return f"cannot be prepared: {type(error).__name__}: {text}"


def _chain(error: BaseException | None) -> str:
  """What an error and its causes say of modules."""
  said: list[Any] = []
  while error is not None:
    said += [getattr(error, "name", ""), str(error)]
    error = error.__cause__ or error.__context__
  return " ".join(map(str, said)).lower()
