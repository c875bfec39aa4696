"""Clothes of 14 x 14 pixels, enlarged to 28 x 28: how far past bicubic, and at what price are the edges sharp?

Our own card: super-resolution of Fashion-MNIST (Xiao et al., 2017, arXiv:1708.07747); the networks of SRGAN (Ledig et al., 2017, arXiv:1609.04802)
without batch normalisation.
  data        the 60,000 training images, 28x28 grey, [-1, 1]; condition: means of 2x2 pixels
  players     G 3x3 convolutions, 8 residual blocks of 32 maps, sub-pixel convolution, bicubic enlargement added; D patches of 28 pixels, 4x4
              convolutions of stride 2 with 32 and 64 maps, the condition beside the image; non-saturating; alternating 1:1; Adam 2e-4 (.5, .999);
              batch 32; 20,000 rounds; average of G's weights .999
  arms        L1 alone; L1 and adversarial, less and more of it; two scales with layers matched
  evaluation  1,000 images of the test split: PSNR and SSIM against the original, PSNR of the answer made small again (consistency), each beside
              bicubic enlargement. PSNR rewards the mean of what could be: L1 alone should win it, and the adversarial arms look sharper

  gan-jax run --config=experiments/fashion_sr.py --workdir=runs/fashion_sr               3 seeds, 4 arms: wants a GPU, or a night
  gan-jax run --config=experiments/fashion_sr.py:quick --workdir=runs/fashion_sr_quick   3 blocks of 16 maps, 600 rounds, 2 arms: two minutes
  gan-jax run --config=experiments/fashion_sr.py:digits --workdir=runs/digits_sr         the same of MNIST
  gan-jax run --config=experiments/fashion_sr.py:digits_quick --workdir=runs/digits_sr_quick

GAN_JAX_DATA names the folder that holds fashion_mnist/ and mnist/.
"""

from _arms import pick
from ml_collections import ConfigDict

ADAM = {"name": "adam", "learning_rate": 2e-4, "b1": 0.5, "b2": 0.999}


def get_config(arg: str | None = None) -> ConfigDict:
  if arg not in (None, "quick", "digits", "digits_quick"):
    raise ValueError(f"no form {arg!r} of this experiment; use quick, digits or digits_quick")
  name = "mnist" if "digits" in (arg or "") else "fashion_mnist"
  held_out = {"name": "lowres", "of": {"name": name, "split": "test"}, "factor": 2}
  scores = {"n": 1000, "reference": held_out, "floor": "bicubic"}
  config = {
    "question": "Clothes of 14 x 14 pixels, enlarged to 28 x 28: how far past bicubic, and at what price are the edges sharp?",
    "seeds": 3,
    "num_steps": 20_000,
    "batch_size": 32,
    "batch_unit": "samples",
    "data": {"name": "lowres", "of": {"name": name}, "factor": 2},
    "generator": {"name": "superresolution_generator", "factor": 2, "features": 32, "blocks": 8},
    "discriminator": {"name": "patch_discriminator", "features": (32, 64), "strides": (2, 2), "norm": None},
    "objective": {"name": "non_saturating"},
    "prior": {"name": "nothing"},
    "optimizers": {"generator": ADAM, "discriminator": ADAM},
    "discriminator_terms": {},
    "generator_terms": {"reconstruction": {"weight": 100.0}},
    "view": {},
    "transforms": {},
    "game": {"name": "gan", "ema_decay": 0.999},
    "evaluation": {
      "num_samples": 1000, "thresholds": (1,), "every": 1000, "monitor_samples": 200, "distances": True,
      "metrics": {"psnr": scores, "ssim": scores, "consistency": scores},
    },
    "arms": ARMS,
  }  # fmt: skip
  if arg in ("quick", "digits_quick"):
    config |= {"seeds": 1, "num_steps": 600, "arms": pick(ARMS, "l1", "gan")}
    config["generator"] |= {"features": 16, "blocks": 3}
    config["discriminator"]["features"] = (16, 32)
    config["evaluation"]["every"] = 200
    config["optimizers"] = {"generator": ADAM | {"learning_rate": 1e-3}, "discriminator": ADAM}
    config["game"]["ema_decay"] = 0.99
  return ConfigDict(config, convert_dict=False)


ARMS = {
  "l1": {"generator_terms.reconstruction.weight": 10_000.0},  # Adam minds ratios alone: G no longer hears D
  "gan": {},
  "more_gan": {"generator_terms.reconstruction.weight": 10.0},
  "multiscale": {
    "discriminator": {"name": "multiscale_discriminator", "features": (32, 64), "strides": (2, 1), "norm": None},
    "generator_terms.layer_matching.weight": 10.0,
  },
}
