"""Mode-regularised GANs: an encoder of the data, so that every real sample asks the generator for something near it."""

from collections.abc import Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax import Array

from gan_jax.calls import Calls, Prior, check_optimizers, flat_logits, health, on_axis, untrained
from gan_jax.core import Aux, Batch, Game, GanState, PyTree, draw, with_entry
from gan_jax.games.assembly import assemble, of_examples

_SOFT = jax.nn.softplus


def mode_regularized(
  generator: nn.Module,
  discriminator: nn.Module,
  encoder: nn.Module,
  *,
  prior: Prior,
  optimizers: Mapping[str, optax.GradientTransformation],
  reconstruction_weight: float = 0.2,
  mode_weight: float = 0.4,
  ema_decay: float | None = None,
  axis_name: str | None = None,
) -> Game:
  """Reg-GAN: the generator also learns to bring encoded real samples back, and D to take them for real. With s = softplus and x'' = G(E(x)):

  discriminator:  E s(-D(x)) + E s(D(G(z)))
  encoder:        E [reconstruction_weight * |x - x''|^2 + mode_weight * s(-D(x''))]
  generator:      E s(-D(G(z))) + the encoder's loss

  Che et al., 2017 (arXiv:1612.02136), section 3.2; lambda_1 = .2 and lambda_2 = .4 on MNIST. The squared distance is summed over coordinates. The
  paper prints the last term as + lambda_2 log D(x''), to be minimised: that would drive x'' off the data, the opposite of what the text (and its
  algorithm 1) asks for, and is read as a misprint. D itself never sees x''. Encoder and generator move at once, after D.

  Args:
    generator: `z [B, Z] -> x [B, ...]`. discriminator: `x [B, ...] -> [B]`. encoder: `x [B, ...] -> z [B, Z]`.
  """
  names = ("generator", "discriminator", "encoder")
  check_optimizers(optimizers, names)
  prior = untrained(prior, "mode_regularized")
  modules = {n: on_axis(m, axis_name) for n, m in zip(names, (generator, discriminator, encoder), strict=True)}

  def loss_of(name: str):
    def loss(params: PyTree, state: GanState, batch: Batch, key: Array) -> tuple[Array, Aux]:
      state = with_entry(state, name, params=params)
      calls = {n: Calls(modules[n], n, state, key=key, axis_name=axis_name) for n in names}
      real = batch["image"]
      fake = calls["generator"](draw(prior.sample, key, len(real), axis_name))
      back = calls["generator"](calls["encoder"](real))
      on_real, on_fake = (flat_logits(calls["discriminator"](x)) for x in (real, fake))
      new_state = {"network": calls[name].new_state()}
      distance = _squared_distance(real, back)
      regularizer = reconstruction_weight * distance + mode_weight * _SOFT(-flat_logits(calls["discriminator"](back))).mean()
      values = {
        "discriminator": _SOFT(-on_real).mean() + _SOFT(on_fake).mean(),
        "encoder": regularizer,
        "generator": _SOFT(-on_fake).mean() + regularizer,
      }
      logs = {"discriminator": health(on_real, on_fake), "encoder": {"distance": distance}, "generator": {}}
      return values[name], Aux(new_state, logs[name])

    return loss

  return assemble(
    modules, {name: loss_of(name) for name in names}, of_examples(prior), prior=prior, optimizers=optimizers,
    turns=(("discriminator",), ("generator", "encoder")), ema_decay=ema_decay, axis_name=axis_name,
  )  # fmt: skip


def mdgan(
  generator: nn.Module,
  discriminator: nn.Module,
  encoder: nn.Module,
  *,
  prior: Prior,
  optimizers: Mapping[str, optax.GradientTransformation],
  weight: float = 1e-2,
  ema_decay: float | None = None,
  axis_name: str | None = None,
) -> Game:
  """Manifold-diffusion GAN: first the reconstructions x'' = G(E(x)) are matched with the data, then the samples G(z) with the reconstructions.

  Manifold step:   discriminator         E s(-D(x)) + E s(D(x''))
                   generator, encoder    E |x - x''|^2 + weight * E s(-D(x''))
  Diffusion step:  second_discriminator  E s(-D_2(x'')) + E s(D_2(G(z)))
                   generator             E s(-D_2(G(z)))

  Che et al., 2017 (arXiv:1612.02136), algorithm 1. So G moves twice a round, each time along another loss: its part "diffusion" is the second one.
  A round's batch is cut into two slices for that; D, E and G's first move see the first one, and the diffusion step, whose generated samples need
  no data, draws as many latents as the second has rows. The second discriminator has the first one's architecture; an optimiser each. `weight` is
  their lambda. Two easy mistakes: to give D_2 the data in place of the reconstructions (then the manifold step is a side show), and to take
  x'' for fake in the diffusion step.
  """
  names = ("generator", "discriminator", "encoder", "second_discriminator")
  check_optimizers(optimizers, names)
  prior = untrained(prior, "mdgan")
  modules = {n: on_axis(m, axis_name) for n, m in zip(names, (generator, discriminator, encoder, discriminator), strict=True)}

  def loss_of(name: str, part: str):
    def loss(params: PyTree, state: GanState, batch: Batch, key: Array) -> tuple[Array, Aux]:
      state = with_entry(state, name, params=params)
      calls = {n: Calls(modules[n], n, state, key=key, axis_name=axis_name) for n in names}
      real = batch["image"]
      if part == "generator.diffusion":
        logits = flat_logits(calls["second_discriminator"](calls["generator"](draw(prior.sample, key, len(real), axis_name))))
        return _SOFT(-logits).mean(), Aux({"network": calls[name].new_state()}, {})
      back = calls["generator"](calls["encoder"](real))
      if name == "second_discriminator":
        fake = calls["generator"](draw(prior.sample, key, len(real), axis_name))
        on_real, on_fake = (flat_logits(calls[name](x)) for x in (back, fake))
      else:
        on_real, on_fake = (flat_logits(calls["discriminator"](x)) for x in (real, back))
      distance = _squared_distance(real, back)
      manifold = distance + weight * _SOFT(-on_fake).mean()
      values = {
        "discriminator": _SOFT(-on_real).mean() + _SOFT(on_fake).mean(),
        "second_discriminator": _SOFT(-on_real).mean() + _SOFT(on_fake).mean(),
        "generator": manifold,
        "encoder": manifold,
      }
      logs = {"generator": {}, "encoder": {"distance": distance}}.get(name, health(on_real, on_fake))
      return values[name], Aux({"network": calls[name].new_state()}, logs)

    return loss

  turns = (("discriminator",), ("generator", "encoder"), ("second_discriminator",), ("generator.diffusion",))
  game = assemble(
    modules, {name: loss_of(name, name) for name in names}, of_examples(prior), prior=prior, optimizers=optimizers, turns=turns,
    ema_decay=ema_decay, axis_name=axis_name,
  )  # fmt: skip
  diffusing = game.players["generator"]._replace(parts={"diffusion": loss_of("generator", "generator.diffusion")})
  return game._replace(players={**game.players, "generator": diffusing})


def _squared_distance(x: Array, y: Array) -> Array:
  return jnp.square(x - y).reshape(len(x), -1).sum(axis=1).mean()
