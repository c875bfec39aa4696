"""Arrays in npz and npy files. Headers are held against the file before anything is allocated, and no pickle is ever loaded."""

import io
import math
import os
import zipfile
import zlib
from typing import IO

import numpy as np

from gan_jax.data.base import CHUNK, DataFormatError
from gan_jax.data.sources.files import plain
from gan_jax.data.sources.in_memory import Memory, memory

MAX_BYTES = 2**32  # of one unpacked array: larger sets belong in a folder, or an npy file, which is mapped
MAX_HEADER = 10_000  # bytes of an npy header
DEFLATE = 1032  # no deflated stream is longer when unpacked, as a multiple
BLOCK = 2**22


def npz(path: str) -> Memory:
  """The arrays `images` and, if there, `labels` of an npz file.

  images: [N, H, W], [N, H, W, 1] or [N, H, W, 3]; whole numbers in 0 ... 255, or floats in [0, 1] or, if any is negative, in [-1, 1].
  labels: [N] whole numbers 0 ... K - 1, each of which occurs.

  OSError: no such file. DataFormatError: it is damaged, promises more than it holds, or holds something else (Python objects, NaN, ...).
  """
  path = os.fspath(path)
  size = plain(path).st_size
  try:
    with zipfile.ZipFile(path) as archive:
      members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
      if "images" not in members:
        raise DataFormatError(f'{path}: no array "images"; it holds {", ".join(sorted(members)[:8]) or "nothing"}')
      images = _member(path, archive, members["images"], size)
      labels = _member(path, archive, members["labels"], size) if "labels" in members else None
  except zipfile.BadZipFile as error:
    raise DataFormatError(f"{path}: not a whole npz file of {size:,} bytes: {error}") from error
  return _source(path, images, labels, "npz")


def npy(path: str) -> Memory:
  """The array of an npy file as images without labels, as in `npz`. Bytes stay in the file and are read as they are asked for."""
  path = os.fspath(path)
  size = plain(path).st_size
  with open(path, "rb") as file:
    shape, fortran, dtype, start = _header(path, file)
  if start + math.prod(shape) * dtype.itemsize != size:
    raise DataFormatError(f"{path}: its header promises {math.prod(shape) * dtype.itemsize:,} bytes of data {shape} from byte {start}; "
                          f"the file ends at byte {size:,}")
  if size == start:
    raise DataFormatError(f"{path}: there are no images, shape {shape}")
  return _source(path, np.memmap(path, dtype, "r", start, shape, "F" if fortran else "C"), None, "npy")


def _source(path: str, images: np.ndarray, labels: np.ndarray | None, kind: str) -> Memory:
  if labels is not None and labels.ndim == 2 and labels.shape[1] == 1:
    labels = labels[:, 0]
  if images.ndim == 4 and images.shape[-1] not in (1, 3) and images.shape[1] in (1, 3):
    raise DataFormatError(f"{path}: images of shape {images.shape} have their channels first; write them as [N, H, W, C]")
  try:
    source = memory(to_bytes(images), labels, kind=kind)
  except DataFormatError as error:
    raise DataFormatError(f"{path}: {error}") from error
  if source.labels is not None:
    missing = np.flatnonzero(np.bincount(source.labels) == 0)
    if len(missing):
      raise DataFormatError(f"{path}: class {missing[0]} is empty; labels must be 0 to {len(source.classes) - 1} with images for each")
  return source


def to_bytes(images: np.ndarray) -> np.ndarray:
  """Images as uint8: whole numbers in 0 ... 255 as they are, [0, 1] as round(255 x), and [-1, 1], if any is negative, as round(127.5 (x + 1)).

  DataFormatError: NaN, a pixel beyond that range, or no numbers.
  """
  if images.dtype == np.uint8:
    return images
  if images.dtype.kind not in "iufb":
    raise DataFormatError(f"images must be numbers, got {images.dtype}")
  chunks = range(0, len(images), CHUNK)
  low = min((float(np.min(images[start : start + CHUNK], initial=0)) for start in chunks), default=0.0)
  is_float = images.dtype.kind == "f"
  least, most, words = (0, 255, "whole numbers must lie in 0 to 255") if not is_float else (-1, 1, "floats must lie in [0, 1] or [-1, 1]")
  if images.dtype.kind == "b":
    most = 1
  out = np.empty(images.shape, np.uint8)
  for start in chunks:
    part = np.asarray(images[start : start + CHUNK])
    bad = ~((part >= least) & (part <= most))
    if bad.any():
      place = tuple(int(i) for i in np.argwhere(bad)[0])
      raise DataFormatError(f"images{[start + place[0], *place[1:]]} is {part[place]}; {words}")
    if is_float:
      part = np.rint((part.astype(np.float64) + 1) * 127.5 if low < 0 else part.astype(np.float64) * 255)
    elif images.dtype.kind == "b":
      part = part * np.uint8(255)
    out[start : start + CHUNK] = part
  return out


def _member(path: str, archive: zipfile.ZipFile, info: zipfile.ZipInfo, size: int) -> np.ndarray:
  """One array of an npz file; at most what the file's size allows is ever unpacked."""
  where = f"{path}: {info.filename} (at byte {info.header_offset})"
  try:
    with archive.open(info) as file:
      shape, fortran, dtype, start = _header(where, file)
      wanted = math.prod(shape) * dtype.itemsize
      if start + wanted != info.file_size:
        raise DataFormatError(f"{where}: its header promises {wanted:,} bytes of data {shape}; {info.file_size - start:,} are there")
      if wanted > min(MAX_BYTES, DEFLATE * size):
        limit = f"{MAX_BYTES:,}" if wanted > MAX_BYTES else f"what {size:,} bytes of file can hold"
        raise DataFormatError(f"{where}: would unpack to {wanted:,} bytes, more than {limit}; a large set belongs in an npy file or a folder")
      data = bytearray()
      while len(data) < wanted and (block := file.read(min(BLOCK, wanted - len(data)))):
        data += block
      if len(data) < wanted or file.read(1):  # the last read also checks the sum of all
        raise DataFormatError(f"{where}: {len(data):,} bytes of data where {wanted:,} should be")
  except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError) as error:
    raise DataFormatError(f"{where}: damaged: {error}") from error
  array = np.frombuffer(data, dtype)
  return array.reshape(shape[::-1]).T if fortran else array.reshape(shape)


def _header(where: str, file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype, int]:
  """(shape, Fortran order, dtype, where the data starts) of an npy file."""
  start = file.read(12)
  version = tuple(start[6:8])
  if start[:6] != b"\x93NUMPY" or version not in ((1, 0), (2, 0)) or len(start) < 12:
    raise DataFormatError(f"{where}: not an npy array: its first bytes are {start[:8].hex(' ')}")
  width = 2 if version == (1, 0) else 4
  length = int.from_bytes(start[8 : 8 + width], "little")
  if length > MAX_HEADER:
    raise DataFormatError(f"{where}: a header of {length:,} bytes; {MAX_HEADER:,} are enough for any")
  header = start + file.read(8 + width + length - len(start))
  stream = io.BytesIO(header[8:])
  read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
  try:
    shape, fortran, dtype = read(stream, max_header_size=MAX_HEADER)
  except Exception as error:  # ValueError for most, but the parser has its own for what is meant to break it
    raise DataFormatError(f"{where}: its header cannot be read: {str(error).splitlines()[0] if str(error) else type(error).__name__}") from error
  if dtype.hasobject:
    raise DataFormatError(f"{where}: holds Python objects, that is a pickle, and none is ever loaded; save numbers")
  if any(type(n) is not int or n < 0 for n in shape) or len(shape) > 8 or dtype.itemsize == 0:
    raise DataFormatError(f"{where}: its header says shape {shape} of {dtype}")
  return shape, fortran, dtype, len(header)
