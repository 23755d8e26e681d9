import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

import models
from models.bundle import ZOO, Bundle, list_bundles
from models.card import Card, Section
from models.crops import Crops
from models.session import Session

README = (ZOO / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def example() -> str:
    (text,) = re.findall(r"```json\n(.*?)```", README, flags=re.DOTALL)
    return str(text)


def test_the_example_card_is_complete_and_written_as_vantage_writes_it(example: str, tmp_path: Path) -> None:
    card = Card.parse(example)
    card.save(tmp_path / "card.json")
    assert (tmp_path / "card.json").read_text() == example


def test_the_model_that_the_example_describes_runs(
    example: str,
    make_onnx: Callable[..., onnx.ModelProto],
    make_bundle: Callable[..., Path],
    make_card: Callable[..., Card],
) -> None:
    described = Card.parse(example)
    small = {"height": 8, "width": 4}
    card = described.model_copy(
        update={
            "input": described.input.model_copy(update=small),
            "embedding": described.embedding.model_copy(update={"dimension": 6}),
        }
    )
    session = Session(Bundle.open(make_bundle(card, make_onnx(card))), device="cpu", threads=1)
    crops = Crops(np.random.default_rng(0).integers(0, 256, (11, 8, 4, 3), dtype=np.uint8))
    assert session.embed(crops).vectors.shape == (11, 6)


def test_every_key_of_a_hand_written_section_is_explained() -> None:
    explained = README.split("## What the keys mean")[1]
    for section in (Card, models.Licence, models.InputSpec, models.Outputs, models.EmbeddingSpec, models.Training):
        assert issubclass(section, Section)
        for key in section.model_fields:
            if key != "schema_version":
                assert re.search(rf"\b{key}\b", explained), f"{section.__name__}.{key} is not explained"


@pytest.mark.parametrize("bundle", list_bundles(), ids=lambda path: path.name)
def test_every_bundle_of_the_zoo_opens(bundle: Path) -> None:
    card = Bundle.open(bundle).card
    assert card.name == bundle.name
    for variant in card.variants:
        Bundle.open(bundle, variant.precision)


def test_the_package_readme_names_every_module() -> None:
    readme = (ZOO.parent / "README.md").read_text(encoding="utf-8")
    for module in ZOO.parent.glob("[a-z]*.py"):
        assert f"`{module.name}`" in readme
    for test in re.findall(r"`(test_\w+\.py)`", readme):
        assert (Path(__file__).parent / test).is_file()
