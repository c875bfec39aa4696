"""Views that augment images, `[B, H, W, C]` in [-1, 1] with 0 the middle grey: differentiable, and every image with parameters of its own.

As views they act on real and fake alike, in D's turn and in G's, so G learns the distribution that was augmented, not the augmentation (one of the
real images alone leaks). Each acts on an example with the probability `look.chance`, always where nothing says otherwise.
"""

import jax
import jax.numpy as jnp
from jax import Array

from gan_jax.play import Look, View


def color() -> View:
  """DiffAugment's colours: brightness + U[-.5, .5], saturation * U[0, 2] about each pixel's grey, contrast * U[.5, 1.5] about the image's mean.

  Zhao et al., 2020 (arXiv:2006.10738), as in their code; values may leave [-1, 1]. Trap: the mean is the image's, not the batch's.
  """

  def apply(x: Array, look: Look) -> Array:
    _check(x, "color")

    def parameters(key: Array, n: int) -> Array:
      return jax.random.uniform(key, (3, n, 1, 1, 1)).swapaxes(0, 1)

    drawn = look.draw(parameters, len(x))
    brightness, saturation, contrast = (drawn[:, k] for k in range(3))
    y = x + brightness - 0.5
    grey = y.mean(axis=3, keepdims=True)
    y = (y - grey) * (2 * saturation) + grey
    mean = y.mean(axis=(1, 2, 3), keepdims=True)
    return look.sometimes(x, (y - mean) * (contrast + 0.5) + mean)

  return View(apply)


def translation(share: float = 0.125) -> View:
  """DiffAugment's shift, by whole pixels of U{-s..s} along each axis, s = round(share * size); zeros come in from outside.

  Zhao et al., 2020 (arXiv:2006.10738); share in [0, 1].
  """

  def apply(x: Array, look: Look) -> Array:
    _check(x, "translation")
    reach = [int(n * share + 0.5) for n in x.shape[1:3]]

    def shifts(key: Array, n: int) -> Array:
      keys = jax.random.split(key)
      return jnp.stack([jax.random.randint(k, (n,), -r, r + 1) for k, r in zip(keys, reach, strict=True)], axis=1)

    def move(image: Array, shift: Array) -> Array:
      rows, columns = (jnp.arange(n) - d for n, d in zip(image.shape[:2], shift, strict=True))
      inside = [(i >= 0) & (i < n) for i, n in ((rows, image.shape[0]), (columns, image.shape[1]))]
      moved = image[jnp.clip(rows, 0, image.shape[0] - 1)][:, jnp.clip(columns, 0, image.shape[1] - 1)]
      return jnp.where((inside[0][:, None] & inside[1])[..., None], moved, 0)

    return look.sometimes(x, jax.vmap(move)(x, look.draw(shifts, len(x))))

  return View(apply)


def cutout(share: float = 0.5) -> View:
  """DiffAugment's hole: a rectangle of round(share * size) pixels a side is 0, its centre uniform over the image, what sticks out is lost.

  Zhao et al., 2020 (arXiv:2006.10738); share in [0, 1].
  """

  def apply(x: Array, look: Look) -> Array:
    _check(x, "cutout")
    sides = [int(n * share + 0.5) for n in x.shape[1:3]]

    def centers(key: Array, n: int) -> Array:
      ends = [size + (1 - side % 2) for size, side in zip(x.shape[1:3], sides, strict=True)]
      return jnp.stack([jax.random.randint(k, (n,), 0, end) for k, end in zip(jax.random.split(key), ends, strict=True)], axis=1)

    starts = look.draw(centers, len(x)) - jnp.array([side // 2 for side in sides])
    hit = [
      (jnp.arange(size) >= starts[:, k, None]) & (jnp.arange(size) < starts[:, k, None] + sides[k]) for k, size in enumerate(x.shape[1:3])
    ]
    hole = hit[0][:, :, None] & hit[1][:, None, :]
    return look.sometimes(x, jnp.where(hole[..., None], 0, x))

  return View(apply)


def geometry(scale: float = 0.2, angle: float = 1.0, whole: float = 0.125, shift: float = 0.125) -> View:
  """ADA's geometric part: flip, quarter turns, a shift of whole pixels, zoom, rotation, stretch, rotation, a shift; each with a coin of its own.

  Karras et al., 2020 (arXiv:2006.06676), appendix B: the flip, turn and shift by up to `whole` of the size are uniform, zoom and stretch are
  2^N(0, scale^2), angles U[-pi, pi] * angle, the last shift N(0, shift^2) of the size. A rotation comes twice, so each has the coin 1 - sqrt(1 - p).
  One warp for all, bilinear, mirrored at the border (theirs filters before it shrinks).
  """

  def apply(x: Array, look: Look) -> Array:
    _check(x, "geometry")
    size = jnp.array([x.shape[2], x.shape[1]], x.dtype)  # (x, y)
    p = 1.0 if look.chance is None else look.chance

    def inverse(key: Array, n: int) -> Array:
      keys = iter(jax.random.split(key, 20))
      uniform = lambda *shape: jax.random.uniform(next(keys), (n, *shape))
      normal = lambda *shape: jax.random.normal(next(keys), (n, *shape))

      def coin(value: Array, chance: Array | float = p) -> Array:
        heads = jax.random.uniform(next(keys), (n, *[1] * (value.ndim - 1))) < chance
        return jnp.where(heads, value, 0)

      quarter = coin(jnp.floor(4 * uniform())) * jnp.pi / 2
      flip = 1 - 2 * coin(jnp.floor(2 * uniform()))
      steps = coin(jnp.round((2 * uniform(2) - 1) * whole * size))
      zoom, stretch = 2 ** coin(scale * normal()), 2 ** coin(scale * normal())
      turns = [coin((2 * uniform() - 1) * jnp.pi * angle, 1 - jnp.sqrt(1 - jnp.minimum(p, 1.0))) for _ in range(2)]
      slide = coin(shift * normal(2) * size)
      parts = [
        _scaled(1 / flip, jnp.ones(n)), _rotated(quarter), _shifted(-steps), _scaled(1 / zoom, 1 / zoom), _rotated(turns[0]),
        _scaled(1 / stretch, stretch), _rotated(turns[1]), _shifted(-slide),
      ]  # fmt: skip
      whole_way = parts[0]
      for part in parts[1:]:
        whole_way = whole_way @ part
      return whole_way

    return jax.vmap(_warp)(x, look.draw(inverse, len(x)))

  return View(apply)


def palette(brightness: float = 0.2, contrast: float = 0.5, saturation: float = 1.0, hue: float = 1.0) -> View:
  """ADA's colours: + N(0, brightness^2), * 2^N(0, contrast^2), a flip of the luma, a turn of the hue by U[-pi, pi] * hue and saturation
  * 2^N(0, saturation^2); each with a coin of its own.

  Karras et al., 2020 (arXiv:2006.06676), appendix B. One channel, or three that are red, green and blue: a stack of three independent images
  (stacked digits) would be mixed by hue and saturation.

  Raises:
    ValueError: neither one channel nor three.
  """

  def apply(x: Array, look: Look) -> Array:
    _check(x, "palette")
    if x.shape[3] not in (1, 3):
      raise ValueError(f"palette turns colours of 1 or 3 channels; these images have {x.shape[3]}")
    p = 1.0 if look.chance is None else look.chance
    grey = jnp.full((3, 3), 1 / 3)  # v v^T, v the direction of grey

    def matrices(key: Array, n: int) -> Array:
      keys = iter(jax.random.split(key, 10))

      def coin(value: Array) -> Array:
        return jnp.where(jax.random.uniform(next(keys), (n,)) < p, value, 0)

      normal, uniform = (lambda draw: lambda: draw(next(keys), (n,)))(jax.random.normal), lambda: jax.random.uniform(next(keys), (n,))
      added, times, mirrored = coin(brightness * normal()), 2 ** coin(contrast * normal()), coin(jnp.floor(2 * uniform()))
      turn, strength = coin((2 * uniform() - 1) * jnp.pi * hue), 2 ** coin(saturation * normal())
      each = lambda value: value[:, None, None]
      linear = each(times) * jnp.eye(3)
      linear = (jnp.eye(3) - 2 * each(mirrored) * grey) @ linear
      if x.shape[3] == 3:
        cross = jnp.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / jnp.sqrt(3.0)  # v x
        linear = (each(jnp.cos(turn)) * jnp.eye(3) + each(jnp.sin(turn)) * cross + each(1 - jnp.cos(turn)) * grey) @ linear
        linear = (grey + each(strength) * (jnp.eye(3) - grey)) @ linear
      return jnp.concatenate([linear, linear @ jnp.ones((3, 1)) * each(added)], axis=2)  # brightness comes first

    drawn = look.draw(matrices, len(x))
    if x.shape[3] == 1:
      drawn = drawn.mean(axis=1, keepdims=True)
      drawn = jnp.concatenate([drawn[..., :3].sum(axis=2, keepdims=True), drawn[..., 3:]], axis=2)
    return jnp.einsum("bhwc,bdc->bhwd", x, drawn[..., :-1]) + drawn[:, None, None, :, -1]

  return View(apply)


def _check(x: Array, name: str) -> None:
  if x.ndim != 4:
    raise ValueError(f"{name} augments images [B, H, W, C]; these examples have shape {x.shape[1:]}")


def _matrix(rows: list[list[Array]]) -> Array:
  return jnp.stack([jnp.stack(row, axis=-1) for row in rows], axis=-2)


def _scaled(x: Array, y: Array) -> Array:
  none, one = jnp.zeros_like(x), jnp.ones_like(x)
  return _matrix([[x, none, none], [none, y, none], [none, none, one]])


def _rotated(angle: Array) -> Array:
  none, one = jnp.zeros_like(angle), jnp.ones_like(angle)
  return _matrix([[jnp.cos(angle), -jnp.sin(angle), none], [jnp.sin(angle), jnp.cos(angle), none], [none, none, one]])


def _shifted(by: Array) -> Array:
  none, one = jnp.zeros(len(by)), jnp.ones(len(by))
  return _matrix([[one, none, by[:, 0]], [none, one, by[:, 1]], [none, none, one]])


def _warp(image: Array, inverse: Array) -> Array:
  """The image whose pixel p has the colour of pixel `inverse p`, in (x, y, 1) from the centre: `[H, W, C]`."""
  height, width = image.shape[:2]
  middle = jnp.array([(width - 1) / 2, (height - 1) / 2])
  y, x = jnp.meshgrid(jnp.arange(height), jnp.arange(width), indexing="ij")
  from_middle = jnp.stack([x, y], axis=-1) - middle
  source = from_middle @ inverse[:2, :2].T + inverse[:2, 2] + middle
  columns, rows = _mirrored(source[..., 0], width), _mirrored(source[..., 1], height)
  left, top = jnp.floor(columns).astype(int), jnp.floor(rows).astype(int)
  right, bottom = jnp.minimum(left + 1, width - 1), jnp.minimum(top + 1, height - 1)
  across, down = (columns - left)[..., None], (rows - top)[..., None]
  above = (1 - across) * image[top, left] + across * image[top, right]
  below = (1 - across) * image[bottom, left] + across * image[bottom, right]
  return (1 - down) * above + down * below


def _mirrored(position: Array, size: int) -> Array:
  """In [0, size - 1]: past the border it comes back."""
  period = max(2 * (size - 1), 1)
  rest = jnp.mod(position, period)
  return jnp.clip(jnp.minimum(rest, period - rest), 0, size - 1)


__all__ = ["color", "cutout", "geometry", "palette", "translation"]
