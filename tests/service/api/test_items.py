"""Items: put, replaced, looked at, listed, deleted; one by one and many at once."""

import base64
import io
import json
from datetime import UTC, datetime
from hashlib import sha256
from urllib.parse import quote

import numpy as np
import pytest
from PIL import ExifTags, Image

from service.gallery import StorageFullError
from service.gallery.embedded import EmbeddedEngine
from service.gallery.items import ID_BYTES


def b64(content):
    return base64.b64encode(content).decode()


def test_putting_twice_changes_nothing_and_putting_else_replaces(served, gallery, picture):
    first = served.put(gallery.rpartition("/")[2], "a", picture(1), camera_id="c7")
    again = served.put(gallery.rpartition("/")[2], "a", picture(1), camera_id="c7")
    other = served.put(gallery.rpartition("/")[2], "a", picture(2), camera_id="c7")
    assert [(answer.status_code, answer.json()["outcome"]) for answer in (first, again, other)] == [
        (201, "added"),
        (200, "unchanged"),
        (200, "replaced"),
    ]
    item = served.client.get(first.headers["Location"]).json()
    assert (item["id"], item["camera_id"]) == ("a", "c7")
    assert served.client.get(item["crop_url"]).content == picture(2)


def test_if_none_match_refuses_what_is_there(served, gallery, picture):
    send = {"content": picture(9), "headers": {"Content-Type": "image/jpeg", "If-None-Match": "*"}}
    assert served.client.put(f"{gallery}/items/new", **send).status_code == 201
    refused = served.client.put(f"{gallery}/items/p0%2F0", **send)
    assert (refused.status_code, refused.json()["type"]) == (412, "item-exists")
    assert served.client.get(f"{gallery}/items/p0%2F0/crop").content == picture(0, 0)


def test_the_facts_of_an_item_come_back_as_they_were_given(served, gallery, picture):
    facts = {
        "camera_id": "Eingang Süd",
        "captured_at": "2026-05-01T12:00:00.250+02:00",
        "person": "0042",
        "tracklet_id": "t/1",
        "viewpoint": [0.5, 0.25, 0.25],
        "quality": 0.75,
        "metadata": {"shift": 2, "tags": ["wet", None]},
        "expires_at": "2099-01-01T00:00:00Z",
    }
    for number, answer in enumerate(
        (
            served.client.put(f"{gallery}/items/0", files={"image": picture(1), "item": (None, json.dumps(facts))}),
            served.client.put(f"{gallery}/items/1", json={"image_b64": b64(picture(1))} | facts),
        )
    ):
        assert answer.status_code == 201, answer.text
        item = served.client.get(f"{gallery}/items/{number}").json()
        told = {name: item[name] for name in facts}
        assert told == facts | {"captured_at": "2026-05-01T10:00:00.250000Z"}


@pytest.mark.parametrize(
    "id",
    ["plain", "a/b.jpg", "a/crop", "a/items/b", "%2F", "Zürich 7?x=1#y", "a:restore", "ids+and&more", "日本/✓", "a//b"],
)
def test_any_id_can_stand_in_an_address(served, gallery, picture, id):
    path = f"{gallery}/items/{quote(id, safe='')}"
    assert served.client.put(path, content=picture(3), headers={"Content-Type": "image/jpeg"}).status_code == 201
    item = served.client.get(path).json()
    assert item["id"] == id
    assert item["crop_url"] == f"{path}/crop"
    assert served.client.get(item["crop_url"]).content == picture(3)
    assert served.client.delete(path).status_code == 204
    gone = served.client.get(path)
    assert (gone.status_code, gone.json()["type"]) == (404, "no-such-item")


@pytest.mark.parametrize("path", ["%FF", "a%00b", "x" * (ID_BYTES + 1)])
def test_what_can_be_no_id_is_refused_and_never_stored(served, gallery, picture, path):
    put = served.client.put(f"{gallery}/items/{path}", content=picture(3), headers={"Content-Type": "image/jpeg"})
    assert put.status_code == 422
    assert served.client.get(f"{gallery}/items/{path}").status_code in (404, 422)


def test_pages_hold_every_item_once_within_the_filter(served, gallery):
    found, cursor = [], None
    while True:
        parameters = {"camera": "c1", "limit": 3} | ({"cursor": cursor} if cursor else {})
        page = served.client.get(f"{gallery}/items", params=parameters).json()
        assert len(page["items"]) <= 3
        found += [item["id"] for item in page["items"]]
        if (cursor := page["cursor"]) is None:
            break
    assert found == [f"p{person}/1" for person in range(8)]


def test_a_row_that_is_wrong_does_not_hinder_the_others(served, gallery, picture):
    rows = [
        {"id": "new", "image_b64": b64(picture(20)), "person": "20"},
        {"id": "bad picture", "image_b64": b64(b"no picture")},
        {"id": "p0/0", "image_b64": b64(picture(0, 0)), "camera_id": "c0", "person": "0"},
        {"id": "p0/1", "image_b64": b64(picture(21))},
        {"id": "no source"},
        {"id": "short", "embedding": [1.0]},
        {"id": "unit", "embedding": [1.0] + [0.0] * 127},
    ]
    lines = [json.dumps(row) for row in rows]
    lines[4:4] = ["", "{not json"]
    answer = served.client.post(
        f"{gallery}/items:batch", content="\n".join(lines), headers={"Content-Type": "application/x-ndjson"}
    )
    assert answer.status_code == 200, answer.text
    told = answer.json()
    outcomes = {row["line"]: (row["id"], row["outcome"]) for row in told["rows"]}
    assert outcomes == {
        1: ("new", "added"),
        2: ("bad picture", "failed"),
        3: ("p0/0", "unchanged"),
        4: ("p0/1", "replaced"),
        6: (None, "failed"),
        7: (None, "failed"),
        8: ("short", "failed"),
        9: ("unit", "added"),
    }
    problems = {row["line"]: row["problem"]["type"] for row in told["rows"] if row["problem"]}
    assert problems == {
        2: "unsupported-media-type",
        6: "malformed-body",
        7: "invalid-request",
        8: "dimension-mismatch",
    }
    assert told["counts"] == {"added": 2, "failed": 4, "unchanged": 1, "replaced": 1}


def test_rows_can_be_refused_where_an_item_is_and_told_a_line_each(served, gallery, picture):
    rows = [{"id": id, "image_b64": b64(picture(30))} for id in ("p0/0", "fresh")]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    answer = served.client.post(
        f"{gallery}/items:batch",
        content=iter([lines[:100].encode(), lines[100:].encode()]),  # chunked, broken within a row
        headers={"Content-Type": "application/x-ndjson", "Accept": "application/x-ndjson"},
        params={"on_conflict": "refuse"},
    )
    told = [json.loads(line) for line in answer.text.splitlines()]
    assert [(row["id"], row["outcome"]) for row in told] == [("p0/0", "refused"), ("fresh", "added")]


def test_more_rows_than_a_batch_keep_their_order_and_are_searchable(served, gallery):
    vectors = {f"v{number}": [float(place == number % 128) for place in range(128)] for number in range(200)}
    before = served.client.get(gallery).json()["index_version"]
    told = served.bulk(gallery, [{"id": id, "embedding": vector} for id, vector in vectors.items()]).json()
    assert served.client.get(gallery).json()["index_version"] - before == 4  # commits, of at most 64 rows
    assert [row["id"] for row in told["rows"]] == list(vectors)
    assert told["counts"] == {"added": 200}
    found = served.client.post(f"{gallery}/search", json={"embedding": vectors["v150"], "top_k": 2, "rerank": "off"})
    assert {result["id"] for result in found.json()["results"]} == {"v22", "v150"}


def test_a_delete_by_filter_says_first_what_it_would_do_and_then_what_it_did(served, gallery):
    asked = {"filter": {"persons": ["2", "3"], "camera_ids": ["c0"]}}
    dry = served.client.post(f"{gallery}/items:delete", json=asked | {"dry_run": True}).json()
    assert served.client.get(gallery).json()["count"] == 16
    receipt = served.client.post(f"{gallery}/items:delete", json=asked).json()
    assert dry["ids"] == receipt["ids"] == ["p2/0", "p3/0"]
    assert (dry["dry_run"], receipt["dry_run"]) == (True, False)
    assert receipt["removed"]["database"] == 2
    assert receipt["pending"]
    assert served.client.get(gallery).json()["count"] == 14
    by_id = served.client.post(f"{gallery}/items:delete", json={"ids": ["p4/0", "nobody"]}).json()
    assert (by_id["ids"], by_id["missing"]) == (["p4/0"], ["nobody"])


@pytest.mark.parametrize("asked", [{"filter": {}}, {}, {"ids": []}, {"ids": ["a"], "filter": {"persons": ["1"]}}])
def test_a_delete_that_names_nothing_or_everything_is_refused(served, gallery, asked):
    assert served.client.post(f"{gallery}/items:delete", json=asked).status_code == 422
    assert served.client.get(gallery).json()["count"] == 16


def test_an_item_that_has_expired_is_found_no_more(served, gallery, picture):
    soon = datetime.now(UTC).isoformat()
    assert served.put(gallery.rpartition("/")[2], "brief", picture(40), expires_at=soon).status_code == 201
    assert served.client.get(f"{gallery}/items/brief").status_code == 404
    found = served.client.post(f"{gallery}/search", files={"image": picture(40)}, params={"top_k": 100}).json()
    assert "brief" not in [result["id"] for result in found["results"]]


def test_an_erased_id_is_not_taken_back_where_the_gallery_is_set_so(served, picture):
    served.gallery("strict", deny_erased=True)
    assert served.put("strict", "a", picture(1)).status_code == 201
    assert served.client.delete("/v1/galleries/strict/items/a").status_code == 204
    again = served.put("strict", "a", picture(1))
    assert (again.status_code, again.json()["type"]) == (409, "erased-id")


@pytest.mark.parametrize(
    ("address", "hint"),
    [("limit=1&limit=2", "more than once"), ("lmit=1", "did you mean limit?"), ("limit=x", "whole number")],
)
def test_a_parameter_that_is_wrong_is_refused(served, gallery, address, hint):
    answer = served.client.get(f"{gallery}/items?{address}")
    assert answer.status_code == 422
    assert hint in answer.json()["errors"][0]["message"]


def test_a_full_disk_is_told_as_that(served, gallery, picture, monkeypatch):
    def full(*_, **__):
        raise StorageFullError("the disk is full: nothing was added")

    monkeypatch.setattr(EmbeddedEngine, "add", full)
    answer = served.put(gallery.rpartition("/")[2], "a", picture(1))
    assert (answer.status_code, answer.json()["type"]) == (507, "storage-full")


def test_nothing_of_where_and_with_what_a_picture_was_taken_gets_into_the_data_directory(serve):
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "ACME Phone"
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] = "51 deg N"
    pictures = {}
    for form in ("JPEG", "PNG", "WEBP"):
        for orientation in (1, 6):
            exif[ExifTags.Base.Orientation] = orientation
            file = io.BytesIO()
            pixels = np.random.default_rng(orientation).integers(0, 256, (96, 48, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(file, form, exif=exif)
            pictures[f"{form}-{orientation}"] = file.getvalue()
    told = [b"ACME Phone", b"51 deg N"]
    assert all(secret in picture for picture in pictures.values() for secret in told)
    with serve() as running:
        gallery = running.gallery("g")
        for id, picture in pictures.items():
            assert running.put("g", id, picture).status_code == 201
            assert running.put("g", id, picture).json()["outcome"] == "unchanged"
        rows = [{"id": f"b{id}", "image_b64": base64.b64encode(picture).decode()} for id, picture in pictures.items()]
        assert running.bulk(gallery, rows).json()["counts"] == {"added": 6}
        for id, picture in pictures.items():
            found = running.client.post(
                f"{gallery}/search", content=picture, headers={"Content-Type": "image/jpeg"}, params={"rerank": "off"}
            ).json()["results"]
            assert {result["id"] for result in found[:2]} == {id, f"b{id}"}
            assert found[0]["score"] == pytest.approx(1, abs=1e-3)
            kept = running.client.get(f"{gallery}/items/{id}/crop").content
            assert running.client.get(f"{gallery}/items/{id}").json()["crop_sha256"] == sha256(kept).hexdigest()
            assert kept != picture
        running.job(running.client.post(f"{gallery}/snapshots"))
    for file in running.data.rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            assert not [secret for secret in told if secret in content], file
