"""The rows of an ablation: which recipe, at which size, and from which weights it starts."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath

from training.fit_errors import RecipeError
from training.recipe import Recipe
from training.recipe_reading import read_recipe

_OF_THE_ROW = ("neck", "head", "scale", "margin", "local_parts", "embedding_dim")  # belong to what is compared


@dataclass(frozen=True, slots=True)
class Row:
    """recipe: a name or a .toml file. after: the label of the row whose backbone it starts from, of the same seed."""

    recipe: str
    after: str | None = None

    @property
    def name(self) -> str:
        return PurePath(self.recipe).stem if self.recipe.endswith(".toml") else self.recipe

    @property
    def label(self) -> str:
        return self.name if self.after is None else f"{self.name}@{self.after}"


def parse_rows(text: str) -> tuple[Row, ...]:
    """`xent,va,sn@xent`: three rows, of which the last starts from what the first has learned."""
    rows: list[Row] = []
    for word in filter(None, (word.strip() for word in text.split(","))):
        recipe, at, after = word.partition("@")
        if not recipe or (at and not after):
            raise RecipeError(f"{word!r} is no row: write RECIPE, or RECIPE@ROW to start from what ROW has learned")
        earlier = [row.label for row in rows]
        if after and after not in earlier:
            raise RecipeError(
                f"{word} starts from {after}, which is none of the rows before it "
                f"({', '.join(earlier) or 'there is none'}): put {after} before it"
            )
        rows.append(Row(recipe, after or None))
    if not rows:
        raise RecipeError("there is no row to run: name recipes, as in xent,va")
    label, count = Counter(row.label for row in rows).most_common(1)[0]
    if count > 1:
        raise RecipeError(f"{label} stands {count} times among the rows: name it once")
    return tuple(rows)


def row_recipe(row: Row, base: str | None = None, epochs: int | None = None) -> Recipe:
    """The recipe of a row; its weights are still those of the file.

    base: the recipe whose network, batches, optimiser, schedule and augmentation all rows get; of its own a row keeps
    its loss and what belongs to it in the network: neck, head, parts and dimension. None: each recipe as it stands.
    """
    own = read_recipe(row.recipe)
    recipe = own
    if base is not None:
        shared = read_recipe(base)
        kept = {name: getattr(own.network, name) for name in _OF_THE_ROW}
        recipe = replace(
            shared,
            name=own.name,
            description=f"{own.description}; all else as in {shared.name}",
            loss=own.loss,
            network=replace(shared.network, **kept),
        )
    return recipe if epochs is None else replace(recipe, schedule=replace(recipe.schedule, epochs=epochs))


def recipes_of(rows: Sequence[Row], base: str | None, epochs: int | None) -> dict[str, Recipe]:
    """By label. Rows that hold out different people cannot be compared, which is an error."""
    recipes = {row.label: row_recipe(row, base, epochs) for row in rows}
    (first, wanted), *others = ((label, recipe.run.hold_out) for label, recipe in recipes.items())
    for label, hold_out in others:
        if hold_out != wanted:
            raise RecipeError(
                f"hold_out is {wanted} in {first} and {hold_out} in {label}, so they would be judged by different "
                "people: give both the same, or run both on one --base"
            )
    return recipes
