"""Making a graph or an approximate index aside, while the gallery is searched and written to."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from functools import cache, partial
from typing import Literal

from retrieval import ReciprocalGraph, RetrievalError
from retrieval.approximate import ApproximateIndex, Kind, self_test
from service.gallery.embedded.columns import Keys
from service.gallery.embedded.holdings import Holdings, Vectors
from service.gallery.embedded.sizes import Sizes
from service.gallery.embedded.steps import reached
from service.gallery.embedded.writer import Writer
from service.gallery.reports import GraphState
from service.gallery.settings import GallerySettings

MOST_HOLES = 0.3  # share of removed items that an approximate index may drag along
MOST_GROWTH = 2.0  # times larger than when its parameters were measured
Wanted = Literal["graph", "no graph", "flat", "half", "signs", "hnsw", "ivf", "gpu"]
log = logging.getLogger(__name__)


@cache
def works_here(kind: Kind) -> None:
    """Raises RetrievalError where faiss does not do on this machine what such an index needs of it. Asked once."""
    self_test((kind,))


class AbandonedError(Exception):
    """The gallery is being closed."""


class Builder:
    """One build at a time, on a thread of its own; what it makes is taken up on the writing thread."""

    def __init__(self, name: str, settings: GallerySettings, sizes: Sizes, holdings: Holdings, writer: Writer) -> None:
        self._name, self._settings, self._sizes = name, settings, sizes
        self._holdings, self._writer = holdings, writer
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()  # nobody waits for a thread that is made and not started yet
        self._abandoned = threading.Event()
        self._given_up: set[Wanted] = set()  # what failed once is not tried again and again
        self.progress: float | None = None
        self.under_way: Wanted | None = None

    def wanted(self) -> Wanted | None:
        """What should be made next, if anything."""
        held = self._holdings.now
        count, index = len(held.table), held.approximate
        there = held.graph is not None
        graph = self._sizes.graph(self._settings, count) or (there and held.keeps_graph)
        if graph != there:
            step: Wanted = "graph" if graph else "no graph"
            if step not in self._given_up:
                return step
        kind = self._sizes.kind(self._settings, count, index.kind if index is not None else "flat")
        present = index.kind if index is not None else "flat"
        worn = index is not None and (index.holes > MOST_HOLES or len(index) > MOST_GROWTH * index.tuning.items)
        return kind if (kind != present or worn) and kind not in self._given_up else None

    def start(self) -> None:
        """Begins what is wanted, unless something is being made already."""
        if self._thread is not None and self._thread.is_alive():
            return
        step = self.wanted()
        if step is not None:
            self.under_way, self.progress = step, 0.0
            with self._starting:
                self._thread = threading.Thread(
                    target=self.attempt, args=(step,), name=f"builder of {self._name}", daemon=True
                )
                self._thread.start()

    def make(self, step: Wanted) -> None:
        """Makes it and has it taken up."""
        threads = max(1, (os.cpu_count() or 1) // 2)  # the other half answers
        holdings = self._holdings
        adopt: Callable[[], None]
        if step == "no graph":
            adopt = holdings.give_up_graph
        elif step == "flat":
            adopt = partial(holdings.adopt_approximate, None)
        else:
            keys, vectors = holdings.now.table.snapshot()
            if step == "graph":
                adopt = partial(holdings.adopt_graph, self._graph(vectors, keys, threads))
            else:
                works_here(step)
                index = ApproximateIndex.build(step, vectors, keys, threads=threads, progress=self._advanced)
                adopt = partial(holdings.adopt_approximate, index)
        reached("built aside")
        self._writer.alone(adopt)
        reached("swapped in")

    def _graph(self, vectors: Vectors, keys: Keys, threads: int) -> ReciprocalGraph:
        settings = self._settings.reranking
        if self._sizes.gpu_from is not None:
            try:
                return ReciprocalGraph.build(
                    vectors, keys, settings, threads=threads, device="gpu", progress=self._advanced
                )
            except RuntimeError as error:  # faiss': the GPU is full, or has failed
                log.warning("gallery %s: its graph is made on the processor, the GPU failed: %s", self._name, error)
        return ReciprocalGraph.build(vectors, keys, settings, threads=threads, device="cpu", progress=self._advanced)

    def graph_state(self) -> GraphState:
        held = self._holdings.now
        if held.graph is not None:
            return "ready"
        if self._settings.rerank == "off":
            return "off"
        return "building" if self._sizes.graph(self._settings, len(held.table)) else "too large"

    def why_no_graph(self) -> str:
        """In words, for an answer that went without; empty where there is one."""
        done = self.progress
        return {
            "ready": "",
            "building": "the graph of the whole gallery is being made"
            + ("" if done is None else f" ({done:.0%})")
            + "; ask again later",
            "off": "this gallery keeps no graph of its neighbours",
            "too large": f"no graph is made by itself of more than {self._sizes.graph_up_to} items; with the service "
            "stopped, vantage gallery build-graph makes one",
        }[self.graph_state()]

    def wait(self) -> None:
        """Until nothing is being made."""
        with self._starting:
            thread = self._thread
        if thread is not None:
            thread.join()

    def abandon(self) -> None:
        self._abandoned.set()
        self.wait()

    def _advanced(self, done: int, of: int) -> None:
        if self._abandoned.is_set():
            raise AbandonedError
        self.progress = done / max(of, 1)

    def attempt(self, step: Wanted) -> None:
        """Makes it if that can be done; if not, the log says why, and it is not tried again until the next start."""
        try:
            self.make(step)
        except AbandonedError:
            pass
        except RetrievalError as error:  # a sentence that says what is missing here
            self._given_up.add(step)
            log.error("gallery %s: making its %s failed; it is searched as before: %s", self._name, step, error)
        except Exception:
            if not self._abandoned.is_set():
                self._given_up.add(step)
                log.exception("gallery %s: making its %s failed; it is searched as before", self._name, step)
        finally:
            self.progress = self.under_way = None
