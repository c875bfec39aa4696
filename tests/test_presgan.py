"""PresGAN where the posterior is known: G(z) = a z + b, so x~ ~ N(b, a^2 + s^2), and z given x~ ~ N(a (x~ - b) / (a^2 + s^2), s^2 / (a^2 + s^2)).

Mutations that made a test here fail: HMC with the prior's gradient alone (the released code), a whole step in place of the half ones, no Metropolis
test, a step size that moves after burn-in or the other way; c without s^2, with the sign of the score, without the posterior mean, not held constant;
the entropy's sign, a mean over coordinates; s without bounds, the noise left off the data.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from games import jit
from plays import Affine

from gan_jax import games, priors
from gan_jax.core import build
from gan_jax.games.presgan import Hmc

A, S, X = 2.0, 0.5, 1.5
VARIANCE = A**2 + S**2
joint = lambda z: -jnp.square(z).sum(axis=1) / 2 - jnp.square(X - A * z[:, 0]) / (2 * S**2)


def test_hmc_samples_the_posterior():
  hmc = Hmc(burn_in=10, num_samples=20, leapfrog=5, acceptance=0.67, adaptation=0.0)
  samples, step, accepted = jit(lambda: hmc.run(joint, jnp.full((1000, 1), -3.0), jnp.float32(0.07), jax.random.key(0)))()
  assert samples.shape == (20, 1000, 1) and float(step) == pytest.approx(0.07)
  assert float(samples.mean()) == pytest.approx(A * X / VARIANCE, abs=0.005)
  assert float(samples.std()) == pytest.approx(S / np.sqrt(VARIANCE), rel=0.03)
  assert float(accepted) > 0.9  # energy is kept, up to step^2; proposals of the prior would be refused
  wide = hmc._replace(leapfrog=1)  # steps that do not keep it, with a test that does: still the posterior
  samples, _, accepted = jit(lambda: wide.run(joint, jnp.full((4000, 1), 0.7), jnp.float32(0.42), jax.random.key(1)))()
  assert float(accepted) < 0.9 and float(samples[-5:].std()) == pytest.approx(S / np.sqrt(VARIANCE), rel=0.03)


def test_the_step_size_moves_in_the_burn_in():
  """One proposal a state that is always accepted (step 0 keeps the energy): 2 moves of 1 + .5 (1 - .6) = 1.2, and none after."""
  hmc = Hmc(burn_in=2, num_samples=3, leapfrog=1, acceptance=0.6, adaptation=0.5)
  _, step, accepted = hmc.run(joint, jnp.zeros((4, 1)), jnp.float32(1e-4), jax.random.key(0))
  assert float(step) == pytest.approx(1.44e-4, rel=1e-4) and float(accepted) == 1
  _, step, accepted = hmc.run(joint, jnp.zeros((4, 1)), jnp.float32(50.0), jax.random.key(0))  # never accepted
  assert float(step) == pytest.approx(50 * 0.7**2, rel=1e-4) and float(accepted) == 0


def game_of(out=1, **settings):
  optimizers = {name: optax.sgd(1.0) for name in ("generator", "discriminator")}
  settings = {"smallest": 0.1, "largest": 0.5, "step_size": 0.12, "adaptation": 0.0, "num_samples": 10, **settings}
  return games.presgan(Affine(out), Affine(), prior=priors.normal(1), optimizers=optimizers, **settings)


def raw(size):
  return jnp.log(jnp.expm1(jnp.asarray(size)))


def start(game, rows, slope=0.0, a=((A,),), b=(0.3,), size=0.4):
  """G(z) = a z + b, D(x) = slope * x, s = size."""
  batch = {"image": np.zeros((rows, len(b)), "float32")}
  state = build(game).init(jax.random.key(0), batch)
  params = {
    "generator": {"network": {"kernel": jnp.array(a), "bias": jnp.array(b)}, "noise": raw(jnp.full(len(b), size))},
    "discriminator": {"kernel": jnp.full((len(b), 1), slope), "bias": jnp.array([0.0])},
  }
  return state.replace(params=params), batch


def test_the_entropys_gradient():
  """H = log(a^2 + s^2) / 2 + ...: dH/da = a / (a^2 + s^2), dH/ds = s / (a^2 + s^2), and a shift has no entropy. D is flat."""
  game = game_of(weight=3.0)
  state, batch = start(game, 6000)
  loss = lambda params: game.players["generator"].loss(params, state, batch, jax.random.key(1))
  (value, aux), slope = jit(jax.value_and_grad(loss, has_aux=True))(state.params["generator"])
  spread = A**2 + 0.4**2
  assert -float(slope["network"]["kernel"][0, 0]) == pytest.approx(3 * A / spread, rel=0.06)
  assert float(slope["network"]["bias"][0]) == pytest.approx(0, abs=0.08)
  assert -float(slope["noise"][0]) == pytest.approx(3 * 0.4 / spread * (1 - np.exp(-0.4)), rel=0.15)  # ds / d raw = 1 - e^-s
  assert float(aux.metrics["acceptance"]) > 0.8 and float(aux.metrics["noise"]) == pytest.approx(0.4, rel=1e-5)
  assert float(value) == pytest.approx(np.log(2) - 3, abs=0.2)  # E c (x~ - b) = 1, whatever a and s


def test_the_entropy_sums_over_coordinates():
  """E c . x~ = 2 for two coordinates around 0."""
  game = game_of(2, weight=3.0)
  state, batch = start(game, 3000, a=((1.0, 1.0),), b=(0.0, 0.0))
  value, _ = jit(lambda state: game.players["generator"].loss(state.params["generator"], state, batch, jax.random.key(3)))(state)
  assert float(value) == pytest.approx(np.log(2) - 6, abs=0.4)


def test_the_noise_stays_within_its_bounds():
  """A step of 10^4 up ends at the largest, one down at the smallest; and from there back, for it has a gradient at both."""
  game = game_of(weight=1.0, noise_rate=1e4, burn_in=1, num_samples=1, leapfrog=2)
  state, batch = start(game, 8)
  optimizer = game.players["generator"].optimizer
  params, opt_state = state.params["generator"], state.opt_state["generator"]
  size = lambda params: float(np.log1p(np.exp(params["noise"][0])))
  for push, bound in ((-1.0, 0.5), (3.0, 0.1), (-10.0, 0.5)):
    slope = {"network": jax.tree.map(jnp.zeros_like, params["network"]), "noise": jnp.array([push])}
    updates, opt_state = optimizer.update(slope, opt_state, params)
    params = optax.apply_updates(params, updates)
    assert size(params) == pytest.approx(bound, rel=1e-4)
  assert size(build(game).init(jax.random.key(0), batch).params["generator"]) == pytest.approx(np.log1p(np.exp(-1)), rel=1e-5)
  assert size(build(game_of(largest=0.2)).init(jax.random.key(0), batch).params["generator"]) == pytest.approx(0.2, rel=1e-5)
  assert float(state.model_state["generator"]["memory"]["step_size"]) == pytest.approx(0.12)


def test_data_wear_noise_of_the_same_size():
  """D(x) = x: the real logits of data at 0 are s e', of which the mean grows with s."""
  game, seen = game_of(), []
  for size in (0.1, 0.4):
    state, batch = start(game, 4, slope=1.0, size=size)
    _, aux = game.players["discriminator"].loss(state.params["discriminator"], state, batch, jax.random.key(2))
    seen.append(float(aux.metrics["real_logits"]))
  assert seen[1] == pytest.approx(4 * seen[0], rel=1e-3) and abs(seen[0]) > 1e-3
  rows = game.sample(state, jax.random.key(0), batch)  # without noise
  np.testing.assert_allclose(rows, A * np.asarray(game.sample.latent(jax.random.key(0), 4)) + 0.3, rtol=1e-5)


def test_presgan_says_what_it_needs():
  with pytest.raises(ValueError, match=r"prior has none; use priors\.normal"):
    games.presgan(Affine(1), Affine(), prior=priors.uniform(1), optimizers=dict.fromkeys(("generator", "discriminator"), optax.sgd(1.0)))
  with pytest.raises(ValueError, match="needs 0 < smallest < largest"):
    game_of(smallest=0.5, largest=0.1)
