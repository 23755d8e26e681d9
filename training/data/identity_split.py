"""Training people set aside for validation, and which of their pictures ask and which are searched."""

import hashlib
from collections.abc import Iterable

from training.data.dataset import Dataset, Picture, Split
from training.data.errors import DataError


def hold_out(dataset: Dataset, people: int | float = 100, seed: int = 0) -> Dataset:
    """The training split alone, as a dataset of its own: most people train, the held-out ones are query and gallery.

    people: how many to hold out, or, from 0 to 1, which fraction of the training people.

    The test split is not part of the result, so nothing that is chosen with it can have seen the test split. Only
    people whose pictures allow a search are held out: seen by two cameras, or, where cameras are not known, on two
    pictures. Who is chosen depends on the seed and the person's label alone, and so stays when pictures come or go.
    """
    by_person = _grouped(dataset.train)
    cameras_known = dataset.train.cameras is not None
    eligible = [person for person, pictures in by_person.items() if _can_be_searched(pictures, cameras_known)]
    count = _count(people, len(by_person))
    if count > len(eligible) or count > len(by_person) - 2:
        least = "seen by at least two cameras" if cameras_known else "on at least two pictures"
        raise DataError(
            f"{count} of {dataset.name}'s {len(by_person)} training people cannot be held out for validation: "
            f"{len(eligible)} are {least}, and two must remain to train on; hold out "
            f"at most {max(0, min(len(eligible), len(by_person) - 2))}"
        )
    chosen = set(sorted(eligible, key=lambda person: _rank(seed, "person", person))[:count])
    query, gallery = query_and_gallery((p for p in dataset.train if p.person in chosen), seed)
    remaining = Split(tuple(picture for picture in dataset.train if picture.person not in chosen))
    return Dataset(name=dataset.name, train=remaining, query=query, gallery=gallery)


def query_and_gallery(pictures: Iterable[Picture], seed: int) -> tuple[Split, Split]:
    """One query for each person and camera that has further pictures of that person, the rest as the gallery.

    Where each camera has but one picture of a person, one of them asks. So each of a person's queries finds a picture
    in another camera if the person was seen by two, and in any case another picture if there are two. A person with
    one picture goes to the gallery. Where a camera is not known, such pictures count as one camera.
    """
    pictures = tuple(pictures)
    asking: set[Picture] = set()
    for members in _grouped(pictures).values():
        by_camera: dict[str | None, list[Picture]] = {}
        for picture in members:
            by_camera.setdefault(picture.camera, []).append(picture)
        sharing = [group for group in by_camera.values() if len(group) > 1]
        if not sharing and len(members) > 1:
            sharing = [members]
        asking.update(min(group, key=lambda picture: _rank(seed, "query", picture.name)) for group in sharing)
    return (
        Split(tuple(picture for picture in pictures if picture in asking)),
        Split(tuple(picture for picture in pictures if picture not in asking)),
    )


def _grouped(pictures: Iterable[Picture]) -> dict[str, list[Picture]]:
    groups: dict[str, list[Picture]] = {}
    for picture in pictures:
        groups.setdefault(picture.person, []).append(picture)
    return groups


def _can_be_searched(pictures: list[Picture], cameras_known: bool) -> bool:
    return len({picture.camera for picture in pictures}) > 1 if cameras_known else len(pictures) > 1


def _count(people: int | float, total: int) -> int:
    if isinstance(people, int) and not isinstance(people, bool) and people > 0:
        return people
    if isinstance(people, float) and 0 < people < 1:
        return max(1, round(people * total))
    raise DataError(f"people to hold out is {people!r}: give a number from 1 up, or a fraction between 0 and 1")


def _rank(seed: int, purpose: str, name: str) -> bytes:
    """A place in an order that looks random and depends on nothing else."""
    return hashlib.blake2b(f"{seed}/{purpose}/{name}".encode(), digest_size=16).digest()
