"""`vantage search`: who of the people in a gallery is this?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from models import CARD_FILE, Card, Device
from service.cli.conditions import Cameras, From, NotCameras, Persons, To, Viewpoints, filter_of
from service.cli.crops import open_crop
from service.cli.found import Found, FoundItem, Reranked, Why, print_found
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
from service.cli.output import AsJson, plain, print_json, when
from service.cli.service_there import KeyOption, open_service
from service.cli.verdicts import verdicts_of
from service.verdicts import Verdicts

if TYPE_CHECKING:
    from PIL import Image

    from models import Bundle
    from service.gallery import Answer, GalleryEngine, Probe


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
    server: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Ask the service that runs there, which embeds crops with its own model, instead of opening a data "
            "directory; --json then prints the service's own answer.",
        ),
    ] = None,
    key: KeyOption = None,
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
    if server is not None:
        if model is not None:
            raise typer.BadParameter("the service embeds with its own model: leave it out", param_hint="--model")
        from service.cli.search_there import ask, found_there, picture_there

        with open_service(server, key) as client:
            told = ask(
                client,
                gallery,
                crops or [],
                item,
                k=k,
                rerank=rerank,
                filter=filter,
                group_by=group_by,
                exact=exact,
                explain=explain,
            )
            found = found_there(told)
            if montage is not None and form is not None:
                shown = [open_crop(path) for path in crops] if crops else [picture_there(client, gallery, str(item))]
                _write_montage(montage, form, found, shown, lambda id: picture_there(client, gallery, id))
        _tell(found, plain(told), montage, explain, as_json)
        return
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
        found = _found(answer, verdicts)
        if montage is not None and form is not None:
            _write_montage(montage, form, found, pictures, lambda id: _stored(engine, gallery, id))
    _tell(found, _as_json(answer, verdicts), montage, explain, as_json)


def _tell(found: Found, facts: dict[str, Any], montage: Path | None, explain: bool, as_json: bool) -> None:
    if as_json:
        print_json(facts)
        return
    print_found(found, explain=explain)
    if montage is not None:
        typer.echo(f"wrote {montage}")


def _probe_of_crops(crops: list[Path], bundle: Bundle, device: Device) -> tuple[list[Image.Image | None], Probe]:
    from models import Session, to_crops
    from service.gallery import BadItemError, Probe
    from service.gallery.searching import MOST_CROPS

    if len(crops) > MOST_CROPS:
        raise BadItemError(f"there are {len(crops)} crops: give at most {MOST_CROPS} of one person")
    pictures = [open_crop(path) for path in crops]
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
    found: Found,
    pictures: Sequence[Image.Image | None],
    picture_of: Callable[[str], Image.Image | None],
) -> None:
    from models import write_durably
    from service.cli.montage import Tile, draw_montage
    from service.gallery import GalleryError

    probes = [Tile(picture, "probe" if at == 0 else "") for at, picture in enumerate(pictures)]
    results = []
    for item in found.items:
        lines = (
            item.id.rpartition("/")[2],
            item.scores,
            ", ".join(word for word in (item.camera or "", f"person {item.person}" if item.person else "") if word),
            when(item.captured_at),
        )
        title = f"{item.rank}" + (f"  {item.verdict}" if item.verdict else "")
        results.append(Tile(picture_of(item.id), title, lines, item.verdict))
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


def _found(answer: Answer, verdicts: Verdicts) -> Found:
    done = answer.reranking
    return Found(
        items=tuple(
            FoundItem(
                rank=hit.rank,
                id=hit.item.id,
                score=hit.score,
                reranked=hit.reranked,
                verdict=verdict,
                confirmed=hit.confirmed,
                camera=hit.item.camera,
                captured_at=hit.item.captured_at,
                person=hit.item.person,
                why=None
                if hit.explanation is None
                else Why(mutual=hit.explanation.mutual, shared=hit.explanation.shared),
            )
            for hit, verdict in zip(answer.hits, verdicts.words, strict=True)
        ),
        requested=answer.requested,
        exhausted=answer.exhausted,
        exact=answer.exact,
        allowed=answer.allowed,
        hidden=answer.hidden,
        reranked=Reranked(mode=done.mode, k1=done.k1, k2=done.k2, lam=done.lam, stale=done.stale)
        if done.applied
        else None,
        not_reranked=done.reason_skipped or "off",
        no_verdict_because=verdicts.reason,
    )
