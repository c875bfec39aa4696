"""Where examples of finite sets come from: each is a `Source` (data/base.py), random access by number on the host."""

from gan_jax.data.sources.arrays import npy, npz
from gan_jax.data.sources.fitting import fitted
from gan_jax.data.sources.folders import captions, folder, pairs
from gan_jax.data.sources.idx_files import idx
from gan_jax.data.sources.in_memory import memory
from gan_jax.data.sources.prepared import tfds
from gan_jax.data.sources.recognise import kind, source, splits

__all__ = ["captions", "fitted", "folder", "idx", "kind", "memory", "npy", "npz", "pairs", "source", "splits", "tfds"]
