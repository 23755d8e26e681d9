"""`vantage gallery build-graph`: what re-ranking has to know of all items' neighbours, by blocks."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from service.cli.interrupt import stop_on_signals
from service.cli.opening import DATA, DataOption, GalleryArgument, open_engine
from service.cli.output import AsJson, print_json, say
from service.cli.progress import stage_progress

if TYPE_CHECKING:
    from retrieval.rerank.graph_directory import Mapper

Where = Literal["auto", "cpu", "gpu"]


class _StoppedError(Exception):
    """A signal has come."""


def build_graph(
    gallery: GalleryArgument,
    device: Annotated[
        Where, typer.Option(help="Where neighbours are found: auto is a GPU if faiss sees one, on Ray the CPUs.")
    ] = "auto",
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="auto|HOST:PORT",
            help="Compute the blocks on the machines of a Ray cluster, all of which see the directory that the graph "
            "is made in under the same path: that of the pictures (VANTAGE_CROPS) on Milvus, else the data directory. "
            "auto is the cluster that this machine is in, or one made of this machine alone. Needs "
            "`pip install 'vantage-reid[ray]'`.",
        ),
    ] = None,
    ray_gpus_per_worker: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            help="With --ray: GPUs that each block reserves while its neighbours are found, such as 0.5 for two on "
            "one; 0 works on CPUs.",
            show_default="1 with --device gpu, else 0",
        ),
    ] = None,
    data: DataOption = DATA,
    as_json: AsJson = False,
) -> None:
    """Compute all at once, and by blocks, what re-ranking online has to know of every item's neighbours.

    For galleries of millions: on a GPU, or on all machines of a Ray cluster. The same command goes on after any stop.

    On Milvus it is vantage gallery refresh in bulk, without deleting what has expired, while others search and write.
    An embedded gallery makes its graph by itself up to 400 thousand items; above, this makes it, while no service has
    the data directory, and the service then keeps it current.
    """
    gpus = _gpus(device, ray, ray_gpus_per_worker)
    with ExitStack() as opened:
        engine = opened.enter_context(open_engine(data, upkeep=False))
        engine.info(gallery)  # or it is said now that there is none
        mapper: Mapper = map
        if ray is not None:
            from service.on_ray.cluster import open_cluster
            from service.on_ray.mapper import RayMapper

            opened.enter_context(open_cluster(ray))
            mapper, device = RayMapper(gpus), "gpu" if gpus else "cpu"
        stop = opened.enter_context(stop_on_signals())
        show = opened.enter_context(stage_progress())

        def made(stage: str, done: int, of: int) -> None:
            show(stage, done, of)
            if stop():
                raise _StoppedError

        began = time.monotonic()
        try:
            built = engine.build_graph(gallery, device=device, mapper=mapper, progress=made)
        except _StoppedError:
            say("stopped: the blocks that were made stay; run the same command again to go on")
            raise typer.Exit(stop.exit_code) from None
        seconds = time.monotonic() - began
    if as_json:
        print_json({"gallery": gallery, "items": built.items, "written": built.written, "seconds": round(seconds, 3)})
    else:
        typer.echo(
            f"{gallery}: what re-ranking knows of {built.items:,} items is current; {built.written:,} written anew "
            f"({seconds:,.1f} s)"
        )


def _gpus(device: Where, ray: str | None, wanted: float | None) -> float:
    """What a block reserves on Ray."""
    name = "--ray-gpus-per-worker"
    if ray is None:
        if wanted is not None:
            raise typer.BadParameter("it is for work on a Ray cluster: add --ray auto", param_hint=name)
        return 0.0
    if device == "gpu" and wanted == 0:
        raise typer.BadParameter("--device gpu needs some of one: leave this out, or give more", param_hint=name)
    if device == "cpu" and wanted:
        raise typer.BadParameter("--device cpu uses no GPU: leave one of the two out", param_hint=name)
    return float(device == "gpu") if wanted is None else wanted
