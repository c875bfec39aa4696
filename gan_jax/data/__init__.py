"""Data sets, many with known modes. Each name here can stand in a config: data = {"name": "ring", "num_modes": 8}."""

from gan_jax.data.digits import stacked_digits
from gan_jax.data.image_sets import cifar10, fashion_mnist, images, mnist, sklearn_digits, tfds
from gan_jax.data.manifolds import swiss_roll
from gan_jax.data.mixtures import grid, high_dimensional, mixture, ring

__all__ = [
  "cifar10", "fashion_mnist", "grid", "high_dimensional", "images", "mixture", "mnist", "ring", "sklearn_digits", "stacked_digits",
  "swiss_roll", "tfds",
]  # fmt: skip
