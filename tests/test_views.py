"""What D sees of an example: layouts by hand, and the law of the noise.

Mutations that made a test here fail: packs of strided instead of neighbouring examples; members interleaved within the
channels; packing along the width of an image; noise that grows instead of fading, and that goes negative after its
schedule; one key for real and fake, and for two views of a chain; sizes of a chain added instead of multiplied.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from plays import Affine, fixed_prior

from gan_jax import gan, objectives, views
from gan_jax.core import build, slices_per_round, take_turn
from gan_jax.play import Look


def look(step=0, seed=0):
  return Look(jax.random.key(seed), jnp.asarray(step, jnp.int32), None)


def test_a_pack_of_one_is_the_example():
  for shape in ((6, 2), (4, 3, 3, 2)):
    x = np.random.default_rng(0).normal(size=shape).astype("float32")
    np.testing.assert_array_equal(views.pack(1).apply(x, look()), x)


def test_points_stand_side_by_side():
  packs = views.pack(2).apply(jnp.array([[1, 2], [3, 4], [5, 6], [7, 8]]), look())
  np.testing.assert_array_equal(packs, [[1, 2, 3, 4], [5, 6, 7, 8]])


def test_images_stand_behind_each_other():
  """`[6, H, W, 2] -> [2, H, W, 6]`, the channels of the first member first."""
  x = np.random.default_rng(0).normal(size=(6, 2, 3, 2)).astype("float32")
  packs = views.pack(3).apply(x, look())
  assert packs.shape == (2, 2, 3, 6)
  for pack in range(2):
    for member in range(3):
      np.testing.assert_array_equal(packs[pack, ..., 2 * member : 2 * member + 2], x[3 * pack + member])


def test_a_pack_needs_members():
  with pytest.raises(ValueError, match="batch of 5 cannot be cut into packs of 2"):
    views.pack(2).apply(jnp.ones((5, 2)), look())
  with pytest.raises(ValueError, match="pack size is 0"):
    views.pack(0)


def test_the_game_packs_real_and_fake_alike():
  """G's latents are one an example; D's inputs are packs, all real or all fake."""
  seen = {}

  def term(play):
    seen.update(real=play.real, fake=play.fake, latent=play.latent, logits=play.real_logits)
    return play.fake_logits.mean()

  game = gan(
    Affine(2), Affine(), objectives.hinge(), prior=fixed_prior(np.arange(12.0).reshape(4, 3)), view=views.pack(2),
    optimizers={"generator": optax.sgd(1.0), "discriminator": optax.sgd(1.0)}, discriminator_terms={"seen": term},
  )  # fmt: skip
  batch = {"image": np.arange(8, dtype="float32").reshape(4, 2)}
  state = build(game).init(jax.random.key(0), batch)
  assert state.params["discriminator"]["kernel"].shape == (4, 1) and (game.pack_size, slices_per_round(game)) == (2, 1)
  game.players["discriminator"].loss(state.params["discriminator"], state, batch, jax.random.key(0))
  np.testing.assert_array_equal(seen["real"], batch["image"].reshape(2, 4))
  fakes = np.arange(12.0).reshape(4, 3) @ np.asarray(state.params["generator"]["kernel"])
  np.testing.assert_allclose(seen["fake"], fakes.reshape(2, 4), rtol=1e-6)
  assert seen["latent"].shape == (4, 3) and seen["logits"].shape == (2,)
  # G's gradient is that of -mean D over packs: every member takes part.
  moved, _ = take_turn(game, ("generator",), state, batch, jax.random.key(0))
  slots = np.asarray(state.params["discriminator"]["kernel"]).reshape(2, 2)  # [member, coordinate]
  latents = np.arange(12.0).reshape(2, 2, 3)
  wanted = np.einsum("pmz,mc->zc", latents, slots) / 2
  np.testing.assert_allclose(
    moved.params["generator"]["kernel"] - state.params["generator"]["kernel"], wanted, rtol=1e-5
  )


@pytest.mark.parametrize("step, sigma", [(0, 0.5), (30, 0.35), (100, 0.0), (1000, 0.0)])
def test_instance_noise_fades_in_a_straight_line(step, sigma):
  x = np.ones((20000, 2), "float32")
  noise = np.asarray(views.instance_noise(0.5, decay_steps=100).apply(x, look(step))) - 1
  assert noise.std() == pytest.approx(sigma, rel=0.02) and noise.mean() == pytest.approx(0, abs=0.01)
  assert np.corrcoef(noise.T)[0, 1] == pytest.approx(0, abs=0.03) if sigma else (noise == 0).all()


def test_instance_noise_without_a_schedule_stays():
  x = np.zeros((20000, 1), "float32")
  for step in (0, 10**6):
    assert np.std(views.instance_noise(0.5).apply(x, look(step))) == pytest.approx(0.5, rel=0.02)


def test_views_of_a_chain_draw_their_own_noise():
  x = np.zeros((20000, 1), "float32")
  both = views.chain(views.instance_noise(0.3), views.instance_noise(0.4)).apply(x, look())
  assert np.std(both) == pytest.approx(0.5, rel=0.02)  # .7 if they drew the same
  packed = views.chain(views.pack(2), views.instance_noise(0.1), views.pack(3))
  assert packed.size == 6 and packed.apply(jnp.zeros((12, 2)), look()).shape == (2, 12)


def test_real_and_fake_get_noise_of_their_own_and_a_new_one_every_round():
  def seen(step, key):
    play = {}
    game = gan(
      Affine(2), Affine(), objectives.hinge(), prior=fixed_prior(np.zeros((4, 3))), view=views.instance_noise(1.0),
      optimizers={"generator": optax.sgd(0.0), "discriminator": optax.sgd(0.0)},
      discriminator_terms={"seen": lambda p: play.update(real=p.real, fake=p.fake) or p.real_logits.mean()},
    )  # fmt: skip
    batch = {"image": np.zeros((4, 2), "float32")}
    state = build(game).init(jax.random.key(0), batch)
    key = jax.random.fold_in(key, step)  # as a round does
    game.players["discriminator"].loss(state.params["discriminator"], state, batch, key)
    return np.asarray(play["real"]), np.asarray(play["fake"])

  real, fake = seen(0, jax.random.key(0))
  later, _ = seen(1, jax.random.key(0))
  assert not np.allclose(real, fake) and not np.allclose(real, later)
