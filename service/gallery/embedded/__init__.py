"""The embedded engine: SQLite is the truth, and what searches it is derived from that, in memory and beside it."""

from service.gallery.embedded.engine import EmbeddedEngine
from service.gallery.embedded.sizes import Sizes

__all__ = ["EmbeddedEngine", "Sizes"]
