"""The source that a place on disk is: a folder, a tar file, a list, or Parquet."""

from pathlib import Path

from service.indexing.errors import IndexingError
from service.indexing.folder import Folder, NoPicturesError
from service.indexing.manifest import LIST_SUFFIXES, Manifest
from service.indexing.parquet import PARQUET_SUFFIX, Parquet, parquet_files
from service.indexing.pattern import Reading, parse_pattern, read_nothing
from service.indexing.records import Source
from service.indexing.tar_file import TAR_SUFFIXES, TarFile

_LISTS = (*LIST_SUFFIXES, PARQUET_SUFFIX)


def open_source(path: Path | None, manifest: Path | None = None, pattern: str | None = None) -> Source:
    """path: a folder, a tar file or a list; with `manifest` the folder in which that list's paths start."""
    if path is not None and manifest is None and path.suffix.lower() in _LISTS and not path.is_dir():
        path, manifest = None, path
    if manifest is not None:
        if path is not None and not path.is_dir():
            raise IndexingError(f"{path} is no folder: with --manifest, PATH is the folder in which its paths start")
        _refuse_pattern(pattern)
        return _list(manifest, path)
    if path is None:
        raise IndexingError("there is nothing to index: name a folder, a tar file, or a list with --manifest")
    reading = read_nothing if pattern is None else parse_pattern(pattern)
    if path.is_dir():
        return _folder(path, reading, pattern)
    if not path.exists():
        raise IndexingError(f"there is no {path}")
    if path.name.lower().endswith(TAR_SUFFIXES):
        return TarFile(path, reading)
    raise IndexingError(
        f"{path} is a file of no known kind: name a folder, a tar file ({', '.join(TAR_SUFFIXES)}) or a list "
        f"({', '.join(_LISTS)})"
    )


def _list(manifest: Path, folder: Path | None) -> Source:
    if not manifest.is_dir() and manifest.suffix.lower() != PARQUET_SUFFIX:
        return Manifest(manifest, folder)
    if files := parquet_files(manifest):
        return Parquet(files, folder)
    raise IndexingError(f"there is no file below {manifest} whose name ends in {PARQUET_SUFFIX}")


def _folder(path: Path, reading: Reading, pattern: str | None) -> Source:
    """Pictures go before Parquet, which may well be a list of them."""
    try:
        return Folder(path, reading)
    except NoPicturesError:
        files = parquet_files(path)
        if not files:
            raise
    _refuse_pattern(pattern)
    return Parquet(files)


def _refuse_pattern(pattern: str | None) -> None:
    if pattern is not None:
        raise IndexingError("--pattern reads paths and a list says it all itself: give one of the two")
