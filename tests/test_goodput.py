"""The clock that says where an arm's time went, on a clock of our own."""

import pytest

from gan_jax.lab import goodput


@pytest.fixture
def clock(monkeypatch):
  now = [0.0]
  monkeypatch.setattr(goodput.time, "perf_counter", lambda: now[0])

  def wait(seconds):
    now[0] += seconds

  return wait


def test_parts_add_up_and_inner_time_counts_once(clock):
  spent = goodput.Goodput()
  clock(1.0)
  with spent.on("eval"):
    clock(2.0)
    with spent.on("checkpoint"):
      clock(4.0)
    clock(8.0)
    first = spent.line()
    clock(16.0)
  clock(32.0)
  second = spent.line()
  assert first == {"time/idle": 1.0, "time/eval": 10.0, "time/checkpoint": 4.0, "time/train": 0.0, "time/compile": 0.0, "time/data": 0.0}
  assert second["time/eval"] == 16.0 and second["time/idle"] == 32.0 and sum(second.values()) == 48.0
  assert sum(spent.total.values()) == 63.0


def test_waiting_is_not_using(clock):
  def slow():
    for number in range(3):
      clock(1.0)
      yield number

  spent, seen = goodput.Goodput(), []
  for number in spent.waiting("data", slow()):
    seen.append(number)
    with spent.on("train"):
      clock(10.0)
  line = spent.line()
  assert seen == [0, 1, 2] and line["time/data"] == 3.0 and line["time/train"] == 30.0 and line["time/idle"] == 0.0


def test_an_error_ends_what_it_was_in(clock):
  spent = goodput.Goodput()
  with pytest.raises(OSError), spent.on("checkpoint"):
    clock(3.0)
    raise OSError
  clock(2.0)
  assert spent.line()["time/checkpoint"] == 3.0 and spent.total["idle"] == 2.0
