"""How many sessions a cluster holds, and what each takes of it."""

from dataclasses import dataclass
from typing import Self

import ray

from service.indexing.errors import IndexingError

_CORE_OF_A_SESSION = 0.75
"""What a session reserves for each of its threads; the rest of the core is for decoding, as without Ray."""


@dataclass(frozen=True, slots=True)
class Workers:
    """sessions: that run at once at most; of them at_first when the work begins. decoders: tasks that decode at once.

    The others are what each reserves.
    """

    sessions: int
    at_first: int
    session_cores: float
    session_gpus: float
    decoders: int
    decoder_cores: float

    @classmethod
    def of_cluster(
        cls, sessions: int | None = None, *, threads: int = 1, gpus: float = 0.0, decoders: int | None = None
    ) -> Self:
        """sessions, decoders: None is as many as there is room for. threads, gpus: of each session."""
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        cpus = [node.get("CPU", 0.0) for node in nodes]
        if max(cpus) < threads:
            raise IndexingError(
                f"no machine of the cluster has {threads} CPUs: the largest offers {max(cpus):g}; give fewer "
                "--threads, or start its nodes with more --num-cpus"
            )
        if gpus:
            room = sum(int(node.get("GPU", 0.0) / gpus + 1e-9) for node in nodes)
            if not room:
                raise IndexingError(
                    f"--ray-gpus-per-worker is {gpus:g} and no machine of the cluster has so many: give less, or 0 to "
                    "embed on its CPUs"
                )
        else:
            room = sum(int(cpu // threads) for cpu in cpus)
        return cls(
            sessions=sessions or room,
            at_first=min(sessions or room, room),
            session_cores=0.0 if gpus else _CORE_OF_A_SESSION * threads,
            session_gpus=gpus,
            decoders=decoders or int(sum(cpus)),
            decoder_cores=1.0 if gpus else 1 - _CORE_OF_A_SESSION,
        )

    @property
    def lots(self) -> int:
        """That are under way at once: one that is worked at and one that waits, at each of them."""
        return 2 * (self.sessions + self.decoders) + 2
