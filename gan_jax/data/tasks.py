"""Tasks made of any image set: what a generator is given of an image, or beside it, and is to answer with the image."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from gan_jax.data.base import Batch, Data, PyTree, count


def lowres(of: Data, *, factor: int = 2) -> Data:
  """Super-resolution: the condition is the image `factor` times smaller, each pixel the mean of a block, float32 [n, H / factor, W / factor, C].

  ValueError: no images, or a factor that does not divide their height and width.

  >>> from gan_jax.data import sklearn_digits
  >>> lowres(sklearn_digits()).abstract(3)["condition"].shape
  (3, 4, 4, 1)
  """
  _images(of, "lowres")
  if count("factor", factor, 2) and (of.shape[0] % factor or of.shape[1] % factor):
    raise ValueError(f"lowres: factor {factor} does not divide images of {of.shape[0]} x {of.shape[1]}")
  return _conditioned(f"lowres{factor}_{of.name}", of, lambda image: _smaller(image, factor))


def hole(of: Data, *, smallest: int | None = None, largest: int | None = None) -> Data:
  """Inpainting: the condition is the image with a rectangle cut out, float32 [n, H, W, C + 1]: 0 in the hole, where the last channel is 1.

  Sides are whole numbers of pixels, uniform in [smallest, largest] and apart for height and width; by default from an eighth to a half of the
  shorter side. Places are uniform among those inside the image. Every batch cuts anew.

  ValueError: no images, sides that do not fit, or a streamed set, whose batches are made without a key.
  """
  _images(of, "hole")
  height, width = of.shape[:2]
  short = min(height, width)
  low, high = count("smallest", smallest or max(1, short // 8)), count("largest", largest or max(1, short // 2))
  if not low <= high <= short:
    raise ValueError(f"hole: sides of {low} to {high} pixels in images of {height} x {width}; smallest <= largest <= {short}")
  if of.streamed:
    raise ValueError(f"hole needs a set on the device, and {of.name} is streamed; raise device_bytes, or take fewer images")

  def span(key: Array, n: int, length: int) -> Array:
    """[n, length] bool: an interval of random size and place. Whole numbers alone, so that every device cuts alike."""
    side_key, place_key = jax.random.split(key)
    side = jax.random.randint(side_key, (n, 1), low, high + 1)
    start = jax.random.randint(place_key, (n, 1), 0, length - side + 1)
    return (jnp.arange(length) >= start) & (jnp.arange(length) < start + side)

  def draw(table: PyTree, key: Array, n: int) -> Batch:
    image = of.draw(table, key, n)["image"]
    rows_key, columns_key = jax.random.split(jax.random.fold_in(key, 1))
    cut = (span(rows_key, n, height)[:, :, None] & span(columns_key, n, width)[:, None, :])[..., None]
    return {"image": image, "condition": jnp.concatenate([jnp.where(cut, 0.0, image), cut.astype(image.dtype)], axis=-1)}

  return of._replace(name=f"hole{low}to{high}_{of.name}", draw=draw, num_classes=None, vocabulary=())


def unpaired(of: Data, *, source: Data) -> Data:
  """Unpaired translation: the image is one of `of`, the condition one of `source`, drawn without regard to each other.

  ValueError: no images, or a streamed set.
  """
  for data in (of, source):
    _images(data, "unpaired")
    if data.streamed:
      raise ValueError(f"unpaired needs sets on the device, and {data.name} is streamed; raise device_bytes, or take fewer images")

  def draw(table: PyTree, key: Array, n: int) -> Batch:
    image_key, source_key = jax.random.split(key)
    return {"image": of.draw(table[0], image_key, n)["image"], "condition": source.draw(table[1], source_key, n)["image"]}

  return of._replace(name=f"{source.name}_to_{of.name}", draw=draw, table=(of.table, source.table), rows=None, num_classes=None, vocabulary=())


def _conditioned(name: str, of: Data, make: Callable[[Array], Array]) -> Data:
  """`of` with a condition that is a function of the image alone, on the device or streamed."""

  def given(batch: Batch) -> Batch:
    return {"image": batch["image"], "condition": make(batch["image"])}

  rows = of.rows and of.rows._replace(collate=lambda examples: given(of.rows.collate(examples)))  # type: ignore[union-attr]
  return of._replace(name=name, draw=lambda table, key, n: given(of.draw(table, key, n)), rows=rows, num_classes=None, vocabulary=())


def _smaller(images: Array, factor: int) -> Array:
  n, height, width, channels = images.shape
  return images.reshape(n, height // factor, factor, width // factor, factor, channels).mean(axis=(2, 4))


def _images(of: Data, name: str) -> None:
  if len(of.shape) != 3:
    raise ValueError(f"{name} takes a set of images; {of.name} is of shape {of.shape}")
