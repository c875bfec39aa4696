"""Which texture and which colour in every pixel: is the picture of it right, pixel by pixel and corner by corner?

Our own card: pix2pix (Isola et al., 2017, arXiv:1611.07004) and pix2pixHD (Wang et al., 2018, arXiv:1711.11585) on triangles.
  data        50,000 triangles, 32x32, [-1, 1]; condition: twelve maps, six textures of the background and six fills. What it leaves open: the
              background's colour, the shades, the phase of a texture
  players     G U-Net, 4x4 convolutions 32 64 128 128 down and up, the first at full size, no normalisation, a latent of 8 normal numbers that
              scales and shifts its maps; D patches of 22 pixels, 4x4 convolutions of stride 2 with 32 and 64 maps, the condition beside the image;
              Adam 2e-4 (.5, .999), down to 0 by a cosine; batch 32; 20,000 rounds; average .999
  arms        L1 alone; L1 * 100 with the non-saturating game (pix2pix); least squares on two scales with layers matched (pix2pixHD); relativistic
              pairs on two scales without any target, R1 + R2, Adam (0, .99)
  evaluation  500 maps of the test split: PSNR, SSIM, and what the verifier reads: triangles, corners (pixels from the true ones), masks, attributes;
              the mean difference of 5 answers to one map

  gan-jax run --config=experiments/triangles_segmentation.py --workdir=runs/triangles_segmentation               3 seeds, 4 arms: wants a GPU
  gan-jax run --config=experiments/triangles_segmentation.py:cpu --workdir=runs/triangles_segmentation_cpu       maps 8 32 64 64, 3x3
              and nearest pixels up, Adam 2e-3, batch 8, 20,000 rounds, average .99, 4 arms, 1 seed
  gan-jax run --config=experiments/triangles_segmentation.py:quick --workdir=runs/triangles_segmentation_quick   the same, 2 arms, 1,250 rounds
"""

from _translation import paired
from ml_collections import ConfigDict


def get_config(arg: str | None = None) -> ConfigDict:
  held_out = {"name": "gan_jax.data:triangles", "size": 32, "split": "test", "condition": "segmentation"}
  scores = {"n": 500, "reference": held_out}
  return paired(
    arg,
    "Which texture and which colour in every pixel: is the picture of it right, pixel by pixel and corner by corner?",
    {"name": "triangles", "size": 32, "condition": "segmentation"},
    {"triangle_answers": scores | {"floor": "another"}, "psnr": scores, "ssim": scores, "answer_diversity": {"n": 100, "reference": held_out}},
    prior={"name": "normal", "size": 8},
    quick=("l1", "relativistic"),
    rounds=20_000,
  )
