"""The root of what can go wrong in training."""


class TrainingError(ValueError):
    """Anything that a user of this package can mend; the message names the value and the remedy."""
