"""Where examples of finite sets come from: each is a `Source` (data/base.py), random access by number on the host."""

from gan_jax.data.sources.memory import memory

__all__ = ["memory"]
