"""`python -m gan_jax` is `gan-jax`."""

import sys

from gan_jax.lab.cli import main

if __name__ == "__main__":
  sys.exit(main())
