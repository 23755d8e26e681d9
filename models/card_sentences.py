"""Turn pydantic's list of problems into one sentence per problem, each naming the dotted key."""

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails


def sentences(error: ValidationError, model: type[BaseModel]) -> list[str]:
    """One sentence for each problem that validating `model` found, in the order of the file."""
    return [_sentence(problem, model) for problem in error.errors()]


def dotted(location: Sequence[str | int]) -> str:
    """`("results", 0, "cmc_1")` as a reader writes it: `results[0].cmc_1`."""
    text = ""
    for step in location:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def _sentence(problem: ErrorDetails, model: type[BaseModel]) -> str:
    location = problem["loc"]
    key = dotted(location)
    kind = problem["type"]
    if kind == "missing":
        return f"{key} is missing"
    if kind == "extra_forbidden":
        names = _keys_of(_section_at(model, location[:-1]))
        close = get_close_matches(str(location[-1]), names, n=1)
        if close:
            return f"{key} is not a key of a card; did you mean {dotted([*location[:-1], close[0]])}?"
        return f"{key} is not a key of a card; this section knows {', '.join(names)}"
    if kind == "value_error":  # raised by a validator of ours, whose message already is a sentence
        message = str(problem["ctx"]["error"])
        return f"{key}: {message}" if key else message
    wanted = problem["msg"].replace("Input should", "it should")
    return f"{key or 'the card'} is {_shortened(problem['input'])}: {wanted}"


def _shortened(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _section_at(model: type[BaseModel], location: Sequence[str | int]) -> type[BaseModel]:
    section = model
    for step in location:
        if isinstance(step, str):  # an integer is a place in a list, whose members are all of one section
            section = next(_sections_in(section.model_fields[step].annotation))
    return section


def _sections_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The card sections that an annotation such as `tuple[Result, ...]` or `Parity | None` is made of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _sections_in(argument)


def _keys_of(section: type[BaseModel]) -> list[str]:
    return list(section.model_fields)
