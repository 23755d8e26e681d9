"""Bulk indexing: folders, tar files, lists and Parquet into a gallery, resumable, as fast as the model runs.

`service.indexing.on_ray` does the same on the machines of a cluster.
"""

from service.indexing.embedding import Embedder
from service.indexing.errors import IndexingError
from service.indexing.failure_report import FailureReport
from service.indexing.folder import Folder
from service.indexing.manifest import Manifest
from service.indexing.parquet import Parquet
from service.indexing.pattern import parse_pattern
from service.indexing.progress import Tally
from service.indexing.records import Failure, Record, Source
from service.indexing.remote import RemoteRun
from service.indexing.run import IndexingRun
from service.indexing.shard import Shard
from service.indexing.sources import open_source
from service.indexing.stored import StoredCrops
from service.indexing.tar_file import TarFile
from service.indexing.times import parse_time

__all__ = [
    "Embedder",
    "Failure",
    "FailureReport",
    "Folder",
    "IndexingError",
    "IndexingRun",
    "Manifest",
    "Parquet",
    "Record",
    "RemoteRun",
    "Shard",
    "Source",
    "StoredCrops",
    "Tally",
    "TarFile",
    "open_source",
    "parse_pattern",
    "parse_time",
]
