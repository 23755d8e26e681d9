"""The source that a place on disk is: a folder, a tar file or a list."""

from pathlib import Path

from service.indexing.errors import IndexingError
from service.indexing.folder import Folder
from service.indexing.manifest import LIST_SUFFIXES, Manifest
from service.indexing.pattern import parse_pattern, read_nothing
from service.indexing.records import Source
from service.indexing.tar_file import TAR_SUFFIXES, TarFile


def open_source(path: Path | None, manifest: Path | None = None, pattern: str | None = None) -> Source:
    """path: a folder, a tar file or a list; with `manifest` the folder in which that list's paths start."""
    if path is not None and manifest is None and path.suffix.lower() in LIST_SUFFIXES:
        path, manifest = None, path
    if manifest is not None:
        if pattern is not None:
            raise IndexingError("--pattern reads paths and a list says it all itself: give one of the two")
        if path is not None and not path.is_dir():
            raise IndexingError(f"{path} is no folder: with --manifest, PATH is the folder in which its paths start")
        return Manifest(manifest, path)
    if path is None:
        raise IndexingError("there is nothing to index: name a folder, a tar file, or a list with --manifest")
    reading = read_nothing if pattern is None else parse_pattern(pattern)
    if path.is_dir():
        return Folder(path, reading)
    if not path.exists():
        raise IndexingError(f"there is no {path}")
    if path.name.lower().endswith(TAR_SUFFIXES):
        return TarFile(path, reading)
    raise IndexingError(
        f"{path} is a file of no known kind: name a folder, a tar file ({', '.join(TAR_SUFFIXES)}) or a list "
        f"({', '.join(LIST_SUFFIXES)})"
    )
