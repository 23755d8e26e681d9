"""Work on the machines of a Ray cluster: indexing (`service.indexing.on_ray`) and graphs both stand on this.

`cluster` and `mapper` are imported only where a cluster is asked for: they need the extra `ray`.
"""

from service.on_ray.errors import ClusterError

__all__ = ["ClusterError"]
