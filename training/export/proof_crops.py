"""Real crops on which an export is proven: spread evenly over everything that the dataset has."""

from models import Crops, InputSpec
from training.data import Dataset, Picture, read_crops
from training.export.errors import ExportError
from training.export.parity import CROPS


def proof_crops(dataset: Dataset, spec: InputSpec, workers: int | None = None) -> Crops:
    """64 crops; pictures that cannot be read are passed over for their neighbours."""
    pictures = _spread([picture for split in dataset.splits.values() for picture in split])
    readable = []
    for start in range(0, len(pictures), CROPS):  # only a dataset with broken files takes a second lot
        for crop in read_crops(pictures[start : start + CROPS], spec, workers):
            if not isinstance(crop, str):
                readable.append(crop)
            if len(readable) == CROPS:
                return Crops.stack(readable)
    raise ExportError(
        f"{dataset.name} has {len(readable)} readable pictures, and an export is proven on {CROPS}: name a dataset "
        "with more by --data"
    )


def _spread(pictures: list[Picture]) -> list[Picture]:
    """All of them, every step-th first, so that the first ones come from everywhere."""
    step = max(1, len(pictures) // CROPS)
    return [picture for first in range(step) for picture in pictures[first::step]]
