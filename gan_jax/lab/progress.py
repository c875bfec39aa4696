"""Progress: a rich bar with the time left on a terminal, plain lines elsewhere, nothing with --quiet."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

SECONDS_BETWEEN_LINES = 15.0


class Display:
  """What a run tells of itself: `start`, `advance`, `done` for an arm, `note` for everything else."""

  def __init__(self, arms: Sequence[str], bar: Progress | None, quiet: bool, alive: Callable[[], None] = lambda: None):
    self.arms, self.bar, self.quiet, self.alive = list(arms), bar, quiet, alive
    self.width = max(map(len, arms), default=0)
    self.tasks: dict[str, TaskID] = {}
    self.started = self.spoke = time.monotonic()

  def start(self, arm: str, num_steps: int) -> None:
    self.alive()
    self.started = self.spoke = time.monotonic()
    if self.bar is not None:
      self.tasks[arm] = self.bar.add_task(f"{arm:{self.width}}", total=num_steps, summary="")

  def advance(self, arm: str, step: int, summary: str) -> None:
    self.alive()
    if self.bar is not None:
      self.bar.update(self.tasks[arm], completed=step, summary=summary)
    elif time.monotonic() - self.spoke > SECONDS_BETWEEN_LINES:
      self.spoke = time.monotonic()
      self._say(f"{arm:{self.width}}  round {step}  {summary}  {self.spoke - self.started:.0f} s")

  def done(self, arm: str) -> None:
    self.alive()
    if self.bar is None:
      self._say(f"{arm:{self.width}}  done ({self.arms.index(arm) + 1} of {len(self.arms)} arms)  {time.monotonic() - self.started:.0f} s")

  def note(self, text: str) -> None:
    if self.bar is not None:
      self.bar.console.print(text, markup=False, highlight=False)
    else:
      self._say(text)

  def _say(self, text: str) -> None:
    if not self.quiet:
      print(text, flush=True)


@contextlib.contextmanager
def display(arms: Sequence[str], *, quiet: bool, alive: Callable[[], None] = lambda: None) -> Iterator[Display]:
  """A bar if standard output is a terminal. `alive` is called whenever an arm gets on."""
  if quiet or not sys.stdout.isatty():
    yield Display(arms, None, quiet, alive)
    return
  columns = (
    TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(),
    TextColumn("{task.fields[summary]}"),
  )  # fmt: skip
  with Progress(*columns, console=Console()) as bar:
    yield Display(arms, bar, quiet, alive)
