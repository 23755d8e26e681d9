"""The pictures that a gallery keeps, as a source: a new model can embed them anew."""

from collections.abc import Iterator

from service.gallery import GalleryEngine, Item, NoSuchItemError
from service.indexing.records import Failure, Record, facts_of

_PAGE = 500


class StoredCrops:
    """Every item of a gallery, in the order in which they were added.

    keep_viewpoints: whether they are taken over, for a model that does not tell.
    """

    def __init__(self, engine: GalleryEngine, gallery: str, *, keep_viewpoints: bool) -> None:
        self._engine, self._gallery, self._keep_viewpoints = engine, gallery, keep_viewpoints
        self.total = engine.count(gallery)
        self.done = 0

    def __iter__(self) -> Iterator[Record | Failure]:
        cursor: str | None = None
        while True:
            page = self._engine.list(self._gallery, cursor=cursor, limit=_PAGE)
            for item in page.items:
                self.done += 1
                yield self._record(item)
            if page.cursor is None:
                return
            cursor = page.cursor

    def _record(self, item: Item) -> Record | Failure:
        place = f"item {item.id!r} of {self._gallery}"
        try:
            content = self._engine.crop(self._gallery, item.id)
        except NoSuchItemError as error:
            return Failure(place, item.id, "unreadable", str(error))
        facts = facts_of(
            id=item.id,
            camera=item.camera,
            captured_at=item.captured_at,
            person=item.person,
            tracklet=item.tracklet,
            viewpoint=item.viewpoint if self._keep_viewpoints else None,
            quality=item.quality,
            metadata=item.metadata,
            expires_at=item.expires_at,
        )
        return Record(place, content, facts)
