"""Grids, films and nearest training images: pixels where they belong, and distances worked by hand.

Mutations tried by hand: rows and columns exchanged in `tile`, frames in the order of the folder, argmax for argmin in `nearest`, neighbours
drawn with repetition.
"""

import numpy as np
import pytest
from PIL import Image

from gan_jax import data
from gan_jax.data import sources
from gan_jax.data.base import Rows, from_rows, unconditional
from gan_jax.lab import figures, pictures, sample_figures, scoring
from gan_jax.lab.errors import StorageError

rng = np.random.default_rng(0)


def shades(*values: float) -> np.ndarray:
  """Images of one shade each, [N, 2, 2, 1]."""
  return np.ones((len(values), 2, 2, 1), np.float32) * np.reshape(values, (-1, 1, 1, 1)).astype(np.float32)


def test_tile():
  canvas = pictures.tile(shades(-1, 0, 1, np.nan, 5), columns=3, scale=2, gap=1)
  assert canvas.shape == (2 * 5 + 1, 3 * 5 + 1, 3)
  at = lambda row, column: tuple(canvas[1 + 5 * row, 1 + 5 * column])
  assert [at(0, 0), at(0, 1), at(0, 2)] == [(0, 0, 0), (128, 128, 128), (255, 255, 255)]
  assert at(1, 0) == (255, 0, 255) and at(1, 1) == (255, 255, 255) and at(1, 2) == (255, 255, 255)
  assert (canvas[[0, 5, 10]] == 255).all() and (canvas[:, [0, 5, 10, 15]] == 255).all()


def test_by_class():
  found = pictures.by_class(shades(0.1, 0.2, 0.3, 0.4), np.array([2, 0, 2, 2]), 3, 2)[:, 0, 0, 0]
  assert np.allclose(found, [0.2, 1, 1, 1, 0.1, 0.3])


def test_rows_have_names(tmp_path):
  pictures.grid(shades(0, 0, 0, 0), tmp_path / "plain.png", columns=2)
  pictures.grid(shades(0, 0, 0, 0), tmp_path / "named.png", columns=2, rows=("Ankle boot", "Bag"))
  plain, named = (np.asarray(Image.open(tmp_path / f"{name}.png")) for name in ("plain", "named"))
  margin = named.shape[1] - plain.shape[1]
  assert margin > 40 and np.array_equal(named[:, margin:], plain)
  ink = (named[:, :margin] < 128).any(axis=(1, 2))
  assert ink[: len(ink) // 2].any() and ink[len(ink) // 2 :].any()


def test_film_keeps_grey_pixels_and_the_order(tmp_path):
  frames = [np.repeat(rng.integers(0, 256, (9, 12, 1), np.uint8), 3, axis=2) for _ in range(5)]
  pictures.film(frames, tmp_path / "film.gif")
  film = Image.open(tmp_path / "film.gif")
  assert film.n_frames == 5 and film.info["loop"] == 0
  for number, frame in enumerate(frames):
    film.seek(number)
    assert np.array_equal(np.asarray(film.convert("RGB")), frame)
  pictures.film(frames, tmp_path / "again.gif")
  assert (tmp_path / "again.gif").read_bytes() == (tmp_path / "film.gif").read_bytes()


def test_film_of_a_run(tmp_path):
  """At most 60 frames, in the order of rounds, the first and the last among them."""
  pictures.film_of_run(tmp_path)
  assert not list(tmp_path.iterdir())
  steps = [500 * number for number in range(1, 80)] + [12_000_000]
  for number, step in enumerate(steps):
    scoring.look(tmp_path.parent / tmp_path.name / "arm", step, np.full((2, 40, 8, 8, 1), number / 40 - 1), data.sklearn_digits())
  folder = tmp_path / "arm/samples"
  first = Image.open(folder / "round_0000500.png")
  assert first.size == (16 * 33 + 1, 4 * 33 + 1)  # 16 images a row, 2 rows a seed
  pictures.film_of_run(folder)
  film = Image.open(folder / "training.gif")
  assert film.n_frames == 60
  seen = []
  for number in range(film.n_frames):
    film.seek(number)
    seen.append(film.convert("RGB").getpixel((5, pictures.CAPTION + 5))[0])
  assert seen == sorted(seen) and seen[0] == 0 and seen[-1] == 252  # 0.975
  (folder / "round_0000500.png").write_bytes(b"no picture")
  with pytest.raises(StorageError, match="cannot read a picture"):
    pictures.film_of_run(folder)


def test_look_is_for_images_and_never_stops_training(tmp_path):
  scoring.look(tmp_path / "points", 5, np.zeros((1, 9, 2)), data.ring())
  assert not list(tmp_path.iterdir())
  (tmp_path / "arm").write_text("a file where a folder should be")
  with pytest.warns(UserWarning, match="training goes on"):
    scoring.look(tmp_path / "arm", 5, np.zeros((1, 9, 8, 8, 1)), data.sklearn_digits())


def test_nearest():
  training = shades(-1, -0.5, 0.25, 0.5)
  near = scoring.nearest(shades(0.5, -0.8, np.nan), training, 2)
  assert np.allclose(near.images[:, :, 0, 0, 0], [[0.5, 0.25], [-1, -0.5], [0.25, -0.5]])
  assert np.allclose(near.distances, [[0, 0.5], [0.4, 0.6], [0.5, 1.0]], atol=1e-6)  # of 4 pixels: 2 x the difference


def test_nearest_finds_copies_among_many():
  training = rng.normal(size=(2000, 16, 16, 3)).clip(-1, 1).astype(np.float32)
  near = scoring.nearest(training[[7, 1999]] + np.float32(1e-4), training, 3)
  assert np.array_equal(near.images[:, 0], training[[7, 1999]]) and (near.distances[:, 0] < 0.01).all() and (near.distances[:, 1] > 5).all()


def test_training_images_are_the_set_or_a_part_of_its_law(monkeypatch):
  digits = data.sklearn_digits()
  found = scoring.training_images(digits)
  assert found.shape == (1797, 8, 8, 1)
  pixels = np.arange(60, dtype=np.uint8).reshape(60, 1, 1, 1)
  even = lambda key, n: 2 * data.base.uniform(30)(key, n)  # the law leaves out odd ones
  rows = Rows(sources.memory(pixels), even, unconditional)
  left = from_rows("even", (1, 1, 1), rows)
  assert sorted(pictures.as_bytes(scoring.training_images(left)).ravel()) == list(range(0, 60, 2))
  monkeypatch.setattr(scoring, "MOST_TRAINING", 10)
  part = pictures.as_bytes(scoring.training_images(left)).ravel()
  assert len(set(part)) == 10 and not (part % 2).any()


def test_figure_of_neighbours(tmp_path):
  """Another picture where an arm has none, the same bytes each time."""
  view = lambda name, *rest: figures.ArmView(name, "", False, {}, [3], np.zeros((1, 8, 8, 8, 1)), None, *rest)
  near = rng.integers(0, 256, (1, 8, 6, 8, 8, 1), np.uint8), np.full((1, 8, 5), 2.5), 3.0
  for name, arms in {"one": [view("a", *near)], "again": [view("a", *near)], "two": [view("a", *near), view("b")]}.items():
    figures.save(sample_figures.nearest(arms, {"a": 3, "b": 3}), tmp_path / f"{name}.png")
  assert (tmp_path / "one.png").read_bytes() == (tmp_path / "again.png").read_bytes() != (tmp_path / "two.png").read_bytes()
