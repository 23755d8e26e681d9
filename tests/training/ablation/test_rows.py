from dataclasses import replace
from pathlib import Path

import pytest

from training.ablation import Row, parse_rows, row_recipe
from training.ablation.rows import recipes_of
from training.fit_errors import RecipeError
from training.recipe_reading import read_recipe


def test_rows_are_recipes_that_may_start_from_an_earlier_row():
    rows = parse_rows("xent, my/own.toml ,sn@xent,va@sn@xent,xent@own")
    assert rows[0] == Row("xent")
    assert [row.label for row in rows] == ["xent", "own", "sn@xent", "va@sn@xent", "xent@own"]
    assert [row.after for row in rows] == [None, None, "xent", "sn@xent", "own"]
    assert [row.name for row in rows] == ["xent", "own", "sn", "va", "xent"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "there is no row to run"),
        ("va,xent,va", "va stands 2 times among the rows"),
        ("@xent", "'@xent' is no row"),
        ("xent,sn@", "'sn@' is no row"),
        ("sn@xent,xent", "sn@xent starts from xent, which is none of the rows before it"),
        ("xent,sn@va", r"none of the rows before it \(xent\): put va before it"),
    ],
)
def test_what_is_no_list_of_rows_is_a_sentence(text, sentence):
    with pytest.raises(RecipeError, match=sentence):
        parse_rows(text)


def test_without_a_base_a_row_is_its_recipe():
    assert row_recipe(Row("va")) == read_recipe("va")
    assert row_recipe(Row("va"), epochs=3).schedule == replace(read_recipe("va").schedule, epochs=3)


@pytest.mark.parametrize("name", ["xent", "sn", "va_local", "va_sn"])
def test_on_a_base_a_row_keeps_its_loss_and_how_its_embedding_is_made(name):
    own, tiny = read_recipe(name), read_recipe("tiny")
    recipe = row_recipe(Row(name), "tiny")
    assert (recipe.name, recipe.loss) == (name, own.loss)
    assert recipe.network.neck == own.network.neck
    assert (recipe.network.local_parts, recipe.network.embedding_dim) == (
        own.network.local_parts,
        own.network.embedding_dim,
    )
    for shared in ("batch", "optimiser", "schedule", "augmentation", "run"):
        assert getattr(recipe, shared) == getattr(tiny, shared)
    for shared in ("backbone", "height", "width", "resize", "weights"):
        assert getattr(recipe.network, shared) == getattr(tiny.network, shared)


def test_the_recipes_beside_the_written_ablation_can_be_run():
    files = sorted((Path(__file__).parents[3] / "docs" / "ablation-synthetic").glob("*.toml"))
    assert [file.stem for file in files] == ["base", "ly_lv_03", "sn_16x4", "sn_separation_16x4", "xent"]
    recipes = recipes_of([Row(str(file)) for file in files], None, None)
    assert recipes["sn_16x4"].loss == read_recipe("sn").loss
    assert recipes["sn_separation_16x4"].loss == read_recipe("sn_separation").loss
    assert {recipe.network.neck for name, recipe in recipes.items() if name.startswith("sn")} == {"none"}


def test_rows_that_hold_out_different_people_are_refused(tmp_path: Path):
    (tmp_path / "other.toml").write_text(
        'extends = "xent"\ndescription = "x"\n[loss.cross_entropy]\n[run]\nhold_out = 7'
    )
    rows = parse_rows(f"xent,{tmp_path / 'other.toml'}")
    with pytest.raises(RecipeError, match=r"hold_out is 0\.1 in xent and 7 in other"):
        recipes_of(rows, None, None)
    assert set(recipes_of(rows, "tiny", None)) == {"xent", "other"}
