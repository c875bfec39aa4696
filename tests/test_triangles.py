"""Triangles: exact coverage against a clipped polygon, the law of shapes and attributes, what is true of a picture, splits and stream, captions."""

import doctest
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import data
from gan_jax.data.triangles import attributes, captions, coverage, dataset, parameters, renderer
from gan_jax.data.triangles.attributes import ATTRIBUTES, NAMES, combinations

N = 512


@functools.cache
def drawn(size: int = 32):
  make = jax.jit(jax.vmap(lambda key: (record := parameters(key, combinations()), renderer.render(record, size))))
  return jax.tree.map(np.asarray, make(jax.random.split(jax.random.key(0), N)))


def clipped_area(vertices: np.ndarray, column: int, row: int) -> float:
  """Sutherland-Hodgman: the polygon inside one pixel, and its area by the shoelace formula."""
  polygon = [tuple(v) for v in vertices]
  for axis, bound, sign in ((0, column, 1), (0, column + 1, -1), (1, row, 1), (1, row + 1, -1)):
    kept = []
    for p, q in zip(polygon, polygon[1:] + polygon[:1], strict=True):
      inside = [sign * (v[axis] - bound) >= 0 for v in (p, q)]
      if inside[0]:
        kept.append(p)
      if inside[0] != inside[1]:
        t = (bound - p[axis]) / (q[axis] - p[axis])
        kept.append(tuple(p[k] + t * (q[k] - p[k]) for k in (0, 1)))
    polygon = kept
  return abs(sum(p[0] * q[1] - p[1] * q[0] for p, q in zip(polygon, polygon[1:] + polygon[:1], strict=True))) / 2


def test_documentation_examples():
  for module in (attributes, captions, coverage, dataset, renderer):
    assert doctest.testmod(module).failed == 0


def test_coverage_is_the_area_of_the_clipped_triangle():
  rng = np.random.default_rng(0)
  shapes = np.concatenate([rng.uniform(-1, 7, (12, 3, 2)), [[[1, 1], [4, 1], [1, 5]], [[2, 0], [2.5, 6], [3, 0]]]]).astype(np.float32)
  found = np.asarray(coverage.coverage(jnp.asarray(shapes), 6))
  for shape, areas in zip(shapes, found, strict=True):
    expected = [[clipped_area(shape.astype(float), column, row) for column in range(6)] for row in range(6)]
    np.testing.assert_allclose(areas, expected, atol=2e-5)
  np.testing.assert_allclose(found, coverage.coverage(jnp.asarray(shapes[:, ::-1]), 6), atol=2e-5)  # either orientation
  assert (np.asarray(coverage.coverage(jnp.full((3, 2), 2.5), 6)) == 0).all()  # a point covers nothing


def test_slopes_are_differences_of_coverage():
  vertices = np.random.default_rng(1).uniform(0.3, 5.7, (3, 2)).astype(np.float32)
  slopes, step = np.asarray(coverage.slopes(jnp.asarray(vertices), 6)), 1e-2
  for corner in range(3):
    for axis in range(2):
      moved = np.stack([vertices, vertices])
      moved[:, corner, axis] += (step, -step)
      up, down = np.asarray(coverage.coverage(jnp.asarray(moved), 6))
      np.testing.assert_allclose(slopes[corner, axis], (up - down) / (2 * step), atol=0.02)
  np.testing.assert_allclose(slopes.sum((0, 2, 3)), 0, atol=1e-4)  # moving the whole triangle leaves its area


def test_records_follow_the_law():
  record, made = drawn()
  corners = record.vertices.astype(np.float64)
  sides = np.sort(np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=-1), axis=1)
  area = np.asarray(coverage.signed_area(jnp.asarray(corners)))
  kind, size, fill, background, _ = record.attributes.T
  assert (area > 0).all() and corners.min() >= 2 / 32 - 1e-5 and corners.max() <= 30 / 32 + 1e-5
  low, high = np.array(attributes.AREAS)[size].T
  assert ((area >= low - 1e-4) & (area <= high + 1e-4)).all()
  ratios, largest = sides[:, 1:] / sides[:, :-1], np.rad2deg(np.arccos((sides[:, 0] ** 2 + sides[:, 1] ** 2 - sides[:, 2] ** 2)
                                                                       / (2 * sides[:, 0] * sides[:, 1])))  # fmt: skip
  assert abs(ratios[kind == 0] - 1).max() < 1e-3
  assert (abs(ratios[kind == 1] - 1).min(1) < 1e-3).all() and (ratios[kind == 1].max(1) > 1.24).all() and (abs(largest[kind == 1] - 90) > 7.9).all()
  assert abs(largest[kind == 2] - 90).max() < 0.1 and (ratios[kind == 2] > 1.09).all()
  assert (ratios[kind == 3] > 1.149).all() and (abs(largest[kind == 3] - 90) > 7.9).all()
  assert ((sides[:, 0] + sides[:, 1] - sides[:, 2]) / sides.sum(1)).min() > 0.059
  assert (fill != background).all()
  for column, name in enumerate(NAMES):
    counts, p = np.bincount(record.attributes[:, column], minlength=len(ATTRIBUTES[name])), 1 / len(ATTRIBUTES[name])
    assert abs(counts - N * p).max() < 4.5 * np.sqrt(N * p * (1 - p)), name
  np.testing.assert_array_equal(captions.read(made["tokens"]), record.attributes)


def test_what_is_said_of_a_picture_is_true_of_it():
  record, made = drawn()
  np.testing.assert_allclose(made["mask"].sum((1, 2, 3)), 32**2 * np.asarray(coverage.signed_area(jnp.asarray(record.vertices))), rtol=1e-4)
  fill = 2 * record.fill[:, None, None] - 1
  np.testing.assert_allclose(made["image"], made["background"] + made["mask"] * (fill - made["background"]), atol=1e-6)
  np.testing.assert_allclose(made["lowres"], made["image"].reshape(N, 8, 4, 8, 4, 3).mean((2, 4)), atol=1e-6)
  subject = made["segmentation"] >= 6
  np.testing.assert_array_equal(subject, made["mask"][..., 0] >= 0.5)
  assert all((made["segmentation"][i][subject[i]] == 6 + record.attributes[i, 2]).all() for i in range(N))
  assert all((made["segmentation"][i][~subject[i]] == record.attributes[i, 4]).all() for i in range(N))
  assert made["image"].min() >= -1 and made["image"].max() <= 1
  # Every pixel of the background lies between its two shades, and only plain ones have one value.
  light = ((made["background"] + 1) / 2 - record.shades[:, None, None, 0]) / (record.shades[:, 1] - record.shades[:, 0])[:, None, None]
  assert light.min() > -1e-4 and light.max() < 1 + 1e-4 and np.ptp(light, axis=-1).max() < 1e-3
  flat = light[..., 0].std(axis=(1, 2))
  assert flat[record.attributes[:, 4] == 0].max() < 1e-4 and flat[record.attributes[:, 4] > 0].min() > 0.1
  # The outline is where coverage is neither 0 nor 1.
  partly = (made["mask"][..., 0] > 0.02) & (made["mask"][..., 0] < 0.98)
  assert made["edges"][..., 0][partly].mean() > 0.4 and made["edges"][..., 0][~partly].mean() < 0.05


def test_sizes_draw_the_same_record():
  small, large = drawn(16)[1], drawn(32)[1]
  halved = lambda images: images.reshape(N, 16, 2, 16, 2, -1).mean((2, 4))
  np.testing.assert_allclose(halved(large["mask"]), small["mask"], atol=2e-5)
  plain = small["attributes"][:, 4] == 0
  np.testing.assert_allclose(halved(large["image"])[plain], small["image"][plain], atol=1e-4)


def test_splits_and_stream():
  train, test, stream = (data.triangles(16, split, condition="attributes") for split in ("train", "test", "stream"))
  key = jax.random.key(7)
  batch = train.sample(key, 64)
  numbers = np.asarray(train.rows.index(key, 64))
  rows = train.rows.source.rows(numbers)
  np.testing.assert_array_equal(np.asarray(batch["condition"]), train.rows.source.attributes[numbers])
  np.testing.assert_array_equal(rows["condition"], batch["condition"])
  assert (np.asarray(train.rows.collate(rows)["image"]) == np.asarray(batch["image"])).mean() > 0.9999  # a rounding at a half may differ
  np.testing.assert_array_equal(np.asarray(stream.sample(key, 64)["image"]), np.asarray(stream.sample(key, 64)["image"]))
  assert len(train.rows.source) == 50_000 and len(test.rows.source) == 5000 and stream.rows is None
  assert not (rows["image"] == test.rows.source.rows(numbers % 5000)["image"]).all(axis=(1, 2, 3)).any()
  assert len(np.unique(test.rows.source.rows(np.arange(512))["image"].reshape(512, -1), axis=0)) == 512


def test_settings_say_what_is_drawn():
  plain = data.triangles(16, condition="class", label=("type", "fill"), only={"texture": ["plain"], "size": ["large"]}, pairs="seen", num_images=200)
  source = plain.rows.source
  assert plain.num_classes == 24 and source.classes[7] == "isosceles yellow" and len(source.attributes) == 200
  assert set(source.attributes[:, 1]) == {2} and set(source.attributes[:, 4]) == {0}
  np.testing.assert_array_equal(source.labels, 6 * source.attributes[:, 0] + source.attributes[:, 2])
  np.testing.assert_array_equal(source.rows(np.array([3, 5]))["label"], source.labels[[3, 5]])
  two = data.triangles(16, condition="class", label=("fill", "type"), only={"fill": ("cyan", "red"), "type": ("right", "scalene")}, num_images=64)
  assert two.num_classes == 4 and two.rows.source.classes == ("red right", "red scalene", "cyan right", "cyan scalene")
  kinds = two.rows.source.attributes
  np.testing.assert_array_equal(two.rows.source.labels, 2 * (kinds[:, 2] == 3) + (kinds[:, 0] == 3))
  numbers = np.asarray(two.rows.index(jax.random.key(0), 16))
  np.testing.assert_array_equal(two.sample(jax.random.key(0), 16)["condition"], two.rows.source.labels[numbers])
  apart, seen = combinations(pairs="held_out"), combinations(pairs="seen")
  assert len(apart) == 4 * 60 and len(apart) + len(seen) == 2160 and len(np.unique(np.concatenate([apart, seen]), axis=0)) == 2160
  assert {len(set(seen[:, column])) for column in (2, 4)} == {6}
  shapes = {"class": (5,), "caption": (5, 14), "attributes": (5, 5), "edges": (5, 16, 16, 1), "mask": (5, 16, 16, 1), "background": (5, 16, 16, 3),
            "segmentation": (5, 16, 16, 12), "lowres": (5, 4, 4, 3), "vertices": (5, 3, 2)}  # fmt: skip
  for condition, shape in shapes.items():
    assert data.triangles(16, condition=condition).abstract(5)["condition"].shape == shape


def test_the_tfds_builder_writes_the_splits(tmp_path):
  from gan_jax.data.triangles.builder import Config, Triangles

  made = Triangles(config=Config(16, 6), data_dir=str(tmp_path), file_format="array_record")
  made.download_and_prepare()
  ours, theirs = data.triangles(16, "val").rows.source, data.tfds(str(made.data_path), "val", label="type", condition="label")
  rows = theirs.rows.source.rows(np.arange(6))
  assert len(theirs.rows.source) == 6 and theirs.rows.source.classes == attributes.TYPES
  order = [int(np.argmax((ours.rows(np.arange(6))["image"] == image).mean(axis=(1, 2, 3)))) for image in rows["image"]]  # TFDS shuffles
  assert sorted(order) == list(range(6))
  np.testing.assert_array_equal(rows["image"], ours.rows(np.array(order))["image"])
  np.testing.assert_array_equal(rows["label"], ours.attributes[order, 0])
  example = made.as_data_source("val")[0]
  np.testing.assert_allclose(example["vertices"], ours.vertices[order[0]], atol=1e-4)
  assert captions.read(captions.encode(example["caption"].decode())[None])[0].tolist() == ours.attributes[order[0]].tolist()
  assert (example["segmentation"] >= 6).sum() == (example["mask"] >= 128).sum()


def test_captions_are_read_and_unknown_words_named():
  said = "a large magenta isosceles triangle on a spotted green background"
  assert attributes.words(captions.read(captions.encode(said)[None])[0]) == {
    "type": "isosceles", "size": "large", "fill": "magenta", "background": "green", "texture": "dotted"}  # fmt: skip
  assert captions.text(captions.encode(said)) == said and len(captions.VOCABULARY) < 50
  with pytest.raises(captions.UnknownWordError, match='unknown word "sclene"; nearest is "scalene"'):
    captions.encode("a sclene triangle")
  assert captions.text(captions.encode("a sclene red triangle", unknown="ignore")) == "a red triangle"
  with pytest.raises(ValueError, match="15 words, and 14 are the most"):
    captions.encode("a " * 15)


@pytest.mark.parametrize("settings, says", [
  ({"size": 18}, "size must be a multiple of 4, got 18"),
  ({"size": 8}, "size must be a whole number of at least 16"),
  ({"split": "dev"}, 'no split "dev"; there are train, val, test and stream'),
  ({"split": "stream", "num_images": 5}, "the stream has no end"),
  ({"condition": "depth"}, 'no condition "depth"; there are class, caption'),
  ({"label": ("colour",)}, 'no attribute "colour"; there are type, size'),
  ({"condition": "class", "label": ()}, "a class is made of one attribute at least"),
  ({"only": {"texture": ("wavy",)}}, 'only.texture: no "wavy"; there are plain'),
  ({"only": {"texture": "plain"}}, "a list of names"),
  ({"only": {"fill": ("red",), "background": ("red",)}}, "nothing is left"),
  ({"num_images": 0}, "num_images must be a whole number of at least 1"),
])  # fmt: skip
def test_bad_settings_are_refused_in_one_line(settings, says):
  with pytest.raises(ValueError, match=says):
    data.triangles(**settings)
