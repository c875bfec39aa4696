"""What the verifier of triangles accepts: true images, and 20 ways of being wrong. Prints the table of docs/triangles.md.

  .venv/bin/python tests/triangles_calibration.py 32 1024        size, images of each kind
"""

import functools
import sys
from collections.abc import Callable

import jax
import numpy as np
from scipy.ndimage import gaussian_filter

from gan_jax.data.triangles import parameters, render
from gan_jax.data.triangles.attributes import AREAS, NAMES, combinations
from gan_jax.data.triangles.verifier import Verdict, verify, vertex_error

FINE = 8  # points a pixel, in both directions, where no exact area is at hand
Inside = Callable[[np.ndarray], np.ndarray]  # points [P, 2] in pixels -> bool [P]


@functools.cache
def true(size: int, n: int) -> dict[str, np.ndarray]:
  """Pictures of n records, and what is true of them."""
  def one(key: jax.Array) -> dict[str, jax.Array]:
    record = parameters(key, combinations())
    return {**render(record, size), "fill": 2 * record.fill - 1}

  return jax.tree.map(np.asarray, jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(2024), n)))


def levels(images: np.ndarray) -> np.ndarray:
  """As they come out of a file: 256 levels."""
  return (np.round((np.clip(images, -1, 1) + 1) * 127.5) / 127.5 - 1).astype(np.float32)


def cases(size: int, n: int) -> dict[str, Callable[[], np.ndarray]]:
  """Images [n, size, size, 3] of every kind, made when asked for."""
  made, rng = true(size, n), np.random.default_rng(0)
  image, background, mask, corners = made["image"], made["background"], made["mask"], made["vertices"].astype(np.float64)
  fill = made["fill"][:, None, None]
  paint = lambda cover: levels(background + cover * (fill - background))
  shaped = lambda shapes: paint(np.stack([_cover(inside, size) for inside in shapes])[..., None])
  other = np.roll(np.arange(n), 1)
  noisy = lambda sd: levels(image + 2 * sd * rng.standard_normal(image.shape))
  blurred = lambda sd: levels(gaussian_filter(image, (0, sd, sd, 0)))
  halves = np.where(np.arange(size)[:, None, None] < size / 2, background, background[other])
  return {
    "true, float": lambda: image,
    "true, 256 levels": lambda: levels(image),
    "+ N(0, .02)": lambda: noisy(0.02),
    "+ N(0, .05)": lambda: noisy(0.05),
    "blurred, .5 px": lambda: blurred(0.5),
    "blurred, .8 px": lambda: blurred(0.8),
    "blurred, 1.2 px": lambda: blurred(1.2),
    "quads": lambda: shaped([_polygon(4, size, rng) for _ in range(n)]),
    "pentagons": lambda: shaped([_polygon(5, size, rng) for _ in range(n)]),
    "hexagons": lambda: shaped([_polygon(6, size, rng) for _ in range(n)]),
    "ellipses": lambda: shaped([_ellipse(size, rng) for _ in range(n)]),
    "corners rounded, 1.5 px": lambda: shaped([_rounded(v, 1.5) for v in corners]),
    "corners rounded, 3 px": lambda: shaped([_rounded(v, 3.0) for v in corners]),
    "a corner cut by 15 %": lambda: shaped([_cut(v, 0.15) for v in corners]),
    "a corner cut by 30 %": lambda: shaped([_cut(v, 0.30) for v in corners]),
    "warped, 1 px": lambda: shaped([_warped(v, 1.0, size, rng) for v in corners]),
    "warped, 2 px": lambda: shaped([_warped(v, 2.0, size, rng) for v in corners]),
    "warped, 3 px": lambda: shaped([_warped(v, 3.0, size, rng) for v in corners]),
    "a hole in the middle": lambda: shaped([_holed(v) for v in corners]),
    "no triangle": lambda: levels(background),
    "two triangles": lambda: paint(np.maximum(mask, mask[other])),
    "mean of two images": lambda: levels((image + image[other]) / 2),
    "halves of two backgrounds": lambda: levels(halves + mask * (fill - halves)),
    "noise": lambda: levels(rng.uniform(-1, 1, image.shape)),
    "grey": lambda: np.zeros_like(image),
  }  # fmt: skip


def read(size: int, n: int, kind: str) -> Verdict:
  return verify(cases(size, n)[kind]())


def accuracy(size: int, n: int, verdict: Verdict) -> dict[str, float]:
  """Share of right attributes, all five, and the vertex error of true images."""
  right, error = verdict.attributes == true(size, n)["attributes"], vertex_error(verdict.vertices, true(size, n)["vertices"])
  shares = {name: float(right[:, column].mean()) for column, name in enumerate(NAMES)}
  return shares | {"all five": float(right.all(axis=1).mean())} | {f"error {q} %": float(np.percentile(error, q)) for q in (50, 90, 99)}


def _cover(inside: Inside, size: int) -> np.ndarray:
  """[size, size]: the share of points of each pixel that are inside."""
  line = (np.arange(size * FINE) + 0.5) / FINE
  points = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
  return inside(points).reshape(size, FINE, size, FINE).mean((1, 3))


def _edges(corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Inward normals [k, 2] and offsets [k] of a convex polygon that goes round clockwise (y downwards)."""
  along = np.roll(corners, -1, axis=0) - corners
  normal = np.stack([-along[:, 1], along[:, 0]], -1) / np.linalg.norm(along, axis=1, keepdims=True)
  return normal, (normal * corners).sum(1)


def _convex(corners: np.ndarray) -> Inside:
  normal, offset = _edges(corners)
  return lambda points: (points @ normal.T >= offset).all(axis=1)


def _polygon(k: int, size: int, rng: np.random.Generator) -> Inside:
  """k corners on an ellipse, a quarter of their spacing moved at most."""
  angles = 2 * np.pi * (np.arange(k) + rng.uniform(-0.25, 0.25, k)) / k
  return _convex(_placed(np.stack([np.cos(angles), rng.uniform(0.6, 1) * np.sin(angles)], -1), size, rng))


def _ellipse(size: int, rng: np.random.Generator) -> Inside:
  angles = 2 * np.pi * np.arange(64) / 64
  return _convex(_placed(np.stack([np.cos(angles), rng.uniform(0.5, 1) * np.sin(angles)], -1), size, rng))


def _placed(shape: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
  """Turned, of an area as triangles have, anywhere on the canvas."""
  turn, area = rng.uniform(0, 2 * np.pi), rng.uniform(*AREAS[rng.integers(3)]) * size**2
  shape = shape @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
  following = np.roll(shape, -1, axis=0)
  shape = shape * np.sqrt(area / abs((shape[:, 0] * following[:, 1] - shape[:, 1] * following[:, 0]).sum() / 2))
  low, high = shape.min(0), shape.max(0)
  return shape + rng.uniform(2 * size / 32 - low, np.maximum(30 * size / 32 - high, 2 * size / 32 - low))


def _rounded(corners: np.ndarray, radius: float) -> Inside:
  """All points of discs of this radius inside the triangle; a triangle that is too thin for any keeps its largest disc."""
  normal, offset = _edges(corners)
  sides = np.linalg.norm(corners - np.roll(corners, -1, axis=0), axis=1)
  opposite = np.roll(sides, -1)  # of each corner
  centre, inradius = opposite @ corners / sides.sum(), float(normal[0] @ (opposite @ corners / sides.sum()) - offset[0])
  radius = min(radius, inradius)
  inner = centre + (corners - centre) * (1 - radius / inradius)

  def inside(points: np.ndarray) -> np.ndarray:
    along = np.roll(inner, -1, axis=0) - inner
    t = np.clip(((points[:, None] - inner) * along).sum(-1) / np.maximum((along**2).sum(-1), 1e-12), 0, 1)
    near = np.linalg.norm(points[:, None] - inner - t[..., None] * along, axis=-1).min(1) <= radius
    return near | _convex(inner)(points) if radius < inradius else near

  return inside


def _cut(corners: np.ndarray, share: float) -> Inside:
  """Without what lies within `share` of the sides from corner 0."""
  normal, offset = _edges(corners)
  height = normal[1] @ corners[0] - offset[1]  # of corner 0 over the side opposite
  return lambda points: _convex(corners)(points) & (points @ normal[1] - offset[1] <= (1 - share) * height)


def _warped(corners: np.ndarray, pixels: float, size: int, rng: np.random.Generator) -> Inside:
  """Points moved by waves, two or three to the canvas."""
  waves, phases = rng.uniform(2, 3, (2, 2)) * rng.choice([-1, 1], (2, 2)) * 2 * np.pi / size, rng.uniform(0, 2 * np.pi, 2)
  return lambda points: _convex(corners)(points + pixels * np.sin(points @ waves + phases))


def _holed(corners: np.ndarray) -> Inside:
  """Without a disc in the middle, of half the radius of the inscribed one."""
  normal, offset = _edges(corners)
  centre = corners.mean(0)
  radius = (normal @ centre - offset).min() / 2
  return lambda points: _convex(corners)(points) & (np.linalg.norm(points - centre, axis=1) > radius)


def main(size: int, n: int) -> None:
  print(f"{n} images of each kind, {size} x {size}\n\n| input | triangle_ok | background_ok |\n|---|---|---|")
  for kind in cases(size, n):
    found = read(size, n, kind)
    print(f"| {kind} | {found.triangle_ok.mean():.3f} | {found.background_ok.mean():.3f} |", flush=True)
  print()
  for name, value in accuracy(size, n, read(size, n, "true, 256 levels")).items():
    print(f"{name}: {value:.4f}")


if __name__ == "__main__":
  main(int(sys.argv[1]), int(sys.argv[2]))
