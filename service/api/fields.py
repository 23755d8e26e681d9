"""Types of single fields, in JSON bodies and in query parameters: what the OpenAPI document says is what is taken."""

from __future__ import annotations

import base64
import binascii
import re
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import unquote

from fastapi import Path
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from service.gallery.items import ID_BYTES
from service.gallery.settings import NAME_PATTERN

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_NO_ZONE = re.compile(r"\d{4}-\d\d-\d\d([Tt ][\d:.]+)?", re.ASCII)
_WHOLE = re.compile(r"-?\d{1,18}", re.ASCII)


class Body(BaseModel):
    """A JSON body, or a part of one: nothing is converted in silence, and no unknown name is passed over."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)


def _instant(value: Any) -> Any:
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str) or not _RFC3339.fullmatch(value):
        hint = ""
        if isinstance(value, str) and _NO_ZONE.fullmatch(value):
            hint = ", with its time zone: add Z for UTC"
        raise ValueError(f"give a time as 2026-05-01T12:00:00Z{hint}")
    return datetime.fromisoformat(value.upper())


def _flag(value: Any) -> Any:
    if isinstance(value, bool):
        return value
    if value not in ("true", "false"):
        raise ValueError("give true or false")
    return value == "true"


def _whole(value: Any) -> Any:
    if isinstance(value, str) and not _WHOLE.fullmatch(value):
        raise ValueError("give a whole number")
    return int(value) if isinstance(value, str) else value


def _decoded(value: Any) -> Any:
    """Path parameters arrive as they were sent: a slash within an id is one that was percent-encoded."""
    if isinstance(value, str) and "%" in value:
        try:
            return unquote(value, errors="strict")
        except UnicodeDecodeError as error:
            raise ValueError("what is percent-encoded here is no UTF-8") from error
    return value


def _bytes(value: Any) -> Any:
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise ValueError("give the file in base64, as a text")
    text = value.partition(",")[2] if value.startswith("data:") else value
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"this is no base64: {error}") from error


Instant = Annotated[
    datetime,
    BeforeValidator(_instant),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-05-01T12:00:00Z"]}),
]
Flag = Annotated[bool, BeforeValidator(_flag)]
# What narrows a type stands before what makes it of a text, or the document would not tell of it.
UpToThousand = Annotated[int, Field(ge=1, le=1000), BeforeValidator(_whole)]
Milliseconds = Annotated[int, Field(ge=1, le=2**53), BeforeValidator(_whole)]
Base64 = Annotated[
    bytes,
    BeforeValidator(_bytes),
    WithJsonSchema({"type": "string", "contentEncoding": "base64", "description": "A picture's file in base64."}),
]
Label = Annotated[str, Field(min_length=1, max_length=ID_BYTES)]
Labels = Annotated[tuple[Label, ...], Field(max_length=1000)]

GalleryName = Annotated[
    str,
    BeforeValidator(_decoded),
    Path(description="The gallery's name.", examples=["demo"], json_schema_extra={"pattern": f"^{NAME_PATTERN}$"}),
]
ItemId = Annotated[
    str,
    BeforeValidator(_decoded),
    Path(
        description="The item's id, percent-encoded: cam1/0007.jpg is cam1%2F0007.jpg.",
        examples=["cam1/0007.jpg"],
        json_schema_extra={"minLength": 1, "maxLength": ID_BYTES},
    ),
]
SnapshotName = Annotated[str, BeforeValidator(_decoded), Path(description="The snapshot's name.")]
JobId = Annotated[str, BeforeValidator(_decoded), Path(description="The job's id.")]
