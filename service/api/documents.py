"""What the OpenAPI document says of bodies, problems and keys: enough to make a client from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from service.api.bodies import IMAGE_TYPES, JSON, MULTIPART
from service.api.problems import KINDS, MEDIA_TYPE, ProblemBody

NDJSON = "application/x-ndjson"
_REF = "#/components/schemas/"
_EVERYWHERE = (400, 401, 403, 404, 405, 408, 413, 415, 422, 429, 500, 503)


def problems(*more: int) -> dict[int | str, dict[str, Any]]:
    """The problems that any request may meet, and those of these statuses."""
    return {status: _problem(status) for status in sorted({*_EVERYWHERE, *more})}


def answer(description: str, headers: Iterable[str] = ()) -> dict[str, Any]:
    known = {
        "Location": "Where what was made is found.",
        "Server-Timing": "How long each stage took, in milliseconds.",
    }
    documented = {name: {"description": known[name], "schema": {"type": "string"}} for name in headers}
    return {"description": description} | ({"headers": documented} if documented else {})


def json_body(model: type[BaseModel], examples: Mapping[str, Any]) -> dict[str, Any]:
    return _body({JSON: {"schema": _ref(model), "examples": _examples(examples)}})


def picture_body(
    model: type[BaseModel], part: type[BaseModel], part_name: str, examples: Mapping[str, Any], *, several: bool = False
) -> dict[str, Any]:
    """A form with `image` and a part of JSON, JSON, or (of one picture) the picture itself."""
    picture: dict[str, Any] = {"type": "string", "format": "binary", "contentMediaType": "application/octet-stream"}
    image = {"type": "array", "items": picture, "minItems": 1} if several else picture
    form = {
        "type": "object",
        "properties": {"image": image, part_name: _ref(part)},
        "required": ["image"],
        "additionalProperties": False,
    }
    content: dict[str, Any] = {
        MULTIPART: {"schema": form, "encoding": {part_name: {"contentType": JSON}}},
        JSON: {"schema": _ref(model), "examples": _examples(examples)},
    }
    if not several:
        content |= {kind: {"schema": {"type": "string", "format": "binary"}} for kind in IMAGE_TYPES}
    return _body(content)


def rows_body(row: type[BaseModel], example: str) -> dict[str, Any]:
    schema = {"type": "string", "description": f"A line each: {row.__name__} as JSON."}
    return _body({NDJSON: {"schema": schema, "example": example}})


def describe(app: FastAPI, models: Iterable[type[BaseModel]]) -> None:
    """models: of bodies that routes read by themselves, which FastAPI knows nothing of."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app, tuple(models))
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _document(app: FastAPI, models: tuple[type[BaseModel], ...]) -> dict[str, Any]:
    document = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes, tags=app.openapi_tags
    )
    wanted: list[tuple[type[BaseModel], Literal["validation"]]] = [(model, "validation") for model in models]
    wanted.append((ProblemBody, "validation"))
    _, schemas = models_json_schema(wanted, ref_template=_REF + "{model}")
    components = document.setdefault("components", {})
    components["schemas"] = components.get("schemas", {}) | schemas["$defs"]
    components["securitySchemes"] = {
        "key": {"type": "http", "scheme": "bearer", "description": "Authorization: Bearer vk_..."},
        "key_header": {"type": "apiKey", "in": "header", "name": "X-Api-Key"},
    }
    for path, operations in document["paths"].items():
        for operation in operations.values():
            for parameter in operation.get("parameters", ()):
                parameter["schema"] = _without_null(parameter["schema"])
            if path.startswith("/v1/"):
                operation["security"] = [{"key": []}, {"key_header": []}]
    return document


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter that is not wanted is left out; there is no null in an address."""
    left = [one for one in schema.get("anyOf", ()) if one != {"type": "null"}]
    if len(left) != 1:
        return schema
    bare: dict[str, Any] = left[0]
    return bare | {name: value for name, value in schema.items() if name != "anyOf"}


def _problem(status: int) -> dict[str, Any]:
    types = [name for name, kind in KINDS.items() if kind.status == status]
    described: dict[str, Any] = {
        "description": ", ".join(f"`{name}`" for name in types),
        "content": {MEDIA_TYPE: {"schema": _ref(ProblemBody)}},
    }
    if status in (429, 503):
        described["headers"] = {
            "Retry-After": {"description": "Seconds after which to ask again.", "schema": {"type": "integer"}}
        }
    return described


def _ref(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": _REF + (model.model_config.get("title") or model.__name__)}


def _body(content: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": content}}


def _examples(examples: Mapping[str, Any]) -> dict[str, Any]:
    return {name: {"value": value} for name, value in examples.items()}
