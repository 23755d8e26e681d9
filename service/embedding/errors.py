"""What can keep a crop from being embedded, as sentences for whoever asked."""


class ServingError(ValueError):
    """Any of these."""


class QueueFullError(ServingError):
    """So much waits already that this was not taken in. retry_after: seconds until there should be room."""

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class TooManyCropsError(ServingError):
    """More crops at once than ever wait: asking again will not help."""


class DeadlineExceededError(ServingError):
    """The caller's time was over before the work began."""


class ShuttingDownError(ServingError):
    """The service is about to end and takes nothing in any more."""


class ReloadError(ServingError):
    """The new model does not serve; the one before goes on."""
