"""D2GAN: two discriminators, one that rewards real samples and one that rewards fakes."""

from collections.abc import Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax import Array

from gan_jax.calls import Calls, Prior, check_optimizers, flat_logits, in_front, on_axis
from gan_jax.core import Aux, Batch, Game, GanState, PyTree, draw, with_entry
from gan_jax.games.assembly import assemble
from gan_jax.play import Look, View, identity, plain


def d2gan(
  generator: nn.Module,
  discriminator: nn.Module,
  *,
  prior: Prior,
  optimizers: Mapping[str, optax.GradientTransformation],
  alpha: float = 1.0,
  beta: float = 1.0,
  view: View = identity,
  ema_decay: float | None = None,
  axis_name: str | None = None,
) -> Game:
  """D2GAN: two discriminators, one that rewards real samples and one that rewards fakes.

  Nguyen et al., 2017 (arXiv:1709.03831), eq. 1, with positive scores p_i = softplus(D_i) of two discriminators of one architecture.

  discriminator:        -alpha E log p_1(x) + E p_1(x')      (likes real; its optimum weighs KL(data | model))
  second_discriminator:  E p_2(x) - beta E log p_2(x')       (likes fake; its optimum weighs KL(model | data))
  generator:            -E p_1(x') + beta E log p_2(x')

  Both discriminators move at once, then G. The second one may share the first one's optimiser settings: give an optimiser to each.
  """
  names = ("generator", "discriminator", "second_discriminator")
  check_optimizers(optimizers, names)
  view = plain(view, "d2gan")
  generator, discriminator = on_axis(in_front(generator, prior), axis_name), on_axis(discriminator, axis_name)
  modules = dict(zip(names, (generator, discriminator, discriminator), strict=True))

  def loss_of(name: str):
    def loss(params: PyTree, state: GanState, batch: Batch, key: Array) -> tuple[Array, Aux]:
      state = with_entry(state, name, params=params)
      latent_key, real_key, fake_key = jax.random.split(key, 3)
      calls = {n: Calls(modules[n], n, state, key=key, axis_name=axis_name) for n in names}
      latent = draw(prior.sample, latent_key, len(batch["image"]), axis_name)
      real = view.apply(batch["image"], Look(real_key, state.step, axis_name))
      fake = view.apply(calls["generator"](latent), Look(fake_key, state.step, axis_name))
      first, second = ([jax.nn.softplus(flat_logits(calls[n](x))) for x in (real, fake)] for n in names[1:])
      values = {
        "generator": -first[1].mean() + beta * _log(second[1]).mean(),
        "discriminator": -alpha * _log(first[0]).mean() + first[1].mean(),
        "second_discriminator": second[0].mean() - beta * _log(second[1]).mean(),
      }
      return values[name], Aux({"network": calls[name].new_state()}, {})

    return loss

  def seen(name: str, key: Array, batch: Batch) -> tuple[Array]:
    if name == "generator":
      return (prior.sample(key, len(batch["image"])),)
    return (view.apply(batch["image"], Look(key, jnp.zeros((), jnp.int32), None)),)

  game = assemble(
    modules, {name: loss_of(name) for name in names}, seen, prior=prior, optimizers=optimizers,
    turns=(("discriminator", "second_discriminator"), ("generator",)), ema_decay=ema_decay, axis_name=axis_name,
  )  # fmt: skip
  return game._replace(pack_size=view.size)


def _log(score: Array) -> Array:
  return jnp.log(score + 1e-8)  # a score may underflow to 0
