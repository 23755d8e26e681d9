"""The validations of a run: the first, the best and the latest."""

from dataclasses import dataclass
from typing import Any

from training.validation import Score


@dataclass(frozen=True, slots=True)
class Scoreboard:
    """Held-out mAPs, in [0, 1]. untrained: before the first step. best: the highest, reached after best_epoch epochs;
    the earlier one where two are equal. latest_epoch: the epochs after which it was last validated, -1 for never."""

    untrained: float = 0.0
    best: float = -1.0
    best_epoch: int = 0
    latest_epoch: int = -1

    def with_score(self, epoch: int, score: Score) -> "Scoreboard":
        better = score.map > self.best
        return Scoreboard(
            untrained=score.map if epoch == 0 else self.untrained,
            best=score.map if better else self.best,
            best_epoch=epoch if better else self.best_epoch,
            latest_epoch=epoch,
        )

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Scoreboard":
        return cls(**values)
