"""How much of each pixel a triangle covers: exact areas, by Green's theorem, with no supersampling. And how these areas move with its corners."""

import jax.numpy as jnp
from jax import Array

TINY = 1e-6


def coverage(vertices: Array, size: int) -> Array:
  """The share of every pixel that lies inside a triangle, [..., H, W] in [0, 1].

  An edge from p to q adds, with the sign of p_y - q_y, what lies to the right of it; clockwise, the three together leave the inside.

  vertices: [..., 3, 2], (x, y) in pixels, y downwards, pixel (i, j) being [j, j + 1] x [i, i + 1]; either orientation.

  >>> right = jnp.array([[0., 0.], [2., 0.], [0., 2.]])
  >>> coverage(right, 3).tolist()
  [[1.0, 0.5, 0.0], [0.5, 0.0, 0.0], [0.0, 0.0, 0.0]]
  """
  p, q = vertices[..., None, None, :], jnp.roll(vertices, -1, axis=-2)[..., None, None, :]
  row, column = jnp.arange(size, dtype=jnp.float32)[:, None], jnp.arange(size, dtype=jnp.float32)
  top, bottom = jnp.clip(p[..., 1], row, row + 1), jnp.clip(q[..., 1], row, row + 1)  # of the edge, within the row: from p to q
  rise = q[..., 1] - p[..., 1]
  slope = (q[..., 0] - p[..., 0]) / jnp.where(abs(rise) < TINY, 1, rise)
  first, second = (column + 1 - (p[..., 0] + (y - p[..., 1]) * slope) for y in (top, bottom))  # room to the right of the edge, at both ends
  inside = (top - bottom) * _mean_clipped(first, second)
  area = inside.sum(-3)
  return jnp.clip(area * jnp.sign(signed_area(vertices))[..., None, None], 0, 1)


def slopes(vertices: Array, size: int) -> Array:
  """d coverage / d vertices, [..., 3, 2, H, W]: a corner moves the parts of its two edges inside a pixel.

  Moving p of an edge moves its point at t by (1 - t), so the area by the edge's normal times the integral of 1 - t over the part of the edge that
  is inside the pixel.
  """
  p, q = vertices, jnp.roll(vertices, -1, axis=-2)
  row, column = jnp.arange(size, dtype=jnp.float32)[:, None], jnp.arange(size, dtype=jnp.float32)
  along = q - p
  enter, leave = _slab(p[..., 0], along[..., 0], column)
  enter_row, leave_row = _slab(p[..., 1], along[..., 1], row)
  enter, leave = jnp.maximum(jnp.maximum(enter, enter_row), 0), jnp.minimum(jnp.minimum(leave, leave_row), 1)
  whole = jnp.maximum(leave - enter, 0)
  late = whole * (leave + enter) / 2  # the integral of t
  normal = jnp.stack([along[..., 1], -along[..., 0]], axis=-1) * jnp.sign(signed_area(vertices))[..., None, None]
  start, end = ((whole - late)[..., None, :, :] * normal[..., None, None], late[..., None, :, :] * normal[..., None, None])
  return start + jnp.roll(end, 1, axis=-4)  # corner k ends edge k - 1


def signed_area(vertices: Array) -> Array:
  """[...]: positive where the corners go round clockwise on the screen (y downwards)."""
  first, second = vertices[..., 1, :] - vertices[..., 0, :], vertices[..., 2, :] - vertices[..., 0, :]
  return (first[..., 0] * second[..., 1] - first[..., 1] * second[..., 0]) / 2


def _mean_clipped(a: Array, b: Array) -> Array:
  """The mean of clip(u, 0, 1) over u from a to b."""
  low, high = jnp.minimum(a, b), jnp.maximum(a, b)
  inner_low, inner_high = jnp.clip(low, 0, 1), jnp.clip(high, 0, 1)
  whole = (inner_high - inner_low) * (inner_high + inner_low) / 2 + (jnp.maximum(high, 1) - jnp.maximum(low, 1))
  narrow = high - low < TINY
  return jnp.where(narrow, jnp.clip((low + high) / 2, 0, 1), whole / jnp.where(narrow, 1, high - low))


def _slab(start: Array, along: Array, edge: Array) -> tuple[Array, Array]:
  """When a point that goes from `start` by `along` enters and leaves [edge, edge + 1]."""
  safe = jnp.where(abs(along) < TINY, TINY, along)[..., None, None]
  first, second = (edge - start[..., None, None]) / safe, (edge + 1 - start[..., None, None]) / safe
  return jnp.minimum(first, second), jnp.maximum(first, second)
