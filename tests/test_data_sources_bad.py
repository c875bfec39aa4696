"""Damaged, hostile and mistaken files: one line that names the file (and the place in it), in bounded memory, and nothing executed."""

import gzip
import io
import json
import os
import pickle
import struct
import time
import tracemalloc
import zipfile
import zlib

import numpy as np
import pytest
import tiny_sets
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from gan_jax.data import sources
from gan_jax.data.base import DataFormatError
from gan_jax.data.sources import arrays

MOST_MEMORY = 64 * 2**20


def everything(path, **settings):
  source = sources.source(str(path), **settings)
  return source.rows(np.arange(len(source)))


def refused(path, words, **settings):
  """`path` is refused in one line with `words` in it, soon and without much memory."""
  tracemalloc.start()
  start = time.process_time()
  with pytest.raises((DataFormatError, OSError), match=words) as caught:
    everything(path, **settings)
  most, spent = tracemalloc.get_traced_memory()[1], time.process_time() - start
  tracemalloc.stop()
  assert "\n" not in str(caught.value) and most < MOST_MEMORY and spent < 5


IDX = tiny_sets.idx_bytes(tiny_sets.images(12))
PACKED = gzip.compress(IDX, mtime=0)
HUGE = struct.pack(">BBBBIII", 0, 0, 8, 3, 2**32 - 1, 2**32 - 1, 2**32 - 1)


@pytest.mark.parametrize("name, raw, words", [
  ("", IDX[:3], "train-images.*not an IDX file: its first bytes are 00 00 08"),
  ("", b"", "not an IDX file: its first bytes are missing"),
  ("", IDX[:9], "ends at byte 9, inside its header"),
  ("", IDX[:-7], r"promises 360 bytes \(12, 6, 5\) from byte 16; the file ends at byte 369"),
  ("", IDX + b"x", "promises 360 bytes .* the file ends at byte 377"),
  ("", b"PK" + IDX[2:], "not an IDX file"),
  ("", tiny_sets.idx_bytes(tiny_sets.images(12), kind=0x0D), "type 0x0d; only unsigned bytes"),
  ("", HUGE, "promises [0-9,]+ bytes .* the file ends at byte 16"),
  ("", tiny_sets.idx_bytes(np.zeros(12, np.uint8)), "images have 3 dimensions"),
  ("", tiny_sets.idx_bytes(np.zeros((12, 4, 4, 2), np.uint8)), r"must be uint8 of shape .*got uint8 of shape \(12, 4, 4, 2\)"),
  ("", tiny_sets.idx_bytes(np.zeros((0, 6, 5), np.uint8)), "there are none"),
  ("", tiny_sets.idx_bytes(tiny_sets.images(11)), "11 images but 12 labels"),
  (".gz", PACKED[:-20], "damaged gzip data near byte"),
  (".gz", PACKED[:200] + b"\0\0\0\0" + PACKED[204:], "damaged gzip data near byte|promises|goes on"),
  (".gz", PACKED[:-6] + bytes(6), "damaged gzip data near byte .*"),  # the checksum alone
  (".gz", IDX, "damaged gzip data near byte .*Not a gzipped file"),
  (".gz", gzip.compress(IDX[:-7], mtime=0), "unpacked, it ends at byte 369"),
  (".gz", gzip.compress(IDX + b"x", mtime=0), "goes on after the 360 bytes"),
  (".gz", gzip.compress(HUGE, mtime=0), "promises [0-9,]+ bytes .*more than 4,294,967,296 in memory"),
  (".gz", gzip.compress(HUGE[:4] + struct.pack(">III", 1000, 1000, 1000), mtime=0), "more than what .* bytes of gzip can hold"),
  (".gz", gzip.compress(IDX + bytes(2**26), mtime=0), "goes on after the 360 bytes"),  # a bomb behind an honest header
])  # fmt: skip
def test_idx(tmp_path, name, raw, words):
  tiny_sets.write_idx(tmp_path, packed=False)
  os.remove(tmp_path / "train-images-idx3-ubyte")
  (tmp_path / f"train-images-idx3-ubyte{name}").write_bytes(raw)
  refused(tmp_path, words)


@pytest.mark.parametrize("labels, words", [
  (tiny_sets.idx_bytes(np.array([0, 2] * 6, np.uint8)), 'class "1" has no images'),
  (tiny_sets.idx_bytes(np.zeros((12, 2), np.uint8)), "labels have 1 dimension"),
  (tiny_sets.idx_bytes(np.zeros(0, np.uint8)), "labels have 1 dimension and are not empty"),
])  # fmt: skip
def test_idx_labels(tmp_path, labels, words):
  tiny_sets.write_idx(tmp_path, packed=False)
  (tmp_path / "train-labels-idx1-ubyte").write_bytes(labels)
  refused(tmp_path, words)


def test_idx_splits(tmp_path):
  tiny_sets.write_idx(tmp_path)
  refused(tmp_path, 'split "val": IDX folders have', split="val")
  os.remove(tmp_path / "t10k-images-idx3-ubyte.gz")
  refused(tmp_path, "no test images: t10k-images-idx3-ubyte", split="test")


@given(place=st.integers(0, len(PACKED) - 1), value=st.integers(0, 255), cut=st.booleans())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_byte_of_a_packed_idx_file_can_change_unseen(tmp_path, place, value, cut):
  """Any one byte, or the end, is either harmless (gzip's name and time) or refused; nothing else ever happens."""
  tiny_sets.write_idx(tmp_path)
  raw = PACKED[:place] if cut else PACKED[:place] + bytes([value]) + PACKED[place + 1 :]
  (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(raw)
  try:
    np.testing.assert_array_equal(everything(tmp_path)["image"][..., 0], tiny_sets.images(12))
  except DataFormatError as error:
    assert "train-" in str(error) and "\n" not in str(error)


class Bomb:
  def __reduce__(self):
    return os.system, ("touch executed",)


def npy_bytes(array: np.ndarray, **changes) -> bytes:
  """An npy file with a header that may lie."""
  header = {"descr": array.dtype.str, "fortran_order": False, "shape": array.shape, **changes}
  text = repr(header).encode() + b"\n"
  return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + array.tobytes()


def npz_bytes(how=zipfile.ZIP_STORED, **members: bytes) -> bytes:
  raw = io.BytesIO()
  with zipfile.ZipFile(raw, "w", how) as archive:
    for name, content in members.items():
      archive.writestr(f"{name}.npy", content)
  return raw.getvalue()


def saved(**named) -> bytes:
  raw = io.BytesIO()
  np.savez(raw, **named)
  return raw.getvalue()


PIXELS = tiny_sets.images(6, (4, 4))
OBJECTS = np.array([Bomb()], object)
FLOATS = PIXELS / 255
WHOLE = saved(images=PIXELS)


def changed(array, place, value):
  array = np.array(array, np.float32 if isinstance(value, float) else np.int64)
  array[place] = value
  return array


@pytest.mark.parametrize("raw, words", [
  (saved(images=OBJECTS), "images.npy .at byte 0.: holds Python objects, that is a pickle"),
  (saved(images=PIXELS, labels=OBJECTS), "labels.npy .*holds Python objects"),
  (npz_bytes(images=npy_bytes(PIXELS, descr=[("a", "|O")])), "Python objects"),
  (saved(pictures=PIXELS), 'no array "images"; it holds pictures'),
  (saved(images=PIXELS, labels=np.arange(5)), "6 images but 5 labels"),
  (saved(images=PIXELS, labels=np.array([0, 0, 2, 2, 3, 1.0])), "labels must be whole numbers"),
  (saved(images=PIXELS, labels=np.array([0, 0, 2, 2, 3, 3])), "class 1 is empty"),
  (saved(images=PIXELS, labels=np.array([0, 0, -1, 2, 3, 3])), "a label is -1"),
  (saved(images=np.zeros((3, 4, 4, 2), np.uint8)), r"of shape \(3, 4, 4, 2\)"),
  (saved(images=np.zeros((3, 4, 4, 4), np.uint8)), r"of shape \(3, 4, 4, 4\)"),
  (saved(images=np.zeros((3, 3, 8, 8), np.uint8)), "have their channels first"),
  (saved(images=np.zeros((0, 4, 4), np.uint8)), "there are none"),
  (saved(images=PIXELS[0]), "must be uint8 of shape"),
  (saved(images=np.array(["a"])), "images must be numbers"),
  (saved(images=changed(FLOATS, (3, 0, 2), np.nan)), r"images\[3, 0, 2\] is nan; floats must lie in \[0, 1\]"),
  (saved(images=changed(FLOATS, (0, 0, 0), np.inf)), r"is inf; floats"),
  (saved(images=PIXELS.astype(np.float32)), r"images\[.*is [0-9.]+; floats must lie in \[0, 1\] or \[-1, 1\]"),
  (saved(images=changed(FLOATS, (5, 3, 3), -1.5)), r"images\[5, 3, 3\] is -1.5"),
  (saved(images=changed(PIXELS, (2, 1, 1), 256)), r"images\[2, 1, 1\] is 256; whole numbers must lie in 0 to 255"),
  (saved(images=changed(PIXELS, (2, 1, 1), -1)), r"is -1; whole numbers"),
  (WHOLE[:-30], "not a whole npz file of"),
  (WHOLE[: len(WHOLE) // 2], "not a whole npz file"),
  (b"", "not a whole npz file of 0 bytes"),
  (WHOLE.replace(PIXELS.tobytes(), PIXELS.tobytes()[::-1]), "images.npy .at byte 0.: damaged: Bad CRC-32"),
  (npz_bytes(images=b"hello"), "not an npy array: its first bytes are 68 65 6c 6c 6f"),
  (npz_bytes(images=npy_bytes(PIXELS)[:40]), "its header cannot be read"),
  (npz_bytes(images=npy_bytes(PIXELS)[:-1]), r"promises 96 bytes of data \(6, 4, 4\); 95 are there"),
  (npz_bytes(images=npy_bytes(PIXELS, shape=(2**40, 2**40))), "promises [0-9,]+ bytes of data .*; 96 are there"),
  (npz_bytes(images=npy_bytes(PIXELS, shape=(-6, -4, 4))), "its header says shape"),
  (npz_bytes(images=npy_bytes(PIXELS, shape=(True, 96))), "its header says shape|promises|must be uint8"),
  (npz_bytes(images=npy_bytes(PIXELS, descr="|V0")), "its header says shape|cannot be read"),
  (npz_bytes(images=npy_bytes(PIXELS, extra=1)), "its header cannot be read"),
  (npz_bytes(images=b"\x93NUMPY\x01\x00" + struct.pack("<H", 9000) + b"(" * 9000), "its header cannot be read"),
  (npz_bytes(images=b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**31) + b"(" * 100), "a header of 2,147,483,648 bytes"),
  (npz_bytes(zipfile.ZIP_LZMA, images=npy_bytes(np.zeros(2**20, np.uint8), shape=(1024, 32, 32))), "would unpack to 1,048,576 bytes"),
])  # fmt: skip
def test_npz(tmp_path, monkeypatch, raw, words):
  monkeypatch.chdir(tmp_path)
  (tmp_path / "data.npz").write_bytes(raw)
  refused(tmp_path, f"data.npz.*({words})")
  assert os.listdir(tmp_path) == ["data.npz"]  # the pickle has not run


def test_an_npz_that_unpacks_to_more_than_memory_should_hold(tmp_path, monkeypatch):
  monkeypatch.setattr(arrays, "MAX_BYTES", 2**20)
  np.savez_compressed(tmp_path / "data.npz", images=np.zeros((3, 1024, 1024), np.uint8))
  refused(tmp_path, "would unpack to 3,145,728 bytes, more than 1,048,576; a large set belongs in an npy file")


@pytest.mark.parametrize("raw, words", [
  (pickle.dumps(Bomb()), "not an npy array"),
  (npy_bytes(PIXELS)[:-1], r"promises 96 bytes of data \(6, 4, 4\) from byte [0-9]+; the file ends at byte"),
  (npy_bytes(PIXELS, shape=(2**60, 4, 4)), "promises [0-9,]+ bytes"),
  (npy_bytes(PIXELS, descr="|O"), "holds Python objects"),
  (npy_bytes(PIXELS[:0]), "there are no images"),
  (npy_bytes(FLOATS * 2), r"floats must lie"),
  (b"", "not an npy array: its first bytes are"),
])  # fmt: skip
def test_npy(tmp_path, monkeypatch, raw, words):
  monkeypatch.chdir(tmp_path)
  (tmp_path / "x.npy").write_bytes(raw)
  refused(tmp_path / "x.npy", words)
  assert os.listdir(tmp_path) == ["x.npy"]


def png(array, **options) -> bytes:
  raw = io.BytesIO()
  Image.fromarray(array).save(raw, "PNG", **options)
  return raw.getvalue()


def chunk(kind: bytes, content: bytes) -> bytes:
  return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_of(width: int, height: int, content: bytes = b"", *before: bytes) -> bytes:
  header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
  return b"\x89PNG\r\n\x1a\n" + header + b"".join(before) + chunk(b"IDAT", content) + chunk(b"IEND", b"")


def jpeg(array) -> bytes:
  raw = io.BytesIO()
  Image.fromarray(array).save(raw, "JPEG")
  return raw.getvalue()


PNG = png(tiny_sets.images(1, (8, 8))[0])
IDAT = PNG.index(b"IDAT") - 4


@pytest.mark.parametrize("name, raw, words", [
  ("x.png", b"", "x.png: not a PNG or JPEG picture"),
  ("x.png", b"hello", "not a PNG or JPEG picture"),
  ("x.png", PNG[:20], "x.png: (damaged|not a PNG)"),
  ("x.png", PNG[: IDAT + 20], rf"x.png: chunk IDAT at byte {IDAT} should go on to byte [0-9]+; the file ends at byte {IDAT + 20}"),
  ("x.png", PNG[:-12], "the file ends at byte [0-9]+, before its last chunk"),
  ("x.png", PNG[: IDAT + 30] + b"\xff\xff" + PNG[IDAT + 32 :], f"chunk IDAT at byte {IDAT} is damaged: its checksum does not fit"),
  ("x.png", png_of(8, 8, zlib.compress(bytes(20))), "x.png: damaged: "),  # well-formed, with too few pixels
  ("x.png", png_of(8, 8, b"no zlib data"), "x.png: damaged: "),
  ("x.png", png_of(9000, 9000, zlib.compress(b"")), "its header promises 9,000 x 9,000 pixels; at most 67,108,864"),
  ("x.png", png_of(2**31 - 1, 2**31 - 1), "its header promises more pixels"),
  ("x.png", png_of(0, 8), "x.png: "),
  ("x.png", png_of(8, 8, b"", chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(2**26)))), "x.png: damaged: "),  # a bomb in the text
  ("x.jpg", jpeg(tiny_sets.images(1, (64, 64))[0])[:-300], "x.jpg: damaged: .*; the file ends at byte [0-9,]+, without an end marker"),
  ("x.jpg", jpeg(tiny_sets.images(1, (64, 64))[0])[:100], "x.jpg: (damaged|not a PNG)"),
  ("x.gif", b"GIF89a", "read as PNG or JPEG only; convert it"),
])  # fmt: skip
def test_pictures(tmp_path, name, raw, words):
  tiny_sets.write_png(tmp_path / "a.png", tiny_sets.images(1, (8, 8) if name == "x.png" else (64, 64))[0])
  (tmp_path / name).write_bytes(raw)
  refused(tmp_path, words)


@given(place=st.integers(0, len(PNG) - 1), bits=st.integers(1, 255))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_byte_of_a_png_can_change_unseen(tmp_path, place, bits):
  (tmp_path / "x.png").write_bytes(PNG[:place] + bytes([PNG[place] ^ bits]) + PNG[place + 1 :])
  with pytest.raises(DataFormatError, match=r"x\.png: "):
    everything(tmp_path)


def test_folders(tmp_path):
  refused(tmp_path, "holds none of: MNIST-named IDX files")
  refused(tmp_path / "nothing", "nothing: no such file or folder")
  tiny_sets.write_classes(tmp_path)
  refused(tmp_path, 'has no split "test"', split="test")
  (tmp_path / "eel").mkdir()
  refused(tmp_path, 'class "eel" is empty')
  tiny_sets.write_png(tmp_path / "eel" / "0.png", np.zeros((4, 5, 3), np.uint8))
  refused(tmp_path, r"eel/0.png: 5 x 4, but cat/0.png is 4 x 4; set size")
  tiny_sets.write_png(tmp_path / "eel" / "young" / "0.png", np.zeros((4, 4, 3), np.uint8))
  refused(tmp_path, "one level too high")
  tiny_sets.write_png(tmp_path / "loose.png", np.zeros((4, 4, 3), np.uint8))
  refused(tmp_path, 'pictures .*"loose.png".* beside folders')
  refused(tmp_path / "loose.png", "ends in .npz or .npy; else give a folder")


def test_a_picture_that_changes_while_it_is_in_use(tmp_path):
  tiny_sets.write_classes(tmp_path)
  source = sources.source(str(tmp_path))
  tiny_sets.write_png(tmp_path / "cat" / "1.png", np.zeros((9, 9, 3), np.uint8))
  with pytest.raises(DataFormatError, match=r"cat/1.png: has changed: 9 x 9, and 4 x 4"):
    source.rows(np.array([1]))
  os.remove(tmp_path / "cat" / "1.png")
  with pytest.raises(OSError, match=r"cat/1\.png"):
    source.rows(np.array([1]))


def test_pairs(tmp_path):
  tiny_sets.write_pairs(tmp_path)
  os.rename(tmp_path / "A" / "3.png", tmp_path / "A" / "4.png")
  refused(tmp_path, "2 without a partner of the same name on the other side: A/4.png, B/3.png")
  for side in "AB":
    for file in (tmp_path / side).iterdir():
      file.unlink()
  refused(tmp_path, "A/ and B/ hold no pictures")


def test_several_broken_lines_of_captions_are_listed(tmp_path):
  tiny_sets.write_captions(tmp_path)
  with (tmp_path / "captions.jsonl").open("a") as file:
    file.write("{\n[1]\n" + '{"image": "pictures/9.png", "caption": "x"}\n' + "3\n" * 9)
  refused(tmp_path, r"captions.jsonl line 3: not JSON.*; line 4: must be an object.*; line 5: .*is not there; line 6: .*; line 7: must[^;]*$")


@pytest.mark.parametrize("line, words", [
  ("{", "captions.jsonl line 3: not JSON"),
  ("[" * 100_000, "captions.jsonl line 3: not JSON"),
  ("[1]", r'captions.jsonl line 3: must be an object \{"image"'),
  ('{"image": "pictures/0.png"}', "line 3: must be an object"),
  ('{"image": "pictures/0.png", "caption": 3}', "line 3: must be an object"),
  ('{"image": "", "caption": "x"}', "line 3: must be an object"),
  ('{"image": "pictures/9.png", "caption": "x"}', 'line 3: "pictures/9.png" is not there'),
  ('{"image": "pictures", "caption": "x"}', "line 3: .*not a plain file"),
  ('{"image": "../other.png", "caption": "x"}', 'line 3: "../other.png" leads out of the folder'),
  ('{"image": "pictures/../../other.png", "caption": "x"}', "line 3: .*leads out of the folder"),
  ('{"image": "/etc/passwd", "caption": "x"}', "line 3: .*leads out of the folder"),
  ('{"image": "a\\u0000b", "caption": "x"}', "line 3: .*leads out of the folder"),
  ('{"image": "link.png", "caption": "x"}', "line 3: .*leads out of"),
  (b'{"image": "pictures/0.png", "caption": "\xff"}', "line 3: not JSON"),
  ('{"image": "pictures/0.png", "caption": "' + "x" * 2**20 + '"}', "line 3: longer than"),
])  # fmt: skip
def test_captions(tmp_path, line, words):
  tiny_sets.write_png(tmp_path / "other.png", np.zeros((4, 4, 3), np.uint8))
  tiny_sets.write_captions(tmp_path / "set")
  os.symlink("../other.png", tmp_path / "set" / "link.png")
  with (tmp_path / "set" / "captions.jsonl").open("ab") as file:
    file.write(line if isinstance(line, bytes) else line.encode())
  refused(tmp_path / "set", words)


def test_captions_without_lines(tmp_path):
  (tmp_path / "captions.jsonl").write_text("\n\n")
  refused(tmp_path, "holds no captions")


@pytest.mark.parametrize("kind", ["folder", "class", "idx", "npz", "captions", "pairs"])
def test_links_that_leave_the_folder(tmp_path, kind):
  home, other = tmp_path / "set", tmp_path / "other"
  tiny_sets.write_classes(other)
  tiny_sets.write_idx(other / "idx", packed=False)
  np.savez(other / "data.npz", images=PIXELS)
  (other / "captions.jsonl").write_text(json.dumps({"image": "cat/0.png", "caption": "x"}))
  tiny_sets.write_classes(home / "classes")
  link, target = {
    "folder": ("classes/cat/z.png", other / "cat" / "0.png"),
    "class": ("classes/eel", other / "cat"),
    "idx": ("train-images-idx3-ubyte", other / "idx" / "train-images-idx3-ubyte"),
    "npz": ("data.npz", other / "data.npz"),
    "captions": ("captions.jsonl", other / "captions.jsonl"),
    "pairs": ("pairs/B", other / "cat"),
  }[kind]
  (home / "pairs" / "A").mkdir(parents=True)
  os.symlink(target, home / link)
  refused({"folder": home / "classes", "class": home / "classes", "pairs": home / "pairs"}.get(kind, home), "leads out of")


@pytest.mark.parametrize("name", ["x.png", "data.npz", "train-images-idx3-ubyte", "captions.jsonl"])
def test_a_pipe_does_not_wait_for_ever(tmp_path, name):
  os.mkfifo(tmp_path / name)
  refused(tmp_path, f"{name}.*not a plain file")


def test_links_that_lead_nowhere(tmp_path):
  tiny_sets.write_classes(tmp_path)
  os.symlink("nowhere.png", tmp_path / "cat" / "z.png")
  refused(tmp_path, r"z\.png")
  os.symlink("train-images-idx3-ubyte", tmp_path / "train-images-idx3-ubyte")
  refused(tmp_path, "train-images-idx3-ubyte")


def test_memory_checks_what_it_is_given():
  for arguments, words in [
    ((PIXELS.astype(np.float32),), "must be uint8"),
    ((PIXELS, np.zeros((6, 2), int)), "whole numbers of shape"),
    ((PIXELS, np.arange(7)), "6 images but 7 labels"),
  ]:
    with pytest.raises(DataFormatError, match=words):
      sources.memory(*arguments)
  with pytest.raises(DataFormatError, match="a label is 5; labels are 0 to 1"):
    sources.memory(PIXELS, np.arange(6), classes=("a", "b"))
  with pytest.raises(DataFormatError, match="6 images but 3 source images"):
    sources.memory(PIXELS, source=PIXELS[:3])
