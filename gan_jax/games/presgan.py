"""PresGAN: noise of a learned size on samples and data gives G's distribution a density, and its entropy a gradient to climb."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax import Array, lax

from gan_jax.calls import Calls, Prior, Sampler, check_optimizers, flat_logits, health, init_network, on_axis, sampler
from gan_jax.core import Aux, Batch, Game, GanState, Player, PyTree, draw, mean_over, with_entry
from gan_jax.optimizers import adam


def presgan(
  generator: nn.Module,
  discriminator: nn.Module,
  *,
  prior: Prior,
  optimizers: Mapping[str, optax.GradientTransformation],
  weight: float = 0.01,
  noise_rate: float = 2e-4,
  smallest: float = 0.01,
  largest: float = 0.3,
  burn_in: int = 2,
  num_samples: int = 2,
  leapfrog: int = 5,
  acceptance: float = 0.67,
  adaptation: float = 0.02,
  step_size: float | None = None,
  ema_decay: float | None = None,
  axis_name: str | None = None,
) -> Game:
  """PresGAN: noise of a learned size on samples and data gives G's distribution a density, and its entropy a gradient to climb.

  Dieng et al., 2019 (arXiv:1910.04302). x~ = G(z) + s * e, e ~ N(0, I), and data with noise of the same size, x + s * e'. G learns s as well.

  discriminator:  E s(-D(x + s e')) + E s(D(x~))
  generator:      E s(-D(x~)) - weight * H(x~),   grad H = E c . grad x~,   c = (x~ - E[G(z) | x~]) / s^2, held constant

  c is minus the score of x~ (Fisher's identity). The posterior mean is over `num_samples` states of Hamiltonian Monte Carlo on z, `leapfrog` steps
  each, from the z that made x~ (itself a draw of the posterior) and after `burn_in` states, in which the step size moves by
  `adaptation * (accepted - acceptance)` of itself; it starts at `step_size`, or 1 / dim z. s has the data's shape, moves by Adam (`noise_rate`,
  b1 .5) and stays in [smallest, largest]; it starts at softplus(-1) = .31 or the nearest there is. Evaluation draws G(z), without the noise, as the
  authors do. G's parameters are `{"network", "noise"}`.

  Traps, as against their code: its HMC computes G(z) without gradients, so that its proposals know the prior alone; `bsz` is bound anew in the loop;
  noise of one draw is shared by real and fake; and s clipped where it is used, not after its step, would start outside of its range and stay there.
  G sees z of the chains in batches of their own: without BatchNorm, whose statistics would tie the chains. Cost: (burn_in + num_samples) *
  (leapfrog + 1) gradients of G a round.

  Args:
    prior: one with a density, e.g. `priors.normal(64)`.
    weight: lambda, of the entropy; theirs .01, and by data set from .0002 to .1.

  Raises:
    ValueError: a prior without a density, or bounds in the wrong order.
  """
  names = ("generator", "discriminator")
  check_optimizers(optimizers, names)
  if prior.log_density is None:
    raise ValueError("presgan follows the gradient of the prior's density, and this prior has none; use priors.normal")
  if not 0 < smallest < largest:
    raise ValueError(f"smallest = {smallest} and largest = {largest}; the noise needs 0 < smallest < largest")
  modules = dict(zip(names, (on_axis(generator, axis_name), on_axis(discriminator, axis_name)), strict=True))
  bounds = jnp.log(jnp.expm1(jnp.array([smallest, largest])))
  log_density: Callable[[Array], Array] = prior.log_density
  hmc = Hmc(burn_in, num_samples, leapfrog, acceptance, adaptation, axis_name)

  def play(state: GanState, batch: Batch, key: Array) -> tuple[Array, Array, Array, Array, dict[str, Calls]]:
    latent_key, real_key, fake_key = jax.random.split(key, 3)
    network, sigma = _parts(state)
    calls = {n: Calls(modules[n], n, network, key=key, axis_name=axis_name) for n in names}
    real = batch["image"]
    noise = lambda key: draw(lambda key, n: jax.random.normal(key, (n, *real.shape[1:])), key, len(real), axis_name)
    latent = draw(prior.sample, latent_key, len(real), axis_name)
    fake = calls["generator"](latent) + sigma * noise(fake_key)
    real_logits, fake_logits = (flat_logits(calls["discriminator"](x)) for x in (real + sigma * noise(real_key), fake))
    return latent, fake, real_logits, fake_logits, calls

  def judge(params: PyTree, state: GanState, batch: Batch, key: Array) -> tuple[Array, Aux]:
    _, _, real, fake, calls = play(with_entry(state, "discriminator", params=params), batch, key)
    value = jax.nn.softplus(-real).mean() + jax.nn.softplus(fake).mean()
    return value, Aux({"network": calls["discriminator"].new_state()}, health(real, fake))

  def make(params: PyTree, state: GanState, batch: Batch, key: Array) -> tuple[Array, Aux]:
    state = with_entry(state, "generator", params=params)
    latent, fake, _, logits, calls = play(state, batch, key)
    network_state = calls["generator"].new_state()
    network, sigma = _parts(lax.stop_gradient(state))
    generate, there = Calls(modules["generator"], "generator", network), lax.stop_gradient(fake)
    joint = lambda z: log_density(z) - jnp.square((there - generate(z)) / sigma).reshape(len(z), -1).sum(axis=1) / 2
    step = state.model_state["generator"]["memory"]["step_size"]
    samples, step, accepted = hmc.run(joint, lax.stop_gradient(latent), lax.stop_gradient(step), jax.random.fold_in(key, 3))
    score = lax.stop_gradient((there - jax.vmap(generate)(samples).mean(axis=0)) / jnp.square(sigma))
    entropy = (score * fake).reshape(len(fake), -1).sum(axis=1).mean()
    metrics = {"acceptance": accepted, "step_size": step, "noise": sigma.mean()}
    return jax.nn.softplus(-logits).mean() - weight * entropy, Aux({"network": network_state, "memory": {"step_size": step}}, metrics)

  def init_generator(key: Array, batch: Batch) -> tuple[PyTree, PyTree]:
    latent = prior.sample(key, len(batch["image"]))
    params, network_state = init_network(modules["generator"], key, latent)
    first = jnp.asarray(1 / latent.shape[1] if step_size is None else step_size, jnp.float32)
    noise = jnp.clip(jnp.full(batch["image"].shape[1:], -1.0), *bounds)
    return {"network": params, "noise": noise}, {"network": network_state, "memory": {"step_size": first}}

  def init_discriminator(key: Array, batch: Batch) -> tuple[PyTree, PyTree]:
    params, network_state = init_network(modules["discriminator"], key, batch["image"])
    return params, {"network": network_state}

  def stay(updates: PyTree, state: PyTree, params: PyTree = None) -> tuple[PyTree, PyTree]:
    return jax.tree.map(lambda u, p: jnp.clip(p + u, *bounds) - p, updates, params), state

  within = optax.chain(adam(noise_rate, b1=0.5), optax.GradientTransformation(lambda params: optax.EmptyState(), stay))
  both = optax.partition({"network": optimizers["generator"], "noise": within}, {"network": "network", "noise": "noise"})
  plain = sampler(modules["generator"], prior)
  return Game(
    players={
      "generator": Player(init_generator, make, both, ema_decay),
      "discriminator": Player(init_discriminator, judge, optimizers["discriminator"]),
    },
    turns=(("discriminator",), ("generator",)),
    sample=Sampler(prior.sample, lambda state, latent, batch: plain.generate(_parts(state)[0], latent, batch), prior.between),
    axis_name=axis_name,
  )


def _parts(state: GanState) -> tuple[GanState, Array]:
  """The state with G's network alone as G's parameters, and s."""
  params = state.params["generator"]
  return with_entry(state, "generator", params=params["network"]), jax.nn.softplus(params["noise"])


class Hmc(NamedTuple):
  """Hamiltonian Monte Carlo, one chain a row. Neal, 2011 (arXiv:1206.1901)."""

  burn_in: int
  num_samples: int
  leapfrog: int
  acceptance: float
  adaptation: float
  axis_name: str | None = None

  def run(self, log_density: Callable[[Array], Array], start: Array, step: Array, key: Array) -> tuple[Array, Array, Array]:
    """`(samples [num_samples, B, Z], step size after burn-in, share accepted)`; the step size moves in the burn-in alone."""

    def move(carry: tuple[Array, Array], number: Array) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
      z, step = carry
      new, accepted = self.propose(log_density, z, step, jax.random.fold_in(key, number))
      share = mean_over(accepted.mean(), self.axis_name)
      faster = step * (1 + self.adaptation * (share - self.acceptance))
      step = jnp.where(number < self.burn_in, faster, step)
      z = jnp.where(accepted[:, None] > 0, new, z)
      return (z, step), (z, share)

    (_, step), (states, shares) = lax.scan(move, (start, step), jnp.arange(self.burn_in + self.num_samples))
    return states[self.burn_in :], step, shares.mean()

  def propose(self, log_density: Callable[[Array], Array], z: Array, step: Array, key: Array) -> tuple[Array, Array]:
    """A state for each row, and 1.0 where it is accepted."""
    slope = jax.grad(lambda z: log_density(z).sum())
    speed_key, coin_key = jax.random.split(key)
    speed = draw(lambda key, n: jax.random.normal(key, (n, z.shape[1])), speed_key, len(z), self.axis_name)
    energy = lambda z, speed: jnp.square(speed).sum(axis=1) / 2 - log_density(z)

    def leap(carry: tuple[Array, Array, Array], _: None) -> tuple[tuple[Array, Array, Array], None]:
      z, speed, push = carry
      halfway = speed + step / 2 * push
      z = z + step * halfway
      push = slope(z)
      return (z, halfway + step / 2 * push, push), None

    (new, faster, _), _ = lax.scan(leap, (z, speed, slope(z)), None, self.leapfrog)
    coin = draw(lambda key, n: jax.random.uniform(key, (n,)), coin_key, len(z), self.axis_name)
    return new, (jnp.log(coin) < energy(z, speed) - energy(new, faster)).astype(jnp.float32)


__all__ = ["presgan"]
