"""Games by name: the two-player game and those with further players, one file each."""

from gan_jax.games.ali import ali, bigan
from gan_jax.games.cut import cut
from gan_jax.games.cyclegan import cyclegan
from gan_jax.games.d2gan import d2gan
from gan_jax.games.gman import gman
from gan_jax.games.madgan import madgan
from gan_jax.games.mdgan import mdgan, mode_regularized
from gan_jax.games.mgan import mgan
from gan_jax.games.presgan import presgan
from gan_jax.games.veegan import veegan
from gan_jax.play import gan

__all__ = ["ali", "bigan", "cut", "cyclegan", "d2gan", "gan", "gman", "madgan", "mdgan", "mgan", "mode_regularized", "presgan", "veegan"]
