"""`python -m gan_jax` is `gan-jax`."""

import os
import sys
import threading
import time

from gan_jax.lab.cli import main

GRACE = 20.0  # seconds


def leave(code: int) -> None:
  """End this process, whatever its threads do: Python waits for them, and one that reads from a dead disk never comes back."""

  def end() -> None:
    time.sleep(GRACE)
    for stream in (sys.stdout, sys.stderr):
      stream.flush()
    os._exit(code)

  threading.Thread(target=end, name="leave", daemon=True).start()
  sys.exit(code)


def entry() -> None:
  """The program `gan-jax`."""
  leave(main())


if __name__ == "__main__":
  entry()
