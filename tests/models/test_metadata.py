import json
from collections.abc import Callable

from models.card import Card, Parity
from models.metadata import disagreements, metadata_from_card


def test_every_fact_known_at_export_stands_in_the_metadata_as_json(make_card: Callable[..., Card]) -> None:
    card = make_card()
    metadata = metadata_from_card(card)
    assert sorted(metadata) == [
        f"vantage.{key}"
        for key in ("embedding", "input", "licence", "name", "outputs", "schema_version", "training", "version")
    ]
    assert json.loads(metadata["vantage.name"]) == "toy"
    assert json.loads(metadata["vantage.input"]) == json.loads(card.input.model_dump_json())


def test_facts_found_after_export_do_not_change_the_metadata(make_card: Callable[..., Card]) -> None:
    parity = Parity(max_abs_difference=0.0, min_cosine=1.0, crops=1)
    assert metadata_from_card(make_card()) == metadata_from_card(make_card(sha256="f" * 64, parity=parity))


def test_metadata_that_says_otherwise_is_reported_and_foreign_keys_are_not(make_card: Callable[..., Card]) -> None:
    card = make_card()
    assert disagreements(card, metadata_from_card(card) | {"author": "someone"}) == []
    assert disagreements(card, {}) == []
    assert disagreements(card, {"vantage.version": '"2"', "vantage.mood": '"good"'}) == [
        'its metadata says vantage.mood = "good", the card says nothing',
        'its metadata says vantage.version = "2", the card says "1"',
    ]
