"""Dataset specs: how a dataset is named on the command line.

FORMAT:PLACE,key=value,key=value. The comma parts options because `?` and `&` mean something to shells; a comma that no
`key=` follows belongs to the text before it, so paths and patterns may contain commas.

>>> parse_spec("market1501:data/market,viewpoints=views.csv")
('market1501', 'data/market', {'viewpoints': 'views.csv'})
"""

import re
from pathlib import Path

from training.data.csv_list import CSV
from training.data.dataset import Dataset
from training.data.dukemtmc import DUKEMTMC
from training.data.errors import DataError
from training.data.folder import FOLDER
from training.data.format import Format, nearest
from training.data.market1501 import MARKET1501
from training.data.msmt17 import MSMT17
from training.data.synthetic_people import SYNTHETIC
from training.data.viewpoints import attach_viewpoints, read_viewpoints

FORMATS: dict[str, Format] = {f.name: f for f in (MARKET1501, DUKEMTMC, MSMT17, FOLDER, CSV, SYNTHETIC)}

_OPTION = re.compile(r"(?:^|,)([a-z][a-z0-9_]*)=")


def load_dataset(spec: str) -> Dataset:
    """The dataset that a spec names. Folders and lists are read, pictures are not."""
    name, place, options = parse_spec(spec)
    dataset = FORMATS[name].load(place, options)
    if "viewpoints" in options:
        dataset = attach_viewpoints(dataset, read_viewpoints(Path(options["viewpoints"]).expanduser()))
    return dataset


def parse_spec(spec: str) -> tuple[str, str, dict[str, str]]:
    """The format's name, the place and the options of a spec."""
    name, colon, rest = spec.partition(":")
    if name not in FORMATS:
        known = ", ".join(FORMATS)
        missing = "" if colon else " (a spec starts with the format's name and a colon)"
        raise DataError(
            f"{spec!r} names the dataset format {name!r}{missing}{nearest(name, FORMATS)}: known are {known}"
        )
    form = FORMATS[name]
    if not rest and not colon:
        raise DataError(f"{spec!r} is not a whole spec: write {form.syntax}")
    found = list(_OPTION.finditer(rest))
    starts = [match.start() for match in found] + [len(rest)]
    options: dict[str, str] = {}
    for match, end in zip(found, starts[1:], strict=True):
        key = match[1]
        if key not in form.options:
            known = ", ".join(form.options)
            raise DataError(f"{spec!r}: {name} has no option {key}{nearest(key, form.options)}: known are {known}")
        if key in options:
            raise DataError(f"{spec!r} gives the option {key} twice: remove one")
        options[key] = rest[match.end() : end]
        if not options[key]:
            raise DataError(f"{spec!r}: the option {key} has no value; write {form.syntax}")
    return name, rest[: starts[0]], options
