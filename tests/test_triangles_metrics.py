"""Scores of generated triangles: true ones, copies, empty backgrounds, one image for ever, and the wrong class."""

import doctest
import functools

import jax
import numpy as np
import pytest

from gan_jax import data
from gan_jax.data.base import Data
from gan_jax.data.triangles.dataset import stream
from gan_jax.metrics import evaluate, identities, perfect, triangle_scores

N = 192
ONLY = {"size": ("large", "medium"), "fill": ("red", "green"), "background": ("blue",), "texture": ("plain", "noisy")}


@functools.cache
def small(condition: str | None = None) -> Data:
  return data.triangles(16, num_images=400, only=ONLY, modes=("type", "size", "fill"), condition=condition)


def scored(samples: np.ndarray, of: Data, conditions: np.ndarray | None = None) -> dict[str, float]:
  values, _ = evaluate(samples, of, distances=False, metrics={"triangles": triangle_scores(n=len(samples))}, conditions=conditions)
  return {name.removesuffix(f"_n{len(samples)}"): value for name, value in values.items()}


def test_documentation_examples():
  import sys

  assert doctest.testmod(sys.modules[triangle_scores.__module__]).failed == 0


def test_the_row_of_perfect_values_is_that_of_new_true_images():
  best = perfect(small("class"), N, distances=False, metrics={"triangles": triangle_scores(n=N)})
  best = {name.removesuffix(f"_n{N}"): value for name, value in best.items()}
  assert best["triangle_ok"] > 0.99 and best["background_ok"] > 0.99 and abs(best["subject_gap"]) < 0.01
  assert best["subject_modes"] == 16 and best["background_modes"] == 2 and best["subject_tvd"] < 0.2 and best["background_tvd"] < 0.1
  assert best["nearest_train"] == pytest.approx(1, abs=0.25) and best["class_right"] > 0.99 and best["class_right_least"] > 0.95
  assert best["triangle_ok_noise"] == best["background_ok_noise"] == 0 and best["modes_t1"] == pytest.approx(16, abs=0.01)
  fresh = scored(stream(small(), N, 5)["image"], small())
  for name in ("triangle_ok", "both_ok", "subject_modes", "background_modes", "subject_tvd", "nearest_train"):
    assert fresh[name] == pytest.approx(best[name], abs=0.25), name
  assert fresh["high_quality"] == fresh["triangle_ok"] and "class_right" not in fresh


def test_copies_of_training_images_are_valid_and_not_new():
  copies = np.asarray(small().sample(jax.random.key(0), N)["image"])
  values = scored(copies, small())
  assert values["triangle_ok"] > 0.99 and values["nearest_train"] < 0.05


def test_one_image_for_ever_and_backgrounds_alone():
  one = stream(small(), N, 1)["image"][:1].repeat(N, axis=0)
  values = scored(one, small())
  assert values["triangle_ok"] == 1 and values["subject_modes"] == values["background_modes"] == values["modes_t1"] == 1
  assert values["subject_tvd"] == pytest.approx(15 / 16) and values["background_tvd"] == pytest.approx(1 / 2)
  empty = np.broadcast_to(one[:, :1, :1], one.shape)
  values = scored(empty, small())
  assert values["triangle_ok"] == values["both_ok"] == values["subject_modes"] == values["nearest_train"] == 0
  assert values["background_ok"] == values["subject_tvd"] == 1 and values["subject_gap"] == -1


def test_classes_are_those_that_were_asked_for():
  drawn = small("class").sample(jax.random.key(1), N)
  images, asked = np.array(drawn["image"]), np.asarray(drawn["condition"])
  values = scored(images, small("class"), asked)
  assert values["class_right"] > 0.99 and values["class_right_ok"] > 0.99 and min(values[f"class_ok_{k}"] for k in range(4)) > 0.95
  images[asked == 2] = 0  # nothing is drawn of the third class, and the first is called the second
  values = scored(images, small("class"), np.where(asked == 0, 1, asked))
  true = np.bincount(asked, minlength=4)
  assert values["class_ok_2"] == values["class_right_2"] == values["class_right_0"] == values["class_right_least"] == 0
  assert values["class_right_1"] == pytest.approx(true[1] / (true[0] + true[1]), abs=0.02) and values["class_right_3"] > 0.95
  assert values["class_right_ok"] == pytest.approx((true[1] + true[3]) / (N - true[2]), abs=0.02)
  assert values["class_right"] == pytest.approx((true[1] + true[3]) / N, abs=0.02)


def test_other_data_and_too_few_samples_are_refused():
  with pytest.raises(ValueError, match=r"triangle_scores reads data.triangles with modes.*ring has others, or none"):
    identities({"triangles": triangle_scores()}, data.ring(), 5000)
  with pytest.raises(ValueError, match="triangles has others, or none"):
    identities({"triangles": triangle_scores()}, data.triangles(16), 5000)
  with pytest.raises(ValueError, match="triangles needs 2000 samples, the evaluation has 500"):
    identities({"triangles": triangle_scores()}, small(), 500)
  with pytest.raises(ValueError, match='no attribute "colour"'):
    data.triangles(16, modes=("colour",))
