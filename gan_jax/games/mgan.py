"""MGAN: several generators, kept apart by a classifier that must tell which of them made a sample."""

from collections.abc import Mapping

import flax.linen as nn
import jax
import optax
from jax import Array

from gan_jax.calls import Calls, Prior, check_optimizers, health, on_axis, untrained
from gan_jax.core import Aux, Batch, Game, GanState, PyTree, draw, with_entry
from gan_jax.games.assembly import assemble, of_examples
from gan_jax.priors import indexed


def mgan(
  generator: nn.Module,
  discriminator: nn.Module,
  *,
  prior: Prior,
  optimizers: Mapping[str, optax.GradientTransformation],
  num_generators: int = 10,
  beta: float = 0.01,
  ema_decay: float | None = None,
  axis_name: str | None = None,
) -> Game:
  """MGAN: several generators, kept apart by a classifier that must tell which of them made a sample.

  Hoang et al., 2018 (ICLR), eq. 2. D has 1 + num_generators outputs: the logit, and a classifier head on the same trunk.

  discriminator:  E s(-D(x)) + E s(D(x')) + E CE(C(x'), k)
  generator:      E s(-D(x')) + beta * E CE(C(x'), k),   x' = G_k(z)

  A batch holds every generator equally often. As in their code the classifier's own loss has weight 1; only G's is weighed by beta.

  Args:
    generator: called with `(z [B, Z], k [B] int)`, e.g. `networks.mlp(2, heads=10)`: one first layer each, the rest shared.
    discriminator: `x [B, ...] -> [B, 1 + num_generators]`.
  """
  names = ("generator", "discriminator")
  check_optimizers(optimizers, names)
  prior = untrained(prior, "mgan")
  modules = {"generator": on_axis(generator, axis_name), "discriminator": on_axis(discriminator, axis_name)}
  mixture = indexed(prior, num_generators)

  def loss_of(name: str):
    def loss(params: PyTree, state: GanState, batch: Batch, key: Array) -> tuple[Array, Aux]:
      state = with_entry(state, name, params=params)
      calls = {n: Calls(modules[n], n, state, key=key, axis_name=axis_name) for n in names}
      latent = draw(mixture.sample, key, len(batch["image"]), axis_name)
      real, fake = (calls["discriminator"](x) for x in (batch["image"], calls["generator"](latent)))
      if fake.shape[1:] != (1 + num_generators,):
        wanted = 1 + num_generators
        raise ValueError(f"mgan with {num_generators} generators needs a discriminator of {wanted} outputs, this one has {fake.shape[1:]}")
      confusion = optax.softmax_cross_entropy_with_integer_labels(fake[:, 1:], latent[1]).mean()
      values = {
        "discriminator": jax.nn.softplus(-real[:, 0]).mean() + jax.nn.softplus(fake[:, 0]).mean() + confusion,
        "generator": jax.nn.softplus(-fake[:, 0]).mean() + beta * confusion,
      }
      logs = {"discriminator": {**health(real[:, 0], fake[:, 0]), "confusion": confusion}, "generator": {}}
      return values[name], Aux({"network": calls[name].new_state()}, logs[name])

    return loss

  return assemble(
    modules, {name: loss_of(name) for name in names}, of_examples(mixture), prior=mixture, optimizers=optimizers,
    turns=(("discriminator",), ("generator",)), ema_decay=ema_decay, axis_name=axis_name,
  )  # fmt: skip
