"""What a dataset format is to the registry, and the sentences about places that do not hold what they should."""

import difflib
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from training.data.dataset import Dataset
from training.data.errors import DataError

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm"})


@dataclass(frozen=True, slots=True)
class Format:
    """A kind of dataset that a spec can name.

    syntax: how the spec is written; shown in help and errors. options: the keys that may follow the place.
    load: from the place and the options to the dataset. The registry applies `viewpoints` by itself.
    """

    name: str
    syntax: str
    options: tuple[str, ...]
    load: Callable[[str, Mapping[str, str]], Dataset]


def nearest(word: str, known: Collection[str]) -> str:
    """ " (did you mean X?)" where one of the known words is close; else nothing."""
    close = difflib.get_close_matches(word, list(known), 1)
    return f" (did you mean {close[0]}?)" if close else ""


def one_of(options: Mapping[str, str], key: str, choices: tuple[str, ...]) -> str:
    """The option's value, by default the first of the choices."""
    value = options.get(key, choices[0])
    if value not in choices:
        raise DataError(f"{key} is {value!r}{nearest(value, choices)}: choose one of {', '.join(choices)}")
    return value


def folder_with(spec: Format, place: str, needed: Iterable[str]) -> Path:
    """The folder at `place`, once it is known to hold the needed names."""
    needed = tuple(needed)
    expected = (
        f"{spec.name} expects a folder that holds {_listed(needed)}" if needed else f"{spec.name} expects a folder"
    )
    if not place:
        raise DataError(f"{spec.name}: the spec names no folder; write {spec.syntax}")
    root = Path(place).expanduser()
    if not root.exists():
        raise DataError(f"{spec.name}: there is no folder {root}; {expected}")
    if not root.is_dir():
        raise DataError(f"{spec.name}: {root} is a file; {expected}")
    missing = [name for name in needed if not (root / name).exists()]
    if not missing:
        return root
    for deeper in sorted(child for child in root.iterdir() if child.is_dir()):
        if all((deeper / name).exists() for name in needed):
            raise DataError(f"{spec.name}: {root} is one level too high: write {spec.name}:{deeper}")
    if all((root.parent / name).exists() for name in needed):
        raise DataError(f"{spec.name}: {root} is one level too deep: write {spec.name}:{root.parent}")
    held = sorted(child.name for child in root.iterdir())
    shown = ", ".join(held[:6]) + (f" and {len(held) - 6} more" if len(held) > 6 else "")
    raise DataError(f"{spec.name}: {root} has no {_listed(missing)} (it holds {shown or 'nothing'}); {expected}")


def images_in(folder: Path) -> list[Path]:
    """The files directly in a folder that have an image's suffix, by name; others (Thumbs.db) are no pictures."""
    return sorted(path for path in folder.iterdir() if _is_image(path))


def images_below(folder: Path) -> list[Path]:
    """The same at any depth."""
    return sorted(path for path in folder.rglob("*") if _is_image(path))


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")


def _listed(names: Iterable[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
