import io

import numpy as np
import pytest
from PIL import Image

from training.data.contact_sheet import (
    EMPTY,
    PAPER,
    SheetCell,
    SheetRow,
    contact_sheet,
    encode_png,
    in_rows,
    sheet_size,
)

RED, BLUE = (200, 0, 0), (0, 0, 200)


def painted(colour, height=128, width=64):
    return Image.new("RGB", (width, height), colour)


def areas(sheet, colour):
    """(rows, columns) where the sheet has exactly this colour."""
    return np.nonzero((np.array(sheet) == colour).all(axis=2))


def test_the_sheet_is_as_large_as_its_rows_and_columns_need():
    rows = in_rows([SheetCell(painted(RED))] * 5, columns=3)
    assert [len(row.cells) for row in rows] == [3, 2]
    assert contact_sheet(rows).size == sheet_size(2, 3, (128, 64), 4, False)
    one = contact_sheet(in_rows([SheetCell(painted(RED))], 3))
    many = contact_sheet(in_rows([SheetCell(painted(RED))] * 12, 3))
    assert many.height - one.height == 3 * (contact_sheet(rows).height - one.height)


def test_every_picture_is_shown_whole_and_in_its_place():
    sheet = contact_sheet(
        [SheetRow("", [SheetCell(painted(RED)), None]), SheetRow("", [None, SheetCell(painted(BLUE))])]
    )
    red_rows, red_columns = areas(sheet, RED)
    blue_rows, blue_columns = areas(sheet, BLUE)
    assert len(red_rows) == len(blue_rows) == 128 * 64
    assert red_rows.max() < blue_rows.min()
    assert red_columns.max() < blue_columns.min()
    assert len(areas(sheet, EMPTY)[0]) == 2 * 128 * 64


@pytest.mark.parametrize(("shape", "shown"), [((256, 128), (128, 64)), ((30, 60), (32, 64)), ((300, 20), (128, 9))])
def test_a_picture_of_another_size_is_scaled_to_fit_without_distortion(shape, shown):
    rows, columns = areas(contact_sheet([SheetRow("", [SheetCell(painted(RED, *shape))])]), RED)
    assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == shown


def test_labels_and_captions_are_written_beside_the_pictures_and_not_on_them():
    bare = contact_sheet([SheetRow("", [SheetCell(painted(RED))])])
    labelled = contact_sheet([SheetRow("0001", [SheetCell(painted(RED), "front " * 20)])], ["camera 1"])
    assert labelled.width > bare.width
    assert labelled.height > bare.height
    assert len(areas(labelled, RED)[0]) == 128 * 64
    picture_end = areas(labelled, RED)[1].max()
    caption = np.array(labelled)[areas(labelled, RED)[0].max() + 1 :]
    assert (caption != PAPER).any()
    assert (caption[:, picture_end + 1 :] == PAPER).all()
    above = np.array(labelled)[: areas(labelled, RED)[0].min()]
    beside = np.array(labelled)[:, : areas(labelled, RED)[1].min()]
    assert (above != PAPER).any()
    assert (beside != PAPER).any()


def test_a_grey_or_transparent_picture_is_welcome():
    sheet = contact_sheet([SheetRow("", [SheetCell(Image.new("L", (64, 128), 90))])])
    assert len(areas(sheet, (90, 90, 90))[0]) == 128 * 64


def test_the_png_decodes_to_the_sheet():
    sheet = contact_sheet([SheetRow("0001", [SheetCell(painted(RED), "front")])])
    with Image.open(io.BytesIO(encode_png(sheet))) as decoded:
        assert decoded.format == "PNG"
        np.testing.assert_array_equal(np.array(decoded), np.array(sheet))
