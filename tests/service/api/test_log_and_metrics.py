"""What is left of a request: an id, a line, a count; and nothing of whom it was about."""

import json
import logging
import re

import pytest

from service.gallery.embedded import EmbeddedEngine


@pytest.fixture
def lines(caplog):
    """What was logged of requests, as JSON."""
    caplog.set_level(logging.INFO)
    return lambda: [json.loads(record.getMessage()) for record in caplog.records if record.name == "vantage.access"]


def test_a_sane_request_id_is_kept_and_another_replaced(served):
    assert served.client.get("/livez", headers={"X-Request-Id": "trace-7"}).headers["X-Request-Id"] == "trace-7"
    for bad in ("a b", "x" * 129, "<script>", '"'):
        given = served.client.get("/livez", headers={"X-Request-Id": bad}).headers["X-Request-Id"]
        assert re.fullmatch("[0-9a-f]{32}", given)


def test_who_watches_the_service_leaves_no_line_unless_something_is_wrong(served, lines):
    before = len(lines())
    for path in ("/livez", "/readyz", "/metrics"):
        assert served.client.get(path).status_code == 200
        assert served.client.put(path).status_code == 405
    assert [(line["route"], line["status"]) for line in lines()[before:]] == [
        ("/livez", 405),
        ("/readyz", 405),
        ("/metrics", 405),
    ]


def test_a_request_leaves_one_line_without_ids_of_items_or_anything_of_its_body(served, gallery, picture, lines):
    headers = {"X-Request-Id": "r-9", "Content-Type": "image/jpeg", "X-Purpose": "nobody's business"}
    before = len(lines())
    served.client.put(f"{gallery}/items/alice", content=picture(1), headers=headers, params={"person": "Alice"})
    served.client.get(f"{gallery}/items/alice", headers=headers)
    told = lines()[before:]
    assert [(line["method"], line["route"], line["status"]) for line in told] == [
        ("PUT", "/v1/galleries/{gallery}/items/{id}", 201),
        ("GET", "/v1/galleries/{gallery}/items/{id}", 200),
    ]
    assert {line["request_id"] for line in told} == {"r-9"}
    assert "alice" not in json.dumps(told).lower()
    assert "business" not in json.dumps(told)


def test_a_fault_of_ours_is_told_to_the_log_and_to_nobody_else(served, gallery, monkeypatch, caplog):
    def broken(*_):
        raise RuntimeError("the secret of the house")

    monkeypatch.setattr(EmbeddedEngine, "search", broken)
    answer = served.client.post(f"{gallery}/search", json={"item_id": "p0/0"}, headers={"X-Request-Id": "r-500"})
    assert (answer.status_code, answer.json()["type"]) == (500, "internal-error")
    assert answer.json()["request_id"] == "r-500"
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "request r-500 failed" in caplog.text
    assert "the secret of the house" in caplog.text


def test_metrics_count_what_happens_and_name_nobody(served, gallery, picture):
    served.client.post(f"{gallery}/search", files={"image": picture(1)}, params={"top_k": 50})
    served.client.post(f"{gallery}/search", content=b"", headers={"Content-Type": "text/plain"})
    served.client.request("BREW", "/livez")
    served.client.get("/nowhere/p0%2F0")
    served.client.post(f"{gallery}/items:delete", json={"ids": ["p0/0"]})
    text = served.client.get("/metrics").text
    name = gallery.rpartition("/")[2]
    route = "/v1/galleries/{gallery}/search"
    for line in (
        f'vantage_http_requests_total{{code="200",method="POST",route="{route}"}}',
        f'vantage_http_requests_total{{code="415",method="POST",route="{route}"}}',
        'vantage_http_requests_total{code="404",method="GET",route="none"}',
        f'vantage_http_request_duration_seconds_count{{route="{route}"}}',
        'vantage_stage_duration_seconds_count{stage="embed"}',
        'vantage_stage_duration_seconds_count{stage="rerank"}',
        "vantage_queue_depth 0.0",
        "vantage_batch_size_count",
        'vantage_execution_provider_info{provider="CPUExecutionProvider",requested="auto"} 1.0',
        f'vantage_index_items{{gallery="{name}"}} 15.0',
        f'vantage_deletes_pending_purge{{gallery="{name}"}} 1.0',
        f'vantage_index_tombstones{{gallery="{name}"}} 1.0',
        'vantage_stage_duration_seconds_count{stage="serialize"}',
        'vantage_stage_duration_seconds_count{stage="decode"}',
        'vantage_stage_duration_seconds_count{stage="queue"}',
        'vantage_stage_duration_seconds_count{stage="search"}',
        "vantage_search_underfilled_total",
        "vantage_model_info{sha256=",
    ):
        assert line in text, line
    labels = set(re.findall(r'[{,](\w+)="', text))
    of_requests = {"code", "method", "route", "le", "stage", "reason", "bucket", "mode", "result"}
    assert labels <= of_requests | {"provider", "requested", "sha256", "gallery"}
    assert "p0" not in re.sub(r'gallery="[^"]*"', "", text)
    assert "BREW" not in text


def test_every_answer_bears_the_security_headers(served):
    for path in ("/livez", "/v1/galleries", "/nowhere", "/v1/galleries/x/items/y", "/openapi.json"):
        headers = served.client.get(path).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert headers["Cache-Control"] == "no-store"
        assert "server" not in headers or headers["server"] == "uvicorn"


def test_what_is_not_there_and_what_cannot_be_done_are_problems_too(served):
    missing = served.client.get("/nowhere")
    assert (missing.status_code, missing.json()["type"]) == (404, "not-found")
    cannot = served.client.patch("/v1/galleries/g/items/x")
    assert (cannot.status_code, cannot.json()["type"]) == (405, "method-not-allowed")
    assert cannot.headers["Allow"] == "DELETE, GET, PUT"
    assert cannot.json()["instance"] == "/v1/galleries/g/items/x"
