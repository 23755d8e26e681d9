"""An evaluation as JSON for programs: every number of the table, and the curves."""

import math
from dataclasses import asdict
from typing import Any

from training.evaluation.describe import protocol, rerank_words
from training.evaluation.evaluate import Evaluation
from training.evaluation.group_table import GroupTable
from training.evaluation.strangers import HOW


def evaluation_as_json(evaluation: Evaluation) -> dict[str, Any]:
    """Plain values. Shares are fractions of 1; null stands where there is no number (JSON has no NaN and no infinity).

    Thresholds are cosines; null: no threshold keeps to the rate.
    """
    trial, ranking = evaluation.trial, evaluation.ranking
    return {
        "protocol": protocol(trial),
        "rerank": {
            "mode": evaluation.rerank,
            "words": rerank_words(evaluation),
            **(asdict(evaluation.settings) if evaluation.rerank != "off" else {}),
            **({"local_top": evaluation.local_top} if evaluation.rerank == "local" else {}),
        },
        "queries": {
            "pictures": len(trial.query),
            "scored": ranking.queries_scored,
            "without_a_match": ranking.queries_skipped,
            "matches_only_in_own_camera": ranking.queries_own_camera_only,
            "pooled_from": trial.multi_query,
            "not_pooled": trial.multi_query_alone,
        },
        "gallery": {"pictures": len(trial.gallery), "junk": trial.junk},
        "pairs": {"ranked": ranking.pairs, "left_out_own_camera": ranking.pairs_own_camera},
        "unreadable": list(trial.unreadable),
        "map_step": ranking.map_step,
        "map_trapezoid": ranking.map_trapezoid,
        "minp": ranking.minp,
        "cmc_1": ranking.rank1,
        "cmc_5": ranking.rank5,
        "cmc_10": ranking.rank10,
        "cmc": ranking.cmc.tolist(),
        "verification": [asdict(point) | {"threshold": _finite(point.threshold)} for point in evaluation.verification],
        "open_set": None if evaluation.open_set is None else asdict(evaluation.open_set) | {"how": HOW},
        "open_set_reason": evaluation.open_set_reason,
        "viewpoints": None if evaluation.views is None else _groups(evaluation.views, "view"),
        "cameras": None if evaluation.cameras is None else _groups(evaluation.cameras, "camera"),
    }


def _groups(table: GroupTable, what: str) -> dict[str, Any]:
    def rows(values: list[list[float]]) -> dict[str, dict[str, float | None]]:
        return {
            asked: {kept: _finite(value) for kept, value in zip(table.names, row, strict=True)}
            for asked, row in zip(table.names, values, strict=True)
        }

    return {
        "source": table.source,
        "map_step": rows(table.mean_ap.tolist()),
        "queries": rows(table.queries.tolist()),
        "gallery": dict(zip(table.names, table.gallery.tolist(), strict=True)),
        f"same_{what}": _finite(table.same),
        f"cross_{what}": _finite(table.cross),
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
