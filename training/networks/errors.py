"""What can go wrong in `training.networks`.

NetworkError (TrainingError)
├── UnknownBackboneError    no backbone bears the name that was asked for
└── WeightsError            weights cannot be had, or do not fit the network
"""

from training.errors import TrainingError


class NetworkError(TrainingError):
    """The network cannot be built or used like this; the message names the value and the remedy."""


class UnknownBackboneError(NetworkError):
    """No backbone bears this name."""


class WeightsError(NetworkError):
    """Published weights cannot be reached, or a weights file does not fit the network."""
