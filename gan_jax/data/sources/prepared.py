"""TensorFlow Datasets that have been prepared as array_record, by random access. TensorFlow is never imported, and nothing is downloaded."""

import functools
import os
import re
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from gan_jax.data.base import DataFormatError
from gan_jax.data.sources import files, pictures

NAME = re.compile(r"[a-z0-9_]+(/[\w.+-]+)*(:[\w.+-]+)?")


class Prepared:
  """A split of a prepared set as a source; see `tfds`."""

  def __init__(self, name: str, builder: Any, split: str, image: str, label: str | None, size: int | None, channels: int | None):
    from tensorflow_datasets import decode

    self.kind, self.name, self.root, self.size, self._image, self._label = "tfds", name, str(builder.data_path), size, image, label
    self.records = _data_source(name, builder, split, {image: decode.SkipDecoding()})
    features = builder.info.features
    self.classes = () if label is None else tuple(_class_name(features[label], k) for k in range(features[label].num_classes))
    if len(self.records) == 0:
      raise DataFormatError(f"{self.root}: split {split} of {name} holds no examples")
    height, width, depth = (None, None, *features[image].shape)[-3:]
    if size is None and (height is None or width is None):
      raise DataFormatError(f"{self.root}: the pictures of {name} are of several sizes; set size, to scale and crop all to one")
    self.shape = (size or height, size or width, channels or (1 if depth == 1 else 3))
    self._identity = (name, str(builder.version), split, self.shape)

  @functools.cached_property
  def identity(self) -> str:
    """sha256 of the set's files (names, sizes, times), and of what is read of them."""
    names = sorted(os.listdir(self.root)) if os.path.isdir(self.root) else []
    return files.identity(self.root, names, self._identity)

  @functools.cached_property
  def labels(self) -> np.ndarray | None:
    """[N] int32; reads every record, without decoding pictures."""
    if self._label is None:
      return None
    return self._numbers([record[self._label] for record in self._records(range(len(self)))])

  def __len__(self) -> int:
    return len(self.records)

  def rows(self, index: np.ndarray) -> dict[str, np.ndarray]:
    out = np.empty((len(index), *self.shape), np.uint8)
    records = list(self._records(index))
    for row, (i, record) in enumerate(zip(index, records, strict=True)):
      where, image = f"{self.name} example {i}", record[self._image]
      if isinstance(image, bytes):
        image = pictures.decode(image, where, self.shape[-1], self.size)
      elif isinstance(image, np.ndarray):  # a Tensor feature
        image = pictures.from_array(image, where, self.shape[-1], self.size)
      else:
        raise DataFormatError(f"{self.root}: damaged: {where} holds no picture")
      if image.shape != self.shape:
        raise DataFormatError(f"{where}: of shape {image.shape}, and the set's is {self.shape}; set size")
      out[row] = image
    found = {"image": out}
    if self._label is not None:
      found["label"] = self._numbers([record[self._label] for record in records])
    return found

  def _numbers(self, values: list[Any]) -> np.ndarray:
    labels = np.array(values)
    if labels.dtype.kind not in "iu" or labels.min() < -1 or labels.max() >= len(self.classes):
      raise DataFormatError(f"{self.root}: damaged: labels are whole numbers of 0 to {len(self.classes) - 1}, or -1 where there is none")
    return labels.astype(np.int32)

  def _records(self, index: Iterable[int]) -> Iterator[dict[str, Any]]:
    try:
      yield from (self.records[int(i)] for i in index)
    except Exception as error:  # the reader's own, of every kind
      raise DataFormatError(f"{self.root}: damaged: {error}") from error


def tfds(name: str, split: str = "train", *, data_dir: str | None = None, image: str = "image", label: str | None = "label",
         size: int | None = None, channels: int | None = None) -> Prepared:
  """A split of a set that TFDS has prepared in array_record, such as "cifar10" or "cifar10:3.0.2", or the folder that it was prepared in.

  split: as TFDS writes it, "train[:90%]". data_dir: where sets are kept; by default $TFDS_DATA_DIR, or ~/tensorflow_datasets.
  image, label: the features that hold them; a label that is missing, or is no class, is left out. size, channels: as in `folder`.

  DataFormatError: the set is not prepared, or not in a format of random access (with the command that mends it); no such split or feature;
  damaged records. Nothing is ever downloaded.
  """
  builder = open_builder(name, data_dir)
  features = builder.info.features
  if image not in features:
    raise DataFormatError(f'{name}: no feature "{image}"; it has {", ".join(features)}')
  if split.partition("[")[0] not in {*builder.info.splits, "all"} and builder.info.splits:
    raise DataFormatError(f'{name}: no split "{split}"; it has {", ".join(builder.info.splits)}')
  label = label if label in features and hasattr(features[label], "num_classes") else None
  return Prepared(name, builder, split, image, label, size, channels)


def open_builder(name: str, data_dir: str | None = None) -> Any:
  """The TFDS builder of a prepared set; reads its description, runs none of its code."""
  from tensorflow_datasets.core import read_only_builder, registered

  if os.path.isdir(name):
    return read_only_builder.builder_from_directory(name)
  if not NAME.fullmatch(name):
    raise DataFormatError(f'"{name}": not the name of a TFDS set, such as cifar10, or of a folder')
  place = os.path.abspath(os.path.expanduser(data_dir)) if data_dir else None
  try:
    return read_only_builder.builder_from_files(name, data_dir=place)
  except registered.DatasetNotFoundError as error:
    where = place or os.environ.get("TFDS_DATA_DIR") or os.path.join("~", "tensorflow_datasets")
    command = f"gan-jax data prepare {name}" + (f" --data-dir={data_dir}" if data_dir else "")
    raise DataFormatError(f"{name} is not prepared in {where}; run: {command}") from error


def _data_source(name: str, builder: Any, split: str, decoders: dict[str, Any]) -> Any:
  try:
    return builder.as_data_source(split, decoders=decoders)
  except NotImplementedError as error:
    raise DataFormatError(f"{builder.data_path}: {name} is prepared as {builder.info.file_format}, which is read from end to end only; "
                          f"prepare it elsewhere: gan-jax data prepare {name} --data-dir=...") from error
  except (AssertionError, ValueError, OSError, RuntimeError) as error:
    raise DataFormatError(f"{builder.data_path}: {name} is incomplete or damaged: {str(error) or type(error).__name__}") from error


def _class_name(feature: Any, k: int) -> str:
  return str(feature.int2str(k)) if feature.names else str(k)
