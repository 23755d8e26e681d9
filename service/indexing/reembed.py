"""Another model for a gallery that keeps its pictures: embedded anew beside it, and put in its place when complete."""

from collections.abc import Callable

from service.gallery import GalleryEngine, GallerySettings
from service.indexing.embedding import Embedder
from service.indexing.errors import IndexingError
from service.indexing.progress import Tally
from service.indexing.records import Failure
from service.indexing.run import IndexingRun
from service.indexing.stored import StoredCrops

_SUFFIX = ".reembed"


class Reembedding:
    """aside: the gallery that is filled; one that a run before has left there is gone on with.

    Feedback and expiry go over with the items; they count as added now.
    """

    def __init__(
        self,
        engine: GalleryEngine,
        gallery: str,
        embedder: Embedder,
        *,
        decoders: int | None = None,
        stop: Callable[[], bool] = lambda: False,
        failed: Callable[[Failure], None] = lambda failure: None,
    ) -> None:
        settings = engine.info(gallery).settings
        session = embedder.session
        _require_possible(gallery, settings, session.sha256)
        self._engine, self._gallery, self._stop = engine, gallery, stop
        self.aside = gallery[: 63 - len(_SUFFIX)] + _SUFFIX
        new = settings.model_copy(
            update={
                "model_name": session.card.name,
                "model_sha256": session.sha256,
                "dimension": session.card.embedding.dimension,
            }
        )
        if self.aside not in engine.galleries():
            engine.create(self.aside, new)
        elif engine.info(self.aside).settings != new:
            raise IndexingError(
                f"gallery {self.aside!r} is left over from embedding {gallery!r} with another model or other settings: "
                f"vantage gallery drop {self.aside}"
            )
        self.source = StoredCrops(engine, gallery, keep_viewpoints=not embedder.tells_viewpoint)
        self._run = IndexingRun(
            engine,
            self.aside,
            self.source,
            embedder,
            decoders=decoders,
            stop=stop,
            failed=failed,
        )
        self.replaced = False

    def __call__(self, progressed: Callable[[Tally], None] | None = None) -> Tally:
        """Embed, and exchange the galleries unless something failed or it was stopped (then `replaced` stays false)."""
        tally = self._run(progressed)
        self.replaced = not tally.failed and not self._stop()
        if self.replaced:
            if feedback := self._engine.feedback(self._gallery):
                self._engine.add_feedback(self.aside, feedback)
            self._engine.rename(self.aside, self._gallery, replace=True)
        return tally


def _require_possible(gallery: str, settings: GallerySettings, sha256: str) -> None:
    if settings.model_sha256 == sha256:
        raise IndexingError(f"gallery {gallery!r} is of this model already ({settings.model_name})")
    if not settings.store_crops:
        raise IndexingError(
            f"gallery {gallery!r} keeps no crops, so there is nothing to embed anew: index the pictures into another "
            f"gallery (vantage index PATH --gallery {gallery}.new --model MODEL), then vantage gallery rename "
            f"{gallery}.new {gallery} --replace"
        )
    if settings.deny_erased:
        raise IndexingError(
            f"gallery {gallery!r} keeps a list of erased ids, which would be lost: index the pictures that may stay "
            "into another gallery"
        )
