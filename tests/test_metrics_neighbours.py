"""Precision, recall, density, coverage: by hand on a line, against prdc and torch-fidelity, and which way they turn for a collapsed generator.

Mutations that made a test here fail: self counted as a neighbour, in the first block or in later ones; radii of the other set; < for <= in
precision and <= for < in density; rounding taken for distance; the mean over finite samples alone.
"""

import numpy as np
import oracles
import pytest

from gan_jax.data import ring
from gan_jax.data.base import Data
from gan_jax.metrics import density_coverage, evaluate, perfect, pixels, precision_recall
from gan_jax.metrics import neighbours as module
from gan_jax.metrics.neighbours import inside, squared_distances, squared_radii


def line(*places: float) -> Data:
  """A data set whose fixed real sample is these points, in order."""
  points = np.array(places)[:, None]
  return Data("line", (1,), lambda table, key, n: {"image": points[:n]}, None)


def score(data: Data, samples: np.ndarray, *, k: int, n: int) -> dict[str, float]:
  metrics = {"p": precision_recall(pixels(), k=k, n=n), "d": density_coverage(pixels(), k=k, n=n)}
  values, _ = evaluate(samples, data, distances=False, metrics=metrics)
  return {name.partition("_")[0]: value for name, value in values.items() if "_k" in name}


def test_by_hand_on_a_line():
  # Real 0 1 3 7: first-neighbour radii 1 1 2 4. Fake 2 2.5 11 12: radii .5 .5 1 1.
  values = score(line(0, 1, 3, 7), np.array([[2.0], [2.5], [11.0], [12.0]]), k=1, n=4)
  # 2 is on the rim of 1's ball and inside 3's; 2.5 is inside 3's; 11 is on the rim of 7's; 12 is in none.
  assert values["precision"] == 3 / 4
  # Only 3 lies within .5 of a fake (2.5), on the rim.
  assert values["recall"] == 1 / 4
  # Strictly inside: 2 and 2.5 in the ball of 3; balls of 0, 1, 7 hold none.
  assert values["density"] == 2 / 4 and values["coverage"] == 1 / 4


def test_prdc_agrees():
  prdc = pytest.importorskip("prdc")
  rng = np.random.default_rng(0)
  real, fake = rng.standard_normal((260, 4)), 0.7 * rng.standard_normal((260, 4)) + 0.5
  wanted = prdc.compute_prdc(real_features=real, fake_features=fake, nearest_k=5)
  data = Data("cloud", (4,), lambda table, key, n: {"image": real[:n]}, None)
  # Features are kept in float32, the oracle works in float64: a pair at the rim may change sides.
  assert score(data, fake, k=5, n=260) == pytest.approx(wanted, abs=1.01 / 260)


def test_torch_fidelitys_precision_and_recall_agree():
  oracles.torch_fidelity()
  import torch
  from torch_fidelity.metric_prc import prc_features_to_metric

  rng = np.random.default_rng(1)
  real, fake = (rng.standard_normal((200, 3)).astype(np.float32) * s for s in (1.0, 0.5))
  wanted = prc_features_to_metric(torch.tensor(fake), torch.tensor(real), prc_neighborhood=3, prc_batch_size=50, save_cpu_ram=True, verbose=False)
  data = Data("cloud", (3,), lambda table, key, n: {"image": real[:n]}, None)
  got = score(data, fake, k=3, n=200)
  assert (got["precision"], got["recall"]) == pytest.approx((wanted["precision"], wanted["recall"]), abs=1.01 / 200)


def test_blocks_make_no_difference(monkeypatch):
  rng = np.random.default_rng(2)
  first, second = rng.standard_normal((70, 3)), rng.standard_normal((50, 3))
  whole = squared_radii(first, 4), inside(first, second, squared_radii(second, 2))
  monkeypatch.setattr(module, "BLOCK", 9)
  np.testing.assert_allclose(squared_radii(first, 4), whole[0])
  assert (inside(first, second, squared_radii(second, 2)) == whole[1]).all()
  assert [start for start, _ in squared_distances(first, second)] == list(range(0, 70, 9))


def test_a_copy_of_a_point_is_at_distance_zero_however_far_from_the_origin():
  rows = np.random.default_rng(3).standard_normal((40, 5)) + 1e4
  assert (squared_radii(np.concatenate([rows, rows]), 1) == 0).all() and (squared_radii(rows, 1) > 0.1).all()


def test_a_collapsed_generator_has_precision_and_no_recall():
  rng = np.random.default_rng(0)
  data = ring()
  collapsed = np.array([1.0, 0.0]) + 0.001 * rng.standard_normal((600, 2))  # inside one of eight modes
  ideal = perfect(data, 600, metrics={"p": precision_recall(pixels(), n=600), "d": density_coverage(pixels(), n=600)})
  name = lambda kind: f"{kind}_k5_pixels_n600"
  values, _ = evaluate(collapsed, data, metrics={"p": precision_recall(pixels(), n=600), "d": density_coverage(pixels(), n=600)})
  assert values[name("precision")] > 0.95 and values[name("recall")] < 0.05
  assert values[name("density")] > 1.5 and values[name("coverage")] < 0.15
  assert ideal[name("precision")] > 0.9 and ideal[name("recall")] > 0.9
  assert ideal[name("density")] == pytest.approx(1, abs=0.05) and ideal[name("coverage")] == pytest.approx(1 - 2**-5, abs=0.02)


def test_noise_has_recall_by_its_huge_balls_but_no_coverage():
  values = score(ring(), 3 * np.random.default_rng(0).standard_normal((600, 2)), k=5, n=600)
  assert values["precision"] < 0.1 and values["recall"] > 0.3 and values["coverage"] < 0.15


def test_what_is_not_finite_is_in_no_ball_and_has_none():
  data, samples = line(0, 1, 3, 7), np.array([[2.0], [2.5], [np.nan], [np.inf]])
  assert score(data, samples, k=1, n=4) == {"precision": 2 / 4, "recall": 1 / 4, "density": 2 / 4, "coverage": 1 / 4}
  nothing = score(data, np.full((4, 1), np.nan), k=1, n=4)
  assert nothing == {"precision": 0, "recall": 0, "density": 0, "coverage": 0}


def test_a_ball_needs_more_samples_than_neighbours():
  with pytest.raises(ValueError, match="a ball to the 5th neighbour needs more than 5 samples, got n = 5"):
    precision_recall(pixels(), n=5)
  with pytest.raises(ValueError, match="k must be a whole number"):
    density_coverage(pixels(), k=0)
