"""CycleGAN: translation between two sets of images of which no two belong together, by going there and back."""

from collections.abc import Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax import Array

from gan_jax.calls import Calls, Prior, check_optimizers, flat_logits, health, init_network, on_axis, sampler, untrained
from gan_jax.core import Aux, Batch, Game, GanState, Player, PyTree, draw, with_entry

PLAYERS = ("generator", "inverse", "discriminator", "second_discriminator")


def cyclegan(
  generator: nn.Module,
  discriminator: nn.Module,
  *,
  prior: Prior,
  optimizers: Mapping[str, optax.GradientTransformation],
  weight: float = 10.0,
  identity_weight: float | None = None,
  ema_decay: float | None = None,
  axis_name: str | None = None,
) -> Game:
  """CycleGAN: translation between two sets of images of which no two belong together, by going there and back.

  Zhu et al., 2017 (arXiv:1703.10593), eq. 3 with least squares: G makes images b of the other set's images a (the condition), F the way back.

  discriminator:         (E (D_B(b) - 1)^2 + E D_B(G(a))^2) / 2
  second_discriminator:  (E (D_A(a) - 1)^2 + E D_A(F(b))^2) / 2
  generator, inverse:    E (D_B(G(a)) - 1)^2 + E (D_A(F(b)) - 1)^2 + weight (E |F(G(a)) - a| + E |G(F(b)) - b|)
                         (+ identity_weight (E |G(b) - b| + E |F(a) - a|)), |.| the mean over pixels

  G and F are of one architecture, and so are the two discriminators, which see images alone; both discriminators move at once, then G and F.
  `identity_weight` (theirs, where they use it: half of `weight`) keeps colours that need not change. Unlike their code, there is no pool of 50
  earlier fakes for the discriminators, and a batch need not be one image. The data are `data.unpaired`.
  Traps: the cycle can be kept by hiding a in b where no eye sees it; what one set has and the other lacks is invented.

  Raises:
    ValueError: data without a condition, or whose condition is not like its images; a prior that is trained.
  """
  check_optimizers(optimizers, PLAYERS)
  prior = untrained(prior, "cyclegan")
  there, judge = on_axis(generator, axis_name), on_axis(discriminator, axis_name)
  modules = dict(zip(PLAYERS, (there, there, judge, judge), strict=True))

  def loss_of(name: str):
    def loss(params: PyTree, state: GanState, batch: Batch, key: Array) -> tuple[Array, Aux]:
      state = with_entry(state, name, params=params)
      a, b = sides(batch, "cyclegan")
      calls = {n: Calls(modules[n], n, state, key=key, axis_name=axis_name) for n in PLAYERS}
      latents = [draw(prior.sample, jax.random.fold_in(key, number), len(a), axis_name) for number in range(6)]
      forth = lambda number, image: calls["generator"](latents[number], image)
      back = lambda number, image: calls["inverse"](latents[number], image)
      fake_b, fake_a = forth(0, a), back(1, b)
      moved = {"generator": calls["generator"], "inverse": calls["inverse"]}
      network_state = moved[name].new_state() if name in moved else None  # of the translations, not of cycles and identities
      on_b, on_fake_b = (flat_logits(calls["discriminator"](x)) for x in (b, fake_b))
      on_a, on_fake_a = (flat_logits(calls["second_discriminator"](x)) for x in (a, fake_a))
      if name == "discriminator":
        return wrong(on_b, on_fake_b), Aux({"network": calls[name].new_state()}, health(on_b - 0.5, on_fake_b - 0.5))
      if name == "second_discriminator":
        return wrong(on_a, on_fake_a), Aux({"network": calls[name].new_state()}, health(on_a - 0.5, on_fake_a - 0.5))
      adversarial = jnp.square(on_fake_b - 1).mean() + jnp.square(on_fake_a - 1).mean()
      cycle = weight * (jnp.abs(back(2, fake_b) - a).mean() + jnp.abs(forth(3, fake_a) - b).mean())
      metrics = {"adversarial": adversarial, "cycle": cycle}
      if identity_weight is not None:
        metrics["identity"] = identity_weight * (jnp.abs(forth(4, b) - b).mean() + jnp.abs(back(5, a) - a).mean())
      return jnp.stack(list(metrics.values())).sum(), Aux({"network": network_state}, metrics)

    return loss

  def init_of(name: str):
    def init(key: Array, batch: Batch) -> tuple[PyTree, PyTree]:
      a, b = sides(batch, "cyclegan")
      latent = prior.sample(key, len(a))
      inputs = {"generator": (latent, a), "inverse": (latent, b), "discriminator": (b,), "second_discriminator": (a,)}[name]
      params, network_state = init_network(modules[name], key, *inputs)
      return params, {"network": network_state}

    return init

  return Game(
    players={n: Player(init_of(n), loss_of(n), optimizers[n], ema_decay if n in ("generator", "inverse") else None) for n in PLAYERS},
    turns=(("discriminator", "second_discriminator"), ("generator", "inverse")),
    sample=sampler(there, prior),
    axis_name=axis_name,
  )


def sides(batch: Batch, game: str) -> tuple[Array, Array]:
  """(a, b): the images to translate, and those that the translations should look like. ValueError: they are not of one shape."""
  a, b = batch.get("condition"), batch["image"]
  if a is None or a.shape != b.shape:
    said = "none" if a is None else f"of shape {a.shape[1:]}"
    raise ValueError(f"{game} translates between images of one shape, here {b.shape[1:]}; the data's condition is {said} (use data.unpaired)")
  return a, b


def wrong(real: Array, fake: Array) -> Array:
  """D's loss by least squares, from its logits of real and fake."""
  return (jnp.square(real - 1).mean() + jnp.square(fake).mean()) / 2


__all__ = ["cyclegan"]
