"""Views: what the discriminator sees of an example, on real and fake alike."""

from collections.abc import Callable
from math import prod

import jax
import jax.numpy as jnp
from jax import Array

from gan_jax.adaptive_views import ada, diffusion
from gan_jax.augmentations import color, cutout, geometry, palette, translation
from gan_jax.core import PyTree
from gan_jax.play import Look, Play, View, identity


def pack(size: int) -> View:
  """PacGAN: D judges `size` examples together, `[B, ..., C] -> [B / size, ..., size * C]`, all real or all fake.

  Lin et al., 2018 (arXiv:1712.04086). The paper holds the number of packs, so D meets `size` times the samples; see `batch_unit` in a config.
  """
  if size < 1:
    raise ValueError(f"pack size is {size}; a pack holds at least 1 example")

  def apply(x: Array, look: Look) -> Array:
    if len(x) % size:
      raise ValueError(f"batch of {len(x)} cannot be cut into packs of {size}; use a multiple of {size}")
    packs = jnp.moveaxis(x.reshape(len(x) // size, size, *x.shape[1:]), 1, -2)  # [B / size, ..., size, C]
    return packs.reshape(*packs.shape[:-2], -1)

  return View(apply, size)


def instance_noise(sigma: float, decay_steps: int | None = None) -> View:
  """x + N(0, s^2), s = sigma * max(0, 1 - round / decay_steps), or sigma for ever without `decay_steps`.

  Sønderby et al., 2017 (arXiv:1610.04490); Arjovsky & Bottou, 2017 (arXiv:1701.04862). Noise makes the two supports overlap.
  """

  def apply(x: Array, look: Look) -> Array:
    scale = sigma if decay_steps is None else sigma * jnp.maximum(0.0, 1 - look.step / decay_steps)
    noise = look.draw(lambda key, n: jax.random.normal(key, (n, *x.shape[1:]), x.dtype), len(x))
    return look.sometimes(x, x + scale * noise)

  return View(apply)


def diff_augment() -> View:
  """DiffAugment, `color`, `translation` and `cutout` one after another, with their defaults: on real and fake images, for D and for G.

  Zhao et al., 2020 (arXiv:2006.10738). Helps where data are few; too strong for digits, whose class a shift or a hole may change.
  """
  return chain(color(), translation(), cutout())


def bgc() -> View:
  """ADA's pixel blitting, geometry and colours (`geometry`, `palette`), with their defaults; inside `ada(bgc())` at its probability.

  Karras et al., 2020 (arXiv:2006.06676), figure 4: the set that helped on all of their data.
  """
  return chain(geometry(), palette())


def chain(*views: View) -> View:
  """One view after another; each gets a key, and a memory, of its own. D is told what any of them has to tell, members of a pack side by side."""

  def own(look: Look, number: int) -> Look:
    return look.part(number)._replace(memory=look.memory[str(number)] if views[number].init is not None else ())

  def apply(x: Array, look: Look) -> Array:
    for number, view in enumerate(views):
      x = view.apply(x, own(look, number))
    return x

  def context(n: int, look: Look) -> Array:
    told, rows = [], n
    for number, view in enumerate(views):
      if view.context is not None:
        told.append(view.context(rows, own(look, number)))
      rows //= view.size
    return jnp.concatenate([x.reshape(rows, -1) for x in told], axis=-1)

  def init() -> dict:
    return {str(number): view.init() for number, view in enumerate(views) if view.init is not None}

  def update(play: Play, memory: dict) -> dict:
    return {number: _update(views[int(number)])(play, kept) for number, kept in memory.items()}

  told, remembers = (any(getattr(view, field) is not None for view in views) for field in ("context", "init"))
  return View(apply, prod(view.size for view in views), context if told else None, init if remembers else None, update if remembers else None)


def _update(view: View) -> Callable[[Play, PyTree], PyTree]:
  return view.update or (lambda play, memory: memory)


__all__ = [
  "ada", "bgc", "chain", "color", "cutout", "diff_augment", "diffusion", "geometry", "identity", "instance_noise", "pack", "palette", "translation",
]  # fmt: skip
