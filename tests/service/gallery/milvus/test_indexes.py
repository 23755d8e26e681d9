"""Under an index the nearest are found with a filter too. In sealed segments: what is new is compared one and all."""

from __future__ import annotations

import time

import numpy as np
import pytest
from pymilvus import MilvusClient

from service.gallery import EVERYTHING, Filter, GallerySettings, NewItem, Probe, Search
from service.gallery.milvus import MilvusEngine
from service.gallery.settings import IndexKind

ITEMS, PEOPLE, DIMENSIONS, PROBES, TOP = 12_000, 600, 64, 40, 10
CAMERAS = 10
ENOUGH = 0.97
SECONDS = 240.0
AT_ONCE = 2_000


def vectors(count: int, seed: int) -> np.ndarray:
    """Float32 (count, D), unit length, of people who are the same whatever the seed."""
    centres = np.random.default_rng(5).standard_normal((PEOPLE, DIMENSIONS))
    rng = np.random.default_rng(seed)
    rows = centres[np.arange(count) % PEOPLE] + 0.9 * rng.standard_normal((count, DIMENSIONS))
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def sealed(milvus: MilvusEngine) -> None:
    """Has Milvus put down what it holds, index it, and search that alone."""

    def work(client: MilvusClient) -> None:
        (collection,) = (name for name in client.list_collections() if _holds(client, name))
        client.flush(collection)
        until = time.monotonic() + SECONDS
        while int(client.describe_index(collection, "vector")["indexed_rows"]) < ITEMS:
            assert time.monotonic() < until, f"not indexed within {SECONDS:g} s"
            time.sleep(0.2)
        client.release_collection(collection)
        client.load_collection(collection)

    milvus._server.change(work)


def _holds(client: MilvusClient, collection: str) -> bool:
    return client.query(collection, filter="", output_fields=["count(*)"])[0]["count(*)"] == ITEMS


@pytest.mark.parametrize("kind", ["hnsw", "ivf"])
def test_the_nearest_are_found_whatever_share_a_filter_leaves(milvus: MilvusEngine, kind: IndexKind) -> None:
    settings = GallerySettings(model_name="m", model_sha256="ab" * 32, dimension=DIMENSIONS, index=kind, rerank="off")
    gallery = vectors(ITEMS, 1)
    camera = np.random.default_rng(2).integers(CAMERAS, size=ITEMS)
    milvus.create("g", settings)
    for start in range(0, ITEMS, AT_ONCE):
        milvus.add(
            "g",
            [NewItem(id=f"i{at}", vector=gallery[at], camera=f"c{camera[at]}") for at in range(start, start + AT_ONCE)],
        )
    sealed(milvus)
    for cameras in ([], [0], [1, 2], [3, 4, 5, 6, 7]):
        allowed = np.flatnonzero(np.isin(camera, cameras)) if cameras else np.arange(ITEMS)
        filter = Filter(cameras=tuple(f"c{one}" for one in cameras)) if cameras else EVERYTHING
        found, exact = 0, True
        for probe in vectors(PROBES, 3):
            answer = milvus.search("g", Search(probe=Probe(vectors=probe[None]), k=TOP, filter=filter))
            nearest = allowed[np.argsort(-(gallery[allowed] @ probe))[:TOP]]
            found += len({f"i{at}" for at in nearest} & {hit.item.id for hit in answer.hits})
            exact = exact and answer.exact
        assert found >= ENOUGH * PROBES * TOP, f"{found / (PROBES * TOP):.3f} with cameras {cameras}"
        assert exact == (kind == "ivf" and 0 < len(cameras) <= 2)
        assert not exact or found == PROBES * TOP
    on_demand = Search(probe=Probe(vectors=gallery[:1]), k=TOP, filter=Filter(cameras=("c0",)), exact=True)
    assert milvus.search("g", on_demand).exact  # by HNSW nothing is, so these twelve hundred are read and compared
