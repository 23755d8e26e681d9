"""From crops to items, by as many batches at once as serves the machine best."""

import os
from collections.abc import Sequence

import numpy as np

from models import Bundle, Crops, Device, Session
from service.decoding import Decoded
from service.gallery import NewItem
from service.indexing.records import Record

# Each takes memory for its own activations.
_MOST_AT_ONCE = 4


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


class Embedder:
    """A model for much work. at_once: how many threads should call `embed`.

    On the CPU several batches at a time, each on few threads, get more done than one batch on all of them: threads that
    share a batch wait for the slowest after every layer.
    """

    def __init__(self, bundle: Bundle, *, device: Device = "auto", threads: int | None = None, batch: int = 64) -> None:
        """threads: cores that embed; None is all of them."""
        threads = threads or cores()
        self.batch = batch
        self.at_once = min(threads, _MOST_AT_ONCE)
        self.session = Session(bundle, device=device, threads=threads // self.at_once, max_batch=batch)
        if self.session.provider != "CPUExecutionProvider":
            self.at_once = 1

    @property
    def tells_viewpoint(self) -> bool:
        return self.session.card.outputs.viewpoint is not None

    def embed(self, decoded: Sequence[tuple[Record, Decoded]]) -> list[NewItem]:
        return embed(self.session, decoded)


def embed(session: Session, decoded: Sequence[tuple[Record, Decoded]]) -> list[NewItem]:
    """The items to be added. A viewpoint that the record does not know is the model's."""
    embeddings = session.embed(Crops.stack([of.crop for _, of in decoded if of.crop is not None]))
    items = []
    for row, (record, of) in enumerate(decoded):
        facts = record.facts
        viewpoint = facts.viewpoint
        if viewpoint is None and embeddings.viewpoints is not None:
            front, side, back = embeddings.viewpoints[row].astype(np.float64).tolist()
            viewpoint = (front, side, back)
        items.append(
            NewItem(
                id=facts.id,
                vector=embeddings.vectors[row],
                camera=facts.camera,
                captured_at=facts.captured_at,
                person=facts.person,
                tracklet=facts.tracklet,
                viewpoint=viewpoint,
                quality=facts.quality,
                metadata=facts.metadata,
                expires_at=facts.expires_at,
                crop=of.content,
                crop_sha256=of.sha256,
            )
        )
    return items
