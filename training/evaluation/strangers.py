"""Which people an open-set evaluation takes out of the gallery: half of those who are searched for, always the same."""

import hashlib

import numpy as np
from numpy.typing import NDArray

HOW = (
    "unknown are the half of the queried people, rounded down, whose labels come first by BLAKE2b of the label; all "
    "their gallery pictures are taken out"
)


def unknown_queries(persons: NDArray[np.str_]) -> NDArray[np.bool_]:
    """bool (Q,): True for queries of the people who are to be unknown; depends on the labels alone, not their order."""
    people = sorted(set(persons.tolist()), key=lambda person: hashlib.blake2b(person.encode(), digest_size=16).digest())
    return np.isin(persons, people[: len(people) // 2])
