"""The verifier of triangles, calibrated: what it accepts of true images and of 23 other kinds, and how near it comes to their truth."""

import doctest

import jax.numpy as jnp
import numpy as np
import pytest
import triangles_calibration as calibration

from gan_jax.data.triangles import verifier
from gan_jax.data.triangles.attributes import HUES, TYPES
from gan_jax.data.triangles.verifier import mattes, verify

N = 64
ACCEPTED = {  # kind -> the least and the largest share accepted at 32 pixels
  "true, float": (0.995, 1), "+ N(0, .02)": (0.95, 1), "+ N(0, .05)": (0.8, 1), "blurred, .5 px": (0.96, 1), "blurred, .8 px": (0.8, 1),
  "blurred, 1.2 px": (0, 0.03), "quads": (0, 0.001), "pentagons": (0, 0.001), "hexagons": (0, 0.001), "ellipses": (0, 0.001),
  "corners rounded, 1.5 px": (0, 0.45), "corners rounded, 3 px": (0, 0.02), "a corner cut by 15 %": (0, 0.45), "a corner cut by 30 %": (0, 0.02),
  "warped, 1 px": (0, 0.05), "warped, 2 px": (0, 0.01), "warped, 3 px": (0, 0.01), "a hole in the middle": (0, 0.01), "no triangle": (0, 0.01),
  "two triangles": (0, 0.05), "mean of two images": (0, 0.2), "noise": (0, 0.001), "grey": (0, 0.001),
}  # fmt: skip


def test_documentation_examples():
  assert doctest.testmod(verifier).failed == 0


@pytest.mark.parametrize("size, n", [(32, 256), pytest.param(16, 256), pytest.param(64, 256, marks=pytest.mark.slow),
                                     pytest.param(32, 4096, marks=pytest.mark.slow)])  # fmt: skip
def test_true_images_are_accepted_and_read(size, n):
  found = calibration.read(size, n, "true, 256 levels")
  score = calibration.accuracy(size, n, found)
  assert found.triangle_ok.mean() >= 0.995 and found.background_ok.mean() >= 0.995 and found.texture_ok.mean() >= 0.995
  assert score["all five"] >= 0.995 and score["error 50 %"] <= 0.01 and score["error 99 %"] <= 0.1


@pytest.mark.parametrize("n", [N, pytest.param(1024, marks=pytest.mark.slow)])
def test_what_is_no_triangle_is_refused(n):
  shares = {kind: float(calibration.read(32, n, kind).triangle_ok.mean()) for kind in ACCEPTED}
  wrong = {kind: share for kind, share in shares.items() if not ACCEPTED[kind][0] <= share <= ACCEPTED[kind][1]}
  assert not wrong


def test_backgrounds_are_judged_apart_from_the_triangle():
  cases = calibration.cases(32, N)
  halves, empty, mixed, noise = (verify(cases[kind]()) for kind in ("halves of two backgrounds", "no triangle", "mean of two images", "noise"))
  assert halves.background_ok.mean() < 0.2 and halves.triangle_ok.mean() > 0.5
  assert empty.background_ok.mean() > 0.99 and not empty.triangle_ok.any()
  assert mixed.background_ok.mean() < 0.6 and not noise.background_ok.any()
  np.testing.assert_array_equal(empty.attributes[:, 3:], calibration.true(32, N)["attributes"][:, 3:])
  # Blotches: neither one of the textures nor white noise.
  rng, size = np.random.default_rng(0), 32
  light = 0.6 + 0.12 * np.clip(calibration.gaussian_filter(rng.standard_normal((N, size, size)), (0, 2, 2)) * 7, -1.5, 1.5)[..., None]
  blotches = verify(2 * light * np.array([0.9, 0.4, 0.3]) - 1)
  assert blotches.background_ok.mean() < 0.1 and not blotches.texture_ok[~blotches.background_ok].any()


def test_mattes_are_masks():
  truth = calibration.true(32, N)
  np.testing.assert_allclose(mattes(calibration.levels(truth["image"])), truth["mask"][..., 0], atol=0.03)


def test_sides_and_colours_are_named():
  read = lambda *sides: TYPES[int(verifier._type(jnp.array(sides)))]
  assert [read(1, 1, 1), read(0.6, 1, 1), read(1, 1, 1.6), read(3, 4, 5), read(1, 1.5, 2)] == [
    "equilateral", "isosceles", "isosceles", "right", "scalene"]  # fmt: skip
  colours = [(1, 0.1, 0), (0.9, 1, 0.1), (0, 1, 0.1), (0.1, 0.9, 1), (0.1, 0, 1), (1, 0, 0.9)]
  assert [HUES[int(verifier._hue(jnp.array(colour)))] for colour in colours] == list(HUES)


def test_images_that_are_not_finite_show_nothing():
  images = calibration.levels(calibration.true(32, N)["image"])[:3].copy()
  images[1, 5, 5, 0] = np.nan
  found = verify(images)
  assert found.triangle_ok.tolist() == found.background_ok.tolist() == [True, False, True]
  assert np.isfinite(found.vertices).all()
  for bad in (images[:, :8, :8], images[:0], images[..., :1], images[0]):
    with pytest.raises(ValueError, match=r"must be \[N, size, size, 3\] of at least 12 pixels, N at least 1; got shape"):
      verify(bad)
