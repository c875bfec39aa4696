"""Data sets, many with known modes. Each name here can stand in a config: data = {"name": "ring", "num_modes": 8}."""

from gan_jax.data.digits import stacked_digits
from gan_jax.data.image_sets import cifar10, fashion_mnist, images, mnist, sklearn_digits, tfds
from gan_jax.data.manifolds import swiss_roll
from gan_jax.data.mixtures import grid, high_dimensional, mixture, ring
from gan_jax.data.tasks import hole, lowres, unpaired
from gan_jax.data.triangles import triangle_sides, triangles
from gan_jax.data.wrappers import hidden_class, labelled, long_tail, minority, stacked

__all__ = [
  "cifar10", "fashion_mnist", "grid", "hidden_class", "high_dimensional", "hole", "images", "labelled", "long_tail", "lowres", "minority",
  "mixture", "mnist", "ring", "sklearn_digits", "stacked", "stacked_digits", "swiss_roll", "tfds", "triangle_sides", "triangles", "unpaired",
]  # fmt: skip
