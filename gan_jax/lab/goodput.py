"""Where the time of an arm goes: wall seconds by what the process waited for."""

import contextlib
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

KINDS = ("train", "compile", "data", "eval", "checkpoint", "idle")
T = TypeVar("T")


class Goodput:
  """At every moment one of KINDS is on (idle where nothing else is), so the parts add up to the time that passed."""

  def __init__(self) -> None:
    self.total = dict.fromkeys(KINDS, 0.0)
    self._parts, self._kind, self._since = dict(self.total), "idle", time.perf_counter()

  @contextlib.contextmanager
  def on(self, kind: str) -> Iterator[None]:
    """What is done inside is of this kind; of two, one in the other, the time is the inner one's alone."""
    before = self._switch(kind)
    try:
      yield
    finally:
      self._switch(before)

  def waiting(self, kind: str, items: Iterable[T]) -> Iterator[T]:
    """The items; the time until each comes is of this kind."""
    waiting, end = iter(items), object()
    while True:
      with self.on(kind):
        item = next(waiting, end)
      if item is end:
        return
      yield item  # type: ignore[misc]

  def line(self) -> dict[str, float]:
    """`time/KIND`, seconds since the last line; the next begins here."""
    self._switch(self._kind)
    parts, self._parts = self._parts, dict.fromkeys(KINDS, 0.0)
    self.total = {kind: self.total[kind] + seconds for kind, seconds in parts.items()}
    return {f"time/{kind}": seconds for kind, seconds in parts.items()}

  def _switch(self, kind: str) -> str:
    before, now = self._kind, time.perf_counter()
    self._parts[before] += now - self._since
    self._kind, self._since = kind, now
    return before
