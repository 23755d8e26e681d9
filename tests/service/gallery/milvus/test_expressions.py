"""What callers give never becomes part of the language in which Milvus is asked."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from hypothesis import HealthCheck, given
from hypothesis import settings as tried
from hypothesis import strategies as st

from service.gallery import Filter, GalleryEngine, GallerySettings, Probe, Search
from service.gallery.milvus.expressions import meets, one_of, quoted

texts = st.text(
    st.characters(exclude_categories=("Cc", "Cs")) | st.sampled_from("\"'\\%{}[]()$`\u2028\ufeff"),
    min_size=1,
    max_size=20,
)


@given(texts)
def test_a_quoted_text_has_no_character_that_could_end_it_and_says_what_it_was(text: str) -> None:
    inner = quoted(text)[1:-1]
    assert re.fullmatch(r"([A-Za-z0-9]|\\U[0-9a-f]{8})*", inner)
    assert re.sub(r"\\U([0-9a-f]{8})", lambda found: chr(int(found[1], 16)), inner) == text


def test_a_filter_that_allows_nothing_is_not_one_that_allows_everything() -> None:
    assert meets(Filter()) == ""
    assert one_of("camera", ()) == "key < 0"
    for nothing in (Filter(cameras=()), Filter(persons=()), Filter(tracklets=()), Filter(viewpoints=())):
        assert meets(nothing) == "(key < 0)"


NASTY = (
    'a"b', "a'b", "a\\", '\\"', '"] or key > 0 or id in ["', "%s", "{x}", "$meta", "or 1==1", "é", "日本", "😀",
    "\u2028", "\ufeff", "\\u0041", "\\x41", "--", "/*", "`", "  ", "\U0010ffff", "e\u0301", "null", "true", "1",
)  # fmt: skip


def test_strange_ids_and_labels_are_found_and_nothing_else_is(
    milvus: GalleryEngine, settings: GallerySettings, crowd: Any
) -> None:
    milvus.create("g", settings)
    milvus.add(
        "g",
        [
            replace(crowd.items[n], id=text, camera=text, person=text, tracklet=text, metadata={text: text, "n": n})
            for n, text in enumerate(NASTY)
        ],
    )
    for n, text in enumerate(NASTY):
        assert milvus.get("g", text).metadata == {text: text, "n": n}
        for filter in (
            Filter(cameras=(text,)),
            Filter(persons=(text,)),
            Filter(tracklets=(text,)),
            Filter(metadata={text: text}),
        ):
            assert [item.id for item in milvus.list("g", filter).items] == [text]
            found = milvus.search("g", Search(probe=Probe(vectors=crowd.items[0].vector), filter=filter, rerank="off"))
            assert [hit.item.id for hit in found.hits] == [text]
        assert milvus.count("g", Filter(not_cameras=(text,))) == len(NASTY) - 1
    assert milvus.delete("g", ids=NASTY[:5]).ids == NASTY[:5]
    assert [item.id for item in milvus.list("g", limit=100).items] == list(NASTY[5:])


@tried(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    wanted=st.lists(texts, min_size=1, max_size=4),
    value=texts | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.booleans() | st.none(),
)
def test_any_filter_of_texts_is_understood_and_met_by_nobody(
    milvus: GalleryEngine, settings: GallerySettings, crowd: Any, wanted: list[str], value: Any
) -> None:
    if "g" not in milvus.galleries():
        milvus.create("g", settings)
        milvus.add("g", [replace(crowd.items[0], camera="\x20the only one", person=None, tracklet=None)])
    labels = tuple(text for text in wanted if text != "\x20the only one")
    for filter in (
        Filter(cameras=labels),
        Filter(persons=labels, tracklets=labels),
        Filter(metadata={wanted[0]: value}),
    ):
        assert milvus.count("g", filter) == 0
    assert milvus.count("g", Filter(not_cameras=labels)) == 1


def test_times_before_1970_and_far_ahead_are_told_from_no_time(
    milvus: GalleryEngine, settings: GallerySettings, crowd: Any, changed: Callable[..., Any]
) -> None:
    milvus.create("g", settings)
    times = [
        None,
        datetime(1, 1, 2, tzinfo=UTC),
        datetime(1969, 12, 31, tzinfo=UTC),
        datetime(9999, 12, 30, tzinfo=UTC),
    ]
    milvus.add("g", [changed(crowd.items[n], id=str(n), captured_at=time) for n, time in enumerate(times)])
    assert [item.captured_at for item in milvus.list("g").items] == times
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    assert [item.id for item in milvus.list("g", Filter(time_to=epoch)).items] == ["1", "2"]
    assert [item.id for item in milvus.list("g", Filter(time_from=epoch)).items] == ["3"]
