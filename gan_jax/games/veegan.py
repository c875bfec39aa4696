"""VEEGAN: a reconstructor maps samples back to latents; a generator that drops a mode leaves the reconstructor's output unlike the prior."""

from collections.abc import Mapping
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax import Array

from gan_jax.calls import Calls, Prior, check_optimizers, flat_logits, health, on_axis, untrained
from gan_jax.core import Aux, Batch, Game, GanState, PyTree, draw, with_entry
from gan_jax.games.assembly import assemble, of_pairs


def veegan(
  generator: nn.Module,
  discriminator: nn.Module,
  reconstructor: nn.Module,
  *,
  prior: Prior,
  optimizers: Mapping[str, optax.GradientTransformation],
  weight: float = 1.0,
  reconstructor_follows: Literal["both", "distance"] = "both",
  ema_decay: float | None = None,
  axis_name: str | None = None,
) -> Game:
  """VEEGAN: a reconstructor maps samples back to latents; a generator that drops a mode leaves the reconstructor's output unlike the prior.

  Srivastava et al., 2017 (arXiv:1705.07761), algorithm 1. D judges pairs (sample, latent), with s = softplus:

  discriminator:  E s(-D(x, R(x))) + E s(D(G(z), z))
  generator:     -E D(G(z), z) + weight * E |R(G(z)) - z|^2
  reconstructor:  E D(x, R(x)) + weight * E |R(G(z)) - z|^2

  The squared distance is summed over z's coordinates, weight 1 as published. G and R move at once, after D.

  Args:
    discriminator: called with `(x [B, ...], z [B, Z])`, gives logits `[B]`.
    reconstructor: `x [B, ...] -> [B, Z]`.
    reconstructor_follows: "both" terms above, as the authors' code has it; or the "distance" alone, as the line for R in the paper's algorithm 1.

  Raises:
    ValueError: something else for R to follow, or an optimiser missing or for nobody.
  """
  if reconstructor_follows not in ("both", "distance"):
    raise ValueError(f'reconstructor_follows is "{reconstructor_follows}"; it may be "both" or "distance"')
  names = ("generator", "discriminator", "reconstructor")
  check_optimizers(optimizers, names)
  prior = untrained(prior, "veegan")
  modules = {n: on_axis(m, axis_name) for n, m in zip(names, (generator, discriminator, reconstructor), strict=True)}

  def loss_of(name: str):
    def loss(params: PyTree, state: GanState, batch: Batch, key: Array) -> tuple[Array, Aux]:
      state = with_entry(state, name, params=params)
      calls = {n: Calls(modules[n], n, state, key=key, axis_name=axis_name) for n in names}
      real = batch["image"]
      latent = draw(prior.sample, key, len(real), axis_name)
      fake = calls["generator"](latent)
      real_logits = flat_logits(calls["discriminator"](real, calls["reconstructor"](real)))
      fake_logits = flat_logits(calls["discriminator"](fake, latent))
      distance = jnp.square(calls["reconstructor"](fake) - latent).sum(axis=1).mean()
      values = {
        "discriminator": jax.nn.softplus(-real_logits).mean() + jax.nn.softplus(fake_logits).mean(),
        "generator": -fake_logits.mean() + weight * distance,
        "reconstructor": weight * distance + (real_logits.mean() if reconstructor_follows == "both" else 0.0),
      }
      logs = {"discriminator": health(real_logits, fake_logits), "generator": {}, "reconstructor": {"distance": distance}}
      return values[name], Aux({"network": calls[name].new_state()}, logs[name])

    return loss

  return assemble(
    modules, {name: loss_of(name) for name in names}, of_pairs(prior), prior=prior, optimizers=optimizers,
    turns=(("discriminator",), ("generator", "reconstructor")), ema_decay=ema_decay, axis_name=axis_name,
  )  # fmt: skip
