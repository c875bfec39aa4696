"""What goes wrong with GANs, each made to go wrong on purpose: does the named remedy help?

Three forms, each a game that fails by its very settings (the arm `vanilla`) and the same game with each remedy that Google's course on GANs names
("Common problems"). The meters are columns of every run's metrics.jsonl, and of the report's table and figure "On the way".
  data        vanishing, collapse: 8 modes on a ring of radius 2, sigma .05; convergence: one Gaussian at (1, 0), sigma .05; fresh samples
  players     G 2-32-32-2 and D 2-32-32-1, ReLU; alternating; batch 64 a turn
  vanishing   D too strong: 5 turns a round, Adam 1e-3 (.5, .999), no penalty, and G starts in the middle of the ring, where D tells it from the data
              at once; minimax (saturating), G by SGD .02, so that a gradient of 0 is a standstill (Adam would scale it up again); 3,000 rounds
              remedies: modified minimax (non-saturating), Wasserstein (wgan_gp * .1); meter: norm of the gradient of G's loss
  collapse    D too weak (2-32-1) for a G that moves twice as fast, Adam 2e-3 and 1e-3; non-saturating; 4,000 rounds
              remedies: Wasserstein (wgan_gp * .1, 5 turns of D), unrolled (5 steps); meters: distance to the law (TVD), and to the last check (churn)
  convergence Dirac-GAN in two dimensions: D is linear, G moves and turns a small Gaussian; SGD .1 for both; non-saturating; 4,000 rounds
              remedies: noise on D's inputs (.5), penalised D (roth * 1; r1 * .5, which for a linear D is decay of its weights); meters: swing of G's
              loss and of the share within 3 sigma
Settings were chosen on seeds 100, 101 and 102 so that vanilla fails, and rounds so that remedies have time; the remedies' own knobs were not tuned.
Results, and what they say: docs/challenges.md.

  gan-jax run --config=experiments/challenges.py --workdir=runs/challenges_vanishing                   the same as :vanishing
  gan-jax run --config=experiments/challenges.py:vanishing --workdir=runs/challenges_vanishing         10 seeds, 3 arms: some minutes each
  gan-jax run --config=experiments/challenges.py:collapse --workdir=runs/challenges_collapse           10 seeds, 3 arms
  gan-jax run --config=experiments/challenges.py:convergence --workdir=runs/challenges_convergence     10 seeds, 4 arms
  gan-jax run --config=experiments/challenges.py:quick --workdir=runs/challenges_quick                 vanishing, 2 seeds, 300 rounds
"""

from typing import Any

from ml_collections import ConfigDict

ADAM = {"name": "adam", "learning_rate": 1e-3, "b1": 0.5, "b2": 0.999}
WASSERSTEIN = {"objective": {"name": "wasserstein"}, "game.n_critic": 5, "discriminator_terms.wgan_gp.weight": 0.1}


def get_config(arg: str | None = None) -> ConfigDict:
  form = arg or "vanishing"
  config: dict[str, Any] = {
    "seeds": 10,
    "batch_size": 64,
    "batch_unit": "samples",
    "data": {"name": "ring", "num_modes": 8, "radius": 2.0, "sigma": 0.05},
    "generator": {"name": "mlp", "out": 2, "features": (32, 32)},
    "discriminator": {"name": "mlp", "features": (32, 32)},
    "objective": {"name": "non_saturating"},
    "prior": {"name": "normal", "size": 2},
    "optimizers": {"generator": ADAM, "discriminator": ADAM},
    "discriminator_terms": {},
    "generator_terms": {},
    "view": {},
    "transforms": {"gradient_norms": {}},
    "game": {"name": "gan"},
    "evaluation": {"num_samples": 2500, "thresholds": (1,), "every": 50, "monitor_samples": 1000, "distances": True},
  }  # fmt: skip
  if form in ("vanishing", "quick"):
    config |= {"question": "D is far too strong: is there a gradient left for G?", "num_steps": 3000, "objective": {"name": "minimax"}}
    config["game"]["n_critic"] = 5
    config["generator"] |= {"kernel_init": "orthogonal", "init_scale": 0.3}
    config["optimizers"] = {"generator": {"name": "sgd", "learning_rate": 0.02}, "discriminator": ADAM}
    config["arms"] = {"vanilla": {}, "non_saturating": {"objective": {"name": "non_saturating"}}, "wasserstein": WASSERSTEIN}
    if form == "quick":
      config |= {"seeds": 2, "num_steps": 300}
      config["evaluation"]["every"] = 25
  elif form == "collapse":
    config |= {"question": "G runs ahead of a weak D: does it rotate through a few outputs?", "num_steps": 4000}
    config["discriminator"]["features"] = (32,)
    config["optimizers"] = {"generator": ADAM | {"learning_rate": 2e-3}, "discriminator": ADAM}
    config["arms"] = {"vanilla": {}, "wasserstein": WASSERSTEIN, "unrolled5": {"transforms.unroll.steps": 5}}
  elif form == "convergence":
    config |= {"question": "The players circle each other: who makes them settle?", "num_steps": 4000}
    config["data"] = {"name": "ring", "num_modes": 1, "radius": 1.0, "sigma": 0.05}
    config["generator"] = {"name": "mlp", "out": 2, "features": (), "kernel_init": "orthogonal", "init_scale": 0.05}
    config["discriminator"]["features"] = ()
    config["optimizers"] = {player: {"name": "sgd", "learning_rate": 0.1} for player in ("generator", "discriminator")}
    config["arms"] = {
      "vanilla": {}, "noise": {"view.instance_noise.sigma": 0.5}, "roth": {"discriminator_terms.roth.gamma": 1.0},
      "r1": {"discriminator_terms.r1.gamma": 0.5},
    }  # fmt: skip
  else:
    raise ValueError(f"no form {arg!r} of this experiment; use vanishing, collapse, convergence or quick")
  return ConfigDict(config, convert_dict=False)
