"""Image files."""

from pathlib import Path

import numpy as np
from PIL import Image


def tile(images: np.ndarray, *, columns: int = 8, scale: int | None = None, gap: int = 1) -> np.ndarray:
  """`[N, H, W, C]` in [-1, 1] (C 1 or 3) as one uint8 picture `[h, w, 3]`, enlarged to about 32 px an image. Non-finite pixels are magenta."""
  n, height, width, channels = images.shape
  scale = scale or max(1, 32 // height)
  bad = ~np.isfinite(images).all(axis=-1)
  pixels = np.clip(np.nan_to_num(images) * 127.5 + 127.5, 0, 255).round().astype(np.uint8)
  pixels = np.repeat(pixels, 3, axis=-1) if channels == 1 else pixels.copy()
  pixels[bad] = (255, 0, 255)
  pixels = pixels.repeat(scale, axis=1).repeat(scale, axis=2)
  rows = -(-n // columns)
  canvas = np.full((rows * (height * scale + gap) + gap, columns * (width * scale + gap) + gap, 3), 255, np.uint8)
  for number, image in enumerate(pixels):
    top, left = (gap + (number // columns) * (height * scale + gap), gap + (number % columns) * (width * scale + gap))
    canvas[top : top + height * scale, left : left + width * scale] = image
  return canvas


def grid(images: np.ndarray, path: Path, *, columns: int = 8) -> None:
  Image.fromarray(tile(images, columns=columns)).save(path)
