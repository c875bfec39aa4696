"""One picture: PNG or JPEG of any mode and depth to uint8 grey or RGB, by rules that are written down, and nothing that is damaged.

Grey and RGB stay as they are. One bit becomes 0 or 255. 16 bits are scaled by 255 / 65535 and rounded (PIL keeps the high byte of 16-bit colour).
Palettes are looked up. What is transparent is laid over white. CMYK and YCbCr become RGB as PIL converts them, without colour profiles. Colour
becomes grey, where that is asked for, by ITU-R 601 (0.299 R + 0.587 G + 0.114 B). A JPEG's orientation is applied.
"""

import io
import warnings
import zlib
from typing import IO, NamedTuple

import numpy as np
from PIL import Image, ImageOps

from gan_jax.data.base import DataFormatError
from gan_jax.data.sources.files import plain

MAX_PIXELS = 2**26  # a header may promise any number; decoding them all is what a bomb is for
MAX_FILE = 2**28
FORMATS = ("PNG", "JPEG")
SIGNATURE = b"\x89PNG\r\n\x1a\n"
SIDEWAYS = (5, 6, 7, 8)  # EXIF orientations that swap width and height
ORIENTATION = 0x0112


class Header(NamedTuple):
  """What a picture says of itself."""

  height: int
  width: int
  channels: int  # 1 for grey, with or without transparency; 3 for colour


def header(path: str) -> Header:
  """Size and channels, without decoding.

  OSError: no such file. DataFormatError: no PNG or JPEG, or more than 2^26 pixels.
  """
  plain(path)
  with open(path, "rb") as file, warnings.catch_warnings():
    warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # ours is the stricter limit
    with _opened(path, file) as image:
      return _header(image)


def read(path: str, channels: int, size: int | None = None) -> np.ndarray:
  """The picture in a file as uint8 [H, W, channels]; see `decode`."""
  length = plain(path).st_size
  if length > MAX_FILE:
    raise DataFormatError(f"{path}: more than {MAX_FILE:,} bytes for one picture")
  with open(path, "rb") as file:
    return decode(file.read(length), path, channels, size)


def decode(raw: bytes, where: str, channels: int, size: int | None = None) -> np.ndarray:
  """An encoded picture as uint8 [H, W, channels], channels 1 or 3; with `size`, scaled and cropped to [size, size, channels] (`fit`).

  DataFormatError: damaged (PNG: the chunk and its offset), no PNG or JPEG, or more than 2^26 pixels; `where` begins the message.
  """
  if raw[:8] == SIGNATURE:
    _check_chunks(raw, where)
  with _opened(where, io.BytesIO(raw)) as image:
    try:
      pixels = np.asarray(fit(convert(image, channels), size))
      return pixels.reshape(*pixels.shape[:2], channels)
    except Exception as error:  # PIL's decoders raise whatever the bytes lead them to
      end = "" if raw[:8] == SIGNATURE or raw.rstrip(b"\0")[-2:] == b"\xff\xd9" else f"; the file ends at byte {len(raw):,}, without an end marker"
      raise DataFormatError(f"{where}: damaged: {error}{end}") from error


def from_array(pixels: np.ndarray, where: str, channels: int, size: int | None = None) -> np.ndarray:
  """Like `decode`, of pixels uint8 [H, W], [H, W, 1] or [H, W, 3].

  DataFormatError: pixels of another kind.
  """
  pixels = pixels[..., 0] if pixels.ndim == 3 and pixels.shape[-1] == 1 else pixels
  if pixels.dtype != np.uint8 or pixels.shape[2:] not in ((), (3,)):
    raise DataFormatError(f"{where}: {pixels.dtype} of shape {pixels.shape}; pictures are uint8 with 1 or 3 channels")
  image = np.asarray(fit(convert(Image.fromarray(pixels), channels), size))
  return image.reshape(*image.shape[:2], channels)


def convert(image: Image.Image, channels: int) -> Image.Image:
  """The picture upright, as mode L (channels 1) or RGB (3), by the rules above."""
  image = ImageOps.exif_transpose(image) if image.format == "JPEG" else image
  if image.mode[0] in "IF":  # I;16 and its kin
    image = Image.fromarray(((np.asarray(image).astype(np.int64).clip(0, 65535) * 255 + 32767) // 65535).astype(np.uint8))
  elif image.mode in ("LA", "PA", "La", "RGBA", "RGBa") or "transparency" in image.info:
    image = image.convert("RGBA")
    image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
  return image.convert("L" if channels == 1 else "RGB")


def fit(image: Image.Image, size: int | None) -> Image.Image:
  """Scaled (Lanczos, antialiased) so that the shorter side is `size`, and the middle cut out: [size, size]. None, and what fits, stay as they are."""
  if size is None or image.size == (size, size):
    return image
  scale = size / min(image.size)
  width, height = (max(size, round(side * scale)) for side in image.size)
  left, top = (width - size) // 2, (height - size) // 2
  return image.resize((width, height), Image.Resampling.LANCZOS).crop((left, top, left + size, top + size))


def _opened(where: str, file: IO[bytes]) -> Image.Image:
  try:
    image = Image.open(file, formats=FORMATS)
  except Image.UnidentifiedImageError as error:
    raise DataFormatError(f"{where}: not a PNG or JPEG picture") from error
  except Image.DecompressionBombError as error:
    raise DataFormatError(f"{where}: its header promises more pixels than the {MAX_PIXELS:,} that are decoded: {error}") from error
  except Exception as error:  # PIL's parsers raise whatever the bytes lead them to
    raise DataFormatError(f"{where}: damaged: {error}") from error
  if image.width * image.height > MAX_PIXELS:
    raise DataFormatError(f"{where}: its header promises {image.width:,} x {image.height:,} pixels; at most {MAX_PIXELS:,} are decoded")
  return image


def _header(image: Image.Image) -> Header:
  width, height = image.size
  if image.format == "JPEG" and image.getexif().get(ORIENTATION) in SIDEWAYS:
    width, height = height, width
  grey = image.mode[0] in "1LIF" and image.mode != "LAB"
  if image.mode == "P":
    palette = np.asarray(image.getpalette("RGB") or [0, 0, 0]).reshape(-1, 3)
    grey = bool((palette == palette[:, :1]).all())
  return Header(height, width, 1 if grey else 3)


def _check_chunks(raw: bytes, where: str) -> None:
  """Walk a PNG's chunks; PIL skips the checksums of the pixels."""
  start, kind = len(SIGNATURE), b""
  while kind != b"IEND":
    length, kind = int.from_bytes(raw[start : start + 4], "big"), raw[start + 4 : start + 8]
    name, end = kind.decode("ascii", "replace"), start + 12 + length
    if len(kind) < 4:
      raise DataFormatError(f"{where}: the file ends at byte {len(raw):,}, before its last chunk")
    if end > len(raw):
      raise DataFormatError(f"{where}: chunk {name} at byte {start:,} should go on to byte {end:,}; the file ends at byte {len(raw):,}")
    if zlib.crc32(memoryview(raw)[start + 4 : end - 4]) != int.from_bytes(raw[end - 4 : end], "big"):
      raise DataFormatError(f"{where}: chunk {name} at byte {start:,} is damaged: its checksum does not fit")
    start = end
