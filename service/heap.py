"""What is freed goes back to the system, where the C library would keep it.

glibc gives threads arenas of their own, and keeps in each what was freed there; it takes large blocks from them too,
once such were freed. A service of twenty threads, through which pictures, forms and vectors pass, grew by half in
100,000 requests, although nothing was held. So there are few arenas, large blocks are the system's own, and now and
then each arena gives back what it does not need. Where the C library is another, nothing is done.
"""

from __future__ import annotations

import ctypes
import os

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8  # as malloc.h calls and numbers them
_MOST_ARENAS = 8
_LARGE = 2**20
_libc = ctypes.CDLL(None)


def keep_little() -> None:
    """To be called before there are threads."""
    if hasattr(_libc, "mallopt"):
        _libc.mallopt(_ARENA_MAX, min(_MOST_ARENAS, len(os.sched_getaffinity(0))))
        _libc.mallopt(_MMAP_THRESHOLD, _LARGE)
        _libc.mallopt(_TRIM_THRESHOLD, 4 * _LARGE)


def give_back() -> None:
    """Takes milliseconds, in which other threads wait that want memory of the same arena."""
    if hasattr(_libc, "malloc_trim"):
        _libc.malloc_trim(0)
