"""Both clients against a real service."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from service.client import (
    BusyError,
    Client,
    ConflictError,
    Filter,
    ForbiddenError,
    NewItem,
    NotFoundError,
    ServiceError,
    UnauthorizedError,
)

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.fixture
def filled(client, gallery, picture):
    """Two shots of six people, by two cameras, an hour apart."""
    client.create(gallery, store_crops=True)
    added = client.add_many(
        gallery,
        (
            NewItem(
                id=f"p{person}/{shot}",
                image=picture(person, shot),
                camera_id=f"c{shot}",
                person=f"{person}",
                tracklet_id=f"{person}-{shot}",
                captured_at=NOON + timedelta(hours=shot),
                metadata={"person": person},
            )
            for person in range(6)
            for shot in (0, 1)
        ),
    )
    assert added.added == 12
    return gallery


def test_it_is_ready_and_says_what_runs(client, served):
    client.wait_until_ready()
    assert client.ready()
    found = client.version()
    assert found.state == "ready"
    assert found.model.provider == "CPUExecutionProvider"


def test_a_proxy_that_the_environment_names_is_not_asked_for_this_machine(make, served, monkeypatch):
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert make(served.url, patience=0).ready()


def test_a_crop_finds_its_person_by_each_kind_of_probe(client, filled, picture, tmp_path):
    (tmp_path / "p.jpg").write_bytes(picture(3, 7))
    vector = client.embed(picture(3, 7)).embedding
    for probe in (
        {"image": picture(3, 7)},
        {"image": tmp_path / "p.jpg"},
        {"images": [picture(3, 7), tmp_path / "p.jpg"]},
        {"embedding": vector},
        {"embedding": np.array(vector, np.float32)},
    ):
        answer = client.search(filled, top_k=2, **probe)
        assert {hit.person for hit in answer.results} == {"3"}
        assert answer.results[0].captured_at in (NOON, NOON + timedelta(hours=1))
    answer = client.search(filled, item="p3/0", top_k=1)
    assert (answer.results[0].id, answer.query.item_id) == ("p3/1", "p3/0")


def test_every_parameter_of_a_search_arrives(client, filled, picture):
    answer = client.search(
        filled,
        image=picture(3, 7),
        top_k=4,
        rerank="off",
        filter=Filter(camera_ids=["c1"], time_from=NOON, metadata={"person": 3}),
        group_by="person",
        max_per_group=2,
        min_score=-1,
        explain=True,
        exact=True,
        include=["embedding"],
        exclude_same_camera_within_s=60,
        probe_camera_id="c0",
        probe_captured_at=NOON,
        deadline_ms=30_000,
    )
    (hit,) = answer.results
    assert (hit.id, hit.metadata, len(hit.embedding)) == ("p3/1", None, 128)
    assert (answer.rerank.applied, answer.exact, answer.filtered_candidates, answer.requested) == (False, True, 1, 4)
    explained = client.search(filled, image=picture(3, 7), rerank="online", explain=True, top_k=1).results[0]
    assert explained.explain.mutual
    assert explained.explain.shared[0].weight > 0
    assert explained.distance_reranked is not None


def test_an_item_is_put_looked_at_and_deleted(client, gallery, picture):
    client.create(gallery, store_crops=True)
    facts = {"camera_id": "c1", "person": "7", "quality": 0.5, "metadata": {"a": [1]}, "expires_at": NOON.replace(2090)}
    for id in ("a/b.jpg", "..", ".", "ü %?#&+"):
        assert client.add(gallery, id, image=picture(7), **facts).outcome == "added"
        assert client.add(gallery, id, image=picture(7), **facts).outcome == "unchanged"
        item = client.get(gallery, id, vector=True)
        assert (item.id, item.camera_id, item.metadata) == (id, "c1", {"a": [1]})
        assert item.expires_at == NOON.replace(2090)
        assert client.crop(gallery, id) == picture(7)
        with pytest.raises(ConflictError) as error:
            client.add(gallery, id, image=picture(8), only_if_absent=True)
        assert error.value.type == "item-exists"
    assert client.add(gallery, "v", embedding=item.embedding).outcome == "added"
    assert client.gallery(gallery).count == 5
    receipt = client.delete(gallery, ids=["..", "nobody"])
    assert (receipt.ids, receipt.missing) == (("..",), ("nobody",))
    receipt = client.delete(gallery, filter=Filter(persons=["7"]), dry_run=True)
    assert len(receipt.ids) == 3
    assert receipt.dry_run
    assert client.delete(gallery, filter=Filter(persons=["7"])).removed["database"] == 3
    with pytest.raises(NotFoundError):
        client.get(gallery, "..")


def test_all_pages_are_turned(client, filled):
    assert [item.id for item in client.items(filled, page_size=5)] == [
        f"p{person}/{shot}" for person in range(6) for shot in (0, 1)
    ]
    chosen = Filter(
        camera_ids=["c1"], exclude_camera_ids=["c0"], persons=["1", "2"], tracklet_ids=["2-1"], time_from=NOON
    )
    (item,) = client.items(filled, filter=chosen, vectors=True)
    assert (item.id, len(item.embedding)) == ("p2/1", 128)
    assert list(client.items(filled, filter=Filter(time_to=NOON))) == []


def test_rows_that_are_wrong_do_not_hinder_the_others(client, gallery, picture):
    client.create(gallery, deny_erased=True)
    rows = [NewItem(id="a", image=picture(1)), NewItem(id="b", image=b"no picture"), NewItem(id="c", embedding=[1.0])]
    added = client.add_many(gallery, [*rows, NewItem(id="d", image=picture(2))])
    assert added.added == 2
    assert [(row.row, row.id, row.type) for row in added.not_added] == [
        (1, "b", "unsupported-media-type"),
        (2, "c", "dimension-mismatch"),
    ]
    assert "embed with that model" in added.not_added[1].sentence
    client.delete(gallery, ids=["a"])
    again = client.add_many(gallery, [rows[0], NewItem(id="d", image=picture(3))], on_conflict="refuse")
    assert [row.type for row in again.not_added] == ["erased-id", "item-exists"]
    assert client.add_many(gallery, [NewItem(id="d", image=picture(2))]).unchanged == 1


def test_feedback_is_given_told_and_taken_back(client, filled, picture):
    answer = client.search(filled, image=picture(3, 7), top_k=1)
    first = answer.results[0].id
    client.give_feedback(filled, first, "different", probe_sha256=answer.query.sha256)
    (said,) = client.feedback(filled)
    assert (said.item_id, said.verdict, said.probe_sha256) == (first, "different", answer.query.sha256)
    again = client.search(filled, image=picture(3, 7), top_k=1)
    assert again.results[0].id != first
    assert again.hidden == 1
    client.withdraw_feedback(filled, first, probe_sha256=answer.query.sha256)
    assert client.feedback(filled) == ()
    with pytest.raises(NotFoundError, match="nothing was said"):
        client.withdraw_feedback(filled, first, probe_sha256=answer.query.sha256)


def test_a_gallery_lives_and_its_snapshot_brings_it_back(client, filled):
    assert filled in [gallery.name for gallery in client.galleries()]
    with pytest.raises(ConflictError):
        client.create(filled)
    info = client.gallery(filled)
    assert (info.count, info.settings["store_crops"], info.no_verdict_because) == (12, True, None)
    assert info.calibration.likely_from > info.calibration.unlikely_below
    name = client.wait(client.take_snapshot(filled)).result["name"]
    assert [snapshot.name for snapshot in client.snapshots(filled)] == [name]
    client.delete(filled, ids=["p0/0"])
    assert client.wait(client.verify(filled)).result["sound"]
    client.wait(client.restore(filled, name, replace=True).id)
    assert client.gallery(filled).count == 12
    client.delete(filled, ids=["p0/0"])
    assert client.wait(client.compact(filled)).result["purged"] >= 1
    assert client.jobs()[0] == client.job(client.jobs()[0].id)
    client.delete_snapshot(filled, name)
    client.drop(filled)
    with pytest.raises(NotFoundError, match="there is no gallery") as error:
        client.gallery(filled)
    assert error.value.type == "no-such-gallery"
    assert error.value.request_id


def test_a_refusal_is_the_service_s_own_sentence(client, filled, picture):
    with pytest.raises(ServiceError, match="top_k") as error:
        client.search(filled, image=picture(1), top_k=0)
    assert (error.value.status, error.value.type) == (422, "invalid-request")
    with pytest.raises(ServiceError, match="with its time zone"):
        client.search(filled, item="p0/0", filter=Filter(time_from=datetime(2026, 5, 1)))
    with pytest.raises(NotFoundError, match="nobody"):
        client.search(filled, item="nobody")


def test_keys_open_what_they_are_for(make, serve_anew, picture):
    with serve_anew(searches_per_second=0.001, search_burst=1) as served:
        admin = make(served.url, key=served.key("admin", "ingest", "search"), purpose="Prüfung")
        admin.create("g")
        with pytest.raises(UnauthorizedError, match="key"):
            make(served.url).galleries()
        reader = make(served.url, key=served.key("search"))
        with pytest.raises(ForbiddenError, match="ingest"):
            reader.add("g", "x", image=picture(1))
        reader.search("g", image=picture(1))
        with pytest.raises(BusyError, match="ask again in") as error:
            reader.search("g", image=picture(1))
        assert error.value.type == "rate-limited"
        assert error.value.retry_after > 30


def test_one_client_serves_many_threads(served, gallery, picture):
    with Client(served.url) as client, ThreadPoolExecutor(8) as threads:
        client.create(gallery)
        list(threads.map(lambda n: client.add(gallery, f"{n}", image=picture(n), person=f"{n}"), range(16)))
        found = threads.map(
            lambda n: client.search(gallery, image=picture(n), rerank="off", top_k=1).results[0].person, range(16)
        )
        assert list(found) == [f"{n}" for n in range(16)]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("vantage-client")]
