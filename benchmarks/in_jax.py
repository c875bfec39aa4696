"""Our side: a game of gan_jax, advanced by the runner's own program (one XLA program, fused rounds)."""

import time
from pathlib import Path
from typing import Any

import jax
import jax.extend
import jax.numpy as jnp
import numpy as np
from jax import lax
from workloads import IMAGES, MODES, RADIUS, SIGMA, WEIGHTS, Workload

from gan_jax import core, play
from gan_jax.data import base, sources
from gan_jax.lab import program, resolve

_options: dict[str, Any] = {"precision": "float32"}


def use(**options: Any) -> None:
  """How to run what is set up from now on: `precision` "float32", "tf32" or "bfloat16" (of the networks; parameters stay float32)."""
  _options.update(options)
  jax.config.update("jax_default_matmul_precision", {"float32": "highest", "tf32": "tensorfloat32"}.get(_options["precision"]))


def forget() -> None:
  """Drop what is compiled, so that it comes from the persistent cache."""
  jax.clear_caches()


def config(workload: Workload) -> dict[str, Any]:
  """The workload as an experiment's config."""
  w = workload
  ring = {"name": "ring", "num_modes": MODES, "radius": RADIUS, "sigma": SIGMA, "weights": WEIGHTS}
  dtype = {"dtype": "bfloat16"} if _options["precision"] == "bfloat16" else {}
  adam = {"name": "adam", **w.adam}
  return {
    "batch_size": w.batch,
    "batch_unit": "packs",
    "data": ring if len(w.shape) == 1 else {"name": "in_jax:images", "shape": w.shape},
    "generator": {**w.generator, **dtype},
    "discriminator": {**w.discriminator, **dtype},
    "objective": {"name": w.objective},
    "prior": {"name": "normal", "size": w.latent},
    "optimizers": {"generator": adam, "discriminator": adam},
    "discriminator_terms": w.terms,
    "generator_terms": {},
    "view": {"pack": {"size": w.pack}} if w.pack > 1 else {},
    "transforms": {"unroll": {"steps": w.unroll}} if w.unroll else {},
    "game": {"name": "gan"},
    "evaluation": {},
  }


def images(shape: tuple[int, ...]) -> base.Data:
  """Images of noise, drawn with replacement from a table on the device."""
  source = sources.memory(np.random.default_rng(0).integers(0, 256, (IMAGES, *shape), dtype=np.uint8))
  return base.from_rows("noise", tuple(shape), base.Rows(source, base.uniform(IMAGES), base.unconditional))


class Side:
  """One workload, compiled. `advance(n)` plays n rounds of every seed."""

  def __init__(self, workload: Workload):
    self.workload = workload
    experiment = resolve.build(config(workload))
    game = experiment.game._replace(turns=tuple((name,) for name in workload.turns))
    self.experiment = experiment._replace(game=game)
    self.program = program.program(self.experiment)
    self.table = experiment.data.table
    self.keys = program.seed_keys(tuple(range(workload.seeds)))
    self.states = self.program.init(self.keys, self.table)
    self.totals = self.program.totals(workload.seeds)
    self.advance(0)  # compiles

  def advance(self, rounds: int) -> None:
    played = self.program.advance(self.states, self.totals, self.keys, self.table, np.int32(rounds))
    self.states, self.totals = jax.block_until_ready(played)

  def take_round(self, inputs: Path, outputs: Path) -> None:
    """Write to `inputs` what one round starts from (state, batch, noise), play it with the timed program, write `outputs`."""
    self.advance(3)  # so that the moments are no longer zero
    drawn = [self._drawn(jax.tree.map(lambda x: x[number], (self.states, self.keys))) for number in range(self.workload.seeds)]
    reals, noises = zip(*drawn, strict=True)
    noise = {f"noise/{i}": np.stack(arrays) for i, arrays in enumerate(zip(*noises, strict=True))}
    np.savez(inputs, real=np.stack(reals), **noise, **self._arrays(("generator", "discriminator")))
    self.advance(1)
    np.savez(outputs, **self._arrays(self.workload.turns))

  def finite(self) -> bool:
    return all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(self.states.params))

  def _drawn(self, seed: Any) -> tuple[np.ndarray, list[np.ndarray]]:
    """The real examples of a seed's next round, and its noise in the order in which it is drawn.

    The round is traced without jit or loops while `play.draw` writes down what it gives; then nothing but those draws is compiled.
    """

    def draws(state: core.GanState, keys: Any, table: Any) -> Any:
      seen: list[Any] = []

      def draw(*arguments: Any) -> Any:
        seen.append(core.draw(*arguments))
        return seen[-1]

      batch = self.experiment.data.draw(table, jax.random.fold_in(keys["data"], state.step), self.experiment.round_size)
      play.draw = draw
      try:
        core.build(self.experiment.game._replace(patience=None)).step(state, batch, keys["run"])
      finally:
        play.draw = core.draw
      return batch["image"], seen

    with jax.disable_jit():
      traced, shapes = jax.make_jaxpr(draws, return_shape=True)(*seed, self.table)
    found = jax.jit(jax.extend.core.jaxpr_as_fun(traced))(*jax.tree.leaves((*seed, self.table)))
    image, seen = jax.tree.unflatten(jax.tree.structure(shapes), found)
    return np.asarray(image), [np.asarray(noise) for noise in seen]

  def _arrays(self, players: tuple[str, ...]) -> dict[str, np.ndarray]:
    """`PLAYER/(params|mu|nu)/LAYER/LEAF` and `PLAYER/u/LAYER` (spectral vectors) -> `[S, ...]`, and the number of updates so far."""
    arrays = {}
    for player in players:
      adam = self.states.opt_state[player][0]
      arrays[f"{player}/count"] = np.asarray(adam.count)
      for kind, tree in {"params": self.states.params[player], "mu": adam.mu, "nu": adam.nu}.items():
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
          arrays[f"{player}/{kind}/{jax.tree_util.keystr(path, simple=True, separator='/')}"] = np.asarray(leaf)
      for path, leaf in jax.tree_util.tree_leaves_with_path(self.states.model_state[player]["network"]):
        layer, _, end = jax.tree_util.keystr(path, simple=True, separator="/").removeprefix("batch_stats/").partition("/SpectralNorm_0/")
        if end.endswith("/u"):
          arrays[f"{player}/u/{layer}"] = np.asarray(leaf)[:, 0]
    return arrays


def kernels() -> dict[str, float]:
  """Seconds of single operations inside a program, to see where a ratio comes from, and what the machine can do at most."""
  x = jax.random.normal(jax.random.key(0), (512, 128))
  weight = jax.random.normal(jax.random.key(1), (128, 128)) / 12
  large = jax.random.normal(jax.random.key(1), (1024, 1024)) / 32
  noise = lambda carry: jax.random.normal(jax.random.fold_in(jax.random.key(0), carry[0, 0].astype(jnp.int32)), (512, 128))
  return {
    "matrix product 1024x1024x1024": _seconds(lambda x: x @ large, large, 3),
    "matrix product 512x128x128": _seconds(lambda x: x @ weight, x),
    "tanh 512x128": _seconds(jnp.tanh, x),
    "normal 512x128": _seconds(noise, x),
  }


def _seconds(function, x: jax.Array, repeats: int = 1000) -> float:
  program = jax.jit(lambda x: lax.fori_loop(0, repeats, lambda _, x: function(x), x)).lower(x).compile()
  times = []
  for _ in range(5):
    start = time.process_time()
    jax.block_until_ready(program(x))
    times.append((time.process_time() - start) / repeats)
  return float(np.median(times))


def peak(size: int) -> float:
  """Operations a second in a matrix product, by the wall clock."""
  dtype = jnp.bfloat16 if _options["precision"] == "bfloat16" else jnp.float32
  x = (jax.random.normal(jax.random.key(0), (size, size)) / size**0.5).astype(dtype)
  product = jax.jit(lambda x: lax.fori_loop(0, 10, lambda _, y: x @ y, x))
  times = []
  for _ in range(6):
    start = time.perf_counter()
    jax.block_until_ready(product(x))
    times.append((time.perf_counter() - start) / 10)
  return 2 * size**3 / min(times)


def versions() -> dict[str, str]:
  import flax
  import jaxlib
  import optax

  return {"jax": jax.__version__, "jaxlib": jaxlib.__version__, "flax": flax.__version__, "optax": optax.__version__}
