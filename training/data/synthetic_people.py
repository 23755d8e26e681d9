"""The spec of rendered people: `synthetic:people=60,cameras=6,seed=0,size=128x64`; nothing is written to disk."""

from collections.abc import Mapping
from dataclasses import fields

from training.data.dataset import Dataset, Picture, Rendering, Split
from training.data.errors import DataError
from training.data.format import Format
from training.data.synthetic import SyntheticCrop, SyntheticSpec, SyntheticSpecError, plan


def parse_synthetic(options: Mapping[str, str]) -> SyntheticSpec:
    """The spec that the options describe; their names and defaults are those of `SyntheticSpec`."""
    defaults = SyntheticSpec()
    values: dict[str, object] = {}
    for key, text in options.items():
        default = getattr(defaults, key)
        try:
            values[key] = _size(text) if key == "size" else type(default)(text)
        except ValueError:
            wanted = {int: "a whole number", float: "a number", tuple: "HEIGHTxWIDTH, such as 128x64"}[type(default)]
            raise DataError(f"synthetic: {key} is {text!r}; write {wanted}") from None
    try:
        return SyntheticSpec(**values)  # type: ignore[arg-type]  # each value has its default's type
    except SyntheticSpecError as error:
        raise DataError(f"synthetic: {error}") from error


def _size(text: str) -> tuple[int, int]:
    height, width = text.split("x")
    return int(height), int(width)


def _load(place: str, options: Mapping[str, str]) -> Dataset:
    if place:
        raise DataError(f"synthetic: {place!r} is not an option; write {SYNTHETIC.syntax}")
    spec = parse_synthetic(options)
    crops = plan(spec)

    def split(name: str) -> Split:
        return Split(tuple(_picture(spec, crop) for crop in crops if crop.split == name))

    return Dataset(SYNTHETIC.name, split("train"), split("query"), split("gallery"))


def _picture(spec: SyntheticSpec, crop: SyntheticCrop) -> Picture:
    return Picture(
        source=Rendering(spec, crop),
        name=crop.path,
        person=crop.person,
        camera=crop.camera,
        viewpoint=crop.viewpoint,
        tracklet=crop.tracklet,
        captured_at=crop.captured_at,
    )


SYNTHETIC = Format(
    "synthetic",
    "synthetic:people=N,cameras=N,seed=N[,size=HEIGHTxWIDTH,...]",
    tuple(option.name for option in fields(SyntheticSpec)),
    _load,
)
