"""Times as lists, file names and command lines write them."""

import re
from datetime import UTC, datetime

from service.gallery import BadItemError


def parse_time(text: str) -> datetime:
    """ISO 8601, or seconds since 1970 with nine or ten digits before the point. What lacks a zone is refused later."""
    try:
        if re.fullmatch(r"\d{9,10}(\.\d*)?", text, re.ASCII):
            return datetime.fromtimestamp(float(text), UTC)
        return datetime.fromisoformat(text)
    except (ValueError, OverflowError) as error:
        raise BadItemError(f"a time is {text!r}: write it like 2024-05-01T12:30:00Z") from error
