"""Every method of the field as an arm of a protocol on points, each at its default: for `league_ring.py`, and for `benchmarks/methods.py` to time.

A method whose published setting is for images alone has the setting that its docstring gives for points, or else the plainest one; nothing here was
tuned, but for R1's and RpGAN's gamma (see ring_rls.py). This file is no experiment, hence the underscore.
"""

from typing import Any

Patch = dict[str, Any]

NOISE = {"name": "instance_noise", "sigma": 0.1}


def methods(*, adam: Patch, hidden: tuple[int, ...], latent: int, batch: int) -> dict[str, Patch]:
  """`adam`: the optimiser of further players. `hidden`: widths of every network. `latent`, `batch`: the protocol's."""
  net = lambda out: {"name": "mlp", "out": out, "features": hidden, "activation": "tanh"}

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
    "r1": penalty("r1", gamma=0.1),
    "r2": penalty("r2", gamma=0.1),
    "rpgan_r1_r2": {**objective("relativistic_paired"), **penalty("r1", gamma=1.0), **penalty("r2", gamma=1.0)},
    "approximate_r1": penalty("approximate_r1", weight=100.0),
    "approximate_r2": penalty("approximate_r2", weight=100.0),
    "roth": penalty("roth", gamma=0.1),
    "consistency": penalty("consistency", weight=10.0, augmentation=NOISE),
    "balanced_consistency": penalty("balanced_consistency", weight_real=10.0, weight_fake=10.0, augmentation=NOISE),
    "wgan_gp": {**critic, **penalty("wgan_gp", weight=0.1)},
    "wgan_lp": {**critic, **penalty("wgan_lp", weight=0.1)},
    "zero_gp": penalty("zero_gp", weight=0.1),
    "dragan": penalty("dragan", weight=1.0),
    "lecam": penalty("lecam", weight=0.1),
    # generator terms
    "feature_matching": term("feature_matching", weight=1.0),
    "mode_seeking": term("mode_seeking", weight=0.1),
    "dsgan": term("dsgan", weight=0.1, limit=1.0),
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
    "spectral_norm": {**objective("hinge"), "discriminator.dense": "SpectralDense", "discriminator.last": "SpectralDense"},
    # optimisers, the order of play, looking ahead
    "ttur": {"optimizers.discriminator.learning_rate": 4e-3},
    "optimistic_adam": {f"optimizers.{player}.name": "optimistic_adam" for player in ("generator", "discriminator")},
    "simultaneous": transform("simultaneous"),
    "unrolled5": transform("unroll", steps=5),
    "consensus": transform("consensus", gamma=0.1),
    "extragradient": transform("extragradient"),
    "extra_adam": transform("extragradient", moments="both"),
    "symplectic": transform("symplectic"),
    "competitive": {
      **objective("minimax"), **transform("competitive"), "optimizers": {"generator": sgd, "discriminator": sgd},
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
    "ali": game("ali", encoder=2 * latent),
    "bigan": game("bigan", encoder=latent),
    "mode_regularized": game("mode_regularized", encoder=latent),
    "mdgan": game("mdgan", encoder=latent, further=("second_discriminator",)),
    "d2gan": game("d2gan", further=("second_discriminator",)),
    "mgan": {**game("mgan", num_generators=4), "generator.heads": 4, "discriminator.out": 5},
    "madgan": {**game("madgan", num_generators=4), "generator.heads": 4, "discriminator.out": 5},
    "gman": game("gman"),
    "presgan": game("presgan"),
  }  # fmt: skip


__all__ = ["methods"]
