"""Views that do as much as D needs to stay honest: their strength follows how sure D is of the real examples, and is remembered in D's state."""

from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp
from jax import Array, lax

from gan_jax.core import PyTree
from gan_jax.play import Look, Play, View


def ada(of: View, target: float = 0.6, images: float = 500_000, every: int = 4, start: float = 0.0) -> View:
  """Adaptive discriminator augmentation: `of` acts on each example with the probability p, which follows r = E sign D(x).

  Every `every` turns of D, p += sign(mean r - target) * B * every / images, kept in [0, 1]: `images` real examples bring it from 0 to 1. Karras et
  al., 2020 (arXiv:2006.06676), section 3.1, with p from `start`. `of` is any view that throws coins, e.g. `bgc()` (theirs), `diff_augment()`, in two
  dimensions `instance_noise(sigma)`; of a chain each part throws its own. p is D's state, `["view"]["strength"]`.
  Traps: r is of the signs of D on augmented real examples (not of their mean, not of fakes, not the accuracy); the step is in images, or p depends
  on the batch size; G's turn sees the same p; past p = .8 or so augmentations begin to leak. Their code does not stop p at 1.

  Raises:
    ValueError: `of` packs or remembers, or the pace is not positive.
  """
  if of.size > 1 or of.init is not None:
    raise ValueError("ada moves the chance of an augmentation of single examples; put views that pack or remember beside it, not inside")
  init, update = _follow(target, images, every, start)

  def apply(x: Array, look: Look) -> Array:
    return of.apply(x, look._replace(chance=look.memory["strength"]))

  return View(apply, context=of.context, init=init, update=update)


def diffusion(
  sigma: float = 0.05,
  target: float = 0.6,
  images: float = 100_000,
  every: int = 4,
  shortest: int = 10,
  longest: int = 1000,
  steps: Literal["priority", "uniform"] = "priority",
  timestep: Literal["given", "hidden"] = "given",
) -> View:
  """Diffusion-GAN: D sees x_t = sqrt(a_t) x + sqrt(1 - a_t) sigma e after t steps of noise, and is told t; the chain's length T follows D.

  a_t = prod_{i <= t} (1 - b_i), b from 1e-4 to .02 in a straight line over T steps. Half of the examples are left clean (t = 0), the others draw t
  from 1..T, with weights proportional to t ("priority") or none. T = shortest + whole(p (longest - shortest)), and p follows r = E sign D(x_t) as in
  `ada`. Wang et al., 2023 (arXiv:2206.02262), with the clean half, target and pace of their code (whose weights are t - 1, and which draws 32
  values of t anew only every `every` turns). `context` is t / longest, `[B, 1]`, a further input of D ("given") or nothing ("hidden", their
  plug-in). The k-th real and the k-th fake example share t.
  Traps: sqrt(a_t), not a_t; noise on the real side alone; a T that D's accuracy, not its sign on real, moves; D told another t than was used.

  Raises:
    ValueError: 1 <= shortest <= longest does not hold, or a word that is not offered.
  """
  if not 1 <= shortest <= longest:
    raise ValueError(f"shortest = {shortest} and longest = {longest}; diffusion takes 1 <= shortest <= longest steps")
  if steps not in ("priority", "uniform") or timestep not in ("given", "hidden"):
    raise ValueError(f'steps = {steps!r}, timestep = {timestep!r}; diffusion knows "priority" and "uniform", "given" and "hidden"')
  init, update = _follow(target, images, every, 0.0)
  counts = jnp.arange(1, longest + 1)
  weights = counts if steps == "priority" else jnp.ones(longest, counts.dtype)

  def length(look: Look) -> Array:
    return shortest + jnp.round(look.memory["strength"] * (longest - shortest)).astype(jnp.int32)

  def drawn(n: int, look: Look) -> Array:
    share = jnp.cumsum(jnp.where(counts <= length(look), weights, 0).astype(jnp.float32))

    def sampler(key: Array, n: int) -> Array:
      clean, which = jax.random.split(key)
      t = 1 + jnp.searchsorted(share, jax.random.uniform(which, (n,)) * share[-1], side="right")
      return jnp.where(jax.random.uniform(clean, (n,)) < 0.5, 0, jnp.minimum(t, length(look)))

    return look.draw_alike(sampler, n)

  def apply(x: Array, look: Look) -> Array:
    last = length(look)
    rates = 1e-4 + (0.02 - 1e-4) * (counts - 1) / jnp.maximum(last - 1, 1)
    kept = jnp.concatenate([jnp.zeros(1), jnp.cumsum(jnp.log1p(-jnp.where(counts <= last, rates, 0)))])  # log a_t
    a = jnp.exp(kept)[drawn(len(x), look)].reshape(-1, *[1] * (x.ndim - 1))
    noise = look.draw(lambda key, n: jax.random.normal(key, (n, *x.shape[1:]), x.dtype), len(x))
    return jnp.sqrt(a) * x + jnp.sqrt(1 - a) * sigma * noise

  def context(n: int, look: Look) -> Array:
    return drawn(n, look)[:, None] / longest

  return View(apply, context=context if timestep == "given" else None, init=init, update=update)


def _follow(target: float, images: float, every: int, start: float) -> tuple[Callable[[], PyTree], Callable[[Play, PyTree], PyTree]]:
  """`init, update` of a strength in [0, 1] that rises while D is surer of the real examples than `target`."""
  for name, value in (("images", images), ("every", every)):
    if isinstance(value, int | float) and not value > 0:
      raise ValueError(f"{name} is {value}; the pace of an adaptive view is positive")

  def init() -> dict[str, Array]:
    return {"strength": jnp.asarray(start, jnp.float32), "signs": jnp.zeros(()), "turns": jnp.zeros((), jnp.int32)}

  def update(play: Play, memory: dict[str, Array]) -> dict[str, Array]:
    signs = memory["signs"] + play.mean(jnp.sign(play.real_logits))
    turns = memory["turns"] + 1
    due = turns % every == 0
    shown = len(play.examples) * (1 if play.axis_name is None else lax.axis_size(play.axis_name))  # not logits: packs have one, patches many
    step = jnp.sign(signs / every - target) * shown * every / images
    strength = jnp.where(due, jnp.clip(memory["strength"] + step, 0, 1), memory["strength"])
    return {"strength": strength, "signs": jnp.where(due, 0.0, signs), "turns": turns}

  return init, update


__all__ = ["ada", "diffusion"]
