"""Pictures of triangles from parameters, in pure JAX: an image, and everything that is true of it.

A record holds numbers on a canvas of 1 x 1, so that it can be drawn at any size. The background has two shades of one hue, and the triangle another
hue: every pixel of the background lies on a line through colour space, the triangle does not, and so an image says exactly how much of each pixel
is covered, whatever the texture (`verifier.py`). Keep that when you add colours.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gan_jax.data.triangles import captions
from gan_jax.data.triangles.attributes import AREAS, TEXTURES
from gan_jax.data.triangles.coverage import coverage

MARGIN = 2 / 32  # of the canvas stays free at every side
PERIODS = (4 / 32, 6 / 32, 8 / 32)  # of stripes, squares and dots
LEAST_PERIOD = 4  # pixels: what is finer is drawn with this
DOT = 0.3  # radius, of the period
SATURATION, VALUE = (0.8, 1.0), (0.85, 1.0)  # of the fill
PALE, DARK, LIGHT = (0.55, 0.75), 0.42, 0.80  # of the background: saturation, and the values of its two shades
HUE_SPREAD = 8.0  # degrees
CANDIDATES = 96  # shapes that are drawn, of which the first that fits on the canvas is taken


class Record(NamedTuple):
  """One picture as numbers. Leading axes are free."""

  vertices: Array  # [3, 2], (x, y) on a canvas of 1 x 1, y downwards, clockwise
  attributes: Array  # int32 [5]: type, size, fill, background colour, texture (`attributes.ATTRIBUTES`)
  fill: Array  # [3], RGB in [0, 1]
  shades: Array  # [2, 3], RGB of the background: dark, light
  pattern: Array  # [4]: period, angle, two phases
  noise: Array  # uint32: the seed of a noisy background
  tokens: Array  # int32 [captions.LENGTH]: the caption


def parameters(key: Array, combinations: np.ndarray | Array) -> Record:
  """Draw a record: one of the `combinations` of attributes [M, 5], each alike, and the rest uniformly within it."""
  u = jax.random.uniform(key, (6 * CANDIDATES + 24,))  # of one draw: every further one takes seconds to compile
  shape, u = u[: 6 * CANDIDATES].reshape(CANDIDATES, 6), u[6 * CANDIDATES :]
  attributes = jnp.asarray(combinations)[(u[0] * len(combinations)).astype(jnp.int32)]
  kind, size, fill, background, _ = attributes
  colour = _hsv(60 * fill + HUE_SPREAD * (2 * u[1] - 1), _between(u[2], SATURATION), _between(u[3], VALUE))
  ground = _hsv(60 * background + HUE_SPREAD * (2 * u[4] - 1), _between(u[5], PALE), 1.0)
  period, angle = jnp.asarray(PERIODS)[(u[6] * len(PERIODS)).astype(jnp.int32)], jnp.floor(u[7] * 8) * jnp.pi / 4
  return Record(
    vertices=_place(shape, u[8:10], kind, jnp.asarray(AREAS)[size]),
    attributes=attributes,
    fill=colour,
    shades=jnp.stack([DARK * ground, LIGHT * ground]),
    pattern=jnp.stack([period, angle, u[10], u[11]]),
    noise=jax.lax.bitcast_convert_type(u[12], jnp.uint32) ^ jax.lax.bitcast_convert_type(u[13], jnp.uint32) << 9,
    tokens=captions.draw(u[14:21], attributes),
  )


def render(record: Record, size: int = 32) -> dict[str, Array]:
  """One record as a picture of size x size pixels, and all that is true of it. Pure JAX; `jax.vmap` it over records.

    image         [H, W, 3] in [-1, 1], background + mask (fill - background)
    background    [H, W, 3] in [-1, 1], the same without the triangle
    mask          [H, W, 1] in [0, 1], the share of each pixel that is covered, exactly
    segmentation  int32 [H, W]: texture of the background 0 ... 5, or 6 + fill where at least half a pixel is covered
    edges         [H, W, 1] in [0, 1], the three sides as lines of a pixel
    lowres        [H / 4, W / 4, 3] in [-1, 1], means of 4 x 4 pixels of the image
    vertices      [3, 2], (x, y) in pixels
    attributes, tokens    of the record

  >>> from gan_jax.data.triangles.attributes import combinations
  >>> record = parameters(jax.random.key(0), combinations())
  >>> {name: value.shape for name, value in render(record, 32).items() if name in ("image", "mask", "lowres", "tokens")}
  {'image': (32, 32, 3), 'mask': (32, 32, 1), 'lowres': (8, 8, 3), 'tokens': (14,)}
  """
  vertices = record.vertices * size
  mask = coverage(vertices, size)[..., None]
  light = _texture(record, size)[..., None]
  background = 2 * (record.shades[0] * (1 - light) + record.shades[1] * light) - 1
  image = background + mask * (2 * record.fill - 1 - background)
  quarter = max(1, size // 4)
  return {
    "image": image,
    "background": background,
    "mask": mask,
    "segmentation": jnp.where(mask[..., 0] >= 0.5, len(TEXTURES) + record.attributes[2], record.attributes[4]),
    "edges": _outline(vertices, size)[..., None],
    "lowres": image.reshape(quarter, size // quarter, quarter, size // quarter, 3).mean((1, 3)),
    "vertices": vertices,
    "attributes": record.attributes,
    "tokens": record.tokens,
  }


def lightness(texture: int, size: int, period: Array, angle: Array, phases: Array) -> Array:
  """A texture without noise, [H, W] in [0, 1]: how light each pixel is. Averaged over a pixel along its direction.

  period and phases as in `Record.pattern`; a period of less than LEAST_PERIOD pixels is drawn as that.
  """
  centre = jnp.arange(size) + 0.5
  cos, sin = jnp.cos(angle), jnp.sin(angle)
  length = jnp.maximum(period * size, LEAST_PERIOD)
  along, across = centre * cos + centre[:, None] * sin, centre[:, None] * cos - centre * sin
  u, v = along / length + phases[0], across / length + phases[1]
  if TEXTURES[texture] == "striped":
    return _square_wave(u, 1 / length)
  if TEXTURES[texture] == "checkered":
    return (1 + (2 * _square_wave(u, 1 / length) - 1) * (2 * _square_wave(v, 1 / length) - 1)) / 2
  if TEXTURES[texture] == "dotted":
    from_dot = length * jnp.hypot(u - jnp.round(u), v - jnp.round(v))
    return jnp.clip(DOT * length - from_dot + 0.5, 0, 1)
  if TEXTURES[texture] == "gradient":
    middle = size / 2
    return 0.5 + ((centre - middle) * cos + (centre[:, None] - middle) * sin) / (size * (abs(cos) + abs(sin)))
  return jnp.full((size, size), 0.5)


def _texture(record: Record, size: int) -> Array:
  period, angle, phases = record.pattern[0], record.pattern[1], record.pattern[2:]
  drawn = [lightness(number, size, period, angle, phases) for number in range(len(TEXTURES) - 1)]
  noise = _hashed(record.noise + jnp.arange(size * size, dtype=jnp.uint32) * jnp.uint32(0x9E3779B9)).reshape(size, size)
  return jnp.stack([*drawn, noise])[record.attributes[4]]


def _place(u: Array, place: Array, kind: Array, areas: Array) -> Array:
  """The corners of a triangle of this type, with an area between `areas`, turned, mirrored and moved by numbers u [N, 6] and place [2]: [3, 2].

  Of CANDIDATES shapes the first is taken that fits, with a margin, at the least area; its area is uniform up to what fits. Should none fit (in less
  than one in five million), the best one is made smaller.
  """
  sides, turn = _sides(u[:, :3], kind), 2 * jnp.pi * u[:, 4]
  a, b, c = jnp.moveaxis(sides, -1, 0)  # opposite of corners 0, 1, 2; corner 0 at the origin, corner 1 on the x axis
  x = (b**2 + c**2 - a**2) / (2 * c)
  y = jnp.sqrt(jnp.maximum(b**2 - x**2, 1e-9))
  mirror = jnp.where(u[:, 5] < 0.5, 1, -1)
  corners = jnp.stack([jnp.zeros((CANDIDATES, 2)), jnp.stack([c, 0 * c], -1), jnp.stack([x, y * mirror], -1)], axis=1)
  corners = corners / jnp.sqrt(c * y / 2)[:, None, None]
  cos, sin = jnp.cos(turn), jnp.sin(turn)
  corners = corners @ jnp.stack([jnp.stack([cos, -sin], -1), jnp.stack([sin, cos], -1)], axis=-1)  # of area 1
  room = 1 - 2 * MARGIN
  most = jnp.where((sides > 0).all(-1), (room / (corners.max(1) - corners.min(1)).max(-1)) ** 2, 0)  # the area that fits
  fits = most >= areas[0]
  chosen = jnp.where(fits.any(), fits.argmax(), most.argmax())
  area = jnp.minimum(_between(u[chosen, 3], (areas[0], jnp.minimum(areas[1], most[chosen]))), most[chosen])
  corners = corners[chosen] * jnp.sqrt(area)
  corners = corners - corners.min(0)
  corners = corners + MARGIN + place * (room - corners.max(0))
  return jnp.where(mirror[chosen] > 0, corners, corners[::-1])


def _sides(u: Array, kind: Array) -> Array:
  """Three sides of each type from uniform numbers [N, 3]; zeros where the numbers give none.

  equilateral  1, 1, 1
  isosceles    legs 1, base .45 to .80 or 1.51 to 1.70: no two types at once
  right        acute angle of 24 to 38 degrees
  scalene      ratios of at least 1.15, (s1 + s2 - s3) / (s1 + s2 + s3) at least .06, largest angle at least 8 degrees from 90
  """
  first, second, third = jnp.moveaxis(u, -1, 0)
  one = jnp.ones_like(first)
  base = jnp.where(third < 0.5, _between(first, (0.45, 0.80)), _between(first, (1.51, 1.70)))
  acute = jnp.deg2rad(_between(first, (24.0, 38.0)))
  least = (1 + 0.06) / (1 - 0.06)  # of short + middle
  middle = _between(first, (least * 1.15 / 2.15, 1 / 1.15))
  short = _between(second, (least - middle, middle / 1.15))
  angle = jnp.rad2deg(jnp.arccos(jnp.clip((short**2 + middle**2 - 1) / (2 * short * middle), -1, 1)))
  scalene = abs(angle - 90) >= 8
  types = [
    jnp.stack([one, one, one], -1),
    jnp.stack([base, one, one], -1),
    jnp.stack([jnp.sin(acute), jnp.cos(acute), one], -1),
    jnp.stack([short, middle, one], -1) * scalene[:, None],
  ]
  return jnp.stack(types)[kind]


def _outline(vertices: Array, size: int) -> Array:
  """Lines of a pixel along the three sides, [H, W] in [0, 1]."""
  centre = jnp.arange(size) + 0.5
  points = jnp.stack(jnp.meshgrid(centre, centre), axis=-1)
  p, along = vertices[:, None, None], (jnp.roll(vertices, -1, axis=0) - vertices)[:, None, None]
  t = jnp.clip(((points - p) * along).sum(-1) / (along**2).sum(-1), 0, 1)
  distance = jnp.linalg.norm(points - p - t[..., None] * along, axis=-1)
  return jnp.clip(1 - distance, 0, 1).max(0)


def _square_wave(phase: Array, width: Array) -> Array:
  """1 in the first half of each period, 0 in the second; averaged over `width`."""
  integral = lambda s: jnp.floor(s) / 2 + jnp.minimum(s - jnp.floor(s), 0.5)
  return (integral(phase + width / 2) - integral(phase - width / 2)) / width


def _hashed(number: Array) -> Array:
  """uint32 -> [0, 1), as good as random: the finaliser of MurmurHash3. A tenth of the time of `jax.random`, to compile and to run."""
  number = (number ^ (number >> 16)) * jnp.uint32(0x85EBCA6B)
  number = (number ^ (number >> 13)) * jnp.uint32(0xC2B2AE35)
  return ((number ^ (number >> 16)) >> 8).astype(jnp.float32) / 2**24


def _hsv(hue: Array, saturation: Array, value: Array | float) -> Array:
  """[3], RGB in [0, 1], of a hue in degrees."""
  k = (jnp.array([5.0, 3.0, 1.0]) + hue / 60) % 6
  return value * (1 - saturation * jnp.clip(jnp.minimum(k, 4 - k), 0, 1))


def _between(u: Array, ends: tuple[float | Array, float | Array] | Array) -> Array:
  return ends[0] + u * (ends[1] - ends[0])
