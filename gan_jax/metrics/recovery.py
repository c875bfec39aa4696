"""Can the generator make a given image at all? Search the latent for it."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array, lax

from gan_jax.data.base import Data
from gan_jax.metrics.base import Context, Identity, Metric, against, identity_of, whole
from gan_jax.metrics.neighbours import squared_distances

NEAREST = 10_000  # draws of the training law among which a perfect sampler's nearest to a held-out image is sought


def ivom(*, targets: int = 100, starts: int = 3, steps: int = 300, learning_rate: float = 0.05, seed: int = 0,
         held_out: Data | None = None) -> Metric:
  """Inference via optimisation: min_z mean_pixels (G(z) - x)^2, for images x of the training set and, where given, of a held-out one.

  Metz et al., 2017 (arXiv:1611.02163). Adam from `starts` draws of the prior, the best of which counts; all run as one batch. Images are taken to
  [0, 1], so errors are a quarter of those in [-1, 1]. Values, for "train" and "heldout":
    ivom_mse01_train_nT           mean over the T targets of the least error
    ivom_sd01_train_nT            standard deviation over targets
    ivom_unconverged_train_nT     share of targets that still gained 1 % in the last tenth of the steps

  A collapsed generator has high errors; one that learned by heart low ones on train and high ones on held-out images. A perfect sampler of the
  training law scores 0 on train, and on held-out images at most the error of the nearest of 10,000 training images, which is what its row says.

  Traps: steps, starts, optimiser and range decide the number, so values compare within one setting alone; the latent is free to leave the
  prior's support; with batch statistics of BatchNorm at evaluation the targets disturb one another. Absent where no generator is at hand, or a
  conditional one.

  >>> from gan_jax.data import ring
  >>> list(ivom(targets=50).identity(ring()))
  ['ivom_mse01_train_n50', 'ivom_sd01_train_n50', 'ivom_unconverged_train_n50']
  """
  whole("targets", targets)
  whole("starts", starts)
  whole("steps", steps, 10)
  sets = {"train": None, "heldout": held_out} if held_out is not None else {"train": None}

  def names(split: str) -> tuple[str, str, str]:
    return f"ivom_mse01_{split}_n{targets}", f"ivom_sd01_{split}_n{targets}", f"ivom_unconverged_{split}_n{targets}"

  def score(samples: np.ndarray, context: Context) -> dict[str, float]:
    if context.generate is None or context.latent is None:
      return {}
    generate = context.generate if isinstance(context.generate, jax.tree_util.Partial) else jax.tree_util.Partial(context.generate)
    values: dict[str, float] = {}
    for split, reference in sets.items():
      real = against(context, reference).real(targets)
      wanted = jnp.asarray(np.repeat(real, starts, axis=0))
      z = context.latent(jax.random.fold_in(jax.random.key(seed), 1), len(wanted))  # not the key that drew the images
      if not all(jnp.issubdtype(leaf.dtype, jnp.floating) for leaf in jax.tree.leaves(z)):
        raise ValueError("ivom needs a latent of real numbers to search, and the prior draws integers")
      least, before = (np.asarray(error, np.float64).reshape(targets, starts).min(axis=1)
                       for error in recover(generate, z, wanted, learning_rate, steps))  # fmt: skip
      least = np.where(np.isfinite(least), least, np.inf)
      spread = float(least.std(ddof=1)) if targets > 1 and np.isfinite(least).all() else 0.0
      values |= dict(zip(names(split), (float(least.mean()), spread, float((least < 0.99 * before).mean())), strict=True))
    return values

  def perfect(context: Context) -> dict[str, float]:
    values = dict.fromkeys(names("train"), 0.0)
    if held_out is not None:
      flat = lambda images: np.asarray(images, np.float64).reshape(len(images), -1) / 2
      training = flat(context.data.sample(jax.random.key(seed + 1), NEAREST)["image"])
      wanted = flat(against(context, held_out).real(targets))
      least = np.concatenate([squared.min(axis=1) for _, squared in squared_distances(wanted, training)]) / wanted.shape[1]
      values |= dict(zip(names("heldout"), (float(least.mean()), float(least.std(ddof=1)) if targets > 1 else 0.0, 0.0), strict=True))
    return values

  def identity(data: Data) -> dict[str, Identity]:
    return {
      name: record
      for split, reference in sets.items()
      for name, record in identity_of(
        data, names(split), n=targets, reference=reference, starts=starts, steps=steps, learning_rate=learning_rate, seed=seed, range="[0, 1]",
        optimizer="adam",
      ).items()
    }  # fmt: skip

  return Metric(score, identity, None, perfect)


@jax.jit
def recover(generate: Any, z: Any, wanted: Array, learning_rate: float, steps: int) -> tuple[Array, Array]:
  """(least error [n] over all steps, least error [n] after nine tenths of them) of Adam on mean((G(z_i) - x_i)^2) / 4, each i by itself.

  generate: a `jax.tree_util.Partial`, whose parameters are arguments of the program, so that another seed's generator needs no new one.
  """
  adam = optax.adam(learning_rate)

  def errors(z: Any) -> Array:
    return ((generate(z) - wanted) ** 2).reshape(len(wanted), -1).mean(axis=1) / 4

  def total(z: Any) -> tuple[Array, Array]:
    each = errors(z)
    return each.sum(), each  # the derivative of the sum is that of each in its own row

  def step(number: Array, carry: tuple) -> tuple:
    z, memory, least, before = carry
    gradient, each = jax.grad(total, has_aux=True)(z)
    least = jnp.fmin(least, each)  # not a number once is not a number for ever
    updates, memory = adam.update(gradient, memory)
    return optax.apply_updates(z, updates), memory, least, jnp.where(number == steps * 9 // 10, least, before)

  start = jnp.full(len(wanted), jnp.inf)
  z, _, least, before = lax.fori_loop(0, steps, step, (z, adam.init(z), start, start))
  return jnp.fmin(least, errors(z)), before
