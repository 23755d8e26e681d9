"""What a user can get wrong about synthetic people."""

from training.data.errors import DataError


class SyntheticSpecError(DataError):
    """The spec asks for something that cannot be made; the message says what and why."""
