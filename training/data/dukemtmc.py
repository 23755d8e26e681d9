"""DukeMTMC-reID (Zheng et al., ICCV 2017): Market-1501's folders, names like 0001_c2_f0046182.jpg.

Its 408 distractor people have numbers of their own; they are simply never queried.
"""

import re
from collections.abc import Mapping

from training.data.dataset import Dataset
from training.data.format import Format
from training.data.market_form import read_market_form

_NAME = re.compile(r"(?P<person>-1|\d{4})_c(?P<camera>\d)_f\d{7}\.(jpg|png)", re.ASCII)


def _load(place: str, _options: Mapping[str, str]) -> Dataset:
    return read_market_form(DUKEMTMC, place, _NAME, "0001_c2_f0046182.jpg", lambda _match: None)


DUKEMTMC = Format("dukemtmc", "dukemtmc:ROOT[,viewpoints=FILE]", ("viewpoints",), _load)
