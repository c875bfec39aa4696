"""Checkpoints: what comes back is what was saved, or an error; whatever happens while saving, the older ones are still there.

Mutations tried by hand: an old checkpoint removed before the new one is finished (test_full_disk and two more), no digest (test_flipped_bit).
"""

import resource
import warnings
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest

from gan_jax.lab.checkpoint import Checkpoints
from gan_jax.lab.errors import CheckpointError, Preempted, StorageError, UsageError


def tree(value: float = 0.0):
  params = {"Dense_0": {"kernel": jnp.arange(12.0).reshape(3, 4) + value}, "scale": jnp.full((2,), 1.5, jnp.bfloat16)}
  return {
    "states": {"params": params, "opt_state": optax.adam(1e-3).init(params), "memory": {}, "key": jax.random.key(3), "step": jnp.int32(7)},
    "previous": np.arange(5, dtype=np.int32), "noise": np.random.default_rng(int(value)).random(10_000, np.float32),
  }  # fmt: skip


def same(left, right) -> bool:
  plain = lambda x: np.asarray(jax.random.key_data(x)) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else np.asarray(x)
  pairs = jax.tree.map(lambda a, b: a.dtype == b.dtype and plain(a).tobytes() == plain(b).tobytes(), left, right)
  return all(jax.tree.leaves(pairs))  # jax.tree.map refuses trees of other structure


def saved(folder: Path, values: dict[int, float | None], **settings) -> Checkpoints:
  checkpoints = Checkpoints(folder, **settings)
  for step, value in values.items():
    checkpoints.save(step, tree(step), None if value is None else {"modes": value})
  checkpoints.close()
  return checkpoints


def flip(folder: Path) -> None:
  """One bit in the middle of every file of values."""
  large = [path for path in folder.rglob("d/*") if path.is_file() and path.stat().st_size > 10_000]
  assert large
  for path in large:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 16
    path.write_bytes(content)


def test_gives_back_what_was_saved(tmp_path):
  saved(tmp_path / "c", {10: None})
  step, found = Checkpoints(tmp_path / "c").restore(jax.eval_shape(tree))
  assert step == 10 and same(found, tree(10))
  assert not [leaf for leaf in jax.tree.leaves(found["states"]["params"]) if not isinstance(leaf, np.ndarray)]
  step, plain = Checkpoints(tmp_path / "c").restore(None)
  assert same(plain["states"]["params"], tree(10)["states"]["params"])


@pytest.mark.parametrize("rule, kept, best", [
  (None, [4, 5], None), ("max modes", [2, 4, 5], 2), ("min modes", [1, 4, 5], 1),
])  # fmt: skip
def test_keeps_the_newest_and_the_best(tmp_path, rule, kept, best):
  checkpoints = saved(tmp_path, {1: 2, 2: 8, 3: 8, 4: float("nan"), 5: 3}, keep_best=rule)
  assert checkpoints.steps() == kept and checkpoints.best() == best
  again = Checkpoints(tmp_path, keep_best=rule)
  assert again.best() == best
  assert again.better({"modes": 8.5}) == (rule == "max modes") and again.better({"modes": 1.5}) == (rule == "min modes")
  assert not again.better({"modes": 8 if rule == "max modes" else 2}) and not again.better({"modes": float("inf")})
  if best:
    assert same(again.restore(jax.eval_shape(tree), "best")[1], tree(best))
  else:
    with pytest.raises(CheckpointError, match="no best checkpoint"):
      again.restore(jax.eval_shape(tree), "best")


def test_a_metric_that_is_not_there(tmp_path):
  checkpoints = Checkpoints(tmp_path, keep_best="min chrun")
  assert not checkpoints.better({"modes": 3.0})  # churn begins at the second check
  with pytest.raises(UsageError, match=r'metrics.jsonl has no chrun; did you mean "churn"\?'):
    checkpoints.better({"modes": 3.0, "churn": 0.5})
  checkpoints = Checkpoints(tmp_path, keep_best="min churn")
  assert [checkpoints.better(metrics) for metrics in ({"modes": 3.0}, {"churn": 0.5}, {"modes": 3.0})] == [False, True, False]


def test_keep_last(tmp_path):
  assert saved(tmp_path, dict.fromkeys((1, 2, 10, 9), None), keep_last=3).steps() == [2, 9, 10]


def test_arrays_may_change_at_once(tmp_path):
  """In place, and by donation to the next round."""
  array, device = np.zeros(1_000_000, np.float32), jnp.zeros(1_000_000)
  checkpoints = Checkpoints(tmp_path)
  checkpoints.save(1, {"array": array, "device": device})
  array += 1
  jax.jit(lambda x: x + 1, donate_argnums=0)(device).block_until_ready()
  checkpoints.close()
  _, found = checkpoints.restore({"array": array, "device": array})
  assert not found["array"].any() and not found["device"].any()


def test_full_disk(tmp_path):
  """No file may grow: the save that was started is an error at the next call, and the older checkpoint stays, alone."""
  checkpoints = saved(tmp_path, {1: None}, keep_last=1)
  limit = resource.getrlimit(resource.RLIMIT_FSIZE)
  big = {"noise": np.random.default_rng(0).random(100_000)}
  try:
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limit[1]))
    checkpoints.save(2, big)
    with pytest.raises(StorageError, match=r"cannot save checkpoint 2"):
      checkpoints.save(3, big)
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, limit)
  assert Checkpoints(tmp_path).steps() == [1]
  assert same(checkpoints.restore(jax.eval_shape(tree))[1], tree(1))
  checkpoints.save(3, big)  # there is room again
  checkpoints.close()
  assert checkpoints.steps() == [3] and [path.name for path in tmp_path.iterdir()] == ["3"]


def test_error_at_close_does_not_hide_another(tmp_path):
  limit = resource.getrlimit(resource.RLIMIT_FSIZE)
  try:
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limit[1]))
    with pytest.raises(ZeroDivisionError), Checkpoints(tmp_path) as checkpoints:
      checkpoints.save(2, {"noise": np.random.default_rng(0).random(100_000)})
      raise ZeroDivisionError
    with pytest.raises(StorageError), Checkpoints(tmp_path) as checkpoints:
      checkpoints.save(2, {"noise": np.random.default_rng(0).random(100_000)})
      raise Preempted("stopped with everything saved")
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, limit)


def test_flipped_bit(tmp_path):
  saved(tmp_path, {1: None, 2: None})
  flip(tmp_path / "2" / "default")
  checkpoints = Checkpoints(tmp_path)
  with pytest.warns(UserWarning, match=r"cannot read checkpoint 2 .*going back to 1"):
    step, found = checkpoints.restore(jax.eval_shape(tree))
  assert step == 1 and same(found, tree(1))
  with pytest.raises(CheckpointError, match="cannot read checkpoint 2"):
    checkpoints.restore(jax.eval_shape(tree), 2)
  checkpoints.save(2, tree(2))  # the run comes by again
  checkpoints.close()
  with warnings.catch_warnings():
    warnings.simplefilter("error")
    assert same(Checkpoints(tmp_path).restore(jax.eval_shape(tree))[1], tree(2))
  flip(tmp_path / "1" / "default")
  flip(tmp_path / "2" / "default")
  with pytest.raises(CheckpointError, match=r"cannot read checkpoint 2 \(.*\), 1 \(.*remove the folder"):
    Checkpoints(tmp_path).restore(jax.eval_shape(tree))


def test_what_a_killed_save_leaves_is_no_checkpoint(tmp_path):
  saved(tmp_path, {1: None})
  for left in ("2.orbax-checkpoint-tmp", "3"):
    (tmp_path / left).mkdir()
  (tmp_path / "notes.txt").write_text("mine")
  checkpoints = Checkpoints(tmp_path)
  assert checkpoints.steps() == [1] and checkpoints.restore(jax.eval_shape(tree))[0] == 1
  assert (tmp_path / "2.orbax-checkpoint-tmp").exists()  # reading changes nothing
  for step in (2, 3):
    checkpoints.save(step, tree(step))
  checkpoints.close()
  assert sorted(path.name for path in tmp_path.iterdir()) == ["2", "3", "notes.txt"]


def test_another_state_is_refused(tmp_path):
  checkpoints = saved(tmp_path, {1: None})
  wider = {**tree(), "previous": np.arange(6, dtype=np.int32)}
  with pytest.raises(CheckpointError, match=r"previous is int32\(5,\) there, int32\(6,\) here"):
    checkpoints.restore(wider)
  with pytest.raises(CheckpointError, match=r"more is absent there, float64\(\) here"):
    checkpoints.restore({**tree(), "more": np.zeros(())})
  with pytest.raises(CheckpointError, match=r"no checkpoint of round 4; there are 1"):
    checkpoints.restore(tree(), 4)


def test_nothing_saved(tmp_path):
  assert Checkpoints(tmp_path / "c").restore(jax.eval_shape(tree)) is None
  assert not (tmp_path / "c").exists()
  with pytest.raises(CheckpointError, match="there is none"):
    Checkpoints(tmp_path / "c").restore(jax.eval_shape(tree), 4)


def test_checkpoints_of_the_first_version(tmp_path):
  """Made by Orbax's manager alone, without a manifest."""
  options = ocp.CheckpointManagerOptions(max_to_keep=2, enable_async_checkpointing=False)
  whole = {key: value for key, value in tree(5)["states"].items() if key != "key"}
  with ocp.CheckpointManager(tmp_path, options=options) as manager:
    manager.save(5, args=ocp.args.StandardSave({"states": whole}))
  step, found = Checkpoints(tmp_path).restore({"states": whole})
  assert step == 5 and same(found["states"], whole)
