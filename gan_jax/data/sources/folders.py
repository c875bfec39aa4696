"""Folders of pictures: class by class, in pairs, or with captions. Headers are read at once, pixels when they are asked for."""

import json
import os
from collections.abc import Sequence

import numpy as np

from gan_jax.data.base import DataFormatError
from gan_jax.data.sources import files, pictures

CAPTIONS = "captions.jsonl"
MAX_LINE = 2**20
MOST_LISTED = 5


class Pictures:
  """Files of pictures as a source; made by `folder`, `pairs` and `captions`."""

  def __init__(self, kind: str, root: str, names: Sequence[str], *, size: int | None, channels: int | None,
               labels: np.ndarray | None = None, classes: tuple[str, ...] = (), sources: Sequence[str] | None = None,
               texts: Sequence[str] | None = None):
    self.kind, self.root, self.names, self.size = kind, os.path.abspath(root), names, size  # read later, perhaps from another folder
    self.labels, self.classes, self.sources, self.texts = labels, classes, sources, texts
    self.shape = _common_shape(root, names, size, channels)
    self.source_shape = None if sources is None else _common_shape(root, sources, size, channels)

  @property
  def identity(self) -> str:
    """sha256 of names, sizes and times, and of how they are read."""
    texts = [] if self.texts is None else [CAPTIONS]
    return files.identity(self.root, [*self.names, *(self.sources or ()), *texts], (self.kind, self.size, self.shape, self.source_shape))

  def __len__(self) -> int:
    return len(self.names)

  def rows(self, index: np.ndarray) -> dict[str, np.ndarray]:
    found = {"image": self._decode(self.names, index, self.shape)}
    if self.labels is not None:
      found["label"] = self.labels[index]
    if self.sources is not None and self.source_shape is not None:
      found["source"] = self._decode(self.sources, index, self.source_shape)
    if self.texts is not None:
      found["caption"] = np.array([self.texts[i] for i in index])
    return found

  def _decode(self, names: Sequence[str], index: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    out = np.empty((len(index), *shape), np.uint8)
    for row, i in enumerate(index):
      path = os.path.join(self.root, names[i])
      image = pictures.read(path, shape[-1], self.size)
      if image.shape != shape:
        raise DataFormatError(f"{path}: has changed: {_size(image.shape)}, and {_size(shape)} when the set was opened")
      out[row] = image
    return out


def folder(path: str, *, size: int | None = None, channels: int | None = None) -> Pictures:
  """Pictures in sub-folders, whose names are the classes, in order (of number, if all are numbers); or pictures alone, without labels.

  size: scale the shorter side to it and cut out the middle square; needed where pictures differ in size.
  channels: 1 or 3; by default 3 if any picture has colour. How modes are converted: `pictures.py`.

  OSError: no such folder. DataFormatError: nothing there, an empty class, pictures beside classes, sizes that differ, a picture that cannot be read
  or is reached by a link out of the folder.
  """
  path = os.fspath(path)
  classes, loose = files.listing(path)
  if loose and classes:
    raise DataFormatError(f'{path}: pictures ("{loose[0]}") beside folders ("{classes[0]}"); put every picture into the folder of its class')
  if not loose and not classes:
    raise DataFormatError(f"{path}: holds no pictures")
  if loose:
    return Pictures("folder", path, loose, size=size, channels=channels)
  if all(name.isdecimal() for name in classes):
    classes = sorted(classes, key=int)
  names, labels = [], []
  for label, name in enumerate(classes):
    deeper, there = files.listing(path, os.path.join(path, name))
    if deeper:
      raise DataFormatError(f'{os.path.join(path, name)}: a class folder with a folder "{deeper[0]}" inside; is {path} one level too high?')
    if not there:
      raise DataFormatError(f'{path}: class "{name}" is empty: it holds no pictures')
    names += [os.path.join(name, picture) for picture in there]
    labels += [label] * len(there)
  return Pictures("folder", path, names, size=size, channels=channels, labels=np.array(labels, np.int32), classes=tuple(classes))


def pairs(path: str, *, size: int | None = None, channels: int | None = None) -> Pictures:
  """`A/x.png` and `B/x.png`: "source" is A's, "image" B's. The sides may differ in size and channels, pictures of one side may not. Else as `folder`.

  DataFormatError: also for pictures that have no partner of the same name.
  """
  path = os.fspath(path)
  sides = {side: set(files.listing(path, os.path.join(path, side))[1]) for side in "AB"}
  alone = sorted(f"{side}/{name}" for side, other in (("A", "B"), ("B", "A")) for name in sides[side] - sides[other])
  if alone:
    listed = ", ".join(alone[:5]) + (", ..." if alone[5:] else "")
    raise DataFormatError(f"{path}: {len(alone)} without a partner of the same name on the other side: {listed}")
  names = sorted(sides["A"])
  if not names:
    raise DataFormatError(f"{path}: A/ and B/ hold no pictures")
  there = {side: [os.path.join(side, name) for name in names] for side in "AB"}
  return Pictures("pairs", path, there["B"], sources=there["A"], size=size, channels=channels)


def captions(path: str, *, size: int | None = None, channels: int | None = None) -> Pictures:
  """The pictures that `captions.jsonl` names, a line each: {"image": "path/in/the/folder.png", "caption": "text"}. Else as `folder`.

  A picture may have several lines, and is then as many examples.
  DataFormatError: also for lines (the numbers of the first five are given) that are no such object, or whose picture is missing or outside the
  folder.
  """
  path = os.fspath(path)
  names, texts = [], []
  wrong: list[str] = []
  there = os.path.join(path, CAPTIONS)
  files.plain(files.inside(path, there))
  with open(there, "rb") as file:
    number = 0
    while line := file.readline(MAX_LINE + 1):
      number += 1
      if line.strip():
        try:
          name, text = _caption(path, line, f"line {number}")
        except DataFormatError as error:
          wrong.append(str(error))
          if len(wrong) == MOST_LISTED or len(line) > MAX_LINE:  # what follows such a line is not another
            break
        else:
          names.append(name)
          texts.append(text)
  if wrong:
    raise DataFormatError(f"{there} " + "; ".join(wrong))
  if not names:
    raise DataFormatError(f"{there}: holds no captions")
  return Pictures("captions", path, names, texts=texts, size=size, channels=channels)


def _caption(root: str, line: bytes, where: str) -> tuple[str, str]:
  if len(line) > MAX_LINE:
    raise DataFormatError(f"{where}: longer than {MAX_LINE:,} bytes")
  try:
    entry = json.loads(line)
  except (ValueError, RecursionError) as error:
    raise DataFormatError(f"{where}: not JSON: {error}") from error
  if not isinstance(entry, dict) or not all(isinstance(entry.get(key), str) and entry[key] for key in ("image", "caption")):
    raise DataFormatError(f'{where}: must be an object {{"image": "file", "caption": "text"}}')
  name = os.path.normpath(entry["image"])
  if "\0" in name or os.path.isabs(name) or name.split(os.sep)[0] == "..":
    raise DataFormatError(f'{where}: "{entry["image"]}" leads out of the folder')
  full = os.path.join(root, name)
  if not os.path.exists(full):
    raise DataFormatError(f'{where}: "{entry["image"]}" is not there')
  try:
    files.plain(files.inside(root, full))
  except DataFormatError as error:
    raise DataFormatError(f"{where}: {error}") from error
  return name, entry["caption"]


def _common_shape(root: str, names: Sequence[str], size: int | None, channels: int | None) -> tuple[int, int, int]:
  """[H, W, C] of all; reads every header."""
  first, deepest = None, 1
  for name in names:
    found = pictures.header(os.path.join(root, name))
    deepest = max(deepest, found.channels)
    first = first or (name, found)
    if size is None and found[:2] != first[1][:2]:
      raise DataFormatError(f"{os.path.join(root, name)}: {_size(found)}, but {first[0]} is {_size(first[1])}; "
                            "set size, to scale and crop all to one")
  assert first is not None
  return (size or first[1].height, size or first[1].width, channels or deepest)


def _size(shape: Sequence[int]) -> str:
  return f"{shape[1]} x {shape[0]}"
