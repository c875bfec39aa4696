"""What can go wrong, one class for each exit code, and the one line that says it.

A `GanJaxError` carries a one-line message for a person: what is wrong, with which key or file, and what would be
right. Anything else that escapes is a bug and keeps its traceback.
"""

import difflib
import traceback
from collections.abc import Iterable


class GanJaxError(Exception):
  """The base of all; `exit_code` is what the process ends with. The message is squeezed onto one line."""

  exit_code = 1

  def __init__(self, message: str):
    super().__init__(one_line(message))


class UsageError(GanJaxError):
  """The command line or the config is wrong."""

  exit_code = 2


class DataError(GanJaxError):
  """A data set is missing, broken or not what the experiment needs."""

  exit_code = 3


class CheckpointError(GanJaxError):
  """No stored checkpoint can be used."""

  exit_code = 4


class NumericsError(GanJaxError):
  """Training left the finite numbers."""

  exit_code = 5


class BusyError(GanJaxError):
  """Another process works in the run directory."""

  exit_code = 6


class StorageError(GanJaxError):
  """A file or directory cannot be written or read."""

  exit_code = 7


class Preempted(GanJaxError):  # noqa: N818 (not an error: the run is stored and the same command continues it)
  """Stopped from outside with the state stored."""

  exit_code = 75


def one_line(text: str, limit: int = 400) -> str:
  """`text` without line breaks or control characters, cut to about `limit` characters.

  >>> one_line("a\\n  b")
  'a b'
  """
  text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
  return text if len(text) <= limit else text[: limit - 3] + "..."


def nearest(name: object, choices: Iterable[object]) -> str:
  """How to end a sentence about an unknown name: the choice nearest to it, or all of them where none is near.

  >>> nearest("hnge", ["hinge", "minimax"])
  '; did you mean "hinge"?'
  >>> nearest("xyz", ["hinge", "minimax"])
  '; one of: hinge, minimax'
  """
  known = [str(choice) for choice in choices]
  if not known:
    return ""
  alike = str.maketrans("loi", "101")
  close = [
    k for k in known if k.lower().translate(alike) == str(name).lower().translate(alike)
  ]  # rl for r1, Hinge for hinge
  close = close or difflib.get_close_matches(str(name), known, 1, 0.5)
  if close:
    return f'; did you mean "{close[0]}"?'
  if len(known) <= 16:
    return f"; one of: {', '.join(known)}"
  return f'; the nearest is "{difflib.get_close_matches(str(name), known, 1, 0.0)[0]}"'


def show(value: object) -> str:
  """A value as an error message shows it.

  >>> show("a" * 99)[-7:]
  'aaa..."'
  """
  text = f'"{value}"' if isinstance(value, str) else repr(value)
  return text if len(text) <= 60 else f"{text[:56]}...{text[-1]}"


def blame(error: BaseException, path: str | None = None) -> str:
  """`file:line: Type: message` for an error raised by a user's file: its last line in `path`, or of his own."""
  message = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
  if isinstance(error, SyntaxError) and error.filename and (path is None or error.filename == path):
    return f"{error.filename}:{error.lineno or 1}: {type(error).__name__}: {error.msg}"
  frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith("<frozen")]
  near = [f for f in frames if "site-packages" not in f.filename] or frames
  own = [f for f in frames if f.filename == path] or (near if path is None else [])
  return f"{own[-1].filename}:{own[-1].lineno}: {message}" if own else f"{path}: {message}"
