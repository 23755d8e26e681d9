"""A share of the work, for jobs that run side by side."""

import hashlib
import re
from dataclasses import dataclass
from typing import Self

from service.indexing.errors import IndexingError


@dataclass(frozen=True, slots=True)
class Shard:
    """The `number`th of `count` shares, counted from 1. Which share an id is in depends on nothing else."""

    number: int = 1
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> Self:
        match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text, re.ASCII)
        if match is None or not 1 <= int(match[1]) <= int(match[2]):
            raise IndexingError(f"--shard is {text!r}: write for instance 2/8, the second of eight shares")
        return cls(int(match[1]), int(match[2]))

    def holds(self, id: str) -> bool:
        if self.count == 1:
            return True
        place = int.from_bytes(hashlib.sha256(id.encode()).digest()[:8], "big")
        return place % self.count == self.number - 1
