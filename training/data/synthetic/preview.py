"""The contact sheet of synthetic people: a row a person, a column a camera and pass."""

from __future__ import annotations

from PIL import Image

from training.data.contact_sheet import SheetCell, SheetRow, contact_sheet
from training.data.synthetic.rendering import render
from training.data.synthetic.schedule import SyntheticSpec, looks_of, plan


def preview(spec: SyntheticSpec, people: int = 12) -> Image.Image:
    """The first crop of every pass of the first `people` people, with its viewpoint and split below it."""
    shown = min(people, spec.people)
    columns = [(camera, number) for camera in range(spec.cameras) for number in range(spec.passes)]
    firsts = {
        (crop.person_index, crop.camera_index, crop.pass_index): crop
        for crop in plan(spec)
        if crop.person_index < shown and crop.step == 0
    }
    rows: list[SheetRow] = []
    for person in range(shown):
        cells: list[SheetCell | None] = []
        for column in columns:
            crop = firsts.get((person, *column))
            picture = None if crop is None else Image.fromarray(render(spec, crop))
            cells.append(
                None if crop is None or picture is None else SheetCell(picture, f"{crop.viewpoint} {crop.split}")
            )
        sibling = looks_of(spec)[person][1]
        rows.append(SheetRow(f"{person + 1:04d}" + (f" like {sibling + 1:04d}" if sibling >= 0 else ""), cells))
    return contact_sheet(rows, [f"c{camera + 1} s{number + 1}" for camera, number in columns], spec.size)
