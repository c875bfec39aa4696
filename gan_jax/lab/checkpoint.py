"""Checkpoints of an arm: the whole state of every seed, by Orbax."""

import contextlib
import logging
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp

from gan_jax.lab.errors import CheckpointError, StorageError


class Checkpoints:
  """The two newest checkpoints in a directory. `save(step, tree)`; `restore(template)` gives the newest `(step, tree)`, or None."""

  def __init__(self, directory: Path):
    logging.getLogger("absl").setLevel(logging.ERROR)
    self.directory = directory
    with contextlib.suppress(FileExistsError):
      directory.mkdir(parents=True)
    options = ocp.CheckpointManagerOptions(max_to_keep=2, enable_async_checkpointing=False, cleanup_tmp_directories=True)
    self.manager = ocp.CheckpointManager(directory.absolute(), options=options)

  def save(self, step: int, tree: Any) -> None:
    try:
      self.manager.save(step, args=ocp.args.StandardSave(tree), force=True)
      self.manager.wait_until_finished()
    except OSError as error:
      raise StorageError(f"{self.directory}: cannot save a checkpoint: {error}") from error

  def restore(self, template: Any) -> tuple[int, Any] | None:
    step = self.manager.latest_step()
    if step is None:
      return None
    try:
      shapes = jax.tree.map(ocp.utils.to_shape_dtype_struct, template)
      tree = self.manager.restore(step, args=ocp.args.StandardRestore(shapes))
    except Exception as error:  # Orbax raises many kinds for one cause
      cause = str(error).splitlines()[0][:120]
      raise CheckpointError(f"{self.directory}: checkpoint {step} cannot be read ({cause}); remove it to go on without") from error
    return step, tree

  def close(self) -> None:
    self.manager.close()
