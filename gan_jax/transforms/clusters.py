"""Labels that the game finds by itself: clusters of the discriminator's features."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from gan_jax.calls import Sampler, flat_features
from gan_jax.core import Aux, Batch, Game, GanState, Loss, PyTree, gather, with_entry

Memory = Any  # of the discriminator: see `self_conditioned`


def self_conditioned(game: Game, num_clusters: int = 50, every: int = 5000, examples: int = 1024, iterations: int = 10) -> Game:
  """Self-conditioned GAN: both players are told the cluster of the real example, by k-means in D's features, and a sample is made for a random one.

  Liu et al., 2020 (arXiv:2006.10728). G and D get the label as a one-hot condition `[B, num_clusters]`; G makes fakes of the labels of the real
  batch, and samples of labels with the clusters' shares of the data. The first clusters are those of the first batch in the features of an
  untrained D; they are found anew once `examples` real ones have been seen, and then every `every` rounds, by `iterations` of Lloyd's algorithm on
  the last `examples`. In between, D as it was at the last clustering says what is where, so an example keeps its label. A clustering starts from
  the means of the old clusters in the new features, so clusters keep their numbers, and G what it has learned of them (the authors' code then also
  permutes the numbers for the best match, and clusters 10,000 fixed points or 25,000 images). Features are those of D with no label: asked with
  one, it would find that label again. They take 50 clusters for points, 100 for images.
  Traps: labels by the D of the moment, which drift in every round; k-means from scratch, which renumbers; samples of uniform labels. With as many
  clusters as modes every mode has a label of its own: show a run with fewer, and count the further forwards of D.

  Raises:
    ValueError: settings out of range, a game other than `gan` on single examples, or data that come with a condition.
  """
  for name, value in (("num_clusters", num_clusters), ("every", every), ("iterations", iterations)):
    if value < 1:
      raise ValueError(f"{name} is {value}; self_conditioned needs at least 1")
  if examples < num_clusters:
    raise ValueError(f"examples is {examples}; {num_clusters} clusters need as many at least")
  if game.judge is None or set(game.players) != {"generator", "discriminator"}:
    raise ValueError("self_conditioned is for the game gan with a discriminator that sees single examples: no packs, no diffusion")
  if not isinstance(game.sample, Sampler):
    raise ValueError("self_conditioned needs a game that draws its samples from latents (put it before rejection_sampling)")
  judge, draw = game.judge, game.sample

  def features(eyes: tuple[PyTree, PyTree], images: Array) -> Array:
    params, network_state = eyes
    d = GanState(jnp.zeros((), jnp.int32), {"discriminator": params}, {"discriminator": {"network": network_state}}, {}, {})
    return flat_features(judge(d, images, {"condition": jnp.zeros((len(images), num_clusters))})[1])

  def labels(memory: Memory, images: Array) -> Array:
    return nearest(features(memory["eyes"], images), memory["centers"])

  def labelled(batch: Batch, memory: Memory) -> Batch:
    if "condition" in batch:
      raise ValueError("self_conditioned finds labels of its own, and these data come with a condition; leave one of them out")
    return {**batch, "condition": lax.stop_gradient(jax.nn.one_hot(labels(memory, batch["image"]), num_clusters))}

  def told(name: str, own: Loss) -> Loss:
    def loss(params: PyTree, state: GanState, batch: Batch, key: Array) -> tuple[Array, Aux]:
      memory = state.model_state["discriminator"]["clusters"]
      value, aux = own(params, state, labelled(batch, memory), key)
      if name == "discriminator":
        seen = gather(batch["image"], game.axis_name)
        latest = jnp.concatenate([memory["examples"], seen])[-examples:]
        memory = {**memory, "examples": latest, "seen": memory["seen"] + len(seen)}
        aux = aux._replace(model_state={**aux.model_state, "clusters": memory})
      return value, aux

    return loss

  def init_of(name: str):
    def init(key: Array, batch: Batch) -> tuple[PyTree, PyTree]:
      images = batch["image"]
      params, model_state = game.players[name].init(key, {**batch, "condition": jnp.zeros((len(images), num_clusters))})
      if name == "generator":
        return params, model_state
      eyes = jax.tree.map(jnp.copy, (params, model_state["network"]))
      points = features(eyes, images)
      centers, shares = k_means(points, k_means_plus_plus(points, num_clusters, jax.random.fold_in(key, _START)), iterations, key)
      zero = jnp.zeros((), jnp.int32)
      kept = jnp.resize(images, (examples, *images.shape[1:]))
      return params, {**model_state, "clusters": {"eyes": eyes, "centers": centers, "shares": shares, "examples": kept, "seen": zero, "found": zero}}

    return init

  def cluster(memory: Memory, eyes: tuple[PyTree, PyTree]) -> Memory:
    points = features(eyes, memory["examples"])
    key = jax.random.fold_in(jax.random.key(_START), memory["found"])
    start, _ = means_of(points, labels(memory, memory["examples"]), num_clusters, key)
    centers, shares = k_means(points, start, iterations, key)
    return {**memory, "eyes": eyes, "centers": centers, "shares": shares, "found": memory["found"] + 1}

  @jax.custom_batching.custom_vmap
  def cluster_if(due: Array, memory: Memory, eyes: tuple[PyTree, PyTree]) -> Memory:
    return lax.cond(due, cluster, lambda memory, eyes: memory, memory, eyes)

  @cluster_if.def_vmap
  def cluster_if_any(size: int, batched: list, *arguments: PyTree) -> tuple[Memory, PyTree]:
    """Of several seeds: `cond` under vmap would cluster in every round and throw the result away."""
    spread = lambda tree, has: jax.tree.map(lambda x, b: x if b else jnp.broadcast_to(x, (size, *x.shape)), tree, has)
    due, memory, eyes = (spread(tree, has) for tree, has in zip(arguments, batched, strict=True))
    choose = lambda due, memory, eyes: jax.tree.map(lambda new, old: jnp.where(due, new, old), cluster(memory, eyes), memory)
    found = lax.cond(due.any(), jax.vmap(choose), lambda due, memory, eyes: memory, due, memory, eyes)
    return found, jax.tree.map(lambda _: True, found)

  def end(state: GanState) -> GanState:
    state = game.end(state)
    d = state.model_state["discriminator"]
    memory = d["clusters"]
    due = jnp.where(memory["found"] == 0, memory["seen"] >= examples, state.step % every == 0)
    memory = cluster_if(due, memory, (state.params["discriminator"], d["network"]))
    return with_entry(state, "discriminator", model_state={**d, "clusters": memory})

  def latent(key: Array, n: int) -> PyTree:
    return draw.latent(key, n), jax.random.randint(jax.random.fold_in(key, _START), (n,), 0, _LARGE)

  def generate(state: GanState, latent: PyTree, batch: Batch) -> Any:
    z, number = latent
    heights = jnp.cumsum(state.model_state["discriminator"]["clusters"]["shares"])
    label = jnp.searchsorted(heights, heights[-1] * (number / _LARGE), side="right")
    return draw.generate(state, z, {**batch, "condition": jax.nn.one_hot(jnp.minimum(label, num_clusters - 1), num_clusters)})

  def judge_labelled(state: GanState, images: Array, batch: Batch) -> tuple[Array, Array]:
    return judge(state, images, labelled({**batch, "image": images}, state.model_state["discriminator"]["clusters"]))

  players = {
    name: player._replace(
      init=init_of(name), loss=told(name, player.loss), parts={part: told(name, own) for part, own in player.parts.items()}
    )
    for name, player in game.players.items()
  }
  between = lambda start, stop, t: (draw.between(start[0], stop[0], t), start[1])
  sample = dataclasses.replace(draw, latent=latent, generate=generate, between=between)
  return game._replace(players=players, sample=sample, end=end, judge=judge_labelled)


_START = 2**31 - 3
_LARGE = 2**24  # whole numbers below it are exact as floats


def nearest(points: Array, centers: Array) -> Array:
  """The number of the center `[K, F]` nearest to each of `points` `[n, F]`."""
  return (jnp.square(centers).sum(axis=1) - 2 * points @ centers.T).argmin(axis=1)


def means_of(points: Array, labels: Array, num_clusters: int, key: Array) -> tuple[Array, Array]:
  """`(means [K, F], shares [K])` of the clusters; one that is empty gets a point at random."""
  member = jax.nn.one_hot(labels, num_clusters)
  sizes = member.sum(axis=0)
  spare = points[jax.random.randint(key, (num_clusters,), 0, len(points))]
  means = jnp.where(sizes[:, None] > 0, member.T @ points / jnp.maximum(sizes, 1)[:, None], spare)
  return means, sizes / len(points)


def k_means(points: Array, start: Array, iterations: int, key: Array) -> tuple[Array, Array]:
  """Lloyd's algorithm: `(centers [K, F], the share of the points nearest to each)`."""

  def step(number: Array, centers: Array) -> Array:
    return means_of(points, nearest(points, centers), len(centers), jax.random.fold_in(key, number))[0]

  centers = lax.fori_loop(0, iterations, step, start)
  return centers, jax.nn.one_hot(nearest(points, centers), len(centers)).mean(axis=0)


def k_means_plus_plus(points: Array, num_clusters: int, key: Array) -> Array:
  """Centers to start from: points, each drawn in proportion to its squared distance from those before it. Arthur and Vassilvitskii, 2007."""

  def add(least: Array, key: Array) -> tuple[Array, Array]:
    heights = jnp.cumsum(jnp.where(jnp.isinf(least), 1, least))  # the first one is any of them
    chosen = points[jnp.minimum(jnp.searchsorted(heights, heights[-1] * jax.random.uniform(key), side="right"), len(points) - 1)]
    return jnp.minimum(least, jnp.square(points - chosen).sum(axis=1)), chosen

  return lax.scan(add, jnp.full(len(points), jnp.inf, points.dtype), jax.random.split(key, num_clusters))[1]


__all__ = ["self_conditioned"]
