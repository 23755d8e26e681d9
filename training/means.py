"""Running means of named numbers, which a checkpoint can hold."""

from collections.abc import Mapping
from typing import Any


class Means:
    def __init__(self) -> None:
        self._sums: dict[str, float] = {}
        self.count = 0

    def add(self, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        self.count += 1

    def take(self) -> dict[str, float]:
        """The means since the last call, each over as many `add`s as there were."""
        means = {name: value / self.count for name, value in self._sums.items()}
        self._sums, self.count = {}, 0
        return means

    def state_dict(self) -> dict[str, Any]:
        return {"sums": dict(self._sums), "count": self.count}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._sums, self.count = dict(state["sums"]), state["count"]
