"""Triangles of 8 x 8 pixels, enlarged to 32 x 32: do the corners come back, past what bicubic can tell?

Our own card: the residual network of SRGAN (Ledig et al., 2017, arXiv:1609.04802) without batch normalisation, on triangles.
  data        50,000 triangles, 32x32, [-1, 1]; condition: means of 4x4 pixels
  players     G 3x3 convolutions, 8 residual blocks of 32 maps, two sub-pixel convolutions, bicubic enlargement added; D as triangles_segmentation
  arms        L1 alone; L1 * 100 with the non-saturating game; least squares on two scales with layers matched
  evaluation  500 images of the test split: PSNR, SSIM, PSNR of the answer made small again, and what the verifier reads, beside bicubic enlargement

  gan-jax run --config=experiments/triangles_sr.py --workdir=runs/triangles_sr               3 seeds, 3 arms: wants a GPU
  gan-jax run --config=experiments/triangles_sr.py:quick --workdir=runs/triangles_sr_quick   3 blocks of 16 maps, 2,000 rounds, 2 arms
"""

from _translation import paired
from ml_collections import ConfigDict


def get_config(arg: str | None = None) -> ConfigDict:
  scores = {"n": 500, "reference": {"name": "gan_jax.data:triangles", "size": 32, "split": "test", "condition": "lowres"}, "floor": "bicubic"}
  config = paired(
    arg,
    "Triangles of 8 x 8 pixels, enlarged to 32 x 32: do the corners come back, past what bicubic can tell?",
    {"name": "triangles", "size": 32, "condition": "lowres"},
    {"psnr": scores, "ssim": scores, "consistency": scores, "triangle_answers": scores},
    prior={"name": "nothing"},
  )
  small = {"features": 16, "blocks": 3} if arg == "quick" else {"features": 32, "blocks": 8}
  config.generator = {"name": "superresolution_generator", "factor": 4, **small}
  return config
