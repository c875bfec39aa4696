"""Discriminator terms. Gradient norms are summed over the coordinates of one D input (a whole pack, under packing) and averaged over the batch."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from gan_jax.play import Play, StatefulTerm, Term


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


def _norm(function: Callable[[Array], Array], x: Array) -> Array:
  return jnp.sqrt(squared_gradient_norm(function, x) + 1e-12)  # the square root has no gradient at 0


def _on_segments(play: Play) -> Array:
  shape = [1] * (play.real.ndim - 1)
  t = play.draw(lambda key, n: jax.random.uniform(key, (n, *shape)), len(play.real))
  return play.real + t * (play.fake - play.real)


__all__ = ["dragan", "lecam", "r1", "r2", "wgan_gp", "wgan_lp", "zero_gp"]
