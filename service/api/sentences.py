"""What pydantic found wrong with a request, as sentences; a name that nobody knows comes with the nearest one known."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Any

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError

_SHOWN = 60


def sentences(
    error: ValidationError | RequestValidationError, known: Iterable[str] = (), place: str = ""
) -> list[tuple[str, str]]:
    """Where and what, one pair a fault. known: names that may have been meant. place: in which part of the request."""
    names = sorted(known)
    return [_sentence(fault, names, place) for fault in error.errors()]


def names_in(model: type[BaseModel]) -> set[str]:
    """The names of a model's fields and of those of the models in it."""
    names: set[str] = set()
    for name, field in model.model_fields.items():
        names.add(field.alias or name)
        for inner in _models_in(field.annotation):
            names |= names_in(inner)
    return names


def _models_in(annotation: Any) -> Iterable[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in getattr(annotation, "__args__", ()):
        yield from _models_in(part)


def _sentence(fault: Any, known: Sequence[str], place: str) -> tuple[str, str]:
    location = [str(part) for part in fault["loc"]]
    where = " ".join(part for part in (place, ".".join(location)) if part)
    if location[:1] in (["query"], ["path"], ["header"]):
        where = " ".join((location[0], ".".join(location[1:])))
    kind, given = fault["type"], fault.get("input")
    if kind == "extra_forbidden":
        meant = difflib.get_close_matches(location[-1], known, n=1)
        hint = f"did you mean {meant[0]}?" if meant else f"known are {', '.join(known)}" if known else "leave it out"
        return where, f"there is no such field: {hint}"
    if kind == "missing":
        return where, "this is wanted and not there"
    message = fault["msg"]
    if isinstance(given, str | int | float | bool) and kind != "json_invalid":
        shown = repr(given)
        return where, f"{message[:300]} (it is {shown if len(shown) <= _SHOWN else shown[:_SHOWN] + '...'})"
    return where, message[:300]
