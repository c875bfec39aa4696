"""ADA and Diffusion-GAN: the controller by hand, the noise by its law.

Mutations that made a test here fail: the sign of the mean instead of the mean of signs, fakes in place of reals, the step turned round, a step
without B or without `every`, a step every turn, signs that are never forgotten, a strength past 1, `of` without the strength; a_t for its root,
sigma squared, weights t - 1, no clean half, b that does not end at .02 where the chain ends, T that never moves, noise shared by real and fake, a t
of its own for the fakes; `hidden` ignored.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from games import jit
from plays import Affine, fixed_prior, play_of

from gan_jax import gan, objectives, views
from gan_jax.core import build, take_turn
from gan_jax.play import Look, View

ROUNDS = [  # real logits of 4 examples; r is 1, .5, 0, 1, 1, ...
  ([3.0, 1, 1, 1], 1.0), ([9.0, 9, 9, -1], 0.5), ([0.0, 0, 5, -5], 0.0), ([1.0, 1, 1, 1], 1.0),
]  # fmt: skip


def follow(view, rounds, memory=None):
  memory, strengths = memory or view.init(), []
  for real, _ in rounds:
    memory = view.update(play_of(real_logits=real, fake_logits=[-1.0] * 4)._replace(examples=jnp.zeros(4)), memory)
    strengths.append(float(memory["strength"]))
  return strengths, memory


def test_adas_controller_by_hand():
  """Every 2 turns, by 4 * 2 / 80 = .1: r = .75 > .6 rises, .5 falls, 1 rises."""
  view = views.ada(views.instance_noise(1.0), target=0.6, images=80, every=2)
  strengths, memory = follow(view, [*ROUNDS, ROUNDS[0], ROUNDS[0]])
  assert strengths == pytest.approx([0, 0.1, 0.1, 0, 0, 0.1], abs=1e-6)
  assert int(memory["turns"]) == 6 and float(memory["signs"]) == 0
  # Mean sign 1/2, though the mean is far above 0: below .6, and p does not go below 0.
  assert follow(view, [ROUNDS[1]] * 4)[0] == pytest.approx([0, 0, 0, 0])
  fast = views.ada(views.instance_noise(1.0), images=10, every=1, start=0.7)
  assert follow(fast, [ROUNDS[0]] * 3)[0] == pytest.approx([1, 1, 1])  # .4 a turn, and no more than 1
  assert follow(fast, [ROUNDS[2]] * 3)[0] == pytest.approx([0.3, 0, 0], abs=1e-6)


def test_ada_counts_the_global_batch():
  """Two devices of 4: B = 8, and the mean sign of both."""
  view = views.ada(views.instance_noise(1.0), images=80, every=1)
  halves = jnp.array([[1.0, 1, 1, 1], [1, 1, 1, -1]])
  update = lambda logits: view.update(play_of(real_logits=logits)._replace(axis_name="devices", examples=jnp.zeros(4)), view.init())["strength"]
  np.testing.assert_allclose(jax.vmap(update, axis_name="devices")(halves), 0.1, rtol=1e-6)


@pytest.mark.parametrize("logits", [2, 4, 64])
def test_adas_pace_is_in_images_of_packs_and_patches_too(logits):
  """4 examples of 80: one step of .05, whether they are two packs, one logit each or 16 patches each."""
  view = views.ada(views.instance_noise(1.0), images=80, every=1)
  play = play_of(real_logits=np.ones(logits))._replace(examples=jnp.zeros(4))
  assert float(view.update(play, view.init())["strength"]) == pytest.approx(0.05)


def test_ada_augments_with_the_strength_it_remembers():
  view = views.ada(View(lambda x, look: look.sometimes(x, x + 1)))
  look = lambda p: Look(jax.random.key(0), jnp.zeros((), jnp.int32), None, memory={**view.init(), "strength": jnp.float32(p)})
  for p in (0.0, 0.3, 1.0):
    assert float(view.apply(jnp.zeros((3000, 1)), look(p)).mean()) == pytest.approx(p, abs=0.03)
  for of in (views.pack(2), view):
    with pytest.raises(ValueError, match="put views that pack or remember beside it"):
      views.ada(of)
  with pytest.raises(ValueError, match="every is 0"):
    views.ada(views.instance_noise(1.0), every=0)


def test_both_players_meet_adas_strength_and_only_the_discriminator_moves_it():
  view = views.ada(View(lambda x, look: look.sometimes(x, x + 7)), start=1.0)
  game = gan(
    Affine(1), Affine(), objectives.hinge(), prior=fixed_prior(np.ones((4, 2))), view=view,
    optimizers={"generator": optax.sgd(0.0), "discriminator": optax.sgd(0.0)}, generator_terms={"seen": lambda play: play.fake.mean()},
  )  # fmt: skip
  batch = {"image": np.zeros((4, 1), "float32")}
  state = build(game).init(jax.random.key(0), batch)
  moved, metrics = take_turn(game, ("generator",), state, batch, jax.random.key(1))
  assert float(metrics["generator/seen"]) == pytest.approx(7 + float(np.sum(state.params["generator"]["kernel"])), rel=1e-5)
  assert int(moved.model_state["discriminator"]["view"]["turns"]) == 0


def look_at(view, strength=0.0, seed=0):
  memory = {**view.init(), "strength": jnp.float32(strength)}
  return Look(jax.random.key(seed), jnp.zeros((), jnp.int32), None, jax.random.key(99), memory)


def kept(length):
  """a_t, t = 0..length."""
  return np.concatenate([[1.0], np.cumprod(1 - np.linspace(1e-4, 0.02, length))])


def test_diffusions_noise_has_its_law():
  """T = 10 + .5 * 40 = 30 at half the strength; x_t = sqrt(a_t) x + sqrt(1 - a_t) sigma e."""
  view, n = views.diffusion(sigma=2.0, shortest=10, longest=50), 12000
  look = look_at(view, 0.5)
  act = jit(lambda x: (view.apply(x, look), view.context(n, look)))
  ones, told = act(jnp.ones((n, 2)))
  zeros, _ = act(jnp.zeros((n, 2)))
  t = np.round(np.asarray(told)[:, 0] * 50).astype(int)
  assert told.shape == (n, 1) and t.min() == 0 and t.max() == 30
  counts = np.bincount(t, minlength=31) / n
  assert counts[0] == pytest.approx(0.5, abs=0.02)
  np.testing.assert_allclose(counts[1:], 0.5 * np.arange(1, 31) / 465, atol=0.006)
  np.testing.assert_allclose(ones - zeros, np.tile(np.sqrt(kept(30)[t])[:, None], (1, 2)), atol=1e-4)
  noise = np.asarray(zeros)[t > 0] / np.sqrt(1 - kept(30)[t])[t > 0, None]
  assert noise.std() == pytest.approx(2, rel=0.03) and abs(np.corrcoef(noise.T)[0, 1]) < 0.05
  assert (np.asarray(zeros)[t == 0] == 0).all()


def test_diffusions_length_follows_its_strength():
  for strength, length, steps in ((0.0, 4, "priority"), (1.0, 8, "uniform")):
    view = views.diffusion(shortest=4, longest=8, steps=steps)
    t = np.round(np.asarray(view.context(4000, look_at(view, strength)))[:, 0] * 8).astype(int)
    law = np.arange(1, length + 1) / (length * (length + 1) / 2) if steps == "priority" else np.full(length, 1 / length)
    np.testing.assert_allclose(np.bincount(t) / 4000, [0.5, *law / 2], atol=0.025)
  strengths, _ = follow(views.diffusion(images=80, every=2), ROUNDS)
  assert strengths == pytest.approx([0, 0.1, 0.1, 0], abs=1e-6)


def test_real_and_fake_share_the_step_not_the_noise():
  view = views.diffusion(sigma=1.0, shortest=40, longest=40)
  look = look_at(view)
  act = jit(lambda key: view.apply(jnp.zeros((2000, 1)), look._replace(key=key)))
  real, fake = (act(jax.random.key(k)) for k in (0, 1))
  clean = np.asarray(view.context(2000, look))[:, 0] == 0
  np.testing.assert_array_equal(np.asarray(real)[:, 0] == 0, clean)
  np.testing.assert_array_equal(np.asarray(fake)[:, 0] == 0, clean)
  assert abs(np.corrcoef(np.asarray(real)[~clean, 0], np.asarray(fake)[~clean, 0])[0, 1]) < 0.1


def test_the_discriminator_is_told_the_step():
  """D(x, t) = t / longest, on real, fake, and at whatever a penalty asks about."""
  seen = []
  game = lambda **settings: gan(
    Affine(2), Affine(), objectives.hinge(), prior=fixed_prior(np.ones((64, 1))), view=views.diffusion(shortest=4, longest=8, **settings),
    optimizers={"generator": optax.sgd(0.0), "discriminator": optax.sgd(0.0)}, discriminator_terms={"note": lambda p: seen.append(p) or 0.0},
  )  # fmt: skip
  batch = {"image": np.ones((64, 2), "float32")}
  state = build(game()).init(jax.random.key(0), batch)
  params = {"kernel": jnp.array([[0.0], [0.0], [1.0]]), "bias": jnp.zeros(1)}
  game().players["discriminator"].loss(params, state, batch, jax.random.key(0))
  t = np.asarray(seen[0].real_logits) * 8
  assert set(t) == set(range(5))
  np.testing.assert_array_equal(seen[0].fake_logits, seen[0].real_logits)
  np.testing.assert_array_equal((np.asarray(seen[0].real) == 1).all(axis=1), t == 0)
  np.testing.assert_array_equal(seen[0].discriminate(seen[0].real + 5), seen[0].real_logits)
  assert build(game(timestep="hidden")).init(jax.random.key(0), batch).params["discriminator"]["kernel"].shape == (2, 1)
  for settings in ({"shortest": 0}, {"shortest": 9, "longest": 8}):
    with pytest.raises(ValueError, match="1 <= shortest <= longest"):
      views.diffusion(**settings)
  with pytest.raises(ValueError, match='diffusion knows "priority"'):
    views.diffusion(steps="cosine")
