"""`gan-jax export`: a generator by itself, weights and config in a folder that `gan_jax.load` reads, without the run it came from.

The folder holds model.safetensors, config.json, README.md (its results beside those of a perfect sampler) and SHA256SUMS.
"""

import csv
import hashlib
import inspect
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import safetensors.numpy

from gan_jax.calls import Sampler
from gan_jax.lab import config as configs
from gan_jax.lab import lookup, results, rundir, stored
from gan_jax.lab.errors import CheckpointError, StorageError, UsageError
from gan_jax.lab.formats import number
from gan_jax.lab.pretrained import CONFIG, FORMAT, PLAYER, SUMS, WEIGHTS, named, read_config

CARD = "README.md"
KEPT = ("game", "generator", "discriminator", "objective", "prior", "optimizers")  # sections that a game cannot be made without


def export(
  directory: str | os.PathLike, out: str | os.PathLike, *, arm: str | None = None, seed: int | None = None, weights: str = "raw",
  step: int | str | None = None,
) -> Path:  # fmt: skip
  """Write the generator of one arm (by default the only one) and seed to the folder `out`, whole or not at all; an earlier export is replaced.

  Raises:
    UsageError: no such arm or seed; a game whose samples are not G(latent); `out` is something else than an export.
    CheckpointError: no such checkpoint. StorageError: `out` cannot be written.
  """
  folder = Path(out)
  if folder.exists() and not (_is_export(folder) or (folder.is_dir() and not any(folder.iterdir()))):
    raise UsageError(f"--out={folder}: holds something else than an export; name a new folder")
  arm, config = stored.one_arm(directory, arm)
  trained = stored.restore(directory, arm, config, step)
  seed, states = stored.one_seed(trained, seed, weights)
  state = jax.tree.map(lambda leaf: np.asarray(leaf)[0], states)
  if not isinstance(trained.experiment.game.sample, Sampler):
    raise UsageError(f'arm "{arm}": its game does not draw its samples by play.sampler, so its generator cannot stand alone')
  described = _described(directory, trained, seed, weights)
  tensors = dict(named({"params": state.params[PLAYER], "network": state.model_state[PLAYER]["network"]}))
  files = {
    WEIGHTS: safetensors.numpy.save(tensors, {"format": FORMAT}),
    CONFIG: (json.dumps(described, indent=1, allow_nan=False) + "\n").encode(),
    CARD: _card(directory, described, tensors).encode(),
  }
  files[SUMS] = "".join(f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in files.items()).encode()
  temporary, old = (folder.with_name(f".{folder.name}.{end}") for end in ("new", "old"))
  try:
    for left in (temporary, old):
      shutil.rmtree(left, ignore_errors=True)
    for name, content in files.items():
      rundir.write(temporary / name, content)
    if folder.exists():
      folder.rename(old)
    temporary.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
  except OSError as error:
    raise StorageError(f"{folder}: cannot write: {error.strerror or error}") from error
  return folder


def _described(directory: str | os.PathLike, trained: stored.Trained, seed: int, weights: str) -> dict[str, Any]:
  """config.json."""
  config, data = configs.as_json(trained.config), trained.experiment.data
  sections = {name: config[name] for name in KEPT if config.get(name)}
  if "out" in inspect.signature(lookup.find("generator", sections["generator"]["name"], *lookup.NETWORKS)).parameters:
    sections["generator"].setdefault("out", list(data.shape))
  condition = data.abstract(1).get("condition")
  environment = _read_json(Path(directory) / "environment.json")
  return {
    "format": FORMAT, "library": "gan_jax", "experiment": _read_json(Path(directory) / "config.json").get("experiment"), "arm": trained.name,
    "seed": seed, "weights": weights, "step": trained.step, "data": data.name, "shape": list(data.shape),
    "value_range": list(data.value_range) if data.value_range else None, "num_classes": data.num_classes,
    "classes": list(data.rows.source.classes) if data.rows is not None and data.num_classes is not None else [],
    "vocabulary": list(data.vocabulary),
    "condition": None if condition is None else {"shape": list(condition.shape[1:]), "dtype": str(condition.dtype)},
    "sections": sections, "commit": environment.get("commit"), "versions": environment.get("versions") or {},
  }  # fmt: skip


def _card(directory: str | os.PathLike, described: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> str:
  """README.md: where the generator is from, how to load it, and its results with their perfect row."""
  arm, seed, weights, step = (described[name] for name in ("arm", "seed", "weights", "step"))
  count = sum(leaf.size for name, leaf in tensors.items() if name.startswith("params/"))
  draw = "generator.sample(jax.random.key(0), 64)" + ("  # classes 0, 1, 2, ... in turn" if described["num_classes"] else "")
  parts = [
    "---\nlibrary_name: gan_jax\ntags: [gan, jax, flax]\n---",
    f"# {described['experiment']}: {arm}, seed {seed}",
    f"A generator of {described['data']}, {'x'.join(map(str, described['shape']))}. {count:,} parameters: {weights} weights after {step:,} rounds.",
    f'```python\nimport gan_jax, jax\ngenerator = gan_jax.load("folder")\nsamples = {draw}\n```',
    "## Results",
  ]
  values = _results(Path(directory) / "results.csv", arm, weights, step)
  own = values.get(seed, {})
  if own:
    perfect = results.read_run(directory).perfect
    mean = {name: np.mean([held[name] for held in values.values() if name in held]) for name in own}
    table = [f"| metric | this seed | mean of {len(values)} seeds | perfect sampler |", "|---|---:|---:|---:|"]
    table += [f"| {name} | {number(own[name])} | {number(float(mean[name]))} | {number(perfect.get(name))} |" for name in own]
    parts += ["\n".join(table), "The last column is what a perfect sampler of the training law scores in the same evaluation: none can beat it."]
  else:
    parts.append(f"None: this arm has not been evaluated at round {step:,}.")
  parts.append(f"Commit of gan_jax: {described['commit'] or 'unknown'}. `sha256sum -c {SUMS}` checks the files.")
  return "\n\n".join(parts) + "\n"


def _results(path: Path, arm: str, weights: str, step: int) -> dict[int, dict[str, float]]:
  """seed -> metric -> value, of this very checkpoint."""
  found: dict[int, dict[str, float]] = {}
  if path.is_file():
    with path.open(newline="") as file:
      for row in csv.DictReader(file):
        if (row["arm"], row["weights"], row["step"]) == (arm, weights, str(step)):
          found.setdefault(int(row["seed"]), {})[row["metric"]] = float(row["value"])
  return found


def _is_export(folder: Path) -> bool:
  try:
    read_config(folder)
  except CheckpointError:
    return False
  return True


def _read_json(path: Path) -> dict[str, Any]:
  try:
    held = rundir.read_json(path)
  except (OSError, ValueError):
    return {}
  return held if isinstance(held, dict) else {}
