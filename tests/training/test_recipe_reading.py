from dataclasses import asdict
from pathlib import Path

import pytest

from training.fit_errors import RecipeError
from training.recipe_reading import read_recipe, recipe_from, recipe_names

WHOLE = """
description = "mine"
[network]
backbone = "osnet_x0_25"
height = 64
width = 32
[loss.triplet]
[batch]
people = 4
pictures = 4
[optimiser]
kind = "adam"
lr = 1e-3
[schedule]
kind = "cosine"
epochs = 3
"""


def written(folder: Path, text: str, name: str = "mine.toml") -> str:
    path = folder / name
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("name", recipe_names())
def test_every_shipped_recipe_can_be_read_and_survives_being_saved(name: str) -> None:
    recipe = read_recipe(name)
    assert recipe.name == name
    assert recipe_from(asdict(recipe)) == recipe


def test_all_rows_of_both_papers_are_shipped() -> None:
    ablation = {"xent", "lsr", "ly", "ly_lv", "ly_lr", "va", "va_local"}
    assert ablation | {"sn", "sn_separation", "triplet", "va_sn", "tiny"} == set(recipe_names())


def test_the_rows_of_the_ablation_differ_in_their_loss_and_in_nothing_else() -> None:
    def rest(name: str) -> dict[str, object]:
        values = asdict(read_recipe(name))
        return {key: value for key, value in values.items() if key not in ("name", "description", "loss")}

    for name in ("lsr", "ly", "ly_lv", "ly_lr", "va", "va_sn"):
        assert rest(name) == rest("xent")
    for name in ("sn_separation", "triplet"):
        assert rest(name) == rest("sn")


def test_a_misspelt_key_is_named_with_the_nearest_right_one(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"batch\.pictres is no key of a recipe \(did you mean pictures\?\)"):
        read_recipe(written(tmp_path, WHOLE.replace("pictures", "pictres")))
    with pytest.raises(RecipeError, match=r"loss\.tripplet .*did you mean triplet\?"):
        read_recipe(written(tmp_path, WHOLE.replace("triplet", "tripplet")))
    with pytest.raises(RecipeError, match=r"shedule .*did you mean schedule\?"):
        read_recipe(written(tmp_path, WHOLE.replace("[schedule]", "[shedule]")))


@pytest.mark.parametrize(
    ("right", "wrong", "sentence"),
    [
        ("epochs = 3", 'epochs = "3"', r"schedule\.epochs is '3': it should be a valid integer"),
        ("epochs = 3", "epochs = true", r"schedule\.epochs is True: it should be a valid integer"),
        ("epochs = 3", "epochs = 2024-01-01", r"schedule\.epochs is 2024-01-01: no key"),
        ("lr = 1e-3", "lr = nan", r"optimiser\.lr is nan: it should be a finite number"),
        ("lr = 1e-3", "lr = -1.0", r"\[optimiser\] lr is -1\.0: give a learning rate above 0"),
        ('kind = "cosine"', 'kind = "cosin"', r"schedule\.kind is 'cosin': it should be 'cosine', 'step' or"),
        ('kind = "cosine"', 'kind = "step"', r"\[schedule\] milestones belong to"),
        ("[loss.triplet]", "[loss.angular]", r"\[loss\] there is no loss to learn from"),
        ("[loss.triplet]", "[loss.cross_entropy]\n[loss.label_smoothing]", "are alternatives"),
        ("[loss.triplet]", "[loss]\ntriplet = 3", r"loss\.triplet is 3: write it as a table"),
        ("[loss.triplet]", "[loss.viewpoint]\nlater_weight = 0.3", "belong together"),
        ("height = 64", "height = 8", r"\[network\] height is 8"),
        ("[loss.triplet]", "[loss.triplet]\n[augmentation]\nflip = 2", r"\[augmentation\] flip is 2"),
        ("people = 4\n", "", r"the recipe has no batch\.people: add it"),
        ("[batch]", "[batch", r"cannot be read"),
        ("[loss.triplet]", "local_parts = true\n[loss.viewpoint]", r"no loss that sees every part"),
    ],
)
def test_a_wrong_value_is_a_sentence_that_names_it(tmp_path: Path, right: str, wrong: str, sentence: str) -> None:
    with pytest.raises(RecipeError, match=sentence):
        read_recipe(written(tmp_path, WHOLE.replace(right, wrong)))


def test_a_recipe_lies_over_what_it_extends_key_by_key_but_for_its_loss(tmp_path: Path) -> None:
    written(tmp_path, WHOLE)
    text = 'description = "other"\nextends = "mine.toml"\n[loss.cross_entropy]\n[batch]\npeople = 8\n'
    recipe = read_recipe(written(tmp_path, text, "other.toml"))
    assert (recipe.name, recipe.batch.people, recipe.batch.pictures) == ("other", 8, 4)
    assert recipe.loss.triplet is None
    assert recipe.loss.cross_entropy is not None


def test_a_recipe_that_extends_itself_is_a_sentence(tmp_path: Path) -> None:
    written(tmp_path, 'extends = "b.toml"', "a.toml")
    with pytest.raises(RecipeError, match="extends itself by way of a"):
        read_recipe(written(tmp_path, 'extends = "a.toml"', "b.toml"))


def test_a_recipe_that_does_not_exist_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"no recipe 'tinny' \(did you mean tiny\?\): known are"):
        read_recipe("tinny")
    with pytest.raises(RecipeError, match="there is no recipe file"):
        read_recipe(str(tmp_path / "none.toml"))
