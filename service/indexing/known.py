"""What a gallery holds already, so that indexing twice does the work once."""

import math

from service.gallery import GalleryEngine, Item, NewItem, NoSuchItemError
from service.gallery.items import metadata_text

_SAME_SHARE = 1e-3  # viewpoints come back from storage as they were, but for rounding


class Known:
    """Looks items up by id. tells_viewpoint: whether the model says what a record does not."""

    def __init__(self, engine: GalleryEngine, gallery: str, *, tells_viewpoint: bool) -> None:
        info = engine.info(gallery)
        self._engine, self._gallery = engine, gallery
        self._empty = info.count == 0
        self._keeps_crops = info.settings.store_crops
        self._tells_viewpoint = tells_viewpoint

    def hash_of(self, facts: NewItem) -> str | None:
        """The hash of the picture with which nothing would change; None where all has to be done."""
        if self._empty:
            return None
        try:
            item = self._engine.get(self._gallery, facts.id)
        except NoSuchItemError:
            return None
        if (self._keeps_crops and not item.has_crop) or not self._same_facts(item, facts):
            return None
        return item.crop_sha256

    def _same_facts(self, item: Item, facts: NewItem) -> bool:
        names = ("camera", "captured_at", "person", "tracklet", "quality")
        return (
            all(getattr(item, name) == getattr(facts, name) for name in names)
            and metadata_text(item.metadata) == metadata_text(facts.metadata)
            and self._same_viewpoint(item.viewpoint, facts.viewpoint)
        )

    def _same_viewpoint(self, held: tuple[float, ...] | None, given: tuple[float, ...] | None) -> bool:
        if given is None:
            return self._tells_viewpoint or held is None
        return held is not None and all(
            math.isclose(one, other, abs_tol=_SAME_SHARE) for one, other in zip(held, given, strict=True)
        )
