"""What the numbers hold for, and PyTorch's matrix library in full on processors that are not Intel's."""

import functools
import os
import platform
import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent

# MKL, inside PyTorch's wheels, asks these two before it uses its AVX-512 kernels; the answer is 0 on other makers' processors, and tanh is
# then 13 and a matrix product 2 times slower than the processor allows.
SHIM = "int mkl_serv_intel_cpu_true(void) { return 1; }\nint mkl_serv_intel_cpu(void) { return 1; }\n"


def intel_kernels(folder: Path) -> Path | None:
  """A library to preload so that MKL uses its best kernels; None where it does so by itself, or no C compiler is at hand."""
  fields = _cpuinfo()
  compiler = shutil.which("cc") or shutil.which("gcc")
  if fields.get("vendor_id") != "AuthenticAMD" or "avx512f" not in fields.get("flags", "").split() or compiler is None:
    return None
  source, library = folder / "shim.c", folder / "shim.so"
  source.write_text(SHIM)
  subprocess.run([compiler, "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
  return library


def has_compiler() -> bool:
  """Whether torch.compile finds what it needs."""
  return any(map(shutil.which, ("g++", "c++", "clang++")))


def describe() -> dict[str, str]:
  fields = _cpuinfo()
  vectors = [name for name in ("avx2", "avx512f", "amx_tile") if name in fields.get("flags", "").split()]
  cpu = fields.get("model name") or platform.processor() or platform.machine()
  if fields:
    cpu += f" (family {fields.get('cpu family')}, model {fields.get('model')}; {', '.join(vectors)})"
  return {
    "processor": f"{cpu}, {os.cpu_count()} cores",
    "system": platform.platform(),
    "python": platform.python_version(),
    "commit": commit(),
  }


@functools.cache
def commit() -> str:
  """The commit when this process first asks, with a mark where the package or this folder differs from it."""
  changed = output(["git", "status", "--porcelain", "--", "../gan_jax", "*.py"])
  return f"{output(['git', 'rev-parse', '--short', 'HEAD'])}{' with changes' if changed else ''}"


def output(command: list[str]) -> str:
  """What a command says, run here; "" where it fails, or is not there."""
  try:
    return subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=False).stdout.strip()
  except OSError:
    return ""


def _cpuinfo() -> dict[str, str]:
  path = Path("/proc/cpuinfo")
  lines = path.read_text().splitlines() if path.exists() else []
  return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines) if key.strip()}
