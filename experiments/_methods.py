"""Every method of the field as an arm of a protocol, each at its default, and three settings of each one's own knob: for the leagues
(`league_ring.py`, `league_digits.py`, ...), and for `benchmarks/methods.py` to time.

A method whose published setting is for images alone has the setting that its docstring gives for points, or else the plainest one. This file is no
experiment, hence the underscore.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

Patch = dict[str, Any]

NOISE = {"name": "instance_noise", "sigma": 0.1}
G, D, MOVE = "generator_terms", "discriminator_terms", "transforms"
TUNING_SEEDS = (100, 101, 102)  # no league reports them
CHOSEN_BY = "raw/modes_tquarter"
FINAL_SEEDS = tuple(range(200, 230))
RATES = (1 / 3, 3.0)  # times the protocol's, all players alike: for a method without a knob of its own
QUICK = ("vanilla", "double_batch", "rpgan_r1_r2", "pacgan2", "ridge_leverage", "self_conditioned")
PENALTIES = ("approximate_r1", "approximate_r2", "consistency", "wgan_gp", "wgan_lp", "zero_gp", "dragan", "lecam")
# A method's own knob: its default, and two other settings.
KNOBS: dict[str, tuple[str, tuple[float, float, float]]] = {
  "label_smoothing": ("objective.real_label", (0.9, 0.8, 0.95)),
  "wgan_clip": (f"{MOVE}.clip_weights.limit", (0.01, 0.03, 0.1)),
  "alpha": ("objective.alpha_d", (0.7, 0.5, 0.9)),
  "top_k": ("objective.share", (0.5, 0.75, 0.9)),
  "sinkhorn": ("objective.epsilon", (0.1, 0.01, 1.0)),
  "sliced_wasserstein": ("objective.num_projections", (128, 32, 512)),
  "minibatch_discrimination": ("discriminator.across.num_kernels", (20, 5, 50)),
  "minibatch_stddev": ("discriminator.across.group_size", (4, 8, 16)),
  "instance_noise": ("view.instance_noise.sigma", (0.1, 0.03, 0.3)),
  "ada": ("view.ada.of.sigma", (0.1, 0.03, 0.3)),
  "diffusion": ("view.diffusion.sigma", (0.05, 0.02, 0.15)),
  "unrolled5": (f"{MOVE}.unroll.steps", (5, 1, 2)),
  "lookahead": (f"{MOVE}.lookahead.k", (5, 20, 100)),
  "symplectic": (f"{MOVE}.symplectic.weight", (1.0, 0.1, 10.0)),
  "rejection_sampling": (f"{MOVE}.rejection_sampling.percentile", (80.0, 50.0, 95.0)),
  "truncation": (f"{MOVE}.truncation.threshold", (1.0, 1.5, 2.0)),
  "self_conditioned": (f"{MOVE}.self_conditioned.num_clusters", (50, 25, 10)),
  "d2gan": ("game.beta", (1.0, 0.1, 10.0)),
  "mgan": ("game.beta", (0.01, 0.1, 1.0)),
  "gman": ("game.sharpness", (1.0, 0.0, 10.0)),
  "veegan": ("game.weight", (1.0, 0.1, 0.01)),
  "mode_regularized": ("game.mode_weight", (0.4, 0.04, 4.0)),
  "mdgan": ("game.weight", (0.01, 0.001, 0.1)),
  "presgan": ("game.weight", (0.01, 0.001, 0.1)),
}
# Methods whose knob is a weight that the table below sets: that, a tenth of it, and ten times it.
WEIGHTS: dict[str, tuple[str, ...]] = {
  **{name: (f"{D}.{name}.gamma",) for name in ("r1", "r2", "roth")},
  **{name: (f"{D}.{name}.weight",) for name in PENALTIES},
  **{name: (f"{G}.{name}.weight",) for name in ("feature_matching", "mode_seeking", "dsgan", "gdpp", "gdpp_eigenvalues", "imle")},
  "buresgan": (f"{G}.bures.weight",),
  "deligan": (f"{G}.unit_scales.weight",),
  "mmd": (f"{D}.wgan_gp.weight",),
  "rpgan_r1_r2": (f"{D}.r1.gamma", f"{D}.r2.gamma"),
  "balanced_consistency": (f"{D}.balanced_consistency.weight_real", f"{D}.balanced_consistency.weight_fake"),
  "infogan": (f"{D}.information.weight", f"{G}.information.weight"),
  "consensus": (f"{MOVE}.consensus.gamma",),
  "historical_averaging": (f"{MOVE}.historical_averaging.weight",),
}


def league(config: ConfigDict, arms: Mapping[str, Patch], tuned_on: str, form: str | None) -> ConfigDict:
  """A league's form: None, every method at its default; "tune", three settings of each, on seeds of their own and half the rounds; "tuned",
  vanilla and each method whose best setting is not its default (mean modes at t = 1/4 in `results/TUNED_ON_tune/summary.json` beside this file, whose
  settings' names are taken: copy that of your tuning run there; the form exists once it does); "final", all of these on 30 further seeds; "quick"."""
  chosen = Path(__file__).parent / "results" / f"{tuned_on}_tune" / "summary.json"
  with config.ignore_type():
    if form in ("tune", "tuned", "final"):
      rates = {player: optimizer["learning_rate"] for player, optimizer in config.optimizers.items()}
      three = {method: settings(method, patch, rates) for method, patch in arms.items()}
      found = json.loads(chosen.read_text())["arms"] if chosen.exists() else {}
      better = best(three, {arm: values[CHOSEN_BY]["mean"] for arm, values in found.items() if CHOSEN_BY in values})
    if form is None:
      config.arms = dict(arms)
    elif form == "quick":
      config.arms = {method: arms[method] for method in QUICK}
      config.update(seeds=2, num_steps=300)
      config.evaluation.update(num_samples=2500, thresholds=(1,), every=100)
    elif form == "tune":
      config.arms = {arm: patch for arms in three.values() for arm, patch in arms.items()}
      config.update(seeds=TUNING_SEEDS, num_steps=config.num_steps // 2)
      config.evaluation["every"] = 1000
    elif form == "tuned" and chosen.exists():
      config.arms = {"vanilla": arms["vanilla"], **better}
    elif form == "final":
      config.arms = {**arms, **better}
      config.seeds = FINAL_SEEDS
    else:
      forms = ["quick", "tune", *["tuned"] * chosen.exists(), "final"]
      raise ValueError(f"no form {form!r} of this experiment; use {', '.join(forms[:-1])} or {forms[-1]}")
  return config


def settings(method: str, patch: Patch, rates: Mapping[str, float]) -> dict[str, Patch]:
  """`{arm: patch}`, three: the default under the method's own name, and two others of its knob, or of the players' learning rates `rates`."""
  if method in KNOBS:
    path, (_, *values) = KNOBS[method]
    others = {value: {path: value} for value in values}
  elif method in WEIGHTS:
    default = patch[WEIGHTS[method][0]]
    others = {value: dict.fromkeys(WEIGHTS[method], value) for value in (default / 10, default * 10)}
  else:
    own = {player: patch.get(f"optimizers.{player}.learning_rate", rate) for player, rate in rates.items()}
    own |= {key.split(".")[1]: value["learning_rate"] for key, value in patch.items() if key.startswith("optimizers.") and isinstance(value, dict)}
    others = {f"rate{factor:.2g}": {f"optimizers.{player}.learning_rate": factor * rate for player, rate in own.items()} for factor in RATES}
  named = {f"{method}_{value if isinstance(value, str) else format(value, 'g')}": {**patch, **other} for value, other in others.items()}
  return {method: patch, **named}


def best(three: Mapping[str, Mapping[str, Patch]], tried: Mapping[str, float]) -> dict[str, Patch]:
  """Of each method that was tuned the setting with the highest value, the default where it is as good; those that are defaults are left out."""
  chosen = {}
  for method, arms in three.items():
    if set(arms) <= set(tried):
      arm = max(arms, key=lambda arm: tried[arm])  # the first of equals
      if arm != method:
        chosen[arm] = arms[arm]
  return chosen


def methods(
  *,
  adam: Patch,
  hidden: tuple[int, ...],
  latent: int,
  batch: int,
  network: Patch | None = None,
  discriminator: Patch | None = None,
  num_generators: int = 4,
  r1: float = 0.1,
  wgan_gp: float = 0.1,
  dragan: float = 1.0,
  mode_seeking: float = 0.1,
) -> dict[str, Patch]:
  """Vanilla, three controls, and the methods.

  adam: the optimiser of further players. hidden: D's widths. latent, batch: the protocol's. network: further players, as a config has them without
  `out` (default: `hidden`, tanh), and discriminator: D as a config has it (default: the same), for what wraps it. num_generators: of MGAN and
  MAD-GAN. The others are weights of penalties, which depend on the data's scale.
  """
  further = network or {"name": "mlp", "features": hidden, "activation": "tanh"}
  net = lambda out: {**further, "out": out}

  def game(name: str, *, encoder: int | None = None, player: str = "encoder", further: tuple[str, ...] = (), **settings: Any) -> Patch:
    extra = (*((player,) if encoder else ()), *further)
    given = {"name": name, "ema_decay": 0.999, **settings, **({player: net(encoder)} if encoder else {})}
    return {"game": given, "objective": None, **{f"optimizers.{name}": adam for name in extra}}

  objective = lambda name, **settings: {"objective": {"name": name, **settings}}
  penalty = lambda name, **settings: {f"discriminator_terms.{name}.{key}": value for key, value in settings.items()}
  term = lambda name, **settings: {f"generator_terms.{name}.{key}": value for key, value in settings.items()}
  transform = lambda name, **settings: {f"transforms.{name}.{key}": value for key, value in settings.items()} or {f"transforms.{name}": {}}
  view = lambda name, **settings: {f"view.{name}.{key}": value for key, value in settings.items()} or {f"view.{name}": {}}
  critic = {**objective("wasserstein"), "game.n_critic": 5}
  code = {"categories": (10,)}
  sgd = {"name": "sgd", "learning_rate": 0.05}
  return {
    "vanilla": {},
    # controls: what else the same cost would buy
    "wide_discriminator": {"discriminator.features": tuple(2 * width for width in hidden)},
    "two_d_steps": {"game.n_critic": 2},
    "double_batch": {"batch_size": 2 * batch},
    # objectives
    "minimax": objective("minimax"),
    "label_smoothing": objective("non_saturating", real_label=0.9),
    "least_squares": objective("least_squares"),
    "hinge": objective("hinge"),
    "wgan_clip": {**critic, **transform("clip_weights", limit=0.01)},
    "relativistic_paired": objective("relativistic_paired"),
    "relativistic_average": objective("relativistic_average"),
    "alpha": objective("alpha", alpha_d=0.7, alpha_g=1.2, generator="non_saturating"),
    **{name: objective(name) for name in ("kl", "reverse_kl", "pearson_chi2", "squared_hellinger", "jensen_shannon", "total_variation")},
    "top_k": objective("top_k", of={"name": "non_saturating"}, share=0.5, decay=0.99, every=100),
    "san": {**objective("san", of={"name": "hinge"}), "discriminator.last": "SlicedDense"},
    "mmd": {**objective("mmd"), **penalty("wgan_gp", weight=1.0), "discriminator.out": 16},
    "sinkhorn": {**objective("sinkhorn", cost="cosine"), "discriminator.out": 16},
    "sliced_wasserstein": objective("sliced_wasserstein"),
    # penalties
    "r1": penalty("r1", gamma=r1),
    "r2": penalty("r2", gamma=r1),
    "rpgan_r1_r2": {**objective("relativistic_paired"), **penalty("r1", gamma=1.0), **penalty("r2", gamma=1.0)},
    "approximate_r1": penalty("approximate_r1", weight=100.0),
    "approximate_r2": penalty("approximate_r2", weight=100.0),
    "roth": penalty("roth", gamma=r1),
    "consistency": penalty("consistency", weight=10.0, augmentation=NOISE),
    "balanced_consistency": penalty("balanced_consistency", weight_real=10.0, weight_fake=10.0, augmentation=NOISE),
    "wgan_gp": {**critic, **penalty("wgan_gp", weight=wgan_gp)},
    "wgan_lp": {**critic, **penalty("wgan_lp", weight=wgan_gp)},
    "zero_gp": penalty("zero_gp", weight=wgan_gp),
    "dragan": penalty("dragan", weight=dragan),
    "lecam": penalty("lecam", weight=0.1),
    # generator terms
    "feature_matching": term("feature_matching", weight=1.0),
    "mode_seeking": term("mode_seeking", weight=mode_seeking),
    "dsgan": term("dsgan", weight=mode_seeking, limit=1.0),
    "buresgan": term("bures", weight=1.0),
    "gdpp": term("gdpp", weight=1.0),
    "gdpp_eigenvalues": term("gdpp_eigenvalues", weight=1e-4),
    "infogan": {
      "prior": {"name": "coded", "of": {"name": "normal", "size": latent}, **code},
      "discriminator.across": {"name": "recognition", "size": 10},
      **penalty("information", weight=1.0, **code),
      **term("information", weight=1.0, **code),
    },
    "imle": term("imle", weight=0.1),
    "deligan": {"prior": {"name": "trained_mixture", "size": latent}, **term("unit_scales", weight=0.1)},
    # what D sees
    "pacgan2": view("pack", size=2),
    "pacgan4": view("pack", size=4),
    "pacgan2_packs": {**view("pack", size=2), "batch_unit": "packs"},
    "pacgan4_packs": {**view("pack", size=4), "batch_unit": "packs"},
    "instance_noise": view("instance_noise", sigma=0.1, decay_steps=10_000),
    "ada": view("ada", of=NOISE),
    "diffusion": view("diffusion"),
    # layers
    "minibatch_discrimination": {"discriminator.across": {"name": "minibatch_discrimination", "num_kernels": 20, "dim": 5}},
    "minibatch_stddev": {"discriminator.across": {"name": "minibatch_stddev", "group_size": 4}},
    "virtual_batch": {"discriminator": {"name": "virtual_batch", "of": {**(discriminator or further), "dense": "VirtualDense"}}},
    "spectral_norm": {**objective("hinge"), "discriminator.dense": "SpectralDense", "discriminator.last": "SpectralDense"},
    # optimisers, the order of play, looking ahead
    "ttur": {"optimizers.discriminator.learning_rate": 4 * adam["learning_rate"]},
    "optimistic_adam": {f"optimizers.{player}.name": "optimistic_adam" for player in ("generator", "discriminator")},
    "simultaneous": transform("simultaneous"),
    "unrolled5": transform("unroll", steps=5),
    "consensus": transform("consensus", gamma=0.1),
    "extragradient": transform("extragradient"),
    "extra_adam": transform("extragradient", moments="both"),
    "symplectic": transform("symplectic"),
    "competitive": {
      **objective("minimax"), **transform("competitive"), **{f"optimizers.{player}": sgd for player in ("generator", "discriminator")},
    },
    "lookahead": transform("lookahead"),
    "historical_averaging": transform("historical_averaging", weight=0.1),
    # the data's law, labels, and samples
    "ridge_leverage": {**transform("ridge_leverage"), "batch_size": 20 * batch},
    "self_conditioned": transform("self_conditioned"),
    "self_conditioned4": transform("self_conditioned", num_clusters=4),
    "rejection_sampling": transform("rejection_sampling"),
    "truncation": transform("truncation", threshold=1.0),
    # games with further players
    "veegan": game("veegan", encoder=latent, player="reconstructor"),
    "veegan_distance": game("veegan", encoder=latent, player="reconstructor", reconstructor_follows="distance"),
    "ali": game("ali", encoder=2 * latent),
    "bigan": game("bigan", encoder=latent),
    "mode_regularized": game("mode_regularized", encoder=latent),
    "mdgan": game("mdgan", encoder=latent, further=("second_discriminator",)),
    "d2gan": game("d2gan", further=("second_discriminator",)),
    **{
      name: {**game(name, num_generators=num_generators), "generator.heads": num_generators, "discriminator.out": num_generators + 1}
      for name in ("mgan", "madgan")
    },
    "gman": game("gman"),
    "presgan": game("presgan"),
  }  # fmt: skip


__all__ = ["best", "league", "methods", "settings"]
