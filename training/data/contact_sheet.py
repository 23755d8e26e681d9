"""A contact sheet: many small pictures on one page, in labelled rows and columns."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

GAP = 4
LINE = 14
PAPER, INK, EMPTY = (250, 250, 248), (30, 30, 34), (232, 232, 230)


@dataclass(frozen=True, slots=True)
class SheetCell:
    """A picture and the line below it."""

    picture: Image.Image
    caption: str = ""


@dataclass(frozen=True, slots=True)
class SheetRow:
    """A row of the sheet; `None` leaves a place empty."""

    label: str
    cells: Sequence[SheetCell | None]


def contact_sheet(
    rows: Sequence[SheetRow], column_labels: Sequence[str] = (), cell_size: tuple[int, int] = (128, 64)
) -> Image.Image:
    """Lays the rows out on one page. Each picture is scaled to fit `cell_size`, (height, width) in pixels, without
    distortion. The page is as large as `sheet_size` says; text too long for its place is cut."""
    height, width = cell_size
    font = ImageFont.load_default(10)
    columns = max([len(column_labels), *(len(row.cells) for row in rows)])
    margin = _margin(rows, font)
    top = GAP + (LINE if column_labels else 0)
    sheet = Image.new("RGB", sheet_size(len(rows), columns, cell_size, margin, bool(column_labels)), PAPER)
    pen = ImageDraw.Draw(sheet)
    for column, label in enumerate(column_labels):
        pen.text((margin + column * (width + GAP), GAP), _cut(label, width, font), INK, font)
    for number, row in enumerate(rows):
        y = top + number * (height + LINE + GAP)
        pen.text((GAP, y + height // 2 - LINE // 2), row.label, INK, font)
        for column, cell in enumerate(row.cells):
            x = margin + column * (width + GAP)
            if cell is None:
                pen.rectangle((x, y, x + width - 1, y + height - 1), EMPTY)
                continue
            picture = _fitted(cell.picture, width, height)
            sheet.paste(picture, (x + (width - picture.width) // 2, y + (height - picture.height) // 2))
            pen.text((x, y + height), _cut(cell.caption, width, font), INK, font)
    return sheet


def sheet_size(
    rows: int, columns: int, cell_size: tuple[int, int], margin: int, has_column_labels: bool
) -> tuple[int, int]:
    """(width, height) in pixels of a sheet whose row labels take `margin` pixels."""
    height, width = cell_size
    return (
        margin + columns * (width + GAP),
        GAP + (LINE if has_column_labels else 0) + rows * (height + LINE + GAP),
    )


def in_rows(cells: Sequence[SheetCell], columns: int) -> list[SheetRow]:
    """Rows of `columns` cells each, unlabelled: for pictures that have no order but a sequence."""
    return [SheetRow("", cells[start : start + columns]) for start in range(0, len(cells), columns)]


def encode_png(sheet: Image.Image) -> bytes:
    """The sheet as a PNG file."""
    target = io.BytesIO()
    sheet.save(target, "PNG")
    return target.getvalue()


def _margin(rows: Sequence[SheetRow], font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> int:
    return 2 * GAP + max((int(font.getlength(row.label)) + 1 for row in rows if row.label), default=-GAP)


def _cut(text: str, width: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    while text and font.getlength(text) > width:
        text = text[:-1]
    return text


def _fitted(picture: Image.Image, width: int, height: int) -> Image.Image:
    scale = min(width / picture.width, height / picture.height)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    picture = picture.convert("RGB")
    return picture if size == picture.size else picture.resize(size, Image.Resampling.BICUBIC)
