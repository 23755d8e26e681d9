"""The page at `/`, what it loads, and the demo's queries for those who have no crop at hand.

There is nothing to build: the scripts are modules of their own and all of them come from here. Nothing stands in the
markup that runs or paints by itself, so that the policy below can forbid it.
"""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, HTTPException
from starlette.responses import JSONResponse, Response

from service.demo import QUERIES

_FOLDER = Path(__file__).parent / "static"
_KINDS = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
_FILES = {path.name: path.read_bytes() for path in _FOLDER.iterdir() if path.suffix in _KINDS}
_PAGE = "index.html"
_SAMPLES = {path.name: path for path in QUERIES}

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self' blob: data:",  # samples, and crops that are fetched with a key
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
"""The Content-Security-Policy of the page."""

router = APIRouter(include_in_schema=False)
"""`/` and what it loads. The addresses in it are relative: it works behind a proxy that adds a prefix."""


@router.get("/")
async def page() -> Response:
    return _answer(_PAGE)


@router.get("/console/samples")
async def samples() -> Response:
    """The demo's queries, by name."""
    return JSONResponse({"samples": list(_SAMPLES)})


@router.get("/console/samples/{name}")
def sample(name: str) -> Response:
    if name not in _SAMPLES:
        raise HTTPException(404)
    return Response(_SAMPLES[name].read_bytes(), media_type="image/jpeg")


@router.get("/console/{name}")
async def asset(name: str) -> Response:
    if name not in _FILES or name == _PAGE:
        raise HTTPException(404)
    return _answer(name)


def _answer(name: str) -> Response:
    headers = {"Content-Security-Policy": POLICY, "Content-Type": _KINDS[Path(name).suffix]}
    return Response(_FILES[name], headers=headers)
