"""Indexing by the machines of a Ray cluster. Imported only where that is asked for: it needs the extra `ray`."""

import logging
import os
import warnings

from service.indexing.errors import IndexingError

try:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray's, about itself
        import ray.data  # noqa: F401
except ImportError as error:
    raise IndexingError(f"--ray needs Ray ({error}): pip install 'vantage-reid[ray]'") from error

# Both halves of it print what only its programmers understand.
logging.getLogger("ray.data").setLevel(logging.CRITICAL)
os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")

from service.indexing.on_ray.cluster import open_cluster  # noqa: E402
from service.indexing.on_ray.run import RayRun  # noqa: E402
from service.indexing.on_ray.stages import EngineOpener  # noqa: E402
from service.indexing.on_ray.workers import Workers  # noqa: E402

__all__ = ["EngineOpener", "RayRun", "Workers", "open_cluster"]
