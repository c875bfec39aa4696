"""The two sides of benchmarks/step.py compute the same round; when they do not, nothing is timed."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
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
  from workloads import ring

  unrolled = ring("tiny", 8, latent=3, hidden=(6, 5), seeds=2, unroll=2)
  with step.Process("gan_jax", "in_jax") as ours, step.Process("PyTorch", "in_torch") as theirs:
    costs = ours.ask("set_up", workload=unrolled._asdict())
    assert 0 < costs["cached"] < costs["cold"]
    theirs.ask("set_up", workload=unrolled._asdict())
    worst = step.check(unrolled, ours, theirs)
    assert 0 < worst["weights"] < 1e-5  # 0 would mean that something was compared with itself

    wrong = unrolled._replace(adam={**unrolled.adam, "b1": 0.6})
    theirs.ask("set_up", workload=wrong._asdict())
    with pytest.raises(step.DifferentError, match="do not compute the same round"):
      step.check(unrolled, ours, theirs)

    ours.ask("warm_up")
    assert ours.ask("spend", seconds=0.01)["cpu_seconds"] > 0


@pytest.mark.slow
def test_every_kind_of_image_workload_is_the_same_round_on_both_sides(step):
  from workloads import dcgan, r3gan, sngan

  small = {"name": "dcgan_generator", "out": (14, 14, 3), "features": (8, 4, 4), "kernel": 3, "strides": (2, 2, 1)}
  uneven = dcgan("uneven", 14, 3, 4, (4, 8))._replace(generator=small)  # 14 <- 7 <- 4: paddings that differ before and behind
  workloads = [
    uneven,
    dcgan("gp", 8, 1, 4, (4, 8), objective="wasserstein", terms={"wgan_gp": {"weight": 10.0}}),
    dcgan("r1", 8, 1, 4, (4, 8), terms={"r1": {"gamma": 1.0}}),
    sngan("d", "discriminator", 4, 8),
    sngan("g", "generator", 4, 8),
    r3gan("r3", 4, (4, 4, 8)),
  ]
  with step.Process("gan_jax", "in_jax") as ours, step.Process("PyTorch", "in_torch") as theirs:
    for workload in workloads:
      for side in (ours, theirs):
        side.ask("set_up", workload=workload._asdict())
      assert 0 < step.check(workload, ours, theirs)["weights"] < 1e-4
      assert theirs.ask("operations")["operations"] > 0


def test_rounds_are_compared_array_by_array(step):
  before = {f"d/{kind}/Dense_0/kernel": np.full(2, 1.0) for kind in ("params", "mu", "nu")} | {"d/count": np.ones(1)}
  after = {name: value + 1.0 for name, value in before.items()}
  expected = {name: value.copy() for name, value in after.items() if name != "d/count"}
  assert step.compare(before, after, expected) == {"weights": 0.0, "moments": 0.0}
  assert step.compare(before, after, expected | {"d/params/Dense_0/kernel": np.array([2.0, 2.25])}) == {"weights": 0.25, "moments": 0.0}
  assert step.compare(before, after, expected | {"d/nu/Dense_0/kernel": np.array([2.5, 1.5])}) == {"weights": 0.0, "moments": 0.25}
  with pytest.raises(step.DifferentError, match="d/mu/Dense_0/kernel did not move"):
    step.compare(before, after | {"d/mu/Dense_0/kernel": before["d/mu/Dense_0/kernel"]}, expected)
  with pytest.raises(step.DifferentError, match="same arrays: d/nu/Dense_0/kernel"):
    step.compare(before, {name: value for name, value in after.items() if "nu" not in name}, expected)
  with pytest.raises(step.DifferentError, match="no gradient"):
    step.compare(before, after | {"d/mu/Dense_0/kernel": np.zeros(2)}, expected)


def test_a_bias_before_batch_norm_may_differ_and_no_other(step):
  names = {"d/params/Conv_0/bias": 1.0, "d/mu/Conv_0/bias": 1e-6, "d/nu/Conv_0/bias": 1e-12, "d/params/Conv_0/kernel": 1.0, "d/mu/Conv_0/kernel": 1.0,
           "d/nu/Conv_0/kernel": 1.0}  # fmt: skip
  after = {name: np.full(1, value) for name, value in names.items()}
  before = {name: value + 1 for name, value in after.items()}
  off = after | {"d/params/Conv_0/bias": np.full(1, 1.5)}
  assert step.compare(before, after, off)["weights"] == 0.0
  assert step.compare(before, after | {"d/mu/Conv_0/bias": np.full(1, 0.1)}, off)["weights"] == 0.5
  assert step.compare(before, after, off | {"d/mu/Conv_0/bias": np.full(1, 0.1)})["weights"] == 0.5


def test_the_ratio_is_theirs_over_ours_and_held_against_the_target(step):
  found = step.ratio([2.0, 6.0, 4.0], [1.0, 2.0, 1.0], target=3.1)
  assert found == {"median": 3.0, "min": 2.0, "max": 4.0, "fastest": 2.0, "target": 3.1, "met": False}


def test_a_workload_survives_the_pipe(step):
  import json

  from workloads import WORKLOADS, from_json

  for workload in WORKLOADS:
    assert from_json(json.loads(json.dumps(workload._asdict()))) == workload
  assert len({workload.name for workload in WORKLOADS}) == len(WORKLOADS)


@pytest.mark.slow
def test_the_gpu_script_runs_on_a_cpu_and_refuses_where_there_is_no_gpu():
  run = lambda *words, path: subprocess.run([sys.executable, str(BENCHMARKS / "gpu.py"), *words], capture_output=True, text=True, env={"PATH": path})
  refused = run(path="")
  assert refused.returncode == 1 and refused.stderr.startswith("no GPU here") and refused.stderr.count("\n") == 1
  found = run("--cpu", "--precisions=float32", "--workloads=ring_b64", path="")  # without a path no compiler, so no torch.compile
  assert found.returncode == 0, found.stderr[-2000:]
  assert "| ring, latent 25, batch 8 | float32 | PyTorch |" in found.stdout


def test_whole_runs_are_of_the_experiments_arms(step):
  """What PyTorch plays in benchmarks/whole.py is what `gan-jax run` plays there, in every section that a round depends on."""
  import in_jax
  import whole

  from gan_jax.lab import config, resolve

  resolved = config.load(str(BENCHMARKS.parent / whole.EXPERIMENT))
  assert (resolved.base.num_steps, config.seeds(resolved.base)) == (whole.ROUNDS, tuple(range(whole.SEEDS)))
  assert resolved.base.evaluation.every == whole.EVERY
  for name, workload in whole.ARMS.items():
    arm, ours = config.as_dict(resolved.arms[name]), in_jax.config(workload)
    for section in ours.keys() - {"batch_size", "batch_unit", "game", "evaluation"}:
      assert config.as_dict(ours[section]) == arm[section], (name, section)
    assert resolve.build(arm).round_size == workload.batch * workload.pack
  torch, in_torch = (__import__(name) for name in ("torch", "in_torch"))
  for name in ("vanilla", "unrolled5"):
    torch.manual_seed(0)
    player = whole.glorot(torch, in_torch, whole.ARMS[name])
    weights = player._cut(player.flat) if name == "unrolled5" else list(player.discriminator.parameters())
    spread = [weight.std().item() for weight in weights[::2]]
    np.testing.assert_allclose(spread, [(2 / (2 + 128)) ** 0.5, (2 / (128 + 128)) ** 0.5, (2 / (128 + 1)) ** 0.5], rtol=0.2)
    assert not any(bias.any() for bias in weights[1::2])
