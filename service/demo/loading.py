"""The demo gallery, made once where there is no gallery at all."""

from pathlib import Path

from models import Bundle, Device
from service.gallery import GalleryEngine, GallerySettings
from service.indexing import Embedder, Failure, IndexingError, IndexingRun, Manifest

GALLERY = "demo"
GALLERY_LIST = Path(__file__).parent / "gallery.csv"
QUERIES = tuple(sorted((Path(__file__).parent / "queries").glob("*.jpg")))
"""Crops of people who are in the gallery; the crops themselves are not."""

_IN_THE_MAKING = "demo.in-the-making"


def load_demo(engine: GalleryEngine, bundle: Bundle, *, device: Device = "auto", threads: int | None = None) -> bool:
    """Makes the gallery `demo` for the model, crops kept, if there is no gallery yet; whether it did.

    What is there is never touched: items that were deleted from the demo stay deleted. The gallery appears whole: one
    that a stopped process left behind half made is made anew.
    """
    there = set(engine.galleries())
    if there - {_IN_THE_MAKING}:
        return False
    if _IN_THE_MAKING in there:
        engine.drop(_IN_THE_MAKING)
    engine.create(_IN_THE_MAKING, GallerySettings.for_model(bundle.card, bundle.sha256, store_crops=True))
    embedder = Embedder(bundle, device=device, threads=threads)
    # Small crops and few of them: processes that decode would take longer to start than the work takes.
    IndexingRun(engine, _IN_THE_MAKING, Manifest(GALLERY_LIST), embedder, decoders=0, failed=_refuse)()
    engine.rename(_IN_THE_MAKING, GALLERY)
    return True


def _refuse(failure: Failure) -> None:
    raise IndexingError(f"the demo is damaged, {failure.place}: {failure.problem}; take service/demo anew")
