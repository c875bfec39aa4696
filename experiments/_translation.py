"""What the experiments of paired translation share: the players of pix2pix and pix2pixHD at 32 pixels, and the forms. Itself it is none."""

from collections.abc import Mapping, Sequence
from typing import Any

from _arms import pick
from ml_collections import ConfigDict

SMOOTH = {"gamma": 0.004}  # small, for it is of the sum over patches
ARMS = {
  # Adam minds ratios alone: with so much of the one G no longer hears D, which is the smallest there is.
  "l1": {
    "generator_terms.reconstruction.weight": 10_000.0,
    "discriminator": {"name": "patch_discriminator", "features": (1,), "strides": (4,), "norm": None},
  },
  "pix2pix": {},
  "pix2pixhd": {
    "discriminator.name": "multiscale_discriminator",
    "objective": {"name": "least_squares"}, "generator_terms.reconstruction": None, "generator_terms.layer_matching.weight": 10.0,
  },
  # No target: the real and the fake image of a pair have one condition.
  "relativistic": {
    "objective": {"name": "relativistic_paired"}, "generator_terms.reconstruction": None,
    "discriminator.name": "multiscale_discriminator",
    "discriminator_terms.r1": SMOOTH, "discriminator_terms.r2": SMOOTH,
    "optimizers.generator.b1": 0.0, "optimizers.generator.b2": 0.99, "optimizers.discriminator.b1": 0.0, "optimizers.discriminator.b2": 0.99,
  },
}  # fmt: skip


def paired(
  arg: str | None, question: str, data: Mapping[str, Any], metrics: Mapping[str, Any], *, prior: Mapping[str, Any], quick: Sequence[str],
  rounds: int, arms: Mapping[str, Any] = ARMS, large: str | None = None,
) -> ConfigDict:  # fmt: skip
  """A U-Net against patches, over the arms. The form cpu has narrow players and so many rounds; quick those arms and an eighth of the rounds, up to
  1,250. `large` names a form with the players of the long one; what else it changes is the experiment's own."""
  forms = [form for form in (large, "cpu", "quick") if form]
  if arg not in (None, *forms):
    raise ValueError(f"no form {arg!r} of this experiment; use {', '.join(forms[:-1])} or {forms[-1]}")
  small = arg in ("cpu", "quick")
  rounds = {"cpu": rounds, "quick": min(rounds // 8, 1250)}.get(arg or "", 20_000)
  steps = {"name": "cosine_decay_schedule", "init_value": 2e-3 if small else 2e-4, "decay_steps": rounds}
  adam = {"name": "adam", "learning_rate": steps, "b1": 0.5, "b2": 0.999}
  config: dict[str, Any] = {
    "question": question,
    "seeds": 1 if small else 3,
    "num_steps": rounds,
    "batch_size": 8 if small else 32,
    "batch_unit": "samples",
    "data": dict(data),
    "generator": {
      "name": "unet_generator", "features": (8, 32, 64, 64) if small else (32, 64, 128, 128), "strides": (1, 2, 2, 2),
      "norm": None, "kernel_init": "he_normal", **({"kernel": 3, "upsampling": "nearest"} if small else {}),
    },
    "discriminator": {"name": "patch_discriminator", "features": (32, 64), "strides": (2, 2), "norm": None, "kernel_init": "he_normal"},
    "objective": {"name": "non_saturating"},
    "prior": dict(prior),
    "optimizers": {"generator": adam, "discriminator": adam},
    "discriminator_terms": {},
    "generator_terms": {"reconstruction": {"weight": 100.0}},
    "view": {},
    "transforms": {},
    "game": {"name": "gan", "ema_decay": 0.99 if small else 0.999},
    "evaluation": {
      "num_samples": 500 if small else 1000, "thresholds": (1,), "every": rounds // 5, "monitor_samples": 200, "distances": True,
      "metrics": dict(metrics),
    },
    "arms": pick(arms, *quick) if arg == "quick" else dict(arms),
  }  # fmt: skip
  return ConfigDict(config, convert_dict=False)
