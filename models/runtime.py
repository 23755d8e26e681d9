"""The one place that imports onnxruntime."""

import warnings
from types import ModuleType


def onnxruntime() -> ModuleType:
    """The onnxruntime module, imported when first needed: that takes a while, and `vantage --help` need not wait."""
    with warnings.catch_warnings():
        # A GPU build says so at import when CUDA's libraries are not loaded yet. providers.py loads them afterwards and
        # reports what is missing as an error, if a GPU is asked for at all.
        warnings.filterwarnings("ignore", message="Failed to register bundled CUDA plugin EP")
        import onnxruntime as module
    return module  # type: ignore[no-any-return]
