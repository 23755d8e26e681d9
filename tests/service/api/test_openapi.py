"""The OpenAPI document holds what it says: thousands of made-up requests, sound and unsound, against a real service."""

from __future__ import annotations

import warnings

import pytest
from hypothesis import HealthCheck, settings

from service.api import create_app
from service.settings import ServiceSettings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what it and its dependencies deprecate while they are imported
    import schemathesis
    from schemathesis.config import SchemathesisConfig

# What the schema allows may be refused all the same: a text that is no picture, a vector that is not of unit length, a
# filter that holds for everything, an id with a control character in it. None of this can be said in JSON Schema.
SOUND = ["2xx", "401", "403", "404", "409", "412", "415", "422", "504"]
UNSOUND = ["400", "401", "403", "404", "405", "409", "412", "413", "415", "422"]
NO_FAULT = ["2xx", "4xx", "504"]  # the last is what a deadline of 1 ms gets
EXAMPLES = 25
OPERATIONS = 32
BULK = "POST /v1/galleries/{gallery}/items:batch"
DROP = "DELETE /v1/galleries/{gallery}"

CONFIG = SchemathesisConfig.from_dict(
    {
        "checks": {
            "not_a_server_error": {"expected-statuses": NO_FAULT},
            "positive_data_acceptance": {"expected-statuses": SOUND},
            "negative_data_rejection": {"expected-statuses": UNSOUND},
        },
        # Lines of anything are taken: those that are no rows fail one by one.
        "operations": [{"include-name": BULK, "checks": {"negative_data_rejection": {"enabled": False}}}],
        "generation": {"deterministic": True, "database": "none"},
    }
)
DOCUMENT = create_app(ServiceSettings()).openapi()
schema = schemathesis.openapi.from_dict(DOCUMENT, config=CONFIG)
asked: list[tuple[str, int]] = []


@schemathesis.serializer("application/x-ndjson", "image/jpeg", "image/png", "image/webp", "image/bmp")
def as_it_is(ctx, value):
    return {"data": value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")}


@schema.hook
def map_case(context, case):
    """Sound requests mostly ask for what is there, as the document's examples do, or most would end with a 404."""
    parameters = case.path_parameters or {}
    if case.meta is not None and case.meta.generation.mode.is_positive:
        if isinstance(parameters.get("gallery"), str) and len(parameters["gallery"]) % 4:
            parameters["gallery"] = "demo"
        if isinstance(parameters.get("id"), str) and len(parameters["id"]) % 2:
            parameters["id"] = f"p{len(parameters['id']) % 3}/0"
    return case


@pytest.fixture(scope="module")
def asking(tmp_path_factory, open_service, a_picture):
    with open_service(tmp_path_factory.mktemp("openapi") / "data", max_body_bytes=200_000) as running:
        running.gallery("demo", people=3)
        running.put("demo", "cam1/0007.jpg", a_picture).raise_for_status()
        running.headers = running.key("admin")
        yield running


@schema.parametrize()
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_service_does_what_its_document_says(case, asking):
    answer = case.call(base_url=asking.url, headers=asking.headers)
    asked.append((case.operation.label, answer.status_code))
    case.validate_response(answer, headers=asking.headers)
    assert answer.status_code < 500 or answer.status_code == 504, answer.text
    if case.operation.label == DROP and answer.status_code == 204:
        asking.client.post("/v1/galleries", json={"name": "demo"}, headers=asking.headers)


def test_that_was_thousands_of_requests_of_many_outcomes():
    """Runs after those above, where all of them ran in this process."""
    if len({operation for operation, _ in asked}) < OPERATIONS:
        pytest.skip("the requests above were shared out among several processes")
    assert len(asked) >= 2000
    assert {200, 201, 202, 204, 400, 404, 405, 409, 415, 422} <= {status for _, status in asked}


def test_every_operation_has_a_name_a_summary_and_documented_problems():
    names = []
    for path, operations in DOCUMENT["paths"].items():
        for operation in operations.values():
            names.append(operation["operationId"])
            assert operation["summary"]
            assert operation["description"]
            for status, described in operation["responses"].items():
                if int(status) >= 400:
                    assert list(described["content"]) == ["application/problem+json"]
            if path.startswith("/v1/"):
                assert operation["security"]
                assert {"401", "403", "422", "429", "503"} <= set(operation["responses"])
    assert len(set(names)) == len(names) == OPERATIONS
