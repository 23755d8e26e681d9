"""A look at a dataset before it is trained on: what is there, what is broken, and what can be evaluated."""

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from training.data.dataset import VIEWPOINTS, Dataset, Picture, Split
from training.data.errors import PictureError
from training.data.reading import open_picture


@dataclass(frozen=True, slots=True)
class SplitFacts:
    """What one split holds. people and cameras do not count junk and distractors; pictures do.

    distractors: pictures, in the gallery, of people whom no query looks for, junk apart.
    viewpoints: how many pictures show each side; of people only. without_viewpoint: how many of them are unlabelled.
    """

    pictures: int
    people: int
    cameras: tuple[str, ...]
    without_camera: int
    junk: int
    distractors: int
    viewpoints: Mapping[str, int]
    without_viewpoint: int


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Whether searching can be scored.

    cameras: whether by the usual rule, which ignores finds in the query's own camera.
    scorable: queries that have something to find. advice: what to do where that rule cannot be used, else None.
    """

    possible: bool
    cameras: bool
    queries: int
    scorable: int
    advice: str | None


@dataclass(frozen=True, slots=True)
class DataReport:
    """Everything that `vantage-train data check` tells.

    people, cameras, pictures: of all splits together, multi_query apart. view_classes: combinations of person and
    viewpoint among the training pictures. unreadable: sentences that name a file each. duplicates: pairs of names, the
    first of a training picture, the second of a test picture with the very same bytes. shared_people: people who are in
    training and in testing. one_camera: people who are seen by one camera only, by split (train, test).
    """

    name: str
    people: int
    cameras: int
    pictures: int
    splits: Mapping[str, SplitFacts]
    view_classes: int
    unreadable: tuple[str, ...]
    duplicates: tuple[tuple[str, str], ...]
    shared_people: tuple[str, ...]
    one_camera: Mapping[str, tuple[str, ...]]
    evaluation: Evaluation


def check_dataset(dataset: Dataset, workers: int | None = None) -> DataReport:
    """Reads every file of the dataset once. Renderings are not files: of those only the labels are looked at."""
    main = [picture for name, split in dataset.splits.items() if name != "multi_query" for picture in split]
    people = {picture.person for picture in main if dataset.is_person(picture)}
    test = [picture for picture in (*dataset.query, *dataset.gallery) if dataset.is_person(picture)]
    unreadable, duplicates = _read_files(dataset, workers or os.cpu_count() or 1)
    return DataReport(
        name=dataset.name,
        people=len(people),
        cameras=len({picture.camera for picture in main if picture.camera is not None}),
        pictures=len(main),
        splits={name: _facts(dataset, name, split) for name, split in dataset.splits.items()},
        view_classes=len({(p.person, p.viewpoint) for p in dataset.train if p.viewpoint is not None}),
        unreadable=unreadable,
        duplicates=duplicates,
        shared_people=tuple(sorted({p.person for p in dataset.train} & {p.person for p in test})),
        one_camera={"train": _seen_once(dataset.train), "test": _seen_once(test)},
        evaluation=_evaluation(dataset),
    )


def _facts(dataset: Dataset, name: str, split: Split) -> SplitFacts:
    persons = [picture for picture in split if dataset.is_person(picture)]
    junk = sum(picture.person == dataset.junk for picture in split)
    queried = set(dataset.query.people)
    distractors = 0 if name != "gallery" else sum(picture.person not in queried for picture in split) - junk
    shown = Counter(picture.viewpoint for picture in persons)
    return SplitFacts(
        pictures=len(split),
        people=len({picture.person for picture in persons}),
        cameras=tuple(sorted({picture.camera for picture in persons if picture.camera is not None})),
        without_camera=sum(picture.camera is None for picture in persons),
        junk=junk,
        distractors=distractors,
        viewpoints={viewpoint: shown[viewpoint] for viewpoint in VIEWPOINTS},
        without_viewpoint=shown[None],
    )


def _seen_once(pictures: Iterable[Picture]) -> tuple[str, ...]:
    cameras: dict[str, set[str | None]] = {}
    for picture in pictures:
        cameras.setdefault(picture.person, set()).add(picture.camera)
    return tuple(sorted(person for person, seen in cameras.items() if len(seen) == 1 and seen != {None}))


def _evaluation(dataset: Dataset) -> Evaluation:
    queries = len(dataset.query)
    if not queries or not dataset.gallery:
        advice = (
            "there is no query and gallery, so nothing can be evaluated on this dataset: validation holds out training "
            "people; for a test, split the data (folders or the CSV column: query, gallery), or add split=test"
        )
        return Evaluation(False, False, queries, 0, advice)
    gallery = Counter(picture.person for picture in dataset.gallery)
    in_camera = Counter((picture.person, picture.camera) for picture in dataset.gallery)
    anywhere = sum(gallery[picture.person] > 0 for picture in dataset.query)
    elsewhere = sum(gallery[p.person] > in_camera[p.person, p.camera] for p in dataset.query)
    labelled = all(picture.camera is not None for picture in (*dataset.query, *dataset.gallery))
    if labelled and elsewhere:
        return Evaluation(True, True, queries, elsewhere, None)
    if labelled:
        why = "no query has a picture of its person in another camera"
    else:
        why = "the camera is not known of every query and gallery picture"
    if not anywhere:
        return Evaluation(False, False, queries, 0, "no query's person is in the gallery: nothing can be found")
    return Evaluation(True, False, queries, anywhere, f"{why}: evaluate with --ignore-cameras")


def _read_files(dataset: Dataset, workers: int) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
    """Sentences about unreadable files, and pairs of equal files across training and testing."""
    splits = dataset.splits
    files = [(name, picture) for name in splits for picture in splits[name] if isinstance(picture.source, Path)]
    with ThreadPoolExecutor(workers) as pool:
        results = list(pool.map(lambda entry: _digest_or_problem(entry[1]), files))
    unreadable = dict.fromkeys(str(result) for result in results if isinstance(result, PictureError))
    in_training: dict[bytes, str] = {}
    for (name, picture), digest in zip(files, results, strict=True):
        if name == "train" and isinstance(digest, bytes):
            in_training.setdefault(digest, picture.name)
    duplicates = dict.fromkeys(
        (in_training[digest], picture.name)
        for (name, picture), digest in zip(files, results, strict=True)
        if name in ("query", "gallery") and isinstance(digest, bytes) and digest in in_training
    )
    return tuple(unreadable), tuple(duplicates)


def _digest_or_problem(picture: Picture) -> bytes | PictureError:
    try:
        open_picture(picture)
        assert isinstance(picture.source, Path)
        with picture.source.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except PictureError as error:
        return error
    except OSError as error:
        return PictureError(f"{picture.source}: {error.strerror or error}")
