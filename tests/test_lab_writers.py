"""TensorBoard's files say what metrics.jsonl says, no more and no less, and never stop a run.

Mutations tried by hand: events of the run before left in place, the position in the log not kept (rounds twice), an error let through.
"""

import json
import struct
import warnings
from pathlib import Path

import numpy as np
import pytest
from tensorboardX.proto.event_pb2 import Event

from gan_jax import data
from gan_jax.lab import rundir, scoring, writers


def events(folder: Path) -> list[Event]:
  """TFRecords: length, its checksum, the event, its checksum."""
  (path,) = folder.glob("events.out.tfevents.*")
  content, found = path.read_bytes(), []
  while content:
    (size,) = struct.unpack("<Q", content[:8])
    found.append(Event.FromString(content[12 : 12 + size]))
    content = content[16 + size :]
  return found


def numbers(folder: Path) -> dict[tuple[int, str], float]:
  """(step, name) -> value; each once."""
  pairs = [((event.step, value.tag), value.simple_value) for event in events(folder) for value in event.summary.value if not value.HasField("image")]
  assert len(dict(pairs)) == len(pairs)
  return dict(pairs)


def check(run: Path, *steps: int) -> None:
  """What a check of the arm "a" writes, of seeds 3 and 4."""
  folder = run / "arms/a"
  folder.mkdir(parents=True, exist_ok=True)
  with (folder / "metrics.jsonl").open("a") as file:
    for step in steps:
      scoring.look(folder, step, np.zeros((2, 4, 8, 8, 1)), data.sklearn_digits())
      for seed in (3, 4):
        line = {"step": step, "seed": seed, "weights": "raw", "modes": step / seed, "time/seconds": 0.5, "churn": float("nan") if step == 1 else 0.25}
        file.write(json.dumps(line) + "\n")


def expected(*steps: int, seed: int) -> dict:
  return {(step, name): value for step in steps for name, value in {"modes": step / seed, "time/seconds": 0.5, "churn": 0.25}.items()}


def test_says_what_the_log_says(tmp_path):
  with writers.following(tmp_path, "a", on=True) as follow:
    for step in (2, 4):
      check(tmp_path, step)
      follow()
      follow()
    for seed in (3, 4):
      assert numbers(tmp_path / f"tensorboard/a/seed{seed}") == pytest.approx(expected(2, 4, seed=seed))  # already, before the end
  whole = events(tmp_path / "tensorboard/a/seed3")
  assert whole[0].file_version == "brain.Event:2"
  images = [(event.step, value.image) for event in whole for value in event.summary.value if value.HasField("image")]
  assert [step for step, _ in images] == [2, 4]
  assert images[1][1].encoded_image_string == (tmp_path / "arms/a/samples/round_0000004.png").read_bytes() and images[1][1].width == 16 * 33 + 1


def test_a_continued_run_has_no_round_twice(tmp_path):
  check(tmp_path, 2, 4)
  with writers.following(tmp_path, "a", on=True) as follow:
    follow()
  log = tmp_path / "arms/a/metrics.jsonl"
  log.write_text(log.read_text() + '{"step": 6, "seed": 3, "mod')  # torn
  rundir.truncate_log(log, 2)
  (old,) = (tmp_path / "tensorboard/a/seed4").iterdir()
  old.rename(old.with_name("events.out.tfevents.1000000000.there"))  # as of another second
  with writers.following(tmp_path, "a", on=True) as follow:
    check(tmp_path, 5)
    follow()
  assert numbers(tmp_path / "tensorboard/a/seed4") == pytest.approx(expected(2, 5, seed=4))


def test_a_line_that_is_still_being_written_waits(tmp_path):
  check(tmp_path, 2)
  log = tmp_path / "arms/a/metrics.jsonl"
  whole = log.read_text()
  board = writers.TensorBoard(tmp_path / "board")
  for text in (whole[:-5], whole):
    log.write_text(text)
    board.read(log, tmp_path / "none")
  board.close()
  assert numbers(tmp_path / "board/seed4") == pytest.approx(expected(2, seed=4))


def test_failure_is_one_warning(tmp_path):
  (tmp_path / "tensorboard").write_text("a file where a folder should be")
  check(tmp_path, 2)
  with warnings.catch_warnings(record=True) as caught, writers.following(tmp_path, "a", on=True) as follow:
    warnings.simplefilter("always")
    for _ in range(3):
      follow()
  assert len(caught) == 1 and "TensorBoard failed" in str(caught[0].message) and "\n" not in str(caught[0].message)


def test_off_writes_nothing(tmp_path):
  check(tmp_path, 2)
  with writers.following(tmp_path, "a", on=False) as follow:
    follow()
  assert not (tmp_path / "tensorboard").exists()
