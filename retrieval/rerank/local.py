"""Re-ranking among a probe's nearest candidates alone, where no graph of the gallery is kept."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from retrieval.errors import RetrievalError
from retrieval.ranking import Ranking
from retrieval.rerank.exact import k_reciprocal
from retrieval.rerank.settings import RerankSettings
from retrieval.vectors import squared_distance, unit_rows


def rank_local(
    probe: npt.ArrayLike,
    keys: npt.ArrayLike,
    candidates: npt.ArrayLike,
    top: int = 10,
    settings: RerankSettings | None = None,
) -> Ranking:
    """The `top` candidates by re-ranked distance, as if they were the whole gallery: a Ranking of one row.

    probe       float (D,), unit length.
    keys        int (N,): what the candidates are called.
    candidates  float (N, D), unit length: the vectors of the probe's N nearest. What lies beyond them is not seen, so a
                small N loses much of what re-ranking gains; hundreds are wanted.
    """
    settings = settings or RerankSettings()
    wanted, found = unit_rows(np.asarray(probe, np.float32)[None], "probe"), unit_rows(candidates, "candidates")
    names = np.asarray(keys, dtype=np.int64)
    if names.shape != (len(found),):
        raise RetrievalError(f"keys has shape {names.shape} for {len(found)} candidates: give one key each")
    if top < 1:
        raise RetrievalError(f"top is {top}: ask for at least 1 result")
    final = k_reciprocal(wanted, found, settings.k1, settings.k2, settings.lam)[0]
    best = np.lexsort((names, final))[:top]
    return Ranking(names[None, best], squared_distance(wanted @ found[best].T), final[None, best])
