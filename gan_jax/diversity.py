"""Generator terms against collapse."""

import jax
import jax.numpy as jnp
from jax import Array

from gan_jax.play import Play, Term


def feature_matching(weight: float) -> Term:
  """weight * |E f(x) - E f(x')|^2, f = D's last hidden layer.

  Salimans et al., 2016 (arXiv:1606.03498), section 3.1. It matches first moments only, so alone it separates no modes beyond them.
  """

  def term(play: Play) -> Array:
    gap = play.mean(play.features(play.real), axis=0) - play.mean(play.features(play.fake), axis=0)
    return weight * jnp.square(gap).sum()

  return term


def mode_seeking(weight: float) -> Term:
  """weight / (mean |G(z1) - G(z2)| / mean |z1 - z2| + 1e-5), a ratio of batch means of absolute differences.

  Mao et al., 2019 (MSGAN, arXiv:1903.05628), eq. 4. The pairs are neighbouring rows of the batch, so both members meet the adversarial loss.
  Without a condition to respect, it rewards any spread of the outputs.
  """

  def term(play: Play) -> Array:
    (z1, z2), (x1, x2) = _pairs(play.latent), _pairs(play.generate(play.latent))
    ratio = play.mean(jnp.abs(x1 - x2)) / play.mean(jnp.abs(z1 - z2))
    return weight / (ratio + 1e-5)

  return term


def dsgan(weight: float, limit: float = jnp.inf) -> Term:
  """-weight * E min(|G(z1) - G(z2)|_1 / (|z1 - z2|_1 + 1e-5), limit), the second output held constant.

  Yang et al., 2019 (arXiv:1901.09024), eq. 4. Where the released code differs, this is the paper's: the code clamps the negative value, which
  makes its limit a no-op, and divides each norm by its number of coordinates (so its weight w is w * dim z / dim x here).
  """

  def term(play: Play) -> Array:
    (z1, z2), (x1, x2) = _pairs(play.latent), _pairs(play.generate(play.latent))
    ratio = _l1(x1 - jax.lax.stop_gradient(x2)) / (_l1(z1 - z2) + 1e-5)
    return -weight * jnp.minimum(ratio, limit).mean()

  return term


def bures(weight: float = 1.0) -> Term:
  """weight * Tr(C + C' - 2 (C C')^(1/2)), C and C' the covariances of D's centred, normalised features of real and fake.

  De Meulemeester et al., 2021 (BuresGAN, arXiv:2006.09096), eq. 2. With X, Y the `[B, F]` features, Tr (C C')^(1/2) is the nuclear norm of
  X Y^T / B. Needs neither an order of the samples nor signs of eigenvectors, unlike GDPP. The covariances are of the global batch, and averages
  as in the paper: the released code sums over the batch, so its weight 1 is weight B here.
  """

  def term(play: Play) -> Array:
    x, y = (_normalised(play.gather(play.features(inputs))) for inputs in (play.real, play.fake))
    cross = _nuclear_norm(x @ y.T / len(x))
    return weight * (jnp.square(x).sum() / len(x) + jnp.square(y).sum() / len(y) - 2 * cross)

  return term


@jax.custom_jvp
def _nuclear_norm(m: Array) -> Array:
  """The sum of the singular values of a square matrix; its gradient is the polar factor."""
  return (_polar(m) * m).sum()


@_nuclear_norm.defjvp
def _nuclear_norm_jvp(primals, tangents):
  factor = _polar(primals[0])
  return (factor * primals[0]).sum(), (factor * tangents[0]).sum()


@jax.custom_jvp
def _polar(m: Array) -> Array:
  """U V^T of a square m = U S V^T."""
  u, _, vt = jnp.linalg.svd(m)
  return u @ vt


@_polar.defjvp
def _polar_jvp(primals, tangents):
  """U K V^T, K_ij = (W - W^T)_ij / (s_i + s_j), W = U^T dm V. The SVD's own derivative divides by s_i - s_j, which is 0 beyond the number of
  features; with this one a transform may differentiate twice, as consensus does."""
  (m,), (dm,) = primals, tangents
  u, s, vt = jnp.linalg.svd(m)
  w, sums = u.T @ dm @ vt.T, s[:, None] + s
  there = sums > 1e-6 * s[0]
  return u @ vt, u @ (jnp.where(there, w - w.T, 0) / jnp.where(there, sums, 1)) @ vt


def _normalised(features: Array) -> Array:
  centred = features - features.mean(axis=0)
  return centred * jax.lax.rsqrt(jnp.square(centred).sum(axis=1, keepdims=True) + 1e-12)


def _pairs(x: Array) -> tuple[Array, Array]:
  """Rows 0, 2, 4, ... and 1, 3, 5, ...: the same pairs on one device and on many."""
  if len(x) % 2:
    raise ValueError(f"batch of {len(x)} cannot be cut into pairs; use an even one")
  return x[0::2], x[1::2]


def _l1(x: Array) -> Array:
  return jnp.abs(x).reshape(len(x), -1).sum(axis=1)


__all__ = ["bures", "dsgan", "feature_matching", "mode_seeking"]
