"""Several processes, one run: every process computes, process 0 alone writes, and what it decides or fails at holds for all.

With one process every function here is the plain thing it is named after.
"""

import json
import os
import socket
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import NamedSharding

from gan_jax.core import PyTree
from gan_jax.lab import errors
from gan_jax.lab.errors import GanJaxError, UsageError

PATIENCE = 60.0  # seconds, for process 0 to come up
COUNTS = ("SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE")  # set by srun and mpirun: how many processes they started


def start(coordinator: str | None = None, num_processes: int | None = None, process_id: int | None = None) -> bool:
  """Join the other processes, before anything else asks JAX for its devices; False where nobody asked for any.

  By hand with all three; with "auto" as coordinator, or where srun or mpirun started more than one process, as `jax.distributed` finds its
  cluster. Otherwise this is the only process.

  Raises:
    UsageError: some of the three without the others, no cluster to be found, or no such coordinator.
  """
  if coordinator not in (None, "auto"):
    host, _, port = str(coordinator).rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 2**16:
      raise UsageError(f'--coordinator={coordinator}: needs HOST:PORT of process 0, or "auto"')
    if num_processes is None or process_id is None:
      raise UsageError("--coordinator=HOST:PORT needs --num-processes=N and --process-id=I as well")
    if num_processes < 1 or not 0 <= process_id < num_processes:
      raise UsageError(f"--process-id={process_id}: processes are numbered from 0 to {num_processes - 1} (--num-processes={num_processes})")
  elif num_processes not in (None, 1) or process_id not in (None, 0):
    raise UsageError("--num-processes and --process-id need --coordinator=HOST:PORT")
  elif coordinator is None and (num_processes == 1 or all(os.environ.get(name, "1") == "1" for name in COUNTS)):
    return False
  try:
    if coordinator in (None, "auto"):
      jax.distributed.initialize()
    else:
      _check_address(host, int(port), process_id == 0)  # JAX itself would abort, minutes later
      jax.distributed.initialize(coordinator, num_processes, process_id)
  except (ValueError, RuntimeError, OSError) as error:
    raise UsageError(f"--coordinator={coordinator or 'auto'}: cannot join the other processes ({str(error).splitlines()[0]})") from error
  return True


def first() -> bool:
  """Whether this is process 0, which writes."""
  return jax.process_index() == 0


def lead(function: Callable[[], Any]) -> Any:
  """What `function()` gives on process 0, where alone it is called, for all processes (it must be JSON); its error is everybody's.

  Raises:
    GanJaxError: of the same kind everywhere. RuntimeError: elsewhere, for any other error of process 0.
  """
  if jax.process_count() == 1:
    return function()
  result: Any = None
  caught: BaseException | None = None
  if first():
    try:
      result = {"value": function()}
    except BaseException as error:
      caught, result = error, {"error": type(error).__name__, "message": str(error)}
  result = json.loads(_share_bytes(json.dumps(result).encode()))
  if caught is not None:
    raise caught
  if "error" in result:
    kind = getattr(errors, result["error"], None)
    if isinstance(kind, type) and issubclass(kind, GanJaxError):
      raise kind(result["message"])
    raise RuntimeError(f"process 0 failed: {result['error']}: {result['message']}")
  return result["value"]


def anyone(flag: bool) -> bool:
  """Whether the flag is up on any process."""
  return bool(flag) if jax.process_count() == 1 else bool(np.any(multihost_utils.process_allgather(np.asarray(flag))))


def everyone(values: Sequence[float]) -> np.ndarray:
  """The numbers of each process, `[processes, n]`."""
  own = np.asarray(values, np.float32)
  return own[None] if jax.process_count() == 1 else np.asarray(multihost_utils.process_allgather(own))


def share(tree: PyTree) -> PyTree:
  """Process 0's arrays, on all; the others give arrays of the same shapes. Bit by bit."""
  if jax.process_count() == 1:
    return tree

  def leaf(x: Any) -> np.ndarray:
    x = np.asarray(x)
    return np.frombuffer(multihost_utils.broadcast_one_to_all(np.frombuffer(x.tobytes(), np.uint8)).tobytes(), x.dtype).reshape(x.shape)

  return jax.tree.map(leaf, tree)


def put(tree: PyTree, sharding: NamedSharding) -> PyTree:
  """Arrays that every process holds whole, laid out as `sharding` says."""
  if jax.process_count() == 1:
    return jax.device_put(tree, sharding)

  def leaf(x: Any) -> jax.Array:
    if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
      return jax.jit(jax.random.wrap_key_data)(leaf(jax.random.key_data(x)))
    host = np.asarray(x)
    return jax.make_array_from_callback(host.shape, sharding, lambda index: host[index])

  return jax.tree.map(leaf, tree)


def fetch(tree: PyTree, whole: NamedSharding) -> PyTree:
  """Arrays that lie over all devices, on one of this process; `whole` is the replicated sharding of their mesh."""
  if jax.process_count() == 1:
    return jax.device_put(tree, whole.mesh.devices.flat[0])
  return jax.tree.map(lambda x: x.addressable_data(0), jax.jit(lambda tree: tree, out_shardings=whole)(tree))


def _check_address(host: str, port: int, own: bool) -> None:
  """OSError: process 0 cannot listen there, or nobody does after PATIENCE seconds."""
  if own:
    with socket.socket() as listener:
      listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
      listener.bind(("", port))
    return
  deadline = time.monotonic() + PATIENCE
  while True:
    try:
      socket.create_connection((host, port), timeout=5).close()
      return
    except OSError as error:
      if time.monotonic() > deadline:
        raise OSError(f"nobody answers there: {error.strerror or error}") from error
    time.sleep(0.2)


def _share_bytes(content: bytes) -> bytes:
  size = int(multihost_utils.broadcast_one_to_all(np.asarray(len(content), np.int32)))
  padded = np.zeros(size, np.uint8)
  if first():
    padded[:] = np.frombuffer(content, np.uint8)
  return multihost_utils.broadcast_one_to_all(padded).tobytes()
