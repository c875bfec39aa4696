"""A thousand modes of real handwriting and small convolutional players: which methods keep them, and at which discriminator does the order change?

Protocol card `stacked_digits` with convolutions in place of dense layers: scikit-learn's digits (1,797 real 8x8 images), three drawn on the fly.
  players     G 64-2x2x64-4x4x32-8x8x3, 4x4 transposed convolutions of stride 2, BatchNorm (population statistics), ReLU, tanh;
              D 8x8x3-4x4xw-2x2x2w-1, 4x4 convolutions of stride 2, LeakyReLU .2, no normalisation; w = 8; He-normal;
              non-saturating; alternating 1:1; Adam 2e-4 (.5, .999); batch 64; 10,000 rounds
  evaluation  26,000 samples of the last iterate; a mode counts with 1 sample, and with 5; digits told apart by the MLP of stacked_digits.py
No published row: the card is ours.

  gan-jax run --config=experiments/stacked_digits_conv.py --workdir=runs/conv              5 seeds, 10,000 rounds, 16 arms
  gan-jax run --config=experiments/stacked_digits_conv.py:width --workdir=runs/width       3 seeds, D width times players times methods: 24 arms
  gan-jax run --config=experiments/stacked_digits_conv.py:quick --workdir=runs/conv_quick  2 seeds, 3 arms: about two minutes

The arms are those of stacked_digits.py but MGAN, whose generators are dense networks. `width` asks for the D width at which the ranking changes: arms
`mlp64_pacgan4` and so on, widths 16 to 128 of the dense players of stacked_digits.py and 4 to 32 of these.
"""

import stacked_digits
from _arms import arms, pick
from ml_collections import ConfigDict
from stacked_digits import ADAM

WIDTH = 8
GENERATOR = {
  "name": "dcgan_generator", "out": (8, 8, 3), "features": (64, 32), "kernel": 4, "batch_norm": 0.9, "statistics": "population",
  "kernel_init": "he_normal",
}  # fmt: skip


def discriminator(width: int) -> dict:
  return {"name": "dcgan_discriminator", "features": (width, 2 * width), "kernel": 4, "batch_norm": None, "kernel_init": "he_normal"}


def get_config(arg: str | None = None) -> ConfigDict:
  config = stacked_digits.get_config()
  config.question = "A thousand modes of real handwriting and small convolutional players: which methods keep them?"
  config.num_steps = 10_000
  config.generator, config.discriminator = GENERATOR, discriminator(WIDTH)
  config.arms = ARMS
  if arg == "quick":
    config.seeds, config.num_steps = 2, 3000
    config.evaluation["every"] = 1000
    config.arms = pick(ARMS, "vanilla", "pacgan4", "rpgan_r1_r2")
  elif arg == "width":
    config.question = "From which discriminator width on does vanilla keep the modes, and do the methods change places?"
    config.seeds = 3
    config.evaluation["every"] = 2000
    config.arms = widths()
  elif arg is not None:
    raise ValueError(f"no form {arg!r} of this experiment; use quick or width")
  return config


def widths() -> dict[str, dict]:
  """Three methods at four widths of both kinds of player."""
  dense = stacked_digits.get_config()
  narrow = lambda width: {"generator": dense.generator, "discriminator": {**dense.discriminator, "features": (width, width)}}
  kinds = {f"mlp{width}": narrow(width) for width in (16, 32, 64, 128)}
  kinds |= {f"conv{width}": {"discriminator": discriminator(width)} for width in (4, 8, 16, 32)}
  methods = pick(ARMS, "vanilla", "pacgan4", "rpgan_r1_r2")
  return {f"{kind}_{name}": {**players, **method} for kind, players in kinds.items() for name, method in methods.items()}


RECONSTRUCTOR = {**discriminator(16), "out": 64}
ARMS = arms(
  adam=ADAM, reconstructor=RECONSTRUCTOR, num_generators=10, wide={"discriminator.features": (2 * WIDTH, 4 * WIDTH)}, r1=1.0, rpgan=1.0,
  wgan_gp=10.0, dragan=10.0, mode_seeking=1.0,
)  # fmt: skip
del ARMS["mgan"]
