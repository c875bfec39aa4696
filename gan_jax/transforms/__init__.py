"""Methods that change how a game is played: Game -> Game. They compose."""

from gan_jax.transforms.anticipation import extragradient, unroll
from gan_jax.transforms.clusters import self_conditioned
from gan_jax.transforms.field import competitive, consensus, symplectic
from gan_jax.transforms.leverage import ridge_leverage
from gan_jax.transforms.sampling import rejection_sampling, truncation
from gan_jax.transforms.turns import gradient_norms, repeat, shared_noise, simultaneous, skip_not_finite
from gan_jax.transforms.weights import clip_weights, historical_averaging, lookahead

__all__ = [
  "clip_weights", "competitive", "consensus", "extragradient", "gradient_norms", "historical_averaging", "lookahead", "rejection_sampling",
  "repeat", "ridge_leverage", "self_conditioned", "shared_noise", "simultaneous", "skip_not_finite", "symplectic", "truncation", "unroll",
]  # fmt: skip
