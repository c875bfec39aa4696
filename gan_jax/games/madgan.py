"""MAD-GAN: several generators, kept apart by one discriminator that must say which of them made a sample."""

from collections.abc import Mapping
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax import Array

from gan_jax.calls import Calls, Prior, check_optimizers, on_axis, untrained
from gan_jax.core import Aux, Batch, Game, GanState, PyTree, draw, with_entry
from gan_jax.games.assembly import assemble, of_examples
from gan_jax.priors import indexed


def madgan(
  generator: nn.Module,
  discriminator: nn.Module,
  *,
  prior: Prior,
  optimizers: Mapping[str, optax.GradientTransformation],
  num_generators: int = 4,
  form: Literal["minimax", "non_saturating"] = "minimax",
  ema_decay: float | None = None,
  axis_name: str | None = None,
) -> Game:
  """MAD-GAN: several generators, kept apart by one discriminator that must say which of them made a sample.

  Ghosh et al., 2018 (arXiv:1704.02906), eq. 1-2. D is one softmax p over 1 + k classes: real, and made by generator 1, ..., k.

  discriminator:  -E log p_real(x) - sum_i E log p_i(G_i(z))
  generator i:     E log(1 - p_real(G_i(z)))      ("minimax", as published; "non_saturating" is -E log p_real(G_i(z)))

  To tell generators from each other D must push them apart, though none of them is asked to: unlike in MGAN, no generator's loss looks at i. The
  fakes weigh k times the reals, so the best p_real is p_data / (p_data + sum_i p_i) and D(x) = 1 / (1 + k) where all laws agree; the mean over a
  pooled batch of fakes, an easy mistake, makes that 1/2 and each generator's class k times too light. A batch holds every generator equally often.

  Args:
    generator: called with `(z [B, Z], i [B] int)`, e.g. `networks.mlp(2, heads=4)`: one first layer each, the rest shared.
    discriminator: `x [B, ...] -> [B, 1 + num_generators]`.

  Raises:
    ValueError: another form, or a discriminator of another width.
  """
  if form not in ("minimax", "non_saturating"):
    raise ValueError(f'form is "{form}"; madgan knows "minimax" and "non_saturating"')
  names = ("generator", "discriminator")
  check_optimizers(optimizers, names)
  prior = untrained(prior, "madgan")
  modules = {"generator": on_axis(generator, axis_name), "discriminator": on_axis(discriminator, axis_name)}
  mixture = indexed(prior, num_generators)

  def loss_of(name: str):
    def loss(params: PyTree, state: GanState, batch: Batch, key: Array) -> tuple[Array, Aux]:
      state = with_entry(state, name, params=params)
      calls = {n: Calls(modules[n], n, state, key=key, axis_name=axis_name) for n in names}
      latent, maker = draw(mixture.sample, key, len(batch["image"]), axis_name)
      real, fake = (calls["discriminator"](x) for x in (batch["image"], calls["generator"]((latent, maker))))
      if fake.shape[1:] != (1 + num_generators,):
        wanted = 1 + num_generators
        raise ValueError(f"madgan with {num_generators} generators needs a discriminator of {wanted} outputs, this one has {fake.shape[1:]}")
      on_real, on_fake = jax.nn.log_softmax(real), jax.nn.log_softmax(fake)
      made = jnp.take_along_axis(on_fake, 1 + maker[:, None], axis=1)[:, 0]
      caught = jax.nn.logsumexp(on_fake[:, 1:], axis=1)  # log(1 - p_real)
      values = {
        "discriminator": -on_real[:, 0].mean() - num_generators * made.mean(),
        "generator": num_generators * (caught if form == "minimax" else -on_fake[:, 0]).mean(),
      }
      right = {"real_probability": jnp.exp(on_real[:, 0]).mean(), "fake_probability": jnp.exp(on_fake[:, 0]).mean(), "confusion": -made.mean()}
      return values[name], Aux({"network": calls[name].new_state()}, right if name == "discriminator" else {})

    return loss

  return assemble(
    modules, {name: loss_of(name) for name in names}, of_examples(mixture), prior=mixture, optimizers=optimizers,
    turns=(("discriminator",), ("generator",)), ema_decay=ema_decay, axis_name=axis_name,
  )  # fmt: skip
