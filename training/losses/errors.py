"""What a loss refuses: a batch or an option that cannot mean anything."""

from training.errors import TrainingError


class LossError(TrainingError):
    """A batch does not fit a loss, or a loss was built with a value outside its range; the message names both."""
