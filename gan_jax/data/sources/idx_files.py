"""IDX files, as MNIST and its kin come: two zero bytes, a type, the number of dimensions, their sizes, then the bytes. Gzipped or not."""

import gzip
import math
import os
import zlib
from typing import IO

import numpy as np

from gan_jax.data.base import DataFormatError
from gan_jax.data.sources.arrays import BLOCK, DEFLATE, MAX_BYTES
from gan_jax.data.sources.files import inside, plain
from gan_jax.data.sources.in_memory import Memory, memory

PREFIXES = {"train": "train", "test": "t10k"}
ENDINGS = {"images": ("-images-idx3-ubyte", "-images.idx3-ubyte"), "labels": ("-labels-idx1-ubyte", "-labels.idx1-ubyte")}


def idx(path: str, split: str = "train", *, classes: tuple[str, ...] | None = None) -> Memory:
  """The folder of MNIST-named files `train-images-idx3-ubyte`, `t10k-labels-idx1-ubyte` etc., each plain or with `.gz`.

  split: "train" or "test". classes: names for labels 0, 1, ...; their numbers by default. Labels may be missing altogether.

  OSError: no such file. DataFormatError: a file is damaged or of another kind, lengths differ, or a class has no images.
  """
  path = os.fspath(path)
  found = files(path)
  if split not in PREFIXES:
    raise DataFormatError(f'split "{split}": IDX folders have "train" and "test"')
  if (split, "images") not in found:
    raise DataFormatError(f"{path}: no {split} images: {PREFIXES[split]}{ENDINGS['images'][0]} or the same with .gz is missing")
  images = read(found[split, "images"])
  if images.ndim not in (3, 4):
    raise DataFormatError(f"{found[split, 'images']}: images have 3 dimensions (or 4, with channels), these {images.ndim}")
  if (split, "labels") not in found:
    return _named(found[split, "images"], images, None, None)
  every = {part: read(found[part, "labels"]) for part in PREFIXES if (part, "labels") in found}  # both: a split may lack the last class
  for part, labels in every.items():
    if labels.ndim != 1 or len(labels) == 0:
      raise DataFormatError(f"{found[part, 'labels']}: labels have 1 dimension and are not empty, these are {labels.shape}")
  count = max(int(labels.max()) for labels in every.values()) + 1
  classes = tuple(str(k) for k in range(count)) if classes is None else classes
  source = _named(found[split, "labels"], images, every[split], classes)
  missing = np.flatnonzero(np.bincount(every[split], minlength=len(classes)) == 0)
  if len(missing):
    raise DataFormatError(f'{found[split, "labels"]}: class "{classes[missing[0]]}" has no images')
  return source


def files(path: str) -> dict[tuple[str, str], str]:
  """(split, "images" | "labels") -> file, for what there is in the folder."""
  found: dict[tuple[str, str], str] = {}
  for split, prefix in PREFIXES.items():
    for part, endings in ENDINGS.items():
      candidates = [os.path.join(path, prefix + ending + packed) for ending in endings for packed in ("", ".gz")]
      there = [inside(path, candidate) for candidate in candidates if os.path.lexists(candidate)]
      found |= {(split, part): there[0]} if there else {}
  return found


def read(path: str) -> np.ndarray:
  """The uint8 array of an IDX file, of any dimensions; a plain file stays on disk and is mapped.

  OSError: no such file. DataFormatError: another type, more promised than is there, or damaged; with the offset.
  """
  size = plain(path).st_size
  with open(path, "rb") as raw:
    if not path.endswith(".gz"):
      shape, start = _header(path, raw)
      if start + math.prod(shape) != size:
        raise DataFormatError(f"{path}: its header promises {math.prod(shape):,} bytes {shape} from byte {start}; the file ends at byte {size:,}")
      return np.memmap(path, np.uint8, "r", start, shape) if size > start else np.zeros(shape, np.uint8)
    with gzip.GzipFile(fileobj=raw) as file:
      try:
        return _unpack(path, file, size)
      except (OSError, EOFError, zlib.error) as error:  # gzip's own BadGzipFile is an OSError
        raise DataFormatError(f"{path}: damaged gzip data near byte {raw.tell():,} of {size:,}: {error}") from error


def _unpack(path: str, file: gzip.GzipFile, size: int) -> np.ndarray:
  shape, start = _header(path, file)
  wanted = math.prod(shape)
  if wanted > min(MAX_BYTES, DEFLATE * size):
    limit = f"{MAX_BYTES:,} in memory" if wanted > MAX_BYTES else f"what {size:,} bytes of gzip can hold"
    raise DataFormatError(f"{path}: its header promises {wanted:,} bytes {shape}, more than {limit}")
  data = bytearray()
  while len(data) < wanted and (block := file.read(min(BLOCK, wanted - len(data)))):
    data += block
  if len(data) < wanted:
    raise DataFormatError(f"{path}: its header promises {wanted:,} bytes {shape} from byte {start}; unpacked, it ends at byte {start + len(data):,}")
  if file.read(1):
    raise DataFormatError(f"{path}: goes on after the {wanted:,} bytes {shape} that its header promises")
  return np.frombuffer(data, np.uint8).reshape(shape)


def _header(path: str, file: IO[bytes] | gzip.GzipFile) -> tuple[tuple[int, ...], int]:
  """(shape, where the data starts)."""
  magic = file.read(4)
  if len(magic) < 4 or magic[:2] != b"\0\0" or not 1 <= magic[3] <= 4:
    raise DataFormatError(f"{path}: not an IDX file: its first bytes are {magic.hex(' ') or 'missing'}")
  if magic[2] != 8:
    raise DataFormatError(f"{path}: values of IDX type 0x{magic[2]:02x}; only unsigned bytes, 0x08, are read")
  sizes = file.read(4 * magic[3])
  if len(sizes) < 4 * magic[3]:
    raise DataFormatError(f"{path}: ends at byte {4 + len(sizes)}, inside its header")
  return tuple(int.from_bytes(sizes[i : i + 4], "big") for i in range(0, len(sizes), 4)), 4 + len(sizes)


def _named(path: str, images: np.ndarray, labels: np.ndarray | None, classes: tuple[str, ...] | None) -> Memory:
  try:
    return memory(images, labels, classes=classes, kind="idx")
  except DataFormatError as error:
    raise DataFormatError(f"{path}: {error}") from error
