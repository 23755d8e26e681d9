"""What makes two caches the same: the pictures, and everything that turns them into crops.

A file stands for its content by its path, size and time of change: to hash the bytes would read as much as decoding
does, at every start, and would find nothing that these do not, but for tampering. A rendered picture is its plan and
the renderer's own source; the preprocessing is its parameters, its source and the libraries that resize.
"""

import hashlib
from functools import cache
from pathlib import Path
from types import ModuleType

import numpy as np
import PIL

import models.preprocess
import training.data.synthetic
from models import InputSpec
from training.data.dataset import Picture, Rendering, Split

_LAYOUT = 1  # of the cache's files


def cache_key(split: Split, spec: InputSpec) -> str:
    """32 hexadecimal digits. The order of the pictures counts, their labels do not."""
    digest = hashlib.sha256()
    digest.update(f"{_LAYOUT} {spec.height} {spec.width} {spec.resize} {PIL.__version__}\n".encode())
    digest.update(_source(models.preprocess))
    for picture in split:
        digest.update(_identity(picture).encode() + b"\n")
    return digest.hexdigest()[:32]


def _identity(picture: Picture) -> str:
    if isinstance(picture.source, Rendering):
        renderer = _source(training.data.synthetic).hex()
        return f"rendered {picture.source.spec!r} {picture.source.crop!r} {renderer} {np.__version__}"
    try:
        file = picture.source.stat()
    except OSError:
        return f"missing {str(picture.source.absolute())!r} {picture.name!r}"
    return f"file {str(picture.source.absolute())!r} {picture.name!r} {file.st_size} {file.st_mtime_ns}"


@cache
def _source(module: ModuleType) -> bytes:
    """A digest of a module's source, or of all modules of a package."""
    assert module.__file__ is not None
    file = Path(module.__file__)
    files = sorted(file.parent.glob("*.py")) if file.name == "__init__.py" else [file]
    return hashlib.sha256(b"\0".join(part.read_bytes() for part in files)).digest()
