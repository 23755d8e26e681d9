from pathlib import Path

import pytest

from models import ZOO, Bundle, Crops, Session
from service.demo import GALLERY, QUERIES, load_demo, loading
from service.gallery import Filter, GallerySettings, Probe, Search
from service.gallery.embedded import EmbeddedEngine
from service.images import open_crop
from service.indexing import IndexingError


@pytest.fixture(scope="module")
def bundle():
    return Bundle.open(ZOO / "synthetic-tiny")


@pytest.fixture
def engine(tmp_path):
    with EmbeddedEngine.open(tmp_path / "data") as engine:
        yield engine


@pytest.fixture(scope="module")
def loaded(tmp_path_factory, bundle):
    with EmbeddedEngine.open(tmp_path_factory.mktemp("demo")) as engine:
        assert load_demo(engine, bundle, device="cpu", threads=1)
        yield engine


@pytest.fixture
def few(tmp_path, monkeypatch):
    """A demo of six crops."""
    lines = loading.GALLERY_LIST.read_text().splitlines()[:7]
    lines[1:] = [f"{loading.GALLERY_LIST.parent}/{line}" for line in lines[1:]]
    short = tmp_path / "gallery.csv"
    short.write_text("\n".join(lines) + "\n")
    monkeypatch.setattr(loading, "GALLERY_LIST", short)
    return short


def test_the_demo_is_a_gallery_of_the_model_with_crops_and_facts(loaded, bundle):
    assert loaded.galleries() == (GALLERY,)
    info = loaded.info(GALLERY)
    assert info.settings.model_sha256 == bundle.sha256
    item = loaded.get(GALLERY, "demo-0061_c1s1_190882_01")
    assert (item.camera, item.person, item.tracklet) == ("c1", "0061", "0061_c1s1")
    assert item.viewpoint == pytest.approx((0, 0, 1))
    assert item.captured_at.isoformat() == "2026-03-02T10:07:15.280000+00:00"
    assert loaded.crop(GALLERY, item.id) == (Path(loading.GALLERY_LIST.parent) / f"gallery/{item.id}.jpg").read_bytes()
    assert loaded.count(GALLERY, Filter(cameras=("c1",))) < loaded.count(GALLERY) == 464


def test_the_right_person_is_first_for_eight_queries_of_twelve_and_near_for_eleven(loaded, bundle):
    session = Session(bundle, device="cpu", threads=1)
    first = near = 0
    for query in QUERIES:
        crop = open_crop(query.read_bytes(), bundle.card.input)
        vectors = session.embed(Crops.stack([crop])).vectors
        answer = loaded.search(GALLERY, Search(probe=Probe(vectors=vectors), k=5))
        assert answer.reranking.applied
        people = [hit.item.person for hit in answer.hits]
        first += people[0] == query.name[5:9]
        near += query.name[5:9] in people
    assert (first, near) == (8, 11)


def test_a_second_call_changes_nothing_and_brings_back_nothing(engine, bundle, few):
    assert load_demo(engine, bundle, device="cpu", threads=1)
    engine.delete(GALLERY, ids=["demo-0061_c1s1_190882_01"])
    before = engine.info(GALLERY).change
    assert not load_demo(engine, bundle, device="cpu", threads=1)
    assert engine.info(GALLERY).change == before
    assert engine.count(GALLERY) == 5


def test_where_there_is_any_gallery_there_is_no_demo(engine, bundle):
    engine.create("own", GallerySettings.for_model(bundle.card, bundle.sha256))
    assert not load_demo(engine, bundle, device="cpu", threads=1)
    assert engine.galleries() == ("own",)


def test_a_demo_that_was_left_half_made_is_made_anew(engine, bundle, few, monkeypatch):
    def stopped(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(loading.IndexingRun, "__call__", stopped)
        with pytest.raises(KeyboardInterrupt):
            load_demo(engine, bundle, device="cpu", threads=1)
    assert GALLERY not in engine.galleries()
    assert load_demo(engine, bundle, device="cpu", threads=1)
    assert engine.galleries() == (GALLERY,)
    assert engine.count(GALLERY) == 6


def test_a_damaged_crop_is_a_sentence_and_no_gallery(engine, bundle, few):
    few.write_text(few.read_text() + "nowhere.jpg,x,c1,,,,\n")
    with pytest.raises(IndexingError, match=r"the demo is damaged, .*nowhere\.jpg"):
        load_demo(engine, bundle, device="cpu", threads=1)
    assert GALLERY not in engine.galleries()
