"""What an evaluation searches with and in: embedded queries and gallery, and the labels that say what is right."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models import Session
from retrieval import Labels
from training.data import VIEWPOINTS, Dataset, Split
from training.evaluation.embedding import EmbeddedSplit, Progress, embed_split
from training.evaluation.errors import EvaluationError
from training.evaluation.multi_query import pooled_queries

UNKNOWN_VIEW = -1
LABELS = "labels of the dataset"


@dataclass(frozen=True, slots=True, eq=False)
class Groups:
    """Which of the groups that `names` names each picture is of, such as viewpoints or cameras; -1: not known.

    query, gallery: int64 (Q,) and (G,). source: who says so, a few words.
    """

    names: tuple[str, ...]
    query: NDArray[np.int64]
    gallery: NDArray[np.int64]
    source: str


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """Queries and a gallery, junk apart.

    query_labels, gallery_labels: persons and cameras as integers; cameras are None where they are ignored.
    views: by viewpoint; None where neither the dataset nor the model knows those. cameras: by camera; None where those
    are not known or do not matter.
    junk: gallery pictures with the junk label; they take part in nothing. junk_pictures: their embeddings, if wanted.
    multi_query: pictures that were pooled into the queries; None: each query is one picture.
    multi_query_alone: queries for which there was nothing to pool.
    unreadable: a sentence for each picture that was left out.
    """

    query: EmbeddedSplit
    gallery: EmbeddedSplit
    query_labels: Labels
    gallery_labels: Labels
    ignore_cameras: bool
    views: Groups | None
    cameras: Groups | None
    junk: int
    junk_pictures: EmbeddedSplit | None
    multi_query: int | None
    multi_query_alone: int
    unreadable: tuple[str, ...]


def require_searchable(dataset: Dataset, *, multi_query: bool = False, ignore_cameras: bool = False) -> None:
    """Raise, before anything is embedded, what would make an evaluation impossible."""
    for name, split in (("query", dataset.query), ("gallery", dataset.gallery)):
        if not split:
            raise EvaluationError(
                f"{dataset.name} has no {name} pictures, so nothing can be searched: split the data into query and "
                "gallery (folders, or a CSV column), or add split=test to it; `vantage-train data check` tells more"
            )
        unknown = sum(picture.camera is None for picture in split)
        if unknown and not ignore_cameras:
            raise EvaluationError(
                f"the camera of {unknown} of {len(split)} {name} pictures is not known, and a find in the query's own "
                "camera must not count: give cameras (a pattern or a CSV column), or add --ignore-cameras"
            )
    if multi_query and not dataset.multi_query:
        raise EvaluationError(
            f"{dataset.name} has no pictures to pool into queries: --multi-query needs Market-1501's folder gt_bbox"
        )


def open_trial(
    session: Session,
    dataset: Dataset,
    *,
    multi_query: bool = False,
    ignore_cameras: bool = False,
    keep_junk: bool = False,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Trial:
    """Embed the query and gallery of a dataset.

    multi_query: ask with the mean of all pictures of the query's person from its camera.
    ignore_cameras: finds in the query's own camera count. keep_junk: embed junk too, to show it; it is never scored.
    """
    require_searchable(dataset, multi_query=multi_query, ignore_cameras=ignore_cameras)

    def embedded(split: Split, what: str) -> EmbeddedSplit:
        return embed_split(session, split, what=what, workers=workers, progress=progress)

    is_junk = [dataset.junk is not None and picture.person == dataset.junk for picture in dataset.gallery]
    junk = dataset.gallery.take(place for place, found in enumerate(is_junk) if found)
    kept = dataset.gallery.take(place for place, found in enumerate(is_junk) if not found)
    query, gallery = embedded(dataset.query, "query"), embedded(kept, "gallery")
    unreadable = query.unreadable + gallery.unreadable
    pooled, alone = None, 0
    if multi_query and dataset.multi_query is not None:
        further = embedded(dataset.multi_query, "multi-query")
        vectors, alone = pooled_queries(query, further)
        query, pooled = replace(query, vectors=vectors), len(further)
        unreadable += further.unreadable
    query_labels, gallery_labels = labels_of(query.split, gallery.split, ignore_cameras=ignore_cameras)
    return Trial(
        query=query,
        gallery=gallery,
        query_labels=query_labels,
        gallery_labels=gallery_labels,
        ignore_cameras=ignore_cameras,
        views=_views(query, gallery),
        cameras=None if ignore_cameras else camera_groups(query.split, gallery.split),
        junk=len(junk),
        junk_pictures=embedded(junk, "junk") if keep_junk and junk else None,
        multi_query=pooled,
        multi_query_alone=alone,
        unreadable=unreadable,
    )


def labels_of(query: Split, gallery: Split, *, ignore_cameras: bool) -> tuple[Labels, Labels]:
    """Persons and cameras of two splits as integers, equal where their text is: numbers sort much faster than text."""
    persons = _codes(query.persons, gallery.persons)
    if ignore_cameras or query.cameras is None or gallery.cameras is None:
        return Labels(persons[0]), Labels(persons[1])
    cameras = _codes(query.cameras, gallery.cameras)
    return Labels(persons[0], cameras[0]), Labels(persons[1], cameras[1])


def _codes(query: NDArray[np.str_], gallery: NDArray[np.str_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    codes = np.unique(np.concatenate([query, gallery]), return_inverse=True)[1].astype(np.int64)
    return codes[: len(query)], codes[len(query) :]


def view_groups(query: Split, gallery: Split) -> Groups | None:
    """Front, side and back as the dataset tells them; None where it does not."""
    if all((split.views != UNKNOWN_VIEW).any() for split in (query, gallery)):
        return Groups(VIEWPOINTS, query.views, gallery.views, source=LABELS)
    return None


def camera_groups(query: Split, gallery: Split) -> Groups | None:
    """None where a camera is not known."""
    if query.cameras is None or gallery.cameras is None:
        return None
    names = np.unique(np.concatenate([query.cameras, gallery.cameras]))
    return Groups(
        tuple(str(name) for name in names),
        np.searchsorted(names, query.cameras),
        np.searchsorted(names, gallery.cameras),
        source=LABELS,
    )


def _views(query: EmbeddedSplit, gallery: EmbeddedSplit) -> Groups | None:
    labelled = view_groups(query.split, gallery.split)
    if labelled is not None or query.viewpoints is None or gallery.viewpoints is None:
        return labelled
    own = query.viewpoints.argmax(axis=1), gallery.viewpoints.argmax(axis=1)
    return Groups(VIEWPOINTS, *own, source="the model's own answers")
