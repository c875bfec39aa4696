"""(alpha_D, alpha_G)-GAN, f-GANs, top-k and SAN against numbers worked by hand, and against what their theory promises.

Mutations that made a test here fail: alpha and its inverse exchanged, probabilities clipped at 1e-7, alpha = 1 without its limit, alpha_D in G's
loss, the unflipped loss for a non-saturating G; every activation and every conjugate with one sign or constant changed, KL and reverse KL exchanged,
G's conjugate left out; top-k of the losses, a mean over B instead of k, k that never shrinks or shrinks past its share, ranks by device; SAN's two
stops exchanged, its direction trained by the hinge, the Wasserstein term's sign, a layer without its norm.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from plays import Affine, fixed_prior, play_of
from scipy.optimize import minimize_scalar

from gan_jax import distributions, gan, networks, objectives
from gan_jax.core import build, take_turn
from gan_jax.networks.layers import SlicedDense

REAL, FAKE = [2.0, 0.0], [1.0, -1.0]
PLAY = play_of(real_logits=REAL, fake_logits=FAKE)
sigmoid = lambda x: 1 / (1 + np.exp(-np.asarray(x)))
both = lambda objective, play=PLAY: [float(objective.discriminator(play)), float(objective.generator(play))]


def test_alpha_by_hand():
  """1/2: l(y) = e^-y. 2: l = 2 (1 - sqrt p). Infinity: l = 1 - p."""
  half = [(np.exp(-2) + 1) / 2 + (np.exp(1) + np.exp(-1)) / 2, -(np.exp(1) + np.exp(-1)) / 2]
  assert both(objectives.alpha(0.5, 0.5)) == pytest.approx(half, rel=1e-6)
  wrong = (1 - sigmoid(REAL)).mean() + sigmoid(FAKE).mean()
  root = lambda y: (2 - 2 * np.sqrt(sigmoid(y))).mean()
  assert both(objectives.alpha(np.inf, 2.0)) == pytest.approx([wrong, -root([-1, 1])], rel=1e-5)
  assert both(objectives.alpha(np.inf, 2.0, "non_saturating")) == pytest.approx([wrong, root(FAKE)], rel=1e-5)
  with pytest.raises(ValueError, match="it plays 'minimax' or 'non_saturating'"):
    objectives.alpha(generator="hinge")


@pytest.mark.parametrize("generator", ["minimax", "non_saturating"])
def test_alpha_one_is_the_gan_and_no_special_case(generator):
  wanted = both(getattr(objectives, generator)())
  assert both(objectives.alpha(generator=generator)) == pytest.approx(wanted, rel=1e-6)
  for near in (1 - 1e-5, 1 + 1e-5):
    assert both(objectives.alpha(near, near, generator)) == pytest.approx(wanted, rel=1e-3)
  slope = jax.grad(lambda a: objectives.alpha(a, a, generator).discriminator(PLAY))
  assert np.isfinite(slope(1.0)) and np.isfinite(slope(2.0))


def test_alpha_against_the_probability_form():
  x, y = np.random.default_rng(0).normal(size=(2, 16))
  for alpha in (0.6, 3.0):
    c = (alpha - 1) / alpha
    loss = lambda label, p: alpha / (alpha - 1) * (1 - label * p**c - (1 - label) * (1 - p) ** c)
    play = play_of(real_logits=x.astype("float32"), fake_logits=y.astype("float32"))
    wanted = [loss(1, sigmoid(x)).mean() + loss(0, sigmoid(y)).mean(), -loss(0, sigmoid(y)).mean()]
    assert both(objectives.alpha(alpha, alpha), play) == pytest.approx(wanted, rel=1e-5)


def test_alpha_has_a_slope_where_probabilities_have_run_out():
  """dl/dy = -p^c (1 - p). At y = -20, p = 2e-9; clipped at 1e-7 there would be none. alpha = .8: c = -1/4, so e^5."""

  def slope(alpha):
    objective = objectives.alpha(1, alpha, "non_saturating")
    return float(jax.grad(lambda y: objective.generator(play_of(fake_logits=y)))(jnp.array([-20.0]))[0])

  assert slope(0.8) == pytest.approx(-np.exp(5), rel=1e-3)
  assert slope(1.0) == pytest.approx(-1, rel=1e-3)
  assert slope(2.0) == pytest.approx(-np.exp(-10), rel=1e-3)


@pytest.mark.parametrize("alpha", [0.7, 3.0])
def test_alphas_best_discriminator(alpha):
  """Where data = 1/2 and model = 1: D* = data^a / (data^a + model^a), a logit of -a log 2. The rest of the data are elsewhere."""
  objective = objectives.alpha(alpha, 9.0)
  loss = lambda y: float(objective.discriminator(play_of(real_logits=[y, 5.0], fake_logits=[y])))
  assert minimize_scalar(loss, bounds=(-4, 4), method="bounded").x == pytest.approx(-alpha * np.log(2), abs=5e-3)


# f, its derivative, its convex conjugate, and the logit whose activation is t: Nowozin et al., tables 1, 2, 6.
F = {
  "kl": (lambda u: u * np.log(u), lambda u: 1 + np.log(u), lambda t: np.exp(t - 1), lambda t: t),
  "reverse_kl": (lambda u: -np.log(u), lambda u: -1 / u, lambda t: -1 - np.log(-t), lambda t: -np.log(-t)),
  "pearson_chi2": (lambda u: (u - 1) ** 2, lambda u: 2 * (u - 1), lambda t: t**2 / 4 + t, lambda t: t),
  "squared_hellinger": (lambda u: (np.sqrt(u) - 1) ** 2, lambda u: 1 - u**-0.5, lambda t: t / (1 - t), lambda t: -np.log(1 - t)),
  "jensen_shannon": (
    lambda u: u * np.log(u) - (u + 1) * np.log((1 + u) / 2), lambda u: np.log(2 * u / (1 + u)), lambda t: -np.log(2 - np.exp(t)),
    lambda t: -np.log(2 * np.exp(-t) - 1),
  ),
  "total_variation": (lambda u: np.abs(u - 1) / 2, lambda u: np.sign(u - 1) / 2, lambda t: t, lambda t: np.arctanh(2 * t)),
}  # fmt: skip
P, Q = np.array([5, 3, 2]), np.array([2, 3, 5])  # of ten samples each
DIVERGENCES = {  # worked from their names, not from f
  "kl": (P * np.log(P / Q)).sum() / 10,
  "reverse_kl": (Q * np.log(Q / P)).sum() / 10,
  "pearson_chi2": (9 / 2 + 0 + 9 / 5) / 10,
  "squared_hellinger": ((np.sqrt(P) - np.sqrt(Q)) ** 2).sum() / 10,
  "jensen_shannon": (P * np.log(2 * P / (P + Q)) + Q * np.log(2 * Q / (P + Q))).sum() / 10,
  "total_variation": 0.3,
}


@pytest.mark.parametrize("name", F)
def test_an_f_gans_bound_is_tight_at_the_best_discriminator(name):
  f, slope, conjugate, logit = F[name]
  t = np.clip(slope(P / Q), -0.499999, 0.499999) if name == "total_variation" else slope(P / Q)
  objective = getattr(objectives, name)()

  def bound(nudge=0.0):
    v = (logit(t) + nudge).astype("float32")
    play = play_of(real_logits=np.repeat(v, P), fake_logits=np.repeat(v, Q))
    return -float(objective.discriminator(play)), -float(objective.generator(play))

  value, on_fakes = bound()
  assert value == pytest.approx(DIVERGENCES[name], abs=1e-4) and DIVERGENCES[name] == pytest.approx((Q * f(P / Q)).sum() / 10)
  assert on_fakes == pytest.approx((Q * conjugate(t)).sum() / 10, abs=1e-4)
  for nudge in np.eye(3):
    assert bound(0.3 * nudge)[0] < value + 1e-5 and bound(-0.3 * nudge)[0] < value + 1e-5
  activation = t if name != "total_variation" else slope(P / Q)
  v = logit(t).astype("float32")
  other = getattr(objectives, name)("non_saturating").generator(play_of(fake_logits=np.repeat(v, Q)))
  assert float(other) == pytest.approx(-(Q * activation).sum() / 10, abs=1e-4)


def test_f_gans_by_hand():
  """At the real logits (2, 0) and the fake ones (1, -1)."""
  e = np.exp
  assert both(objectives.kl()) == pytest.approx([(1 + e(-2)) / 2 - 1, -(1 + e(-2)) / 2], rel=1e-6)
  assert both(objectives.reverse_kl()) == pytest.approx([-1 + (e(-2) + 1) / 2, 1], rel=1e-6)
  assert both(objectives.pearson_chi2()) == pytest.approx([1 / 4 - 1, -1 / 4], rel=1e-6)
  assert both(objectives.squared_hellinger()) == pytest.approx([(e(1) + e(-1)) / 2 - 1 - (1 - e(-2)) / 2, 1 - (e(1) + e(-1)) / 2], rel=1e-5)
  assert both(objectives.total_variation()) == pytest.approx([-np.tanh(2) / 4, 0], abs=1e-6)


@pytest.mark.parametrize("generator", ["minimax", "non_saturating"])
def test_jensen_shannon_is_the_gan_up_to_a_constant(generator):
  gan_, js = getattr(objectives, generator)(), objectives.jensen_shannon(generator)
  assert both(js)[0] == pytest.approx(both(gan_)[0] - 2 * np.log(2), rel=1e-5)
  far = jnp.array([80.0, -80.0, 0.3])
  total = lambda o, y: o.discriminator(play_of(real_logits=-y, fake_logits=y)) + o.generator(play_of(fake_logits=y))
  slopes = [jax.grad(lambda y: total(o, y))(far) for o in (js, gan_)]
  np.testing.assert_allclose(*slopes, atol=1e-6)


def test_top_k_follows_the_highest_logits():
  """k = 4, 4, 3, 3, 2, 2 after 0, 2, 4, 6, 8, 100 rounds: shares 1, .8, .64, .512, then the floor of 1/2."""
  logits = jnp.array([1.0, -1.0, 3.0, 0.0])
  plain, objective = objectives.non_saturating(), objectives.top_k(objectives.non_saturating(), share=0.5, decay=0.8, every=2)
  order = [2, 0, 3, 1]
  for step, k in ((0, 4), (3, 4), (4, 3), (7, 3), (8, 2), (100, 2)):
    play = play_of(real_logits=REAL, fake_logits=logits, step=step)
    value, slope = jax.value_and_grad(lambda y: objective.generator(play._replace(fake_logits=y)))(logits)
    wanted = np.zeros(4)
    wanted[order[:k]] = -sigmoid(-logits)[order[:k]] / k
    np.testing.assert_allclose(slope, wanted, rtol=1e-5)
    assert float(value) == pytest.approx(float(plain.generator(play)), rel=1e-6)
    assert float(objective.discriminator(play)) == float(plain.discriminator(play))
  tied = jax.grad(lambda y: objective.generator(play._replace(fake_logits=y)))(jnp.zeros(4))
  assert (np.asarray(tied) != 0).sum() == 2
  with pytest.raises(ValueError, match="share is 0; top-k keeps"):
    objectives.top_k(plain, share=0)
  many = play_of(fake_logits=np.linspace(-1, 1, 100), step=1)
  slope = jax.grad(lambda y: objectives.top_k(plain, share=0.6, decay=0.0).generator(many._replace(fake_logits=y)))(many.fake_logits)
  assert (np.asarray(slope) != 0).sum() == 60  # .6 * 100 is a little more than 60 in float32


@pytest.mark.parametrize("of", [distributions.mmd(), distributions.mmd(on="samples"), distributions.sinkhorn(), distributions.sliced_wasserstein()])
def test_top_k_is_of_logits(of):
  """Such a loss does not look at fake logits: nothing would be selected, and G's gradient be B / k times too large."""
  with pytest.raises(ValueError, match="top_k keeps the fakes with the highest logits, and this objective compares whole batches"):
    objectives.top_k(of)
  if of.witness is None:
    with pytest.raises(ValueError, match="top_k keeps the fakes"):
      objectives.top_k(objectives.san(of))
  else:
    with pytest.raises(ValueError, match="san gives D's logit a direction"):
      objectives.san(of)


def test_top_k_is_of_the_global_batch():
  """The three best of four are not two of each half: on two devices as on one."""
  logits = jnp.array([1.0, 2.0, 3.0, 0.0])
  objective = objectives.top_k(objectives.hinge(), share=0.75, decay=0.0)
  slope = lambda y, axis: jax.grad(lambda y: objective.generator(play_of(fake_logits=y, step=1)._replace(axis_name=axis)))(y)
  whole = slope(logits, None)
  np.testing.assert_allclose(whole, [-1 / 3, -1 / 3, -1 / 3, 0], rtol=1e-6)
  halves = jax.vmap(lambda y: slope(y, "devices"), axis_name="devices")(logits.reshape(2, 2))
  np.testing.assert_allclose(halves.reshape(4) / 2, whole, rtol=1e-6)


def test_sans_direction_learns_by_wasserstein_and_its_features_by_the_objective():
  """h(x) = a x, w = v / |v|. Hinge, both logits inside the margin: d/da = E w.x' - E w.x; v moves across w alone, by E h(x') - E h(x)."""
  real, fake = np.array([[0.2, 0.1], [0.4, 0.3]]), np.array([[0.1, -0.2], [-0.3, 0.0]])
  v = np.array([3.0, 4.0])

  def loss(a, v, objective=objectives.hinge()):  # noqa: B008
    w = v / jnp.sqrt(jnp.square(v).sum())
    return objectives.san(objective).discriminator(play_of(real=real, fake=fake)._replace(sown=lambda name, x: (a * x, w)))

  w, gap = v / 5, fake.mean(axis=0) - real.mean(axis=0)
  value, (on_a, on_v) = jax.value_and_grad(loss, argnums=(0, 1))(2.0, jnp.asarray(v))
  assert float(value) == pytest.approx(2 + 2 * w @ gap + 2 * w @ gap, rel=1e-5)
  assert float(on_a) == pytest.approx(w @ gap, rel=1e-5)
  np.testing.assert_allclose(on_v, (2 * gap - w * (w @ gap) * 2) / 5, rtol=1e-4)
  # Least squares: another pull on a, the same on v.
  on_a, again = jax.grad(loss, argnums=(0, 1))(2.0, jnp.asarray(v), objectives.least_squares())
  np.testing.assert_allclose(again, on_v, rtol=1e-5)
  assert float(on_a) == pytest.approx(((2 * real @ w - 1) * (real @ w)).mean() + (2 * (fake @ w) ** 2).mean(), rel=1e-4)


def test_a_sliced_layer_in_a_game():
  layer, f = SlicedDense(), np.array([[1.0, 2.0], [0.5, -1.0]], "float32")
  params = {"kernel": jnp.array([[3.0], [4.0]]), "bias": jnp.array([0.1, 0.2])}
  out, sown = layer.apply({"params": params}, f, mutable=["intermediates"])
  h, w = sown["intermediates"]["slice"][0]
  np.testing.assert_allclose(out[:, 0], (f + [0.1, 0.2]) @ [3.0, 4.0], rtol=1e-6)
  np.testing.assert_allclose(w, [0.6, 0.8], rtol=1e-6)
  np.testing.assert_allclose(h, 5 * (f + [0.1, 0.2]), rtol=1e-6)
  with pytest.raises(ValueError, match="SlicedDense makes 1 output, not 3"):
    SlicedDense(3).init(jax.random.key(0), f)

  d = networks.mlp(1, (3,), "tanh", last="SlicedDense")
  optimizers = {"generator": optax.sgd(1.0), "discriminator": optax.sgd(1.0)}
  game_of = lambda d: gan(Affine(2), d, objectives.san(objectives.hinge()), prior=fixed_prior(np.ones((2, 1))), optimizers=optimizers)
  game = game_of(d)
  batch = {"image": f}
  state = build(game).init(jax.random.key(0), batch)
  moved, _ = take_turn(game, ("discriminator",), state, batch, jax.random.key(0))
  old, new = (np.asarray(s.params["discriminator"]["SlicedDense_0"]["kernel"])[:, 0] for s in (state, moved))
  dense, norm = state.params["discriminator"]["Dense_0"], np.linalg.norm(old)
  h = lambda x: norm * np.tanh(np.asarray(x) @ np.asarray(dense["kernel"]) + np.asarray(dense["bias"]))
  fake = game.sample(state, jax.random.key(0), batch)
  gap, w = (h(f) - h(fake)).mean(axis=0), old / norm
  across = (gap - w * (w @ gap)) / norm
  np.testing.assert_allclose(new - old - w * (w @ (new - old)), across, rtol=1e-4, atol=1e-6)
  lost = game_of(Affine())
  with pytest.raises(ValueError, match="Affine sows no 'slice'"):
    build(lost).step(build(lost).init(jax.random.key(0), batch), batch, jax.random.key(0))
