"""The door of `retrieval`; every other package has such a test beside its own."""

import retrieval
from retrieval import rerank


def test_everything_offered_is_there_and_nothing_is_offered_twice():
    for package in (retrieval, rerank):
        assert len(set(package.__all__)) == len(package.__all__)
        assert all(hasattr(package, name) for name in package.__all__)


def test_the_doors_of_retrieval_are_these():
    assert set(rerank.__all__) == {
        "CandidateGraph",
        "Candidates",
        "GraphDirectory",
        "GraphRows",
        "ReciprocalGraph",
        "RerankSettings",
        "Support",
        "k_reciprocal",
        "k_reciprocal_blocks",
        "rank_local",
    }
    assert set(retrieval.__all__) == set(rerank.__all__) | {
        "NOBODY",
        "Calibration",
        "CorruptGraphError",
        "ExactIndex",
        "Labels",
        "Neighbours",
        "OpenSetMetrics",
        "OpenSetPoint",
        "OperatingPoint",
        "Ranking",
        "RankingMetrics",
        "RetrievalError",
        "ScoreHistogram",
        "Verdict",
        "nearest",
        "open_set_metrics",
        "ranking_metrics",
        "squared_distance",
        "tpr_at_fpr",
        "unit_rows",
    }
