"""A method that takes its name, its words and its parameters from the function that describes its call."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any


def describe_by(described: Callable[..., Any], method: Callable[..., Any], *, without: int = 0) -> None:
    """without: so many of the first parameters, which the client brings itself."""
    signature = inspect.signature(described)
    own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    method.__name__ = method.__qualname__ = described.__name__
    method.__doc__ = described.__doc__
    method.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[own, *list(signature.parameters.values())[without:]], return_annotation=inspect.Signature.empty
    )
