"""What can go wrong in `retrieval`.

RetrievalError (ValueError)
└── CorruptGraphError   a saved re-ranking graph does not match its own checksum, or is of another format
"""


class RetrievalError(ValueError):
    """The input cannot be ranked or scored; the message names the value and the remedy."""


class CorruptGraphError(RetrievalError):
    """A saved `ReciprocalGraph` is damaged or of another format: rebuild it from the vectors."""
