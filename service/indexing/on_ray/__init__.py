"""Indexing by the machines of a Ray cluster. Imported only where that is asked for: it needs the extra `ray`."""

import logging
import warnings

from service.on_ray.cluster import open_cluster

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Ray's, about itself
    import ray.data

    ray.data.DataContext.get_current()  # made once in a process, and it warns of its own defaults

logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # it prints what only its programmers understand

from service.indexing.on_ray.run import RayRun  # noqa: E402
from service.indexing.on_ray.stages import EngineOpener  # noqa: E402
from service.indexing.on_ray.workers import Workers  # noqa: E402

__all__ = ["EngineOpener", "RayRun", "Workers", "open_cluster"]
