"""Three digits, one of them with a twentieth of the others' mass: which methods give it its due, and not more?

Protocol card `mnist_u3`: Schreurs et al., 2021 (RLS-GAN, arXiv:2104.02373), table "012-MNIST".
  data        MNIST's digits 0, 1, 2 (training set), 28x28 grey, [-1, 1]; each 2 drawn with weight .05, so 2.3 % of the data
  players     G 100-7x7x256, 5x5 transposed convolutions 128 (7x7), 64 (14x14), 1 (28x28), BatchNorm in every layer, the last too, ReLU, tanh; D 5x5
              convolutions of stride 2 with 64, 128, 256, 512 maps, BatchNorm but in the first, LeakyReLU .2, dense; Glorot; non-saturating;
              alternating 1:1; Adam 1e-3 (.5, .999); batch 64; 30,000 rounds
  evaluation  10,000 samples of the last iterate; a digit is what our own classifier reads; KL in nats to the training law, and the minority's mass
              over its due
Published (10 runs), digits 0, 1, 2 of 10,000, and KL to the *balanced* law: GAN 4381, 5412, 129 (36), .31; PacGAN2 4492, 5328, 123 (29), .32;
BuresGAN 4586, 5190, 142 (19), .30. A perfect sampler of the training law has 4570, 5200, 230 and that KL .31, so a lower one there means more 2s
than the data has; here the score is against the training law: `minority_mass_ratio` is 1 for a perfect sampler, and .56 for the published GAN.

  gan-jax run --config=experiments/mnist_u3.py --workdir=runs/mnist_u3             10 seeds, 8 arms: wants a GPU
  gan-jax run --config=experiments/mnist_u3.py:short --workdir=runs/mnist_u3_short   an eighth of the maps, 2,500 rounds, 3 seeds, 4 arms, for CPUs
  gan-jax run --config=experiments/mnist_u3.py:quick --workdir=runs/mnist_u3_quick   an eighth of the maps, 2,000 rounds, 2 arms: about two minutes

GAN_JAX_DATA names the folder that holds mnist/.
"""

from _arms import RELATIVISTIC, WASSERSTEIN, pick
from ml_collections import ConfigDict

ADAM = {"name": "adam", "learning_rate": 1e-3, "b1": 0.5, "b2": 0.999}
DATA = {"name": "minority", "of": {"name": "mnist"}, "classes": ("0", "1", "2"), "weights": {"2": 0.05}}


def get_config(arg: str | None = None) -> ConfigDict:
  config = {
    "question": "Three digits, one of them with a twentieth of the others' mass: which methods give it its due, and not more?",
    "seeds": 10,
    "num_steps": 30_000,
    "batch_size": 64,
    "batch_unit": "samples",
    "data": {**DATA, "minimum_accuracy": 0.985, "classifier_steps": 1400},
    "generator": {
      "name": "dcgan_generator", "features": (256, 128, 64), "kernel": 5, "strides": (1, 2, 2), "batch_norm": 0.9, "unnormalized": (),
      "statistics": "population",
    },
    "discriminator": {"name": "dcgan_discriminator", "features": (64, 128, 256, 512), "kernel": 5, "batch_norm": 0.9, "unnormalized": (0,)},
    "objective": {"name": "non_saturating"},
    "prior": {"name": "normal", "size": 100},
    "optimizers": {"generator": ADAM, "discriminator": ADAM},
    "discriminator_terms": {},
    "generator_terms": {},
    "view": {},
    "transforms": {},
    "game": {"name": "gan", "ema_decay": 0.999},
    "evaluation": {
      "num_samples": 10_000, "thresholds": (1, 50), "every": 1000, "monitor_samples": 2500, "distances": True,
      "metrics": {
        "per_class": {},
        "confidence_sweep": {},
        "frechet": {"features": {"name": "classifier"}, "n": 5000},
        "density_coverage": {"features": {"name": "classifier"}, "k": 5, "n": 2000},
      },
    },
    "arms": ARMS,
  }  # fmt: skip
  if arg in ("short", "quick"):
    config["generator"]["features"], config["discriminator"]["features"] = (32, 16, 8), (8, 16, 32, 64)
  if arg == "short":
    config |= {"seeds": 3, "num_steps": 2500}
    config["evaluation"]["every"] = 500
    config["arms"] = pick(ARMS, "vanilla", "pacgan2", "buresgan", "rpgan_r1_r2")
  elif arg == "quick":
    config |= {"seeds": 1, "num_steps": 2000}
    config["data"] |= {"minimum_accuracy": 0.95, "classifier_steps": 150}
    config["evaluation"] |= {"num_samples": 2500, "thresholds": (1,), "every": 250, "monitor_samples": 1000}
    config["evaluation"]["metrics"] = {"per_class": {}, "density_coverage": {"features": {"name": "classifier"}, "k": 5, "n": 1000}}
    config["arms"] = pick(ARMS, "vanilla", "pacgan2")
  elif arg is not None:
    raise ValueError(f"no form {arg!r} of this experiment; use short or quick")
  return ConfigDict(config, convert_dict=False)


BARE = {"discriminator.batch_norm": None}
ARMS = {
  "vanilla": {},
  "pacgan2": {"view.pack.size": 2},
  "pacgan4": {"view.pack.size": 4},
  "buresgan": {"generator_terms.bures.weight": 1.0},
  "minibatch_stddev": {"discriminator.across": {"name": "minibatch_stddev", "group_size": 4}},
  "r1": {**BARE, "discriminator_terms.r1.gamma": 1.0},
  "rpgan_r1_r2": {**RELATIVISTIC, **BARE, "discriminator_terms.r1.gamma": 1.0, "discriminator_terms.r2.gamma": 1.0},
  "wgan_gp": {**WASSERSTEIN, **BARE, "discriminator_terms.wgan_gp.weight": 10.0},
}
