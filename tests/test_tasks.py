"""Tasks made of image sets, generator terms of translation, logits of patches, and scores of answers: numbers worked by hand.

Mutations that made a test here fail: a hole that is not where the mask says; a target of another image; the view's noise between answer and target;
logits averaged before the loss; scales summed; PSNR of the mean error; a crop on one side; errors outside the hole counted.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from plays import play_of
from scipy.ndimage import gaussian_filter

from gan_jax import build, data, gan, metrics, networks, objectives, penalties, priors, translation, views
from gan_jax.calls import flat_logits
from gan_jax.data import base, sources, tokens
from gan_jax.data.triangles import verify
from gan_jax.metrics.answers import FLOORS
from gan_jax.metrics.base import context_of
from gan_jax.metrics.triangle_answers import corner_errors, inside


def normal(seed, *shape):
  return np.random.default_rng(seed).normal(size=shape).astype("float32")


def small(n=6, shape=(8, 12, 1)):
  """A finite set of random images."""
  images = np.random.default_rng(3).integers(0, 256, (n, *shape), dtype=np.uint8)
  return base.from_rows("small", shape, base.Rows(sources.memory(images), base.uniform(n), base.unconditional))


# data


@pytest.mark.parametrize("device_bytes", [base.DEVICE_BYTES, 0])
def test_lowres_is_the_mean_of_blocks_on_the_device_and_streamed(device_bytes):
  rows = small().rows
  made = data.lowres(base.from_rows("small", (8, 12, 1), rows, device_bytes=device_bytes), factor=4)
  batch = made.sample(jax.random.key(1), 5)
  assert made.streamed == (device_bytes == 0) and made.abstract(5)["condition"].shape == (5, 2, 3, 1)
  wanted = [[[image[4 * i : 4 * i + 4, 4 * j : 4 * j + 4].mean() for j in range(3)] for i in range(2)] for image in np.asarray(batch["image"])]
  np.testing.assert_allclose(batch["condition"][..., 0], wanted, atol=1e-6)
  np.testing.assert_array_equal(batch["image"], small().sample(jax.random.key(1), 5)["image"])


def test_a_hole_is_where_the_mask_says():
  made = data.hole(small(), smallest=2, largest=4)
  batch = jax.tree.map(np.asarray, made.sample(jax.random.key(0), 400))
  cut, seen = batch["condition"][..., 1:] == 1, batch["condition"][..., :1]
  np.testing.assert_array_equal(seen, np.where(cut, 0, batch["image"]))
  sides = []
  for one in cut[..., 0]:
    rows, columns = np.flatnonzero(one.any(1)), np.flatnonzero(one.any(0))
    sides.append((len(rows), len(columns)))
    assert one[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all() and one.sum() == len(rows) * len(columns)
  assert {height for height, _ in sides} == {width for _, width in sides} == {2, 3, 4}
  assert abs(np.mean([height == width for height, width in sides]) - 1 / 3) < 0.1  # apart
  assert cut[:, 0].any() and cut[:, -1].any() and cut[:, :, 0].any() and cut[:, :, -1].any()


def test_unpaired_draws_from_both_and_ties_nothing():
  dark, light = small(), small(4)
  made = data.unpaired(light, source=dark)
  batch = jax.tree.map(np.asarray, made.sample(jax.random.key(0), 300))
  known = lambda of, images: [int(np.flatnonzero((base.LEVELS[of.rows.source.columns["image"]] == x).all((1, 2, 3)))[0]) for x in images]
  table = np.zeros((4, 6))
  np.add.at(table, (known(light, batch["image"]), known(dark, batch["condition"])), 1)
  assert (table > 0).all() and made.rows is None and made.modes is None


@pytest.mark.parametrize(
  ("make", "message"),
  [
    (lambda: data.lowres(data.ring()), "lowres takes a set of images; ring is of shape"),
    (lambda: data.lowres(small(), factor=5), "factor 5 does not divide images of 8 x 12"),
    (lambda: data.lowres(small(), factor=1), "factor must be a whole number of at least 2, got 1"),
    (lambda: data.hole(small(), smallest=5, largest=4), "sides of 5 to 4 pixels in images of 8 x 12"),
    (lambda: data.hole(small(), largest=9), "smallest <= largest <= 8"),
    (lambda: data.hole(base.from_rows("small", (8, 12, 1), small().rows, device_bytes=0)), "hole needs a set on the device"),
    (lambda: data.unpaired(small(), source=data.ring()), "unpaired takes a set of images"),
  ],
)
def test_refused_data(make, message):
  with pytest.raises(ValueError, match=message):
    make()


# logits of patches


def test_a_patch_counts_as_an_example_does():
  logits = normal(0, 3, 2, 2, 2)
  np.testing.assert_array_equal(flat_logits(jnp.asarray(logits)), logits.reshape(-1))
  play = play_of(real_logits=flat_logits(jnp.asarray(logits)), fake_logits=flat_logits(jnp.asarray(logits + 1)))
  each = np.mean([np.log1p(np.exp(-one)) for one in logits.reshape(-1)]) + np.mean([np.log1p(np.exp(one + 1)) for one in logits.reshape(-1)])
  assert float(objectives.non_saturating().discriminator(play)) == pytest.approx(each, rel=1e-5)
  with pytest.raises(ValueError, match=r"of shape \(2, 3\) an example"):
    flat_logits(jnp.zeros((4, 2, 3)))


def translating(**settings):
  nets = networks.unet_generator((8, 8, 1), (3,), norm=None), networks.multiscale_discriminator((3,), strides=(2,), norm=None)
  terms = {"reconstruction": translation.reconstruction(100.0), "layer_matching": translation.layer_matching(10.0)}
  sgd = {"generator": optax.sgd(0.1), "discriminator": optax.sgd(0.1)}
  return gan(*nets, objectives.hinge(), prior=priors.nothing(), optimizers=sgd, generator_terms=terms, **settings)


def test_terms_see_the_target_before_the_view():
  """A view that turns every example upside down changes neither the distance to the target nor that between layers."""
  upside_down = views.View(lambda x, look: x[:, ::-1] if look.key_alike is None else -x)
  batch = {"image": normal(0, 4, 8, 8, 1), "condition": normal(1, 4, 8, 8, 2)}
  found = []
  for settings in ({}, {"view": upside_down}):
    algorithm = build(translating(**settings))
    state = algorithm.init(jax.random.key(0), batch)
    answers = algorithm.sample(state, jax.random.key(1), batch)
    player = translating(**settings).players["generator"]
    value, aux = jax.jit(player.loss)(state.params["generator"], state, batch, jax.random.key(2))
    assert float(aux.metrics["reconstruction"]) == pytest.approx(100 * float(np.abs(batch["image"] - answers).mean()), rel=1e-4)
    found.append(float(aux.metrics["layer_matching"]))
    assert float(value) == pytest.approx(sum(map(float, aux.metrics.values())), rel=1e-5)
  assert found[0] == pytest.approx(found[1], rel=1e-5) and found[0] > 0


def test_terms_by_hand():
  x, y, given = jnp.ones((2, 4, 4, 1)), jnp.full((2, 4, 4, 1), -0.5), jnp.zeros((2, 2, 2, 1))
  play = play_of(latent=jnp.zeros((2, 0)), generate=lambda z: y)._replace(examples=x, condition=given)
  assert float(translation.reconstruction(2.0)(play)) == pytest.approx(3.0)
  assert float(translation.reconstruction(2.0, power=2.0)(play)) == pytest.approx(4.5)
  assert float(translation.lowres_consistency(3.0)(play)) == pytest.approx(1.5)
  layers = lambda name, x: (((x, 2 * x), (3 * x,)) if name == "layers" else None)
  sown = play._replace(sown=layers)  # scale 0: gaps 1.5 and 3; scale 1: 4.5; sum over layers, mean over scales
  assert float(translation.layer_matching(10.0)(sown)) == pytest.approx(10 * (1.5 + 3 + 4.5) / 2)
  for term in (translation.reconstruction, translation.lowres_consistency, translation.layer_matching):
    with pytest.raises(ValueError, match="the data has no condition"):
      term(1.0)(play._replace(condition=None))


# scores of answers


def scored(metric, of, answer):
  context = context_of(of)._replace(answer=answer)
  return metric.score(np.zeros((1, *of.shape)), context), metric.perfect(context), metric.identity(of)


def test_psnr_by_hand():
  of = data.lowres(small(), factor=2)
  batch = of.sample(jax.random.key(0), 6)
  targets = np.rint((np.asarray(batch["image"], np.float64) + 1) * 127.5)
  off = np.zeros((6, 8, 12, 1))
  off[:3, 0, 0] = 3  # one value of 96, in the border
  off[3:] = 2
  made = np.where(targets > 128, targets - off, targets + off) / 127.5 - 1
  found, perfect, named = scored(metrics.psnr(n=6), of, lambda given, number: made)
  of_one, of_all = 10 * np.log10(255**2 * 96 / 9), 10 * np.log10(255**2 / 4)
  assert found == {"psnr_n6": pytest.approx((of_one + of_all) / 2, rel=1e-6)}
  whole = 10 * np.log10(255**2 * 96)
  assert perfect == {"psnr_n6": pytest.approx(whole)} and list(named) == ["psnr_n6"]
  cropped, _, _ = scored(metrics.psnr(n=6, crop=1), of, lambda given, number: made)
  assert cropped == {"psnr_crop1_n6": pytest.approx((10 * np.log10(255**2 * 60) + of_all) / 2, rel=1e-6)}
  not_finite, _, _ = scored(metrics.psnr(n=6), of, lambda given, number: made * np.nan)
  assert not_finite["psnr_n6"] < 12


def test_ssim_against_scipy():
  """Gaussian windows by another route; scikit-image's own function where it is installed."""
  of = data.lowres(small(3, (16, 20, 3)), factor=2)
  answers = np.clip(np.asarray(of.sample(jax.random.key(0), 3)["image"]) + 0.3 * normal(0, 3, 16, 20, 3), -1, 1)
  found, perfect, _ = scored(metrics.ssim(n=3), of, lambda given, number: answers)
  x, y = (np.rint((np.asarray(images, np.float64) + 1) * 127.5) for images in (of.sample(jax.random.key(0), 3)["image"], answers))
  blur = lambda x: gaussian_filter(x, (0, 1.5, 1.5, 0), truncate=3.5, mode="constant")[:, 5:-5, 5:-5]
  mean_x, mean_y = blur(x), blur(y)
  var_x, var_y, cov = blur(x * x) - mean_x**2, blur(y * y) - mean_y**2, blur(x * y) - mean_x * mean_y
  c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
  wanted = ((2 * mean_x * mean_y + c1) * (2 * cov + c2) / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))).mean()
  assert found["ssim_n3"] == pytest.approx(wanted, rel=1e-6) and perfect["ssim_n3"] == pytest.approx(1)
  skimage = pytest.importorskip("skimage.metrics")
  settings = {"data_range": 255, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "channel_axis": -1}
  theirs = [skimage.structural_similarity(a, b, **settings, full=True)[1][5:-5, 5:-5].mean() for a, b in zip(x, y, strict=True)]
  assert found["ssim_n3"] == pytest.approx(np.mean(theirs), rel=1e-5)


def test_consistency_and_floors():
  of = data.lowres(small(), factor=4)
  nearest, perfect, named = scored(metrics.consistency(n=6, floor="nearest"), of, lambda given, number: given.repeat(4, 1).repeat(4, 2))
  assert set(named) == {"consistency_n6", "consistency_nearest_n6"} == set(perfect)
  assert nearest["consistency_n6"] == nearest["consistency_nearest_n6"] > 55  # but for rounding to whole levels
  assert perfect["consistency_n6"] == pytest.approx(10 * np.log10(255**2 * 6), rel=0.01)  # the images are of whole levels
  shifted, _, _ = scored(metrics.consistency(n=6), of, lambda given, number: given.repeat(4, 1).repeat(4, 2) * 0)
  assert shifted["consistency_n6"] < 30


def test_errors_count_inside_the_hole_alone():
  of = data.hole(small(12), smallest=1, largest=6)
  batch = jax.tree.map(np.asarray, of.sample(jax.random.key(0), 9))
  cut, area = batch["condition"][..., 1:], batch["condition"][..., 1].sum((1, 2))
  wrong = np.where(cut == 1, np.where(batch["image"] > 0, batch["image"] - 20 / 255 * 2, batch["image"] + 20 / 255 * 2), -batch["image"])
  found, perfect, _ = scored(metrics.hole_error(n=9, floor="fill"), of, lambda given, number: wrong)
  parts = ["", "_small", "_middle", "_large"]
  assert [found[f"hole_error{part}_n9"] for part in parts] == pytest.approx([20] * 4, abs=0.01)
  assert [perfect[f"hole_error{part}_n9"] for part in parts] == [0] * 4
  order = np.argsort(area, kind="stable")
  one = np.where((np.arange(9) == order[0]).reshape(-1, 1, 1, 1), wrong, batch["image"])
  alone, _, _ = scored(metrics.hole_error(n=9), of, lambda given, number: one)
  assert [alone[f"hole_error{part}_n9"] for part in parts] == pytest.approx([20 / 9, 20 / 3, 0, 0], abs=0.01)
  given = np.zeros((1, 1, 4, 2), "float32")
  given[0, 0, :, 0], given[0, 0, 1:3, 1] = (0.1, 0, 0, 0.4), 1
  np.testing.assert_allclose(FLOORS["fill"](given, (1, 4, 1))[0, 0, :, 0], [0.1, 0.1, 0.4, 0.4])


def test_answers_that_differ():
  of = data.lowres(small(), factor=2)
  found, perfect, _ = scored(metrics.answer_diversity(n=4, outputs=3), of, lambda given, number: np.full((4, 8, 12, 1), number / 127.5))
  assert found == {"answer_diversity_o3_n4": pytest.approx((1 + 2 + 1) / 3)} and perfect == {}


def maps():
  return data.triangles(16, num_images=4, condition="segmentation")


@pytest.mark.parametrize(
  ("metric", "of", "message"),
  [
    (metrics.psnr(n=4), small, "psnr compares answers to inputs that are images, alike in data and reference; small has no condition"),
    (metrics.psnr(n=4, reference=small()), lambda: data.lowres(small()), "small has no condition"),
    (metrics.psnr(n=4, reference=data.lowres(small(), factor=4)), lambda: data.lowres(small()), r"conditions float32 of shape \(2, 3, 1\)"),
    (metrics.psnr(n=4, floor="copy"), lambda: data.lowres(small()), "floor 'copy' makes no image"),
    (metrics.ssim(n=4, floor="bicubic"), lambda: data.hole(small()), "floor 'bicubic' makes no image"),
    (metrics.psnr(n=4, floor="fill"), lambda: data.lowres(small()), "the inputs of lowres2_small have none"),
    (metrics.consistency(n=4), lambda: data.hole(small()), "consistency needs an input some times smaller"),
    (metrics.hole_error(n=4), lambda: data.lowres(small()), "hole_error needs an input that says where its hole is"),
    (metrics.psnr(n=4), lambda: data.sklearn_digits(condition="label"), "conditions int32"),
    (metrics.triangle_answers(n=4, floor="bicubic"), lambda: maps(), "floor 'bicubic' makes no image"),
    (metrics.triangle_answers(n=4, truth="input"), lambda: maps(), "reads triangles in inputs of the images' shape"),
  ],
)
def test_what_cannot_be_scored_is_said_before_training(metric, of, message):
  with pytest.raises(ValueError, match=message):
    metric.identity(of())


def test_too_few_holes_for_thirds():
  with pytest.raises(ValueError, match="n must be a whole number of at least 3, got 2"):
    metrics.hole_error(n=2)


def test_unknown_floor():
  with pytest.raises(ValueError, match="psnr: floor 'cubic'; one of: copy, nearest, bicubic, fill"):
    metrics.psnr(floor="cubic")


def test_mismatched_by_hand():
  """D(x, c) = x c on rows 1, 2, 3 with conditions .1, 1, -1: conditions of the next row."""
  real, condition = jnp.array([[1.0], [2.0], [3.0]]), jnp.array([0.1, 1.0, -1.0])
  play = play_of(real=real)._replace(condition=condition, under=lambda x, c: x[:, 0] * c)
  wanted = np.mean(np.log1p(np.exp([1.0, -2.0, 0.3])))
  assert float(penalties.mismatched(0.5)(play)) == pytest.approx(0.5 * wanted, rel=1e-5)
  with pytest.raises(ValueError, match="mismatched exchanges conditions"):
    penalties.mismatched(1.0)(play._replace(condition=None))


def test_a_mismatched_image_keeps_its_noise_and_what_d_is_told_of_it():
  """Diffusion: D of (x, condition, t) = condition t. The other condition, but the image's own t: exchanging images would exchange them apart."""

  class Told(nn.Module):
    @nn.compact
    def __call__(self, x, condition, t, *, train):
      return self.param("one", nn.initializers.ones, ()) * condition * t[:, 0]

  class Made(nn.Module):
    @nn.compact
    def __call__(self, z, condition, *, train):
      return z + self.param("shift", nn.initializers.zeros, ())

  seen = {}

  def term(play):
    seen.update(found=penalties.mismatched(1.0)(play), plain=play.real_logits / play.condition, condition=play.condition)
    return seen["found"]

  batch = {"image": np.ones((4, 1), "float32"), "condition": np.array([1.0, 2.0, 3.0, 4.0], "float32")}
  game = gan(
    Made(), Told(), objectives.hinge(), prior=priors.normal(1), view=views.diffusion(), discriminator_terms={"mismatched": term},
    optimizers=dict.fromkeys(("generator", "discriminator"), optax.sgd(0.1)),
  )  # fmt: skip
  state = build(game).init(jax.random.key(0), batch)
  game.players["discriminator"].loss(state.params["discriminator"], state, batch, jax.random.key(3))
  assert len(set(np.asarray(seen["plain"]).tolist())) > 1  # several t
  wanted = np.log1p(np.exp(np.roll(seen["condition"], -1) * seen["plain"])).mean()
  assert float(seen["found"]) == pytest.approx(float(wanted), rel=1e-5)


def test_captions_become_numbers_or_say_what_is_unknown():
  vocabulary = ("a", "red", "bird", "blue")
  np.testing.assert_array_equal(tokens.encode("A blue, bird!", vocabulary, 5), [2, 5, 4, 0, 0])
  with pytest.raises(ValueError, match=r'unknown words "rad" \(nearest: "red"\), "brid" \(nearest: "bird"\)'):
    tokens.encode("a rad brid", vocabulary, 5)
  np.testing.assert_array_equal(tokens.encode("a rad brid", vocabulary, 5, unknown="ignore"), [2, 0, 0, 0, 0])
  with pytest.raises(ValueError, match="no known word"):
    tokens.encode("rad", vocabulary, 5, unknown="ignore")
  with pytest.raises(ValueError, match="6 words, and 5 are the most"):
    tokens.encode("a a a a a a", vocabulary, 5)


def test_each_corner_is_off_by_its_own_way():
  true = np.array([[[1.0, 2.0], [9.0, 2.0], [1.0, 9.0]]])
  found = true[:, [2, 0, 1]] + [[0.0, 4.0], [0.0, 0.0], [3.0, 0.0]]
  np.testing.assert_allclose(corner_errors(found, true), [[0, 3, 4]])
  mask = np.zeros((1, 12, 10), bool)
  mask[0, 2, 9] = True  # row 2, column 9: (x, y) = (9.0, 2.0)
  np.testing.assert_array_equal(inside(true, mask), [[False, True, False]])
  np.testing.assert_array_equal(inside(true + [[1.5, 0.0]], mask), [[False, True, False]])  # beyond the border counts as at it


def test_triangles_that_are_answered():
  """True answers get the verifier's ceiling; moved ones are off by the way they moved; exchanged colours are seen."""
  of = data.triangles(32, num_images=64, condition="edges", only={"texture": ("plain",), "size": ("large",)})
  metric = metrics.triangle_answers(n=16)
  targets = np.asarray(of.sample(jax.random.key(0), 16)["image"])
  perfect = metric.perfect(context_of(of))
  assert perfect["answer_triangle_ok_n16"] >= 0.95 and perfect["answer_vertex_px_n16"] == 0 == perfect["answer_swapped_n16"]
  assert perfect["answer_all_five_n16"] == perfect["answer_miou_n16"] == 1 and set(perfect) == set(metric.identity(of))
  other, _, _ = scored(metric, of, lambda given, number: np.roll(targets, 1, axis=0))
  beside = metrics.triangle_answers(n=16, floor="another")
  floors = {name.replace("_another", ""): value for name, value in beside.perfect(context_of(of)).items() if "another" in name}
  assert floors == other and set(beside.identity(of)) == {*other, *(name.replace("_n16", "_another_n16") for name in other)}
  moved, _, _ = scored(metric, of, lambda given, number: np.roll(targets, 1, axis=2))
  assert moved["answer_vertex_px_n16"] == pytest.approx(1, abs=0.1) and moved["answer_fill_n16"] > 0.9
  noise, _, _ = scored(metric, of, lambda given, number: np.clip(normal(0, *targets.shape), -1, 1))
  assert noise["answer_triangle_ok_n16"] == 0 and noise["answer_miou_n16"] < 0.6
  kept = metrics.triangle_answers(n=16, truth="input", floor="copy")
  warm, cool = (data.triangles(32, num_images=64, only={"texture": ("plain",), "size": ("large",), "fill": fill}) for fill in (("red",), ("blue",)))
  unpaired = data.unpaired(cool, source=warm)
  there, none, named = scored(kept, unpaired, lambda given, number: given[:, :, :, ::-1])  # red is blue where red and blue are exchanged
  assert there["kept_vertex_px_n16"] < 0.1 and there["kept_style_n16"] > 0.9 and there["kept_fill_n16"] < 0.1
  assert there["kept_vertex_px_copy_n16"] == 0 == there["kept_style_copy_n16"] and set(named) == set(there)
  assert set(none) == {name for name in named if "_copy_" in name}

  holed = data.hole(of, smallest=6, largest=16)
  batch = holed.sample(jax.random.key(0), 16)
  targets, cut = np.asarray(batch["image"]), np.asarray(batch["condition"])[..., 3] > 0
  corners = verify(targets).vertices
  hidden = np.array([[mask[int(y), int(x)] for x, y in three] for three, mask in zip(corners, cut, strict=True)])
  assert 4 < hidden.sum() < 24
  right, _, named = scored(metric, holed, lambda given, number: targets)
  assert right["answer_hidden_px_n16"] == right["answer_hidden_px_mean_n16"] == 0 and set(right) == set(named)
  moved, _, _ = scored(metric, holed, lambda given, number: np.where(hidden.any(1).reshape(-1, 1, 1, 1), np.roll(targets, 2, axis=2), targets))
  assert moved["answer_hidden_px_n16"] == pytest.approx(2, abs=0.1) and moved["answer_vertex_px_mean_n16"] < 2 * hidden.any(1).mean() + 0.2
  with pytest.raises(ValueError, match="triangle_answers reads answers about triangles, and small has none"):
    metric.identity(small())
