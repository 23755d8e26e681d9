"""Approximate nearest neighbours for galleries too large to compare a probe with every item."""

from retrieval.approximate.errors import CorruptIndexError
from retrieval.approximate.finder import Kind
from retrieval.approximate.index import KINDS, ApproximateIndex
from retrieval.approximate.self_test import self_test
from retrieval.approximate.tuning import Tuning

__all__ = ["KINDS", "ApproximateIndex", "CorruptIndexError", "Kind", "Tuning", "self_test"]
