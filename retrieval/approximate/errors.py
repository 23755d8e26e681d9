"""What can go wrong with a saved index."""

from __future__ import annotations

from retrieval.errors import RetrievalError


class CorruptIndexError(RetrievalError):
    """A saved `ApproximateIndex` is damaged or of another format: build it again from the vectors."""
