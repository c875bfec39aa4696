"""What an arm leaves behind: the scores of its final evaluation, and pictures of its samples and of their nearest training images."""

import functools
import warnings
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from gan_jax import core, metrics
from gan_jax.calls import Sampler
from gan_jax.data.base import Data, DataFormatError, take
from gan_jax.lab import config as configs
from gan_jax.lab import pictures, resolve, rundir
from gan_jax.lab.errors import DataError, StorageError, UsageError
from gan_jax.lab.program import Program

KEPT_SAMPLES = {True: 64, False: 512}  # images, points: samples kept for figures
MOST_CLASSES = 16  # up to here a grid has one row a class
COLUMNS = 8
LOOK_COLUMNS, LOOK_ROWS = 16, 4
NEIGHBOURS = 5  # nearest training images shown beside each of SHOWN samples
SHOWN = 8
MOST_TRAINING, MOST_BYTES = 10_000, 2**28  # training images that neighbours are looked for in
SPARE = 5
COMPARED = 200  # of them, whose own nearest neighbour says how near is near


def standards(directory: Path, experiments: Mapping[str, resolve.Experiment], evaluation: ConfigDict) -> None:
  """DIR/perfect.json, what a perfect sampler of the training law would score in this very evaluation, and DIR/identities.json, what each value
  hangs on beside its name; both are written once."""
  experiment = next(iter(experiments.values()))
  path = directory / "perfect.json"
  if not path.exists():
    settings = {"thresholds": tuple(evaluation.thresholds), "distances": evaluation.distances}
    try:
      values = metrics.perfect(experiment.data, evaluation.num_samples, **settings, metrics=experiment.metrics)
    except DataFormatError as error:
      raise DataError(f"evaluation: {error}") from error
    except ValueError as error:
      raise UsageError(f"evaluation: {error}") from error
    rundir.write_json(path, {name: float(value) for name, value in values.items()})
  if not (directory / "identities.json").exists():
    names = list(rundir.read_json(path))
    rundir.write_json(directory / "identities.json", metrics.identities(experiment.metrics, experiment.data, evaluation.num_samples, names=names))


def same_data(directory: Path, data: Data, remedy: str, allow: Collection[str] = ()) -> tuple[list[str], str] | None:
  """That the data are those which the run in this directory began with. Where they are not, and "data.files" is in `allow`: what they were, and are.

  Raises:
    DataError: other content, or, of files that are read as they are needed, other names, sizes or times.
  """
  if data.rows is None or not rundir.played(directory):
    return None
  try:
    records = rundir.read_json(directory / "identities.json").values()
    held = {record["real_source"] for record in records if record.get("split") == "training law" and record.get("real_source")}
  except (OSError, ValueError, AttributeError, TypeError):
    return None
  now = data.rows.source.identity
  if not held or now in held:
    return None
  if "data.files" in allow:
    return sorted(held), now
  raise DataError(
    f"{data.name}: not the data that {directory} began with (other content, or names, sizes or times of files);"
    f" use another --workdir, or, if only the files' times are others, run with {remedy}"
  )


def score(
  name: str, experiment: resolve.Experiment, config: ConfigDict, states: core.GanState, compiled: Program, keys: dict, folder: Path, title: str,
  step: int | None = None, failed: Collection[int] = (),
) -> None:  # fmt: skip
  """The final evaluation, of raw and averaged weights, at round `step` (the last one by default): FOLDER/results.csv, without the seeds that failed,
  and in FOLDER/samples
  final.npz (what the report shows), final_seedN.png, answers_seedN.png (of a generator that is given images) and training.gif."""
  evaluation, seeds, data = config.evaluation, configs.seeds(config), experiment.data
  given = compiled.conditions(keys["evaluate"], evaluation.num_samples)
  classes = np.asarray(given["condition"]) if data.num_classes is not None else None
  rows, all_counts, raw = [], [], np.zeros(())
  for weights, chosen in {"raw": states, **({"ema": core.with_ema(states)} if states.ema else {})}.items():
    samples = compiled.sample(chosen, keys["evaluate"], evaluation.num_samples, given)
    for number, (seed, drawn) in enumerate(zip(seeds, samples, strict=True)):
      values, counts = metrics.evaluate(
        drawn, data, thresholds=tuple(evaluation.thresholds), distances=evaluation.distances, metrics=experiment.metrics,
        conditions=None if classes is None else classes[number], **_halves(experiment, chosen, number),
        answer=_answer(data, compiled, chosen, keys["evaluate"], number),
      )  # fmt: skip
      if seed not in failed:
        rows += [(title, name, seed, step or config.num_steps, weights, metric, repr(float(value))) for metric, value in values.items()]
      all_counts += [counts] if weights == "raw" else []
    raw = samples if weights == "raw" else raw
  kept = _kept(raw, data, classes).astype(np.float32)
  arrays = {"raw": kept, "mode_counts": np.asarray(all_counts)}
  (folder / "samples").mkdir(parents=True, exist_ok=True)
  if len(data.shape) == 3:
    arrays |= _with_neighbours(raw[:, :SHOWN], data)
    for seed, images in zip(seeds, kept, strict=True):
      pictures.grid(images, folder / "samples" / f"final_seed{seed}.png", columns=COLUMNS)
    _answers_shown(experiment, compiled, states, keys["evaluate"], seeds, folder / "samples")
    pictures.film_of_run(folder / "samples")
  np.savez_compressed(folder / "samples" / "final.npz", **arrays)  # type: ignore[arg-type]
  rundir.write_rows(folder / "results.csv", rows)


class Neighbours(NamedTuple):
  images: np.ndarray  # [m, k, H, W, C]: the nearest training images of m samples, nearest first
  distances: np.ndarray  # [m, k]


def nearest(samples: np.ndarray, training: np.ndarray, k: int) -> Neighbours:
  """The k training images [N, H, W, C] nearest to each sample [m, H, W, C]: Euclidean distance of pixels. Not finite pixels count as 0."""
  flat, known = (np.nan_to_num(images.reshape(len(images), -1), posinf=0, neginf=0).astype(np.float32) for images in (samples, training))
  squares = (known**2).sum(1) - 2 * flat @ known.T
  close = np.argsort(squares, axis=1, kind="stable")[:, : k + SPARE]  # rounded; so a few more, sorted again exactly
  distances = np.linalg.norm(flat[:, None].astype(np.float64) - known[close], axis=-1)
  order = np.argsort(distances, axis=1, kind="stable")[:, :k]
  return Neighbours(training[np.take_along_axis(close, order, 1)], np.take_along_axis(distances, order, 1))


def training_images(data: Data) -> np.ndarray:
  """Up to 10,000 images of the training law (as many as fit in 256 MB), of a finite set all different ones: [N, H, W, C]."""
  most = min(MOST_TRAINING, MOST_BYTES // (4 * int(np.prod(data.shape))))
  key = jax.random.key(0)
  if data.rows is None:
    return np.asarray(data.sample(key, most)["image"])
  index = np.unique(np.asarray(data.rows.index(key, 4 * most)), axis=0)
  index = index[np.unique(np.linspace(0, len(index) - 1, min(len(index), most)).astype(int))]
  examples = take(data.rows.source, index, data.rows.columns)
  return np.asarray(data.rows.collate(jax.tree.map(jnp.asarray, examples))["image"])


def look(folder: Path, step: int, samples: np.ndarray, data: Data) -> None:
  """samples/round_XXXXXXX.png of an arm of images: samples `[S, n, H, W, C]` of fixed noise, one or more rows of 16 a seed; nothing for points.

  A picture that cannot be written is a warning: it never stops training.
  """
  if len(data.shape) != 3:
    return
  rows = max(1, LOOK_ROWS // len(samples))
  shown = np.asarray(samples[:, : rows * LOOK_COLUMNS], np.float32)
  blank = LOOK_COLUMNS * rows - shown.shape[1]
  shown = np.pad(shown, ((0, 0), (0, blank), *[(0, 0)] * 3), constant_values=1.0)
  try:
    pictures.grid(shown.reshape(-1, *shown.shape[2:]), folder / "samples" / f"round_{step:07d}.png", columns=LOOK_COLUMNS)
  except StorageError as error:
    reason = getattr(error.__cause__, "strerror", error)
    warnings.warn(f"{folder / 'samples'}: cannot write pictures ({reason}); training goes on", stacklevel=2)  # once


def _halves(experiment: resolve.Experiment, states: core.GanState, number: int) -> dict[str, Any]:
  """The generator of one seed as a function of the latent, for metrics that look for latents; nothing for one that takes conditions."""
  sampler = experiment.game.sample
  if not isinstance(sampler, Sampler) or set(experiment.data.abstract(1)) != {"image"}:
    return {}
  state = jax.tree.map(lambda leaf: leaf[number], states)
  halves = {"generate": jax.tree_util.Partial(sampler.unconditional, state), "latent": sampler.latent}
  return halves if sampler.sown is None else halves | {"sown": functools.partial(_sown, sampler, state)}


def _sown(sampler: Sampler, state: core.GanState, name: str, latent: Any) -> Any:
  assert sampler.sown is not None
  return jax.jit(sampler.sown, static_argnums=1)(state, name, latent, {})  # one program for all seeds: it is of the function


def _answer(data: Data, compiled: Program, states: core.GanState, keys: jax.Array, number: int) -> Callable[[np.ndarray, int], np.ndarray] | None:
  """What one seed makes of conditions, `(conditions [n, ...], draw) -> [n, *shape]`; None where its generator takes none."""
  if set(data.abstract(1)) == {"image"}:
    return None
  state, key = jax.tree.map(lambda leaf: leaf[number : number + 1], (states, keys))

  def answer(conditions: np.ndarray, draw: int) -> np.ndarray:
    drawn = jax.vmap(jax.random.fold_in, in_axes=(0, None))(key, draw)
    return compiled.sample(state, drawn, len(conditions), {"condition": jnp.asarray(conditions)[None]})[0]

  return answer


def _answers_shown(
  experiment: resolve.Experiment, compiled: Program, states: core.GanState, keys: jax.Array, seeds: tuple[int, ...], folder: Path
) -> None:  # fmt: skip
  """answers_seedN.png: images that were given, what each seed made of them (averaged weights, where there are any), and the data's own answers."""
  data = experiment.data
  condition = data.abstract(1).get("condition")
  if condition is None or condition.ndim != 4:
    return
  chosen = core.with_ema(states) if states.ema else states
  batch = jax.tree.map(np.asarray, data.sample(jax.random.key(0), LOOK_COLUMNS))
  given = pictures.of_condition(batch["condition"], data.shape)
  for number, seed in enumerate(seeds):
    answer = _answer(data, compiled, chosen, keys, number)
    assert answer is not None
    rows = np.concatenate([given, answer(batch["condition"], 0), batch["image"]])
    pictures.grid(rows, folder / f"answers_seed{seed}.png", columns=LOOK_COLUMNS, rows=("given", "answer", "data"))


def _kept(samples: np.ndarray, data: Data, classes: np.ndarray | None) -> np.ndarray:
  """Samples `[S, k, ...]` for figures: of few classes a row of 8 each, else the first."""
  if classes is None or data.num_classes is None or data.num_classes > MOST_CLASSES or len(data.shape) != 3:
    return samples[:, : KEPT_SAMPLES[len(data.shape) == 3]]
  return np.stack([pictures.by_class(images, own, data.num_classes, COLUMNS) for images, own in zip(samples, classes, strict=True)])


def _with_neighbours(samples: np.ndarray, data: Data) -> dict[str, np.ndarray]:
  """`neighbours` [S, m, 1 + k, H, W, C] uint8 (each sample, then its nearest training images), `neighbour_distances` [S, m, k], and
  `training_distance`: the median over training images of the distance to the nearest other one."""
  training = training_images(data)
  found = [nearest(images, training, NEIGHBOURS) for images in samples]
  own = nearest(training[np.unique(np.linspace(0, len(training) - 1, COMPARED).astype(int))], training, 2)
  shown = [np.concatenate([images[:, None], near.images], axis=1) for images, near in zip(samples, found, strict=True)]
  return {
    "neighbours": pictures.as_bytes(np.stack(shown)), "neighbour_distances": np.stack([near.distances for near in found]),
    "training_distance": np.median(own.distances[:, -1]),
  }  # fmt: skip
