"""How the service's log looks: a line an event on standard error, for people or as JSON."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any


class JsonLines(logging.Formatter):
    """A JSON object a line. A message that is one itself, such as a request's, gives its fields."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        line |= _fields(record.getMessage())
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def configure_log(level: str, as_json: bool) -> None:
    """For the whole process; `level` as in `ServiceSettings`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if as_json else logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for talkative in ("uvicorn", "faiss"):  # what they tell at info is told by us, in sentences, or nobody's concern
        logging.getLogger(talkative).setLevel(max(logging.WARNING, logging.getLevelNamesMapping()[level.upper()]))


def _fields(message: str) -> dict[str, Any]:
    if message.startswith("{"):
        try:
            fields = json.loads(message)
        except ValueError:
            pass
        else:
            if isinstance(fields, dict):
                return fields
    return {"message": message}
