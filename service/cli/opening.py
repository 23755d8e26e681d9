"""What the commands on galleries open: the data directory, and the model of a gallery."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from models import CARD_FILE, ZOO, Bundle, BundleError, Card, ModelError, Precision, list_bundles

if TYPE_CHECKING:
    from service.gallery import GalleryEngine, GallerySettings

DataOption = Annotated[
    Path, typer.Option("--data", metavar="DIR", envvar="VANTAGE_DATA", help="The data directory that holds galleries.")
]
DATA = Path("vantage-data")
GalleryArgument = Annotated[str, typer.Argument(metavar="GALLERY", help="The gallery's name.")]
GalleryOption = Annotated[str, typer.Option("--gallery", "-g", metavar="NAME", help="The gallery's name.")]
MODEL_HELP = "The model: a folder with card.json and model.onnx, or the name of one that comes with vantage."


@contextmanager
def open_engine(data: Path, *, make: bool = False, upkeep: bool = True) -> Iterator[GalleryEngine]:
    """The galleries of a data directory. make: whether one that is not there is made. upkeep: whether they see to
    themselves meanwhile.

    Where the settings name a Milvus server, its galleries, and nothing of the directory that is not kept beside them.
    """
    from service.settings import ServiceSettings

    settings = ServiceSettings.load(data=data)
    if settings.gallery == "milvus":
        from service.milvus import open_milvus

        with closing(open_milvus(settings)) as shared:
            yield shared
        return
    from service.gallery.embedded import EmbeddedEngine

    if not make:
        require_data(data)
    engine = EmbeddedEngine.open(data, upkeep=upkeep)
    try:
        yield engine
    finally:
        engine.close()


def require_data(data: Path) -> None:
    """Refuses a data directory that is not there."""
    from service.gallery import GalleryError

    if not data.is_dir():
        raise GalleryError(
            f"there is no data directory {data}: name it with --data or VANTAGE_DATA; vantage index makes one"
        )


def open_model(name: str, precision: Precision | None = None, sha256: str | None = None) -> Bundle:
    """The bundle of that folder or name; of its files the one in `precision`, else the one with that hash if any."""
    folder = _folder(name)
    if precision is None and sha256 is not None:
        precision = _hashes(Card.load(folder / CARD_FILE)).get(sha256)
    return Bundle.open(folder, precision)


def model_of(gallery: str, settings: GallerySettings) -> Bundle:
    """The gallery's model, if it is one of those that come with vantage."""
    found = _in_zoo(settings.model_sha256)
    if found is None:
        raise BundleError(
            f"gallery {gallery!r} is of the model {settings.model_name} ({settings.model_sha256[:12]}), which does not "
            "come with vantage: name its folder with --model"
        )
    return open_model(str(found), sha256=settings.model_sha256)


def card_of(settings: GallerySettings) -> Card | None:
    """The card of the gallery's model, if that comes with vantage."""
    found = _in_zoo(settings.model_sha256)
    return None if found is None else Card.load(found / CARD_FILE)


def _folder(name: str) -> Path:
    path = Path(name)
    if path.is_dir():
        return path
    if path.name == name and (ZOO / name / CARD_FILE).is_file():
        return ZOO / name
    names = ", ".join(bundle.name for bundle in list_bundles())
    raise BundleError(f"there is no model {name!r}: name a folder with {CARD_FILE} in it, or one of {names}")


def _in_zoo(sha256: str) -> Path | None:
    for folder in list_bundles():
        try:
            if sha256 in _hashes(Card.load(folder / CARD_FILE)):
                return folder
        except ModelError:  # a broken bundle is of no gallery
            continue
    return None


def _hashes(card: Card) -> dict[str, Precision]:
    return {card.sha256: card.precision} | {variant.sha256: variant.precision for variant in card.variants}
