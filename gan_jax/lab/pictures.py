"""Image files: grids of samples, and films of them."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from gan_jax.lab import rundir
from gan_jax.lab.errors import StorageError

CAPTION = 16  # pixels of the strip above a frame
MOST_FRAMES = 60


def tile(images: np.ndarray, *, columns: int = 8, scale: int | None = None, gap: int = 1) -> np.ndarray:
  """`[N, H, W, C]` in [-1, 1] (C 1 or 3) as one uint8 picture `[h, w, 3]`, enlarged to about 32 px an image. Non-finite pixels are magenta."""
  n, height, width, channels = images.shape
  scale = scale or max(1, 32 // height)
  bad = ~np.isfinite(images).all(axis=-1)
  pixels = as_bytes(images)
  pixels = np.repeat(pixels, 3, axis=-1) if channels == 1 else pixels.copy()
  pixels[bad] = (255, 0, 255)
  pixels = pixels.repeat(scale, axis=1).repeat(scale, axis=2)
  rows = -(-n // columns)
  canvas = np.full((rows * (height * scale + gap) + gap, columns * (width * scale + gap) + gap, 3), 255, np.uint8)
  for number, image in enumerate(pixels):
    top, left = (gap + (number // columns) * (height * scale + gap), gap + (number % columns) * (width * scale + gap))
    canvas[top : top + height * scale, left : left + width * scale] = image
  return canvas


def as_bytes(images: np.ndarray) -> np.ndarray:
  """[-1, 1] -> uint8; what is not finite becomes an end of the range, or the middle."""
  return np.clip(np.nan_to_num(images) * 127.5 + 127.5, 0, 255).round().astype(np.uint8)


def grid(images: np.ndarray, path: Path, *, columns: int = 8, rows: Sequence[str] = ()) -> None:
  """A PNG of `tile(images)`, with a name before each of its rows. StorageError: it cannot be written."""
  canvas, content = tile(images, columns=columns), io.BytesIO()
  Image.fromarray(_named_rows(canvas, rows) if rows else canvas).save(content, "PNG")
  rundir.write(path, content.getvalue())


def by_class(images: np.ndarray, classes: np.ndarray, num_classes: int, columns: int) -> np.ndarray:
  """The first `columns` images of each class, class by class, `[num_classes * columns, ...]`; white where a class has too few."""
  kept = np.ones((num_classes, columns, *images.shape[1:]), images.dtype)
  for number, room in enumerate(kept):
    found = images[classes == number][:columns]
    room[: len(found)] = found
  return kept.reshape(-1, *images.shape[1:])


def of_condition(conditions: np.ndarray, shape: Sequence[int]) -> np.ndarray:
  """Conditions `[N, h, w, K]` as images of `shape`: enlarged by whole pixels, holes white, and maps of K classes as K greys."""
  channels = shape[-1]
  conditions = conditions.repeat(shape[0] // conditions.shape[1], axis=1).repeat(shape[1] // conditions.shape[2], axis=2)
  count = conditions.shape[-1]
  if count == channels:
    return conditions
  if count == channels + 1:
    return np.where(conditions[..., -1:] > 0.5, 1.0, conditions[..., :-1])
  greys = conditions.mean(axis=-1, keepdims=True) if count in (1, 3) else conditions.argmax(axis=-1, keepdims=True) * 2 / (count - 1) - 1
  return greys.repeat(channels, axis=-1)


def film(frames: Sequence[np.ndarray], path: Path, *, milliseconds: int = 120, captions: Sequence[str] = ()) -> None:
  """A GIF that repeats for ever, of uint8 pictures `[h, w, 3]` of one size; grey ones keep every shade. StorageError: it cannot be written."""
  shown = [_captioned(frame, caption) for frame, caption in zip(frames, captions, strict=True)] if captions else list(frames)
  pictures = [_palette(frame) for frame in shown]
  content = io.BytesIO()
  pictures[0].save(content, "GIF", save_all=True, append_images=pictures[1:], duration=milliseconds, loop=0)
  rundir.write(path, content.getvalue())


def film_of_run(folder: Path) -> None:
  """training.gif from the folder's round_*.png, of which up to 60 are shown, evenly spaced, the last among them; nothing without any.

  StorageError: one of them cannot be read, or the film cannot be written.
  """
  found = sorted(folder.glob("round_*.png"), key=lambda path: (len(path.name), path.name))
  if not found:
    return
  chosen = [found[number] for number in np.unique(np.linspace(0, len(found) - 1, min(len(found), MOST_FRAMES)).round().astype(int))]
  try:
    frames = [np.asarray(Image.open(path).convert("RGB")) for path in chosen]
  except OSError as error:
    raise StorageError(f"{folder}: cannot read a picture of the run: {error}") from error
  film(frames, folder / "training.gif", captions=[f"round {int(path.stem.removeprefix('round_')):,}" for path in chosen])


def _named_rows(canvas: np.ndarray, rows: Sequence[str]) -> np.ndarray:
  font, height = ImageFont.load_default(), len(canvas) / len(rows)
  width = int(max(font.getlength(name) for name in rows)) + 8
  margin = Image.new("RGB", (width, len(canvas)), "white")
  for number, name in enumerate(rows):
    ImageDraw.Draw(margin).text((width - 4, (number + 0.5) * height), name, fill="black", font=font, anchor="rm")
  return np.concatenate([np.asarray(margin), canvas], axis=1)


def _captioned(frame: np.ndarray, caption: str) -> np.ndarray:
  strip = Image.new("RGB", (frame.shape[1], CAPTION), "white")
  ImageDraw.Draw(strip).text((3, 2), caption, fill="black", font=ImageFont.load_default())
  return np.concatenate([np.asarray(strip), frame])


def _palette(frame: np.ndarray) -> Image.Image:
  picture = Image.fromarray(frame)
  grey = (frame == frame[..., :1]).all()
  return picture.convert("L") if grey else picture.quantize(256, dither=Image.Dither.NONE)
