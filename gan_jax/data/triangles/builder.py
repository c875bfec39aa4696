"""The fixed splits as a TensorFlow Datasets set, for whoever wants files: images, attributes, corners, captions, masks and maps."""

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

from gan_jax.data.triangles import captions
from gan_jax.data.triangles.attributes import ATTRIBUTES, NAMES
from gan_jax.data.triangles.dataset import SPLITS, rendered


class Config(tfds.core.BuilderConfig):
  """A size of images, and how many: all of a split unless told otherwise."""

  def __init__(self, size: int, most: int | None = None):
    name = f"{size}px" if most is None else f"{size}px_{most}"
    super().__init__(name=name, version="1.0.0", description=f"{size} x {size} pixels")
    self.size, self.most = size, most


class Triangles(tfds.core.GeneratorBasedBuilder):
  """`Triangles(config="32px", data_dir=..., file_format="array_record").download_and_prepare()`; nothing is downloaded, TensorFlow is not needed.

  Then `gan_jax.data.tfds("triangles/32px", data_dir=..., label="type")`, like any other set.
  """

  name = "triangles"
  VERSION = tfds.core.Version("1.0.0")
  BUILDER_CONFIGS = [Config(size) for size in (16, 32, 64, 128)]  # noqa: RUF012

  def _info(self) -> tfds.core.DatasetInfo:
    size = self.builder_config.size
    labels = {name: tfds.features.ClassLabel(names=list(values)) for name, values in ATTRIBUTES.items()}
    return self.dataset_info_from_configs(
      features=tfds.features.FeaturesDict({
        "image": tfds.features.Image(shape=(size, size, 3)),
        "mask": tfds.features.Image(shape=(size, size, 1)),
        "segmentation": tfds.features.Image(shape=(size, size, 1)),
        "vertices": tfds.features.Tensor(shape=(3, 2), dtype=np.float32),
        "caption": tfds.features.Text(),
        **labels,
      }),
      description="Triangles of known shape and colour on textured backgrounds, rendered by gan_jax.",
    )

  def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
    return {split: self._generate_examples(split) for split in SPLITS}

  def _generate_examples(self, split: str) -> Iterator[tuple[int, dict[str, Any]]]:
    size, most = self.builder_config.size, self.builder_config.most
    for number, truth in enumerate(rendered(size, split, most or SPLITS[split])):
      yield number, {
        "image": _png(truth["image"]),
        "mask": _png(truth["mask"]),
        "segmentation": _png(truth["segmentation"]),
        "vertices": truth["vertices"],
        "caption": captions.text(truth["tokens"]),
        **{name: int(value) for name, value in zip(NAMES, truth["attributes"], strict=True)},
      }


def _png(pixels: np.ndarray) -> io.BytesIO:
  """uint8 [H, W, C] as a PNG file; of arrays TFDS makes them with TensorFlow."""
  file = io.BytesIO()
  Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(file, "PNG")
  file.seek(0)
  return file
