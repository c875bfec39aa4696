"""Data sets with known modes. Each name here can stand in a config: data = {"name": "ring", "num_modes": 8}."""

from gan_jax.data.digits import stacked_digits
from gan_jax.data.manifolds import swiss_roll
from gan_jax.data.mixtures import grid, high_dimensional, mixture, ring

__all__ = ["grid", "high_dimensional", "mixture", "ring", "stacked_digits", "swiss_roll"]
