"""The gallery: what has been seen, kept durably, searched exactly within its filters, re-ranked at search speed.

`GalleryEngine` is what any engine does; `service.gallery.embedded` is the one that needs nothing but a directory.
"""

from service.gallery.engine import GalleryEngine, OnConflict
from service.gallery.errors import (
    BadItemError,
    CorruptError,
    ExistsError,
    GalleryError,
    LockedError,
    ModelMismatchError,
    NoSuchGalleryError,
    NoSuchItemError,
    NoSuchSnapshotError,
    StorageFullError,
    UnavailableError,
)
from service.gallery.filters import EVERYTHING, Filter
from service.gallery.items import VIEWPOINTS, Item, NewItem, Viewpoint
from service.gallery.reports import (
    AddResult,
    CompactReceipt,
    DeleteReceipt,
    Finding,
    GalleryInfo,
    GallerySummary,
    GraphBuilt,
    IndexInfo,
    Page,
    SnapshotInfo,
    VerifyReport,
)
from service.gallery.roll_call import Damaged, roll_call
from service.gallery.searching import Answer, Explanation, Feedback, Hit, Probe, Reranking, Search
from service.gallery.settings import GallerySettings, IndexKind, RerankMode, check_gallery_name, require_model

__all__ = [
    "EVERYTHING",
    "VIEWPOINTS",
    "AddResult",
    "Answer",
    "BadItemError",
    "CompactReceipt",
    "CorruptError",
    "Damaged",
    "DeleteReceipt",
    "ExistsError",
    "Explanation",
    "Feedback",
    "Filter",
    "Finding",
    "GalleryEngine",
    "GalleryError",
    "GalleryInfo",
    "GallerySettings",
    "GallerySummary",
    "GraphBuilt",
    "Hit",
    "IndexInfo",
    "IndexKind",
    "Item",
    "LockedError",
    "ModelMismatchError",
    "NewItem",
    "NoSuchGalleryError",
    "NoSuchItemError",
    "NoSuchSnapshotError",
    "OnConflict",
    "Page",
    "Probe",
    "RerankMode",
    "Reranking",
    "Search",
    "SnapshotInfo",
    "StorageFullError",
    "UnavailableError",
    "VerifyReport",
    "Viewpoint",
    "check_gallery_name",
    "require_model",
    "roll_call",
]
