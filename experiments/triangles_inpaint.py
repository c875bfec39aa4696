"""A piece is missing: is what fills it the rest of this very triangle, hidden corners and all?

Our own card: context encoders (Pathak et al., 2016, arXiv:1604.07379) with the players of pix2pix (Isola et al., 2017, arXiv:1611.07004).
  data        50,000 triangles, 32x32, [-1, 1]; condition: the image without a rectangle of 6 to 16 pixels a side, and a map that says where
  players     as triangles_segmentation, without a latent and without tanh; G starts from the hole filled with the nearest known pixels, and keeps
              known pixels, so G and D are about the hole
  arms        as triangles_segmentation
  evaluation  500 holes in images of the test split: mean absolute error in the hole (0 ... 255), by thirds of its area, and what the verifier reads
              (a corner in a hole still follows from its two sides: `hidden_px`), each beside holes filled with the nearest known pixel

  gan-jax run --config=experiments/triangles_inpaint.py --workdir=runs/triangles_inpaint               3 seeds, 4 arms: wants a GPU
  gan-jax run --config=experiments/triangles_inpaint.py:cpu --workdir=runs/triangles_inpaint_cpu       16x16, large triangles on plain backgrounds,
              holes of 3 to 8 pixels, 16 64 128 maps, 3x3, nearest, Adam 2e-3, batch 16, 30,000 rounds, 1 seed, 4 arms
  gan-jax run --config=experiments/triangles_inpaint.py:quick --workdir=runs/triangles_inpaint_quick   the same, 2 arms, 1,250 rounds
"""

from _translation import paired
from ml_collections import ConfigDict


def get_config(arg: str | None = None) -> ConfigDict:
  small = arg is not None
  side, only = (16, {"texture": ("plain",), "size": ("large",)}) if small else (32, None)
  holes = {"name": "hole", "smallest": 3 if small else 6, "largest": 8 if small else 16}
  triangles = {"size": side, "only": only}
  scores = {"n": 500, "reference": {**holes, "of": {"name": "gan_jax.data:triangles", "split": "test", **triangles}}, "floor": "fill"}
  config = paired(
    arg,
    "A piece is missing: is what fills it the rest of this very triangle, hidden corners and all?",
    {**holes, "of": {"name": "triangles", **triangles}},
    {"hole_error": scores, "triangle_answers": scores},
    prior={"name": "nothing"},
    quick=("l1", "pix2pix"),
    rounds=30_000,
  )
  # A change of the fill, so up to 2 either way, more than tanh gives.
  unet = {**config.generator, "out": (side, side, 3), "final": None}
  if small:
    unet |= {"features": (16, 64, 128), "strides": (1, 2, 2)}
    config.batch_size = 16
  config.generator = {"name": "filled", "of": unet}
  return config
