"""TensorBoard beside metrics.jsonl, without TensorFlow. The log stays the truth: event files are made from it, and can always be made again."""

import contextlib
import json
import shutil
import socket
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def following(directory: Path, arm: str, *, on: bool) -> Iterator[Callable[[], None]]:
  """A function that brings DIR/tensorboard/ARM up to date with the arm's log, to be called after each check; not `on`, it does nothing.

  Whatever fails in it is a warning, once: training goes on without.
  """
  if not on:
    yield lambda: None
    return
  folder, board = directory / "arms" / arm, TensorBoard(directory / "tensorboard" / arm)
  broken = False

  def follow() -> None:
    nonlocal broken
    try:
      if not broken:
        board.read(folder / "metrics.jsonl", folder / "samples")
    except Exception as error:
      broken = True
      warnings.warn(f"{board.folder}: TensorBoard failed ({str(error).splitlines()[0] if str(error) else error!r}); going on without", stacklevel=2)

  try:
    yield follow
  finally:
    board.close()


class TensorBoard:
  """Event files of one arm: `seedN/`, a run each, with every number of the log, and the pictures of the run in that of the first seed.

  `tensorboard --logdir=DIR/tensorboard` shows them. A continued run starts them anew, from the whole log, so no round is there twice.
  """

  def __init__(self, folder: Path):
    self.folder = folder
    self._files: dict[int, Any] = {}
    self._position = 0  # in the log, in bytes

  def read(self, log: Path, samples: Path) -> None:
    """Write what the log holds beyond what has been read; of a step's picture, samples/round_STEP.png, if it is there."""
    if not self._position:
      shutil.rmtree(self.folder, ignore_errors=True)
    content = log.read_bytes()
    whole = content.rfind(b"\n") + 1
    seen: dict[int, int] = {}  # step -> its first seed
    for text in content[self._position : whole].splitlines():
      line = json.loads(text)
      step, seed = line.pop("step"), line.pop("seed")
      seen.setdefault(step, seed)
      numbers = {name: value for name, value in line.items() if isinstance(value, int | float)}
      self._write(seed, step, [_number(name, value) for name, value in numbers.items()])
    for step, seed in seen.items():
      path = samples / f"round_{step:07d}.png"
      if path.exists():
        self._write(seed, step, [_picture(path)])
    self._position = whole
    for file in self._files.values():
      file.flush()

  def close(self) -> None:
    for file in self._files.values():
      with contextlib.suppress(OSError):
        file.close()

  def _write(self, seed: int, step: int, values: list[Any]) -> None:
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.proto.summary_pb2 import Summary
    from tensorboardX.record_writer import RecordWriter

    if seed not in self._files:
      folder = self.folder / f"seed{seed}"
      folder.mkdir(parents=True, exist_ok=True)
      self._files[seed] = RecordWriter(str(folder / f"events.out.tfevents.{int(time.time())}.{socket.gethostname()}"))
      self._files[seed].write(Event(wall_time=time.time(), file_version="brain.Event:2").SerializeToString())
    self._files[seed].write(Event(wall_time=time.time(), step=step, summary=Summary(value=values)).SerializeToString())


def _number(name: str, value: float) -> Any:
  from tensorboardX.proto.summary_pb2 import Summary

  return Summary.Value(tag=name, simple_value=value)


def _picture(path: Path) -> Any:
  from PIL import Image
  from tensorboardX.proto.summary_pb2 import Summary

  with Image.open(path) as image:
    width, height = image.size
  return Summary.Value(tag="samples", image=Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=path.read_bytes()))
