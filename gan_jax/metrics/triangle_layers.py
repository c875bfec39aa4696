"""Does a layered generator of triangles put the triangle into its foreground, and nothing else? No mask was given to training."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax.data.base import Data
from gan_jax.data.triangles.coverage import coverage
from gan_jax.data.triangles.dataset import stream
from gan_jax.data.triangles.verifier import mattes, verify
from gan_jax.metrics.base import Context, Identity, Metric, identity_of, whole
from gan_jax.metrics.triangle_answers import overlap
from gan_jax.metrics.triangle_scores import reading_of


def triangle_layers(*, n: int = 2000) -> Metric:
  """What the layers of n pictures of `networks.layered` show, by what the verifier reads in the whole picture.

    alpha_iou          mean over valid pictures of the intersection over union of the mask, alpha > 1/2, and of the verifier's triangle, pixels that
                       it covers by more than half; 0 where no picture is valid
    alpha_iou_turned   the same of the other layer's pixels, alpha <= 1/2: near 1 where the layers are told apart, and have changed places
    alpha_iou_matte    the same over all pictures, valid or not, of the mask and of what the verifier takes for the subject (`mattes`) over 1/2
    alpha_iou_other    the floor: the mask and the triangle of the next valid picture, so what masks of such a size and place get by chance
    alpha_iou_whole    the same of a mask that is 1 everywhere: the triangle's share of the picture
    alpha_area         mean share of pixels with alpha > 1/2
    alpha_decided      mean of |2 alpha - 1|: 1 where every pixel belongs to one layer
    residue            share of backgrounds that, looked at alone, show a valid triangle; background_alone_ok the share that are valid backgrounds

  Each as "alpha_iou_n2000". Nothing is scored of a generator without layers, or with a condition. The perfect
  values are those of new true images and their own masks; background_alone_ok is `background_ok` there.

  ValueError: data that are not `data.triangles` with modes.
  """
  whole("n", n)
  names = (
    "alpha_iou", "alpha_iou_turned", "alpha_iou_matte", "alpha_iou_other", "alpha_iou_whole", "alpha_area", "alpha_decided", "residue",
    "background_alone_ok",
  )  # fmt: skip
  title = lambda name: f"{name}_n{n}"

  def values(images: np.ndarray, alpha: np.ndarray) -> dict[str, float]:
    """Of pictures [n, H, W, 3] and their masks [n, H, W]."""
    found, mask = verify(images), alpha > 0.5
    triangle, ok = _covered(found.vertices, images.shape[1]), found.triangle_ok
    mean = lambda masks, which: float(overlap(masks, which).mean()) if ok.any() else 0.0
    return {
      "alpha_iou": mean(mask[ok], triangle[ok]), "alpha_iou_turned": mean(~mask[ok], triangle[ok]),
      "alpha_iou_matte": float(overlap(mask, mattes(images) > 0.5).mean()),
      "alpha_iou_other": mean(mask[ok], np.roll(triangle[ok], 1, axis=0)), "alpha_iou_whole": mean(np.ones_like(mask[ok]), triangle[ok]),
      "alpha_area": float(mask.mean()), "alpha_decided": float(np.abs(2 * alpha - 1).mean()),
    }  # fmt: skip

  def score(samples: np.ndarray, context: Context) -> dict[str, float]:
    del samples  # their latents are not at hand
    layers = None if context.sown is None or context.latent is None else _layers(context, n)
    if layers is None:
      return {}
    below, alpha = layers["background"], layers["alpha"]
    made = values(alpha * layers["foreground"] + (1 - alpha) * below, alpha[..., 0])
    alone = verify(below)
    made |= {"residue": float(alone.triangle_ok.mean()), "background_alone_ok": float(alone.background_ok.mean())}
    return {title(name): made[name] for name in names}

  def perfect(context: Context) -> dict[str, float]:
    fresh = stream(context.data, n, context.seed)
    exact = np.asarray(jax.jit(coverage, static_argnums=1)(jnp.asarray(fresh["vertices"]), context.data.shape[0]))
    made = values(fresh["image"], exact) | {"residue": 0.0, "background_alone_ok": float(verify(fresh["image"]).background_ok.mean())}
    return {title(name): made[name] for name in names}

  def identity(data: Data) -> dict[str, Identity]:
    reading_of(data)
    return identity_of(data, tuple(map(title, names)), n=n)

  return Metric(score, identity, perfect=perfect)


def _layers(context: Context, n: int) -> dict[str, np.ndarray] | None:
  """The layers of n drawn examples, from the context's seed; None of a generator that has none."""
  assert context.sown is not None and context.latent is not None
  latent = context.latent(jax.random.fold_in(jax.random.key(context.seed), 1618), n)
  try:
    found: Any = context.sown("layers", latent)
  except ValueError:  # no such name
    return None
  if not (isinstance(found, dict) and "alpha" in found):
    return None
  return {name: np.asarray(layer, np.float32) for name, layer in found.items()}


def _covered(vertices: np.ndarray, size: int) -> np.ndarray:
  """[N, H, W] bool: pixels of which a triangle covers more than half."""
  return np.asarray(jax.jit(coverage, static_argnums=1)(jnp.asarray(vertices), size)) > 0.5
