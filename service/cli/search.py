"""`vantage search`: who of the people in a gallery is this?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from models import CARD_FILE, Card, Device
from service.cli.conditions import Cameras, From, NotCameras, Persons, To, Viewpoints, filter_of
from service.cli.opening import (
    DATA,
    MODEL_HELP,
    DataOption,
    GalleryOption,
    card_of,
    model_of,
    open_engine,
    open_model,
)
from service.cli.output import AsJson, console, plain, print_json, table, when
from service.cli.verdicts import verdicts_of
from service.verdicts import Verdicts

if TYPE_CHECKING:
    from PIL import Image

    from models import Bundle
    from service.gallery import Answer, GalleryEngine, Hit, Probe

_SHARED = 5


def search(
    crops: Annotated[
        list[Path] | None,
        typer.Argument(metavar="CROP", help="Pictures of one person; several are taken for one walk past a camera."),
    ] = None,
    *,
    gallery: GalleryOption,
    item: Annotated[
        str | None, typer.Option("--item", metavar="ID", help="Look for the person on this item instead.")
    ] = None,
    k: Annotated[int, typer.Option("-k", min=1, max=1000, help="How many results.")] = 10,
    rerank: Annotated[
        Literal["off", "online", "local"] | None,
        typer.Option(
            help="By neighbourhoods in the whole gallery, by those among the nearest only, or not at all.",
            show_default="as the gallery is set",
        ),
    ] = None,
    camera: Cameras = None,
    exclude_camera: NotCameras = None,
    person: Persons = None,
    viewpoint: Viewpoints = None,
    time_from: From = None,
    time_to: To = None,
    group_by: Annotated[
        Literal["none", "person", "tracklet", "camera"], typer.Option(help="Only the best of each.")
    ] = "none",
    exact: Annotated[
        bool, typer.Option("--exact", help="Search all, also where an approximate index is faster.")
    ] = False,
    explain: Annotated[bool, typer.Option("--explain", help="Say which neighbours speak for each result.")] = False,
    montage: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the probe and the results as one picture (.png or .jpg).")
    ] = None,
    model: Annotated[
        str | None, typer.Option(metavar="MODEL", help=MODEL_HELP, show_default="that of the gallery")
    ] = None,
    device: Annotated[Device, typer.Option(help="Where the model runs.")] = "auto",
    data: DataOption = DATA,
    as_json: AsJson = False,
) -> None:
    """Rank the items of a gallery by how much they look like the person on a crop.

    A score is a similarity (cosine, at most 1) and no probability. Where the model's card says what scores mean, each
    result is called likely, unsure or unlikely by it. Re-ranked results are ordered by their re-ranked distance.
    """
    from service.cli.montage import montage_form
    from service.gallery import Search, require_model

    if bool(crops) == (item is not None):
        raise typer.BadParameter("give either pictures of one person, or an item of the gallery with --item")
    form = None if montage is None else montage_form(montage)
    filter = filter_of(camera, exclude_camera, person, viewpoint, time_from, time_to)
    with open_engine(data) as engine:
        settings = engine.info(gallery).settings
        if crops:
            bundle = model_of(gallery, settings) if model is None else open_model(model, sha256=settings.model_sha256)
            require_model(gallery, settings, bundle.card.name, bundle.sha256)
            pictures, probe = _probe_of_crops(crops, bundle, device)
            card: Card | None = bundle.card
        else:
            assert item is not None, "one of the two was given"
            pictures, probe = _probe_of_item(engine, gallery, item)
            card = card_of(settings) if model is None else Card.load(open_model(model).path / CARD_FILE)
        answer = engine.search(
            gallery,
            Search(probe=probe, k=k, filter=filter, rerank=rerank, exact=exact, group_by=group_by, explain=explain),
        )
        verdicts = verdicts_of(card, [hit.score for hit in answer.hits])
        if montage is not None and form is not None:
            _write_montage(montage, form, engine, answer, pictures, verdicts)
    if as_json:
        print_json(_as_json(answer, verdicts))
    else:
        _print(answer, verdicts, explain=explain)
        if montage is not None:
            typer.echo(f"wrote {montage}")


def _probe_of_crops(crops: list[Path], bundle: Bundle, device: Device) -> tuple[list[Image.Image | None], Probe]:
    from models import Session, to_crops
    from service.gallery import BadItemError, Probe
    from service.gallery.searching import MOST_CROPS
    from service.images import BadImageError, check_length, open_image

    if len(crops) > MOST_CROPS:
        raise BadItemError(f"there are {len(crops)} crops: give at most {MOST_CROPS} of one person")
    pictures = []
    for path in crops:
        try:
            check_length(path.stat().st_size)
            pictures.append(open_image(path.read_bytes()))
        except BadImageError as error:
            raise BadImageError(error.kind, f"{path}: {error}") from error
        except OSError as error:
            raise BadImageError("undecodable-image", f"{path} cannot be read: {error.strerror}") from error
    session = Session(bundle, device=device, max_batch=min(len(crops), 32))
    vectors = session.embed(to_crops(pictures, bundle.card.input)).vectors
    return list(pictures), Probe(vectors=vectors)


def _probe_of_item(engine: GalleryEngine, gallery: str, item: str) -> tuple[list[Image.Image | None], Probe]:
    from service.gallery import Probe

    probe = Probe(item=item)
    engine.get(gallery, item)  # before anything is drawn of it
    return [_stored(engine, gallery, item)], probe


def _stored(engine: GalleryEngine, gallery: str, id: str) -> Image.Image | None:
    """The item's picture, if it is kept and can still be read."""
    from service.gallery import NoSuchItemError
    from service.images import BadImageError, open_image

    try:
        return open_image(engine.crop(gallery, id))
    except (NoSuchItemError, BadImageError):
        return None


def _write_montage(
    file: Path,
    form: str,
    engine: GalleryEngine,
    answer: Answer,
    pictures: list[Image.Image | None],
    verdicts: Verdicts,
) -> None:
    from models import write_durably
    from service.cli.montage import Tile, draw_montage
    from service.gallery import GalleryError

    probes = [Tile(picture, "probe" if at == 0 else "") for at, picture in enumerate(pictures)]
    results = []
    for hit, verdict in zip(answer.hits, verdicts.words, strict=True):
        lines = (
            hit.item.id.rpartition("/")[2],
            f"{hit.score:.3f}" + ("" if hit.reranked is None else f"   re-ranked {hit.reranked:.3f}"),
            ", ".join(
                word for word in (hit.item.camera or "", f"person {hit.item.person}" if hit.item.person else "") if word
            ),
            when(hit.item.captured_at),
        )
        picture = _stored(engine, answer.gallery, hit.item.id)
        results.append(Tile(picture, f"{hit.rank}" + (f"  {verdict}" if verdict else ""), lines, verdict))
    try:
        write_durably(file, draw_montage(probes, results, form))
    except OSError as error:
        raise GalleryError(f"{file} cannot be written: {error.strerror}") from error


def _as_json(answer: Answer, verdicts: Verdicts) -> dict[str, Any]:
    facts: dict[str, Any] = plain(answer)
    for hit, verdict in zip(facts["hits"], verdicts.words, strict=True):
        hit["verdict"] = verdict
        hit["item"].pop("vector")
    facts["calibration"] = verdicts.thresholds
    facts["no_verdict_because"] = verdicts.reason
    return facts


def _print(answer: Answer, verdicts: Verdicts, *, explain: bool) -> None:
    if answer.hits:
        rows = []
        for hit, verdict in zip(answer.hits, verdicts.words, strict=True):
            cells = {
                "rank": f"{hit.rank}",
                "item": hit.item.id,
                "score": f"{hit.score:.4f}",
                "re-ranked": "" if hit.reranked is None else f"{hit.reranked:.4f}",
                "verdict": (verdict or "") + (" (confirmed)" if hit.confirmed else ""),
                "camera": hit.item.camera or "",
                "captured": when(hit.item.captured_at),
                "person": hit.item.person or "",
            }
            rows.append(cells)
        columns = [name for name in rows[0] if any(cells[name] for cells in rows)]
        shown = table(*columns, right=("rank", "score", "re-ranked"))
        for cells in rows:
            shown.add_row(*(cells[name] for name in columns))
        console().print(shown)
        if explain:
            for hit in answer.hits:
                typer.echo(_explained(hit))
    typer.echo(". ".join(_remarks(answer, verdicts)) + ".")


def _explained(hit: Hit) -> str:
    why = hit.explanation
    if why is None:
        return f"{hit.rank}: there is no graph of neighbours that could explain it"
    mutual = "among each other's nearest" if why.mutual else "not among each other's nearest"
    if not why.shared:
        return f"{hit.rank}: {mutual}; no neighbour speaks for it"
    shared = ", ".join(f"{id} ({weight:.3f})" for id, weight in why.shared[:_SHARED])
    more = f" and {len(why.shared) - _SHARED:,} more" if len(why.shared) > _SHARED else ""
    return f"{hit.rank}: {mutual}; both lean on {shared}{more}"


def _remarks(answer: Answer, verdicts: Verdicts) -> list[str]:
    """What a reader has to know about how the answer came about."""
    done = answer.reranking
    remarks = []
    if len(answer.hits) < answer.requested:
        found = f"{len(answer.hits):,} of {answer.requested:,}"
        remarks.append(f"{found} results: no more items than these meet the request" if answer.exhausted else found)
    if answer.allowed is not None:
        remarks.append(f"The conditions allow {answer.allowed:,} items")
    if answer.hidden:
        remarks.append(f"{answer.hidden:,} left out, because feedback says that they show somebody else")
    if done.applied:
        stale = f", {done.stale:,} neighbour lists wait to be made anew" if done.stale else ""
        remarks.append(f"Re-ranked {done.mode} (k1 {done.k1}, k2 {done.k2}, lambda {done.lam:g}{stale})")
    else:
        remarks.append(f"Not re-ranked: {done.reason_skipped or 'off'}".rstrip("."))
    if not answer.exact:
        remarks.append("The nearest were sought with an approximate index")
    if verdicts.reason:
        remarks.append(f"No verdicts: {verdicts.reason}".rstrip("."))
    return remarks
