"""The list of pictures that could not be indexed, one JSON object a line, complete up to the last at any time."""

import json
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

from service.indexing.errors import IndexingError
from service.indexing.records import Failure

_SHOWN = 5


class FailureReport:
    """The file is made at the first failure, in place of an older one; with `always` at once, and may stay empty.

    first: a few failures, to be shown.
    """

    def __init__(self, path: Path, *, always: bool = False) -> None:
        self.path = path
        self.first: list[Failure] = []
        self._file: TextIO | None = None
        if always:
            self._open()

    @property
    def written(self) -> bool:
        return self._file is not None

    def add(self, failure: Failure) -> None:
        file = self._file or self._open()
        if len(self.first) < _SHOWN:
            self.first.append(failure)
        try:
            file.write(json.dumps(asdict(failure), ensure_ascii=False) + "\n")
            file.flush()
        except OSError as error:
            raise self._unwritable(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def _open(self) -> TextIO:
        try:
            self._file = self.path.open("w", encoding="utf-8")
        except OSError as error:
            raise self._unwritable(error) from error
        return self._file

    def _unwritable(self, error: OSError) -> IndexingError:
        return IndexingError(f"the report {self.path} cannot be written: {error.strerror}; name another with --report")
