"""Galleries and what keeps them: snapshots, compaction, checks, the model; long work as jobs."""

import base64
import shutil
from dataclasses import replace

from models import ZOO
from service.api.routes import search
from service.gallery import GallerySettings


def test_a_gallery_is_made_once_looked_at_and_dropped(served):
    made = served.client.post("/v1/galleries", json={"name": "one", "k1": 10, "ttl_seconds": 60})
    assert (made.status_code, made.headers["Location"]) == (201, "/v1/galleries/one")
    assert made.json()["settings"]["k1"] == 10
    again = served.client.post("/v1/galleries", json={"name": "one"})
    assert (again.status_code, again.json()["type"]) == (409, "exists")
    model = served.client.get("/version").json()["model"]
    told = served.client.get("/v1/galleries/one").json()
    assert (told["model_sha256"], told["dimension"], told["count"]) == (model["sha256"], 128, 0)
    assert "one" in [gallery["name"] for gallery in served.client.get("/v1/galleries").json()["galleries"]]
    assert served.client.delete("/v1/galleries/one").status_code == 204
    assert served.client.get("/v1/galleries/one").status_code == 404
    assert served.client.delete("/v1/galleries/one").status_code == 404


def test_a_gallery_says_what_its_scores_mean(served, gallery):
    told = served.client.get(gallery).json()
    found = served.client.post(f"{gallery}/search", json={"item_id": "p0/0"}).json()
    assert told["calibration"] == found["calibration"]
    assert told["calibration"]["likely_from"] > told["calibration"]["unlikely_below"]
    assert told["no_verdict_because"] is None
    other = GallerySettings(model_name="another", model_sha256="cd" * 32, dimension=128)
    served.service.running.engine.create("of-another-model", other)
    told = served.client.get("/v1/galleries/of-another-model").json()
    assert told["calibration"] is None
    assert "the gallery is of another model" in told["no_verdict_because"]


def test_a_gallery_made_anew_under_a_name_has_its_new_settings(served, picture):
    for _ in range(2):
        served.gallery("again")
        assert served.put("again", "a", picture(1)).status_code == 201
        assert served.client.delete("/v1/galleries/again").status_code == 204
    missing = served.put("again", "a", picture(1))
    assert (missing.status_code, missing.json()["type"]) == (404, "no-such-gallery")


def test_a_name_that_cannot_stand_in_an_address_is_refused(served):
    answer = served.client.post("/v1/galleries", json={"name": "../up"})
    assert answer.status_code == 422
    assert "a gallery cannot be called" in answer.json()["detail"]


def test_a_snapshot_brings_back_what_was_deleted(served, gallery):
    taken = served.job(served.client.post(f"{gallery}/snapshots"))
    assert taken["state"] == "done"
    snapshot = taken["result"]["name"]
    assert [one["name"] for one in served.client.get(f"{gallery}/snapshots").json()["snapshots"]] == [snapshot]
    served.client.post(f"{gallery}/items:delete", json={"filter": {"camera_ids": ["c0", "c1"]}})
    assert served.client.get(gallery).json()["count"] == 0
    there = served.job(served.client.post(f"{gallery}/snapshots/{snapshot}:restore", json={}))
    assert (there["state"], there["problem"]["type"]) == ("failed", "exists")
    beside = served.job(served.client.post(f"{gallery}/snapshots/{snapshot}:restore", json={"name": "beside"}))
    assert beside["result"]["count"] == 16
    instead = served.job(served.client.post(f"{gallery}/snapshots/{snapshot}:restore", json={"replace": True}))
    assert instead["result"]["count"] == 16
    assert served.client.get(gallery).json()["count"] == 16
    assert served.client.delete(f"{gallery}/snapshots/{snapshot}").status_code == 204
    assert served.client.delete(f"{gallery}/snapshots/{snapshot}").status_code == 404


def test_a_snapshot_of_another_gallery_is_not_there(served, gallery):
    served.gallery("neighbour")
    snapshot = served.job(served.client.post("/v1/galleries/neighbour/snapshots"))["result"]["name"]
    for answer in (
        served.client.post(f"{gallery}/snapshots/{snapshot}:restore", json={"replace": True}),
        served.client.delete(f"{gallery}/snapshots/{snapshot}"),
    ):
        assert (answer.status_code, answer.json()["type"]) == (404, "no-such-snapshot")


def test_compaction_and_checks_are_jobs_with_proofs(served, gallery):
    served.client.post(f"{gallery}/items:delete", json={"ids": ["p0/0", "p0/1"]})
    assert served.client.get(gallery).json()["pending_purge"] == 2
    compacted = served.job(served.client.post(f"{gallery}/compact"))
    assert (compacted["kind"], compacted["state"], compacted["progress"]) == ("compact", "done", 1.0)
    assert compacted["result"]["purged"] == 2
    assert served.client.get(gallery).json()["pending_purge"] == 0
    verified = served.job(served.client.post(f"{gallery}/verify"))
    assert verified["result"]["sound"]
    listed = served.client.get("/v1/jobs").json()["jobs"]
    assert [job["id"] for job in listed[:2]] == [verified["id"], compacted["id"]]
    assert served.client.post("/v1/galleries/nothing/compact").status_code == 404
    assert served.client.get("/v1/jobs/nothing").json()["type"] == "no-such-job"


def test_a_bad_model_leaves_the_old_one_serving_and_a_good_one_takes_its_place(served, gallery, picture, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(ZOO / "synthetic-tiny", folder)
    good = served.job(served.client.post("/v1/admin/reload", json={"model": str(folder)}))
    assert good["state"] == "done", good
    (folder / "model.onnx").write_bytes(b"broken")
    bad = served.job(served.client.post("/v1/admin/reload", json={"model": str(folder)}))
    assert (bad["state"], bad["problem"]["type"]) == ("failed", "reload-failed")
    assert "the file was changed after export" in bad["problem"]["detail"]
    assert served.client.post(f"{gallery}/search", files={"image": picture(1)}).status_code == 200
    metrics = served.client.get("/metrics").text
    assert 'vantage_index_reload_total{result="failed"} 1.0' in metrics
    assert 'vantage_index_reload_total{result="done"} 1.0' in metrics


def test_a_gallery_of_another_model_takes_no_pictures_but_vectors_and_gives_no_verdicts(served, picture):
    settings = GallerySettings(model_name="another", model_sha256="ab" * 32, dimension=128)
    served.service.running.engine.create("foreign", settings)
    row = {"id": "a", "image_b64": base64.b64encode(picture(1)).decode()}
    for answer in (
        served.client.post("/v1/galleries/foreign/search", files={"image": picture(1)}),
        served.put("foreign", "a", picture(1)),
        served.bulk("/v1/galleries/foreign", [row]),
    ):
        assert (answer.status_code, answer.json()["type"]) == (409, "model-mismatch")
        assert "vantage gallery reembed foreign" in answer.json()["detail"]
    vector = {"embedding": [1.0] + [0.0] * 127, "model_sha256": "ab" * 32}
    assert served.client.put("/v1/galleries/foreign/items/a", json=vector).status_code == 201
    told = served.client.post("/v1/galleries/foreign/search", json=vector).json()
    assert [(result["id"], result["verdict"]) for result in told["results"]] == [("a", None)]
    assert told["calibration"] is None
    assert "of another model" in told["no_verdict_because"]


def test_a_model_that_changes_while_a_picture_is_embedded_does_not_search_with_its_vector(
    served, gallery, picture, monkeypatch
):
    looked = search.look

    async def look(*arguments):
        found = await looked(*arguments)
        return replace(found, model=replace(found.model, bundle=replace(found.model.bundle, sha256="cd" * 32)))

    monkeypatch.setattr(search, "look", look)
    answer = served.client.post(f"{gallery}/search", files={"image": picture(1)})
    assert (answer.status_code, answer.json()["type"]) == (409, "model-mismatch")
