"""Objectives that compare two batches as wholes: maximum mean discrepancy, sliced Wasserstein, Sinkhorn.

All of them see a law through one batch. With fewer examples in it than the law has modes, a batch of the law itself is far from another, and the best
answer to it drops modes: report the batch size with every result, and compare with others at the same one.
"""

from collections.abc import Callable, Sequence
from typing import Literal

import jax
import jax.numpy as jnp
from jax import Array, lax

from gan_jax.calls import flat_features
from gan_jax.objectives import non_saturating
from gan_jax.play import Objective, Play

Kernel = Callable[[Array, Array], Array]  # [n, F], [m, F] -> [n, m]


def mmd(
  kernel: Literal["rational_quadratic", "rbf"] = "rational_quadratic",
  scales: Sequence[float] | None = None,
  linear: float = 0.0,
  on: Literal["discriminator", "samples"] = "discriminator",
) -> Objective:
  """MMD-GAN, D: -MMD^2(h(x), h(x')), G: MMD^2(h(x), h(x')), with D = h a map to features `[B, F]` (16 of them as published) and a fixed kernel.

  Bińkowski et al., 2018 (arXiv:1801.01401), section 2.1; Li et al., 2017 (arXiv:1705.08584). The estimate is the unbiased one,
  MMD^2 = mean_{i != j} k(x_i, x_j) + mean_{i != j} k(x'_i, x'_j) - 2 mean k(x_i, x'_j): with the diagonals left in it is above 0 where the laws
  agree, by more the smaller the batch. A D without a bound makes any two laws differ: add `wgan_gp` (weight 1), which then acts, as published, on
  the witness E k(h(x), h(.)) - E k(h(x'), h(.)), for that is what D's logit is here.

  Args:
    kernel: "rational_quadratic", sum_a (1 + |x - y|^2 / (2 a))^-a, whose heavy tails still pull between features far apart (Bińkowski et al.); or
      "rbf", sum_a exp(-|x - y|^2 / (2 a^2)) (Li et al.).
    scales: the a's, in units of what is compared; by default (.2, .5, 1, 2, 5) (the paper's; their code has .1, 1, 10) and (1, 2, 4, 8, 16).
    linear: adds linear <x, y> to the kernel (.1 or 1 in some of their runs).
    on: "samples" compares the examples themselves, flattened: GMMN (Li et al., 2015, arXiv:1502.02761). D is then a classifier, which nobody
      listens to.

  Raises:
    ValueError: a kernel, or something to compare, that there is not.
  """
  k = _kernel(kernel, scales, linear)

  def generator(play: Play) -> Array:
    return mmd_squared(*_clouds(play, on), k)

  if _choice(on, "samples"):
    return Objective(non_saturating().discriminator, generator, of_logits=False)

  def discriminator(play: Play) -> Array:
    return -mmd_squared(*_clouds(play, on), k)

  def witness(real: Array, fake: Array) -> Callable[[Array], Array]:
    return lambda outputs: (k(real, flat_features(outputs)).mean(axis=0) - k(fake, flat_features(outputs)).mean(axis=0))

  return Objective(discriminator, generator, witness, of_logits=False)


def sliced_wasserstein(num_projections: int = 128, on: Literal["features", "samples"] = "features") -> Objective:
  """Sliced Wasserstein GAN, G: the mean over random unit directions u of W_2^2(u . f(x), u . f(x')), f = D's last hidden layer.

  D: E s(-D(x)) + E s(D(x')). Deshpande et al., 2018 (arXiv:1803.11188), eq. 9 and algorithm 2. In one dimension W_2^2 is the mean squared
  difference of the sorted projections.
  D learns to classify, and so has features; it does not maximise the distance, which would need a bound on f. Directions that are not of unit
  length multiply the distance by F. Every turn draws new ones, the same on all devices.

  Args:
    num_projections: directions; the paper takes 10,000 in high dimensions.
    on: "samples" compares the examples themselves, as the paper does on MNIST; nobody then listens to D.
  """
  _choice(on, "samples", "features")

  def generator(play: Play) -> Array:
    x, y = _clouds(play, on)
    directions = jax.random.normal(play.key, (x.shape[1], num_projections), x.dtype)
    return sliced_wasserstein_squared(x, y, directions / jnp.linalg.norm(directions, axis=0))

  return Objective(non_saturating().discriminator, generator, of_logits=False)


def sinkhorn(
  epsilon: float = 0.1,
  iterations: int = 50,
  cost: Literal["squared", "cosine"] = "squared",
  on: Literal["discriminator", "samples"] = "discriminator",
) -> Objective:
  """Sinkhorn-GAN, D: -S(h(x), h(x')), G: S(h(x), h(x')), S = 2 W(x, x') - W(x, x) - W(x', x') and D = h a map to features `[B, F]`.

  Genevay et al., 2018 (arXiv:1706.00292), eq. 6 and algorithm 1. W = <P, C> is the cost of the plan P that minimises
  <P, C> + epsilon KL(P | uniform), by `iterations` of Sinkhorn's algorithm, with logarithms, differentiated through. The two last terms take out the
  bias: W alone, with a plan that is blurred, is smallest for a law shrunk towards its mean. S goes from twice the optimal cost (epsilon to 0) to the
  MMD of kernel -cost (to infinity).

  Args:
    epsilon: in units of the cost, so it goes with the data's scale squared: small against the squared distance of two modes.
    cost: "squared", |x - y|^2, or "cosine", 1 - <x, y> / |x| |y|, OT-GAN's (Salimans et al., 2018, arXiv:1803.05573), which bounds D. With "squared"
      D needs a bound (`clip_weights` as published).
    on: "samples" compares the examples themselves, flattened; D is then a classifier to whom nobody listens.
  """
  costs = {"squared": _squared_distance, "cosine": _cosine_distance}
  if cost not in costs:
    raise ValueError(f'cost is "{cost}"; it may be "squared" or "cosine"')
  between = costs[cost]

  def generator(play: Play) -> Array:
    return sinkhorn_divergence(*_clouds(play, on), epsilon, iterations, between)

  if _choice(on, "samples"):
    return Objective(non_saturating().discriminator, generator, of_logits=False)

  def discriminator(play: Play) -> Array:
    return -generator(play)

  def witness(real: Array, fake: Array) -> Callable[[Array], Array]:
    """That of the divergence's limit at large epsilon."""
    return lambda outputs: (between(fake, flat_features(outputs)).mean(axis=0) - between(real, flat_features(outputs)).mean(axis=0))

  return Objective(discriminator, generator, witness, of_logits=False)


def mmd_squared(x: Array, y: Array, kernel: Kernel) -> Array:
  """The unbiased estimate of MMD^2 between two clouds of n points, `[n, F]`."""
  n = len(x)
  off_diagonal = lambda k: (k.sum() - jnp.trace(k)) / (n * (n - 1))
  return off_diagonal(kernel(x, x)) + off_diagonal(kernel(y, y)) - 2 * kernel(x, y).mean()


def sliced_wasserstein_squared(x: Array, y: Array, directions: Array) -> Array:
  """The mean over the columns of `directions` `[F, P]` of W_2^2 between the projections of two clouds of n points, `[n, F]`."""
  return jnp.square(jnp.sort(x @ directions, axis=0) - jnp.sort(y @ directions, axis=0)).mean()


def sinkhorn_divergence(x: Array, y: Array, epsilon: float, iterations: int, cost: Kernel) -> Array:
  """2 W(x, y) - W(x, x) - W(y, y) of two clouds `[n, F]`, with the transport cost W of the plan that `epsilon` blurs."""
  return 2 * _transport(cost(x, y), epsilon, iterations) - _transport(cost(x, x), epsilon, iterations) - _transport(cost(y, y), epsilon, iterations)


def _transport(cost: Array, epsilon: float, iterations: int) -> Array:
  """<P, C>, P_ij = exp((f_i + g_j - C_ij) / epsilon) / (n m), f and g fitted in turn to uniform marginals."""
  n, m = cost.shape

  def fit(g: Array, _: None) -> tuple[Array, Array]:
    f = -epsilon * (jax.nn.logsumexp((g[None, :] - cost) / epsilon, axis=1) - jnp.log(m))
    g = -epsilon * (jax.nn.logsumexp((f[:, None] - cost) / epsilon, axis=0) - jnp.log(n))
    return g, f

  g, f = lax.scan(fit, jnp.zeros(m, cost.dtype), None, length=iterations)
  plan = jnp.exp((f[-1][:, None] + g[None, :] - cost) / epsilon) / (n * m)
  return (plan * cost).sum()


def _kernel(name: str, scales: Sequence[float] | None, linear: float) -> Kernel:
  shapes = {
    "rational_quadratic": ((0.2, 0.5, 1.0, 2.0, 5.0), lambda distance, a: (1 + distance / (2 * a)) ** -a),
    "rbf": ((1.0, 2.0, 4.0, 8.0, 16.0), lambda distance, a: jnp.exp(-distance / (2 * a**2))),
  }
  if name not in shapes:
    raise ValueError(f'kernel is "{name}"; it may be "rational_quadratic" or "rbf"')
  usual, shape = shapes[name]

  def kernel(x: Array, y: Array) -> Array:
    distance = _squared_distance(x, y)
    return linear * (x @ y.T) + jnp.stack([shape(distance, scale) for scale in (usual if scales is None else scales)]).sum(axis=0)

  return kernel


def _squared_distance(x: Array, y: Array) -> Array:
  product = jnp.square(x).sum(axis=1)[:, None] + jnp.square(y).sum(axis=1)[None, :] - 2 * x @ y.T
  return jnp.maximum(product, 0)


def _cosine_distance(x: Array, y: Array) -> Array:
  unit = lambda z: z * lax.rsqrt(jnp.square(z).sum(axis=1, keepdims=True) + 1e-12)
  return 1 - unit(x) @ unit(y).T


def _clouds(play: Play, on: str) -> tuple[Array, Array]:
  """Real and fake of the global batch, `[B, F]` each, in the space where they are compared."""
  look = {"discriminator": play.outputs, "features": play.features, "samples": lambda x: x}[on]
  return play.gather(flat_features(look(play.real))), play.gather(flat_features(look(play.fake)))


def _choice(on: str, samples: str, other: str = "discriminator") -> bool:
  """Whether examples are compared as they are."""
  if on not in (samples, other):
    raise ValueError(f'on is "{on}"; it may be "{other}" or "{samples}"')
  return on == samples


__all__ = ["mmd", "sinkhorn", "sliced_wasserstein"]
