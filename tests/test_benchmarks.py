"""The two sides of benchmarks/step.py compute the same round; when they do not, nothing is timed."""

import importlib.util
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"

pytestmark = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is the bench extra")


@pytest.fixture
def step(monkeypatch):
  monkeypatch.syspath_prepend(str(BENCHMARKS))
  import step

  return step


def test_both_sides_compute_the_same_round_and_a_wrong_one_is_refused(step):
  """Two seeds, unrolled: the moments, the gradient through the look-ahead, and each seed's own noise all matter."""
  unrolled = step.Workload("tiny", batch=8, latent=3, seeds=2, unroll=2, hidden=(6, 5))
  with step.Process("gan_jax", "in_jax") as ours, step.Process("PyTorch", "in_torch") as theirs:
    ours.ask("set_up", workload=unrolled._asdict())
    theirs.ask("set_up", workload=unrolled._asdict())
    worst = step.check(unrolled, ours, theirs)
    assert 0 < worst["weights"] < 1e-5  # 0 would mean that something was compared with itself

    theirs.ask("set_up", workload=unrolled._replace(b1=0.6)._asdict())
    with pytest.raises(SystemExit, match="do not compute the same round"):
      step.check(unrolled, ours, theirs)

    ours.ask("warm_up")
    assert ours.ask("spend", seconds=0.01)["cpu_seconds"] > 0


def test_the_ratio_is_theirs_over_ours_and_held_against_the_target(step):
  found = step.ratio([2.0, 6.0, 4.0], [1.0, 2.0, 1.0], target=3.1)
  assert found == {"median": 3.0, "min": 2.0, "max": 4.0, "fastest": 2.0, "target": 3.1, "met": False}
