"""A contact sheet of any dataset: a row a person, with the camera, viewpoint and split below every picture."""

from typing import TypeVar

from PIL import Image

from training.data import synthetic
from training.data.contact_sheet import SheetCell, SheetRow, contact_sheet
from training.data.dataset import Dataset, Picture, Rendering
from training.data.errors import DataError, PictureError
from training.data.reading import open_picture

_A_ROW = 12  # pictures
_CELL = (160, 80)  # wide enough for the longest caption

_Entry = TypeVar("_Entry")


def preview(dataset: Dataset, people: int = 12) -> Image.Image:
    """Some people, spread evenly over all of them by label, and up to 12 pictures of each, spread over theirs.

    A picture that cannot be read leaves its place empty. Rendered people have a sheet of their own, sorted by camera.
    """
    if people < 1:
        raise DataError(f"people is {people}: a sheet shows at least one person")
    pictures: dict[str, list[tuple[str, Picture]]] = {}
    for name, split in dataset.splits.items():
        for picture in split if name != "multi_query" else ():
            if isinstance(picture.source, Rendering):
                return synthetic.preview(picture.source.spec, people)
            if dataset.is_person(picture):
                pictures.setdefault(picture.person, []).append((name, picture))
    if not pictures:
        raise DataError(f"{dataset.name}: no picture shows a person, all are junk or distractors")
    rows = []
    for person in _spread(sorted(pictures), people):
        own = sorted(pictures[person], key=lambda entry: (entry[1].camera or "", entry[1].name))
        rows.append(SheetRow(person, [_cell(split, picture) for split, picture in _spread(own, _A_ROW)]))
    return contact_sheet(rows, cell_size=_CELL)


def _cell(split: str, picture: Picture) -> SheetCell | None:
    try:
        image = open_picture(picture)
    except PictureError:
        return None
    return SheetCell(image, " ".join(word for word in (picture.camera, picture.viewpoint, split) if word))


def _spread(entries: list[_Entry], count: int) -> list[_Entry]:
    if len(entries) <= count:
        return entries
    return [entries[round(at * (len(entries) - 1) / max(1, count - 1))] for at in range(count)]
