"""Pure ranking mathematics: neighbours, k-reciprocal re-ranking, metrics and calibration. Arrays in, arrays out."""

from retrieval.calibration import Calibration, Verdict
from retrieval.errors import CorruptGraphError, RetrievalError
from retrieval.exact_index import ExactIndex
from retrieval.labels import Labels
from retrieval.metrics import RankingMetrics, ranking_metrics
from retrieval.neighbours import Neighbours, nearest
from retrieval.open_set import OpenSetMetrics, OpenSetPoint, open_set_metrics
from retrieval.ranking import NOBODY, Ranking
from retrieval.rerank import (
    CandidateGraph,
    Candidates,
    GraphDirectory,
    GraphRows,
    ReciprocalGraph,
    RerankSettings,
    Support,
    k_reciprocal,
    k_reciprocal_blocks,
    rank_local,
)
from retrieval.score_histogram import OperatingPoint, ScoreHistogram, tpr_at_fpr
from retrieval.vectors import squared_distance, unit_rows

__all__ = [
    "NOBODY",
    "Calibration",
    "CandidateGraph",
    "Candidates",
    "CorruptGraphError",
    "ExactIndex",
    "GraphDirectory",
    "GraphRows",
    "Labels",
    "Neighbours",
    "OpenSetMetrics",
    "OpenSetPoint",
    "OperatingPoint",
    "Ranking",
    "RankingMetrics",
    "ReciprocalGraph",
    "RerankSettings",
    "RetrievalError",
    "ScoreHistogram",
    "Support",
    "Verdict",
    "k_reciprocal",
    "k_reciprocal_blocks",
    "nearest",
    "open_set_metrics",
    "rank_local",
    "ranking_metrics",
    "squared_distance",
    "tpr_at_fpr",
    "unit_rows",
]
