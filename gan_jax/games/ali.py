"""ALI and BiGAN: a discriminator of pairs (sample, latent), which makes an encoder the inverse of the generator."""

from collections.abc import Callable, Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax import Array

from gan_jax.calls import Calls, Prior, check_optimizers, flat_logits, health, on_axis, untrained
from gan_jax.core import Aux, Batch, Game, GanState, PyTree, draw, with_entry
from gan_jax.games.assembly import assemble, of_pairs


def ali(
  generator: nn.Module,
  discriminator: nn.Module,
  encoder: nn.Module,
  *,
  prior: Prior,
  optimizers: Mapping[str, optax.GradientTransformation],
  ema_decay: float | None = None,
  axis_name: str | None = None,
) -> Game:
  """Adversarially learned inference, with a random encoder E(x) = m(x) + exp(v(x) / 2) * noise. With s = softplus:

  discriminator:  E s(-D(x, E(x))) + E s(D(G(z), z))
  generator:      E s(-D(G(z), z))
  encoder:        E s(D(x, E(x)))

  Dumoulin et al., 2017 (arXiv:1606.00704), algorithm 1: all three move at once, each along its own loss. The encoder wants its pairs to be taken
  for generated ones: with its sign changed it helps D, and nothing ever ties E to G. The generator is not random (theirs may be).

  Args:
    generator: `z [B, Z] -> x [B, ...]`.
    discriminator: called with `(x [B, ...], z [B, Z])`, gives logits `[B]`.
    encoder: `x [B, ...] -> [B, 2 Z]`: the means m, then the logarithms v of the variances.

  Raises:
    ValueError: an encoder of another width.
  """

  def infer(code: Array, key: Array, width: int) -> Array:
    mean, log_variance = jnp.split(code, 2, axis=-1)
    noise = draw(lambda key, n: jax.random.normal(key, (n, width)), key, len(code), axis_name)
    return mean + jnp.exp(log_variance / 2) * noise

  return _pairs("ali", 2, infer, generator, discriminator, encoder, prior, optimizers, ema_decay, axis_name)


def bigan(
  generator: nn.Module,
  discriminator: nn.Module,
  encoder: nn.Module,
  *,
  prior: Prior,
  optimizers: Mapping[str, optax.GradientTransformation],
  ema_decay: float | None = None,
  axis_name: str | None = None,
) -> Game:
  """Bidirectional GAN: the game of `ali` with an encoder that is not random, `x [B, ...] -> z [B, Z]`.

  Donahue et al., 2017 (arXiv:1605.09782), eq. 3, with the "inverse" objective of section 2 (each player has a gradient where D wins) and, as in
  their experiments, all three moving at once.
  """
  return _pairs("bigan", 1, lambda code, key, width: code, generator, discriminator, encoder, prior, optimizers, ema_decay, axis_name)


def _pairs(
  game: str, outputs: int, infer: Callable[[Array, Array, int], Array], generator: nn.Module, discriminator: nn.Module, encoder: nn.Module,
  prior: Prior, optimizers: Mapping[str, optax.GradientTransformation], ema_decay: float | None, axis_name: str | None,
) -> Game:  # fmt: skip
  """`infer(code, key, width)` makes latents `[B, width]` of what the encoder says, `[B, outputs * width]`."""
  names = ("generator", "discriminator", "encoder")
  check_optimizers(optimizers, names)
  prior = untrained(prior, game)
  modules = {n: on_axis(m, axis_name) for n, m in zip(names, (generator, discriminator, encoder), strict=True)}

  def loss_of(name: str):
    def loss(params: PyTree, state: GanState, batch: Batch, key: Array) -> tuple[Array, Aux]:
      state = with_entry(state, name, params=params)
      latent_key, noise_key = jax.random.split(key)
      calls = {n: Calls(modules[n], n, state, key=key, axis_name=axis_name) for n in names}
      real = batch["image"]
      latent = draw(prior.sample, latent_key, len(real), axis_name)
      code, width = calls["encoder"](real), latent.shape[1]
      if code.shape[1:] != (outputs * width,):
        raise ValueError(f"{game} with latents of {width} numbers needs an encoder of {outputs * width} outputs, this one has {code.shape[1:]}")
      real_logits = flat_logits(calls["discriminator"](real, infer(code, noise_key, width)))
      fake_logits = flat_logits(calls["discriminator"](calls["generator"](latent), latent))
      values = {
        "discriminator": jax.nn.softplus(-real_logits).mean() + jax.nn.softplus(fake_logits).mean(),
        "generator": jax.nn.softplus(-fake_logits).mean(),
        "encoder": jax.nn.softplus(real_logits).mean(),
      }
      logs = health(real_logits, fake_logits) if name == "discriminator" else {}
      return values[name], Aux({"network": calls[name].new_state()}, logs)

    return loss

  return assemble(
    modules, {name: loss_of(name) for name in names}, of_pairs(prior), prior=prior, optimizers=optimizers,
    turns=(("discriminator", "generator", "encoder"),), ema_decay=ema_decay, axis_name=axis_name,
  )  # fmt: skip
