"""The f-GAN family: D bounds an f-divergence D_f(data | model) = E_model f(data / model) from below, and G lowers the bound.

Nowozin et al., 2016 (arXiv:1606.00709), eq. 6, table 2 and table 6. T(x) = g_f(V(x)) is D's logit V through an activation that keeps it where the
convex conjugate f* is finite:

D: -E T(x) + E f*(T(x')),   G: -E f*(T(x'))   (generator = "minimax"),   or   G: -E T(x')   (generator = "non_saturating", their section 3.2).

T = f'(data / model) is best, where the bound is D_f. f* of the activation is written as one function of the logit, which no intermediate value can
overflow; where it grows as e^V (`kl`, `squared_hellinger`) or as e^-V (`reverse_kl`, on real) a confident D still has a steep loss.
Traps: D_f(data | model) with f(u) = u log u is KL(data | model), the mode-covering one; and only with V = 0 at data = model is 0 the boundary that
D's accuracy metric counts by: for `kl` it is 1.
"""

from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp
from jax import Array

from gan_jax.play import Objective, Play

Generator = Literal["minimax", "non_saturating"]


def kl(generator: Generator = "minimax") -> Objective:
  """f-GAN with KL(data | model): T = V, f*(T) = e^(V - 1). It punishes the model where it misses data; gradients on fakes grow as e^V.

  Nowozin et al., 2016 (arXiv:1606.00709), table 2. At equality V = 1.
  """
  return _f_gan(lambda v: v, lambda v: jnp.exp(v - 1), generator)


def reverse_kl(generator: Generator = "minimax") -> Objective:
  """f-GAN with KL(model | data): T = -e^-V, f*(T) = V - 1. It punishes the model where there are no data, and lets it drop modes.

  Nowozin et al., 2016 (arXiv:1606.00709), table 2.
  """
  return _f_gan(lambda v: -jnp.exp(-v), lambda v: v - 1, generator)


def pearson_chi2(generator: Generator = "minimax") -> Objective:
  """f-GAN with Pearson's E_model (data / model - 1)^2: T = V, f*(T) = V^2 / 4 + V.

  Nowozin et al., 2016 (arXiv:1606.00709), table 2.
  """
  return _f_gan(lambda v: v, lambda v: jnp.square(v) / 4 + v, generator)


def squared_hellinger(generator: Generator = "minimax") -> Objective:
  """f-GAN with E_model (sqrt(data / model) - 1)^2: T = 1 - e^-V, f*(T) = e^V - 1.

  Nowozin et al., 2016 (arXiv:1606.00709), table 2. T < 1: the activation keeps f*(T) = T / (1 - T) away from its pole.
  """
  return _f_gan(lambda v: -jnp.expm1(-v), jnp.expm1, generator)


def jensen_shannon(generator: Generator = "minimax") -> Objective:
  """f-GAN with KL(data | m) + KL(model | m), m = (data + model) / 2: T = log 2 - s(-V), f*(T) = s(V) - log 2.

  Nowozin et al., 2016 (arXiv:1606.00709), table 2. Its f* of T is -log(2 - e^T). Gradients are those of `minimax` and `non_saturating`: it differs
  from them by a constant, so that a loss of 0 says that D sees nothing (theirs: 2 log 2). It is twice the divergence that is called by the name.
  """
  return _f_gan(lambda v: jnp.log(2.0) - jax.nn.softplus(-v), lambda v: jax.nn.softplus(v) - jnp.log(2.0), generator)


def total_variation(generator: Generator = "minimax") -> Objective:
  """f-GAN with E_model |data / model - 1| / 2: T = tanh(V) / 2, f*(T) = T.

  Nowozin et al., 2016 (arXiv:1606.00709), table 6. Both players' gradients vanish where |V| is large: the metric knows no near and far.
  G's two losses are one.
  """
  return _f_gan(lambda v: jnp.tanh(v) / 2, lambda v: jnp.tanh(v) / 2, generator)


def _f_gan(activation: Callable[[Array], Array], conjugate: Callable[[Array], Array], generator: Generator) -> Objective:
  """`conjugate` is that of the activation, as a function of the logit."""
  reward = {"minimax": conjugate, "non_saturating": activation}
  if generator not in reward:
    raise ValueError(f"generator is {generator!r}; it plays {' or '.join(map(repr, reward))}")

  def discriminator(play: Play) -> Array:
    return conjugate(play.fake_logits).mean() - activation(play.real_logits).mean()

  def raise_fakes(play: Play) -> Array:
    return -reward[generator](play.fake_logits).mean()

  return Objective(discriminator, raise_fakes)


__all__ = ["jensen_shannon", "kl", "pearson_chi2", "reverse_kl", "squared_hellinger", "total_variation"]
