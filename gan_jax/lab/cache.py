"""Folders for what can be made again: compiled programs and fitted classifiers. One a user, closed to others."""

import os
import stat
import tempfile
import warnings
import zipfile
from collections.abc import Mapping

import numpy as np


def folder(name: str, path: str | None = None) -> str | None:
  """`path`, or `$GAN_JAX_CACHE/name`, or `~/.cache/gan_jax/name`, made with mode 0700 where it is not there.

  None, with a warning, for a folder that cannot be made or others may write to: who writes there chooses what we run.
  """
  root = os.environ.get("GAN_JAX_CACHE") or os.path.join(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "gan_jax")
  path = os.path.abspath(os.path.expanduser(path or os.path.join(root, name)))
  try:
    os.makedirs(path, mode=0o700, exist_ok=True)
    status = os.stat(path)
  except OSError as error:
    warnings.warn(f"no cache: {path}: {error.strerror}", stacklevel=2)
    return None
  others = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
  foreign = hasattr(os, "getuid") and status.st_uid not in (os.getuid(), 0)
  if others or foreign:
    warnings.warn(
      f"no cache: {path} {'belongs to another user' if foreign else 'can be written by others'}; chmod 700 it",
      stacklevel=2,
    )
    return None
  return path


def compile_to_disk() -> str | None:
  """Let JAX keep compiled programs between runs; says where, or None where it may not."""
  import jax

  path = folder("xla", os.environ.get("JAX_COMPILATION_CACHE_DIR"))
  jax.config.update("jax_compilation_cache_dir", path)
  jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
  return path


class ArrayCache:
  """Named arrays on disk, one npz a set; broken files are as if they were not there. It never unpickles."""

  def __init__(self, name: str):
    self.name = name

  def get(self, identity: str) -> Mapping[str, np.ndarray] | None:
    home = folder(self.name)
    if home is None:
      return None
    try:
      with np.load(os.path.join(home, f"{identity}.npz"), allow_pickle=False) as file:
        return {key: file[key] for key in file.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
      return None

  def put(self, identity: str, arrays: Mapping[str, np.ndarray]) -> None:
    home = folder(self.name)
    if home is None:
      return
    try:
      with tempfile.NamedTemporaryFile(dir=home, suffix=".npz", delete=False) as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
      os.replace(file.name, os.path.join(home, f"{identity}.npz"))
    except OSError as error:
      warnings.warn(f"not cached: {home}: {error.strerror}", stacklevel=2)
