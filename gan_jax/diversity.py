"""Generator terms against collapse."""

from collections.abc import Sequence

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

  Mao et al., 2019 (MSGAN, arXiv:1903.05628), eq. 4. Without conditions the pairs are neighbouring rows of the batch, both of which meet the
  adversarial loss, and any spread of the outputs is rewarded. With conditions each row is made once more, of its neighbour's latent: a pair has one
  condition, which therefore pays for nothing, and costs one more forward of G.
  """

  def term(play: Play) -> Array:
    z1, z2, x1, x2 = _two_answers(play)
    ratio = play.mean(jnp.abs(x1 - x2)) / play.mean(jnp.abs(z1 - z2))
    return weight / (ratio + 1e-5)

  return term


def dsgan(weight: float, limit: float = jnp.inf) -> Term:
  """-weight * E min(|G(z1) - G(z2)|_1 / (|z1 - z2|_1 + 1e-5), limit), the second output held constant. Pairs as in `mode_seeking`.

  Yang et al., 2019 (arXiv:1901.09024), eq. 4. Where the released code differs, this is the paper's: the code clamps the negative value, which
  makes its limit a no-op, and divides each norm by its number of coordinates (so its weight w is w * dim z / dim x here).
  """

  def term(play: Play) -> Array:
    z1, z2, x1, x2 = _two_answers(play)
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


def gdpp(weight: float = 1.0, scale: float = 1e-4) -> Term:
  """weight * (scale * mean (l - l')^2 - sum_i u_i |<v_i, v'_i>|), l, v and l', v' the eigenpairs of the `[B, B]` kernels f f^T of real and fake.

  f are D's features, each row of length 1; u = (l - min l) / (max l - min l); pairs go by the order of the eigenvalues. Elfeki et al., 2019
  (arXiv:1812.00068), as in their code, which halves the sum with the adversarial loss (the paper sums |l - l'| with no scale).
  Traps: eigenvectors have no sign, so the code's <v, v'> is +- by chance, and its gradient with it: here the absolute value. They live on the index
  of the batch, where row k of real has nothing to do with row k of fake: the second part is not a property of the two distributions, whatever its
  sign; `gdpp_eigenvalues` is what is left without it, and `bures` compares covariances instead. Equal eigenvalues have no derivative of their
  vectors: directions within 1e-4 of the largest eigenvalue of each other are held. Cost: two eigenproblems of size B, on the global batch.
  """

  def term(play: Play) -> Array:
    (values, vectors), (fake_values, fake_vectors) = (_eigen(play.gather(play.features(x))) for x in (play.real, play.fake))
    importance = (values - values[0]) / (values[-1] - values[0] + 1e-12)
    alignment = (importance * jnp.abs((vectors * fake_vectors).sum(axis=0))).sum()
    return weight * (scale * jnp.square(values - fake_values).mean() - alignment)

  return term


def gdpp_eigenvalues(weight: float) -> Term:
  """weight * mean (l - l')^2: `gdpp` without the eigenvectors, which do not survive a change of the batch's order. The code's weight is 1e-4.

  Elfeki et al., 2019 (arXiv:1812.00068), the magnitude term. The spectrum of f f^T is that of the (uncentred) covariance of D's unit features: it
  says how many directions the fakes spread over, not which.
  """

  def term(play: Play) -> Array:
    (values, _), (fake_values, _) = (_eigen(play.gather(play.features(x))) for x in (play.real, play.fake))
    return weight * jnp.square(values - fake_values).mean()

  return term


def information(weight: float, categories: Sequence[int] = (10,), continuous: int = 0) -> Term:
  """InfoGAN, weight * E -log Q(c | x'): D's recognition head must read the code off the fake, `-L_I` up to the code's entropy.

  Chen et al., 2016 (arXiv:1606.03657), eq. 5: cross-entropy for each category, (c - mean)^2 / 2 for a continuous code (Q of variance 1, as in their
  code). Three parts belong together: the latents end with the code (`priors.coded`, same `categories` and `continuous`), D has a head of
  sum(categories) + continuous outputs (`across = recognition(size)`), and the term is in both players' terms, since Q learns in D's turn as in
  G's. Traps: a term for G alone leaves Q as it was born; Q reads fakes only, never real samples.

  Raises:
    ValueError: latents without such a code, a head of another size, or packs, which have several codes.
  """
  width = sum(categories) + continuous

  def term(play: Play) -> Array:
    guess = play.sown("recognition", play.fake)
    if not isinstance(play.latent, jax.Array) or play.latent.ndim != 2 or play.latent.shape[1] <= width:
      raise ValueError(f"information reads a code of {width} numbers at the end of z; use priors.coded with the same categories and continuous")
    if guess.shape != (len(play.latent), width):
      raise ValueError(f"the recognition head gives {guess.shape[1:]} for {len(guess)} inputs of D; {len(play.latent)} codes of {width} need reading")
    code, start, surprise = play.latent[:, -width:], 0, jnp.zeros(len(guess))
    for size in categories:
      surprise -= (code[:, start : start + size] * jax.nn.log_softmax(guess[:, start : start + size])).sum(axis=1)
      start += size
    return weight * (surprise + jnp.square(code - guess)[:, start:].sum(axis=1) / 2).mean()

  return term


def _eigen(features: Array) -> tuple[Array, Array]:
  f = features * jax.lax.rsqrt(jnp.square(features).sum(axis=1, keepdims=True) + 1e-12)
  return _eigh(f @ f.T)


@jax.custom_jvp
def _eigh(m: Array) -> tuple[Array, Array]:
  """Eigenvalues, the smallest first, and the eigenvectors as columns."""
  values, vectors = jnp.linalg.eigh(m)
  return values, vectors


@_eigh.defjvp
def _eigh_jvp(primals, tangents):
  """dl = diag W, dv_j = sum_i v_i W_ij / (l_j - l_i), W = V^T dm V, over pairs that are apart: XLA's own rule is NaN at equal eigenvalues."""
  values, vectors = _eigh(primals[0])
  w = vectors.T @ tangents[0] @ vectors
  gaps = values - values[:, None]
  apart = jnp.abs(gaps) > 1e-4 * values[-1]
  return (values, vectors), (jnp.diagonal(w), vectors @ (jnp.where(apart, w, 0) / jnp.where(apart, gaps, 1)))


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


def _two_answers(play: Play) -> tuple[Array, Array, Array, Array]:
  """Latents and outputs (z1, z2, G(z1), G(z2)), pair by pair with one condition.

  Without conditions the pairs are neighbours in the batch, and nothing is computed twice. With them every row meets its neighbour's latent too.
  """
  if not isinstance(play.latent, jax.Array):
    raise ValueError("mode_seeking and dsgan measure how far latents are apart, and this prior's have components as well; use another prior or term")
  first, second = _pairs(play.latent)
  if play.condition is None:
    return first, second, *_pairs(play.generate(play.latent))
  other = jnp.stack([second, first], axis=1).reshape(play.latent.shape)
  return play.latent, other, play.generate(play.latent), play.generate(other)


def _pairs(x: Array) -> tuple[Array, Array]:
  """Rows 0, 2, 4, ... and 1, 3, 5, ...: the same pairs on one device and on many."""
  if len(x) % 2:
    raise ValueError(f"batch of {len(x)} cannot be cut into pairs; use an even one")
  return x[0::2], x[1::2]


def _l1(x: Array) -> Array:
  return jnp.abs(x).reshape(len(x), -1).sum(axis=1)


__all__ = ["bures", "dsgan", "feature_matching", "gdpp", "gdpp_eigenvalues", "information", "mode_seeking"]
