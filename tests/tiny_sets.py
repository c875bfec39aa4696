"""Small data sets as files, for tests that read them and tests that damage them."""

import gzip
import json
import struct

import numpy as np
from PIL import Image


def idx_bytes(array: np.ndarray, kind: int = 8) -> bytes:
  return struct.pack(">BBBB", 0, 0, kind, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def images(n: int = 12, shape: tuple[int, ...] = (6, 5), seed: int = 0) -> np.ndarray:
  return np.random.default_rng(seed).integers(0, 256, (n, *shape), dtype=np.uint8)


def write_idx(folder, *, packed: bool = True, train: int = 12, test: int = 6, classes: int = 3) -> dict[str, tuple[np.ndarray, np.ndarray]]:
  """The four MNIST-named files; gives {split: (images, labels)}."""
  folder.mkdir(parents=True, exist_ok=True)
  made = {}
  for split, prefix, n in (("train", "train", train), ("test", "t10k", test)):
    made[split] = images(n, seed=n), (np.arange(n) % classes).astype(np.uint8)
    for name, array in zip(("images-idx3-ubyte", "labels-idx1-ubyte"), made[split], strict=True):
      raw = idx_bytes(array)
      (folder / f"{prefix}-{name}{'.gz' if packed else ''}").write_bytes(gzip.compress(raw) if packed else raw)
  return made


def write_png(path, array: np.ndarray, mode: str | None = None) -> None:
  path.parent.mkdir(parents=True, exist_ok=True)
  Image.fromarray(array, mode).save(path)


def write_classes(folder, *, each: int = 3, classes: tuple[str, ...] = ("cat", "dog"), shape: tuple[int, ...] = (4, 4, 3)) -> np.ndarray:
  """PNG files in class folders; gives the images, class after class."""
  made = images(each * len(classes), shape)
  for i, image in enumerate(made):
    write_png(folder / classes[i // each] / f"{i % each}.png", image)
  return made


def write_pairs(folder, *, n: int = 4) -> tuple[np.ndarray, np.ndarray]:
  """A/ grey 3x3, B/ RGB 6x6."""
  a, b = images(n, (3, 3)), images(n, (6, 6, 3), seed=1)
  for i in range(n):
    write_png(folder / "A" / f"{i}.png", a[i])
    write_png(folder / "B" / f"{i}.png", b[i])
  return a, b


def write_captions(folder, texts: tuple[str, ...] = ("a red bird", "a blue bird")) -> np.ndarray:
  made = images(len(texts), (4, 4, 3))
  for i, image in enumerate(made):
    write_png(folder / "pictures" / f"{i}.png", image)
  lines = [json.dumps({"image": f"pictures/{i}.png", "caption": text}) for i, text in enumerate(texts)]
  (folder / "captions.jsonl").write_text("\n".join(lines) + "\n")
  return made
