"""Three lines, and a picture of that triangle: are its corners where the lines meet, and do two latents paint it in two colours?

Our own card: pix2pix (Isola et al., 2017, arXiv:1611.07004) on triangles, with a latent.
  data        50,000 triangles, 32x32, [-1, 1]; condition: the outline, one pixel wide. Colours and texture are open, so PSNR says little
  players     as triangles_segmentation
  arms        as triangles_segmentation (l1 without tanh), and pix2pix with L1 * 1
  evaluation  500 outlines of the test split: triangles, corners (pixels from the true ones), masks; the mean difference of 5 answers to one outline

  gan-jax run --config=experiments/triangles_edges.py --workdir=runs/triangles_edges               3 seeds, 5 arms: wants a GPU
  gan-jax run --config=experiments/triangles_edges.py:cpu --workdir=runs/triangles_edges_cpu       plain backgrounds, 5 arms, 20,000 rounds, 1 seed
  gan-jax run --config=experiments/triangles_edges.py:quick --workdir=runs/triangles_edges_quick   the same, 2 arms, 1,250 rounds: blobs in place
"""

from _translation import ARMS, paired
from ml_collections import ConfigDict


def get_config(arg: str | None = None) -> ConfigDict:
  triangles = {"size": 32, "condition": "edges", "only": None if arg is None else {"texture": ("plain",)}}
  held_out = {"name": "gan_jax.data:triangles", "split": "test", **triangles}
  return paired(
    arg,
    "Three lines, and a picture of that triangle: are its corners where the lines meet, and do two latents paint it in two colours?",
    {"name": "triangles", **triangles},
    {"triangle_answers": {"n": 500, "reference": held_out, "floor": "another"}, "answer_diversity": {"n": 100, "reference": held_out}},
    prior={"name": "normal", "size": 8},
    # L1 drives tanh to its ends here, and nothing brings it back.
    arms={**ARMS, "l1": {**ARMS["l1"], "generator.final": None}, "light": {"generator_terms.reconstruction.weight": 1.0}},
    quick=("relativistic", "l1"),
    rounds=20_000,
  )
