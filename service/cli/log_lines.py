"""How the service's log looks: a line an event on standard error, for people or as JSON."""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections import deque
from datetime import UTC, datetime
from typing import Any, TextIO

GATHER_SECONDS = 0.05


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


class GatheredLines(logging.StreamHandler[TextIO]):
    """Writes lines together that come within a twentieth of a second; a warning, and what came before it, at once.

    A busy service has some hundred requests a second. To write each line by itself makes the thread that serves all of
    them wait for its turn again a hundred times a second.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._records: deque[logging.LogRecord] = deque()
        self._writing = threading.Lock()  # not the handler's own: that is held when the process ends, and waits for us
        self._some, self._closing = threading.Event(), threading.Event()
        self._writer = threading.Thread(target=self._write_now_and_then, name="log", daemon=True)
        self._writer.start()

    def emit(self, record: logging.LogRecord) -> None:
        self._records.append(record)
        if record.levelno >= logging.WARNING or self._closing.is_set():
            self.flush()
        elif not self._some.is_set():
            self._some.set()

    def flush(self) -> None:
        with self._writing:
            lines = []
            while self._records:
                record = self._records.popleft()
                try:
                    lines.append(self.format(record) + self.terminator)
                except Exception:
                    self.handleError(record)
            try:
                if lines:
                    self.stream.write("".join(lines))
                self.stream.flush()  # not super().flush(), which takes the lock of the handler
            except (OSError, ValueError):  # whoever reads the log has gone
                pass

    def close(self) -> None:
        self._closing.set()
        self._some.set()
        self._writer.join()
        self.flush()
        super().close()

    def _write_now_and_then(self) -> None:
        while not self._closing.is_set():
            self._some.wait()
            self._closing.wait(GATHER_SECONDS)
            self._some.clear()
            self.flush()


def configure_log(level: str, as_json: bool) -> None:
    """For the whole process; `level` as in `ServiceSettings`."""
    handler = GatheredLines(sys.stderr)
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
