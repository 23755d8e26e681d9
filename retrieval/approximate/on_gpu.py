"""Candidates from a GPU: every vector is read there, at half its width, at terabytes a second.

faiss lets one thread at a time use a GPU, knows no filters there and takes nothing out. So questions take turns, more
is asked for than is permitted, and what was removed is passed over until the index is built again.
"""

from __future__ import annotations

import logging
import threading
from typing import Any, ClassVar

import faiss
import numpy as np
import numpy.typing as npt

from retrieval.approximate.finder import Candidates, Kind, Permitted
from retrieval.array_file import Arrays
from retrieval.errors import RetrievalError
from retrieval.exact_search import Vectors
from retrieval.gpu_search import LARGEST_K, use_gpu

BLOCK = 50_000
SPARE = 64  # candidates beyond what was asked for, and
DEEPER = 3  # so many times that: what lies between them and the last wanted must outweigh the rounding
WORKSPACE = 256 * 2**20  # bytes on the GPU; faiss would set aside gigabytes
# Relative to the length: float16 keeps 11 bits. A GPU rounds the probe, too, and sums in another order.
PROBE_OFF, SUM_OFF = 2.0**-11, 2.0**-12
log = logging.getLogger(__name__)


class GpuFinder:
    """A GPU that fails is given up with one line in the log; from then on nothing is named, and every search is made on
    the processor."""

    kind: ClassVar[Kind] = "gpu"
    knows_items: ClassVar[bool] = False
    few: ClassVar[float] = 1 / 64

    def __init__(self, dimension: int) -> None:
        if not use_gpu("auto"):
            raise RetrievalError(
                "an index of kind 'gpu' was asked for, but faiss sees no GPU: install the extra 'gpu' on a machine "
                "with a CUDA device, or use another kind"
            )
        self._turn = threading.Lock()
        self._failed = False
        self._off = 0.0  # the largest distance of a vector from its rounded one
        self._dimension, self._count = dimension, 0
        config = faiss.GpuIndexFlatConfig()
        config.useFloat16 = True
        self._resources = faiss.StandardGpuResources()
        self._resources.setTempMemory(WORKSPACE)
        self._index: Any = faiss.GpuIndexFlatIP(self._resources, dimension, config)

    @classmethod
    def build(cls, vectors: Vectors) -> GpuFinder:
        return cls(vectors.shape[1]).extended(vectors, 0)

    @classmethod
    def restored(cls, facts: dict[str, Any], arrays: Arrays) -> GpuFinder:
        return cls.build(arrays["vectors"].astype(np.float32, copy=False))

    def saved(self) -> tuple[dict[str, Any], Arrays]:
        return {}, {}  # the vectors are in the file

    @property
    def slack(self) -> float:
        return 2 * (self._off + PROBE_OFF + SUM_OFF)

    @property
    def parameters(self) -> dict[str, int]:
        return {"bits": 16}

    @property
    def efforts(self) -> tuple[int, int]:
        return 1, 1

    @property
    def effort_means(self) -> str:
        return "passes"

    @property
    def nbytes(self) -> int:
        """On the GPU."""
        return 2 * self._dimension * self._count

    def effort_for(self, effort: int, deeper: float, share: float) -> int:
        return effort

    def find(self, probe: Vectors, count: int, effort: int, permitted: Permitted | None) -> Candidates:
        wanted = (1 + DEEPER) * count + SPARE
        if permitted is not None:
            wanted = int(wanted / max(permitted.share, 1e-9))
        with self._turn:
            slots = self._ask(probe, min(wanted, LARGEST_K, self._count))
        if permitted is None:
            return slots
        slots = slots[(slots >= 0) & (slots < len(permitted.mask))]
        return slots[permitted.mask[slots]]

    def extended(self, vectors: Vectors, first: int) -> GpuFinder:
        for start in range(0, len(vectors), BLOCK):
            rows = np.ascontiguousarray(vectors[start : start + BLOCK], np.float32)
            off = float(np.linalg.norm(rows - rows.astype(np.float16), axis=1).max())
            with self._turn:
                self._off = max(self._off, off)
                self._add(rows, first + start)
        return self

    def wipe(self, slots: npt.NDArray[np.integer]) -> None:
        """Nothing: see the module."""

    def _ask(self, probe: Vectors, wanted: int) -> Candidates:
        if not self._failed and wanted:
            try:
                return np.asarray(self._index.search(probe, wanted)[1][0])
            except RuntimeError as error:
                self._give_up(error)
        return np.empty(0, np.int64)

    def _add(self, rows: Vectors, first: int) -> None:
        if self._failed:
            return
        if self._count != first:
            raise RetrievalError(
                f"the gpu index holds {self._count} items, not {first}: an addition broke off half-way; call "
                "compact(), which builds it again"
            )
        try:
            self._index.add(rows)
            self._count += len(rows)
        except RuntimeError as error:
            self._give_up(error)

    def _give_up(self, error: RuntimeError) -> None:
        self._failed = True
        first_line = str(error).splitlines()[0] if str(error) else type(error).__name__
        log.error(
            "the GPU failed (%s): this gallery is searched on the processor until the service starts anew", first_line
        )
