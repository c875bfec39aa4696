"""What a path holds, and the source for it."""

import os

from gan_jax.data.base import DataFormatError, Source
from gan_jax.data.sources import arrays, files, folders, idx_files
from gan_jax.data.sources.fitting import fitted
from gan_jax.data.sources.prepared import open_builder, tfds

ARRAYS = "data.npz"
TFDS_INFO = "dataset_info.json"
KINDS = "MNIST-named IDX files, data.npz, a prepared TFDS set, captions.jsonl, A/ and B/ with pairs, class folders of pictures, pictures"


def kind(path: str) -> str:
  """Which kind of source a folder or a file is: "idx", "npz", "npy", "pairs", "captions", "folder" or "tfds", from what it holds.

  A folder with IDX files is that, whatever else lies in it; then data.npz, a prepared TFDS set, captions.jsonl, pairs and classes are looked for.
  OSError: nothing there, or closed to us. DataFormatError: nothing of these.
  """
  if not os.path.isdir(path):
    if not os.path.exists(path):
      raise FileNotFoundError(f"{path}: no such file or folder")
    ending = os.path.splitext(path)[1].lower()
    if ending not in (".npz", ".npy"):
      raise DataFormatError(f"{path}: a file of data ends in .npz or .npy; else give a folder")
    return ending[1:]
  if idx_files.files(path):
    return "idx"
  for name, found in ((ARRAYS, "npz"), (TFDS_INFO, "tfds"), (folders.CAPTIONS, "captions")):
    if os.path.lexists(os.path.join(path, name)):
      return found
  inner, pictures = files.listing(path)
  if inner == ["A", "B"] and not pictures:
    return "pairs"
  if inner or pictures:
    return "folder"
  raise DataFormatError(f"{path}: holds none of: {KINDS}")


def source(path: str, split: str = "train", *, size: int | None = None, channels: int | None = None) -> Source:
  """The examples that a path holds; its kind is recognised (`kind`).

  split: "train" or "test" of IDX files, any of a prepared set; the others have "train" alone.
  size: scale the shorter side to it and cut out the middle square. channels: 1 for grey, 3 for RGB; by default what is there.

  OSError: nothing there. DataFormatError: broken, incomplete, of no such kind or without that split; see `idx`, `npz`, `folder`, `pairs`,
  `captions`, `tfds`.
  """
  path = os.path.expanduser(path)
  found = kind(path)
  if found == "tfds":
    return tfds(path, split, size=size, channels=channels)
  if found == "idx":
    return fitted(idx_files.idx(path, split), size, channels)
  if split != "train":
    raise DataFormatError(f'{path}: has no split "{split}"; {found} data are all "train"')
  if found in ("npz", "npy"):
    place = files.inside(path, os.path.join(path, ARRAYS)) if os.path.isdir(path) else path
    return fitted({"npz": arrays.npz, "npy": arrays.npy}[found](place), size, channels)
  return {"folder": folders.folder, "pairs": folders.pairs, "captions": folders.captions}[found](path, size=size, channels=channels)


def splits(path: str) -> tuple[str, ...]:
  """The splits that a path has."""
  path = os.path.expanduser(path)
  found = kind(path)
  if found == "idx":
    return tuple(split for split in idx_files.PREFIXES if (split, "images") in idx_files.files(path))
  if found == "tfds":
    return tuple(open_builder(path).info.splits)
  return ("train",)
