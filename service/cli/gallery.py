"""`vantage gallery`: make, look at, move, check and empty galleries. Some of its commands have files of their own."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from models import Precision
from service.cli.build_graph import build_graph
from service.cli.copy import copy
from service.cli.delete import delete
from service.cli.export import export
from service.cli.opening import DATA, MODEL_HELP, DataOption, GalleryArgument, open_engine, open_model
from service.cli.output import AsJson, Yes, console, facts_table, print_json, require_consent, size, table, when
from service.cli.reembed import reembed
from service.cli.snapshot import drop_snapshot, restore, snapshot, snapshots

if TYPE_CHECKING:
    from service.gallery import GalleryInfo

app = typer.Typer(help="Make, look at, check and empty galleries.", no_args_is_help=True)

_UNSOUND = 4
"""The exit code of `verify` when something is wrong."""


@app.command("list")
def list_(data: DataOption = DATA, as_json: AsJson = False) -> None:
    """List the galleries of a data directory. Damaged ones are named on standard error."""
    from service.gallery import roll_call

    with open_engine(data) as engine:
        infos, damaged = roll_call(engine)
    for one in damaged:
        typer.echo(f"vantage: {one.name}: {one.detail}", err=True)
    if as_json:
        print_json(infos)
    elif not infos and not damaged:
        typer.echo(f"There is no gallery in {data}. vantage index and vantage gallery create make one.")
    else:
        printed = table("gallery", "items", "model", "index", "re-ranking", "disk", "made", right=("items", "disk"))
        for info in infos:
            printed.add_row(
                info.name,
                f"{info.count:,}",
                info.settings.model_name,
                info.index.kind,
                info.settings.rerank,
                size(info.disk_bytes),
                when(info.created_at),
            )
        console().print(printed)


@app.command()
def info(gallery: GalleryArgument, data: DataOption = DATA, as_json: AsJson = False) -> None:
    """Show what a gallery holds, how it is searched and what is left to do."""
    with open_engine(data) as engine:
        known = engine.info(gallery)
    if as_json:
        print_json(known)
    else:
        console().print(facts_table(_facts(known)))


@app.command()
def create(
    gallery: GalleryArgument,
    model: Annotated[str, typer.Option(metavar="MODEL", help=f"{MODEL_HELP} It stays the gallery's.")],
    index: Annotated[
        Literal["auto", "flat", "half", "signs", "hnsw", "ivf", "gpu"],
        typer.Option(help="How the nearest are found: flat is exact; auto goes from flat to half to signs."),
    ] = "auto",
    rerank: Annotated[
        Literal["off", "online", "local"],
        typer.Option(
            help="How searches are re-ranked that do not say it: by the whole gallery, by the nearest, or not."
        ),
    ] = "online",
    k1: Annotated[int, typer.Option(min=1, max=1000, help="Re-ranking: neighbours that count as near.")] = 20,
    k2: Annotated[
        int, typer.Option(min=1, max=1000, help="Re-ranking: nearest that an encoding is averaged over.")
    ] = 6,
    lam: Annotated[
        float, typer.Option("--lambda", min=0, max=1, help="Re-ranking: share of the plain distance.")
    ] = 0.3,
    store_crops: Annotated[bool, typer.Option("--store-crops", help="Keep the pictures themselves.")] = False,
    ttl: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Items expire so long after they were captured, such as 12h or 30d.",
            show_default="never",
        ),
    ] = None,
    deny_erased: Annotated[
        bool,
        typer.Option("--deny-erased", help="Refuse deleted ids from then on, so that indexing cannot restore them."),
    ] = False,
    precision: Annotated[
        Precision | None, typer.Option(help="Which of the model's files.", show_default="that of model.onnx")
    ] = None,
    data: DataOption = DATA,
    as_json: AsJson = False,
) -> None:
    """Make an empty gallery for a model. vantage index makes one too, with these defaults."""
    from service.gallery import GallerySettings

    bundle = open_model(model, precision)
    settings = GallerySettings.for_model(
        bundle.card,
        bundle.sha256,
        index=index,
        rerank=rerank,
        k1=k1,
        k2=k2,
        lam=lam,
        store_crops=store_crops,
        ttl_seconds=None if ttl is None else _seconds(ttl),
        deny_erased=deny_erased,
    )
    with open_engine(data, make=True) as engine:
        made = engine.create(gallery, settings)
    if as_json:
        print_json(made)
    else:
        typer.echo(f"made gallery {gallery} for {settings.model_name}")


@app.command()
def drop(gallery: GalleryArgument, yes: Yes = False, data: DataOption = DATA, as_json: AsJson = False) -> None:
    """Remove a gallery with all it holds. Its snapshots stay until vantage gallery drop-snapshot removes them."""
    from service.gallery import CorruptError

    with open_engine(data) as engine:
        try:
            count = engine.count(gallery)
            held = f"with {count:,} items"
        except CorruptError:
            count, held = None, "which is damaged, with all it held"
        require_consent(f"Remove gallery {gallery} {held}?", yes)
        engine.drop(gallery)
    if as_json:
        print_json({"gallery": gallery, "items": count})
    else:
        typer.echo(f"removed gallery {gallery} {held}")


@app.command()
def rename(
    gallery: GalleryArgument,
    to: Annotated[str, typer.Argument(metavar="NAME", help="Its new name.")],
    replace: Annotated[bool, typer.Option("--replace", help="Drop the gallery that bears that name.")] = False,
    data: DataOption = DATA,
    as_json: AsJson = False,
) -> None:
    """Give a gallery another name."""
    with open_engine(data) as engine:
        engine.rename(gallery, to, replace=replace)
        renamed = engine.info(to)
    if as_json:
        print_json(renamed)
    else:
        typer.echo(f"gallery {gallery} is now called {to}")


@app.command()
def verify(gallery: GalleryArgument, data: DataOption = DATA, as_json: AsJson = False) -> None:
    """Check database, index, graph and crops against one another; exit code 4 if anything is wrong.

    Nothing is changed. What is derived (index, graph) is rebuilt by itself when it is next read; where the database
    itself is hurt, restore a snapshot.
    """
    with open_engine(data) as engine:
        report = engine.verify(gallery)
    if as_json:
        print_json(
            {"gallery": report.gallery, "sound": report.sound, "checked": report.checked, "findings": report.findings}
        )
    else:
        checked = ", ".join(f"{count:,} {what}" for what, count in report.checked.items())
        typer.echo(f"gallery {gallery}: checked {checked}")
        for finding in report.findings:
            weight = "serious" if finding.serious else "mends itself"
            typer.echo(f"{finding.place} ({weight}): {finding.problem}; {finding.remedy}")
        if report.sound:
            typer.echo("All is sound.")
    if not report.sound:
        raise typer.Exit(_UNSOUND)


@app.command()
def compact(gallery: GalleryArgument, yes: Yes = False, data: DataOption = DATA, as_json: AsJson = False) -> None:
    """Leave nothing on disk of what was deleted, neither in the gallery nor in its snapshots."""
    with open_engine(data) as engine:
        pending = engine.info(gallery).pending_purge
        require_consent(
            f"Erase what is left of {pending:,} deleted items from gallery {gallery} and its snapshots for good?", yes
        )
        receipt = engine.compact(gallery)
    if as_json:
        print_json(receipt)
    else:
        rewritten = ", ".join(receipt.rewritten) or "nothing"
        typer.echo(
            f"gallery {gallery}: nothing is left of {receipt.purged:,} deleted items; wrote {rewritten} anew, "
            f"{size(receipt.bytes_before)} before and {size(receipt.bytes_after)} now"
        )


@app.command()
def refresh(gallery: GalleryArgument, data: DataOption = DATA, as_json: AsJson = False) -> None:
    """On Milvus: bring up to date what re-ranking knows of neighbours, and delete what has expired.

    It goes on where it was stopped, and others search and write meanwhile. An embedded gallery does it by itself. The
    first time, for millions of items, build-graph does it on a GPU or on many machines.
    """
    from service.gallery import GalleryError

    with open_engine(data) as engine:
        refreshing = getattr(engine, "refresh", None)
        if refreshing is None:
            raise GalleryError(
                f"gallery {gallery!r} keeps itself up to date: refresh is for galleries on Milvus, which "
                "VANTAGE_GALLERY=milvus asks for"
            )
        done = refreshing(gallery)
    if as_json:
        print_json(done)
    else:
        typer.echo(
            f"{done.gallery}: {done.items:,} items, {done.added:,} new and {done.removed:,} gone since the last time; "
            f"{done.noted:,} rows written, {done.purged:,} expired items deleted"
        )


app.command("build-graph")(build_graph)
app.command()(delete)
app.command()(reembed)
app.command()(export)
app.command()(copy)
app.command()(snapshot)
app.command()(snapshots)
app.command()(restore)
app.command("drop-snapshot")(drop_snapshot)


def _facts(known: GalleryInfo) -> dict[str, object]:
    settings, index = known.settings, known.index
    searched = index.kind if index.recall is None else f"{index.kind}, recall@10 {index.recall:.3f}"
    if index.parameters:
        searched += " (" + ", ".join(f"{name} {value:g}" for name, value in index.parameters.items()) + ")"
    if index.wanted != index.kind:
        searched += f"; {index.wanted} is being built"
    graph = "not held" if index.graph == "off" else index.graph
    stale = f", {index.stale:,} neighbour lists wait to be made anew" if index.stale else ""
    facts: dict[str, object] = {
        "gallery": known.name,
        "items": f"{known.count:,}",
        "model": f"{settings.model_name} ({settings.model_sha256[:12]}), {settings.dimension} numbers",
        "index": f"{searched} (asked for: {settings.index})",
        "re-ranking": f"{settings.rerank} (k1 {settings.k1}, k2 {settings.k2}, lambda {settings.lam:g})",
        "graph": graph + stale,
    }
    if index.progress is not None:
        facts["building"] = f"{index.progress:.0%}"
    facts |= {
        "crops": "kept" if settings.store_crops else "not kept",
        "items expire": "never" if settings.ttl_seconds is None else f"after {settings.ttl_seconds:,} s",
        "erased ids": "refused" if settings.deny_erased else "may come back",
        "made": when(known.created_at),
        "changes": f"{known.change:,}, of which {known.unsaved:,} are not in the saved index yet",
        "saved": when(known.saved_at) or "not yet",
        "memory, disk": f"{size(index.memory_bytes)}, {size(known.disk_bytes)}",
    }
    if known.pending_purge:
        facts["deleted"] = f"{known.pending_purge:,} items may have left traces on disk: vantage gallery compact"
    return facts


def _seconds(text: str) -> int:
    match = re.fullmatch(r"(\d+)([smhd])", text, re.ASCII)
    if match is None or int(match[1]) == 0:
        raise typer.BadParameter(f"{text!r} is no time: write a number and s, m, h or d, as in 30d", param_hint="--ttl")
    return int(match[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[match[2]]
