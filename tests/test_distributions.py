"""Distances between two batches: numbers by hand and by loops, and what each is for a law against itself.

Mutations that made a test here fail: MMD with its diagonals, its cross term once, kernels averaged rather than summed, a width in place of its
square, D's and G's signs exchanged; sliced Wasserstein without sorting, one side sorted, directions of any length, a distance for its square;
Sinkhorn without its two debiasing terms, with one of them twice, stopped after one iteration, with its plan held constant; a witness of the other
sign, or of features held constant.
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from games import jit
from plays import Affine, affine, fixed_prior, loss, play_of

from gan_jax import distributions, gan, penalties
from gan_jax.core import build

X = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
Y = np.random.default_rng(1).normal(size=(4, 3)).astype("float32") + 0.5
KERNELS = {
  "rational_quadratic": lambda d: sum((1 + d / (2 * a)) ** -a for a in (0.2, 0.5, 1, 2, 5)),
  "rbf": lambda d: sum(np.exp(-d / (2 * s**2)) for s in (1, 2, 4, 8, 16)),
}


def value(objective, x, y, player="generator", **settings):
  play = play_of(real=x, fake=y, **settings)._replace(outputs=lambda x: x)
  return float(getattr(objective, player)(play))


def mmd(x, y, kernel, linear=0.0):
  k = lambda a, b: kernel(((a - b) ** 2).sum()) + linear * a @ b
  inner = lambda z: np.mean([k(z[i], z[j]) for i, j in itertools.permutations(range(len(z)), 2)])
  return inner(x) + inner(y) - 2 * np.mean([k(a, b) for a in x for b in y])


@pytest.mark.parametrize("name", KERNELS)
def test_mmd_by_a_loop(name):
  objective = distributions.mmd(name, linear=0.3)
  wanted = mmd(X, Y, KERNELS[name], 0.3)
  assert value(objective, X, Y) == pytest.approx(wanted, rel=1e-4)
  assert value(objective, X, Y, "discriminator") == pytest.approx(-wanted, rel=1e-4)
  one = distributions.mmd(name, scales=(2.0,))
  shape = {"rational_quadratic": lambda d: (1 + d / 4) ** -2, "rbf": lambda d: np.exp(-d / 8)}[name]
  assert value(one, X, Y) == pytest.approx(mmd(X, Y, shape), rel=1e-4)


def test_mmd_of_a_law_with_itself_is_0_on_average():
  """Over all ways to call half of the points real: exactly, for the unbiased estimate."""
  points = np.concatenate([X, Y])[:4]
  objective = distributions.mmd()
  values = [value(objective, points[list(order[:2])], points[list(order[2:])]) for order in itertools.permutations(range(4))]
  assert np.mean(values) == pytest.approx(0, abs=1e-5) and np.ptp(values) > 0.1


def test_sliced_wasserstein_by_hand():
  """Sorted, {0, 1} and {1, 3} are 1 and 2 apart; as given, 3 and 0. In one dimension both unit directions say so."""
  x, y = np.array([[0.0], [1.0]]), np.array([[3.0], [1.0]])
  objective = distributions.sliced_wasserstein(num_projections=7, on="samples")
  assert value(objective, x, y) == pytest.approx((1 + 4) / 2, rel=1e-5)


def test_sliced_wasserstein_of_a_shift():
  """W_2^2 along u is (u . t)^2, whose mean over unit directions of the space of F dimensions is |t|^2 / F."""
  shift = np.array([1.0, -2.0, 2.0], "float32")
  objective = distributions.sliced_wasserstein(num_projections=20_000, on="samples")
  assert value(objective, X, (X + shift)[::-1].copy()) == pytest.approx(9 / 3, rel=0.03)
  features = value(distributions.sliced_wasserstein(20_000), X, X + shift, features=lambda x: 2 * x)
  assert features == pytest.approx(4 * 9 / 3, rel=0.03)


def test_sliced_wassersteins_discriminator_is_a_classifier():
  objective = distributions.sliced_wasserstein()
  play = play_of(real_logits=[1.0, 2.0], fake_logits=[0.0, 0.0])
  assert float(objective.discriminator(play)) == pytest.approx(np.log1p(np.exp([-1.0, -2.0])).mean() + np.log(2), rel=1e-6)


@pytest.mark.parametrize("epsilon", [0.5, 3.0])
def test_sinkhorn_by_hand(epsilon):
  """{0, 1} against {2, 3}: the plan puts p = sigmoid(1 / epsilon) on the straight pairs: W = 5 - p, within a law 1 - p, and S = 8 = 2 |t|^2."""
  x, y = np.array([[0.0], [1.0]]), np.array([[2.0], [3.0]])
  p = 1 / (1 + np.exp(-1 / epsilon))
  transport = lambda a, b: float(distributions._transport(distributions._squared_distance(jnp.asarray(a), jnp.asarray(b)), epsilon, 50))
  assert transport(x, y) == pytest.approx(5 - p, rel=1e-4) and transport(x, x) == pytest.approx(1 - p, rel=1e-4)
  objective = distributions.sinkhorn(epsilon)
  assert value(objective, x, y) == pytest.approx(8, rel=1e-4)
  assert value(objective, x, y, "discriminator") == pytest.approx(-8, rel=1e-4)


def test_sinkhorn_is_not_biased_towards_a_shrunk_law():
  """At a copy of the data it is 0, and flat in the copy's scale; the blurred transport cost alone would have it shrink."""
  squared = distributions._squared_distance
  debiased = lambda s: distributions.sinkhorn_divergence(jnp.asarray(X), s * jnp.asarray(X), 20.0, 10, squared)
  biased = lambda s: distributions._transport(squared(jnp.asarray(X), s * jnp.asarray(X)), 20.0, 10)
  (value, slope), (_, alone) = jit(lambda s: (jax.value_and_grad(debiased)(s), jax.value_and_grad(biased)(s)))(1.0)
  assert float(value) == pytest.approx(0, abs=1e-5) and float(slope) == pytest.approx(0, abs=1e-3)
  assert float(alone) > 0.1


@pytest.mark.parametrize("name", ["squared", "cosine"])
def test_sinkhorn_is_differentiated_through_its_plan(name):
  """By central differences in float64: the plan moves with the samples. With a plan held constant the slopes are others, by a tenth and more."""
  between = {"squared": distributions._squared_distance, "cosine": distributions._cosine_distance}[name]
  with jax.enable_x64(True):
    x, y = jnp.asarray(X, jnp.float64), jnp.asarray(Y, jnp.float64)
    plain = lambda y: distributions.sinkhorn_divergence(x, y, 1.0, 50, between)
    divergence = jit(plain)
    slopes = [float(divergence(y + 1e-5 * e) - divergence(y - 1e-5 * e)) / 2e-5 for e in np.eye(Y.size).reshape(-1, *Y.shape)]
    np.testing.assert_allclose(np.ravel(jit(jax.grad(plain))(y)), slopes, rtol=1e-5, atol=1e-7)


def test_sinkhorn_at_large_epsilon_is_an_mmd():
  distance = lambda a, b: ((a[:, None] - b[None]) ** 2).sum(axis=2).mean()
  wanted = 2 * distance(X, Y) - distance(X, X) - distance(Y, Y)
  assert value(distributions.sinkhorn(1e4), X, Y) == pytest.approx(wanted, rel=1e-2)
  unit = lambda z: z / np.linalg.norm(z, axis=1, keepdims=True)
  cosine = lambda a, b: (1 - unit(a) @ unit(b).T).mean()
  wanted = 2 * cosine(X, Y) - cosine(X, X) - cosine(Y, Y)
  assert value(distributions.sinkhorn(1e3, cost="cosine"), X, Y) == pytest.approx(wanted, rel=1e-2)


@pytest.mark.parametrize("name", ["mmd", "sinkhorn"])
def test_the_witness_is_what_penalties_see(name):
  """MMD: E k(h(x), h(.)) - E k(h(x'), h(.)); Sinkhorn: E c(h(x'), h(.)) - E c(h(x), h(.)). R1 of it, by central differences."""
  objective = {"mmd": distributions.mmd("rbf"), "sinkhorn": distributions.sinkhorn(iterations=3)}[name]
  batch = {"image": Y[:, :2]}
  optimizers = {"generator": optax.sgd(0.1), "discriminator": optax.sgd(0.1)}
  game = gan(Affine(2), Affine(3), objective, prior=fixed_prior(X), optimizers=optimizers, discriminator_terms={"r1": penalties.r1(2.0)})
  state = build(game).init(jax.random.key(0), batch)
  real, fake = (affine(state, "discriminator", x) for x in (batch["image"], affine(state, "generator", X)))

  def witness(x):
    h = affine(state, "discriminator", x)
    distance = lambda a: ((h[:, None] - a[None]) ** 2).sum(axis=2)
    if name == "sinkhorn":
      return distance(fake).mean(axis=1) - distance(real).mean(axis=1)
    return KERNELS["rbf"](distance(real)).mean(axis=1) - KERNELS["rbf"](distance(fake)).mean(axis=1)

  slopes = [(witness(batch["image"] + 1e-3 * e) - witness(batch["image"] - 1e-3 * e)) / 2e-3 for e in np.eye(2)]
  _, metrics = loss(game, state, "discriminator", batch)
  assert float(metrics["r1"]) == pytest.approx(np.square(slopes).sum(axis=0).mean(), rel=1e-2)
  assert float(metrics["real_logits"]) == pytest.approx(witness(batch["image"]).mean(), rel=1e-3)
  # D's gradient also goes through the features that the witness compares with.
  plain = lambda params: game.players["discriminator"].loss(params, state, batch, jax.random.key(0))[0]
  params, value = state.params["discriminator"], jit(plain)
  grads = jit(jax.grad(plain))(params)
  way = jax.tree.map(lambda leaf: np.cos(np.arange(leaf.size)).reshape(leaf.shape).astype("float32"), params)
  moved = lambda h: float(value(jax.tree.map(lambda leaf, d: leaf + h * d, params, way)))
  slope = sum(float((g * d).sum()) for g, d in zip(jax.tree.leaves(grads), jax.tree.leaves(way), strict=True))
  assert slope == pytest.approx((moved(3e-3) - moved(-3e-3)) / 6e-3, rel=1e-2)


def test_comparing_samples_leaves_the_discriminator_a_classifier():
  for objective in (distributions.mmd(on="samples"), distributions.sinkhorn(on="samples")):
    assert objective.witness is None
    play = play_of(real_logits=[1.0], fake_logits=[0.0])
    assert float(objective.discriminator(play)) == pytest.approx(np.log1p(np.exp(-1.0)) + np.log(2), rel=1e-6)
  images = X.reshape(4, 1, 3, 1)
  assert value(distributions.mmd(on="samples"), images, Y.reshape(4, 1, 3, 1)) == pytest.approx(mmd(X, Y, KERNELS["rational_quadratic"]), rel=1e-4)


@pytest.mark.parametrize("make", [distributions.mmd, distributions.sinkhorn, distributions.sliced_wasserstein])
def test_settings_that_there_are_not(make):
  with pytest.raises(ValueError, match='on is "pixels"; it may be'):
    make(on="pixels")
  with pytest.raises(ValueError, match='kernel is "cubic"; it may be'):
    distributions.mmd("cubic")
  with pytest.raises(ValueError, match='cost is "cubic"; it may be'):
    distributions.sinkhorn(cost="cubic")
