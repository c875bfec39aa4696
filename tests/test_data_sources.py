"""What is written into a file comes out of a source: bytes, labels, classes; and pictures of every mode by the rules that are stated."""

import doctest
import gzip
import io
import json
import os
import shutil
import sys
import tempfile

import jax
import numpy as np
import pytest
import tiny_sets
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from gan_jax import data
from gan_jax.data import base, image_sets, sources, tokens
from gan_jax.data.base import DataFormatError
from gan_jax.data.sources import arrays, fitting, in_memory, pictures

REAL = os.environ.get("GAN_JAX_DATA")


def everything(source):
  return source.rows(np.arange(len(source)))


def test_documentation_examples():
  for module in (base, in_memory, fitting, tokens, image_sets):
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize("packed", [True, False])
def test_idx_gives_what_was_written(tmp_path, packed):
  made = tiny_sets.write_idx(tmp_path, packed=packed)
  assert sources.kind(str(tmp_path)) == "idx" and sources.splits(str(tmp_path)) == ("train", "test")
  for split, (images, labels) in made.items():
    source = sources.source(str(tmp_path), split)
    rows = everything(source)
    np.testing.assert_array_equal(rows["image"], images[..., None])
    np.testing.assert_array_equal(rows["label"], labels)
    assert source.shape == (6, 5, 1) and source.classes == ("0", "1", "2") and rows["label"].dtype == np.int32
    np.testing.assert_array_equal(source.rows(np.array([4, 4, 0]))["image"], images[[4, 4, 0], ..., None])


def test_a_plain_file_goes_before_a_packed_one_and_dots_are_understood(tmp_path):
  tiny_sets.write_idx(tmp_path, packed=True)
  other = tiny_sets.images(12, seed=7)
  (tmp_path / "train-images.idx3-ubyte").write_bytes(tiny_sets.idx_bytes(other))
  os.remove(tmp_path / "train-images-idx3-ubyte.gz")
  np.testing.assert_array_equal(everything(sources.idx(tmp_path))["image"][..., 0], other)
  os.remove(tmp_path / "train-labels-idx1-ubyte.gz")
  assert sources.idx(tmp_path).classes == () and sources.idx(tmp_path).labels is None


def test_a_split_without_the_last_class_still_has_all_classes_and_says_so(tmp_path):
  tiny_sets.write_idx(tmp_path, train=12, test=2)
  with pytest.raises(DataFormatError, match=r't10k-labels.*class "2" has no images'):
    sources.idx(tmp_path, "test")


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_and_npy(tmp_path, order, save):
  images, labels = tiny_sets.images(6, (4, 3, 3)), np.array([0, 1, 2, 0, 1, 2])
  save(tmp_path / "data.npz", images=np.asarray(images, order=order), labels=labels[:, None])
  np.save(tmp_path / "alone.npy", np.asarray(images, order=order))
  assert sources.kind(str(tmp_path)) == "npz"
  for source in (sources.source(str(tmp_path)), sources.source(str(tmp_path / "data.npz"))):
    np.testing.assert_array_equal(everything(source)["image"], images)
    np.testing.assert_array_equal(everything(source)["label"], labels)
  alone = sources.source(str(tmp_path / "alone.npy"))
  assert alone.kind == "npy" and not alone.columns["image"].flags.writeable  # mapped, not read
  np.testing.assert_array_equal(everything(alone)["image"], images)
  assert alone.identity == sources.memory(images, kind="npy").identity != sources.memory(images[::-1].copy()).identity


@given(st.lists(st.integers(0, 255), min_size=1, max_size=40), st.sampled_from(["float32", "float64"]), st.booleans())
@settings(max_examples=40, deadline=None)
def test_floats_come_back_as_the_bytes_they_were(values, dtype, signed):
  whole = np.array(values, np.uint8).reshape(-1, 1, 1)
  floats = whole.astype(dtype) / (127.5 if signed else 255) - (1 if signed else 0)
  if signed and (whole >= 128).all():  # nothing negative: a set in [0, 1], by the rule
    np.testing.assert_array_equal(arrays.to_bytes(floats), np.rint(floats * 255))
  else:
    np.testing.assert_array_equal(arrays.to_bytes(floats), whole)
  np.testing.assert_array_equal(arrays.to_bytes(whole.astype(np.int64)), whole)


def test_pixels_are_the_same_bits_in_any_program():
  values = np.arange(256, dtype=np.uint8)
  wanted = (values / 127.5 - 1).astype(np.float32)
  np.testing.assert_array_equal(base.pixels(values), wanted)
  np.testing.assert_array_equal(jax.jit(lambda x: base.pixels(x) * 3 - 1 + 1)(values), jax.jit(lambda x: x * 3 - 1 + 1)(wanted))
  assert wanted[0] == -1 and wanted[255] == 1


def test_class_folders(tmp_path):
  made = tiny_sets.write_classes(tmp_path)
  (tmp_path / "cat" / "notes.txt").write_text("no picture")
  (tmp_path / ".hidden").mkdir()
  source = sources.source(str(tmp_path))
  assert (source.kind, source.shape, source.classes, source.labels.tolist()) == ("folder", (4, 4, 3), ("cat", "dog"), [0, 0, 0, 1, 1, 1])
  np.testing.assert_array_equal(everything(source)["image"], made)
  before = source.identity
  assert sources.source(str(tmp_path)).identity == before != sources.source(str(tmp_path), size=2).identity
  tiny_sets.write_png(tmp_path / "cat" / "9.png", made[0])
  assert sources.source(str(tmp_path)).identity != before


def test_classes_that_are_numbers_are_in_their_order_and_loose_pictures_have_none(tmp_path):
  tiny_sets.write_classes(tmp_path / "numbers", classes=tuple(str(k) for k in (10, 2, 1)))
  assert sources.source(str(tmp_path / "numbers")).classes == ("1", "2", "10")
  tiny_sets.write_png(tmp_path / "loose" / "x.png", tiny_sets.images(1)[0])
  assert sources.source(str(tmp_path / "loose")).classes == () and "label" not in everything(sources.source(str(tmp_path / "loose")))


def test_pairs_keep_their_sides(tmp_path):
  a, b = tiny_sets.write_pairs(tmp_path)
  source = sources.source(str(tmp_path))
  assert source.kind == "pairs" and source.shape == (6, 6, 3)
  np.testing.assert_array_equal(everything(source)["image"], b)
  np.testing.assert_array_equal(everything(source)["source"], a[..., None])
  batch = data.images(str(tmp_path), condition="source").sample(jax.random.key(0), 5)
  assert batch["image"].shape == (5, 6, 6, 3) and batch["condition"].shape == (5, 3, 3, 1) and abs(batch["condition"]).max() <= 1


def test_captions_become_words(tmp_path):
  made = tiny_sets.write_captions(tmp_path, ("A red bird", "a blue, BLUE bird"))
  source = sources.source(str(tmp_path))
  assert source.kind == "captions" and everything(source)["caption"].tolist() == ["A red bird", "a blue, BLUE bird"]
  np.testing.assert_array_equal(everything(source)["image"], made)
  # a, bird and blue are there twice: 2, 3, 4 in the order of the alphabet; red once: 5
  np.testing.assert_array_equal(everything(tokens.tokenised(source, 5))["tokens"], [[2, 5, 3, 0, 0], [2, 4, 4, 3, 0]])
  with pytest.raises(DataFormatError, match=r'a caption has 4 words \("a blue, BLUE bird\.\.\."\), and length = 3 are the most; set data.length = 4'):
    tokens.tokenised(source, 3)
  set_ = data.images(str(tmp_path), condition="caption", length=5)
  batch = set_.sample(jax.random.key(0), 4)
  assert batch["condition"].shape == (4, 5) and set_.abstract(4)["condition"].dtype == batch["condition"].dtype == np.int32


def encoded(image, kind="PNG", **options):
  raw = io.BytesIO()
  image.save(raw, kind, **options)
  return raw.getvalue()


def grey(*values):
  return Image.fromarray(np.array([values], np.uint8))


PALETTE = Image.fromarray(np.array([[[255, 0, 0], [0, 0, 255]]], np.uint8)).convert("P", palette=Image.Palette.ADAPTIVE, colors=4)
CLEAR = grey(10, 20)
CLEAR.putalpha(grey(255, 0))
COLOUR_CLEAR = Image.fromarray(np.array([[[200, 0, 0, 255], [200, 0, 0, 0], [0, 0, 0, 51]]], np.uint8))
SIXTEEN = Image.fromarray(np.array([[0, 128, 129, 256, 65535]], np.uint16))
ONE_BIT = Image.fromarray(np.array([[0, 255]], np.uint8)).convert("1")


@pytest.mark.parametrize("raw, channels, wanted", [
  (encoded(grey(0, 7, 255)), 1, [0, 7, 255]),
  (encoded(grey(0, 7, 255)), 3, [[0] * 3, [7] * 3, [255] * 3]),
  (encoded(ONE_BIT), 1, [0, 255]),
  (encoded(CLEAR), 1, [10, 255]),  # what is clear shows white
  (encoded(PALETTE), 3, [[255, 0, 0], [0, 0, 255]]),
  (encoded(PALETTE), 1, [76, 29]),  # .299 * 255 = 76.2, .114 * 255 = 29.07
  (encoded(COLOUR_CLEAR), 3, [[200, 0, 0], [255] * 3, [204] * 3]),  # 1/5 black over white
  (encoded(SIXTEEN), 1, [0, 0, 1, 1, 255]),  # 128 / 257 = .498, 129 / 257 = .502
  (encoded(grey(7, 9), transparency=9), 1, [7, 255]),
  (encoded(Image.new("CMYK", (8, 8), (0, 0, 0, 0)), "JPEG"), 3, [[255] * 3] * 64),
  (encoded(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG"), 3, [[254, 0, 0]] * 64),
  (encoded(Image.new("L", (8, 8), 90), "JPEG"), 1, [90] * 64),
])  # fmt: skip
def test_pictures_of_every_mode(tmp_path, raw, channels, wanted):
  image = pictures.decode(raw, "x", channels)
  assert image.dtype == np.uint8 and image.shape[-1] == channels
  np.testing.assert_allclose(image.reshape(-1, channels).squeeze(), np.array(wanted), atol=1 if raw[:2] == b"\xff\xd8" else 0)
  (tmp_path / "x.png").write_bytes(raw)
  assert pictures.header(str(tmp_path / "x.png"))[:2] == image.shape[:2]


def test_the_set_has_colour_if_any_picture_has(tmp_path):
  tiny_sets.write_png(tmp_path / "0.png", tiny_sets.images(1)[0])
  assert sources.source(str(tmp_path)).shape == (6, 5, 1)
  tiny_sets.write_png(tmp_path / "1.png", tiny_sets.images(1, (6, 5, 3))[0])
  assert sources.source(str(tmp_path)).shape == (6, 5, 3) and sources.source(str(tmp_path), channels=1).shape == (6, 5, 1)


def test_a_sideways_jpeg_is_put_upright(tmp_path):
  image = Image.fromarray(np.repeat(np.repeat(np.array([[0, 255]], np.uint8), 8, 0), 8, 1))  # dark left, light right
  exif = Image.Exif()
  exif[0x0112] = 6  # turn by 90 degrees clockwise
  image.save(tmp_path / "x.jpg", exif=exif)
  source = sources.source(str(tmp_path))
  assert source.shape == (16, 8, 1)
  upright = everything(source)["image"][0, ..., 0]
  assert upright[:8].max() < 10 and upright[8:].min() > 245  # dark above


def test_size_scales_the_shorter_side_and_cuts_out_the_middle(tmp_path):
  wide = np.zeros((4, 12, 3), np.uint8)
  wide[:, 4:8] = 200
  tiny_sets.write_png(tmp_path / "wide.png", wide)
  tiny_sets.write_png(tmp_path / "tall.png", np.full((8, 4, 3), 90, np.uint8))
  with pytest.raises(DataFormatError, match=r"wide.png: 12 x 4, but tall.png is 4 x 8; set size"):
    sources.source(str(tmp_path))
  rows = everything(sources.source(str(tmp_path), size=4))["image"]
  assert rows.shape == (2, 4, 4, 3) and (rows[0] == 90).all() and (rows[1] == 200).all()
  np.testing.assert_array_equal(everything(sources.fitted(sources.memory(wide[None]), size=4))["image"][0], rows[1])


@pytest.mark.parametrize("channels, size", [(1, None), (3, 2)])
def test_arrays_take_another_size_and_channels(tmp_path, channels, size):
  tiny_sets.write_idx(tmp_path)
  source = sources.source(str(tmp_path), channels=channels, size=size)
  rows = everything(source)
  assert rows["image"].shape[1:] == source.shape == (size or 6, size or 5, channels) and len(rows["label"]) == 12
  assert source.identity != sources.source(str(tmp_path)).identity or channels == 1


def test_links_inside_the_folder_are_followed(tmp_path):
  made = tiny_sets.write_classes(tmp_path / "set")
  os.symlink("0.png", tmp_path / "set" / "cat" / "3.png")
  np.testing.assert_array_equal(everything(sources.source(str(tmp_path / "set")))["image"][3], made[0])
  os.symlink(tmp_path / "set", tmp_path / "way")  # the folder itself may be reached by one
  assert len(sources.source(str(tmp_path / "way"))) == 7


def test_batches_carry_what_was_asked_for(tmp_path):
  made = tiny_sets.write_classes(tmp_path)
  plain, labelled = data.images(str(tmp_path)), data.images(str(tmp_path), condition="label")
  assert set(plain.table) == {"image"} and plain.num_classes is None and labelled.num_classes == 2
  batch = labelled.sample(jax.random.key(3), 50)
  known = {image.tobytes(): label for image, label in zip(made, [0, 0, 0, 1, 1, 1], strict=True)}
  shown = np.rint((np.asarray(batch["image"]) + 1) * 127.5).astype(np.uint8)
  assert [known[image.tobytes()] for image in shown] == batch["condition"].tolist()
  assert set(labelled.conditions(jax.random.key(3), 50)) == {"condition"} and plain.conditions(jax.random.key(3), 50) == {}
  np.testing.assert_array_equal(plain.sample(jax.random.key(3), 50)["image"], batch["image"])


@pytest.mark.parametrize("condition, words", [("label", "have only: image"), ("source", "have only: image"), ("caption", "no captions")])
def test_a_condition_that_the_set_lacks(tmp_path, condition, words):
  np.save(tmp_path / "x.npy", tiny_sets.images())
  with pytest.raises(DataFormatError, match=words):
    data.images(str(tmp_path / "x.npy"), condition=condition)


def test_wrappers_share_the_table():
  first = data.sklearn_digits()
  again = base.from_rows("half", first.shape, first.rows._replace(index=base.uniform(900)), of=first)
  assert again.table is first.table and again.sample(jax.random.key(0), 3)["image"].shape == (3, 8, 8, 1)


def test_sklearn_digits_are_the_sixteen_greys():
  source = data.sklearn_digits(condition="label").rows.source
  values = np.unique(everything(source)["image"])
  np.testing.assert_array_equal(values, np.rint(np.arange(17) * 255 / 16))
  assert len(source) == 1797 and np.bincount(source.labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_mnist_is_found_through_the_environment_only(tmp_path, monkeypatch):
  monkeypatch.delenv("GAN_JAX_DATA", raising=False)
  with pytest.raises(DataFormatError, match=r"mnist: where is it.*GAN_JAX_DATA"):
    data.mnist()
  tiny_sets.write_idx(tmp_path / "mnist", classes=10, train=20, test=10)
  with pytest.raises(DataFormatError, match=r"images of shape \(6, 5, 1\); those of mnist are \(28, 28, 1\)"):
    data.mnist(path=str(tmp_path / "mnist"))


def test_thirty_two_is_a_black_border(tmp_path):
  images = tiny_sets.images(10, (28, 28))
  for name, array in (("images-idx3-ubyte", images), ("labels-idx1-ubyte", np.arange(10).astype(np.uint8))):
    (tmp_path / f"train-{name}.gz").write_bytes(gzip.compress(tiny_sets.idx_bytes(array)))
  source = data.fashion_mnist(path=str(tmp_path), size=32).rows.source
  np.testing.assert_array_equal(everything(source)["image"], np.pad(images, ((0, 0), (2, 2), (2, 2)))[..., None])
  assert source.classes[9] == "Ankle boot"


@pytest.mark.skipif(not REAL, reason="GAN_JAX_DATA is not set")
@pytest.mark.parametrize("name, mean, deviation, first, counts", [
  ("mnist", 0.1306604762738429, 0.30810780385646264, 5, [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]),
  ("fashion_mnist", 0.2860405969887955, 0.3530242445149226, 9, [6000] * 10),
])  # fmt: skip
def test_the_real_files_hold_the_numbers_everybody_knows(name, mean, deviation, first, counts):
  source = sources.idx(os.path.join(REAL, name))
  image, histogram = source.columns["image"], np.bincount(source.columns["image"].reshape(-1), minlength=256)
  share, values = histogram / histogram.sum(), np.arange(256) / 255
  assert image.shape == (60000, 28, 28, 1) and source.labels[0] == first and np.bincount(source.labels).tolist() == counts
  assert share @ values == pytest.approx(mean) and np.sqrt(share @ values**2 - (share @ values) ** 2) == pytest.approx(deviation)


def prepare(folder, name, made, num_classes, num_test):
  """Let TFDS itself prepare a set as array_record, which needs no TensorFlow where pictures are PNG already."""
  import tensorflow_datasets as tfds

  def info(self):
    label = tfds.features.ClassLabel(names=[f"class{k}" for k in range(num_classes)])
    features = tfds.features.FeaturesDict({"image": tfds.features.Image(shape=made.shape[1:]), "label": label})
    return tfds.core.DatasetInfo(builder=self, features=features)

  def examples(self, numbers):
    for i in numbers:
      yield i, {"image": io.BytesIO(encoded(Image.fromarray(made[i]))), "label": i % num_classes}

  def splits(self, dl_manager):
    return {"train": examples(self, range(num_test, len(made))), "test": examples(self, range(num_test))}

  members = {"VERSION": tfds.core.Version("1.0.0"), "_info": info, "_split_generators": splits, "_generate_examples": examples, "name": name}
  with tfds.core.registered.skip_registration():
    builder = type("Made", (tfds.core.GeneratorBasedBuilder,), members)
  tfds.disable_progress_bar()
  folder.mkdir(exist_ok=True)
  tempfile.tempdir = str(folder)  # every builder leaves an empty folder in the system's
  try:
    builder(data_dir=str(folder), file_format="array_record").download_and_prepare()
  finally:
    tempfile.tempdir = None


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
  folder, made = tmp_path_factory.mktemp("tfds"), tiny_sets.images(10, (8, 8, 3))
  prepare(folder, "tiny", made, 2, 3)
  return folder, made


def test_tfds_without_tensorflow(prepared):
  folder, made = prepared
  source = sources.tfds("tiny", data_dir=str(folder))
  rows = everything(source)
  known = {image.tobytes(): i for i, image in enumerate(made)}
  numbers = [known[image.tobytes()] for image in rows["image"]]  # TFDS shuffles what it writes
  assert sorted(numbers) == list(range(3, 10)) and rows["label"].tolist() == [i % 2 for i in numbers] == source.labels.tolist()
  assert (source.classes, source.shape, len(sources.tfds("tiny", "test", data_dir=str(folder)))) == (("class0", "class1"), (8, 8, 3), 3)
  path = str(folder / "tiny" / "1.0.0")
  assert sources.kind(path) == "tfds" and set(sources.splits(path)) == {"train", "test"}
  np.testing.assert_array_equal(everything(sources.source(path))["image"], rows["image"])
  assert len(sources.tfds("tiny", "train[:3]", data_dir=str(folder))) == 3
  assert everything(sources.tfds("tiny", data_dir=str(folder), size=4, channels=1))["image"].shape == (7, 4, 4, 1)
  assert "tensorflow" not in sys.modules


def test_cifar10_from_a_file_or_as_tfds_prepared_it(tmp_path, monkeypatch):
  made = tiny_sets.images(20, (32, 32, 3))
  prepare(tmp_path / "tfds", "cifar10", made, 10, 10)
  monkeypatch.delenv("GAN_JAX_DATA", raising=False)
  monkeypatch.setattr("tensorflow_datasets.core.constants.DATA_DIR", str(tmp_path / "tfds"))
  np.savez(tmp_path / "data.npz", images=made, labels=np.arange(20) % 10)
  for set_ in (data.cifar10(condition="label"), data.cifar10(path=str(tmp_path), condition="label")):
    assert (set_.name, set_.shape, set_.num_classes) == ("cifar10", (32, 32, 3), 10)
    assert set_.sample(jax.random.key(0), 4)["image"].shape == (4, 32, 32, 3)
  assert len(data.cifar10("test").rows.source) == 10
  np.save(tmp_path / "small.npy", made[:, :16])
  with pytest.raises(DataFormatError, match=r"of shape \(16, 32, 3\); those of CIFAR-10"):
    data.cifar10(path=str(tmp_path / "small.npy"))


@pytest.mark.parametrize("arguments, words", [
  ({"set": "nothing_like_it"}, "nothing_like_it is not prepared in .*; run: gan-jax data prepare nothing_like_it --data-dir="),
  ({"set": "tiny", "split": "val"}, 'no split "val"; it has'),
  ({"set": "tiny", "image": "picture"}, 'no feature "picture"; it has (label, image|image, label)'),
  ({"set": "../tiny"}, "not the name of a TFDS set"),
  ({"set": "huggingface:x"}, "is not prepared in"),
])  # fmt: skip
def test_tfds_sets_that_are_not_there(prepared, arguments, words):
  with pytest.raises(DataFormatError, match=words):
    data.tfds(**arguments, data_dir=str(prepared[0]))


def test_tfds_records_that_are_damaged(prepared, tmp_path):
  folder = tmp_path / "tiny"
  shutil.copytree(prepared[0] / "tiny", folder)
  path, = (folder / "1.0.0").glob("*train*record*")
  raw = bytearray(path.read_bytes())
  for cut in (bytes(raw[: len(raw) // 2]), b"", bytes(raw[:100]) + bytes(300) + bytes(raw[400:])):
    path.write_bytes(cut)
    with pytest.raises(DataFormatError, match=r"tiny"):
      everything(sources.tfds("tiny", data_dir=str(tmp_path)))
  path.unlink()
  with pytest.raises(DataFormatError, match="tiny"):
    sources.tfds("tiny", data_dir=str(tmp_path)).rows(np.arange(2))


def test_info_of_captions_is_json(tmp_path):
  """A line may hold more than the two keys, and pictures may have several lines."""
  tiny_sets.write_captions(tmp_path)
  lines = [{"image": "pictures/0.png", "caption": "one", "id": 1}, {"image": "./pictures/0.png", "caption": "two"}]
  (tmp_path / "captions.jsonl").write_text("\n\n".join(json.dumps(line) for line in lines))
  rows = everything(sources.captions(tmp_path))
  assert rows["caption"].tolist() == ["one", "two"] and (rows["image"][0] == rows["image"][1]).all()
