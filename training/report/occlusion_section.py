"""Occlusion maps beside the pictures that they explain."""

import html

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models import Session
from training.data import PictureError, read_crop
from training.evaluation import Evaluation
from training.report.occlusion import OcclusionMap, occlusion_map
from training.report.picture_data import crop_address
from training.report.ranked_lists import choose_queries, nearest_match
from training.report.section import Section

_SHOWN = 6
_HOT = (225, 60, 30)
_SHOWN_HEIGHT = 192


def occlusion_section(session: Session, evaluation: Evaluation) -> Section | None:
    """Some random queries, and why they resemble their best right answer; None where no picture can be read."""
    trial = evaluation.trial
    cells = []
    # beyond those of the lists above, which are the first ones
    for row in choose_queries(evaluation, _SHOWN)["random"]:
        match = nearest_match(trial, row)
        if match is None:
            continue
        spec = session.card.input
        try:
            crop = read_crop(trial.query.split[row], spec)
            other = read_crop(trial.gallery.split[match], spec)
        except PictureError:
            continue
        explained = occlusion_map(session, crop, trial.gallery.vectors[match])
        cells.append(_cell(crop, other, explained))
    if not cells:
        return None
    return Section(
        "occlusion",
        "What the model looks at",
        f'<div class="maps">{"".join(cells)}</div>',
        "Left a query, in the middle the same with its important places in red, right the best right answer. Each "
        "place was covered with a grey patch in turn; the redder it is, the more the score with the right picture "
        "fell. Red on the person is what one wants; red on the background means that the model has learned places. The "
        "scale is each picture's own, and the words below say how far the score fell at the reddest place.",
    )


def _cell(crop: NDArray[np.uint8], other: NDArray[np.uint8], explained: OcclusionMap) -> str:
    pictures = (crop, painted(crop, explained.fall), other)
    images = "".join(f'<img alt="" src="{crop_address(_enlarged(picture))}">' for picture in pictures)
    worst = float(explained.fall.max())
    words = f"score {explained.score:.3f}, falls by {max(0.0, worst):.3f} at most"
    return f"<figure><div>{images}</div><figcaption>{html.escape(words)}</figcaption></figure>"


def painted(crop: NDArray[np.uint8], fall: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The crop in pale grey under red, as strong as the score falls; places where covering helps stay bare."""
    share = np.clip(fall, 0, None) / max(float(fall.max()), 1e-6)
    grey = 110 + 0.5 * crop.mean(axis=2, keepdims=True)
    return np.asarray(grey + (np.array(_HOT) - grey) * 0.85 * share[:, :, None], np.uint8)


def _enlarged(crop: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = crop.shape[:2]
    if height >= _SHOWN_HEIGHT:
        return crop
    scale = _SHOWN_HEIGHT / height
    return np.asarray(Image.fromarray(crop).resize((round(width * scale), _SHOWN_HEIGHT), Image.Resampling.BICUBIC))
