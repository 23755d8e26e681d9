"""Recipes from TOML: found by name or by file, put on top of what they extend, and checked key by key."""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from training.errors import TrainingError
from training.fit_errors import RecipeError
from training.recipe import Recipe

RECIPES = Path(__file__).parent / "recipes"
_BASE = "base"  # what the shipped recipes share; names no loss and so is none itself

T = TypeVar("T")


def recipe_names() -> tuple[str, ...]:
    """The recipes that come with Vantage."""
    return tuple(sorted(path.stem for path in RECIPES.glob("*.toml") if path.stem != _BASE))


def read_recipe(name_or_file: str) -> Recipe:
    """A recipe by its name, or from a file if the text ends in .toml.

    A recipe with `extends = NAME_OR_FILE` is laid over that one: its tables key by key, except [loss], which is
    replaced as a whole, so that what a recipe minimises always stands in one place. A file is looked for from the
    folder of the recipe that names it.
    """
    path = _find(name_or_file, Path())
    return recipe_from(_laid_over(path, ()) | {"name": path.stem})


def recipe_from(table: Mapping[str, Any]) -> Recipe:
    """The recipe in a table: a TOML file's, or `dataclasses.asdict` of a recipe."""
    return _read(Recipe, table, "")


def _find(name_or_file: str, folder: Path) -> Path:
    if name_or_file.endswith(".toml"):
        path = folder / Path(name_or_file).expanduser()
        if not path.is_file():
            raise RecipeError(f"there is no recipe file {path}")
        return path
    path = RECIPES / f"{name_or_file}.toml"
    if "/" in name_or_file or not path.is_file():
        names = recipe_names()
        raise RecipeError(
            f"there is no recipe {name_or_file!r}{_nearest(name_or_file, names)}: known are {', '.join(names)}; "
            "a file of your own ends in .toml"
        )
    return path


def _laid_over(path: Path, above: tuple[Path, ...]) -> dict[str, Any]:
    if path.resolve() in above:
        raise RecipeError(f"{path} extends itself by way of {above[-1].name}: remove one `extends`")
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise RecipeError(f"the recipe {path} cannot be read: {error}") from error
    extends = table.pop("extends", None)
    if extends is None:
        return table
    if not isinstance(extends, str):
        raise RecipeError(f"extends is {extends!r} in {path}: give the name of a recipe or a .toml file")
    below = _laid_over(_find(extends, path.parent), (*above, path.resolve()))
    for key, value in table.items():
        both = isinstance(value, dict) and isinstance(below.get(key), dict) and key != "loss"
        below[key] = below[key] | value if both else value
    return below


def _read(kind: type[T], table: Mapping[str, Any], where: str) -> T:
    hints = get_type_hints(kind)
    for key in table:
        if key not in hints:
            raise RecipeError(f"{where}{key} is no key of a recipe{_nearest(key, hints)}: {_known(where, hints)}")
    values: dict[str, Any] = {}
    for field in fields(kind):  # type: ignore[arg-type]  # only dataclasses are read
        if field.name in table:
            values[field.name] = _value(hints[field.name], table[field.name], f"{where}{field.name}")
        elif field.default is MISSING and field.default_factory is MISSING:
            raise RecipeError(f"the recipe has no {where}{field.name}: add it")
    try:
        return kind(**values)
    except TrainingError as error:
        raise RecipeError(f"[{where.rstrip('.')}] {error}" if where else str(error)) from error


def _value(hint: Any, value: Any, where: str) -> Any:
    section = next((part for part in (hint, *get_args(hint)) if is_dataclass(part)), None)
    if section is not None:
        if isinstance(value, Mapping):
            return _read(section, value, f"{where}.")  # type: ignore[arg-type]  # a hint is a class
        if value is None and type(None) in get_args(hint):
            return None
        raise RecipeError(f"{where} is {value!r}: write it as a table, [{where}]")
    try:
        # By way of JSON, in whose strict form a list may become a tuple and a whole number a float, and nothing else.
        adapter: TypeAdapter[Any] = TypeAdapter(hint, config=ConfigDict(strict=True, allow_inf_nan=False))
        return adapter.validate_json(json.dumps(value))
    except ValidationError as error:
        wanted = " or ".join(
            dict.fromkeys(problem["msg"].replace("Input should be ", "") for problem in error.errors())
        )
        raise RecipeError(f"{where} is {value!r}: it should be {wanted}") from error
    except TypeError as error:  # a date
        raise RecipeError(f"{where} is {value}: no key of a recipe takes that") from error


def _known(where: str, hints: Mapping[str, Any]) -> str:
    return f"[{where.rstrip('.')}] takes {', '.join(hints)}" if where else f"a recipe takes {', '.join(hints)}"


def _nearest(word: str, known: Any) -> str:
    close = get_close_matches(word, list(known), 1)
    return f" (did you mean {close[0]}?)" if close else ""
