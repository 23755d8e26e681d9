"""What a collection consists of, and how it is indexed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

from pymilvus import CollectionSchema, DataType, MilvusClient
from pymilvus.milvus_client import IndexParams

from service.gallery.errors import BadItemError
from service.gallery.items import ID_BYTES, METADATA_BYTES
from service.gallery.milvus.server import SETTING_UP, Server
from service.gallery.settings import GallerySettings, IndexKind

LARGEST_DIMENSION = 32_768
MOST_MARKS = 2_048  # more scalar values than 8 KiB of metadata can have at their top
MARK_LENGTH = 32
NEAR_LENGTH = 65_535
STEPS, MOST_STEPS = 512, 32_768  # items that a search through a graph keeps in view; what Milvus allows
CELLS, PROBED = 1_024, 256  # cells that vectors are sorted into; how many a search looks into
# Exact kinds read every vector, as `auto` does too: which size calls for an index is decided when a gallery is made.
INDEXES: Mapping[IndexKind, tuple[str, dict[str, int]]] = {
    "auto": ("FLAT", {}),
    "flat": ("FLAT", {}),
    "half": ("FLAT", {}),
    "gpu": ("FLAT", {}),
    "signs": ("IVF_FLAT", {"nlist": CELLS}),
    "ivf": ("IVF_FLAT", {"nlist": CELLS}),
    "hnsw": ("HNSW", {"M": 16, "efConstruction": 200}),
}
SCALARS = {
    "key": "STL_SORT",
    "captured_at": "STL_SORT",
    "expires_at": "STL_SORT",
    "camera": "Trie",
    "person": "Trie",
    "tracklet": "Trie",
    "crop": "Trie",
}
"""The fields that are indexed for filters. Viewpoint has four values, which no index would tell apart faster."""


def make(server: Server, collection: str, settings: GallerySettings) -> None:
    """A new collection, ready to be written to and searched."""
    if settings.dimension > LARGEST_DIMENSION:
        raise BadItemError(
            f"a gallery of {settings.dimension} dimensions cannot be kept in Milvus, which takes {LARGEST_DIMENSION}"
        )
    kind, parameters = INDEXES[settings.index]
    indexes = IndexParams()
    indexes.add_index("vector", index_type=kind, metric_type="COSINE", params=parameters)
    for field, scalar in SCALARS.items():
        indexes.add_index(field, index_type=scalar)

    def work(client: MilvusClient) -> None:
        # One channel: what is written in one call is seen all at once. Nodes share its segments among them.
        client.create_collection(
            collection, schema=_fields(settings), shards_num=1, consistency_level="Strong", timeout=SETTING_UP
        )
        client.create_index(collection, indexes, timeout=SETTING_UP, sync=False)
        client.load_collection(collection, timeout=SETTING_UP)

    server.change(work)


def drop(server: Server, collection: str) -> None:
    """Drops a collection, if there is one of that name."""
    server.change(lambda client: client.drop_collection(collection, timeout=SETTING_UP))


def search_parameters(settings: GallerySettings, limit: int, exact: bool, share: float = 1.0) -> dict[str, int]:
    """How an index is to be asked for the `limit` nearest, of those that a filter leaves: this share of all.

    What a filter leaves out is met and passed over, so that with the effort of a plain search little would be found:
    at a tenth left, about half of the nearest.
    """
    kind, _ = INDEXES[settings.index]
    if kind == "HNSW":
        return {"ef": min(math.ceil(max(2 * limit, STEPS) / share), MOST_STEPS)}
    if kind == "IVF_FLAT":
        return {"nprobe": CELLS if exact else min(math.ceil(PROBED / share), CELLS)}
    return {}


def is_exact(settings: GallerySettings, exact: bool, share: float = 1.0) -> bool:
    """Whether a search compares all of those that a filter leaves, this share of all: always without an index; with
    cells on demand, and where so few are left that all cells are looked at; never with a graph."""
    kind, _ = INDEXES[settings.index]
    return kind == "FLAT" or (kind == "IVF_FLAT" and search_parameters(settings, 1, exact, share)["nprobe"] == CELLS)


def kind_told(settings: GallerySettings) -> Literal["flat", "ivf", "hnsw"]:
    """How galleries of these settings are searched."""
    kind, _ = INDEXES[settings.index]
    return "hnsw" if kind == "HNSW" else "ivf" if kind == "IVF_FLAT" else "flat"


def _fields(settings: GallerySettings) -> CollectionSchema:
    """Texts that are not known are empty, numbers -1 and times `rows.NO_TIME` or `rows.NEVER`: Milvus 2.3 has no null.

    vector    the float16 numbers that the embedded engine stores, as float32; their cosine is what is searched.
    key       the order in which items were added; never used twice in a gallery.
    marks     a hash of each scalar at the top of the metadata, by which it is found.
    near      what re-ranking knows of the item's neighbours, in base64; empty until a refresh.
    seal      a checksum over what describes the item, as in the embedded engine's rows.
    """
    schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field("id", DataType.VARCHAR, is_primary=True, max_length=ID_BYTES)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=settings.dimension)
    for name in ("key", "captured_at", "added_at", "expires_at", "seal"):
        schema.add_field(name, DataType.INT64)
    for name in ("camera", "person", "tracklet"):
        schema.add_field(name, DataType.VARCHAR, max_length=ID_BYTES)
    schema.add_field("viewpoint", DataType.INT8)
    for name in ("front", "side", "back", "quality"):
        schema.add_field(name, DataType.DOUBLE)
    schema.add_field("crop", DataType.VARCHAR, max_length=64)
    schema.add_field("has_crop", DataType.BOOL)
    schema.add_field("metadata", DataType.VARCHAR, max_length=METADATA_BYTES)
    schema.add_field(
        "marks", DataType.ARRAY, element_type=DataType.VARCHAR, max_capacity=MOST_MARKS, max_length=MARK_LENGTH
    )
    schema.add_field("near", DataType.VARCHAR, max_length=NEAR_LENGTH)
    return schema
