"""What can go wrong in an export.

TrainingError (a ValueError)
└── ExportError       a bundle cannot be made, or must not be: nothing is left where it was to be
    └── ParityError   the exported file does not give what the network gives
"""

from training.errors import TrainingError


class ExportError(TrainingError):
    """A bundle cannot be made like this; nothing is left where it was to be."""


class ParityError(ExportError):
    """The exported file does not give what the network gives."""
