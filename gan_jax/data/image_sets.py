"""Image sets for a config: what a path holds, and the sets of the field by name. Pixels are uint8 on the way in and float32 in [-1, 1] in a batch."""

import os
from typing import Literal

import numpy as np

from gan_jax.data import sources
from gan_jax.data.base import DEVICE_BYTES, Batch, Data, DataFormatError, Rows, Source, from_rows, pixels, unconditional, uniform
from gan_jax.data.tokens import Tokenised, tokenised

FASHION = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")


def images(path: str, split: str = "train", *, condition: Literal["label", "source", "caption"] | None = None, size: int | None = None,
           channels: Literal[1, 3] | None = None, length: int = 16, device_bytes: int = DEVICE_BYTES) -> Data:
  """The images of a folder or a file, of a kind that is recognised by what it holds.

  IDX files, npz, npy, pictures in class folders, pairs in A/ and B/, pictures with captions.jsonl, or a prepared TFDS set (`sources.kind`).

  condition: what a batch carries as "condition": the class ("label", int32 [n]), the other picture of a pair ("source", float32
    [n, H', W', C'] in [-1, 1]) or the caption's words ("caption", int32 [n, length], `tokens.tokenised`).
  size: scale the shorter side to it and cut out the middle square. channels: 1 for grey, 3 for RGB; by default what is there.
  device_bytes: sets that take more are streamed (`stream.py`); 0 streams any.

  OSError: nothing there. DataFormatError: broken, not recognised, or without what the condition needs.
  """
  source = sources.source(path, split, size=size, channels=channels)
  return conditioned("images", source, condition, where=path, length=length, device_bytes=device_bytes)


def mnist(split: Literal["train", "test"] = "train", *, path: str | None = None, condition: Literal["label"] | None = None,
          size: Literal[28, 32] = 28, device_bytes: int = DEVICE_BYTES) -> Data:
  """MNIST, 60,000 and 10,000 grey digits of 28 x 28, from the IDX files in `path`, by default $GAN_JAX_DATA/mnist.

  size: 32 puts a border of two black pixels round each. condition etc.: as in `images`.
  """
  return _idx("mnist", path, split, tuple("0123456789"), condition, size, device_bytes)


def fashion_mnist(split: Literal["train", "test"] = "train", *, path: str | None = None, condition: Literal["label"] | None = None,
                  size: Literal[28, 32] = 28, device_bytes: int = DEVICE_BYTES) -> Data:
  """Fashion-MNIST (Xiao et al., 2017, arXiv:1708.07747), grey clothes of ten kinds, from $GAN_JAX_DATA/fashion_mnist; settings as in `mnist`."""
  return _idx("fashion_mnist", path, split, FASHION, condition, size, device_bytes)


def cifar10(split: Literal["train", "test"] = "train", *, path: str | None = None, condition: Literal["label"] | None = None,
            device_bytes: int = DEVICE_BYTES) -> Data:
  """CIFAR-10, 50,000 and 10,000 photographs of 32 x 32 in ten classes, from a path or as TFDS has prepared it.

  path: of any kind that `images` reads; by default $GAN_JAX_DATA/cifar10, or, where that is not there, the TFDS set (`gan-jax data prepare
    cifar10`). condition etc.: as in `images`.
  """
  place = path or _place("cifar10")
  source: Source = sources.source(place, split) if place and (path or os.path.exists(place)) else sources.tfds("cifar10", split)
  if source.shape != (32, 32, 3):
    raise DataFormatError(f"{place or 'cifar10'}: images of shape {source.shape}; those of CIFAR-10 are (32, 32, 3)")
  return conditioned("cifar10", source, condition, where=place or "cifar10", device_bytes=device_bytes)


def tfds(set: str, split: str = "train", *, data_dir: str | None = None, condition: Literal["label"] | None = None, image: str = "image",
         label: str = "label", size: int | None = None, channels: Literal[1, 3] | None = None, device_bytes: int = DEVICE_BYTES) -> Data:
  """A set that TensorFlow Datasets has prepared as array_record, such as "cifar10"; TensorFlow is not needed to read it, and nothing is downloaded.

  split: as TFDS writes it, "train[:90%]". data_dir: by default $TFDS_DATA_DIR, or ~/tensorflow_datasets. image, label: names of features.
  condition, size, channels, device_bytes: as in `images`.

  DataFormatError: the set is not prepared (`gan-jax data prepare` does it), or lacks the split or a feature.
  """
  source = sources.tfds(set, split, data_dir=data_dir, image=image, label=label, size=size, channels=channels)
  return conditioned(set.replace("/", "_").replace(":", "_") if not os.path.isdir(set) else "tfds", source, condition, where=set,
                     device_bytes=device_bytes)


def sklearn_digits(*, condition: Literal["label"] | None = None, size: int | None = None) -> Data:
  """scikit-learn's 1,797 grey digits of 8 x 8 in ten classes: part of an installed package, so always there.

  >>> sklearn_digits(condition="label").abstract(5)["condition"].shape
  (5,)
  """
  from sklearn.datasets import load_digits  # a second of import that only this data set pays

  pictures, labels = load_digits(return_X_y=True)
  whole = np.rint(pictures.reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
  source = sources.fitted(sources.memory(whole, labels), size)
  return conditioned("sklearn_digits", source, condition, where="sklearn_digits")


def conditioned(name: str, source: Source, condition: str | None = None, *, where: str, length: int = 16, device_bytes: int = DEVICE_BYTES) -> Data:
  """The data set of a source: each example alike, with replacement, and what a batch carries beside the image; see `images`.

  DataFormatError: the source lacks what the condition needs; `where` begins the message.
  """
  if condition == "caption":
    source = tokenised(source, length)
  column = {"label": "label", "source": "source", "caption": "tokens"}.get(condition or "")
  example = source.rows(np.zeros(1, np.int64))
  if column is not None and column not in example:
    raise DataFormatError(f'{where}: condition = "{condition}", but its examples have only: {", ".join(example)}')

  if condition == "label" and source.labels is not None and source.labels.min() < 0:
    raise DataFormatError(f"{where}: example {source.labels.argmin()} has no label")

  def collate(examples: dict) -> Batch:
    value = examples[column]
    return {**unconditional(examples), "condition": pixels(value) if column == "source" else value}

  columns = ("image",) if column is None else ("image", column)
  rows = Rows(source, uniform(len(source)), unconditional if column is None else collate, columns)
  num_classes = len(source.classes) if condition == "label" else None
  made = from_rows(name, source.shape, rows, num_classes=num_classes, device_bytes=device_bytes)
  return made._replace(vocabulary=tuple(source.vocabulary)) if isinstance(source, Tokenised) else made


def _idx(name: str, path: str | None, split: str, classes: tuple[str, ...], condition: str | None, size: int, device_bytes: int) -> Data:
  place = path or _place(name)
  if place is None:
    raise DataFormatError(f"{name}: where is it? Set path, or the environment variable GAN_JAX_DATA to the folder that holds {name}/")
  source = sources.idx(os.path.expanduser(place), split, classes=classes)
  if source.shape != (28, 28, 1):
    raise DataFormatError(f"{place}: images of shape {source.shape}; those of {name} are (28, 28, 1)")
  if size != 28:
    border = (size - 28) // 2
    source = sources.memory(np.pad(source.columns["image"], ((0, 0), (border, border), (border, border), (0, 0))), source.labels,
                            classes=source.classes or None, kind="idx")
  return conditioned(name, source, condition, where=place, device_bytes=device_bytes)


def _place(name: str) -> str | None:
  root = os.environ.get("GAN_JAX_DATA")
  return os.path.join(root, name) if root else None
