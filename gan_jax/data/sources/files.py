"""Files of a data set: plain ones only, and none that leaves its folder through a link or a path."""

import hashlib
import os
import stat
from collections.abc import Iterable

from gan_jax.data.base import DataFormatError

PICTURES = (".png", ".jpg", ".jpeg")
OTHER_PICTURES = (".avif", ".bmp", ".gif", ".heic", ".ppm", ".tif", ".tiff", ".webp")


def plain(path: str) -> os.stat_result:
  """What the file is, if it is a plain one: a pipe would wait for ever, a device never end.

  OSError: there is none. DataFormatError: it is something else.
  """
  status = os.stat(path)
  if not stat.S_ISREG(status.st_mode):
    raise DataFormatError(f"{path}: not a plain file")
  return status


def inside(root: str, path: str) -> str:
  """`path`, if links and ".." leave it inside `root`; a DataFormatError if not."""
  real, home = os.path.realpath(path), os.path.realpath(root)
  if os.path.commonpath([real, home]) != home:
    raise DataFormatError(f"{path}: leads out of {root}")
  return path


def listing(root: str, folder: str | None = None) -> tuple[list[str], list[str]]:
  """Names of the folders, and of the pictures, in a folder of `root`; sorted. Hidden files and those that are no pictures are left out.

  DataFormatError: a link that leaves `root`, something that is no plain file, or a picture of a kind that is not read.
  """
  folder = root if folder is None else folder
  folders, pictures = [], []
  with os.scandir(folder) as entries:
    for entry in entries:
      if entry.name.startswith("."):
        continue
      if entry.is_symlink():
        inside(root, entry.path)
      suffix = os.path.splitext(entry.name)[1].lower()
      if entry.is_dir():
        folders.append(entry.name)
      elif suffix in PICTURES:
        plain(entry.path)
        pictures.append(entry.name)
      elif suffix in OTHER_PICTURES:
        raise DataFormatError(f"{entry.path}: pictures are read as PNG or JPEG only; convert it")
  return sorted(folders), sorted(pictures)


def identity(root: str, names: Iterable[str], reading: object = ()) -> str:
  """sha256 of the names, sizes and times of files of `root`, and of how they are read."""
  digest = hashlib.sha256(repr(reading).encode())
  for name in names:
    status = os.stat(os.path.join(root, name))
    digest.update(repr((name, status.st_size, status.st_mtime_ns)).encode())
  return digest.hexdigest()
