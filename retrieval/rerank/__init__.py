"""k-reciprocal re-ranking (Zhong et al., CVPR 2017): whole sets at once, or one probe against a prepared gallery."""

from retrieval.rerank.asking import Support
from retrieval.rerank.candidates import CandidateGraph, Candidates
from retrieval.rerank.exact import k_reciprocal, k_reciprocal_blocks
from retrieval.rerank.graph import ReciprocalGraph
from retrieval.rerank.graph_directory import GraphDirectory
from retrieval.rerank.local import rank_local
from retrieval.rerank.rows import GraphRows
from retrieval.rerank.settings import RerankSettings

__all__ = [
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
]
