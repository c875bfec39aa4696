"""Players who mind the whole vector field of the game: v, the gradients of all players' losses, each in the player's own parameters."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from jax import Array, lax
from jax.scipy.sparse.linalg import cg

from gan_jax.core import Aux, Batch, Game, GanState, PyTree, mean_over, with_entry
from gan_jax.transforms.turns import simultaneous, with_losses


def consensus(game: Game, gamma: float) -> Game:
  """Every player also minimises gamma / 2 * |v|^2, v the gradients of all players' losses in their own parameters. Played simultaneously.

  Mescheder et al., 2017 (arXiv:1705.10461), eq. 8. Turns rotation around an equilibrium into descent; costs a Hessian-vector product a player.
  """
  names = tuple(game.players)

  def loss_of(name: str):
    me = game.players[name]

    def loss(params: PyTree, state: GanState, batch: Batch, key: Array) -> tuple[Array, Aux]:
      state = with_entry(state, name, params=params)
      field = {n: jax.grad(game.players[n].loss, has_aux=True)(state.params[n], state, batch, key)[0] for n in names}
      energy = optax.tree.norm(mean_over(field, game.axis_name), squared=True) / 2
      value, aux = me.loss(params, state, batch, key)
      return value + gamma * energy, aux._replace(metrics={**aux.metrics, "consensus": gamma * energy})

    return loss

  return simultaneous(with_losses(game, {name: loss_of(name) for name in names}))


def symplectic(game: Game, weight: float = 1.0, alignment: float | None = 0.1) -> Game:
  """Symplectic gradient adjustment: every player follows v + l A^T v, A = (H - H^T) / 2 the rotating part of the field's Jacobian H.

  Balduzzi et al., 2018 (arXiv:1802.05642), algorithm 1. With l = weight * sign(<v, H^T v> <A^T v, H^T v> / n + alignment), n the number of all
  parameters, the adjustment points towards stable points of the field and away from unstable ones; `alignment` (their epsilon, .1) prefers the former
  where the product is near 0. None fixes l = weight, which may be drawn to an unstable point. Played simultaneously; costs two products with the
  Jacobian. Easy mistakes: A v for A^T v (it drives play outwards), and the symmetric part, which is consensus' other half.
  """
  names = tuple(game.players)

  def adjustment(state: GanState, batch: Batch, key: Array) -> tuple[dict[str, PyTree], Array]:
    v, forward, backward = _field(game, names, state, batch, key)
    rise = backward(v)  # H^T v, the gradient of |v|^2 / 2
    turn = jax.tree.map(lambda up, along: (up - along) / 2, rise, forward(v))  # A^T v
    if alignment is None:
      return optax.tree.scale(weight, turn), jnp.ones(())
    size = sum(x.size for x in jax.tree.leaves(v))
    towards = optax.tree.vdot(v, rise) * optax.tree.vdot(turn, rise) / size + alignment
    sign = jnp.where(towards >= 0, 1.0, -1.0)
    return optax.tree.scale(weight * sign, turn), sign

  def loss_of(name: str):
    me = game.players[name]

    def loss(params: PyTree, state: GanState, batch: Batch, key: Array) -> tuple[Array, Aux]:
      value, aux = me.loss(params, state, batch, key)
      push, sign = adjustment(state, batch, key)
      return value + _tilt(params, push[name]), aux._replace(metrics={**aux.metrics, "alignment": sign})

    return loss

  return simultaneous(with_losses(game, {name: loss_of(name) for name in names}))


def competitive(game: Game, tolerance: float = 1e-6, max_iterations: int = 20) -> Game:
  """Competitive gradient descent: both players step to the equilibrium of the game's bilinear approximation, each knowing that the other does.

  Schäfer & Anandkumar, 2019 (arXiv:1905.12103), eq. 3-4. G minimises f, D minimises g = -f; with N = D_xy f and learning rates a (G) and b (D),

  dx = -a (1 + a b N N^T)^-1 (grad_x f - b N grad_y g),   dy = -b (1 + a b N^T N)^-1 (grad_y g + a N^T grad_x f).

  The two systems are solved by conjugate gradients, to `tolerance` or for `max_iterations`. This is the players' optimiser: theirs must be plain SGD
  (`optax.sgd(rate)`), whose rates are a and b; Adam's moments of these directions would be another method (ACGD is, and is not offered).
  Zero-sum only: `objectives.minimax()` or `wasserstein()`, whose terms each depend on one player alone. The metric `zero_sum_gap` compares N as G's
  loss has it with N as D's has it: 0 where they agree, towards 1 in a game for which the solution is that of another one (non-saturating losses).

  Raises:
    ValueError: a game of other players than generator and discriminator, another optimiser than plain SGD, or several turns a round.
  """
  names = ("generator", "discriminator")
  if set(game.players) != set(names):
    raise ValueError(f"competitive gradient descent is for a generator and a discriminator, this game has {', '.join(game.players)}")
  for name in names:
    if not _plain_sgd(game.players[name].optimizer):
      raise ValueError(f"competitive gradient descent is the optimizer of both players: give the {name} plain sgd, whose learning rate it takes")

  def steps(state: GanState, batch: Batch, key: Array) -> tuple[dict[str, PyTree], dict[str, PyTree], dict[str, Callable], dict[str, PyTree]]:
    """Gradients, learning rates of every parameter, the mixed derivative N = D_xy f and its transpose as functions, and N^T grad_x f by D's loss."""
    v, _, _ = _field(game, names, state, batch, key)
    rates = {}
    for name in names:
      ones = jax.tree.map(jnp.ones_like, state.params[name])
      updates, _ = game.players[name].optimizer.update(ones, state.opt_state[name], state.params[name])
      rates[name] = jax.tree.map(jnp.negative, updates)
    g_slope = lambda y: _slope(game, "generator", with_entry(state, "discriminator", params=y), batch, key)
    d_slope = lambda x: _slope(game, "discriminator", with_entry(state, "generator", params=x), batch, key)
    x, y = (state.params[name] for name in names)
    _, push, pull = _products(g_slope, y)
    across = lambda dy: mean_over(push(dy), game.axis_name)
    back = lambda dx: mean_over(pull(dx), game.axis_name)
    by_rival = mean_over(_products(d_slope, x)[1](v["generator"]), game.axis_name)
    return v, rates, {"generator": across, "discriminator": back}, by_rival

  def loss_of(name: str, rival: str, sign: float):
    me = game.players[name]

    def loss(params: PyTree, state: GanState, batch: Batch, key: Array) -> tuple[Array, Aux]:
      v, rates, mixed, by_rival = steps(state, batch, key)
      to_me, to_rival = mixed[name], mixed[rival]
      root = jax.tree.map(jnp.sqrt, rates[name])
      scaled = lambda own: jax.tree.map(jnp.multiply, root, own)
      theirs = lambda tree: jax.tree.map(jnp.multiply, rates[rival], tree)
      # (1 + sqrt(a) N b N^T sqrt(a)) sqrt(a) u = sqrt(a) (grad + sign N b grad'), and SGD steps by -a u.
      system = lambda own: jax.tree.map(jnp.add, own, scaled(to_me(theirs(to_rival(scaled(own))))))
      answer = jax.tree.map(lambda own, other: own + sign * other, v[name], to_me(theirs(v[rival])))
      solved, _ = cg(system, scaled(answer), tol=tolerance, maxiter=max_iterations)
      direction = jax.tree.map(lambda right, other: right - other, answer, to_me(theirs(to_rival(scaled(solved)))))
      value, aux = me.loss(params, state, batch, key)
      push = jax.tree.map(jnp.subtract, direction, v[name])
      metrics = {**aux.metrics, "zero_sum_gap": _gap(mixed["discriminator"](v["generator"]), by_rival)}
      return value + _tilt(params, push), aux._replace(metrics=metrics)

    return loss

  losses = {"generator": loss_of("generator", "discriminator", -1.0), "discriminator": loss_of("discriminator", "generator", 1.0)}
  return simultaneous(with_losses(game, losses))


def _slope(game: Game, name: str, state: GanState, batch: Batch, key: Array) -> PyTree:
  """The gradient of one player's loss in its own parameters, of this device's rows."""
  return jax.grad(game.players[name].loss, has_aux=True)(state.params[name], state, batch, key)[0]


def _plain_sgd(optimizer: optax.GradientTransformation) -> bool:
  """Whether an update is the gradient times a constant, however large gradient and parameters are."""
  if jax.tree.leaves(jax.eval_shape(optimizer.init, jax.ShapeDtypeStruct((), jnp.float32))):
    return False

  def step(gradient: float, parameter: float) -> float:
    own = jnp.float32(parameter)
    return float(optimizer.update(jnp.float32(gradient), optimizer.init(own), own)[0])

  try:
    with jax.ensure_compile_time_eval():
      return all(math.isclose(step(*at), at[0] * step(1.0, 0.0), rel_tol=1e-4) for at in ((1e4, 0.0), (1.0, 100.0), (-1e-4, -100.0)))
  except jax.errors.ConcretizationTypeError:  # a rate that is an argument of a jitted function
    return True


def _field(game: Game, names: tuple[str, ...], state: GanState, batch: Batch, key: Array) -> tuple[PyTree, Callable, Callable]:
  """v of the global batch, and the products H u and H^T u with its Jacobian, as functions of u."""

  def local(params: PyTree) -> PyTree:
    here = state.replace(params={**state.params, **params})
    return {name: _slope(game, name, here, batch, key) for name in names}

  at = {name: state.params[name] for name in names}
  v, push, pull = _products(local, at)
  forward = lambda u: mean_over(push(u), game.axis_name)
  backward = lambda u: mean_over(pull(u), game.axis_name)
  return mean_over(v, game.axis_name), forward, backward


def _products(function: Callable[[PyTree], PyTree], at: PyTree) -> tuple[PyTree, Callable, Callable]:
  """The value there, u -> J u and w -> J^T w. The first product is the derivative of the second, for our layers know no forward mode."""
  value, pull = jax.vjp(function, at)
  back = lambda w: pull(w)[0]
  _, push = jax.vjp(back, value)  # back is linear, so any point will do
  return value, lambda u: push(u)[0], back


def _tilt(params: PyTree, push: PyTree) -> Array:
  """A term of value 0 whose gradient in `params` is `push`. What `push` depends on is left to whoever differentiates through the state."""
  return sum(((p - lax.stop_gradient(p)) * d).sum() for p, d in zip(jax.tree.leaves(params), jax.tree.leaves(push), strict=True))


def _gap(ours: PyTree, theirs: PyTree) -> Array:
  """|ours + theirs| / (|ours| + |theirs|): 0 where one is minus the other."""
  total = optax.tree.norm(jax.tree.map(jnp.add, ours, theirs))
  return total / (optax.tree.norm(ours) + optax.tree.norm(theirs) + 1e-30)


__all__ = ["competitive", "consensus", "symplectic"]
