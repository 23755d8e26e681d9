"""A crop in, ranked people out: the ways to ask, and what the answer says."""

import base64
import hashlib
import json
import time

import numpy as np
import pytest

from service.api.routes import search as search_route


def ids(answer):
    assert answer.status_code == 200, answer.text
    return [result["id"] for result in answer.json()["results"]]


def test_the_ways_to_send_a_picture_give_one_answer(served, gallery, picture):
    crop = picture(3, shot=2)
    form = {"image": ("crop.jpg", crop, "image/jpeg")}
    answers = [
        served.client.post(f"{gallery}/search", files=form, params={"top_k": 5}),
        served.client.post(f"{gallery}/search", files=form | {"params": (None, '{"top_k": 5}', "application/json")}),
        served.client.post(
            f"{gallery}/search", content=crop, headers={"Content-Type": "image/jpeg"}, params={"top_k": 5}
        ),
        served.client.post(f"{gallery}/search", json={"image_b64": base64.b64encode(crop).decode(), "top_k": 5}),
        served.client.post(f"{gallery}/search:batch", files=form, params={"top_k": 5}),
    ]
    told = [{**answer.json(), "request_id": None, "timings_ms": None} for answer in answers]
    assert told[0]["returned"] == 5
    for one in told[1:]:
        assert one == told[0]
    assert {result["person"] for result in told[0]["results"][:2]} == {"3"}


def test_a_vector_searches_as_its_picture_does(served, gallery, picture):
    crop = picture(5, shot=2)
    embedded = served.client.post("/v1/embed", files={"image": crop}).json()
    assert np.linalg.norm(embedded["embedding"]) == pytest.approx(1, abs=1e-5)
    asked = {"embedding": embedded["embedding"], "model_sha256": embedded["model"]["sha256"]}
    by_picture = served.client.post(f"{gallery}/search", files={"image": crop})
    assert ids(served.client.post(f"{gallery}/search", json=asked)) == ids(by_picture)


def test_an_item_is_not_among_its_own_results(served, gallery):
    found = ids(served.client.post(f"{gallery}/search", json={"item_id": "p2/0", "top_k": 100}))
    assert found[0] == "p2/1"
    assert "p2/0" not in found
    assert len(found) == 15


def test_the_answer_says_what_was_done(served, gallery, picture):
    crop = picture(1, shot=3)
    answer = served.client.post(f"{gallery}/search", files={"image": crop}, params={"top_k": 3, "explain": "true"})
    told = answer.json()
    assert told["request_id"] == answer.headers["X-Request-Id"]
    assert told["model"] == {
        name: served.client.get("/version").json()["model"][name] for name in ("name", "sha256", "provider")
    }
    assert (told["returned"], told["requested"], told["exhausted"], told["hidden"]) == (3, 3, False, 0)
    assert told["filtered_candidates"] is None
    assert told["rerank"] == {
        "applied": True, "mode": "online", "k1": 20, "k2": 6, "lam": 0.3, "reason_skipped": None, "stale_neighbours": 0
    }  # fmt: skip
    assert told["query"]["sha256"] == hashlib.sha256(crop).hexdigest()
    assert (told["query"]["width"], told["query"]["height"], told["query"]["crops"]) == (48, 96, 1)
    assert sum(told["query"]["viewpoint"]) == pytest.approx(1, abs=1e-4)
    assert set(told["timings_ms"]) == {"decode", "queue", "embed", "search", "rerank", "fetch", "total"}
    assert told["timings_ms"]["total"] >= told["timings_ms"]["embed"] > 0
    assert "embed;dur=" in answer.headers["Server-Timing"]
    best = told["results"][0]
    assert best["rank"] == 1
    assert best["distance"] == pytest.approx(2 - 2 * best["score"], abs=1e-5)
    assert [one["distance_reranked"] for one in told["results"]] == sorted(
        one["distance_reranked"] for one in told["results"]
    )
    assert best["explain"]["shared"]
    assert served.client.get(best["crop_url"]).headers["Content-Type"] == "image/jpeg"


def test_verdicts_are_those_of_the_models_calibration(served, gallery):
    told = served.client.post(f"{gallery}/search", json={"item_id": "p0/0", "top_k": 15}).json()
    calibration = told["calibration"]
    assert told["no_verdict_because"] is None
    for result in told["results"]:
        likely, unlikely = (
            result["score"] >= calibration["likely_from"],
            result["score"] < calibration["unlikely_below"],
        )
        assert result["verdict"] == ("likely" if likely else "unlikely" if unlikely else "unsure")


def test_a_filter_is_a_promise_however_it_is_written(served, gallery, picture):
    crop = picture(2, shot=2)
    in_the_address = served.client.post(
        f"{gallery}/search",
        content=crop,
        headers={"Content-Type": "image/jpeg"},
        params={"camera": "c1", "person": ["1", "2"], "top_k": 50},
    )
    in_json = served.client.post(
        f"{gallery}/search",
        json={
            "image_b64": base64.b64encode(crop).decode(),
            "filter": {"camera_ids": ["c1"], "persons": ["1", "2"]},
            "top_k": 50,
        },
    )
    assert ids(in_the_address) == ids(in_json) == ["p2/1", "p1/1"]
    assert in_json.json()["filtered_candidates"] == 2
    assert in_json.json()["exhausted"]


def test_what_is_said_in_two_places_is_refused(served, gallery, picture):
    answer = served.client.post(
        f"{gallery}/search",
        files={"image": picture(1), "params": (None, json.dumps({"top_k": 5}))},
        params={"top_k": 5},
    )
    assert answer.status_code == 422
    assert answer.json()["errors"] == [{"where": "query top_k", "message": "this stands in the body too: say it once"}]


def test_crops_of_a_tracklet_are_fused(served, gallery, picture):
    crops = [("image", (f"{shot}.jpg", picture(6, shot))) for shot in (2, 3, 4)]
    told = served.client.post(f"{gallery}/search:batch", files=crops).json()
    assert {result["person"] for result in told["results"][:2]} == {"6"}
    assert told["query"]["crops"] == 3
    backwards = served.client.post(f"{gallery}/search:batch", files=crops[::-1]).json()
    assert backwards["query"]["sha256"] == told["query"]["sha256"]
    assert [one["id"] for one in backwards["results"]] == [one["id"] for one in told["results"]]


def test_feedback_on_a_crop_keeps_the_item_out_of_its_answers_until_it_is_withdrawn(served, gallery, picture):
    def search():
        return served.client.post(f"{gallery}/search", files={"image": picture(4, shot=2)}, params={"top_k": 4}).json()

    first = search()
    pair = {"item_id": first["results"][0]["id"], "probe_sha256": first["query"]["sha256"]}
    assert served.client.post(f"{gallery}/feedback", json=pair | {"verdict": "different"}).status_code == 204
    second = search()
    assert second["hidden"] == 1
    assert pair["item_id"] not in [result["id"] for result in second["results"]]
    assert served.client.get(f"{gallery}/feedback").json()["feedback"] == [
        pair | {"verdict": "different", "probe_item_id": None}
    ]
    assert served.client.delete(f"{gallery}/feedback", params=pair).status_code == 204
    assert [one["id"] for one in search()["results"]] == [one["id"] for one in first["results"]]
    assert served.client.delete(f"{gallery}/feedback", params=pair).status_code == 404


@pytest.mark.parametrize(
    ("asked", "place", "hint"),
    [
        ({"item_id": "p0/0", "topk": 3}, "body topk", "did you mean top_k?"),
        ({"item_id": "p0/0", "filter": {"camera": ["c1"]}}, "body filter.camera", "camera_ids"),
        ({"item_id": "p0/0", "top_k": "3"}, "body top_k", "integer"),
        ({"item_id": "p0/0", "top_k": 0}, "body top_k", "greater"),
        ({}, "body", "exactly one of image_b64, images_b64, embedding, item_id: none is given"),
        ({"item_id": "p0/0", "embedding": [1.0]}, "body", "embedding and item_id are given"),
        ({"item_id": "p0/0", "filter": {"time_from": "2026-05-01T12:00:00"}}, "body filter.time_from", "add Z"),
        ({"image_b64": "!!"}, "body image_b64", "base64"),
    ],
)
def test_a_wrong_question_is_told_where_and_how(served, gallery, asked, place, hint):
    answer = served.client.post(f"{gallery}/search", json=asked)
    assert answer.status_code == 422
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert problem["type"] == "invalid-request"
    assert problem["errors"][0]["where"] == place
    assert hint in problem["errors"][0]["message"]


def test_vectors_that_cannot_be_of_the_gallery_conflict(served, gallery):
    short = served.client.post(f"{gallery}/search", json={"embedding": [1.0]})
    assert (short.status_code, short.json()["type"]) == (409, "dimension-mismatch")
    vector = [1.0] + [0.0] * 127
    other = served.client.post(f"{gallery}/search", json={"embedding": vector, "model_sha256": "ab" * 32})
    assert (other.status_code, other.json()["type"]) == (409, "model-mismatch")
    huge = served.client.post(f"{gallery}/search", json={"embedding": [1e300] * 128})
    assert (huge.status_code, huge.json()["type"]) == (422, "invalid-request")


def test_what_is_not_there_is_404(served, gallery):
    for path, asked, kind in (
        ("/v1/galleries/nothing/search", {"item_id": "p0/0"}, "no-such-gallery"),
        (f"{gallery}/search", {"item_id": "nobody"}, "no-such-item"),
    ):
        answer = served.client.post(path, json=asked)
        assert (answer.status_code, answer.json()["type"]) == (404, kind)


def test_a_deadline_that_has_passed_is_504(served, gallery, picture, monkeypatch):
    monkeypatch.setattr(search_route, "deadline_of", lambda *_: time.monotonic() - 1)
    for asked in ({"item_id": "p0/0"}, {"image_b64": base64.b64encode(picture(1)).decode()}):
        answer = served.client.post(f"{gallery}/search", json=asked)
        assert (answer.status_code, answer.json()["type"]) == (504, "deadline-exceeded")
