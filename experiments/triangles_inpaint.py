"""A piece is missing: is what fills it the rest of this very triangle, hidden corners and all?

Our own card: context encoders (Pathak et al., 2016, arXiv:1604.07379) with the players of pix2pix (Isola et al., 2017, arXiv:1611.07004).
  data        50,000 triangles, 32x32, [-1, 1]; condition: the image without a rectangle of 6 to 16 pixels a side, and a map that says where
  players     as triangles_segmentation, without a latent; G starts from the hole filled with the nearest known pixels, and keeps known pixels, so G
              and D are about the hole
  arms        as triangles_segmentation, and L2 alone
  evaluation  500 holes in images of the test split: mean absolute error in the hole (0 ... 255), by thirds of its area, and what the verifier reads
              (a corner in a hole still follows from its two sides: `hidden_px`), each beside holes filled with the nearest known pixel

  gan-jax run --config=experiments/triangles_inpaint.py --workdir=runs/triangles_inpaint               3 seeds, 5 arms: wants a GPU
  gan-jax run --config=experiments/triangles_inpaint.py:cpu --workdir=runs/triangles_inpaint_cpu       as triangles_segmentation:cpu, plain
              backgrounds, 10,000 rounds, 1 arm
  gan-jax run --config=experiments/triangles_inpaint.py:quick --workdir=runs/triangles_inpaint_quick   the same, 1,250 rounds
"""

from _translation import ARMS, paired
from ml_collections import ConfigDict


def get_config(arg: str | None = None) -> ConfigDict:
  holes, only = {"name": "hole", "smallest": 6, "largest": 16}, None if arg is None else {"texture": ("plain",)}
  scores = {"n": 500, "reference": {**holes, "of": {"name": "gan_jax.data:triangles", "size": 32, "split": "test", "only": only}}, "floor": "fill"}
  config = paired(
    arg,
    "A piece is missing: is what fills it the rest of this very triangle, hidden corners and all?",
    {**holes, "of": {"name": "triangles", "size": 32, "only": only}},
    {"hole_error": scores, "triangle_answers": scores},
    prior={"name": "nothing"},
    # The mean, not the median, of what could be there: the median of a hole is what surrounds it.
    arms={**ARMS, "l2": {**ARMS["l1"], "generator_terms.reconstruction.power": 2.0}},
    cpu=("l2",),
    rounds=10_000,
  )
  config.generator = {"name": "filled", "of": {**config.generator, "out": (32, 32, 3)}}
  return config
