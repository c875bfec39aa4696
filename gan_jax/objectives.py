"""Adversarial pairs: what D and G minimise, on logits. `s(x) = softplus(x) = -log sigmoid(-x)`, x = real, x' = fake."""

from typing import Literal

import jax
import jax.numpy as jnp
from jax import Array

from gan_jax.core import own_rows
from gan_jax.f_divergences import jensen_shannon, kl, pearson_chi2, reverse_kl, squared_hellinger, total_variation
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


def alpha(alpha_d: float = 1.0, alpha_g: float = 1.0, generator: Literal["minimax", "non_saturating"] = "minimax") -> Objective:
  """(alpha_D, alpha_G)-GAN, D: E l(D(x)) + E l(-D(x')) with alpha_D, G: -E l(-D(x')) ("minimax") or E l(D(x')) ("non_saturating") with alpha_G.

  l(y) = (1 - sigmoid(y)^c) / c, c = (alpha - 1) / alpha, is alpha-loss; its limit at alpha = 1 is s(-y), so (1, 1) is `minimax` or
  `non_saturating`. alpha = 1/2 gives e^-y, infinity the probability of error; alpha in (0, inf]. The best D is data^a / (data^a + model^a),
  a = alpha_D. Welfert et al., 2023 (arXiv:2302.14320), who tune alpha_D < 1 against vanishing and alpha_G > 1 against exploding gradients.
  Trap: released code forms probabilities, clips them at 1e-7 and divides by alpha - 1, which has no gradient where a player is sure and is NaN at 1;
  here sigmoid^c is exp(-c s(-y)), from logits, and 1 is no special case.
  """

  def loss(logits: Array, alpha: float | Array) -> Array:
    surprise, power = jax.nn.softplus(-logits), 1 - 1 / jnp.asarray(alpha, logits.dtype)
    safe = jnp.where(power == 0, 1, power)
    return jnp.where(power == 0, surprise, -jnp.expm1(-safe * surprise) / safe)

  def discriminator(play: Play) -> Array:
    return loss(play.real_logits, alpha_d).mean() + loss(-play.fake_logits, alpha_d).mean()

  def saturating(play: Play) -> Array:
    return -loss(-play.fake_logits, alpha_g).mean()

  def flipped(play: Play) -> Array:
    return loss(play.fake_logits, alpha_g).mean()

  choices = {"minimax": saturating, "non_saturating": flipped}
  if generator not in choices:
    raise ValueError(f"generator is {generator!r}; it plays {' or '.join(map(repr, choices))}")
  return Objective(discriminator, choices[generator])


def top_k(of: Objective, share: float = 0.5, decay: float = 0.99, every: int = 1) -> Objective:
  """`of`, but G's gradient comes from the k fakes with the highest logits alone, as the mean over them; D's loss is that of `of`.

  k = ceil(B * max(share, decay^(rounds / every, whole))) of the global batch of B: all at first, `share` of them in the end. Sinha et al., 2020
  (arXiv:2002.06224), who decay by .99 an epoch down to B / 2 or 3 B / 4: set `every` to the rounds of an epoch. The value reported is
  that of `of` on the whole batch. Of an objective that compares with batch means (`relativistic_average`) the means stay those of all fakes.
  Traps: the highest LOGITS are meant, which are the lowest losses; picking the highest losses trains on the worst. And the method drops what D finds
  odd, so it lowers diversity on rare modes by design: look at the smallest mode's mass.

  Raises:
    ValueError: share is not in (0, 1], or G's loss of `of` is not made of logits (`mmd`, `sinkhorn`, `sliced_wasserstein`).
  """
  if not of.of_logits:
    raise ValueError("top_k keeps the fakes with the highest logits, and this objective compares whole batches; use one of logits, as non_saturating")
  if isinstance(share, float | int) and not 0 < share <= 1:
    raise ValueError(f"share is {share}; top-k keeps a share in (0, 1] of the fakes")

  def generator(play: Play) -> Array:
    everyone = play.gather(play.fake_logits)
    kept = jnp.ceil(len(everyone) * jnp.maximum(share, decay ** (play.state.step // every)) - 1e-4)  # .6 of 100 are 60
    rank = jnp.argsort(jnp.argsort(-everyone))
    best = own_rows(rank < kept, len(play.fake_logits), play.axis_name)
    chosen = jnp.where(best, play.fake_logits, jax.lax.stop_gradient(play.fake_logits))
    value = of.generator(play._replace(fake_logits=chosen))
    # A mean over B in which k have a gradient, to a mean over those k.
    return value + (len(everyone) / kept - 1) * (value - jax.lax.stop_gradient(value))

  return Objective(of.discriminator, generator)


def san(of: Objective) -> Objective:
  """Slicing adversarial network: D(x) = <w, h(x)>, |w| = 1; D's features h learn by `of` and the direction w by the Wasserstein loss.

  D: of(<sg(w), h>) + E <w, sg(h(x'))> - E <w, sg(h(x))>, sg a constant; G: as `of`. Takida et al., 2024 (arXiv:2301.12811), section 5. The direction
  then is the one that tells real from fake best along h, which makes D's distance one that G can follow. D's last layer is `SlicedDense`
  (`last = "SlicedDense"`). A penalty among the terms reaches w and h both.
  Traps: the two stops exchanged (as in one version of the authors' simple-san) trains h by Wasserstein without bound; a last layer with a free norm
  and a bias of its own is no slice.

  Raises:
    ValueError: an objective whose D is a map to features (`mmd`, `sinkhorn`).
  """
  if of.witness is not None:
    raise ValueError("san gives D's logit a direction, and this objective's D has none: it maps to features; use one of logits, as hinge")

  def discriminator(play: Play) -> Array:
    (real, w), (fake, _) = play.sown("slice", play.real), play.sown("slice", play.fake)
    held, direction = jax.lax.stop_gradient((real, fake)), jax.lax.stop_gradient(w)
    value = of.discriminator(play._replace(real_logits=real @ direction, fake_logits=fake @ direction))
    return value + (held[1] @ w).mean() - (held[0] @ w).mean()

  return Objective(discriminator, of.generator, of_logits=of.of_logits)


def _cross_entropy(real_label: float):
  def discriminator(play: Play) -> Array:
    on_real = real_label * jax.nn.softplus(-play.real_logits) + (1 - real_label) * jax.nn.softplus(play.real_logits)
    return on_real.mean() + jax.nn.softplus(play.fake_logits).mean()

  return discriminator


def _raise_fakes(play: Play) -> Array:
  return -play.fake_logits.mean()


__all__ = [
  "alpha", "hinge", "jensen_shannon", "kl", "least_squares", "minimax", "non_saturating", "pearson_chi2", "relativistic_average",
  "relativistic_paired", "reverse_kl", "san", "squared_hellinger", "top_k", "total_variation", "wasserstein",
]  # fmt: skip
