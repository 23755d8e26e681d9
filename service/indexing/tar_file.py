"""The pictures in a tar file, read as a stream: nothing is unpacked, and no member leads anywhere outside."""

import tarfile
import zlib
from collections.abc import Iterator
from lzma import LZMAError
from pathlib import Path, PurePosixPath
from typing import Self

from service.images import LIMITS, BadImageError, check_length
from service.indexing.errors import IndexingError
from service.indexing.folder import SUFFIXES, is_picture_name, is_visible
from service.indexing.labelling import Labelling
from service.indexing.pattern import Reading, read_nothing
from service.indexing.records import Failure, Record

TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")


class _Member(tarfile.TarInfo):
    """Python's reader takes a damaged or missing header for the end of the archive, and says nothing of the rest."""

    @classmethod
    def fromtarfile(cls, tarfile_: tarfile.TarFile) -> Self:
        try:
            return super().fromtarfile(tarfile_)
        except (tarfile.EOFHeaderError, tarfile.SubsequentHeaderError):  # type: ignore[attr-defined]
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(str(error)) from error


class TarFile:
    """Regular members only, in the archive's order; total and done are bytes of the archive."""

    def __init__(self, path: Path, reading: Reading = read_nothing) -> None:
        self._path = path
        self._labelling = Labelling(reading, str(path))
        self.total = path.stat().st_size
        self.done = 0

    def __iter__(self) -> Iterator[Record | Failure]:
        pictures = 0
        try:
            with self._path.open("rb") as file, tarfile.open(fileobj=file, mode="r|*", tarinfo=_Member) as archive:
                for member in archive:
                    self.done = file.tell()
                    parts = PurePosixPath(member.name).parts
                    if member.isreg() and all(is_visible(part) for part in parts) and is_picture_name(parts[-1]):
                        pictures += 1
                        yield self._record(archive, member, parts)
                    # A stream never goes back, and a million members would fill the memory.
                    archive.members.clear()  # type: ignore[attr-defined]
        except (tarfile.TarError, EOFError, zlib.error, LZMAError, OSError) as error:
            if not pictures:
                raise IndexingError(f"{self._path} cannot be read as a tar file: {error}") from error
            yield Failure(str(self._path), None, "unreadable", f"the archive is damaged or cut off here: {error}")
        self.done = self.total
        if not pictures:
            raise IndexingError(
                f"there is no picture in {self._path}: names that end in {' '.join(SUFFIXES)} are taken"
            )
        self._labelling.finish()

    def _record(self, archive: tarfile.TarFile, member: tarfile.TarInfo, parts: tuple[str, ...]) -> Record | Failure:
        name = "/".join(parts)
        place = f"{self._path}:{name}"
        if parts[0] == "/" or ".." in parts:
            return Failure(
                place, None, "unreadable", "this name leads outside the archive: pack it with relative names"
            )
        try:
            check_length(member.size, LIMITS)
        except BadImageError as error:
            return Failure(place, None, error.kind, str(error))
        file = archive.extractfile(member)
        assert file is not None, "a regular member has content"
        return self._labelling.record(name, place, file.read())
