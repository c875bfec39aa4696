"""A picture made of a background and of a subject before it, with no mask ever given: the generator draws the mask."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from gan_jax.calls import on_axis
from gan_jax.networks import settings


class Layered(nn.Module):
  """See `layered`."""

  background: nn.Module
  foreground: nn.Module
  reach: int
  shared: bool
  axis_name: str | None = None

  @nn.compact
  def __call__(self, z: Array, *condition: Array, train: bool) -> Array:
    z = settings.flat(z)
    rest, place = z[:, :-2], z[:, -2:]
    if rest.shape[1] < 2:
      raise ValueError(f"layered needs latents of four numbers at least, got {z.shape[1]}: two say where the foreground is, the rest draws")
    half = rest.shape[1] // 2
    seen = {"background": rest[:, :half], "foreground": rest if self.shared else rest[:, half:]}
    made = {name: on_axis(getattr(self, name), self.axis_name).clone(parent=self, name=f"{name}_network")(told, *condition, train=train)
            for name, told in seen.items()}  # fmt: skip
    below, above = made["background"], made["foreground"]
    if above.shape != (*below.shape[:3], below.shape[3] + 1):
      raise ValueError(
        f"layered needs a foreground of one channel more than the background's {below.shape[3]}, the mask, and of its size; "
        f"got {above.shape[1:]} before {below.shape[1:]}"
      )
    above = jnp.concatenate([above[..., :-1], (above[..., -1:] + 1) / 2], axis=-1)
    above = moved(above, jnp.round(self.reach * jax.lax.erf(place / jnp.sqrt(2.0))))
    front, alpha = above[..., :-1], above[..., -1:]
    self.sow("intermediates", "layers", {"background": below, "foreground": front, "alpha": alpha})
    return alpha * front + (1 - alpha) * below


def layered(background: nn.Module, foreground: nn.Module, *, reach: int = 0, shared: bool = False) -> Layered:
  """alpha * foreground + (1 - alpha) * background, of two generators: `[B, Z] (, condition) -> [B, H, W, C]`.

  After LR-GAN, Yang et al., 2017 (arXiv:1703.01560), with the perturbed composition of Bielski and Favaro, 2019 (arXiv:1905.12663): foreground and
  mask are moved together, before a background that stays. A mask that is 1 everywhere would uncover another background at a border, which no real
  picture shows. Against a mask that is 0 everywhere helps a background that cannot draw the subject, as of few and coarse maps. Layers of drawn
  examples: `Sampler.sown(state, "layers", latent, batch)`.

  The last two numbers of the latent are the place; of the rest the first half makes the background and the second half the foreground.

  Args:
    background: a generator of images of C channels.
    foreground: one of C + 1 channels in [-1, 1], of which the last is the mask, from 0 (-1) to 1.
    reach: pixels by which the foreground may be moved along either axis, in whole ones, uniformly for normal latents. What comes in from outside is
      covered by nothing.
    shared: let the foreground know the background's numbers too, as it must where one colour hangs on the other. It may then paint the background
      itself.

  Raises:
    ValueError: a negative reach; when called, too short a latent, or shapes that do not fit.
  """
  if reach < 0:
    raise ValueError(f"reach is {reach}; the foreground moves by 0 pixels or more")
  return Layered(background, foreground, reach, shared)


def moved(images: Array, by: Array) -> Array:
  """Images `[B, H, W, C]`, each moved down and right by whole numbers `by [B, 2]`; zeros come in."""

  def shift(length: int, by: Array) -> Array:
    """[B, to, from]."""
    place = jnp.arange(length)
    return (place[:, None] - place == by[:, None, None]).astype(images.dtype)

  rows, columns = shift(images.shape[1], by[:, 0]), shift(images.shape[2], by[:, 1])
  return jnp.einsum("bij,bjkc,blk->bilc", rows, images, columns)


__all__ = ["layered"]
