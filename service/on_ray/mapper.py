"""The blocks of a graph as tasks on the machines of a cluster."""

from collections import deque
from collections.abc import Iterator, Sequence

import ray
from ray.exceptions import RayError

from retrieval import RetrievalError
from retrieval.rerank.generation import Work
from retrieval.threads import limited_threads
from service.on_ray.errors import ClusterError

CORES = 1  # of each task: blocks beside one another gain more than threads within one
ATTEMPTS = 3  # a block whose worker, or machine, has died is begun again so many times
AHEAD = 2  # times as many blocks are under way as there is room for, so that no worker waits for the next


class RayMapper:
    """`mapper(work, numbers)`, as `GraphDirectory.update` takes it. To be used within `open_cluster`.

    Each block is a task of one core, and reserves the share `gpus` of a GPU where the work is of a kind that one may be
    of use to. When the iteration is given up, so are the tasks; what they leave half done is no file of the graph.
    """

    def __init__(self, gpus: float = 0.0) -> None:
        self._gpus = gpus

    def __call__(self, work: Work, numbers: Sequence[int]) -> Iterator[None]:
        gpus = self._gpus if work.on_gpu else 0.0
        task = ray.remote(_make_block).options(num_cpus=CORES, num_gpus=gpus, max_retries=ATTEMPTS)
        left = deque(numbers)
        under_way: list[ray.ObjectRef[None]] = []
        try:
            while left or under_way:
                room = _room(gpus)
                while left and len(under_way) < AHEAD * room:
                    under_way.append(task.remote(work, left.popleft()))
                [done], under_way = ray.wait(under_way, num_returns=1)
                ray.get(done)
                yield
        except RayError as error:
            raise _in_a_sentence(error) from error
        finally:
            for block in under_way:
                ray.cancel(block, force=True)


def _make_block(work: Work, number: int) -> None:
    with limited_threads(CORES):
        work(number)


def _room(gpus: float) -> int:
    """How many tasks the machines that are there now can do at once."""
    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    room = 0
    for has in machines:
        cores = has.get("CPU", 0.0) / CORES
        room += int(min(cores, has.get("GPU", 0.0) / gpus) + 1e-9 if gpus else cores)
    if not room:
        wanted = f"{CORES} CPU" + (f" and {gpus:g} of its GPUs" if gpus else "")
        raise ClusterError(
            f"no machine of the cluster has {wanted} to offer: give a smaller --ray-gpus-per-worker, or 0 to work on "
            "its CPUs, or start its nodes with more"
        )
    return room


def _in_a_sentence(error: Exception) -> ValueError:
    cause = getattr(error, "cause", None) or error
    if isinstance(cause, RetrievalError):
        return cause
    said = str(cause).strip().partition("\n")[0].rstrip(".")
    if isinstance(cause, FileNotFoundError):
        return ClusterError(
            f"a machine of the cluster does not see what this one sees ({said}): the directory that the graph is made "
            "in must be there under the same path on all of them"
        )
    return ClusterError(
        f"the cluster failed with {type(cause).__name__}: {said}; the blocks that were made stay: mend that and run "
        "the same command again"
    )
