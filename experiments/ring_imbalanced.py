"""The imbalanced ring under its plain name: everything is in `ring_rls.py`, the protocol card it follows."""

from ring_rls import get_config  # noqa: F401
