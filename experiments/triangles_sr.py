"""Triangles of 8 x 8 pixels, enlarged to 32 x 32: do the corners come back, past what bicubic can tell?

Our own card: the residual network of SRGAN (Ledig et al., 2017, arXiv:1609.04802) without batch normalisation, on triangles.
  data        50,000 triangles, 32x32, [-1, 1]; condition: means of 4x4 pixels
  players     G 3x3 convolutions, 8 residual blocks of 32 maps, two sub-pixel convolutions, bicubic enlargement added; no latent; D, optimisers and
              batches as triangles_segmentation
  arms        as triangles_segmentation
  evaluation  500 images of the test split: PSNR, SSIM, PSNR of the answer made small again, and what the verifier reads, beside bicubic enlargement

  gan-jax run --config=experiments/triangles_sr.py --workdir=runs/triangles_sr               3 seeds, 4 arms: wants a GPU
  gan-jax run --config=experiments/triangles_sr.py:128 --workdir=runs/triangles_sr_128       the same players, 32x32 to 128x128: a GPU, too
  gan-jax run --config=experiments/triangles_sr.py:cpu --workdir=runs/triangles_sr_cpu       6 blocks of 32 maps, Adam 2e-3, batch 8, 12,000 rounds,
              average .99, 4 arms, 1 seed
  gan-jax run --config=experiments/triangles_sr.py:quick --workdir=runs/triangles_sr_quick   the same, 2 arms, 1,250 rounds
"""

from _translation import paired
from ml_collections import ConfigDict


def get_config(arg: str | None = None) -> ConfigDict:
  triangles = {"size": 128 if arg == "128" else 32, "condition": "lowres"}
  scores = {"n": 500, "reference": {"name": "gan_jax.data:triangles", "split": "test", **triangles}, "floor": "bicubic"}
  config = paired(
    arg,
    "Triangles of 8 x 8 pixels, enlarged to 32 x 32: do the corners come back, past what bicubic can tell?",
    {"name": "triangles", **triangles},
    {"psnr": scores, "ssim": scores, "consistency": scores, "triangle_answers": scores},
    prior={"name": "nothing"},
    quick=("l1", "pix2pix"),
    rounds=12_000,
    large="128",
  )
  config.generator = {"name": "superresolution_generator", "factor": 4, "features": 32, "blocks": 6 if arg in ("cpu", "quick") else 8}
  return config
