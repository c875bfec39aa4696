"""What the experiments of paired translation share: the players of pix2pix and pix2pixHD at 32 pixels, and the forms. Itself it is none."""

from collections.abc import Mapping, Sequence
from typing import Any

from _arms import pick
from ml_collections import ConfigDict

ADAM = {"name": "adam", "learning_rate": 2e-4, "b1": 0.5, "b2": 0.999}
FASTER = ADAM | {"learning_rate": 1e-3}
ARMS = {
  "l1": {"generator_terms.reconstruction.weight": 10_000.0},  # Adam minds ratios alone: G no longer hears D
  "pix2pix": {},
  "pix2pixhd": {
    "discriminator": {"name": "multiscale_discriminator", "features": (32, 64), "strides": (2, 2), "norm": None},
    "objective": {"name": "least_squares"}, "generator_terms.reconstruction": None, "generator_terms.layer_matching.weight": 10.0,
  },
}  # fmt: skip


def paired(
  arg: str | None, question: str, data: Mapping[str, Any], metrics: Mapping[str, Any], *, prior: Mapping[str, Any],
  arms: Mapping[str, Any] = ARMS, quick: Sequence[str] = ("l1", "pix2pix"),
) -> ConfigDict:  # fmt: skip
  """A U-Net against patches, over the arms; the form quick has some of them, narrow, one seed."""
  config: dict[str, Any] = {
    "question": question,
    "seeds": 3,
    "num_steps": 8000,
    "batch_size": 32,
    "batch_unit": "samples",
    "data": dict(data),
    "generator": {"name": "unet_generator", "features": (32, 64, 128, 128)},
    "discriminator": {"name": "patch_discriminator", "features": (32, 64), "strides": (2, 2), "norm": None},
    "objective": {"name": "non_saturating"},
    "prior": dict(prior),
    "optimizers": {"generator": ADAM, "discriminator": ADAM},
    "discriminator_terms": {},
    "generator_terms": {"reconstruction": {"weight": 100.0}},
    "view": {},
    "transforms": {},
    "game": {"name": "gan", "ema_decay": 0.999},
    "evaluation": {
      "num_samples": 1000, "thresholds": (1,), "every": 1000, "monitor_samples": 200, "distances": True, "metrics": dict(metrics),
    },
    "arms": dict(arms),
  }  # fmt: skip
  if arg == "quick":
    config |= {"seeds": 1, "num_steps": 2000, "batch_size": 16, "arms": pick(arms, *quick)}
    config["generator"]["features"] = (16, 32, 64, 64)
    config["discriminator"]["features"] = (16, 32)
    config["optimizers"] = {"generator": FASTER, "discriminator": ADAM}
    config["game"]["ema_decay"] = 0.99
    config["evaluation"] |= {"num_samples": 256, "every": 1000, "monitor_samples": 100}
  elif arg is not None:
    raise ValueError(f"no form {arg!r} of this experiment; use quick")
  return ConfigDict(config, convert_dict=False)
