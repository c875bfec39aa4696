"""Is there a triangle in the picture, where are its corners, and what can be said of it? In closed form, with no learned network.

  line       the background's colours lie on a line: a robust principal component of the pixels at the border
  matte      what is left of a pixel when its part along that line is taken away, as a share of the fill's: how much of the pixel is covered
  corners    from the second and third moments of the matte, then Gauss-Newton on exact coverage
  subject    how well that triangle explains the matte: overlap, moments, the worst defect of 3 x 3 pixels, the fill's evenness
  background what lies well outside: is it one hue, and which texture (plain; the best of a thousand templates; white noise)

The table of what it accepts is in docs/triangles.md, and its rows are tests. Trap: what is less than a pixel and a half of area goes unseen, so the
verdict at 16 pixels is milder than at 32.
"""

import functools
import itertools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from gan_jax.data.base import finite_rows
from gan_jax.data.triangles.attributes import AREAS, HUES, TEXTURES
from gan_jax.data.triangles.coverage import coverage, slopes
from gan_jax.data.triangles.renderer import PERIODS, lightness

CHUNK = 256  # images read at once
SUBJECT_LIMITS = {  # of `Verdict.scores`
  "overlap": (0.75, np.inf),  # of matte and fitted triangle: intersection over union
  "defect": (0.0, 1.5),  # pixels: the largest area missing or in excess within 3 x 3 pixels; blur hardly moves it
  "defect_share": (0.0, 0.065),  # the same, of the triangle's area
  "spill": (0.0, 0.05),  # what is painted elsewhere, of the triangle's area
  "impurity": (0.0, 0.1),  # standard deviation of the fill's colour
  "contrast": (0.15, np.inf),  # of the fill, to the background's line
  "margin": (0.03, np.inf),  # (s1 + s2 - s3) / (s1 + s2 + s3)
  "outside": (-np.inf, 0.5),  # pixels that a corner lies outside of the picture
  "area": (0.02, 0.5),  # of the picture
}
BACKGROUND_LIMITS = {"off_hue": (0.0, 0.08), "unknown_texture": (0.0, 0.5)}
PLAIN = 0.03  # standard deviation of a plain background's lightness
MATCH = 0.6  # correlation with the best template, for a texture to be that
WHITE = 0.3  # correlation of neighbouring pixels, at most, for the rest to be noise
TEXTURE_SIZE = 32  # larger images are averaged down for the templates
NUM_PHASES = 8
ROUNDS = 8  # of Gauss-Newton
REACH = 2 * np.sqrt(2)  # of the corners of an equilateral triangle whose covariance is the identity


class Verdict(NamedTuple):
  """What N images show. Of one without a triangle the rest is the best guess."""

  triangle_ok: np.ndarray  # [N] bool: within all SUBJECT_LIMITS
  background_ok: np.ndarray  # [N] bool: within all BACKGROUND_LIMITS
  vertices: np.ndarray  # [N, 3, 2], (x, y) in pixels, clockwise
  attributes: np.ndarray  # int32 [N, 5]: type, size, fill, background, texture
  scores: dict[str, np.ndarray]  # [N] each

  @property
  def texture_ok(self) -> np.ndarray:
    """[N] bool: a texture of its own, not what is left."""
    return self.scores["unknown_texture"] == 0


def verify(images: Any) -> Verdict:
  """Read images [N, size, size, 3] in [-1, 1]. Those that are not finite show nothing.

  ValueError: none, or images that are not square and in colour.
  """
  given = np.asarray(images, np.float32)
  if given.ndim != 4 or not len(given) or given.shape[1] != given.shape[2] or given.shape[3] != 3 or given.shape[1] < 12:
    raise ValueError(f"images must be [N, size, size, 3] of at least 12 pixels, N at least 1; got shape {given.shape}")
  size, number = given.shape[1], len(given)
  finite = finite_rows(given)
  padded = np.concatenate([np.where(finite[:, None, None, None], given, 0), np.zeros((-number % CHUNK, *given.shape[1:]), np.float32)])
  templates = _templates(_texture_size(size))
  parts = [jax.tree.map(np.asarray, _read(padded[start : start + CHUNK], templates)) for start in range(0, len(padded), CHUNK)]
  found = jax.tree.map(lambda *leaves: np.concatenate(leaves)[:number], *parts)
  vertices, attributes, scores = found
  within = lambda limits: finite & np.all([(scores[name] >= low) & (scores[name] <= high) for name, (low, high) in limits.items()], axis=0)
  return Verdict(within(SUBJECT_LIMITS), within(BACKGROUND_LIMITS), vertices, attributes, scores)


def mattes(images: Any) -> np.ndarray:
  """How much of each pixel the subject of images [N, size, size, 3] covers, [N, size, size] in [0, 1], whatever its shape."""
  given = np.asarray(images, np.float32)
  padded = np.concatenate([np.nan_to_num(given), np.zeros((-len(given) % CHUNK, *given.shape[1:]), np.float32)])
  parts = [np.asarray(_mattes(padded[start : start + CHUNK])) for start in range(0, len(padded), CHUNK)]
  return np.concatenate(parts)[: len(given)]


def vertex_error(found: np.ndarray, true: np.ndarray) -> np.ndarray:
  """Root mean square distance of corners [N, 3, 2] to the true ones, in the order that suits best: [N].

  >>> corners = np.array([[[0., 0.], [3., 0.], [0., 4.]]])
  >>> vertex_error(np.roll(corners, 1, axis=1) + [0., 2.], corners)
  array([2.])
  """
  orders = [found[:, list(order)] for order in ((0, 1, 2), (1, 2, 0), (2, 0, 1), (0, 2, 1), (2, 1, 0), (1, 0, 2))]
  return np.sqrt(np.min([((order - true) ** 2).sum(-1).mean(-1) for order in orders], axis=0))


@jax.jit
def _read(images: Array, templates: Array) -> tuple[Array, Array, dict[str, Array]]:
  return jax.vmap(lambda image: _one(jnp.clip((image + 1) / 2, 0, 1), templates))(images)


@jax.jit
def _mattes(images: Array) -> Array:
  return jax.vmap(lambda image: _matte(jnp.clip((image + 1) / 2, 0, 1))[0])(images)


def _one(image: Array, templates: Array) -> tuple[Array, Array, dict[str, Array]]:
  """(vertices [3, 2], attributes [5], scores) of an image [S, S, 3] in [0, 1]."""
  size = image.shape[0]
  matte, contrast = _matte(image)
  start, ellipse = _from_moments(matte)
  vertices = _refined(matte, start)
  raster = coverage(vertices, size)
  area = jnp.maximum(raster.sum(), 1e-3)
  near = _pooled(raster, jnp.max, 5) > 0
  seen = jnp.where(near | (matte > 0.3), matte, 0)  # further away, a faint matte is noise
  inside = jnp.maximum(raster - 0.9, 0) + 1e-6 * raster + 1e-12
  fill = _mean(image, inside)
  subject = {
    "contrast": contrast,
    "ellipse": ellipse,  # no limit: the defect says it better
    "overlap": jnp.minimum(seen, raster).sum() / jnp.maximum(jnp.maximum(seen, raster).sum(), 1e-3),
    "defect": abs(_pooled(seen - raster, jnp.sum, 3)).max(),
    "spill": jnp.where(near, 0, seen).sum() / area,
    "impurity": jnp.sqrt(_mean(((image - fill) ** 2).sum(-1, keepdims=True), inside)[0]),
    "outside": jnp.maximum(-vertices.min(), vertices.max() - size),
    "area": area / size**2,
  }
  subject["defect_share"] = subject["defect"] / area
  sides = jnp.sort(jnp.linalg.norm(vertices - jnp.roll(vertices, 1, axis=0), axis=-1))
  subject["margin"] = (sides[0] + sides[1] - sides[2]) / jnp.maximum(sides.sum(), 1e-6)
  outer = (_pooled(raster, jnp.max, 3) == 0).astype(jnp.float32)
  texture, ground, background = _background(image, outer, templates)
  bounds = jnp.array([np.sqrt(low[1] * high[0]) for low, high in itertools.pairwise(AREAS)])
  attributes = jnp.stack([_type(sides), (subject["area"] > bounds).sum(), _hue(fill), _hue(ground), texture])
  return vertices, attributes.astype(jnp.int32), subject | background


def _matte(image: Array) -> tuple[Array, Array]:
  """(matte [S, S] in [0, 1], contrast): the share of the fill in each pixel, once the background's line is taken away; the fill's length then."""
  middle, direction = _line(jnp.concatenate([image[0], image[-1], image[1:-1, 0], image[1:-1, -1]]))
  rest = (image - middle).reshape(-1, 3)
  rest = rest - (rest @ direction)[:, None] * direction
  _, strongest = lax.top_k(jnp.linalg.norm(rest, axis=-1), max(6, round(0.035 * len(rest))))
  candidates = rest[strongest]
  near = lambda point, width: jnp.exp(-((candidates - point) ** 2).sum(-1) / (2 * width**2))
  fill = candidates[jax.vmap(lambda point: near(point, 0.05).sum())(candidates).argmax()]
  for _ in range(3):
    weights = near(fill, 0.05)
    fill = weights @ candidates / weights.sum()
  square = jnp.maximum((fill**2).sum(), 1e-6)
  return jnp.clip(rest @ fill / square, 0, 1).reshape(image.shape[:2]), jnp.sqrt(square)


def _line(points: Array) -> tuple[Array, Array]:
  """(a point, a direction [3] of length 1) of the line that most of the points [P, 3] lie near; direction 0 where they are all alike."""
  weights = jnp.ones(len(points))
  middle, direction = points[0], jnp.zeros(3)
  for _ in range(6):
    middle = weights @ points / weights.sum()
    apart = points - middle
    spread = (apart * weights[:, None]).T @ apart / weights.sum()
    power = spread / jnp.maximum(jnp.trace(spread), 1e-12)
    for _ in range(6):
      power = power @ power
      power = power / jnp.maximum(jnp.trace(power), 1e-12)
    column = power[:, jnp.diagonal(power).argmax()]
    direction = column / jnp.maximum(jnp.linalg.norm(column), 1e-12)
    along = apart @ direction
    direction = jnp.where(weights @ along**2 / weights.sum() < 0.02**2, 0, direction)
    off = apart - (apart @ direction)[:, None] * direction
    weights = 1 / (1 + (off**2).sum(-1) / 0.03**2)
  return middle, direction


def _from_moments(matte: Array) -> tuple[Array, Array]:
  """(vertices [3, 2], q) of a uniform shape. Of a triangle with covariance C and whitened points, E[(x + iy)^3] = R^3 / 10 e^(3 i angle), R = sqrt 8.

  q = min(a, 1 / a), a = 108 det C / area^2: 1 for triangles, .75 for a square, .68 for an ellipse.
  """
  size = matte.shape[0]
  hard = (matte > 0.5).astype(jnp.float32)
  area = jnp.maximum(hard.sum(), 1)
  y, x = jnp.meshgrid(jnp.arange(size) + 0.5, jnp.arange(size) + 0.5, indexing="ij")
  mean = lambda values: (hard * values).sum() / area
  center = jnp.stack([mean(x), mean(y)])
  x, y = x - center[0], y - center[1]
  xx, yy, xy = mean(x**2) - 1 / 12, mean(y**2) - 1 / 12, mean(x * y)  # less the spread of a pixel
  xx, yy = jnp.maximum(xx, 0.05), jnp.maximum(yy, 0.05)
  root = jnp.sqrt(jnp.maximum(xx * yy - xy**2, 1e-3))
  scale = jnp.sqrt(xx + yy + 2 * root)
  sqrt = jnp.array([[xx + root, xy], [xy, yy + root]]) / scale
  inverse = jnp.array([[yy + root, -xy], [-xy, xx + root]]) / (scale * root)
  u, v = inverse[0, 0] * x + inverse[0, 1] * y, inverse[1, 0] * x + inverse[1, 1] * y
  angles = jnp.arctan2(mean(3 * u**2 * v - v**3), mean(u**3 - 3 * u * v**2)) / 3 + jnp.arange(3) * 2 * jnp.pi / 3
  ratio = 108 * root**2 / area**2
  return center + REACH * jnp.stack([jnp.cos(angles), jnp.sin(angles)], axis=-1) @ sqrt, jnp.minimum(ratio, 1 / ratio)


def _refined(matte: Array, vertices: Array) -> Array:
  """Gauss-Newton with Cauchy weights: the triangle whose coverage is nearest to the matte."""
  size = matte.shape[0]

  def step(vertices: Array, _: Any) -> tuple[Array, None]:
    error = matte - coverage(vertices, size)
    slope = slopes(vertices, size).reshape(6, -1)
    weighted = slope / (1 + (error.reshape(-1) / 0.25) ** 2)
    square = weighted @ slope.T
    move = jnp.linalg.solve(square + (1e-3 * jnp.trace(square) / 6 + 1e-3) * jnp.eye(6), weighted @ error.reshape(-1))
    return jnp.clip(vertices + jnp.clip(move, -2, 2).reshape(3, 2), -size, 2 * size), None

  return lax.scan(step, vertices, None, ROUNDS)[0]


def _background(image: Array, outer: Array, templates: Array) -> tuple[Array, Array, dict[str, Array]]:
  """(texture, mean colour, scores) of the pixels where `outer` [S, S] is 1."""
  ground = _mean(image, outer + 1e-12)
  hue = ground / jnp.maximum(jnp.linalg.norm(ground), 1e-6)
  light = image @ hue
  off = image - light[..., None] * hue
  light = jnp.where(outer > 0, light - _mean(light[..., None], outer + 1e-12)[0], 0)
  total = jnp.maximum(outer.sum(), 1)
  spread = jnp.sqrt((light**2).sum() / total)
  beside = lambda a, b: (a[:, 1:] * b[:, :-1]).sum() + (a[1:] * b[:-1]).sum()
  neighbours = beside(light, light) / jnp.maximum(beside(outer, outer), 1) / jnp.maximum(spread**2, 1e-6)

  shrink = image.shape[0] // _texture_size(image.shape[0])
  mean = lambda values: values.reshape(values.shape[0] // shrink, shrink, -1, shrink).mean((1, 3)).reshape(-1)
  weights = (mean(outer) > 0.999).astype(jnp.float32)
  values = mean(light) * weights
  values = (values - values.sum() / jnp.maximum(weights.sum(), 1)) * weights
  known = templates.reshape(-1, templates.shape[-1]).T  # [P, T]
  sums, squares = weights @ known, weights @ known**2
  variance = squares - sums**2 / jnp.maximum(weights.sum(), 1)
  match = values @ known / jnp.sqrt(jnp.maximum(variance, 1e-3) * jnp.maximum((values**2).sum(), 1e-6))
  best = match.reshape(templates.shape[:2]).max(1)  # of striped, checkered, dotted, gradient
  plain, matched = spread < PLAIN, best.max() >= MATCH
  texture = jnp.where(plain, 0, jnp.where(matched, 1 + best.argmax(), len(TEXTURES) - 1))
  scores = {
    "off_hue": jnp.sqrt((outer[..., None] * off**2).sum() / total), "spread": spread, "match": best.max(), "neighbours": neighbours,
    "unknown_texture": (~plain & ~matched & (neighbours > WHITE)).astype(jnp.float32),
  }  # fmt: skip
  return texture, ground, scores


@functools.lru_cache(maxsize=4)
def _templates(size: int) -> np.ndarray:
  """[4, T, size^2]: striped, checkered, dotted and gradient, in all periods and directions and many phases; rows repeat where a class has fewer."""
  steps = np.arange(NUM_PHASES) / NUM_PHASES
  once, twice = np.stack([steps, 0 * steps], -1), np.stack(np.meshgrid(steps, steps), -1).reshape(-1, 2)
  angles = np.arange(8) * np.pi / 4
  every = {
    "striped": [(period, angle, phase) for period in PERIODS for angle in angles[:4] for phase in once],
    "checkered": [(period, angle, phase) for period in PERIODS for angle in angles[:2] for phase in twice],
    "dotted": [(period, angle, phase) for period in PERIODS for angle in angles[:2] for phase in twice],
    "gradient": [(PERIODS[0], angle, once[0]) for angle in angles],
  }
  most = max(map(len, every.values()))
  made = []
  for name, settings in every.items():
    chosen = [settings[k % len(settings)] for k in range(most)]
    period, angle, phase = (jnp.asarray(np.array(values), jnp.float32) for values in zip(*chosen, strict=True))
    draw = jax.jit(jax.vmap(functools.partial(lightness, TEXTURES.index(name), size)))
    made.append(np.asarray(draw(period, angle, phase)).reshape(most, -1))
  return np.stack(made)


def _texture_size(size: int) -> int:
  return next(size // shrink for shrink in range(max(1, size // TEXTURE_SIZE), 0, -1) if size % shrink == 0)


def _type(sides: Array) -> Array:
  """The type of a triangle with these sides [3], the shortest first; the data's types lie well apart (`renderer._sides`)."""
  short, middle, long = jnp.maximum(sides, 1e-6)
  angle = jnp.rad2deg(jnp.arccos(jnp.clip((short**2 + middle**2 - long**2) / (2 * short * middle), -1, 1)))
  even = jnp.minimum(middle / short, long / middle) < 1.05
  return jnp.where(long / short < 1.12, 0, jnp.where(even & (abs(angle - 90) > 4), 1, jnp.where(abs(angle - 90) < 4, 2, 3)))


def _hue(colour: Array) -> Array:
  """The nearest of the six hues."""
  red, green, blue = colour
  degrees = jnp.rad2deg(jnp.arctan2(jnp.sqrt(3.0) * (green - blue), 2 * red - green - blue))
  return (jnp.round(degrees / 60) % len(HUES)).astype(jnp.int32)


def _mean(values: Array, weights: Array) -> Array:
  """[C], of values [S, S, C]."""
  return (values * weights[..., None]).sum((0, 1)) / weights.sum()


def _pooled(values: Array, reduce: Any, width: int) -> Array:
  """`reduce` over width x width neighbours, as shifts: cheaper than a window, and to compile too."""
  reach = width // 2
  padded = jnp.pad(values, reach)
  rows = reduce(jnp.stack([padded[k : k + values.shape[0]] for k in range(width)]), axis=0)
  return reduce(jnp.stack([rows[:, k : k + values.shape[1]] for k in range(width)]), axis=0)
