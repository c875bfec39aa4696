"""Vendi, NDB, birthday and MS-SSIM: by hand, against other implementations, and which way they turn for a collapsed generator.

Mutations that made a test here fail: an order of Vendi that is ignored; a one-sided z test, and one without 1 - p in its deviation; whitening by
the rounding of a constant; s^2 / 2 for s^2 / (2 ln 2); the first repeat off by one; a sample as its own twin; rare repeats sought among the first
thousand alone; weights of MS-SSIM not renormalised; luminance at the wrong scales; negative contrast taken as positive; a window that shrinks
without its sigma.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.data import ring
from gan_jax.data.base import Assignment, Data, Modes
from gan_jax.metrics import birthday, evaluate, ms_ssim, ndb, perfect, pixels, vendi
from gan_jax.metrics import similarity as ssim
from gan_jax.metrics.bins import different_bins, js_of_counts
from gan_jax.metrics.duplicates import alike, half_batch, support
from gan_jax.metrics.spectra import vendi_score


def test_vendi_counts_kinds():
  kinds = np.eye(7)[np.arange(70) % 7]
  for q in (0.5, 1.0, 2.0, math.inf):
    assert vendi_score(kinds, q) == pytest.approx(7)
    assert vendi_score(3 * kinds[:1].repeat(50, axis=0), q) == pytest.approx(1)
  # Shares 3/4 and 1/4: exp of the entropy; 1 / (9/16 + 1/16) at q = 2; 1 / (3/4) at infinity.
  uneven = np.eye(2)[[0, 0, 0, 1]]
  assert vendi_score(uneven) == pytest.approx(math.exp(-(0.75 * math.log(0.75) + 0.25 * math.log(0.25))))
  assert vendi_score(uneven, 2) == pytest.approx(1.6) and vendi_score(uneven, math.inf) == pytest.approx(4 / 3)
  assert vendi_score(np.zeros((5, 3))) == 1 and vendi_score(np.array([[0.0, 0], [0, 0], [1, 0], [1, 0]])) == pytest.approx(2)


@pytest.mark.parametrize("n, features", [(12, 40), (40, 12)])
def test_vendi_is_the_entropy_of_the_similarity_matrix_on_both_sides(n, features):
  rows = np.random.default_rng(0).standard_normal((n, features))
  unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
  shares = np.linalg.eigvalsh(unit @ unit.T / n)
  shares = shares[shares > 1e-13]
  assert vendi_score(rows) == pytest.approx(np.exp(-(shares * np.log(shares)).sum()))
  assert vendi_score(5 * rows) == pytest.approx(vendi_score(rows))
  assert vendi_score(rows) <= min(n, features)


def test_two_proportion_test_by_hand():
  # 60 of 100 against 40 of 100: pooled .5, deviation sqrt(.25 * .02) = .0707, z = 2.83 > 1.96. 50 against 40: z = 1.42.
  assert different_bins(np.array([60, 40]), np.array([40, 60]), 100, 100) == 1
  assert different_bins(np.array([50, 50]), np.array([40, 60]), 100, 100) == 0
  # 60 against 46 of 100: pooled .53, z = .14 / sqrt(.53 * .47 * .02) = 1.983.
  assert different_bins(np.array([60]), np.array([46]), 100, 100) == 1
  # Pooling matters: 4 of 200 against 0 of 10 pools to p = 4/210, z = .45.
  assert different_bins(np.array([4]), np.array([0]), 200, 10) == 0
  # 1 against 7 of 100: pooled .04, z = .06 / sqrt(.04 * .96 * .02) = 2.165; each with its own variance it would be 2.2.
  assert different_bins(np.array([1]), np.array([7]), 100, 100, alpha=0.03) == 0
  assert different_bins(np.array([1]), np.array([7]), 100, 100) == 1
  assert different_bins(np.array([0, 5]), np.array([0, 5]), 5, 5) == 0  # an empty bin is not a difference
  assert js_of_counts(np.array([3, 0]), np.array([0, 9])) == pytest.approx(math.log(2)) and js_of_counts(np.array([1, 2]), np.array([2, 4])) == 0


def test_a_perfect_sampler_differs_in_about_alpha_bins_and_a_collapsed_one_in_nearly_all():
  data, metric = ring(), {"ndb": ndb(pixels(), bins=20, n=1000)}
  ideal = perfect(data, 1000, metrics=metric)
  collapsed = data.modes.centers[0] + 0.001 * np.random.default_rng(0).standard_normal((1000, 2))
  values, _ = evaluate(collapsed, data, metrics=metric)
  assert ideal["ndb_k20_pixels_n1000"] < 0.2 and ideal["ndb_js_k20_pixels_n1000"] < 0.02
  assert values["ndb_k20_pixels_n1000"] > 0.8 and values["ndb_js_k20_pixels_n1000"] > 0.4
  gone, _ = evaluate(np.full((1000, 2), np.nan), data, metrics=metric)
  assert gone["ndb_k20_pixels_n1000"] > 0.9 and gone["ndb_js_k20_pixels_n1000"] == pytest.approx(math.log(2))


def test_many_dimensions_are_thinned_and_a_constant_one_does_no_harm():
  from gan_jax.metrics.bins import Bins

  rows = np.random.default_rng(0).standard_normal((60, 1206))
  rows[:, :600] = 0.1 + 1e-12 * rows[:, :600]  # constant, but for rounding
  fitted = Bins(rows, 4, seed=0)
  assert len(fitted.kept) == 201 and fitted.counts.sum() == 60 and (fitted.spread[fitted.kept < 600] == 1).all()
  assert len(Bins(rows[:, 600:650], 4, seed=0).kept) == 50


def test_birthdays():
  # 365 equally likely: 23 is the smallest group that shares a birthday more often than not.
  rng = np.random.default_rng(0)
  people = rng.integers(0, 365, 4000)[:, None] * 10.0 + 0.01 * rng.random((4000, 1))
  assert half_batch(people, 1.0, orders=1000) == pytest.approx(23, abs=1)
  assert support(23) == pytest.approx(23**2 / (2 * math.log(2))) and support(23) == pytest.approx(365, rel=0.06)
  assert half_batch(np.zeros((50, 2)), 0.0) == 2  # all alike: the second is the first repeat
  assert half_batch(np.arange(50.0)[:, None], 0.5) == math.inf
  assert [p.tolist() for p in alike(np.array([[0.0], [5.0], [0.5], [5.0]]), 0.25)] == [[0, 1], [2, 3]]


def test_rare_repeats_are_sought_among_all_samples():
  # 1,500 different points and one repeat of the first at the end: the first thousand have none.
  points = np.append(np.arange(1500.0), 0.0)[:, None]
  found = half_batch(points, 0.01, orders=400)
  assert found == pytest.approx(1501 / 2**0.5, rel=0.1)  # both are among the first s with probability (s / 1501)^2


def test_birthday_finds_a_generator_of_ten_points():
  data, metric = ring(), {"birthday": birthday(pixels(), n=500)}
  points = np.asarray(data.sample(jax.random.key(9), 510)["image"])
  values, _ = evaluate(points[500:][np.random.default_rng(0).integers(0, 10, 500)], data, metrics=metric)
  assert 3 < values["birthday_support_pixels_n500"] < 20 and values["birthday_batch_pixels_n500"] == pytest.approx(4, abs=1)
  fresh, _ = evaluate(points[:500], data, metrics=metric)
  assert fresh["birthday_support_pixels_n500"] > 20 * values["birthday_support_pixels_n500"]
  broken, _ = evaluate(np.full((500, 2), np.nan), data, metrics=metric)
  assert broken["birthday_batch_pixels_n500"] == 2


def pictures(seed: int, n: int = 8, size: int = 28, channels: int = 1) -> tuple[np.ndarray, np.ndarray]:
  rng = np.random.default_rng(seed)
  first = rng.random((n, size, size, channels))
  first = (first + np.roll(first, 1, 1) + np.roll(first, 1, 2) + np.roll(first, 2, 1)) / 4
  return first, np.clip(first + 0.1 * rng.standard_normal(first.shape), 0, 1)


def test_ssim_is_scikit_images():
  metrics = pytest.importorskip("skimage.metrics")
  first, second = pictures(0, channels=3)
  settings = dict(gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1.0, channel_axis=-1)
  wanted = [metrics.structural_similarity(x, y, **settings) for x, y in zip(first, second, strict=True)]
  np.testing.assert_allclose(ssim.structural_similarity(first, second), wanted, rtol=1e-6)


def test_ssim_by_hand():
  # Constant images a and b: contrast 1, luminance (2ab + c) / (a^2 + b^2 + c).
  first, second = np.full((1, 20, 20, 1), 0.2), np.full((1, 20, 20, 1), 0.8)
  assert ssim.structural_similarity(first, second)[0] == pytest.approx((2 * 0.16 + 1e-4) / (0.68 + 1e-4))
  assert ssim.structural_similarity(first, second, contrast_only=True)[0] == pytest.approx(1)
  # Of three scales only the last has luminance; its weight is .3001 of .0448 + .2856 + .3001.
  assert ssim.similarity(first, second, 3)[0] == pytest.approx(((0.32 + 1e-4) / (0.68 + 1e-4)) ** (0.3001 / 0.6305))
  first, second = pictures(1)
  np.testing.assert_allclose(ssim.similarity(first, first, 3), 1)
  assert (ssim.similarity(first, 1 - first, 3) == 0).all()  # a negative has negative contrast, which counts as 0
  assert (ssim.similarity(first, second, 3) < 0.99).all()
  np.testing.assert_allclose(ssim.similarity(first, second, 3), ssim.similarity(second, first, 3))


def test_ssim_shrinks_a_window_that_does_not_fit_and_leaves_an_odd_row_out():
  assert ssim._windows(28).shape == (18, 28) and ssim._windows(7).shape == (1, 7)
  np.testing.assert_allclose(ssim._windows(7).sum(axis=1), 1)
  assert ssim._windows(7)[0, 3] / ssim._windows(7)[0, 4] == pytest.approx(math.exp(1 / (2 * (1.5 * 7 / 11) ** 2)))
  np.testing.assert_allclose(ssim._halve(np.arange(15.0).reshape(1, 3, 5, 1))[0, ..., 0], [[3, 5]])


def images(classes: int = 4) -> Data:
  """28x28 images of `classes` textures; a sample's class is written in its first pixel."""
  textures = 2 * pictures(5, n=classes)[0] - 1

  def draw(table, key, n):
    kind = jax.random.randint(key, (n,), 0, classes)
    noisy = jnp.asarray(textures)[kind] + 0.2 * jax.random.normal(key, (n, 28, 28, 1))
    return {"image": jnp.clip(noisy, -1, 1).at[:, 0, 0, 0].set(kind / classes)}

  def assign(samples):
    return Assignment(np.rint(np.nan_to_num(samples[:, 0, 0, 0]) * classes).astype(int), np.isfinite(samples).all(axis=(1, 2, 3)), None)

  return Data("textures", (28, 28, 1), draw, Modes(np.full(classes, 1 / classes), assign, 1.0), (-1.0, 1.0))


def test_ms_ssim_is_high_for_one_image_and_pairs_inside_a_class_are_more_alike():
  data, metric = images(), {"any": ms_ssim(n=120), "class": ms_ssim(n=120, pairs="class")}
  ideal = perfect(data, 120, distances=False, metrics=metric)
  one = np.asarray(data.sample(jax.random.key(0), 1)["image"]).repeat(120, axis=0)
  values, _ = evaluate(one, data, distances=False, metrics=metric)
  assert values["ms_ssim_s3_n120"] == pytest.approx(1) == values["ms_ssim_s3_class_n120"]
  assert ideal["ms_ssim_s3_n120"] + 0.2 < ideal["ms_ssim_s3_class_n120"] < 0.95
  asked, _ = evaluate(one, data, distances=False, metrics=metric, conditions=np.arange(120))
  assert asked["ms_ssim_s3_class_n120"] == 1  # no two of one class: nothing to compare


@pytest.mark.parametrize("build, message", [
  (lambda: ms_ssim().identity(ring()), r"ms_ssim needs images, and ring is of shape \(2,\)"),
  (lambda: ms_ssim(scales=5).identity(images()), "5 scales needs images of at least 48 pixels, and textures has 28; set fewer scales"),
  (lambda: ms_ssim(scales=6), "scales must be 1 to 5"),
  (lambda: ms_ssim(pairs="all"), 'pairs must be "any" or "class"'),
  (lambda: ms_ssim(pairs="class").identity(images()._replace(modes=None)), "known classes"),
  (lambda: vendi(pixels(), q=-1.0), "q must be a positive number"),
  (lambda: ndb(pixels(), bins=100, n=99), "cannot make 100 bins of n = 99"),
  (lambda: ndb(pixels(), alpha=0.0), "alpha must lie between 0 and 1"),
  (lambda: birthday(pixels(), quantile=1.0), "quantile must lie between 0 and 1"),
  (lambda: birthday(pixels(), orders=5), "orders must be a whole number of at least 20"),
])  # fmt: skip
def test_settings_that_mean_nothing_are_refused(build, message):
  with pytest.raises(ValueError, match=message):
    build()
