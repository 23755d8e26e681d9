"""What can go wrong around a training run.

TrainingError (a ValueError)
├── RecipeError          a recipe cannot be found, or does not say what a run needs
├── DeviceError          the device that was asked for is not there
├── RunError             the folder of a run is not what it should be, or holds another run
├── CheckpointError      a checkpoint cannot be read, or belongs to another run
└── NonFiniteLossError   the loss is no number any more
"""

from training.errors import TrainingError


class RecipeError(TrainingError):
    """A recipe cannot be found, has a key or a value that it should not have, or does not fit the data."""


class DeviceError(TrainingError):
    """The device that was asked for is not there."""


class RunError(TrainingError):
    """The folder of a run cannot be used as asked."""


class CheckpointError(TrainingError):
    """A checkpoint cannot be read, or belongs to another run."""


class NonFiniteLossError(TrainingError):
    """The loss became NaN or infinite; the message names the step, the batch's files and the last good checkpoint."""
