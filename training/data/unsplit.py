"""Pictures that nobody has split: all for training, or all for testing."""

from collections.abc import Sequence

from training.data.dataset import Dataset, Picture, Split
from training.data.identity_split import query_and_gallery

SPLIT_CHOICES = ("train", "test")


def dataset_of_one_kind(name: str, pictures: Sequence[Picture], kind: str, junk: str | None = None) -> Dataset:
    """kind "train": every picture is for training; "test": some become queries, the others the gallery."""
    if kind == "train":
        return Dataset(name=name, train=Split(tuple(pictures)), junk=junk)
    people = [picture for picture in pictures if picture.person != junk]
    query, gallery = query_and_gallery(people, seed=0)
    nobody = tuple(picture for picture in pictures if picture.person == junk)
    return Dataset(name=name, query=query, gallery=Split(gallery.pictures + nobody), junk=junk)
