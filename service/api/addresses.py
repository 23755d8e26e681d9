"""Query parameters as a model of ours: read at once, because reading them one by one costs more than a search."""

from __future__ import annotations

from typing import Any, Generic, TypeVar, get_origin
from urllib.parse import parse_qsl

from fastapi import Request
from pydantic import BaseModel, ValidationError

from service.api.problems import invalid
from service.api.sentences import names_in, sentences

Model = TypeVar("Model", bound=BaseModel)
_MOST = 1000


class FromAddress(Generic[Model]):
    """A dependency that gives the model of what stands behind the question mark; a name that it lacks is refused."""

    def __init__(self, model: type[Model]) -> None:
        self._model = model
        self._names = names_in(model)
        self._lists = {
            field.alias or name for name, field in model.model_fields.items() if get_origin(field.annotation) is list
        }

    async def __call__(self, request: Request) -> Model:
        given: dict[str, Any] = {}
        try:
            pairs = parse_qsl(request.scope["query_string"].decode("latin-1"), True, max_num_fields=_MOST)
        except ValueError as error:
            raise invalid([("query", f"there are more than {_MOST} parameters: put them into the body")]) from error
        for name, value in pairs:
            if name in self._lists:
                given.setdefault(name, []).append(value)
            elif name in given:
                raise invalid([(f"query {name}", "this stands in the address more than once")])
            else:
                given[name] = value
        try:
            return self._model.model_validate(given)
        except ValidationError as error:
            raise invalid(sentences(error, self._names, "query")) from error


def parameters(model: type[BaseModel]) -> dict[str, Any]:
    """The same for the OpenAPI document."""
    schema = model.model_json_schema()
    wanted = schema.get("required", ())
    described = []
    for name, field in schema["properties"].items():
        one = {"name": name, "in": "query", "required": name in wanted, "schema": field}
        described.append(one | ({"description": field["description"]} if "description" in field else {}))
    return {"parameters": described}
