from datetime import UTC, datetime

import pytest

from service.gallery import BadItemError, GalleryError
from service.indexing import IndexingError, parse_pattern, parse_time


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("0002_c1s1_000451_03.jpg", ("0002_c1s1_000451_03", "c1", "0002", "0002_c1s1", 451)),
        ("query/0330_c5s1_075798_00.jpg", ("query/0330_c5s1_075798_00", "c5", "0330", "0330_c5s1", 75798)),
        ("a/-1_c3s2_000002_01.jpg", ("a/-1_c3s2_000002_01", "c3", None, None, 2)),
        ("a/0000_c3s2_000002_01.jpg", ("a/0000_c3s2_000002_01", "c3", None, None, 2)),
        ("1488_c2s3_000002_01.jpg.jpg", ("1488_c2s3_000002_01.jpg", "c2", "1488", "1488_c2s3", 2)),
        ("0002_c1s1_000451_03.png", ("0002_c1s1_000451_03", "c1", "0002", "0002_c1s1", 451)),
    ],
)
def test_market1501_names_tell_person_camera_and_frame(path, expected):
    facts = parse_pattern("market1501")(path)
    assert (facts.id, facts.camera, facts.person, facts.tracklet, facts.metadata["frame"]) == expected


@pytest.mark.parametrize(
    "path", ["portrait.jpg", "0002_c1.jpg", "x0002_c1s1_000451_03.jpg", "12345_c1s1_000451_03.jpg"]
)
def test_other_names_are_not_of_market1501(path):
    assert parse_pattern("market1501")(path) is None


def test_named_groups_are_the_facts():
    read = parse_pattern(
        r"(?P<camera>[^/]+)/(?P<time>[^_]+)_(?P<person>p\d+)_(?P<tracklet>t\d+)_(?P<frame>\d+)_(?P<id>\w+)\."
    )
    facts = read("hall/20240501T123000Z_p7_t3_0042_abc.jpg")
    assert (facts.id, facts.camera, facts.person, facts.tracklet) == ("abc", "hall", "p7", "t3")
    assert facts.captured_at == datetime(2024, 5, 1, 12, 30, tzinfo=UTC)
    assert facts.metadata == {"frame": 42}
    assert read("elsewhere.jpg") is None


def test_without_a_group_for_it_the_id_is_the_path():
    assert parse_pattern(r"(?P<camera>c\d)")("a/c1_x.jpg").id == "a/c1_x.jpg"


def test_a_group_that_is_empty_or_took_no_part_says_nothing():
    facts = parse_pattern(r"^(?P<person>\d*)_(?P<camera>c\d)?(?P<frame>\d+)?")("_x.jpg")
    assert (facts.person, facts.camera, facts.metadata) == (None, None, {})


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("(", "is no regular expression"),
        (r"(?P<cam>c\d)", "a group 'cam': groups are called id, camera"),
        (r"c\d", "has no named group"),
        ("market", "has no named group"),
    ],
)
def test_a_pattern_that_cannot_be_meant_is_a_sentence(text, sentence):
    with pytest.raises(IndexingError, match=sentence):
        parse_pattern(text)


@pytest.mark.parametrize(
    ("text", "path", "sentence"),
    [
        (r"(?P<time>\w+)\.", "yesterday.jpg", "a time is 'yesterday'"),
        (r"(?P<time>[\w-]+)\.", "2024-05-01.jpg", "without a time zone"),
        (r"(?P<frame>\w+)\.", "x12.jpg", "a frame is 'x12'"),
        (r"(?P<camera>.+)/(?P<id>.+)", "c" * 300 + "/a.jpg", "camera is 300 bytes"),
    ],
)
def test_a_path_that_says_what_cannot_be_is_a_sentence(text, path, sentence):
    with pytest.raises(GalleryError, match=sentence):
        parse_pattern(text)(path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-05-01T12:30:00Z", datetime(2024, 5, 1, 12, 30, tzinfo=UTC)),
        ("2024-05-01T14:30:00+02:00", datetime(2024, 5, 1, 12, 30, tzinfo=UTC)),
        ("20240501T123000Z", datetime(2024, 5, 1, 12, 30, tzinfo=UTC)),
        ("1714566600", datetime(2024, 5, 1, 12, 30, tzinfo=UTC)),
        ("1714566600.5", datetime(2024, 5, 1, 12, 30, 0, 500_000, tzinfo=UTC)),
    ],
)
def test_times_are_read(text, expected):
    assert parse_time(text) == expected


@pytest.mark.parametrize("text", ["", "noon", "2024-13-01T00:00:00Z", "99999999999999"])
def test_other_times_are_a_sentence(text):
    with pytest.raises(BadItemError, match="write it like"):
        parse_time(text)
