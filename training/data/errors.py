"""What can go wrong with data.

TrainingError (a ValueError)
└── DataError           a spec, a folder, a list or a label is not what it should be
    ├── ViewpointError  a file of viewpoints cannot be read or does not belong to the dataset
    ├── CacheError      decoded crops cannot be kept or do not fit what is asked of them
    ├── SamplerError    batches cannot be drawn from these people, or a saved state belongs to others
    └── PictureError    one picture cannot be read
"""

from training.errors import TrainingError


class DataError(TrainingError):
    """A spec, a folder, a list or a label is not what it should be."""


class ViewpointError(DataError):
    """A file of viewpoints cannot be read, holds something else, or does not belong to the dataset."""


class CacheError(DataError):
    """Decoded crops cannot be kept, or do not fit what is asked of them."""


class SamplerError(DataError):
    """Batches cannot be drawn from these people, or a saved state belongs to other ones."""


class PictureError(DataError):
    """One picture cannot be read; the message names it."""
