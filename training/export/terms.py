"""The terms of the data that weights were learned from, where they are known; they may bind the weights too."""

from models import Licence
from training.export.errors import ExportError

_RESEARCH = "research only: the training data may not be used otherwise"

_KNOWN = {
    "synthetic": Licence(
        weights="Apache-2.0", training_data="synthetic people rendered by vantage: no person is shown, no terms"
    ),
    "market1501": Licence(
        weights=_RESEARCH,
        training_data="Market-1501 (Zheng et al., 2015): pictures of real people, for academic research only",
    ),
    "dukemtmc": Licence(
        weights=_RESEARCH,
        training_data="DukeMTMC-reID (Zheng et al., 2017): withdrawn by its authors in 2019, research only",
    ),
    "msmt17": Licence(
        weights=_RESEARCH,
        training_data="MSMT17 (Wei et al., 2018): given out under an agreement, for academic research only",
    ),
}


def licence_of(dataset: str, weights: str | None, training_data: str | None) -> Licence:
    """dataset: the name of the training dataset. The other two go before what is known of it."""
    known = _KNOWN.get(dataset)
    if known is None and (weights is None or training_data is None):
        raise ExportError(
            f"the terms of the training data ({dataset}) are not known: say them with --data-terms, and what the "
            "weights may be used for with --licence; a card without them would be of no use to whoever deploys it"
        )
    return Licence(
        weights=weights or (known.weights if known else ""),
        training_data=training_data or (known.training_data if known else ""),
    )
