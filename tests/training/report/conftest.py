"""The model that is one matrix and the folders of coloured people, which the tests of the evaluation made."""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

_FILE = Path(__file__).parents[1] / "evaluation" / "conftest.py"
_spec = spec_from_file_location("made_up_people", _FILE)
assert _spec is not None
assert _spec.loader is not None
_module = sys.modules["made_up_people"] = module_from_spec(_spec)
_spec.loader.exec_module(_module)

linear_model, colourful_market = _module.linear_model, _module.colourful_market
