"""A body as it came: a form with pictures, a picture by itself, or JSON. Pictures never touch a disk here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from service.api.problems import Problem, invalid
from service.api.sentences import names_in, sentences

IMAGE_TYPES = ("image/jpeg", "image/png", "image/webp", "image/bmp", "application/octet-stream")
MULTIPART, JSON = "multipart/form-data", "application/json"
_MOST_PARTS = 1000
_CHARSET = re.compile(r"\bcharset\s*=\s*\"?utf-?8\b", re.IGNORECASE)

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Received:
    """pictures: of a form's `image` parts, or the raw body. document: JSON, of the body or of a form's other part."""

    pictures: tuple[bytes, ...]
    document: bytes | None

    @property
    def is_json(self) -> bool:
        return not self.pictures


async def receive(request: Request, document_part: str) -> Received:
    """What came. document_part: the name of the form's part that holds JSON."""
    kind = content_type(request)
    if kind == MULTIPART or kind in IMAGE_TYPES:
        request.app.state.service.running.places.check()  # else it is read for nothing
    if kind == MULTIPART:
        return _form(request, await request.body(), document_part)
    if kind == JSON:
        _require_utf8(request)
        return Received((), await request.body())
    if kind in IMAGE_TYPES:
        return Received((await request.body(),), None)
    taken = f"{MULTIPART} with a part `image`, {JSON}, or a picture by itself as {', '.join(IMAGE_TYPES)}"
    raise Problem("unsupported-media-type", f"the Content-Type is {kind or 'not given'}: send {taken}")


async def receive_json(request: Request, model: type[Model]) -> Model:
    kind = content_type(request)
    if kind != JSON:
        raise Problem("unsupported-media-type", f"the Content-Type is {kind or 'not given'}: send {JSON}")
    _require_utf8(request)
    return parse(model, await request.body())


def parse(model: type[Model], document: bytes, place: str = "body") -> Model:
    """JSON as a model of ours, or the problem with it."""
    try:
        return model.model_validate_json(document)
    except ValidationError as error:
        faults = error.errors(include_input=False, include_url=False)
        if faults[0]["type"] == "json_invalid":
            raise Problem("malformed-body", f"{place}: this is no JSON ({faults[0]['msg'][:200]})") from error
        raise invalid(sentences(error, names_in(model), place)) from error


def content_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _require_utf8(request: Request) -> None:
    given = request.headers.get("content-type", "")
    if "charset" in given.lower() and not _CHARSET.search(given):
        raise Problem("unsupported-media-type", f"the Content-Type is {given[:100]}: JSON is written in UTF-8")


def _form(request: Request, body: bytes, document_part: str) -> Received:
    pictures: list[bytes] = []
    documents: list[bytes] = []
    for name, content in _parts(request.headers["content-type"], body):
        if name == "image":
            pictures.append(content)
        elif name == document_part:
            documents.append(content)
        else:
            raise invalid(
                [(f"part {name[:60]}", f"there is no such part: send `image` and, if wanted, `{document_part}`")]
            )
    if len(documents) > 1:
        raise invalid([(f"part {document_part}", "this stands in the form more than once")])
    if not pictures:
        raise invalid([("part image", "this is wanted and not there")])
    return Received(tuple(pictures), documents[0] if documents else None)


def _parts(content_type: str, body: bytes) -> Sequence[tuple[str, bytes]]:
    """The form's parts, by name."""
    boundary = parse_options_header(content_type)[1].get(b"boundary")
    if not boundary or len(boundary) > 70:
        raise Problem("malformed-body", "the form's Content-Type names no boundary of at most 70 characters")
    reader = _PartReader()
    parser = MultipartParser(boundary, reader.callbacks())  # type: ignore[arg-type]
    try:
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        raise Problem("malformed-body", f"the form cannot be read: {error}") from error
    if not reader.ended:
        raise Problem("malformed-body", "the form ends before its last boundary: send it whole")
    return reader.parts


class _PartReader:
    def __init__(self) -> None:
        self.parts: list[tuple[str, bytes]] = []
        self.ended = False
        self._header = b""
        self._value = b""
        self._name: str | None = None
        self._content: list[bytes] = []

    def callbacks(self) -> dict[str, object]:
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._field,
            "on_header_value": self._more_value,
            "on_header_end": self._header_end,
            "on_part_data": self._data,
            "on_part_end": self._end,
            "on_end": self._all,
        }

    def _begin(self) -> None:
        if len(self.parts) >= _MOST_PARTS:
            raise Problem("malformed-body", f"the form has more than {_MOST_PARTS} parts: send fewer")
        self._name, self._content = None, []
        self._header = self._value = b""

    def _field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _more_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            name = parse_options_header(self._value)[1].get(b"name")
            self._name = None if name is None else name.decode("utf-8", "replace")
        self._header = self._value = b""

    def _data(self, data: bytes, start: int, end: int) -> None:
        self._content.append(data[start:end])

    def _end(self) -> None:
        if self._name is None:
            raise Problem("malformed-body", "a part of the form has no name: give each its Content-Disposition")
        self.parts.append((self._name, b"".join(self._content)))

    def _all(self) -> None:
        self.ended = True
