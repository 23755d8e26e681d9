"""What can go wrong in a report.

TrainingError (a ValueError)
└── ReportError   a picture cannot be drawn from what there is
"""

from training.errors import TrainingError


class ReportError(TrainingError):
    """The page cannot be made from what there is."""
