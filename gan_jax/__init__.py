"""gan_jax: generative adversarial networks in JAX, for the question "does this cure mode collapse, and can I trust the answer?"."""

import importlib
from typing import Any

__version__ = "0.1.0"

_NAMES = {
  "Algorithm": "core", "Aux": "core", "Game": "core", "GanState": "core", "Player": "core", "build": "core", "take_turn": "core", "with_ema": "core",
  "Objective": "play", "Play": "play", "StatefulTerm": "play", "Term": "play", "View": "play", "gan": "play",
  "load": "lab.pretrained",
}  # fmt: skip
_MODULES = (
  "coverage", "data", "distributions", "diversity", "games", "lab", "metrics", "networks", "objectives", "optimizers", "penalties", "priors",
  "transforms", "views",
)  # fmt: skip

__all__ = [*_NAMES, *_MODULES]


def __getattr__(name: str) -> Any:
  """Public names are imported when first used, so that `gan-jax --help` does not wait for jax."""
  if name in _NAMES:
    value = getattr(importlib.import_module(f"gan_jax.{_NAMES[name]}"), name)
  elif name in _MODULES:
    value = importlib.import_module(f"gan_jax.{name}")
  else:
    raise AttributeError(f"module 'gan_jax' has no attribute {name!r}")
  globals()[name] = value
  return value


def __dir__() -> list[str]:
  return sorted([*globals(), *__all__])
