"""Scores of captioned triangles: the ranking by hand, true images, exchanged captions and exchanged colours."""

import jax
import numpy as np
import pytest

from gan_jax import data
from gan_jax.data.triangles import captions
from gan_jax.metrics import caption_scores, evaluate, identities, perfect
from gan_jax.metrics.caption_scores import others, r_precision

N = 192  # as tests/test_triangles_metrics.py has it, whose verifier is then compiled
ONLY = {"size": ("large", "medium"), "fill": ("red", "green"), "background": ("blue", "red", "green"), "texture": ("plain", "noisy")}
CAPTIONED = data.triangles(16, num_images=400, only=ONLY, condition="caption")
METRIC = {"captions": caption_scores(n=N, among=20)}


def scored(answer) -> dict[str, float]:
  samples = np.zeros((1, 16, 16, 3), "float32")
  values, _ = evaluate(samples, CAPTIONED, distances=False, metrics=METRIC, answer=answer)
  return {name.removeprefix("caption_").removesuffix(f"_n{N}"): value for name, value in values.items()}


def test_ranking_by_hand():
  """Four captions of two attributes. Pictures: right and alone; right with a twin; half right, where another fits as well; wrong."""
  said = np.array([[0, 0], [1, 1], [1, 1], [2, 2]])
  everyone = np.array([[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]])
  found = np.array([[0, 0], [1, 1], [1, 2], [0, 0]])
  each = [1, 1 / 2, 1 / 3, 0]  # the third has an attribute of the second, of its own and of the fourth caption
  for picture, own in enumerate(everyone):
    assert r_precision(found[[picture]], said[[picture, *own]], np.array([[1, 2, 3]])) == pytest.approx(each[picture])
  assert r_precision(found, said, everyone) == pytest.approx(np.mean(each))


def test_others_say_something_else():
  said = np.arange(50)[:, None] % np.array([5, 2])  # ten captions, five times each
  rivals = others(said, 20, 0)
  assert (said[rivals] != said[:, None]).any(axis=2).all() and all(len(set(row.tolist())) == 20 for row in rivals)
  assert len(np.unique(rivals)) == 50
  assert (others(np.array([[0], [0], [1]]), 4, 0)[:2] == 2).all()  # again, where there are fewer
  with pytest.raises(ValueError, match="all captions say the same"):
    others(np.zeros((3, 5)), 2, 0)


def test_true_images_exchanged_captions_and_the_deaf():
  batch = CAPTIONED.sample(jax.random.key(0), N)  # those that the metric asks for
  images, said = np.asarray(batch["image"]), captions.read(np.asarray(batch["condition"]))
  best = perfect(CAPTIONED, N, distances=False, metrics=METRIC)
  true = scored(lambda tokens, draw: images)
  assert min(true[name] for name in ("triangle_ok", "type", "size", "fill", "background", "texture")) > 0.99
  assert true["all_five"] > 0.99 and true["valid_all_five"] > 0.98 and true["swapped"] < 0.01
  assert all(best[f"caption_{name}_n{N}"] == value for name, value in true.items() if name != "finite")
  assert true["r_precision"] > 0.99 and true["r_precision_colors"] > 0.99

  deaf = scored(lambda tokens, draw: np.roll(images, 1, axis=0))
  beside = perfect(CAPTIONED, N, distances=False, metrics={"captions": caption_scores(n=N, among=20, floor="another")})
  assert {name: beside[f"caption_{name}_another_n{N}"] for name in deaf if name != "finite"} == {k: v for k, v in deaf.items() if k != "finite"}
  assert {name: value for name, value in beside.items() if "another" not in name} == best
  assert deaf["triangle_ok"] == true["triangle_ok"] and deaf["fill"] == pytest.approx(np.mean(said[:, 2] == np.roll(said[:, 2], 1)), abs=0.02)
  assert deaf["all_five"] < 0.1 and deaf["r_precision"] < 0.15 and deaf["r_precision_colors"] < 0.4  # four pairs of colours

  # red on green for green on red: the place of a picture with the two colours exchanged
  both = np.isin(said[:, 2], (0, 2)) & np.isin(said[:, 3], (0, 2))
  key = lambda row: (*row[:2], row[4])
  pool = {(key(row), row[2], row[3]): image for row, image in zip(said, images, strict=True)}
  exchanged = np.stack([pool.get((key(row), row[3], row[2]), image) if yes else image for row, image, yes in zip(said, images, both, strict=True)])
  moved = np.array([bool(yes and (key(row), row[3], row[2]) in pool) for row, yes in zip(said, both, strict=True)])
  assert moved.sum() > 20 and scored(lambda tokens, draw: exchanged)["swapped"] == pytest.approx(moved.mean(), abs=0.02)


def test_refused_and_named():
  with pytest.raises(ValueError, match="ranks among 100 captions and has n = 50"):
    caption_scores(n=50)
  for floor in ("copy", "other"):
    with pytest.raises(ValueError, match=f"caption_scores: floor '{floor}'"):
      caption_scores(floor=floor)
  with pytest.raises(ValueError, match='triangles has none; set condition = "caption"'):
    identities(METRIC, data.triangles(16, num_images=400), N)
  named = identities({"held": caption_scores(n=N, label="held_out", reference=CAPTIONED)}, CAPTIONED, N)
  assert f"held_out_r_precision_ref_n{N}" in named and named[f"held_out_all_five_ref_n{N}"]["among"] == 100
