"""Three lines, and a picture of that triangle: are its corners where the lines meet, and do two latents paint it in two colours?

Our own card: pix2pix (Isola et al., 2017, arXiv:1611.07004) on triangles, with a latent.
  data        50,000 triangles, 32x32, [-1, 1]; condition: the outline, one pixel wide. Colours and texture are open, so PSNR says little
  players     as triangles_segmentation, with a latent of 8 normal numbers that scales and shifts G's maps
  arms        L1 alone, which paints the mean of all colours, grey; pix2pix with its L1 * 100, and with L1 * 1: the colours are for D to judge;
              pix2pixHD
  evaluation  500 outlines of the test split: triangles, corners (pixels from the true ones), masks; the mean difference of 5 answers to one outline

  gan-jax run --config=experiments/triangles_edges.py --workdir=runs/triangles_edges               3 seeds, 3 arms: wants a GPU
  gan-jax run --config=experiments/triangles_edges.py:quick --workdir=runs/triangles_edges_quick   half the maps, 2,000 rounds, 2 arms:
              it shows what L1 alone does; the game has not learnt to colour by then (no valid triangle in either arm)
"""

from _translation import ARMS, paired
from ml_collections import ConfigDict


def get_config(arg: str | None = None) -> ConfigDict:
  held_out = {"name": "gan_jax.data:triangles", "size": 32, "split": "test", "condition": "edges"}
  return paired(
    arg,
    "Three lines, and a picture of that triangle: are its corners where the lines meet, and do two latents paint it in two colours?",
    {"name": "triangles", "size": 32, "condition": "edges"},
    {"triangle_answers": {"n": 500, "reference": held_out}, "answer_diversity": {"n": 100, "reference": held_out}},
    prior={"name": "normal", "size": 8},
    arms={**ARMS, "light": {"generator_terms.reconstruction.weight": 1.0}},
    quick=("l1", "light"),
  )
