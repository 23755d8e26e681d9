"""An evaluation as a line of the model's card."""

from math import isnan

from models import Card, GroupScores, Rerank, Result
from training.evaluation.describe import STEP_AP, protocol
from training.evaluation.evaluate import Evaluation
from training.evaluation.group_table import GroupTable

_MOST_GROUPS = 16


def result_of(evaluation: Evaluation, *, dataset: str, command: str, precision: str | None = None) -> Result:
    """dataset: what the line is filed under. precision: of a file that is not the bundle's first."""
    ranking, settings = evaluation.ranking, evaluation.settings
    rerank = None
    if evaluation.rerank != "off":
        mode = evaluation.rerank if evaluation.rerank != "local" else f"local, top {evaluation.local_top}"
        rerank = Rerank(mode=mode, k1=settings.k1, k2=settings.k2, lam=settings.lam)
    return Result(
        dataset=dataset,
        protocol=protocol(evaluation.trial, precision),
        average_precision=STEP_AP,
        mean_ap=ranking.map_step,
        cmc_1=ranking.rank1,
        cmc_5=ranking.rank5,
        cmc_10=ranking.rank10,
        minp=ranking.minp,
        mean_ap_trapezoid=ranking.map_trapezoid,
        # What the network itself finds hard; re-ranked, the tables say much the same, and cards stay readable.
        by_viewpoint=None if rerank else _scores(evaluation.views),
        by_camera=None if rerank else _scores(evaluation.cameras),
        rerank=rerank,
        command=command,
    )


def _scores(table: GroupTable | None) -> GroupScores | None:
    if table is None or len(table.names) > _MOST_GROUPS:
        return None
    return GroupScores(
        names=table.names,
        mean_ap=tuple(tuple(None if isnan(ap) else ap for ap in row) for row in table.mean_ap.tolist()),
        queries=tuple(tuple(row) for row in table.queries.tolist()),
        source=table.source,
    )


def with_result(card: Card, result: Result) -> Card:
    """The card with this line; it takes the place of an earlier line of the same dataset, protocol and re-ranking."""

    def key(line: Result) -> tuple[object, ...]:
        return line.dataset, line.protocol, line.average_precision, line.rerank

    results = list(card.results)
    for place, line in enumerate(results):
        if key(line) == key(result):
            results[place] = result
            break
    else:
        results.append(result)
    return card.model_copy(update={"results": tuple(results)})
