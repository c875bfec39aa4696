"""Triangles: pictures whose truth is known, rendered and never downloaded; their captions; and the verifier that reads generated ones.

`gan_jax.data.triangles` is the data set, the function of this package: a module and its main function share the name.
"""

from gan_jax.data.triangles.attributes import ATTRIBUTES, BACKGROUND, HELD_OUT, SUBJECT, bins, combinations, held_out, num_bins
from gan_jax.data.triangles.dataset import triangles
from gan_jax.data.triangles.renderer import Record, parameters, render
from gan_jax.data.triangles.sides import triangle_sides
from gan_jax.data.triangles.verifier import Verdict, mattes, verify, vertex_error

__all__ = [
  "ATTRIBUTES", "BACKGROUND", "HELD_OUT", "SUBJECT", "Record", "Verdict", "bins", "combinations", "held_out", "mattes", "num_bins", "parameters",
  "render", "triangle_sides", "triangles", "verify", "vertex_error",
]  # fmt: skip
