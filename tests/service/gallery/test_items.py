"""What may be an item, a filter, a probe, a search: everything else is refused with the value and the remedy."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from models import Bundle
from models.bundle import ZOO
from service.gallery import (
    BadItemError,
    Feedback,
    Filter,
    GallerySettings,
    ModelMismatchError,
    NewItem,
    Probe,
    Search,
    check_gallery_name,
    require_model,
)

UNIT = np.array([0.6, 0.8], np.float32)


def item(**facts: Any) -> NewItem:
    return NewItem(**({"id": "a", "vector": UNIT} | facts))


@pytest.mark.parametrize("id", ["a", "ü" * 128, "a/b c?#%", "…", "0002_c1s1_000451_03.jpg", "\U0001f600"])
def test_an_id_is_any_printable_text_of_256_bytes(id: str) -> None:
    assert item(id=id).id == id


@pytest.mark.parametrize(
    ("id", "sentence"),
    [
        ("", "0 bytes"),
        ("ü" * 129, "258 bytes"),
        ("a\x00b", "control character"),
        ("a\nb", "control character"),
        ("\ud800", "UTF-8"),
        (7, "give a text"),
        (None, "give a text"),
    ],
)
def test_any_other_id_is_refused_with_the_reason(id: Any, sentence: str) -> None:
    with pytest.raises(BadItemError, match=sentence):
        item(id=id)


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        ({"vector": [[0.6, 0.8]]}, "one row"),
        ({"vector": []}, "one row"),
        ({"vector": [3.0, 4.0]}, "length 5"),
        ({"vector": [np.nan, 1.0]}, "length nan"),
        ({"vector": [0.0, 0.0]}, "length 0"),
        ({"camera": ""}, "camera is 0 bytes"),
        ({"camera": 3}, "camera is 3"),
        ({"person": "a\tb"}, "control character"),
        ({"captured_at": datetime(2026, 1, 1)}, "without a time zone"),
        ({"captured_at": datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=2)))}, "no time in UTC"),
        ({"viewpoint": (0.5, 0.5)}, "three numbers"),
        ({"viewpoint": (0.5, 0.5, 0.5)}, "sum to 1"),
        ({"viewpoint": (1.5, -0.5, 0.0)}, "sum to 1"),
        ({"viewpoint": (float("nan"), 0.5, 0.5)}, "sum to 1"),
        ({"quality": 1.1}, "from 0 to 1"),
        ({"quality": float("nan")}, "from 0 to 1"),
        ({"metadata": [1]}, "JSON object"),
        ({"metadata": {1: 2}}, "JSON object"),
        ({"metadata": {"a": float("inf")}}, "cannot be written as JSON"),
        ({"metadata": {"a": b""}}, "cannot be written as JSON"),
        ({"metadata": {"a": "x" * 8200}}, "at most 8192"),
        ({"metadata": {"a": "\ud800"}}, "cannot be written as JSON"),
        ({"crop_sha256": "AB" * 32}, "lower-case"),
    ],
)
def test_what_an_item_cannot_be_is_refused_in_a_sentence(facts: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadItemError, match=sentence):
        item(**facts)


def test_metadata_that_refers_to_itself_is_refused() -> None:
    loop: dict[str, Any] = {}
    loop["loop"] = loop
    with pytest.raises(BadItemError, match="cannot be written as JSON"):
        item(metadata=loop)


def test_times_are_kept_in_utc() -> None:
    there = datetime(2026, 7, 1, 14, tzinfo=timezone(timedelta(hours=2)))
    assert item(captured_at=there).captured_at == datetime(2026, 7, 1, 12, tzinfo=UTC)
    assert item(captured_at=there).captured_at.tzinfo is UTC  # type: ignore[union-attr]


def test_the_callers_vector_stays_writable_and_ours_is_not() -> None:
    mine = UNIT.copy()
    made = item(vector=mine)
    with pytest.raises(ValueError, match="read-only"):
        made.vector[0] = 1
    mine[0] = 0.6


@pytest.mark.parametrize(
    ("conditions", "sentence"),
    [
        ({"cameras": ("",)}, "a value of cameras is 0 bytes"),
        ({"viewpoints": ("top",)}, "use front, side, back"),
        ({"time_from": datetime(2026, 1, 1)}, "without a time zone"),
        ({"metadata": {"a": [1]}}, "give a text, a number"),
        ({"metadata": {"a": float("nan")}}, "no such number"),
    ],
)
def test_a_filter_that_means_nothing_is_refused(conditions: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadItemError, match=sentence):
        Filter(**conditions)


def test_only_a_filter_without_conditions_is_empty() -> None:
    assert Filter().empty
    assert not Filter(cameras=()).empty
    assert not Filter(metadata={"a": None}).empty


@pytest.mark.parametrize(
    ("probe", "sentence"),
    [
        ({}, "exactly one"),
        ({"item": "a", "vectors": UNIT}, "exactly one"),
        ({"item": "a", "camera": "c"}, "brings its own"),
        ({"item": ""}, "0 bytes"),
        ({"vectors": np.zeros((0, 2))}, "1 to 256 rows"),
        ({"vectors": np.ones((257, 2)) / np.sqrt(2)}, "1 to 256 rows"),
        ({"vectors": 2 * UNIT}, "length 2"),
        ({"vectors": UNIT, "weights": [1.0, 2.0]}, "give 1 numbers"),
        ({"vectors": UNIT, "weights": [-1.0]}, "none negative"),
        ({"vectors": UNIT, "weights": [0.0]}, "not all 0"),
        ({"vectors": UNIT, "name": "\x00"}, "control character"),
    ],
)
def test_a_probe_that_cannot_be_is_refused(probe: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadItemError, match=sentence):
        Probe(**probe)


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ({"k": 0}, "1 to 1000"),
        ({"k": 1001}, "1 to 1000"),
        ({"rerank": "exact"}, "off, online or local"),
        ({"group_by": "colour"}, "none, person, tracklet or camera"),
        ({"max_per_group": 0}, "at least 1"),
        ({"min_score": 1.5}, "from -1 to 1"),
        ({"exclude_same_camera_within_s": 5.0}, "needs the probe's camera"),
        ({"exclude_same_camera_within_s": float("nan")}, "0 or more"),
    ],
)
def test_a_search_that_cannot_be_is_refused(how: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadItemError, match=sentence):
        Search(probe=Probe(vectors=UNIT), **how)
    with pytest.raises(BadItemError, match="needs the probe's time"):
        Search(probe=Probe(vectors=UNIT, camera="c"), exclude_same_camera_within_s=5.0)


@pytest.mark.parametrize(
    ("pair", "sentence"),
    [
        ({"verdict": "maybe", "probe_name": "x"}, "same or different"),
        ({"verdict": "same"}, "exactly one"),
        ({"verdict": "same", "probe_name": "x", "probe_item": "b"}, "exactly one"),
        ({"verdict": "same", "probe_item": "a"}, "with itself"),
    ],
)
def test_feedback_that_cannot_be_is_refused(pair: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadItemError, match=sentence):
        Feedback(item="a", **pair)


def test_a_gallerys_settings_are_those_of_its_model_and_another_is_refused() -> None:
    card = Bundle.open(ZOO / "synthetic-tiny").card
    settings = GallerySettings.for_model(card, store_crops=True)
    assert (settings.model_name, settings.dimension, settings.store_crops) == (card.name, 128, True)
    require_model("g", settings, card.name, card.sha256)
    with pytest.raises(ModelMismatchError, match="vantage gallery reembed g"):
        require_model("g", settings, "another", "ab" * 32)
    with pytest.raises(ValidationError, match="stor_crops"):
        GallerySettings.for_model(card, stor_crops=True)


def test_a_gallerys_name_can_stand_in_an_address() -> None:
    assert check_gallery_name("a0.b-c_d") == "a0.b-c_d"
    for name in ("a\n", "-a", "A"):
        with pytest.raises(BadItemError, match="cannot be called"):
            check_gallery_name(name)
