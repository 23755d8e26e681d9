"""How good the network at the end of a run is, on the training people that the run did not train on."""

from typing import Any

import torch

from training.checkpoint import read_checkpoint
from training.data import CropCache, Dataset
from training.evaluation import (
    EmbeddedSplit,
    Trial,
    camera_groups,
    evaluate,
    evaluation_as_json,
    labels_of,
    view_groups,
)
from training.feeding import CropFeed
from training.run_folder import RunFolder
from training.trained import read_trained
from training.validation import Validation


def judge(folder: RunFolder, held: Dataset, cache: CropCache, device: torch.device) -> dict[str, Any]:
    """An evaluation as JSON, viewpoints included.

    The last weights are judged (their average, where the recipe has one) and not the best: the same people chose the
    best, which would flatter the rows whose scores go up and down most, and of a row that starts from another's weights
    the best may be the start. held: as `hold_out` gives it. cache: of all training pictures.
    """
    network = read_trained(folder.path).network
    network.load_state_dict(read_checkpoint(folder.last).average["network"])
    network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    validation = Validation(CropFeed(cache.pixels, device), cache, held.query, held.gallery)
    return evaluation_as_json(evaluate(_trial(validation, *validation.vectors(network))))


def _trial(validation: Validation, asked: Any, kept: Any) -> Trial:
    query, gallery = EmbeddedSplit(validation.query, asked), EmbeddedSplit(validation.gallery, kept)
    cameras_known = query.split.cameras is not None and gallery.split.cameras is not None
    query_labels, gallery_labels = labels_of(query.split, gallery.split, ignore_cameras=not cameras_known)
    return Trial(
        query=query,
        gallery=gallery,
        query_labels=query_labels,
        gallery_labels=gallery_labels,
        ignore_cameras=not cameras_known,
        views=view_groups(query.split, gallery.split),
        cameras=camera_groups(query.split, gallery.split),
        junk=0,
        junk_pictures=None,
        multi_query=None,
        multi_query_alone=0,
        unreadable=(),
    )
