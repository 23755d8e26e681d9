"""A pattern at work on the paths of a source."""

from pathlib import Path

from service.gallery import GalleryError
from service.indexing.errors import IndexingError
from service.indexing.pattern import Reading
from service.indexing.records import Failure, Record


class Labelling:
    """Makes records of paths, and remembers whether the pattern fits at all."""

    def __init__(self, reading: Reading, of: str) -> None:
        self._reading = reading
        self._of = of
        self._matched = 0
        self._stranger: str | None = None

    def record(self, path: str, place: str, content: Path | bytes) -> Record | Failure:
        """path: below the folder or inside the archive, with / between its parts."""
        # Names on disk are bytes, and need not be valid text; sentences must be.
        place = place.encode("utf-8", "backslashreplace").decode()
        try:
            facts = self._reading(path)
        except GalleryError as error:
            return Failure(place, None, "bad-facts", str(error))
        if facts is None:
            self._stranger = self._stranger or path
            return Failure(place, None, "no-match", "the pattern does not match this path")
        self._matched += 1
        return Record(place, content, facts)

    def finish(self) -> None:
        """After the last path: a pattern that never matched is a mistake, and so is a place without pictures."""
        if self._stranger is not None and not self._matched:
            raise IndexingError(
                f"--pattern matches none of the paths in {self._of}; the first is {self._stranger!r}: mend the pattern"
            )
