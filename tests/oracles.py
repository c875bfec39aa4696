"""Other people's implementations, on given features. Optional: a test that wants one is skipped where it is not installed."""

import sys
import types

import pytest


def torch_fidelity():
  """The package, whose metrics on given features need torch and no torchvision, which it imports for its own data sets; or a skip."""
  pytest.importorskip("torch")
  try:
    import torch_fidelity
  except ImportError:
    pytest.importorskip("tqdm")
    added = {name: types.ModuleType(name) for name in TORCHVISION if name not in sys.modules}
    sys.modules.update(added)
    for name in ("CIFAR10", "STL10", "CIFAR100"):
      setattr(sys.modules["torchvision.datasets"], name, type(name, (), {}))
    for child in TORCHVISION[1:]:
      parent, _, last = child.rpartition(".")
      setattr(sys.modules[parent], last, sys.modules[child])
    try:
      torch_fidelity = pytest.importorskip("torch_fidelity", exc_type=ImportError)
    finally:
      for name in added:
        del sys.modules[name]
  return torch_fidelity


TORCHVISION = ["torchvision", "torchvision.datasets", "torchvision.transforms", "torchvision.transforms.functional"]
