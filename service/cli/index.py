"""`vantage index`: pictures into a gallery."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from models import Bundle, Device, Precision
from service.cli.interrupt import StopRequest, stop_on_signals
from service.cli.opening import DATA, MODEL_HELP, DataOption, GalleryOption, model_of, open_engine, open_model
from service.cli.output import AsJson, print_json, say
from service.cli.progress import picture_progress
from service.cli.service_there import KeyOption, open_service

if TYPE_CHECKING:
    from service.gallery import GalleryEngine
    from service.indexing import FailureReport, Shard, Source, Tally
    from service.indexing.on_ray import EngineOpener, RayRun

SOME_PICTURES_FAILED = 3
"""The exit code when all was done that could be."""
_PATIENCE = 600.0
"""Seconds for which a service that is busy, or is being started anew, is asked again."""

Decoders = Annotated[
    int | None,
    typer.Option(min=0, help="Processes that decode pictures; 0 decodes in this one.", show_default="one per core"),
]
Threads = Annotated[int | None, typer.Option(min=1, help="Cores that embed.", show_default="all")]
Batch = Annotated[int, typer.Option(min=1, help="Pictures that are embedded at once.")]
DeviceOption = Annotated[Device, typer.Option(help="Where the model runs.")]
Report = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Where pictures that could not be indexed are listed, as JSON, one a line.",
        show_default="GALLERY.failures.jsonl in the current folder, if there are any",
    ),
]


def index(
    path: Annotated[
        Path | None,
        typer.Argument(
            metavar="PATH",
            help="A folder of pictures or of .parquet files, a tar file (also compressed) or a list as for --manifest.",
        ),
    ] = None,
    *,
    gallery: GalleryOption,
    model: Annotated[
        str | None, typer.Option(metavar="MODEL", help=MODEL_HELP, show_default="that of the gallery")
    ] = None,
    manifest: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A list of pictures: .csv, .jsonl, .parquet or a folder of .parquet, with a column path and any of "
            "id, camera, captured_at, person, tracklet, viewpoint, quality and metadata; further columns go into the "
            "metadata. Paths start from PATH, or from the list's own folder. Parquet may hold the pictures themselves, "
            "as bytes in a column image.",
        ),
    ] = None,
    pattern: Annotated[
        str | None,
        typer.Option(
            metavar="market1501|REGEX",
            help="What paths say of pictures: a known form, or a regular expression with groups of the names id, "
            "camera, person, tracklet, time and frame, as in `(?P<person>[0-9]+)_(?P<camera>c[0-9])`.",
        ),
    ] = None,
    shard: Annotated[
        str | None, typer.Option(metavar="I/N", help="Only the I-th of N shares, for jobs that run side by side.")
    ] = None,
    store_crops: Annotated[
        bool, typer.Option("--store-crops", help="Keep the pictures themselves, if the gallery is made now.")
    ] = False,
    batch: Batch = 64,
    commit_every: Annotated[int, typer.Option(min=1, help="Items that are committed at once.")] = 256,
    decoders: Decoders = None,
    threads: Threads = None,
    device: DeviceOption = "auto",
    precision: Annotated[
        Precision | None,
        typer.Option(help="Which of the model's files, if the gallery is made now.", show_default="that of model.onnx"),
    ] = None,
    report: Report = None,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="auto|HOST:PORT",
            help="Decode and embed on the machines of a Ray cluster, all of which see the pictures under the same "
            "paths: auto is the one that this machine is in, or one made of this machine alone. Needs "
            "`pip install 'vantage-reid[ray]'`.",
        ),
    ] = None,
    ray_workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="With --ray: models that run at once, each on --threads cores, or one.",
            show_default="as many as there is room for",
        ),
    ] = None,
    ray_gpus_per_worker: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            help="With --ray: GPUs that each of these models reserves, such as 0.25 for four on one; 0 embeds on CPUs.",
            show_default="1 with --device cuda or tensorrt, else 0",
        ),
    ] = None,
    server: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Send the pictures to the service that runs there, which embeds them with its own model, instead of "
            "opening a data directory.",
        ),
    ] = None,
    key: KeyOption = None,
    data: DataOption = DATA,
    as_json: AsJson = False,
) -> None:
    """Embed pictures and add them to a gallery, which is made if it is not there.

    A picture's id is its path, or what --pattern or the list says. Whatever is in the gallery already, with the same
    content and the same facts, is skipped, so the same command again adds what is new and goes on after a stop.

    Pictures that cannot be read are listed in a report and the rest goes on; the exit code is then 3.
    """
    from service.gallery import GallerySettings, check_gallery_name, require_model
    from service.indexing import Embedder, FailureReport, IndexingRun, Shard, open_source

    check_gallery_name(gallery)
    share = Shard() if shard is None else Shard.parse(shard)
    _check_ray(ray, ray_workers, ray_gpus_per_worker, decoders, server)
    source = open_source(path, manifest, pattern)
    if server is not None:
        if model is not None or precision is not None:
            raise typer.BadParameter("the service embeds with its own model: leave it out", param_hint="--model")
        _send(server, key, gallery, source, share, store_crops, report, as_json)
        return
    with ExitStack() as opened:
        engine = opened.enter_context(open_engine(data, make=True))
        bundle = _bundle(engine, gallery, model, precision)
        new = gallery not in engine.galleries()
        if not new:
            settings = engine.info(gallery).settings
            require_model(gallery, settings, bundle.card.name, bundle.sha256)
            if store_crops and not settings.store_crops:
                raise typer.BadParameter(
                    f"gallery {gallery!r} was made without crops, and that stays: leave it out, or index into another",
                    param_hint="--store-crops",
                )
        make_run: Callable[..., IndexingRun | RayRun]
        if ray is None:
            embedder = Embedder(bundle, device=device, threads=threads, batch=batch)
            make_run = partial(IndexingRun, embedder=embedder, decoders=decoders)
        else:
            from service.indexing.on_ray import RayRun, Workers, open_cluster

            opened.enter_context(open_cluster(ray))
            gpus = ray_gpus_per_worker if ray_gpus_per_worker is not None else float(device in ("cuda", "tensorrt"))
            workers = Workers.of_cluster(ray_workers, threads=threads or 1, gpus=gpus, decoders=decoders)
            make_run = partial(
                RayRun,
                bundle=bundle,
                workers=workers,
                opener=_opener(data),
                device=device,
                threads=threads or 1,
                batch=batch,
            )
        file = report or default_report(gallery, share.count, share.number)
        with (
            FailureReport(file, always=report is not None) as failures,
            stop_on_signals() as stop,
            picture_progress(source) as progressed,
        ):
            if new:
                engine.create(gallery, GallerySettings.for_model(bundle.card, bundle.sha256, store_crops=store_crops))
            began = time.monotonic()
            run = make_run(
                engine, gallery, source, shard=share, commit_every=commit_every, stop=stop, failed=failures.add
            )
            tally = run(progressed)
            seconds = time.monotonic() - began
        count = engine.count(gallery)
    _conclude(gallery, count, tally, seconds, failures, stop, as_json)


def _send(
    server: str,
    key: str | None,
    gallery: str,
    source: Source,
    share: Shard,
    store_crops: bool,
    report: Path | None,
    as_json: bool,
) -> None:
    from service.indexing import FailureReport, RemoteRun

    file = report or default_report(gallery, share.count, share.number)
    with (
        open_service(server, key, patience=_PATIENCE) as client,
        FailureReport(file, always=report is not None) as failures,
        stop_on_signals() as stop,
        picture_progress(source) as progressed,
    ):
        began = time.monotonic()
        run = RemoteRun(client, gallery, source, store_crops=store_crops, shard=share, stop=stop, failed=failures.add)
        tally = run(progressed)
        seconds = time.monotonic() - began
    _conclude(gallery, run.count, tally, seconds, failures, stop, as_json)


def _check_ray(
    ray: str | None, workers: int | None, gpus_per_worker: float | None, decoders: int | None, server: str | None
) -> None:
    if ray is None:
        for name, value in (("--ray-workers", workers), ("--ray-gpus-per-worker", gpus_per_worker)):
            if value is not None:
                raise typer.BadParameter("it is for work on a Ray cluster: add --ray auto", param_hint=name)
    elif server is not None:
        raise typer.BadParameter("the service embeds by itself: give one of --ray and --server", param_hint="--ray")
    elif decoders == 0:
        raise typer.BadParameter("on a Ray cluster there is always one at least", param_hint="--decoders")


def _opener(data: Path) -> EngineOpener | None:
    """What opens the engine in the workers; None where it keeps anything in the data directory of this process."""
    from service.settings import ServiceSettings

    settings = ServiceSettings.load(data=data)
    if settings.gallery != "milvus" or settings.database is None or settings.crops is None:
        return None
    from service.milvus import open_milvus

    return partial(
        open_milvus, settings.model_copy(update={"data": data.absolute(), "crops": settings.crops.absolute()})
    )


def default_report(gallery: str, shards: int = 1, shard: int = 1) -> Path:
    share = f".{shard}-of-{shards}" if shards > 1 else ""
    return Path(f"{gallery}{share}.failures.jsonl")


def _bundle(engine: GalleryEngine, gallery: str, model: str | None, precision: Precision | None) -> Bundle:
    known = engine.info(gallery).settings if gallery in engine.galleries() else None
    if model is not None:
        return open_model(model, precision, None if known is None else known.model_sha256)
    if known is None:
        raise typer.BadParameter(
            f"gallery {gallery!r} is not there yet: say which model it is for; `vantage model list` shows those that "
            "come with vantage",
            param_hint="--model",
        )
    return model_of(gallery, known)


def _conclude(
    gallery: str,
    count: int,
    tally: Tally,
    seconds: float,
    failures: FailureReport,
    stop: StopRequest,
    as_json: bool,
) -> None:
    """Say what was done, and leave with the exit code that says it too."""
    rate = tally.done / max(seconds, 1e-9)
    if as_json:
        print_json(
            {
                "gallery": gallery,
                "count": count,
                "added": tally.added,
                "replaced": tally.replaced,
                "unchanged": tally.unchanged,
                "denied": tally.denied,
                "failed": tally.failed,
                "report": failures.path if failures.written else None,
                "seconds": round(seconds, 3),
                "images_per_second": round(rate, 1),
                "stopped": stop(),
            }
        )
    else:
        words = [f"{tally.added:,} added", f"{tally.replaced:,} replaced", f"{tally.unchanged:,} unchanged"]
        words += [f"{tally.denied:,} erased before and left out"] if tally.denied else []
        words += [f"{tally.failed:,} could not be indexed"] if tally.failed else []
        typer.echo(
            f"{', '.join(words)}: gallery {gallery} holds {count:,} items ({seconds:,.1f} s, {rate:,.0f} images/s)"
        )
    if tally.failed:
        for failure in failures.first:
            say(f"  {failure.place}: {failure.problem}")
        say(f"{failures.path} lists all {tally.failed:,} that could not be indexed")
    if stop():
        say("stopped: what is committed stays; run the same command again to go on")
        raise typer.Exit(stop.exit_code)
    if tally.failed:
        raise typer.Exit(SOME_PICTURES_FAILED)
