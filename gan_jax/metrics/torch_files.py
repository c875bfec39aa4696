"""The tensors of a file that torch.save wrote, read without unpickling: nothing that the file names is imported or called.

The file's pickle is taken as a list of tokens, and of these only what describes tensors of plain numbers is understood; anything else is refused.
"""

import io
import pickletools
import struct
import zipfile
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

STORAGES = {"torch FloatStorage": "<f4", "torch DoubleStorage": "<f8", "torch LongStorage": "<i8", "torch IntStorage": "<i4"}
MARK = object()


class Named(NamedTuple):
  """A function or class that the file names, or a call of one: only its name, and what it would be called with."""

  name: str
  arguments: tuple = ()


class Stored(NamedTuple):
  """A run of numbers kept elsewhere in the file."""

  dtype: str
  key: str


def read_tensors(content: bytes) -> dict[str, np.ndarray]:
  """{name: array} of a state dict, in the zip format of torch 1.6 and later or the one before it.

  ValueError: something else.
  """
  try:
    if content[:2] == b"PK":
      with zipfile.ZipFile(io.BytesIO(content)) as archive:
        root = next(name for name in archive.namelist() if name.endswith("/data.pkl")).removesuffix("data.pkl")
        tree, _ = _understand(archive.read(root + "data.pkl"), 0)
        return {name: _tensor(entry, archive.read(f"{root}data/{_key(entry)}")) for name, entry in tree.items()}
    position, parts = 0, []
    for _ in range(5):  # magic number, protocol, byte order and sizes, the tree, the order of the storages
      part, position = _understand(content, position)
      parts.append(part)
    stored = dict(_storages(content, position, parts[4], {_key(entry): entry for entry in parts[3].values()}))
    return {name: _tensor(entry, stored[_key(entry)]) for name, entry in parts[3].items()}
  except (ValueError, KeyError, IndexError, TypeError, AttributeError, StopIteration, struct.error, zipfile.BadZipFile) as error:
    raise ValueError(f"not a file of plain tensors that torch.save wrote ({error})") from error


def _storages(content: bytes, position: int, order: list[str], entries: dict[str, Named]) -> Iterator[tuple[str, bytes]]:
  """Of the older format: after the pickles, each storage as its number of elements and then these."""
  for key in order:
    (count,) = struct.unpack_from("<q", content, position)
    size = count * np.dtype(entries[key].arguments[0].dtype).itemsize
    yield key, content[position + 8 : position + 8 + size]
    position += 8 + size


def _key(entry: Named) -> str:
  return entry.arguments[0].key


def _tensor(entry: Named, raw: bytes) -> np.ndarray:
  if entry.name != "torch._utils _rebuild_tensor_v2":
    raise ValueError(f"it names {entry.name}")
  stored, offset, shape, strides = entry.arguments[:4]
  numbers = np.frombuffer(raw, stored.dtype)
  size = int(np.prod(shape, dtype=np.int64))
  contiguous = tuple(int(np.prod(shape[i + 1 :], dtype=np.int64)) for i in range(len(shape)))
  if tuple(strides) != contiguous or not 0 <= offset <= len(numbers) - size:
    raise ValueError(f"a tensor of shape {shape} that is not stored row by row")
  return numbers[offset : offset + size].reshape(shape)


def _understand(content: bytes, position: int) -> tuple[Any, int]:
  """(what one pickle stands for, where the next begins)."""
  stream = io.BytesIO(content)
  stream.seek(position)
  stack: list[Any] = []
  memory: dict[int, Any] = {}

  def since_mark() -> list[Any]:
    place = max(i for i, value in enumerate(stack) if value is MARK)
    taken = stack[place + 1 :]
    del stack[place:]
    return taken

  value: Any
  for token, value, _ in pickletools.genops(stream):
    name = token.name
    if name in ("PROTO", "FRAME"):
      continue
    if name == "STOP":
      return stack.pop(), stream.tell()
    if name == "MARK":
      stack.append(MARK)
    elif name in ("BININT", "BININT1", "BININT2", "LONG1", "BINUNICODE", "SHORT_BINUNICODE", "BINFLOAT"):
      stack.append(value)
    elif name in ("NONE", "NEWTRUE", "NEWFALSE"):
      stack.append({"NONE": None, "NEWTRUE": True, "NEWFALSE": False}[name])
    elif name in ("EMPTY_DICT", "EMPTY_LIST", "EMPTY_TUPLE"):
      stack.append({"EMPTY_DICT": {}, "EMPTY_LIST": [], "EMPTY_TUPLE": ()}[name])
    elif name in ("BINPUT", "LONG_BINPUT", "MEMOIZE"):
      memory[len(memory) if value is None else value] = stack[-1]
    elif name in ("BINGET", "LONG_BINGET"):
      stack.append(memory[value])
    elif name == "TUPLE":
      stack.append(tuple(since_mark()))
    elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
      count = int(name[-1])
      stack[-count:] = [tuple(stack[-count:])]
    elif name == "GLOBAL":
      stack.append(Named(value))
    elif name == "BINPERSID":
      _, kind, key, *_ = stack.pop()
      stack.append(Stored(STORAGES[kind.name], key))
    elif name == "REDUCE":
      arguments, called = stack.pop(), stack.pop()
      stack.append({} if called.name == "collections OrderedDict" else Named(called.name, arguments))
    elif name == "SETITEM":
      entry, key = stack.pop(), stack.pop()
      stack[-1][key] = entry
    elif name == "SETITEMS":
      entries = since_mark()
      stack[-1].update(zip(entries[::2], entries[1::2], strict=True))
    elif name == "APPENDS":
      entries = since_mark()
      stack[-1].extend(entries)
    elif name == "APPEND":
      entry = stack.pop()
      stack[-1].append(entry)
    elif name == "BUILD":
      stack.pop()  # attributes of the dict, such as versions of modules
    else:
      raise ValueError(f"it holds {name}")
  raise ValueError("it ends early")
