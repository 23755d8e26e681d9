import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.card import Calibration, Card, Parity, Rerank, Result, Threshold, Training, Variant
from models.errors import CardError
from retrieval.calibration import Calibration as MeasuredCalibration
from retrieval.score_histogram import ScoreHistogram

Cards = Callable[..., Card]


@pytest.fixture
def full_card(make_card: Cards) -> Card:
    """A card in which no optional section is null."""
    return make_card(
        viewpoint=True,
        variants=(Variant(file="model.fp16.onnx", sha256="1" * 64, precision="float16"),),
        training=Training(dataset="toys", recipe="toy.toml", seed=3, epochs=2, versions={"torch": "2.15.0"}),
        results=(
            Result(
                dataset="toys",
                protocol="single query",
                average_precision="trapezoid",
                mean_ap=0.5,
                cmc_1=0.6,
                cmc_5=0.7,
                cmc_10=0.8,
                minp=0.1,
                rerank=Rerank(mode="single", k1=20, k2=6, lam=0.3),
                command="vantage-train evaluate toy",
            ),
        ),
        calibration=Calibration(
            dataset="toys",
            bins=4,
            same=(0, 0, 1, 9),
            different=(5, 5, 9, 1),
            same_pairs=10,
            different_pairs=20,
            thresholds=(
                Threshold(false_accept_rate=0.05, threshold=0.5, true_accept_rate=0.9, negatives=20, positives=10),
            ),
            metric="cosine",
            command="vantage-train evaluate toy",
        ),
        uncalibrated_because=None,
        parity=Parity(max_abs_difference=1e-6, min_cosine=0.999999, crops=64),
    )


@pytest.fixture
def problem_of(make_card: Cards) -> Callable[[Callable[[dict[str, Any]], object]], str]:
    """The error text of a good card after `spoil` has changed its JSON."""

    def problem_of(spoil: Callable[[dict[str, Any]], object]) -> str:
        document = json.loads(make_card().model_dump_json())
        spoil(document)
        with pytest.raises(CardError) as caught:
            Card.parse(json.dumps(document))
        return str(caught.value)

    return problem_of


def test_a_saved_card_loads_as_it_was(full_card: Card, tmp_path: Path) -> None:
    full_card.save(tmp_path / "card.json")
    assert Card.load(tmp_path / "card.json") == full_card


def test_saving_twice_gives_the_same_bytes_in_the_order_of_the_schema(full_card: Card, tmp_path: Path) -> None:
    full_card.save(tmp_path / "one")
    Card.load(tmp_path / "one").save(tmp_path / "two")
    text = (tmp_path / "one").read_text()
    assert text == (tmp_path / "two").read_text()
    assert list(json.loads(text)) == list(Card.model_fields)


def test_a_saved_card_is_indented_with_lists_of_numbers_on_one_line(full_card: Card, tmp_path: Path) -> None:
    full_card.save(tmp_path / "card.json")
    lines = (tmp_path / "card.json").read_text().splitlines()
    assert '  "name": "toy",' in lines
    assert '    "same": [0, 0, 1, 9],' in lines


def test_an_unknown_key_is_named_with_the_nearest_right_one(problem_of: Any) -> None:
    def misspell(document: dict[str, Any]) -> None:
        document["input"]["heigth"] = document["input"].pop("height")

    lines = problem_of(misspell).splitlines()
    assert lines == [
        "card.json: input.height is missing",
        "card.json: input.heigth is not a key of a card; did you mean input.height?",
    ]


def test_an_unknown_key_like_no_other_is_answered_with_the_keys_there_are(problem_of: Any) -> None:
    message = problem_of(lambda document: document["licence"].update(xyzzy=1))
    assert message == "card.json: licence.xyzzy is not a key of a card; this section knows weights, training_data"


def test_a_misspelt_key_inside_a_list_is_named_with_its_place(full_card: Card) -> None:
    document = json.loads(full_card.model_dump_json())
    document["results"][0]["cmc1"] = document["results"][0].pop("cmc_1")
    document["calibration"]["thresholds"][0]["treshold"] = 0.5
    with pytest.raises(CardError) as caught:
        Card.parse(json.dumps(document))
    assert "results[0].cmc1 is not a key of a card; did you mean results[0].cmc_1?" in str(caught.value)
    assert "calibration.thresholds[0].treshold is not a key of a card; did you mean" in str(caught.value)


@pytest.mark.parametrize(
    ("section", "key", "value", "expected"),
    [
        ("input", "height", "256", "input.height is '256': it should be a valid integer"),
        ("input", "height", True, "input.height is True: it should be a valid integer"),
        ("input", "height", 0, "input.height is 0: it should be greater than or equal to 1"),
        ("input", "layout", "NWHC", "input.layout is 'NWHC': it should be 'NHWC' or 'NCHW'"),
        ("input", "scale", 0.5, "input: dtype is uint8, so the graph normalises by itself and scale must be null"),
        ("embedding", "normalised", 1, "embedding.normalised is 1: it should be a valid boolean"),
        ("embedding", "dimension", None, "embedding.dimension is None: it should be a valid integer"),
        ("licence", "weights", " ", "licence.weights is ' ': String should match"),
    ],
)
def test_a_wrong_value_is_named_by_its_dotted_key(
    problem_of: Any, section: str, key: str, value: object, expected: str
) -> None:
    assert f"card.json: {expected}" in problem_of(lambda document: document[section].update({key: value}))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"sha256": "ABC"}, "sha256 is 'ABC'"),
        ({"name": "../escape"}, "name is '../escape'"),
        ({"schema_version": 0}, "schema_version is 0"),
        ({"schema_version": "1"}, "schema_version is '1'"),
        ({"uncalibrated_because": None}, "calibration is null, so uncalibrated_because must say why"),
        ({"results": None}, "results is None"),
        ({"input": []}, "input is []"),
    ],
)
def test_a_wrong_value_at_the_top_is_named(problem_of: Any, changes: dict[str, object], expected: str) -> None:
    assert f"card.json: {expected}" in problem_of(lambda document: document.update(changes))


@pytest.mark.parametrize("file", ["../model.onnx", "/model.onnx", "a/b.onnx", ".hidden.onnx", "model.bin", "a\\b.onnx"])
def test_a_variant_outside_the_bundle_is_refused(problem_of: Any, file: str) -> None:
    variant = {"file": file, "sha256": "1" * 64, "precision": "float16"}
    assert "variants[0].file is " in problem_of(lambda document: document.update(variants=[variant]))


@pytest.mark.parametrize(
    ("file", "precision", "expected"),
    [
        ("model.onnx", "float16", "name a file twice or name model.onnx again"),
        ("other.onnx", "float32", "two files have the same precision"),
    ],
)
def test_variants_must_differ_from_the_model_and_each_other(
    problem_of: Any, file: str, precision: str, expected: str
) -> None:
    variant = {"file": file, "sha256": "1" * 64, "precision": precision}
    assert expected in problem_of(lambda document: document.update(variants=[variant]))


def test_mean_and_std_belong_together_and_std_is_positive(make_spec: Callable[..., object]) -> None:
    with pytest.raises(ValueError, match="mean and std belong together"):
        make_spec(dtype="float32", mean=(0.5, 0.5, 0.5))
    with pytest.raises(ValueError, match=r"std is \[1.0, 0.0, 1.0\]: every entry must be above 0"):
        make_spec(dtype="float32", mean=(0.5, 0.5, 0.5), std=(1.0, 0.0, 1.0))


def test_a_newer_schema_is_refused_before_its_keys_are_looked_at(problem_of: Any) -> None:
    message = problem_of(lambda document: document.update(schema_version=2, a_key_of_tomorrow=1))
    assert message.startswith("card.json has schema_version 2, newer than 1")
    assert "a_key_of_tomorrow" not in message
    assert "upgrade vantage" in message


@pytest.mark.parametrize("text", ["", "{", "nonsense", "[" * 100_000, "{} {}"])
def test_what_is_not_json_is_a_sentence(text: str) -> None:
    with pytest.raises(CardError, match=r"^card.json is not JSON: "):
        Card.parse(text)


@pytest.mark.parametrize("text", ["[]", "null", "3", '"card"'])
def test_json_that_is_no_object_is_a_sentence(text: str) -> None:
    with pytest.raises(CardError, match="the card is "):
        Card.parse(text)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999"])
def test_numbers_that_are_none_are_refused(make_card: Cards, number: str) -> None:
    text = make_card(spec={"dtype": "float32", "scale": 0.5}).model_dump_json().replace("0.5", number)
    with pytest.raises(CardError, match=r"input\.scale is (nan|inf)"):
        Card.parse(text)


def test_a_repeated_key_is_refused(make_card: Cards) -> None:
    text = make_card().model_dump_json().replace('"height":', '"height":1,"height":', 1)
    with pytest.raises(CardError, match="the key height stands twice"):
        Card.parse(text)


def test_a_file_that_cannot_be_read_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(CardError, match=r"missing\.json cannot be read"):
        Card.load(tmp_path / "missing.json")
    with pytest.raises(CardError, match="cannot be read"):
        Card.load(tmp_path)
    (tmp_path / "latin").write_bytes(b'{"name": "\xe9"}')
    with pytest.raises(CardError, match="latin cannot be read"):
        Card.load(tmp_path / "latin")


def test_a_card_that_could_not_be_loaded_is_not_written(make_card: Cards, tmp_path: Path) -> None:
    broken = make_card().model_copy(update={"sha256": "none"})
    with pytest.raises(CardError, match="sha256 is 'none'"):
        broken.save(tmp_path / "card.json")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"bins": 5}, "same has 4 counts, but bins is 5"),
        ({"different_pairs": 21}, "different adds up to 20 pairs, but different_pairs is 21"),
        ({"thresholds": []}, "there are no thresholds, so reason must say why"),
        ({"same": [0, 0, -1, 11]}, r"calibration.same\[2\] is -1"),
    ],
)
def test_a_calibration_must_add_up(full_card: Card, changes: dict[str, object], expected: str) -> None:
    document = json.loads(full_card.model_dump_json())
    document["calibration"].update(changes)
    with pytest.raises(CardError, match=expected):
        Card.parse(json.dumps(document))


def test_thresholds_run_from_loose_to_strict(full_card: Card) -> None:
    document = json.loads(full_card.model_dump_json())
    first = document["calibration"]["thresholds"][0]
    strict = {"false_accept_rate": 0.01, "threshold": 0.6, "true_accept_rate": 0.8}
    for change in ({}, {"false_accept_rate": 0.05}, {"threshold": 0.4}, {"true_accept_rate": 0.95}):
        document["calibration"]["thresholds"] = [first, first | strict | change]
        if not change:
            Card.parse(json.dumps(document))
            continue
        with pytest.raises(CardError, match="thresholds are out of order"):
            Card.parse(json.dumps(document))


def test_a_card_is_either_calibrated_or_says_why_not(full_card: Card) -> None:
    document = json.loads(full_card.model_dump_json())
    document["uncalibrated_because"] = "forgotten"
    with pytest.raises(CardError, match="there is a calibration, so uncalibrated_because must be null"):
        Card.parse(json.dumps(document))


def test_a_card_holds_what_retrieval_measures_and_gives_it_back(make_card: Cards, tmp_path: Path) -> None:
    counts = np.arange(512)
    measured = MeasuredCalibration.from_histogram(
        ScoreHistogram(same=counts, different=counts[::-1] * 100), dataset="toys", command="evaluate toy"
    )
    section = Calibration.model_validate_json(json.dumps(measured.to_dict()))
    make_card(calibration=section, uncalibrated_because=None).save(tmp_path / "card.json")
    loaded = Card.load(tmp_path / "card.json").calibration
    assert loaded is not None
    assert len(loaded.thresholds) > 0
    assert MeasuredCalibration.from_dict(loaded.model_dump()) == measured


def test_a_card_cannot_be_changed_in_place(make_card: Cards) -> None:
    card: Any = make_card()
    with pytest.raises(ValueError, match="frozen"):
        card.name = "other"
    with pytest.raises(ValueError, match="frozen"):
        card.input.height = 3
