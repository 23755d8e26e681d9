"""All galleries of an engine, where one that is damaged must not hide the others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from service.gallery.engine import GalleryEngine
from service.gallery.errors import CorruptError, NoSuchGalleryError
from service.gallery.reports import GalleryInfo


@dataclass(frozen=True, slots=True)
class Damaged:
    """A gallery that cannot be opened, and why."""

    name: str
    detail: str


def roll_call(
    engine: GalleryEngine, wanted: Callable[[str], bool] = lambda name: True
) -> tuple[list[GalleryInfo], list[Damaged]]:
    """Those that answer, and those that are damaged, both in alphabetical order; wanted: which are asked, by name."""
    sound, damaged = [], []
    for name in engine.galleries():
        if wanted(name):
            try:
                sound.append(engine.info(name))
            except NoSuchGalleryError:  # dropped just now
                continue
            except CorruptError as error:
                damaged.append(Damaged(name, str(error)))
    return sound, damaged
