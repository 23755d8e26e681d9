"""Arrays in one checksummed file, written whole or not at all.

    magic (16 bytes) | header length, uint64 little endian | header, JSON | arrays, each from a multiple of 64 bytes

The header names format, version, facts and each array's dtype, shape and place; its `sha256` covers all of that and
every array's bytes, so that a cut, a flipped bit or a file of another kind is found before anything is believed.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from retrieval.errors import CorruptGraphError

MAGIC = b"vantage arrays 1"
ALIGNMENT = 64
Arrays = dict[str, npt.NDArray[Any]]


def write_arrays(path: Path, facts: dict[str, Any], arrays: Arrays) -> None:
    """Writes `facts` (JSON) and `arrays` to `path`; a reader sees the old file or the new, even after a power cut."""
    flat = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    places = [{"name": name, "dtype": array.dtype.str, "shape": list(array.shape)} for name, array in flat.items()]
    described = {"facts": facts, "arrays": places}
    header = json.dumps({**described, "sha256": _digest(described, flat)}).encode()
    # Temporary file, fsync, rename, fsync of the folder: in this order, or a crash may leave half a file there.
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(MAGIC + len(header).to_bytes(8, "little") + header)
            for array in flat.values():
                file.write(b"\0" * (-file.tell() % ALIGNMENT))
                file.write(_bytes(array))
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def stored_digest(path: Path) -> str:
    """The checksum that a file says it has, by which two files can be told apart without reading them whole.

    Whether what it holds agrees with it is found by `read_arrays` alone.
    """
    with path.open("rb") as file:
        return str(_header(file, path).get("sha256"))


def read_arrays(path: Path) -> tuple[dict[str, Any], Arrays]:
    """What `write_arrays` wrote; CorruptGraphError where the file is not exactly that."""
    with path.open("rb") as file:
        header = _header(file, path)
        try:
            described = {"facts": header["facts"], "arrays": header["arrays"]}
            arrays: Arrays = {}
            for place in header["arrays"]:
                if any(file.read(-file.tell() % ALIGNMENT)):
                    raise _damaged(path)
                arrays[place["name"]] = _read(file, np.dtype(place["dtype"]), tuple(place["shape"]), path)
        except CorruptGraphError:
            raise
        except (ValueError, KeyError, TypeError, MemoryError) as error:
            raise _damaged(path) from error
        if file.read(1) or _digest(described, arrays) != header.get("sha256"):
            raise _damaged(path)
        return header["facts"], arrays


def _header(file: BinaryIO, path: Path) -> dict[str, Any]:
    start = file.read(len(MAGIC) + 8)
    if start[: len(MAGIC)] != MAGIC:
        raise CorruptGraphError(f"{path} is not a file of saved arrays: rebuild it from the vectors")
    size = int.from_bytes(start[len(MAGIC) :], "little")
    if size > path.stat().st_size:
        raise _damaged(path)
    try:
        header = json.loads(file.read(size))
    except ValueError as error:
        raise _damaged(path) from error
    if not isinstance(header, dict):
        raise _damaged(path)
    return header


def _read(file: Any, dtype: np.dtype[Any], shape: tuple[int, ...], path: Path) -> npt.NDArray[Any]:
    count = int(np.prod(shape, dtype=np.int64))
    if count * dtype.itemsize > path.stat().st_size:  # before memory is asked for what the file cannot hold
        raise _damaged(path)
    array = np.fromfile(file, dtype, count)
    if len(array) != count:
        raise _damaged(path)
    return array.reshape(shape)


def _digest(described: dict[str, Any], arrays: Arrays) -> str:
    digest = hashlib.sha256(json.dumps(described).encode())
    for array in arrays.values():
        digest.update(_bytes(array))
    return digest.hexdigest()


def _bytes(array: npt.NDArray[Any]) -> memoryview:
    return array.reshape(-1).view(np.uint8).data


def _damaged(path: Path) -> CorruptGraphError:
    return CorruptGraphError(
        f"{path} is damaged (its checksum does not match what it holds): rebuild it from the vectors"
    )
