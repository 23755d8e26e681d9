"""What can go wrong with indexing as a whole; what is wrong with one picture is a `Failure` and stops nothing."""


class IndexingError(ValueError):
    """The pictures, their list or a pattern cannot be used as given."""
