"""The form in which Market-1501 and DukeMTMC-reID lie on disk: three folders, and labels in the file names."""

import re
from collections.abc import Callable
from pathlib import Path

from training.data.dataset import Dataset, Picture, Split
from training.data.errors import DataError
from training.data.format import Format, folder_with, images_in

TRAIN, QUERY, GALLERY = "bounding_box_train", "query", "bounding_box_test"
JUNK, DISTRACTOR = "-1", "0000"


def read_market_form(
    form: Format, place: str, pattern: re.Pattern[str], example: str, tracklet: Callable[[re.Match[str]], str | None]
) -> Dataset:
    """pattern: of a file's name, with the groups `person` and `camera` (a number); example: a name that it matches."""
    root = folder_with(form, place, (TRAIN, QUERY, GALLERY))

    def read(folder: str) -> Split:
        pictures, strangers = [], []
        for path in images_in(root / folder):
            match = pattern.fullmatch(path.name)
            if match is None:
                strangers.append(path)
            else:
                pictures.append(_picture(path, match, tracklet(match)))
        if strangers:
            raise DataError(
                f"{form.name}: the names of {len(strangers)} pictures in {root / folder} do not tell who is on them "
                f"(the first is {strangers[0].name}); names look like {example}. Remove or rename them, or list the "
                "pictures in a file and use csv:FILE"
            )
        return Split(tuple(pictures))

    query = read(QUERY)
    queried = set(query.people)
    drawn = read("gt_bbox") if (root / "gt_bbox").is_dir() else None
    return Dataset(
        name=form.name,
        train=read(TRAIN),
        query=query,
        gallery=read(GALLERY),
        # gt_bbox also shows the people of the training set
        multi_query=None if drawn is None else Split(tuple(p for p in drawn if p.person in queried)),
        junk=JUNK,
        distractor=DISTRACTOR,
    )


def _picture(path: Path, match: re.Match[str], tracklet: str | None) -> Picture:
    return Picture(
        source=path,
        name=f"{path.parent.name}/{path.name}",
        person=match["person"],
        camera=f"c{match['camera']}",
        tracklet=tracklet,
    )
