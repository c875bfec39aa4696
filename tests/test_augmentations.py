"""Augmentations, taken apart: every image's parameters are recovered from what came out, and held against their law.

Mutations that made a test here fail: one draw for the whole batch; the contrast about the batch's mean, or about 0; saturation by channel;
brightness without its centre; shifts that repeat the border, one for both axes, one pixel short; a hole that never sticks out; quarter turns without
a flip; zoom of one axis; shared coins; a rotation's coin of p; a warp with nearest neighbours, or without the way back at the border; the order of
brightness and contrast; hue that moves grey; saturation that moves grey; a gradient that stops.
"""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from games import jit

from gan_jax import views
from gan_jax.play import Look

RANDOM = np.random.default_rng(0)


def apply(view, x, seed=0, chance=None):
  look = lambda key: Look(key, jnp.zeros((), jnp.int32), None, chance=chance)
  return np.asarray(jit(lambda x, key: view.apply(x, look(key)))(np.asarray(x, "float32"), jax.random.key(seed)))


def test_colors_law():
  """About the image's mean M the grey part is scaled by the contrast k, the rest of a pixel by k and the saturation s, and M moves by b."""
  x = RANDOM.uniform(-1, 1, size=(600, 4, 4, 3)) + RANDOM.normal(size=(600, 1, 1, 1))
  y = apply(views.color(), x)
  mean, grey = (lambda a: a.mean(axis=(1, 2, 3), keepdims=True)), (lambda a: a.mean(axis=3, keepdims=True))
  ratio = lambda a, b: (a * b).sum(axis=(1, 2, 3)) / (b * b).sum(axis=(1, 2, 3))
  b, k = (mean(y) - mean(x)).ravel(), ratio(grey(y) - mean(y), grey(x) - mean(x))
  s = ratio(y - grey(y), x - grey(x)) / k
  rebuilt = mean(x) + (b[:, None, None, None]) + k[:, None, None, None] * ((grey(x) - mean(x)) + s[:, None, None, None] * (x - grey(x)))
  np.testing.assert_allclose(y, rebuilt, atol=1e-5)
  for value, low, high in ((b, -0.5, 0.5), (k, 0.5, 1.5), (s, 0, 2)):
    assert low <= value.min() + 1e-4 and value.max() <= high + 1e-4
    assert value.mean() == pytest.approx((low + high) / 2, abs=0.05 * (high - low)) and value.std() == pytest.approx((high - low) / 12**0.5, rel=0.08)
  assert np.abs(np.corrcoef([b, k, s]) - np.eye(3)).max() < 0.12


@pytest.mark.parametrize("share, reach", [(0.125, 1), (0.25, 2)])
def test_translations_are_shifts_into_zeros(share, reach):
  x = RANDOM.normal(size=(200, 8, 8, 1))
  y = apply(views.translation(share), x)
  found = []
  for before, after in zip(x, y, strict=True):
    padded = np.pad(before, ((reach, reach), (reach, reach), (0, 0)))
    shifts = list(itertools.product(range(-reach, reach + 1), repeat=2))
    found += [s for s in shifts if np.allclose(padded[reach - s[0] : reach - s[0] + 8, reach - s[1] : reach - s[1] + 8], after, atol=1e-6)]
  assert len(found) == 200 and len(set(found)) == (2 * reach + 1) ** 2
  assert abs(np.corrcoef(np.array(found).T)[0, 1]) < 0.2


def test_cutouts_are_holes_that_may_stick_out():
  y = apply(views.cutout(), np.ones((300, 8, 8, 2)))
  assert set(np.unique(y)) == {0, 1} and (y[..., 0] == y[..., 1]).all()
  starts = []
  for image in y[..., 0] == 0:
    rows, columns = image.any(axis=1).nonzero()[0], image.any(axis=0).nonzero()[0]
    assert image.sum() == len(rows) * len(columns)  # a rectangle
    starts.append((rows[-1] - 3 if rows[0] == 0 else rows[0], columns[-1] - 3 if columns[0] == 0 else columns[0]))
  starts = np.array(starts)
  unchanged = apply(views.cutout(), np.ones((300, 8, 8, 2)), chance=0.25).all(axis=(1, 2, 3))
  assert unchanged.mean() == pytest.approx(0.75, abs=0.08)
  for axis in (0, 1):
    assert set(starts[:, axis]) == set(range(-2, 7))
  assert abs(np.corrcoef(starts.T)[0, 1]) < 0.15


SIZE, MIDDLE = 25, 12
@pytest.mark.parametrize(("size", "reach", "side"), [(28, 4, 14), (9, 1, 5), (32, 4, 16)])
def test_sizes_are_rounded_as_in_diffaugments_code(size, reach, side):
  """int(size * ratio + .5): 28 pixels are shifted by up to 4 of them."""
  moved = apply(views.translation(), np.ones((300, size, size, 1)))
  assert (moved == 0).all(axis=2).sum(axis=1).max() == reach
  holes = (apply(views.cutout(), np.ones((300, size, size, 1)))[..., 0] == 0).any(axis=2).sum(axis=1)
  assert holes.max() == side


Y, X = np.meshgrid(*[np.arange(SIZE) - MIDDLE] * 2, indexing="ij")
WHERE = np.tile(np.stack([X, Y], axis=-1).astype("float32"), (400, 1, 1, 1))  # images of where they are: a warp shows where it looks


@functools.cache
def geometry():
  """One program for all settings: they may be arrays."""

  def act(scale, angle, whole, shift, chance):
    return views.geometry(scale, angle, whole, shift).apply(WHERE, Look(jax.random.key(0), jnp.zeros((), jnp.int32), None, chance=chance))

  return jit(act)


def warped(scale=0.0, angle=0.0, whole=0.0, shift=0.0, chance=1.0):
  """The images, and the 2 x 3 matrices read around the middle, where nothing comes back from the border."""
  y = np.asarray(geometry()(scale, angle, whole, shift, chance))
  at = y[:, MIDDLE, MIDDLE]
  return y, np.stack([y[:, MIDDLE, MIDDLE + 1] - at, y[:, MIDDLE + 1, MIDDLE] - at, at], axis=2)


def test_flips_and_quarter_turns_are_exact():
  y, _ = warped()
  eight = [np.rot90(side, k) for side in (WHERE[0], WHERE[0][:, ::-1]) for k in range(4)]
  matches = [[k for k, wanted in enumerate(eight) if np.allclose(image, wanted, atol=1e-4)] for image in y]
  assert all(len(match) == 1 for match in matches) and np.bincount(np.ravel(matches), minlength=8).min() > 25  # of 50


def test_zoom_and_stretch():
  """1 / zoom^2 is the determinant, stretch^2 the ratio of the axes."""
  m = warped(scale=0.2)[1][..., :2]
  values = np.linalg.svd(m, compute_uv=False)
  zoom, stretch = np.log2(values.prod(axis=1)) / 2, np.log2(values[:, 0] / values[:, 1]) / 2
  assert zoom.std() == pytest.approx(0.2, rel=0.12) and zoom.mean() == pytest.approx(0, abs=0.03)
  assert np.sqrt(np.square(stretch).mean()) == pytest.approx(0.2, rel=0.12)
  assert (np.sign(np.linalg.det(m)) > 0).mean() == pytest.approx(0.5, abs=0.1)


def test_shifts():
  whole = warped(whole=0.12)[1][..., 2]  # 3 of 25 pixels
  assert set(np.round(whole.ravel(), 3)) == set(np.arange(-3.0, 4))
  slide = warped(shift=0.04)[1][..., 2]
  assert slide.std() == pytest.approx(1.0, rel=0.12) and abs(np.corrcoef(slide.T)[0, 1]) < 0.15


def test_a_coin_for_each_part():
  """Chance 1/2: a part is left out half of the time, either rotation with sqrt(1/2), so that no rotation at all is as likely as no shift."""
  _, m = warped(angle=1.0, shift=0.04, chance=0.5)
  still = np.isclose(m[:, 0, 2], 0, atol=1e-5)
  angle = np.degrees(np.arctan2(m[:, 1, 0], m[:, 0, 0])) % 90
  straight = np.minimum(angle, 90 - angle) < 1e-2
  assert still.mean() == pytest.approx(0.5, abs=0.07) and straight.mean() == pytest.approx(0.5, abs=0.07)
  assert abs(np.corrcoef(still, straight)[0, 1]) < 0.15
  y, _ = warped(0.2, 1.0, 0.125, 0.125, chance=0.0)
  np.testing.assert_allclose(y, WHERE, atol=1e-5)


def test_the_border_is_a_mirror_and_between_pixels_is_a_mean():
  """Half a pixel to the side, from -1, 0, 1: means of neighbours, and past the end the last two again."""
  from gan_jax.augmentations import _warp

  image = jnp.array([[[1.0], [2.0], [4.0]]])
  warp = jit(_warp)
  move = lambda by: np.asarray(warp(image, jnp.array([[1.0, 0, by], [0, 1, 0], [0, 0, 1]])))[0, :, 0]
  np.testing.assert_allclose(move(0.5), [1.5, 3, 3])
  np.testing.assert_allclose(move(2.0), [4, 2, 1])
  np.testing.assert_allclose(move(-1.0), [2, 1, 2])


def palettes(n=500, chance=None):
  """`[n, 3, 4]`: the images of black and of the three colours."""
  x = np.zeros((n, 2, 2, 3), "float32")
  for k in range(3):
    x[:, (k + 1) // 2, (k + 1) % 2, k] = 1
  y = apply(views.palette(), x, chance=chance)
  black = y[:, 0, 0]
  return np.concatenate([np.stack([y[:, (k + 1) // 2, (k + 1) % 2] - black for k in range(3)], axis=2), black[..., None]], axis=2)


def test_palettes_law():
  """Grey stays grey, scaled by +-2^N(0, .5^2); across it there is a turn and a scale; what is added was added before all that."""
  m = palettes()
  grey = m[:, :, :3].sum(axis=2)
  np.testing.assert_allclose(grey, np.tile(grey[:, :1], (1, 3)), atol=1e-4)
  contrast = grey[:, 0]
  assert np.log2(np.abs(contrast)).std() == pytest.approx(0.5, rel=0.1) and (contrast < 0).mean() == pytest.approx(0.5, abs=0.08)
  brightness = m[:, :, 3] / contrast[:, None]
  np.testing.assert_allclose(brightness, np.tile(brightness[:, :1], (1, 3)), atol=1e-4)
  assert brightness.std() == pytest.approx(0.2, rel=0.1)
  assert abs(np.corrcoef(np.log(np.abs(brightness[:, 0])), np.log(np.abs(contrast)))[0, 1]) < 0.15
  plane = np.linalg.qr(np.c_[np.ones(3), [1, -1, 0], [1, 1, -2]])[0][:, 1:]
  inside = plane.T @ m[:, :, :3] @ plane
  strength = np.sqrt(np.abs(np.linalg.det(inside)))
  np.testing.assert_allclose(inside @ inside.swapaxes(1, 2), strength[:, None, None] ** 2 * np.eye(2), atol=2e-3 * strength.max() ** 2)
  assert np.log2(strength / np.abs(contrast)).std() == pytest.approx(1, rel=0.1)
  angle = np.arctan2(inside[:, 1, 0], inside[:, 0, 0])
  assert angle.std() == pytest.approx(np.pi / 3**0.5, rel=0.08)


def test_grey_images_have_brightness_contrast_and_a_negative():
  x = np.zeros((500, 1, 2, 1), "float32")
  x[:, 0, 1] = 1
  y = apply(views.palette(), x)[..., 0][:, 0]
  contrast = y[:, 1] - y[:, 0]
  assert np.log2(np.abs(contrast)).std() == pytest.approx(0.5, rel=0.1) and (contrast < 0).mean() == pytest.approx(0.5, abs=0.08)
  assert (y[:, 0] / contrast).std() == pytest.approx(0.2, rel=0.1)
  with pytest.raises(ValueError, match="1 or 3 channels; these images have 2"):
    apply(views.palette(), np.zeros((2, 4, 4, 2)))


def test_shards_draw_what_the_whole_batch_draws():
  view, x = views.diff_augment(), RANDOM.normal(size=(4, 8, 8, 3)).astype("float32")
  act = lambda x, axis: view.apply(x, Look(jax.random.key(2), jnp.zeros((), jnp.int32), axis))
  both = jit(lambda x: (act(x, None), jax.vmap(lambda x: act(x, "devices"), axis_name="devices")(x.reshape(2, 2, 8, 8, 3))))
  whole, shards = both(x)
  np.testing.assert_allclose(shards.reshape(whole.shape), whole, atol=1e-6)


@pytest.mark.parametrize("name", ["diff_augment", pytest.param("bgc", marks=pytest.mark.slow)])
def test_gradients_pass_through_to_each_image(name):
  """T is affine in x: its gradient along x is what x adds, T(x) - T(0), and images do not mix."""
  view = getattr(views, name)()
  x = jnp.asarray(RANDOM.normal(size=(3, 8, 8, 3)), jnp.float32)
  w = jnp.asarray(RANDOM.normal(size=(3, 8, 8, 3)), jnp.float32)
  act = lambda x: view.apply(x, Look(jax.random.key(1), jnp.zeros((), jnp.int32), None))
  slope, added = jit(lambda x: (jax.grad(lambda x: (act(x) * w).sum())(x), ((act(x) - act(0 * x)) * w).sum(axis=(1, 2, 3))))(x)
  np.testing.assert_allclose((slope * x).sum(axis=(1, 2, 3)), added, rtol=1e-3, atol=1e-3)
  assert float(jnp.abs(added).min()) > 0
  with pytest.raises(ValueError, match=r"augments images \[B, H, W, C\]; these examples have shape \(2,\)"):
    jax.eval_shape(act, jnp.zeros((3, 2)))
