"""The page /docs, which shows the OpenAPI document and tries it out; all of it comes from here, nothing from elsewhere.

The page is our own, three small scripts and a style, because what packages carry is a hundred times as large, years old
and wants inline style. It has no script of its own in the markup, so that the policy below can forbid any.
"""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, HTTPException
from starlette.responses import Response

_FOLDER = Path(__file__).parent / "static"
_KINDS = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}
_FILES = {path.name: path.read_bytes() for path in _FOLDER.iterdir() if path.suffix in _KINDS}
_PAGE = "docs.html"

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src data: blob:",  # the empty icon, and crops that were answered
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
"""The Content-Security-Policy of the page."""

router = APIRouter(include_in_schema=False)
"""/docs and what it loads. The addresses in it are relative: it works behind a proxy that adds a prefix."""


@router.get("/docs")
async def docs() -> Response:
    return _answer(_PAGE)


@router.get("/docs/{name}")
async def asset(name: str) -> Response:
    if name not in _FILES or name == _PAGE:
        raise HTTPException(404)
    return _answer(name)


def _answer(name: str) -> Response:
    kind = _KINDS[Path(name).suffix]
    return Response(_FILES[name], headers={"Content-Security-Policy": POLICY}, media_type=f"{kind}; charset=utf-8")
