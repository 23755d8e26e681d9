"""What a picture's path says of it: `--pattern market1501`, or a regular expression with named groups.

The groups are id, camera, person, tracklet, time and frame (a number, kept in the metadata); each may be left out. The
expression is searched in the path below the folder or inside the archive, with / between its parts.

market1501 reads names such as 0002_c1s1_000451_03.jpg: person 0002, camera c1, first sequence, frame 451. Person -1
(junk) and 0000 (distractors) are nobody. The id is the path without its suffix.
"""

import re
from collections.abc import Callable
from pathlib import PurePosixPath

from service.gallery import GalleryError, NewItem
from service.indexing.errors import IndexingError
from service.indexing.records import facts_of
from service.indexing.times import parse_time

GROUPS = ("id", "camera", "person", "tracklet", "time", "frame")
MARKET1501 = "market1501"
_MARKET = re.compile(
    r"(?:^|/)(?P<person>-1|\d{4})_(?P<camera>c\d)s(?P<sequence>\d)_(?P<frame>\d{6,7})_\d{2}(\.jpg)?\.\w+$", re.ASCII
)
_NOBODY = ("-1", "0000")

Reading = Callable[[str], NewItem | None]
"""From a path to what it says; None where it does not match. GalleryError where it says what cannot be."""


def read_nothing(path: str) -> NewItem:
    """Without a pattern the path is the id."""
    return facts_of(id=path)


def parse_pattern(text: str) -> Reading:
    """The reading that `text` describes: the name of a known form, or a regular expression."""
    if text == MARKET1501:
        return _read_market
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise IndexingError(f"--pattern {text!r} is no regular expression: {error}") from error
    for name in pattern.groupindex:
        if name not in GROUPS:
            raise IndexingError(f"--pattern has a group {name!r}: groups are called {', '.join(GROUPS)}")
    if not pattern.groupindex:
        raise IndexingError(
            f"--pattern {text!r} has no named group, so it says nothing of a picture: write for instance "
            r"'(?P<person>\d+)_(?P<camera>c\d+)', or market1501"
        )
    return _Expression(pattern)


class _Expression:
    def __init__(self, pattern: re.Pattern[str]) -> None:
        self._pattern = pattern

    def __call__(self, path: str) -> NewItem | None:
        match = self._pattern.search(path)
        if match is None:
            return None
        said = {name: value for name, value in match.groupdict().items() if value}
        time, frame = said.pop("time", None), said.pop("frame", None)
        return facts_of(
            **({"id": path} | said),
            captured_at=None if time is None else parse_time(time),
            metadata={} if frame is None else {"frame": _number(frame)},
        )


def _read_market(path: str) -> NewItem | None:
    match = _MARKET.search(path)
    if match is None:
        return None
    person, camera = match["person"], match["camera"]
    somebody = person not in _NOBODY
    return facts_of(
        id=str(PurePosixPath(path).with_suffix("")),
        camera=camera,
        person=person if somebody else None,
        tracklet=f"{person}_{camera}s{match['sequence']}" if somebody else None,
        metadata={"frame": int(match["frame"])},
    )


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise GalleryError(f"a frame is {text!r}: the group frame must match a number") from error
