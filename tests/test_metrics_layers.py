"""Scores of layers: the renderer's own, a mask that is everything, one that is nothing, and a generator without layers.

Mutations that made a test here fail: the mask alpha < 1/2; the floor against the picture's own triangle; residue read in the whole picture.
"""

import doctest
import functools
import sys

import jax
import numpy as np
import pytest

from gan_jax import data
from gan_jax.metrics import evaluate, identities, perfect, triangle_layers

N = 192
ONLY = {"size": ("large",), "fill": ("red",), "background": ("blue", "green"), "texture": ("plain",)}


@functools.cache
def drawn(condition: str | None = None) -> np.ndarray:
  of = data.triangles(16, "stream", condition=condition, only=ONLY, modes=("type",))
  batch = of.sample(jax.random.key(5), N)
  return np.asarray(batch["condition" if condition else "image"])


def scored(layers) -> dict[str, float]:
  of = data.triangles(16, "stream", only=ONLY, modes=("type",))
  settings = {"latent": lambda key, n: np.zeros((n, 8)), "sown": None if layers is None else lambda name, z: layers}
  values, _ = evaluate(drawn()[:2], of, distances=False, metrics={"layers": triangle_layers(n=N)}, **settings)
  return {name.removesuffix(f"_n{N}"): value for name, value in values.items() if name.endswith(f"_n{N}")}


def true_layers() -> dict[str, np.ndarray]:
  alpha, below = (drawn("mask") + 1) / 2, drawn("background")
  front = np.where(alpha > 0, (drawn() - (1 - alpha) * below) / np.maximum(alpha, 1e-3), 0)
  return {"background": below, "foreground": front, "alpha": alpha}


def test_the_renderers_layers_are_perfect():
  found = scored(true_layers())
  assert found["alpha_iou"] > 0.97 and found["alpha_iou_matte"] > 0.97
  assert found["residue"] == 0 and found["background_alone_ok"] > 0.99
  assert found["alpha_iou_other"] < 0.6 and found["alpha_area"] == pytest.approx(found["alpha_iou_whole"], abs=0.01)
  of = data.triangles(16, only=ONLY, modes=("type",), num_images=300)
  best = perfect(of, 1000, distances=False, metrics={"layers": triangle_layers(n=N)})
  assert best[f"alpha_iou_n{N}"] > 0.97 and best[f"residue_n{N}"] == 0 and best[f"alpha_iou_other_n{N}"] < 0.6


def test_the_two_trivial_masks():
  layers = true_layers()
  everything = scored({**layers, "alpha": np.ones_like(layers["alpha"]), "foreground": drawn()})
  assert everything["alpha_iou"] == everything["alpha_iou_whole"] < 0.3 and everything["alpha_area"] == everything["alpha_decided"] == 1
  nothing = scored({**layers, "alpha": np.zeros_like(layers["alpha"]), "background": drawn()})
  assert nothing["alpha_iou"] == nothing["alpha_area"] == 0 and nothing["residue"] > 0.98


def test_a_mask_the_wrong_way_round_and_no_triangle():
  layers = true_layers()
  turned = {"alpha": 1 - layers["alpha"], "background": layers["foreground"], "foreground": layers["background"]}
  found = scored(turned)
  assert found["alpha_iou"] < 0.1 and found["alpha_iou_turned"] > 0.95
  empty = scored({**layers, "alpha": np.zeros_like(layers["alpha"])})
  assert empty["alpha_iou"] == empty["alpha_iou_other"] == empty["alpha_iou_whole"] == 0


def test_nothing_is_said_of_a_generator_without_layers():
  assert scored(None) == {}
  with pytest.raises(ValueError, match="with modes, such as"):
    identities({"layers": triangle_layers(n=10)}, data.sklearn_digits(), 10)
  assert doctest.testmod(sys.modules[triangle_layers.__module__]).failed == 0
