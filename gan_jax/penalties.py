"""Discriminator terms. Gradient norms are summed over the coordinates of one D input (a whole pack, under packing) and averaged over the batch."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from gan_jax.core import own_rows
from gan_jax.diversity import information
from gan_jax.play import Look, Play, StatefulTerm, Term, View


def r1(gamma: float) -> Term:
  """Gradient penalty on real samples, gamma / 2 * E |grad D(x)|^2.

  Mescheder et al., 2018 (arXiv:1801.04406), eq. 9. Keeps D flat at the data, so D stops pushing G past it. Their code's reg_param is gamma / 2.
  """

  def penalty(play: Play) -> Array:
    return gamma / 2 * squared_gradient_norm(play.discriminate, play.real).mean()

  return penalty


def r2(gamma: float) -> Term:
  """Gradient penalty on fake samples, gamma / 2 * E |grad D(x')|^2. Mescheder et al., 2018 (arXiv:1801.04406), eq. 10."""

  def penalty(play: Play) -> Array:
    return gamma / 2 * squared_gradient_norm(play.discriminate, play.fake).mean()

  return penalty


def approximate_r1(weight: float, sigma: float = 0.01) -> Term:
  """R1 without a second derivative, weight * E (D(x) - D(x + sigma * e))^2, e ~ N(0, I) a coordinate.

  Lin et al., 2025 (APT, arXiv:2501.08316), who use weight 100 and sigma .01. To first order it is weight * sigma^2 * E |grad D(x)|^2,
  so it stands for `r1` with gamma = 2 * weight * sigma^2 (theirs: .02); one more forward of D, no double backward.
  Traps: sigma without weight says nothing, and gamma is not the weight; the difference is of order sigma * |grad D|, which bfloat16 logits cannot
  hold at sigma .01 and float32 ones not below about 1e-4; and it is as noisy as one random direction.
  """
  return _under_noise(weight, sigma, lambda play: (play.real, play.real_logits))


def approximate_r2(weight: float, sigma: float = 0.01) -> Term:
  """R2 without a second derivative, weight * E (D(x') - D(x' + sigma * e))^2: `approximate_r1` at the fakes, noise of its own.

  Lin et al., 2025 (arXiv:2501.08316) have R1 alone; its successor AAPT (arXiv:2506.09350) has both, with the relativistic loss, as R3GAN does.
  """
  return _under_noise(weight, sigma, lambda play: (play.fake, play.fake_logits))


def roth(gamma: float) -> Term:
  """gamma / 2 * (E (1 - p)^2 |grad D(x)|^2 + E p'^2 |grad D(x')|^2), p = sigmoid(D): the noise-induced regulariser of the Jensen-Shannon game.

  Roth et al., 2017 (arXiv:1705.09367), as in their code; they anneal gamma from 2 to .01. It is R1 and R2 where D is wrong, and leaves D alone
  where it is sure: E |grad log p|^2 + E |grad log (1 - p')|^2. Traps: the gradients are those of the logit, not of p; the weights have a gradient
  as well; the weight on real is 1 - p, the chance of being taken for fake.
  """

  def penalty(play: Play) -> Array:
    if len(play.real_logits) != len(play.real):
      count = len(play.real_logits) // len(play.real)
      raise ValueError(f"roth weighs an example by D's one logit of it; this D has {count} an example: use r1 and r2")
    on_real = jnp.square(jax.nn.sigmoid(-play.real_logits)) * squared_gradient_norm(play.discriminate, play.real)
    on_fake = jnp.square(jax.nn.sigmoid(play.fake_logits)) * squared_gradient_norm(play.discriminate, play.fake)
    return gamma / 2 * (on_real.mean() + on_fake.mean())

  return penalty


def consistency(weight: float, augmentation: View) -> Term:
  """CR, weight * E (D(x) - D(T(x)))^2, T an augmentation such as `views.translation()`; the game itself is played on plain examples.

  Zhang et al., 2020 (arXiv:1910.12027), weight 10. T acts on what D sees. Trap: the real side alone is made consistent, so G may learn T's
  artefacts: see `balanced_consistency`. In two dimensions T is `views.instance_noise(sigma)`.

  Raises:
    ValueError: an augmentation that packs, remembers or tells.
  """
  return _stays(augmentation, lambda play: weight * _shift(play, augmentation, 0, play.real, play.real_logits))


def balanced_consistency(weight_real: float, weight_fake: float, augmentation: View) -> Term:
  """bCR, weight_real * E (D(x) - D(T(x)))^2 + weight_fake * E (D(x') - D(T(x')))^2, for D alone.

  Zhao et al., 2021 (ICR, arXiv:2002.04724), weights 10 and 10. Both sides, so that T does not leak into G. Traps: G's loss has no such
  term (it would teach G to please T), and the adversarial logits are those of plain examples, or it is another method (DiffAugment).

  Raises:
    ValueError: an augmentation that packs, remembers or tells.
  """

  def penalty(play: Play) -> Array:
    on_real = _shift(play, augmentation, 0, play.real, play.real_logits)
    return weight_real * on_real + weight_fake * _shift(play, augmentation, 1, play.fake, play.fake_logits)

  return _stays(augmentation, penalty)


def wgan_gp(weight: float) -> Term:
  """Two-sided gradient penalty, weight * E (|grad D(u)| - 1)^2, at u uniform on segments between real and fake.

  Gulrajani et al., 2017 (arXiv:1704.00028), eq. 3. Their weight is 10 for images and .1 for 2-D toys.
  """

  def penalty(play: Play) -> Array:
    return weight * jnp.square(_norm(play.discriminate, _on_segments(play)) - 1).mean()

  return penalty


def wgan_lp(weight: float) -> Term:
  """One-sided gradient penalty, weight * E relu(|grad D(u)| - 1)^2, at u uniform on segments between real and fake.

  Petzka et al., 2018 (arXiv:1709.08894), eq. 8. Only slopes above 1 are punished, as Lipschitz continuity asks.
  """

  def penalty(play: Play) -> Array:
    return weight * jnp.square(jax.nn.relu(_norm(play.discriminate, _on_segments(play)) - 1)).mean()

  return penalty


def zero_gp(weight: float) -> Term:
  """Zero-centred gradient penalty, weight * E |grad D(u)|^2, at u uniform on segments between real and fake.

  Thanh-Tung et al., 2019 (arXiv:1902.03984), section 5.
  """

  def penalty(play: Play) -> Array:
    return weight * squared_gradient_norm(play.discriminate, _on_segments(play)).mean()

  return penalty


def dragan(weight: float, scale: float = 0.5) -> Term:
  """Gradient penalty around the data, weight * E (|grad D(x + a * scale * std(X) * u)| - 1)^2, a ~ U[0,1] per sample, u ~ U[0,1] per coordinate.

  Kodali et al., 2017 (arXiv:1705.07215), as in their code: the noise is positive, and std(X) is one number for the whole batch.
  """

  def penalty(play: Play) -> Array:
    x = play.real
    std = jnp.sqrt(play.mean(jnp.square(x - play.mean(x))))

    def noise(key: Array, n: int) -> Array:
      far, near = jax.random.split(key)
      return jax.random.uniform(far, (n, *[1] * (x.ndim - 1))) * jax.random.uniform(near, (n, *x.shape[1:]))

    near = x + scale * std * play.draw(noise, len(x))
    return weight * jnp.square(_norm(play.discriminate, near) - 1).mean()

  return penalty


def lecam(weight: float, decay: float = 0.99, start: int = 0) -> StatefulTerm:
  """weight * (E relu(D(x) - a_fake)^2 + E relu(a_real - D(x'))^2), a_real and a_fake moving averages of D's mean logits.

  Tseng et al., 2021 (arXiv:2104.03310), eq. 7, with the ReLU of their code (the paper has none). The averages run from 0 and from the first
  round on; the term applies from round `start` on (their code: 1000, until when it holds the last values instead of averages).
  """

  def init() -> dict[str, Array]:
    return {"real": jnp.zeros(()), "fake": jnp.zeros(())}

  def apply(play: Play, memory: dict[str, Array]) -> tuple[Array, dict[str, Array]]:
    now = {"real": play.mean(play.real_logits), "fake": play.mean(play.fake_logits)}
    memory = jax.tree.map(lambda old, new: decay * old + (1 - decay) * jax.lax.stop_gradient(new), memory, now)
    on_real = jnp.square(jax.nn.relu(play.real_logits - memory["fake"])).mean()
    on_fake = jnp.square(jax.nn.relu(memory["real"] - play.fake_logits)).mean()
    return jnp.where(play.state.step >= start, weight, 0.0) * (on_real + on_fake), memory

  return StatefulTerm(init, apply)


def squared_gradient_norm(function: Callable[[Array], Array], x: Array) -> Array:
  """|grad f(x_i)|^2 of each row, summed over its coordinates: `[B, ...] -> [B]`."""
  gradient = jax.grad(lambda x: function(x).sum())(x)
  return jnp.square(gradient).reshape(len(x), -1).sum(axis=1)


def mismatched(weight: float) -> Term:
  """weight * E s(D(x, c')), c' the condition of another real example, s = softplus: a right image with a wrong condition is wrong.

  Reed et al., 2016 (arXiv:1605.05396), section 4.1, who weigh it as half of the fakes (.5). Without it D can get by on images alone, and G with it.
  Each image meets the condition of the next row. Traps: classes of few values match by chance; packs and unconditional games have none to exchange.

  Raises:
    ValueError: the data has no condition.
  """

  def term(play: Play) -> Array:
    if play.condition is None:
      raise ValueError("mismatched exchanges conditions, and the data has none; set it in the data section")
    others = jax.tree.map(lambda c: own_rows(jnp.roll(play.gather(c), -1, axis=0), len(c), play.axis_name), play.condition)
    return weight * jax.nn.softplus(play.under(play.real, others)).mean()

  return term


def _under_noise(weight: float, sigma: float, of: Callable[[Play], tuple[Array, Array]]) -> Term:
  def penalty(play: Play) -> Array:
    x, logits = of(play)
    noise = play.draw(lambda key, n: jax.random.normal(key, (n, *x.shape[1:]), x.dtype), len(x))
    return weight * jnp.square(logits - play.discriminate(x + sigma * noise)).mean()

  return penalty


def _shift(play: Play, augmentation: View, number: int, x: Array, logits: Array) -> Array:
  look = Look(play.key, play.state.step, play.axis_name).part(number)
  return jnp.square(logits - play.discriminate(augmentation.apply(x, look))).mean()


def _stays(augmentation: View, penalty: Term) -> Term:
  if augmentation.size > 1 or augmentation.context is not None or augmentation.init is not None:
    raise ValueError("consistency compares an example with an augmented one; its augmentation cannot pack, remember or tell D more")
  return penalty


def _norm(function: Callable[[Array], Array], x: Array) -> Array:
  return jnp.sqrt(squared_gradient_norm(function, x) + 1e-12)  # the square root has no gradient at 0


def _on_segments(play: Play) -> Array:
  shape = [1] * (play.real.ndim - 1)
  t = play.draw(lambda key, n: jax.random.uniform(key, (n, *shape)), len(play.real))
  return play.real + t * (play.fake - play.real)


__all__ = [
  "approximate_r1", "approximate_r2", "balanced_consistency", "consistency", "dragan", "information", "lecam", "mismatched", "r1", "r2", "roth",
  "wgan_gp", "wgan_lp", "zero_gp",
]  # fmt: skip
