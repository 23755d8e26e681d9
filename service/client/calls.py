"""A call: one question to the service, as a value. Whoever sends it needs to know nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar, cast
from urllib.parse import quote

from pydantic import TypeAdapter, ValidationError

from service.client.errors import BadCallError, ServiceError

T = TypeVar("T")
JSON, NDJSON = "application/json", "application/x-ndjson"
Part = tuple[str, tuple[str | None, bytes, str]]
"""Of a form: the part's name; and its file's name, its content and what kind that is."""


@dataclass(frozen=True, slots=True, eq=False)
class Reply:
    """What came back. headers: found whatever the case of their names."""

    status: int
    headers: Mapping[str, str]
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Call(Generic[T]):
    """path: below the service's address, percent-encoded. body or parts: what is sent, a body as `content_type` says.
    read: makes the answer of a reply. repeatable: whether it does no harm to ask twice, because the first answer was
    lost. within: seconds after which the answer is of no use, so that nothing is asked again."""

    method: str
    path: str
    read: Callable[[Reply], T]
    repeatable: bool
    parameters: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    content_type: str | None = None
    parts: tuple[Part, ...] = ()
    within: float | None = None


def path_of(*parts: str, action: str = "") -> str:
    """Each part is one, slashes included: the id cam1/0007.jpg is cam1%2F0007.jpg."""
    if not all(parts):
        raise BadCallError("a gallery's, item's, snapshot's or job's name is empty: name it")
    return "/v1/" + "/".join(_quoted(part) for part in parts) + action


def json_bytes(value: object) -> bytes:
    """Times as the service takes them."""
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, default=_plain).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise BadCallError(
            f"this cannot be written as JSON ({error}): use texts, numbers, lists and objects"
        ) from error


def given(**values: Any) -> dict[str, Any]:
    """Those that were given; the service knows what the others are."""
    return {name: value for name, value in values.items() if value is not None}


def json_as(kind: type[T]) -> Callable[[Reply], T]:
    """Reads an answer's JSON. Names that a newer service sends besides are passed over."""

    def read(reply: Reply) -> T:
        try:
            return cast(T, _adapter(kind).validate_json(reply.content))
        except ValidationError as error:
            fault = error.errors(include_input=False, include_url=False)[0]
            where = ".".join(str(part) for part in fault["loc"])
            raise ServiceError(
                f"the answer cannot be read as {kind.__name__} ({where + ': ' if where else ''}{fault['msg']}): is "
                "this a Vantage service, and not a much older or newer one than this client?",
                status=reply.status,
            ) from error

    return read


def nothing(reply: Reply) -> None:
    """The answer says no more than that it was done."""


_ADAPTERS: dict[type[Any], TypeAdapter[Any]] = {}  # made when first used: making one takes milliseconds


def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    return _ADAPTERS[kind]


def _quoted(part: str) -> str:
    quoted = quote(part, safe="", errors="strict")
    # By themselves these would be taken for a way through folders, and be left out on the way.
    return quoted.replace(".", "%2E") if part in (".", "..") else quoted


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    if hasattr(value, "tolist"):  # numpy's arrays and numbers, without numpy
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is no kind that JSON knows")
