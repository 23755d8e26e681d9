"""What can go wrong in an evaluation.

TrainingError (a ValueError)
└── EvaluationError   what was asked for cannot be measured on this dataset or with this bundle
"""

from training.errors import TrainingError


class EvaluationError(TrainingError):
    """What was asked for cannot be measured; the message says what is missing and what to do."""
