"""What can go wrong between a client and a service, as sentences."""

from __future__ import annotations


class BadCallError(ValueError):
    """A call that cannot be right, whatever the service would say: nothing was sent."""


class ServiceError(ValueError):
    """The service did not do what was asked.

    sentence     what to do about it, in the service's words.
    type         a short name for programs, such as no-such-gallery; docs/api.md lists them. None where the service
                 did not say it.
    status       of HTTP; None where nothing was answered.
    request_id   under which the service's log has more.
    retry_after  seconds after which it may be asked again, where the service said so.
    """

    def __init__(
        self,
        sentence: str,
        *,
        type: str | None = None,
        status: int | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        known = [f"{status} {type}" if status and type else type or status, request_id and f"request {request_id}"]
        told = ", ".join(str(each) for each in known if each)
        super().__init__(f"{sentence} ({told})" if told else sentence)
        self.sentence = sentence
        self.type = type
        self.status = status
        self.request_id = request_id
        self.retry_after = retry_after


class NotFoundError(ServiceError):
    """There is no such gallery, item, snapshot or job: 404."""


class UnauthorizedError(ServiceError):
    """A key is wanted, or the one that was sent is none any more: 401."""


class ForbiddenError(ServiceError):
    """It is known who asks, and that is not theirs to do: 403."""


class ConflictError(ServiceError):
    """There is something of that name already, or vectors of another model: 409 and 412."""


class BusyError(ServiceError):
    """Too much is asked of the service, or it is not ready: 429 and 503, after all patience."""


class UnreachableError(ServiceError):
    """Nobody answered. The sentence says whether what was asked may have been done all the same."""


class JobFailedError(ServiceError):
    """A job that was waited for has failed."""


ERROR_OF_STATUS: dict[int, type[ServiceError]] = {
    401: UnauthorizedError,
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
    412: ConflictError,
    429: BusyError,
    503: BusyError,
}
