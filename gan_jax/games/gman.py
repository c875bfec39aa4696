"""GMAN: one generator against several discriminators, the hardest of them counting most."""

from collections.abc import Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax import Array

from gan_jax.calls import Calls, Prior, check_optimizers, flat_logits, health, in_front, init_network, on_axis, sampler
from gan_jax.core import Aux, Batch, Game, GanState, Player, PyTree, draw, mean_over, with_entry


def gman(
  generator: nn.Module,
  discriminator: nn.Module,
  *,
  prior: Prior,
  optimizers: Mapping[str, optax.GradientTransformation],
  num_discriminators: int = 3,
  sharpness: float | None = 1.0,
  reward: float = 1e-3,
  ema_decay: float | None = None,
  axis_name: str | None = None,
) -> Game:
  """GMAN: one generator against several discriminators, the hardest of them counting most.

  Durugkar et al., 2017 (arXiv:1611.01673), section 3 and 4. With V_i = -E s(-D_i(x)) - E s(D_i(G(z))), s = softplus:

  discriminator i:  -V_i
  generator:         F = sum_i w_i V_i,  w = softmax(sharpness * V)
  sharpness:         F - reward * softplus(L),  sharpness = softplus(L)     (only where `sharpness` is None: GMAN*)

  Sharpness (their lambda) 0 is the plain mean, infinity the hardest of the discriminators, which is the one with the highest V. The minimax loss is
  meant: several discriminators are their cure for its vanishing gradient. F is differentiated through its weights too, and V_i holds the real
  samples' part, without which the weights rank discriminators by the fakes alone (as the released code does, which also gives every discriminator a
  batch of its own; here they share one and differ by their first weights). With GMAN* the generator chooses how hard a teacher it wants: it is paid
  `reward` for sharpness. It has a player, and needs an optimiser, of its own.

  Args:
    discriminator: the architecture of each of the `num_discriminators`; they are one player, whose arrays have them as first axis. An optimiser that
      mixes coordinates, such as one that clips the global norm, mixes discriminators.

  Raises:
    ValueError: no discriminator, or an optimiser missing or for nobody.
  """
  if num_discriminators < 1:
    raise ValueError(f"num_discriminators is {num_discriminators}; gman needs at least 1")
  names = ("generator", "discriminator", *(("sharpness",) if sharpness is None else ()))
  check_optimizers(optimizers, names)
  modules = {"generator": on_axis(in_front(generator, prior), axis_name), "discriminator": on_axis(discriminator, axis_name)}

  def loss_of(name: str):
    def loss(params: PyTree, state: GanState, batch: Batch, key: Array) -> tuple[Array, Aux]:
      state = with_entry(state, name, params=params)
      generate = Calls(modules["generator"], "generator", state)
      fake = generate(draw(prior.sample, key, len(batch["image"]), axis_name))

      def judge(own_params: PyTree, own_state: PyTree) -> tuple[Array, Array, PyTree]:
        own = Calls(modules["discriminator"], "discriminator", with_entry(state, "discriminator", params=own_params, model_state=own_state))
        return flat_logits(own(batch["image"])), flat_logits(own(fake)), {"network": own.new_state()}

      on_real, on_fake, judges = jax.vmap(judge)(state.params["discriminator"], state.model_state["discriminator"])
      values_of_games = mean_over(-jax.nn.softplus(-on_real).mean(axis=1) - jax.nn.softplus(on_fake).mean(axis=1), axis_name)  # V
      hard = jax.nn.softplus(state.params["sharpness"]) if sharpness is None else sharpness
      weights = jax.nn.softmax(hard * values_of_games)
      mixed = (weights * values_of_games).sum()
      values = {"generator": mixed, "discriminator": -values_of_games.sum(), "sharpness": mixed - reward * hard}
      states = {"generator": {"network": generate.new_state()}, "discriminator": judges, "sharpness": {}}
      logs = {"discriminator": health(on_real, on_fake), "generator": {"largest_weight": weights.max()}, "sharpness": {"value": jnp.asarray(hard)}}
      return values[name], Aux(states[name], logs[name])

    return loss

  def init_of(name: str):
    def init(key: Array, batch: Batch) -> tuple[PyTree, PyTree]:
      if name == "sharpness":
        return jnp.zeros(()), {}
      if name == "generator":
        params, network_state = init_network(modules[name], key, prior.sample(key, len(batch["image"])))
      else:
        keys = jax.random.split(key, num_discriminators)
        params, network_state = jax.vmap(lambda key: init_network(modules[name], key, batch["image"]))(keys)
      return params, {"network": network_state}

    return init

  decays = {"generator": ema_decay}
  return Game(
    players={name: Player(init_of(name), loss_of(name), optimizers[name], decays.get(name)) for name in names},
    turns=(("discriminator",), tuple(name for name in names if name != "discriminator")),
    sample=sampler(modules["generator"], prior),
    axis_name=axis_name,
  )
