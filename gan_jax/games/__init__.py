"""Games by name: the two-player game and those with further players, one file each."""

from gan_jax.games.d2gan import d2gan
from gan_jax.games.mgan import mgan
from gan_jax.games.veegan import veegan
from gan_jax.play import gan

__all__ = ["d2gan", "gan", "mgan", "veegan"]
