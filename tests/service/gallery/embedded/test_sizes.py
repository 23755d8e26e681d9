import logging

import numpy as np
import pytest

from retrieval import ReciprocalGraph
from service.gallery import GallerySettings, NewItem, Probe, Search
from service.gallery.embedded import EmbeddedEngine, Sizes


def settings(index="auto"):
    return GallerySettings(model_name="m", model_sha256="0" * 64, dimension=8, index=index)


SIZES = Sizes(flat_up_to=90, half_up_to=300, approximate_from=50)
WITH_GPU = Sizes(flat_up_to=90, half_up_to=300, approximate_from=50, gpu_from=150)


@pytest.mark.parametrize(
    ("sizes", "count", "present", "kind"),
    [
        (SIZES, 90, "flat", "flat"),
        (SIZES, 91, "flat", "half"),
        (SIZES, 61, "half", "half"),  # at the border nothing changes to and fro
        (SIZES, 60, "half", "flat"),
        (SIZES, 300, "half", "half"),
        (SIZES, 301, "half", "signs"),
        (SIZES, 301, "flat", "signs"),
        (SIZES, 201, "signs", "signs"),
        (SIZES, 200, "signs", "half"),
        (SIZES, 60, "signs", "flat"),
        (WITH_GPU, 150, "half", "half"),
        (WITH_GPU, 151, "half", "gpu"),
        (WITH_GPU, 9999, "signs", "gpu"),
        (WITH_GPU, 101, "gpu", "gpu"),
        (WITH_GPU, 100, "gpu", "half"),
    ],
)
def test_how_a_gallery_is_searched_goes_by_its_size(sizes, count, present, kind):
    assert sizes.kind(settings(), count, present) == kind


def test_who_asks_for_a_kind_gets_it_from_a_size_on_at_which_it_can_be_made():
    assert SIZES.kind(settings("hnsw"), 49, "flat") == "flat"
    assert SIZES.kind(settings("hnsw"), 50, "flat") == "hnsw"


@pytest.mark.parametrize(
    ("device", "seen", "gpu"), [("auto", 1, True), ("cuda", 2, True), ("cpu", 1, False), ("auto", 0, False)]
)
def test_a_gpu_is_used_where_faiss_sees_one_and_the_service_may_use_it(monkeypatch, device, seen, gpu):
    monkeypatch.setattr("faiss.get_num_gpus", lambda: seen)
    assert (Sizes.for_device(device).gpu_from is not None) == gpu


def test_where_the_gpu_fails_a_gallery_is_made_and_searched_without(tmp_path, monkeypatch, caplog):
    rows = np.random.default_rng(0).standard_normal((60, 8))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    build, asked = ReciprocalGraph.build, []

    def failing(*arguments, device, **others):
        asked.append(device)
        if device == "gpu":
            raise RuntimeError("out of memory")
        return build(*arguments, device=device, **others)

    monkeypatch.setattr(ReciprocalGraph, "build", failing)
    sizes = Sizes(flat_up_to=20, approximate_from=10, gpu_from=40, at_once_up_to=1)
    data = tmp_path / "data"
    with EmbeddedEngine.open(data, sizes=sizes, upkeep=False) as engine:
        engine.create("g", settings())
        engine.add("g", [NewItem(id=f"{n}", vector=row) for n, row in enumerate(rows)])
    asked.clear()
    for file in data.rglob("derived/*"):
        file.unlink()
    with caplog.at_level(logging.WARNING), EmbeddedEngine.open(data, sizes=sizes, upkeep=False) as engine:
        assert engine.info("g").index.graph != "ready"
        engine.settle("g")
        info = engine.info("g").index
        assert (info.kind, info.wanted, info.graph) == ("flat", "gpu", "ready")
        assert engine.search("g", Search(probe=Probe(vectors=rows[7][None]), k=1)).hits[0].item.id == "7"
    assert asked == ["gpu", "cpu"]
    assert "faiss sees no GPU" in caplog.text


def test_a_gallery_that_wants_what_this_machine_lacks_can_be_opened(tmp_path):
    rows = np.eye(8)[np.arange(40) % 8]
    sizes = Sizes(approximate_from=10)
    for _ in range(2):
        with EmbeddedEngine.open(tmp_path / "data", sizes=sizes, upkeep=False) as engine:
            if not engine.galleries():
                engine.create("g", settings("gpu"))
                engine.add("g", [NewItem(id=f"{n}", vector=row) for n, row in enumerate(rows)])
            assert (engine.info("g").index.kind, engine.info("g").index.wanted) == ("flat", "gpu")
            assert len(engine.search("g", Search(probe=Probe(vectors=rows[7][None]), k=5)).hits) == 5
