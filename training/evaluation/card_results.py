"""An evaluation as a line of the model's card."""

from models import Card, Rerank, Result
from training.evaluation.describe import STEP_AP, protocol
from training.evaluation.evaluate import Evaluation


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
        rerank=rerank,
        command=command,
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
