"""Market-1501 (Zheng et al., ICCV 2015), and what `vantage-train data write` makes.

Files are named person_camera-and-sequence_frame_box: 0002_c1s1_000451_03.jpg. Person -1 is junk, 0000 a distractor.
Nineteen pictures of person 1488 and some of nobody end in .jpg.jpg. Frames count within a sequence, so they are no
common clock.
"""

import re
from collections.abc import Mapping

from training.data.dataset import Dataset
from training.data.format import Format
from training.data.market_form import read_market_form

_NAME = re.compile(r"(?P<person>-1|\d{4})_c(?P<camera>\d)s(?P<sequence>\d)_\d{6}_\d{2}(\.jpg)?\.(jpg|png)", re.ASCII)


def _tracklet(match: re.Match[str]) -> str | None:
    # all junk in one camera is no walk of one person
    return None if match["person"] in ("-1", "0000") else f"{match['person']}_c{match['camera']}s{match['sequence']}"


def _load(place: str, _options: Mapping[str, str]) -> Dataset:
    return read_market_form(MARKET1501, place, _NAME, "0002_c1s1_000451_03.jpg", _tracklet)


MARKET1501 = Format("market1501", "market1501:ROOT[,viewpoints=FILE]", ("viewpoints",), _load)
