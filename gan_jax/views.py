"""Views: what the discriminator sees of an example, on real and fake alike."""

import jax
import jax.numpy as jnp
from jax import Array

from gan_jax.play import Look, View, identity


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
    return x + scale * look.draw(lambda key, n: jax.random.normal(key, (n, *x.shape[1:]), x.dtype), len(x))

  return View(apply)


def chain(*views: View) -> View:
  """One view after another; each gets a key of its own."""

  def apply(x: Array, look: Look) -> Array:
    for number, view in enumerate(views):
      x = view.apply(x, look._replace(key=jax.random.fold_in(look.key, number)))
    return x

  size = 1
  for view in views:
    size *= view.size
  return View(apply, size)


__all__ = ["chain", "identity", "instance_noise", "pack"]
