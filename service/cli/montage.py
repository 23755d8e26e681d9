"""The probe and what was found, as one picture."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

from models.preprocess import BACKGROUND
from service.gallery import BadItemError

_FORMS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
_TILE = (128, 256)
"""Width and height of a picture on the page."""
_GAP, _LINE, _FRAME = 16, 16, 3
_LINES = 4
_COLUMNS = 10
_PAPER, _INK, _FAINT, _EMPTY = (250, 250, 248), (28, 28, 32), (110, 110, 116), (214, 214, 212)
_FRAMES = {"likely": (34, 139, 84), "unsure": (214, 150, 22), "unlikely": (176, 176, 180), None: (176, 176, 180)}
_PROBE = (40, 90, 190)

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True, slots=True, eq=False)
class Tile:
    """A picture, None where none is kept; a title above it, lines below, and a frame in the colour of the verdict."""

    picture: Image.Image | None
    title: str
    lines: tuple[str, ...] = ()
    verdict: str | None = None


def montage_form(file: Path) -> str:
    """How Pillow calls the kind of picture that the name asks for."""
    form = _FORMS.get(file.suffix.lower())
    if form is None:
        raise BadItemError(f"a montage is a picture, and {file} ends in none of {', '.join(_FORMS)}")
    return form


def draw_montage(probes: Sequence[Tile], results: Sequence[Tile], form: str) -> bytes:
    """The probe's pictures in the first row, results in the rows below, as an encoded picture."""
    columns = min(_COLUMNS, max(len(probes), len(results), 1))
    rows = [*_rows(probes, columns), *_rows(results, columns)]
    probe_rows = len(_rows(probes, columns))
    width, height = _TILE
    title = _LINE + _FRAME + 4
    heights = [title + height + (_GAP if at < probe_rows else _LINES * _LINE + _GAP) for at in range(len(rows))]
    page = Image.new("RGB", (_GAP + columns * (width + _GAP), _GAP + sum(heights)), _PAPER)
    pen = ImageDraw.Draw(page)
    y = _GAP
    for at, row in enumerate(rows):
        for column, tile in enumerate(row):
            frame = _PROBE if at < probe_rows else _FRAMES[tile.verdict]
            _draw(page, pen, tile, (_GAP + column * (width + _GAP), y), frame)
        y += heights[at]
    target = io.BytesIO()
    page.save(target, form, **({"quality": 92} if form == "JPEG" else {}))
    return target.getvalue()


def _rows(tiles: Sequence[Tile], columns: int) -> list[Sequence[Tile]]:
    return [tiles[start : start + columns] for start in range(0, len(tiles), columns)]


def _draw(
    page: Image.Image, pen: ImageDraw.ImageDraw, tile: Tile, at: tuple[int, int], frame: tuple[int, int, int]
) -> None:
    x, y = at
    width, height = _TILE
    bold, small = ImageFont.load_default(14), ImageFont.load_default(11)
    pen.text((x, y), _cut(tile.title, width, bold), frame if frame == _PROBE else _INK, bold)
    y += _LINE + _FRAME + 4
    box = (x - _FRAME, y - _FRAME, x + width + _FRAME - 1, y + height + _FRAME - 1)
    pen.rectangle(box, fill=_EMPTY, outline=frame, width=_FRAME)
    if tile.picture is None:
        pen.multiline_text(
            (x + width / 2, y + height / 2), "no picture\nis kept", _FAINT, small, anchor="mm", align="center"
        )
    else:
        picture = ImageOps.contain(_flat(tile.picture), _TILE, Image.Resampling.BICUBIC)
        page.paste(picture, (x + (width - picture.width) // 2, y + (height - picture.height) // 2))
    for number, line in enumerate(tile.lines):
        ink = _INK if number < 2 else _FAINT
        pen.text((x, y + height + _FRAME + 3 + number * _LINE), _cut(line, width, small), ink, small)


def _flat(picture: Image.Image) -> Image.Image:
    """Upright, RGB, on grey where it is transparent."""
    upright = ImageOps.exif_transpose(picture)
    if upright.has_transparency_data:
        background = Image.new("RGBA", upright.size, (*BACKGROUND, 255))
        return Image.alpha_composite(background, upright.convert("RGBA")).convert("RGB")
    return upright.convert("RGB")


def _cut(text: str, width: int, font: Font) -> str:
    """As much of the text's end as fits: names differ there."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength("…" + text) > width:
        text = text[1:]
    return "…" + text
