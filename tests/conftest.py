"""What every test starts from: eight CPU devices, one BLAS thread, and compiled programs kept on disk between runs.

Run the tests on an accelerator with JAX_PLATFORMS set. pytest puts this directory on the path, so that `import games` finds the table.
"""

import os
from importlib.metadata import version
from pathlib import Path

# Before numpy and jax are imported. LAPACK inside a vmapped loop otherwise spins on every core.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Subprocesses inherit it, and so does the command line under test.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path(__file__).parent.parent / ".cache" / "xla"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
# No LLVM optimiser and the plain emitters of loops: half the compile time, for programs that run a few rounds. XLA_FLAGS="" tests as users compile.
EMITTERS = " --xla_cpu_use_fusion_emitters=false" if version("jaxlib").startswith("0.10.") else ""  # XLA aborts on a flag that it does not know
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0" + EMITTERS)
Path(os.environ["JAX_COMPILATION_CACHE_DIR"]).mkdir(mode=0o700, parents=True, exist_ok=True)

import jax  # noqa: E402

jax.config.update("jax_num_cpu_devices", 8)  # no XLA_FLAGS: subprocesses are not to see eight devices

from hypothesis import settings  # noqa: E402

from gan_jax.data.triangles import verifier  # noqa: E402

verifier.CHUNK = 16  # images that are read at once, and padded to: tests read few

settings.register_profile("repeatable", derandomize=True)  # a red run can be run again; HYPOTHESIS_PROFILE=default searches anew
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))
