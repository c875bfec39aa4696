"""Metrics by name: on real handwriting a collapsed generator scores as collapsed by every one of them; identities; features; the real sample.

Mutations that made a test here fail: real examples drawn twice; features of the last samples kept for the next; no nonlinearity; features that
overflow taken for finite; a last batch of its own size.
"""

import functools

import jax
import numpy as np
import pytest

from gan_jax import metrics
from gan_jax.data import ring
from gan_jax.data.base import Rows, from_rows, unconditional, uniform
from gan_jax.data.sources import memory
from gan_jax.metrics import evaluate, identities, perfect, pixels, random_conv
from gan_jax.metrics.base import Features, context_of, distinct_sample, real_features
from gan_jax.metrics.features import in_batches

N = 400


@functools.cache
def digits():
  from sklearn.datasets import load_digits

  source = memory(np.round(load_digits().images * 255 / 16).astype(np.uint8))
  return from_rows("digits", (8, 8, 1), Rows(source, uniform(len(source)), unconditional))


@functools.cache
def named():
  features = random_conv(features=(16, 16))
  return {
    "frechet": metrics.frechet(features, n=N),
    "kernel_distance": metrics.kernel_distance(features, n=N, subset=200, subsets=5),
    "precision_recall": metrics.precision_recall(features, n=N),
    "density_coverage": metrics.density_coverage(features, n=N),
    "vendi": metrics.vendi(pixels(), n=N),
    "ndb": metrics.ndb(pixels(), bins=20, n=N),
    "birthday": metrics.birthday(pixels(), n=N),
    "ms_ssim": metrics.ms_ssim(scales=2, n=N),
  }


@functools.cache
def ideal():
  return perfect(digits(), N, metrics=named())


def short(values):
  return {name.split("_random_conv")[0].split("_pixels")[0].split("_k")[0].split("_s2")[0].split("_q")[0]: value for name, value in values.items()}


def test_a_collapsed_generator_scores_as_collapsed():
  one = np.asarray(distinct_sample(digits(), 1, 7))
  collapsed = np.clip(one + 0.01 * np.random.default_rng(0).standard_normal((N, 8, 8, 1)), -1, 1)
  got, best = (short(values) for values in (evaluate(collapsed, digits(), metrics=named())[0], ideal()))
  assert got["fd"] > 10 * best["fd"] and got["kd"] > 10 * abs(best["kd"])
  assert got["precision"] > 0.9 and got["recall"] < 0.02 < 0.9 < best["recall"]
  assert got["coverage"] < 0.1 < 0.8 < best["coverage"]
  assert got["vendi"] < 1.1 < 2 < best["vendi"]
  assert got["ndb"] > 0.7 and best["ndb"] < 0.25 and got["ndb_js"] > 10 * best["ndb_js"]
  assert got["birthday_batch"] == 2 and best["birthday_batch"] > 20
  assert got["ms_ssim"] > 0.9 > best["ms_ssim"] + 0.3


def test_real_samples_score_the_perfect_row():
  fresh = np.asarray(digits().sample(jax.random.key(123), N)["image"])
  got, best = (short(values) for values in (evaluate(fresh, digits(), metrics=named())[0], ideal()))
  assert got.keys() == best.keys()
  for name in ("fd", "precision", "recall", "density", "coverage", "vendi", "ms_ssim"):
    assert got[name] == pytest.approx(best[name], rel=0.15), name
  assert abs(got["kd"] - best["kd"]) < 0.01 and abs(got["ndb"] - best["ndb"]) < 0.2


def test_a_quarter_of_nan_is_seen_and_all_of_it_survived():
  samples = np.array(digits().sample(jax.random.key(5), N)["image"])
  samples[::4, 3, 3] = np.nan
  got = short(evaluate(samples, digits(), metrics=named())[0])
  assert got["fd"] == got["kd"] == np.inf and got["precision"] < 0.76 and got["birthday_batch"] < 8
  samples[:] = np.inf
  got = short(evaluate(samples, digits(), metrics=named())[0])
  assert got["precision"] == got["recall"] == got["coverage"] == 0 and got["vendi"] == 1 and got["ms_ssim"] == pytest.approx(1)


def test_a_sample_whose_features_overflow_is_not_finite():
  squares = lambda data: Features(lambda images: np.exp(images.reshape(len(images), -1)), "exp", "exp")
  samples = np.array(digits().sample(jax.random.key(5), N)["image"])
  samples[7, 0, 0] = 1e4
  with np.errstate(over="ignore"):
    values, _ = evaluate(samples, digits(), metrics={"p": metrics.precision_recall(squares, n=N), "f": metrics.frechet(squares, n=N)})
  assert values[f"fd_exp_n{N}"] == np.inf and 0.5 < values[f"precision_k5_exp_n{N}"] < 1


def test_batches_are_all_of_one_size():
  seen = []

  def record(images):
    seen.append(images.shape)
    return images

  np.testing.assert_array_equal(in_batches(record, np.arange(14.0).reshape(7, 2), size=3), np.arange(14.0).reshape(7, 2))
  assert seen == [(3, 2)] * 3


def test_one_evaluation_gives_the_same_numbers_again():
  fresh = np.asarray(digits().sample(jax.random.key(1), N)["image"])
  metric = {name: named()[name] for name in ("kernel_distance", "birthday", "ndb")}
  assert evaluate(fresh, digits(), metrics=metric)[0] == evaluate(fresh, digits(), metrics=metric)[0]


def test_identities_name_every_value_and_what_it_hangs_on():
  found = identities(named(), digits(), 1000, names=["modes_t1"])
  assert set(found) == {name for name in ideal() if name not in ("finite", "pixel_diversity")} | {"modes_t1"}
  record = found[f"fd_random_conv_n{N}"]
  assert record["n_real"] == record["n_fake"] == N and record["extractor"] == "random_conv" and record["real"] == "digits"
  assert record["real_source"] == digits().rows.source.identity and record["split"] == "training law" and record["real_seed"] == 0
  assert found["modes_t1"]["n_fake"] == 1000
  kd = found[f"kd_random_conv_n{N}"]
  assert (kd["subset"], kd["subsets"], kd["seed"]) == (200, 5, 0)
  held_out = identities({"f": metrics.frechet(pixels(), n=N, reference=digits()._replace(name="test"))}, digits(), N)[f"fd_pixels_ref_n{N}"]
  assert held_out["split"] == "reference" and held_out["real"] == "test"


def test_what_cannot_be_scored_is_one_clear_line_before_training():
  with pytest.raises(ValueError, match=r"frechet needs 400 samples, the evaluation has 399; set evaluation.num_samples or n"):
    identities(named(), digits(), 399)
  twice = {"one": metrics.vendi(pixels(), n=9), "two": metrics.vendi(pixels(), n=9)}
  with pytest.raises(ValueError, match="one and two both make vendi_q1_pixels_n9; keep one of them"):
    identities(twice, digits(), 9)
  with pytest.raises(ValueError, match="digits has 1797 distinct examples; set n to at most that"):
    identities({"v": metrics.vendi(pixels(), n=2000)}, digits(), 10_000)
  with pytest.raises(ValueError, match="frechet needs more samples than features: random_conv has 256, n = 256"):
    identities({"f": metrics.frechet(random_conv(features=(16, 64)), n=256)}, digits(), 10_000)
  with pytest.raises(ValueError, match=r"fd_pixels_ref_n90: the reference ring is of shape \(2,\), the data of \(8, 8, 1\)"):
    identities({"f": metrics.frechet(pixels(), n=90, reference=ring())}, digits(), 10_000)
  with pytest.raises(ValueError, match=r"random_conv needs images, and ring is of shape \(2,\); use pixels"):
    identities({"f": metrics.frechet(random_conv())}, ring(), 10_000)


def test_another_reference_is_another_sample():
  moved = digits()._replace(name="moved", draw=lambda table, key, n: {"image": digits().draw(table, key, n)["image"] * 0.5}, rows=None)
  samples = np.asarray(digits().sample(jax.random.key(3), N)["image"])
  both = {"train": metrics.frechet(pixels(), n=N), "moved": metrics.frechet(pixels(), n=N, reference=moved)}
  values, _ = evaluate(samples, digits(), metrics=both)
  assert values[f"fd_pixels_ref_n{N}"] > 1.5 * values[f"fd_pixels_n{N}"] and set(identities(both, digits(), N)) < set(values)


def test_no_real_example_is_compared_with_itself():
  sample = distinct_sample(digits(), 1000, seed=0)  # of 1,797: with replacement a quarter would come twice
  assert len(np.unique(sample.reshape(1000, -1), axis=0)) == 1000
  with pytest.raises(ValueError, match=r"digits has \d+ distinct examples, fewer than n = 2000; set n to at most \d+"):
    distinct_sample(digits(), 2000, seed=0)
  context = context_of(digits())
  np.testing.assert_array_equal(context.real(10), context.real(300)[:10])
  assert real_features(context, pixels()(digits()), 20).shape == (20, 64)


def test_random_features_are_fixed_by_their_seed_and_the_last_batch_is_not_special():
  data, images = digits(), distinct_sample(digits(), 6, 0)
  one, other = (random_conv(seed, features=(16, 16))(data) for seed in (0, 1))
  assert one.extract(images).shape == (6, one.size)
  assert one.identity != other.identity and one.identity == random_conv(0, features=(16, 16))(data).identity
  # Written down once: another machine, another process, the same features.
  assert one.identity[:16] == "4e7b556732db8d3f"
  filled = np.concatenate([images, np.zeros((500, 8, 8, 1), np.float32)])
  np.testing.assert_array_equal(one.extract(filled)[:6], one.extract(images))


def test_random_convolution_is_the_convolution_that_it_says():
  from gan_jax.metrics.features import SLOPE

  image = np.random.default_rng(0).standard_normal((1, 4, 4, 1)).astype(np.float32)
  data = digits()._replace(shape=(4, 4, 1))
  kernels = np.random.default_rng(0).standard_normal((3, 3, 1, 2)) * np.sqrt(2 / 9)
  # Stride 2 with TensorFlow's "SAME": windows start at 0 and 2, one row of zeros at the end.
  padded = np.pad(image[0, :, :, 0], ((0, 1), (0, 1)))
  windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3))[::2, ::2]
  wanted = np.einsum("ijhw,hwc->ijc", windows, kernels[:, :, 0])
  wanted = np.where(wanted > 0, wanted, SLOPE * wanted).reshape(-1)  # 2 x 2 cells: nothing left to average
  np.testing.assert_allclose(random_conv(0, features=(2,))(data).extract(image)[0], wanted, rtol=1e-5, atol=1e-6)
