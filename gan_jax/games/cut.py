"""CUT: unpaired translation in one direction. What a patch becomes must be told from what the other patches of the image become."""

from collections.abc import Mapping, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax import Array

from gan_jax.calls import Calls, Prior, check_optimizers, flat_logits, health, init_network, on_axis, untrained
from gan_jax.core import Aux, Batch, Game, GanState, PyTree, draw, with_entry
from gan_jax.games.assembly import assemble
from gan_jax.games.cyclegan import sides, wrong
from gan_jax.networks.dense import Dense

PLAYERS = ("generator", "discriminator", "heads")


class Heads(nn.Module):
  """A perceptron of one hidden layer for each layer of features, and rows of length 1: `([B, S, C_l], ...) -> ([B, S, size], ...)`."""

  size: int

  @nn.compact
  def __call__(self, *layers: Array, train: bool) -> tuple[Array, ...]:
    del train
    found = []
    for number, x in enumerate(layers):
      x = nn.relu(Dense(self.size, name=f"hidden_{number}")(x))
      x = Dense(self.size, name=f"out_{number}")(x)
      found.append(x / jnp.sqrt(jnp.square(x).sum(axis=-1, keepdims=True) + 1e-12))
    return tuple(found)


def patch_nce(query: Array, key: Array, temperature: float = 0.07) -> Array:
  """E -log (e^(q_i . k_i / t) / sum_j e^(q_i . k_j / t)), over the patches i of every image, j over those of the same image.

  Park et al., 2020 (arXiv:2007.15651), eq. 3. query, key: `[B, S, F]`, rows of length 1. Where all patches look alike it is log S; at best 0.

  >>> round(float(patch_nce(jnp.eye(2)[None], jnp.eye(2)[None], temperature=1.0)), 4)  # log(1 + 1 / e)
  0.3133
  """
  logits = jnp.einsum("bif,bjf->bij", query, key) / temperature
  return -jnp.diagonal(jax.nn.log_softmax(logits, axis=-1), axis1=1, axis2=2).mean()


def cut(
  generator: nn.Module,
  discriminator: nn.Module,
  *,
  prior: Prior,
  optimizers: Mapping[str, optax.GradientTransformation],
  weight: float = 1.0,
  identity_weight: float | None = None,
  patches: int = 64,
  heads: int = 64,
  temperature: float = 0.07,
  ema_decay: float | None = None,
  axis_name: str | None = None,
) -> Game:
  """CUT: unpaired translation in one direction. What a patch becomes must be told from what the other patches of the image become.

  Park et al., 2020 (arXiv:2007.15651), eq. 4 with least squares: G makes images b of the other set's images a (the condition).

  discriminator:     (E (D(b) - 1)^2 + E D(G(a))^2) / 2
  generator, heads:  E (D(G(a)) - 1)^2 + weight N(a) (+ identity_weight N(b)), N(x) the mean over layers l of
                     patch_nce(H_l(G_l(G(x))), H_l(G_l(x))), at the same `patches` places of both, drawn anew each turn

  G_l are the image itself and what G sows as `layers` (the first half of `residual_translator`): G's own encoder sees both. The keys, of x, are held
  constant, as in their code. CUT is weight 1, identity_weight 1 (their code halves both); FastCUT is weight 10 without identity (and flips, which are
  not here). Half the networks of CycleGAN, and no cycle, so no image is hidden in another. The data are `data.unpaired`.
  Traps: patches need only differ from one another, so the subject's pattern may end up on the background; and what is kept is what G's own encoder
  tells apart, which at first is little.

  Args:
    patches: places of each layer that are compared (256 in the paper); all, where a layer has fewer.
    heads: width of the perceptrons behind each layer (256 in the paper).

  Raises:
    ValueError: data without a condition, or whose condition is not like its images; a G that sows no layers; a prior that is trained.
  """
  check_optimizers(optimizers, PLAYERS)
  prior = untrained(prior, "cut")
  modules = dict(zip(PLAYERS, (on_axis(generator, axis_name), on_axis(discriminator, axis_name), Heads(heads)), strict=True))

  def loss_of(name: str):
    def loss(params: PyTree, state: GanState, batch: Batch, key: Array) -> tuple[Array, Aux]:
      state = with_entry(state, name, params=params)
      a, b = sides(batch, "cut")
      calls = {n: Calls(modules[n], n, state, key=key, axis_name=axis_name) for n in PLAYERS}
      latent_key, place_key = jax.random.split(key)
      latents = [draw(prior.sample, jax.random.fold_in(latent_key, number), len(a), axis_name) for number in range(2)]
      translate = lambda number, image: calls["generator"](latents[number], image)
      fake = translate(0, a)
      network_state = calls["generator"].new_state()  # of the translation, not of the identity
      real_logits, fake_logits = (flat_logits(calls["discriminator"](x)) for x in (b, fake))
      if name == "discriminator":
        return wrong(real_logits, fake_logits), Aux({"network": calls[name].new_state()}, health(real_logits - 0.5, fake_logits - 0.5))

      def contrast(number: int, image: Array, answer: Array) -> Array:
        own, other = ((x, *calls["generator"].sown("layers", latents[number], x)) for x in (answer, image))
        at = jax.random.fold_in(place_key, number)
        queries, keys = (calls["heads"](*_at_places(layers, patches, at)) for layers in (own, other))
        values = [patch_nce(q, jax.lax.stop_gradient(k), temperature) for q, k in zip(queries, keys, strict=True)]
        return jnp.stack(values).mean()

      metrics = {"adversarial": jnp.square(fake_logits - 1).mean(), "contrast": weight * contrast(0, a, fake)}
      if identity_weight is not None:
        metrics["identity"] = identity_weight * contrast(1, b, translate(1, b))
      return jnp.stack(list(metrics.values())).sum(), Aux({"network": network_state if name == "generator" else calls[name].new_state()}, metrics)

    return loss

  def inputs(name: str, key: Array, batch: Batch) -> tuple:
    a, b = sides(batch, "cut")
    latent = prior.sample(key, len(a))
    if name == "generator":
      return (latent, a)
    if name == "discriminator":
      return (b,)
    layers = jax.eval_shape(lambda: (a, *_layers(generator, key, latent, a)))
    return tuple(jnp.zeros((len(a), 1, layer.shape[-1])) for layer in layers)

  return assemble(
    modules, {name: loss_of(name) for name in PLAYERS}, inputs, prior=prior, optimizers=optimizers,
    turns=(("discriminator",), ("generator", "heads")), ema_decay=ema_decay, axis_name=axis_name,
  )  # fmt: skip


def _at_places(layers: Sequence[Array], patches: int, key: Array) -> tuple[Array, ...]:
  """`[B, h, w, C] -> [B, S, C]` of each layer, at S places of its own that all images share."""
  found = []
  for number, layer in enumerate(layers):
    rows = layer.reshape(len(layer), -1, layer.shape[-1])
    order = jax.random.permutation(jax.random.fold_in(key, number), rows.shape[1])
    found.append(jnp.take(rows, order[:patches], axis=1))
  return tuple(found)


def _layers(generator: nn.Module, key: Array, latent: Array, image: Array) -> tuple[Array, ...]:
  """What G sows as layers, from parameters made on the spot: for shapes alone."""
  params, network_state = init_network(generator, key, latent, image)
  state = GanState(jnp.zeros((), jnp.int32), {"generator": params}, {"generator": {"network": network_state}}, {}, {})
  return Calls(on_axis(generator, None), "generator", state).sown("layers", latent, image)


__all__ = ["cut", "patch_nce"]
