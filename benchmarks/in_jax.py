"""Our side: a game of gan_jax, advanced by the runner's own program (one XLA program, fused rounds, donated state)."""

import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from workloads import MODES, RADIUS, SIGMA, WEIGHTS, Workload

from gan_jax import core, data, gan, networks, objectives, optimizers, priors, transforms
from gan_jax.lab import resolve, train

PLAYERS = ("generator", "discriminator")


class Side:
  """One workload, compiled. `advance(n)` plays n rounds of every seed."""

  def __init__(self, workload: Workload):
    self.workload = workload
    self.recording: list[np.ndarray] | None = None
    self.data = data.ring(num_modes=MODES, radius=RADIUS, sigma=SIGMA, weights=WEIGHTS)
    adam = optimizers.adam(workload.learning_rate, b1=workload.b1, b2=workload.b2)
    net = lambda out: networks.mlp(out, workload.hidden, "tanh")
    game = gan(
      net(2), net(1), objectives.non_saturating(), prior=self._prior(), optimizers=dict.fromkeys(PLAYERS, adam)
    )
    if workload.unroll:
      game = transforms.unroll(game, workload.unroll)
    self.step = core.build(game).step
    shapes = resolve.trace(self.data, game, workload.batch)
    experiment = resolve.Experiment(data=self.data, game=game, round_size=workload.batch, shapes=shapes, place=lambda *_: game)
    self.program = train.program(experiment)
    self.keys = train.seed_keys(tuple(range(workload.seeds)))
    self.states = self.program.init(self.keys, self.data.table)
    self.totals = self.program.totals(workload.seeds)
    self.advance(0)  # compiles

  def advance(self, rounds: int) -> None:
    played = self.program.advance(self.states, self.totals, self.keys, self.data.table, np.int32(rounds))
    self.states, self.totals = jax.block_until_ready(played)

  def take_round(self, inputs: Path, outputs: Path) -> None:
    """Write to `inputs` what one round starts from (state, batch, latents), play it with the timed program, write `outputs`."""
    self.advance(3)  # so that the moments are no longer zero
    reals, latents = [], []
    for number in range(self.workload.seeds):
      state, keys = jax.tree.map(lambda x: x[number], (self.states, self.keys))
      # Played once by hand, op by op, only to see which latents the round draws, and in which order.
      with jax.disable_jit():
        batch = self.data.sample(jax.random.fold_in(keys["data"], state.step), self.workload.batch)
        self.recording = []
        self.step(state, batch, keys["run"])
      reals.append(np.asarray(batch["image"]))
      latents.append(np.stack(self.recording))
      self.recording = None
    np.savez(inputs, real=np.stack(reals), latents=np.stack(latents), **self._arrays())
    self.advance(1)
    np.savez(outputs, **self._arrays())

  def finite(self) -> bool:
    return all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(self.states.params))

  def _prior(self) -> core.PyTree:
    prior = priors.normal(self.workload.latent)

    def sample(key: jax.Array, n: int) -> jax.Array:
      latent = prior.sample(key, n)
      if self.recording is not None:
        self.recording.append(np.asarray(latent))
      return latent

    return prior._replace(sample=sample)

  def _arrays(self) -> dict[str, np.ndarray]:
    """`PLAYER/KIND/LAYER/(kernel|bias)` -> `[S, ...]`, and the number of updates so far."""
    arrays = {}
    for player in PLAYERS:
      adam = self.states.opt_state[player][0]
      arrays[f"{player}/count"] = np.asarray(adam.count)
      for kind, tree in {"params": self.states.params[player], "mu": adam.mu, "nu": adam.nu}.items():
        for layer in range(len(tree)):
          for leaf in ("kernel", "bias"):
            arrays[f"{player}/{kind}/{layer}/{leaf}"] = np.asarray(tree[f"Dense_{layer}"][leaf])
    return arrays


def kernels() -> dict[str, float]:
  """Seconds of single operations inside a program, to see where a ratio comes from."""
  x = jax.random.normal(jax.random.key(0), (512, 128))
  weight = jax.random.normal(jax.random.key(1), (128, 128)) / 12
  noise = lambda carry: jax.random.normal(jax.random.fold_in(jax.random.key(0), carry[0, 0].astype(jnp.int32)), (512, 128))
  return {
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


def versions() -> dict[str, str]:
  import flax
  import jaxlib
  import optax

  return {"jax": jax.__version__, "jaxlib": jaxlib.__version__, "flax": flax.__version__, "optax": optax.__version__}
