"""How far an indexing run is."""

from dataclasses import dataclass


@dataclass(slots=True)
class Tally:
    """What became of the pictures so far. denied: their ids were erased and the gallery does not take them back."""

    added: int = 0
    replaced: int = 0
    unchanged: int = 0
    denied: int = 0
    failed: int = 0

    @property
    def done(self) -> int:
        return self.added + self.replaced + self.unchanged + self.denied + self.failed
