"""Several pictures of one person from one camera, asked as one query: the mean of their embeddings.

Market-1501 gives them in `gt_bbox`: everything that its query cameras saw of the queried people.
"""

import numpy as np
from numpy.typing import NDArray

from training.evaluation.embedding import EmbeddedSplit


def pooled_queries(query: EmbeddedSplit, further: EmbeddedSplit) -> tuple[NDArray[np.float32], int]:
    """For each query the normalised mean of the further pictures of its person from its camera: float32 (Q, D).

    A query without further pictures keeps its own vector; the second value counts those.
    """
    rows: dict[tuple[str, str | None], list[int]] = {}
    for row, picture in enumerate(further.split):
        rows.setdefault((picture.person, picture.camera), []).append(row)
    pooled = np.array(query.vectors)
    alone = 0
    for place, picture in enumerate(query.split):
        own = rows.get((picture.person, picture.camera))
        if own is None:
            alone += 1
            continue
        mean = further.vectors[own].mean(axis=0, dtype=np.float64)
        length = np.sqrt(np.square(mean).sum())
        if length > 0:  # opposite vectors that cancel out say nothing about the person
            pooled[place] = mean / length
    return pooled, alone
