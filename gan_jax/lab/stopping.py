"""How a run is stopped from outside: by SIGTERM, by SIGINT, or by its own limit of time."""

import contextlib
import math
import signal
import time
from collections.abc import Iterator
from typing import Any

from gan_jax.lab.errors import Preempted


class Stop:
  """`with Stop(max_seconds) as stopped`: within, SIGTERM and SIGINT only raise a flag, and `stopped()` is it, or that the time is over.

  A second signal, if it is SIGINT, interrupts at once.
  """

  def __init__(self, max_seconds: float | None = None):
    self.deadline = math.inf if max_seconds is None else time.monotonic() + max_seconds
    self._seen: list[int] = []
    self._leave: str | None = None
    self._old: dict[int, Any] = {}

  def __call__(self) -> bool:
    return bool(self._seen) or time.monotonic() > self.deadline

  def signalled(self) -> bool:
    return bool(self._seen)

  @contextlib.contextmanager
  def at_once(self, message: str) -> Iterator[None]:
    """Within, a signal (one that has been seen, too) is `Preempted(message)` wherever it finds us: for work that only waits or is done anew."""
    if self._seen:
      raise Preempted(message)
    self._leave = message
    try:
      yield
    finally:
      self._leave = None

  def __enter__(self) -> "Stop":
    with contextlib.suppress(ValueError):  # not in the main thread: the caller's business
      self._old = {number: signal.signal(number, self._note) for number in (signal.SIGTERM, signal.SIGINT)}
    return self

  def __exit__(self, *_: Any) -> None:
    for number, handler in self._old.items():
      signal.signal(number, handler)

  def _note(self, number: int, frame: Any) -> None:
    if number == signal.SIGINT and self._seen:
      raise KeyboardInterrupt
    self._seen.append(number)
    if self._leave is not None:
      raise Preempted(self._leave)
