"""The crops of many pictures, read ahead while others work on earlier ones, a bounded number in memory."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from models import InputSpec, to_crop
from training.data.dataset import Picture, Rendering
from training.data.errors import PictureError
from training.data.reading import read_crop
from training.data.synthetic import render_many

_AHEAD = 256  # files decoded before they are asked for; as many again are being handed out
_RENDERED = 1024  # renderings made at a time: their worker processes are started anew for each such lot
_WORTH_A_PROCESS = 64  # renderings

Crop = NDArray[np.uint8]


def read_crops(pictures: Sequence[Picture], spec: InputSpec, workers: int | None = None) -> Iterator[Crop | str]:
    """For each picture, in order, its crop (uint8 (H, W, 3) RGB), or a sentence that says why it has none.

    workers: threads that decode, processes that render; None is one a core.
    """
    workers = workers or os.cpu_count() or 1
    if pictures and all(isinstance(picture.source, Rendering) for picture in pictures):
        yield from _rendered(pictures, spec, workers)
        return

    def decoded(picture: Picture) -> Crop | str:
        try:
            return read_crop(picture, spec)
        except PictureError as error:
            return str(error)

    with ThreadPoolExecutor(workers) as pool:
        ahead: Iterator[Crop | str] = iter(())
        for start in range(0, len(pictures), _AHEAD):
            after = pool.map(decoded, pictures[start : start + _AHEAD])  # at work from now on
            yield from ahead
            ahead = after
        yield from ahead


def _rendered(pictures: Sequence[Picture], spec: InputSpec, workers: int) -> Iterator[Crop]:
    for start in range(0, len(pictures), _RENDERED):
        sources = [p.source for p in pictures[start : start + _RENDERED] if isinstance(p.source, Rendering)]
        of_spec = {source.spec for source in sources}
        if len(of_spec) == 1:
            crops = [source.crop for source in sources]
            renderings = render_many(of_spec.pop(), crops, min(workers, len(crops) // _WORTH_A_PROCESS))
            yield from (to_crop(rendering, spec) for rendering in renderings)
        else:
            yield from (read_crop(picture, spec) for picture in pictures[start : start + _RENDERED])
