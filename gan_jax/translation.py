"""Generator terms of translation: what an answer has to do with the image it answers, and with the one that is known to be right.

All look at examples before the view, so that an augmentation never comes between an answer and its target.
"""

import jax.numpy as jnp
from jax import Array

from gan_jax.networks import resampling
from gan_jax.play import Play, Term


def reconstruction(weight: float, power: float = 1.0) -> Term:
  """weight * E mean |x - G(z, c)|^power over pixels, x the target that belongs to the condition c.

  Isola et al., 2017 (arXiv:1611.07004), eq. 3: power 1, weight 100. Alone it draws the median (power 2: the mean) of all targets that c allows.

  Raises:
    ValueError: the data has no condition, so no target either.
  """

  def term(play: Play) -> Array:
    _needs_condition(play, "reconstruction")
    distance = jnp.abs(play.examples - play.generate(play.latent))
    return weight * (distance if power == 1 else distance**power).mean()

  return term


def layer_matching(weight: float) -> Term:
  """weight * sum over D's layers, mean over its scales, of E mean |f(x, c) - f(G(z, c), c)|: the answer looks to D as its target does.

  pix2pixHD's feature matching, Wang et al., 2018 (arXiv:1711.11585), eq. 4; theirs is 10 with three layers. The pairs are those of the data: of
  the whole batch's mean features `feature_matching` speaks. D must sow its layers (`patch_discriminator`, `multiscale_discriminator`); the target
  is held constant only in so far as it does not hang on G.
  """

  def term(play: Play) -> Array:
    _needs_condition(play, "layer_matching")
    scales = [play.sown("layers", x) for x in (play.examples, play.generate(play.latent))]
    gaps = [jnp.abs(a - b).mean() for pair in zip(*scales, strict=True) for a, b in zip(*pair, strict=True)]
    return weight * jnp.stack(gaps).sum() / len(scales[0])

  return term


def lowres_consistency(weight: float) -> Term:
  """weight * E mean |down(G(z, c)) - c|, down the mean over blocks that makes the answer as small as the image c it enlarges.

  A pair of super-resolution says no more about the answer than this: all that is down-sampled to c would be right.
  """

  def term(play: Play) -> Array:
    _needs_condition(play, "lowres_consistency")
    answer = play.generate(play.latent)
    return weight * jnp.abs(resampling.pool(answer, answer.shape[1] // play.condition.shape[1]) - play.condition).mean()

  return term


def _needs_condition(play: Play, name: str) -> None:
  if play.condition is None:
    raise ValueError(f"{name} compares an answer with its target, and the data has no condition; set it in the data section")


__all__ = ["layer_matching", "lowres_consistency", "reconstruction"]
