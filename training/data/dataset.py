"""A dataset as everything after it sees it: records of pictures in splits, without a pixel."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray

from training.data.errors import DataError
from training.data.synthetic.schedule import SyntheticCrop, SyntheticSpec

Viewpoint: TypeAlias = Literal["front", "side", "back"]
VIEWPOINTS: tuple[Viewpoint, ...] = ("front", "side", "back")
"""A viewpoint's label is its place here; a picture without one has -1."""


@dataclass(frozen=True, slots=True)
class Rendering:
    """A picture that exists as a plan: whoever wants to see it renders it."""

    spec: SyntheticSpec
    crop: SyntheticCrop


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture of one person.

    source: where its pixels come from.
    name: its path below the dataset's folder, with forward slashes; the same wherever the dataset lies.
    person: a label that is unique in the whole dataset, or the dataset's `junk` or `distractor` label.
    tracklet: what it shares with pictures from the same walk past the same camera.
    captured_at: seconds, on a clock that all cameras of the dataset share.
    """

    source: Path | Rendering
    name: str
    person: str
    camera: str | None = None
    viewpoint: Viewpoint | None = None
    tracklet: str | None = None
    captured_at: float | None = None


@dataclass(frozen=True, slots=True)
class Split(Sequence[Picture]):
    """Pictures in a fixed order, and their labels as arrays in the same order. N pictures, P people."""

    pictures: tuple[Picture, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "pictures", tuple(self.pictures))

    def __len__(self) -> int:
        return len(self.pictures)

    def __iter__(self) -> Iterator[Picture]:
        return iter(self.pictures)

    @overload
    def __getitem__(self, place: int) -> Picture: ...
    @overload
    def __getitem__(self, place: slice) -> "Split": ...
    def __getitem__(self, place: int | slice) -> "Picture | Split":
        return Split(self.pictures[place]) if isinstance(place, slice) else self.pictures[place]

    def take(self, places: Iterable[int]) -> "Split":
        """The pictures at these places, in that order."""
        return Split(tuple(self.pictures[place] for place in places))

    @property
    def people(self) -> tuple[str, ...]:
        """Every person once, in the order of their labels' text: (P,)."""
        return tuple(sorted({picture.person for picture in self.pictures}))

    @property
    def persons(self) -> NDArray[np.str_]:
        """(N,) text: the person on each picture."""
        return np.array([picture.person for picture in self.pictures], dtype=np.str_)

    @property
    def labels(self) -> NDArray[np.int64]:
        """(N,) int64: the place of each picture's person in `people`, so 0..P-1 without gaps."""
        place = {person: at for at, person in enumerate(self.people)}
        return np.array([place[picture.person] for picture in self.pictures], dtype=np.int64)

    @property
    def cameras(self) -> NDArray[np.str_] | None:
        """(N,) text: the camera of each picture; None if it is not known of all of them."""
        cameras = [picture.camera for picture in self.pictures if picture.camera is not None]
        return np.array(cameras, dtype=np.str_) if len(cameras) == len(self.pictures) else None

    @property
    def views(self) -> NDArray[np.int64]:
        """(N,) int64: 0 front, 1 side, 2 back, -1 unknown."""
        label: dict[str | None, int] = {viewpoint: at for at, viewpoint in enumerate(VIEWPOINTS)}
        return np.array([label.get(picture.viewpoint, -1) for picture in self.pictures], dtype=np.int64)

    @property
    def without_viewpoint(self) -> int:
        """How many pictures have no viewpoint."""
        return sum(picture.viewpoint is None for picture in self.pictures)


@dataclass(frozen=True, slots=True)
class Dataset:
    """Pictures to train on, and other people's pictures to search with (query) and in (gallery).

    name: the spec's format, such as "market1501"; what results are filed under.
    multi_query: further pictures of the queried people; those of one person and camera are pooled into one query.
    junk: the person label of gallery pictures that take no part in evaluation; None: there is no such label.
    distractor: the person label shared by gallery pictures of people whom nobody looks for; None: there is none.
    """

    name: str
    train: Split = field(default_factory=Split)
    query: Split = field(default_factory=Split)
    gallery: Split = field(default_factory=Split)
    multi_query: Split | None = None
    junk: str | None = None
    distractor: str | None = None

    def __post_init__(self) -> None:
        if not any(len(split) for split in self.splits.values()):
            raise DataError(f"{self.name}: the dataset has no picture")
        nobody = {label for label in (self.junk, self.distractor) if label is not None}
        for split_name in ("train", "query"):
            for picture in self.splits[split_name]:
                if picture.person in nobody:
                    raise DataError(
                        f"{self.name}: {picture.name} is in {split_name} but shows nobody (person {picture.person} "
                        "means junk or a distractor): only the gallery may hold such pictures; move it there"
                    )
        for split_name, split in self.splits.items():
            name, count = Counter(picture.name for picture in split).most_common(1)[0] if split else ("", 1)
            if count > 1:
                raise DataError(f"{self.name}: {split_name} holds {name} {count} times; list it once")

    @property
    def splits(self) -> dict[str, Split]:
        """train, query, gallery and, where there is one, multi_query."""
        splits = {"train": self.train, "query": self.query, "gallery": self.gallery}
        return splits if self.multi_query is None else splits | {"multi_query": self.multi_query}

    def is_person(self, picture: Picture) -> bool:
        """False for junk and distractors."""
        return picture.person not in (self.junk, self.distractor)
