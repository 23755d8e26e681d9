"""What a gallery holds already, so that indexing twice does the work once."""

import math
from collections.abc import Callable
from typing import Self

from service.gallery import GalleryEngine, Item, NewItem, NoSuchItemError
from service.gallery.items import metadata_text

_SAME_SHARE = 1e-3  # viewpoints come back from storage as they were, but for rounding


class Known:
    """Looks items up by id.

    empty: whether there is nothing to be found. keeps_crops: whether the gallery keeps pictures. tells_viewpoint:
    whether the model says what a record does not.
    """

    def __init__(
        self, look_up: Callable[[str], Item | None], *, empty: bool, keeps_crops: bool, tells_viewpoint: bool
    ) -> None:
        self._look_up, self._empty = look_up, empty
        self._keeps_crops, self._tells_viewpoint = keeps_crops, tells_viewpoint

    @classmethod
    def of(cls, engine: GalleryEngine, gallery: str, *, tells_viewpoint: bool) -> Self:
        def look_up(id: str) -> Item | None:
            try:
                return engine.get(gallery, id)
            except NoSuchItemError:
                return None

        info = engine.info(gallery)
        keeps_crops = info.settings.store_crops
        return cls(look_up, empty=info.count == 0, keeps_crops=keeps_crops, tells_viewpoint=tells_viewpoint)

    def hash_of(self, facts: NewItem) -> str | None:
        """The hash of the picture with which nothing would change; None where all has to be done."""
        item = None if self._empty else self._look_up(facts.id)
        if item is None or (self._keeps_crops and not item.has_crop) or not self._same_facts(item, facts):
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
