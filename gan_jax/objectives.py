"""Adversarial pairs: what D and G minimise, on logits. `s(x) = softplus(x) = -log sigmoid(-x)`, x = real, x' = fake."""

import jax
import jax.numpy as jnp
from jax import Array

from gan_jax.play import Objective, Play


def minimax(real_label: float = 1.0) -> Objective:
  """The original game, D: E s(-D(x)) + E s(D(x')), G: -E s(D(x')), which saturates where D wins.

  Goodfellow et al., 2014 (arXiv:1406.2661), eq. 1. `real_label` < 1 is one-sided label smoothing (Salimans et al., 2016): only D's target on
  real samples is softened; smoothing the fake target as well would change the optimal D.
  """

  def generator(play: Play) -> Array:
    return -jax.nn.softplus(play.fake_logits).mean()

  return Objective(_cross_entropy(real_label), generator)


def non_saturating(real_label: float = 1.0) -> Objective:
  """D: E s(-D(x)) + E s(D(x')), G: E s(-D(x')): the same fixed point as minimax, with a gradient where D wins.

  Goodfellow et al., 2014 (arXiv:1406.2661), section 3. `real_label` < 1 is one-sided label smoothing, as in `minimax`.
  """

  def generator(play: Play) -> Array:
    return jax.nn.softplus(-play.fake_logits).mean()

  return Objective(_cross_entropy(real_label), generator)


def least_squares(real_label: float = 1.0) -> Objective:
  """D: E (D(x) - a)^2 / 2 + E D(x')^2 / 2, G: E (D(x') - 1)^2 / 2, with a = real_label.

  Mao et al., 2017 (arXiv:1611.04076), eq. 9. Penalises fakes by their distance from the boundary, on either side.
  """

  def discriminator(play: Play) -> Array:
    return (jnp.square(play.real_logits - real_label).mean() + jnp.square(play.fake_logits).mean()) / 2

  def generator(play: Play) -> Array:
    return jnp.square(play.fake_logits - 1).mean() / 2

  return Objective(discriminator, generator)


def hinge() -> Objective:
  """D: E relu(1 - D(x)) + E relu(1 + D(x')), G: -E D(x').

  Lim & Ye, 2017 (arXiv:1705.02894); the usual partner of spectral normalisation.
  """

  def discriminator(play: Play) -> Array:
    return jax.nn.relu(1 - play.real_logits).mean() + jax.nn.relu(1 + play.fake_logits).mean()

  return Objective(discriminator, _raise_fakes)


def wasserstein() -> Objective:
  """D: E D(x') - E D(x), G: -E D(x'). D must be kept Lipschitz: by `clip_weights`, `wgan_gp`, `wgan_lp` or spectral norm.

  Arjovsky et al., 2017 (arXiv:1701.07875), eq. 2.
  """

  def discriminator(play: Play) -> Array:
    return play.fake_logits.mean() - play.real_logits.mean()

  return Objective(discriminator, _raise_fakes)


def relativistic_paired() -> Objective:
  """RpGAN, D: E s(-(D(x) - D(x'))), G: E s(-(D(x') - D(x))), over random pairs of real and fake.

  Jolicoeur-Martineau, 2018 (arXiv:1807.00734), eq. 6. With `r1` and `r2` it is R3GAN's loss (Huang et al., 2024, arXiv:2501.05441); alone it
  does not converge. G meets the real samples of D's first turn of the round again (R3GAN's code draws new ones).
  """

  def discriminator(play: Play) -> Array:
    return jax.nn.softplus(play.fake_logits - play.real_logits).mean()

  def generator(play: Play) -> Array:
    return jax.nn.softplus(play.real_logits - play.fake_logits).mean()

  return Objective(discriminator, generator)


def relativistic_average() -> Objective:
  """RaGAN, D: (E s(-(D(x) - E D(x'))) + E s(D(x') - E D(x))) / 2, and G with real and fake exchanged.

  Jolicoeur-Martineau, 2018 (arXiv:1807.00734), eq. 8. The inner means are over the global batch.
  """

  def ranked(play: Play, high: Array, low: Array) -> Array:
    return (jax.nn.softplus(play.mean(low) - high).mean() + jax.nn.softplus(low - play.mean(high)).mean()) / 2

  def discriminator(play: Play) -> Array:
    return ranked(play, play.real_logits, play.fake_logits)

  def generator(play: Play) -> Array:
    return ranked(play, play.fake_logits, play.real_logits)

  return Objective(discriminator, generator)


def _cross_entropy(real_label: float):
  def discriminator(play: Play) -> Array:
    on_real = real_label * jax.nn.softplus(-play.real_logits) + (1 - real_label) * jax.nn.softplus(play.real_logits)
    return on_real.mean() + jax.nn.softplus(play.fake_logits).mean()

  return discriminator


def _raise_fakes(play: Play) -> Array:
  return -play.fake_logits.mean()
