"""One page for people: what a model finds, where it fails, and what its scores mean."""

from training.report.build import build_report
from training.report.errors import ReportError
from training.report.occlusion import OcclusionMap, occlusion_map
from training.report.ranked_lists import Answer, RankedList, choose_queries, ranked_list
from training.report.tsne import tsne

__all__ = [
    "Answer",
    "OcclusionMap",
    "RankedList",
    "ReportError",
    "build_report",
    "choose_queries",
    "occlusion_map",
    "ranked_list",
    "tsne",
]
