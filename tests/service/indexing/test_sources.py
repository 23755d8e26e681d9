import csv
import io
import json
import os
import sys
import tarfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from service.images import LIMITS
from service.indexing import Failure, Folder, IndexingError, Manifest, TarFile, open_source, parse_pattern


def ids(source):
    return [found.facts.id for found in source if not isinstance(found, Failure)]


def failures(source):
    return [found for found in source if isinstance(found, Failure)]


# ---- folders


def test_a_folder_gives_its_pictures_in_the_order_of_names(tmp_path: Path, picture):
    for name in ("b/2.JPG", "b/10.png", "a.webp", "c/d/e.bmp", "B.jpeg"):
        picture(tmp_path / name)
    for name in ("notes.txt", ".hidden.jpg", "._a.jpg", ".git/x.jpg", "b/thumbs.db"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    source = Folder(tmp_path)
    assert source.total == 5
    assert ids(source) == ["B.jpeg", "a.webp", "b/10.png", "b/2.JPG", "c/d/e.bmp"]
    assert source.done == 5


def test_links_are_followed_and_loops_do_no_harm(tmp_path: Path, picture):
    picture(tmp_path / "elsewhere/x.jpg")
    root = tmp_path / "root"
    picture(root / "a/1.jpg")
    (root / "a/again").symlink_to(root)
    (root / "b").symlink_to(tmp_path / "elsewhere")
    (root / "c").symlink_to(root / "c")
    (root / "link.jpg").symlink_to(root / "a/1.jpg")
    assert ids(Folder(root)) == ["a/1.jpg", "b/x.jpg", "link.jpg"]


def test_a_link_to_nothing_is_not_passed_over(tmp_path: Path):
    (tmp_path / "lost.jpg").symlink_to(tmp_path / "nowhere")
    assert ids(Folder(tmp_path)) == ["lost.jpg"]


def test_a_name_that_is_no_text_is_a_failure_that_can_be_printed(tmp_path: Path, picture):
    picture(tmp_path / "good.jpg")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/b\xff.jpg")).write_bytes(b"x")
    [failure] = failures(Folder(tmp_path))
    assert failure.kind == "bad-facts"
    assert failure.place.encode().endswith(b"/b\\udcff.jpg")


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda root: None, "there is no picture below"),
        (lambda root: (root / "x.txt").write_text(""), "there is no picture below"),
    ],
)
def test_a_folder_without_pictures_is_a_sentence(tmp_path: Path, make, sentence):
    make(tmp_path)
    with pytest.raises(IndexingError, match=sentence):
        open_source(tmp_path)


def test_paths_that_a_pattern_does_not_match_are_failures_and_none_at_all_a_sentence(tmp_path: Path, picture):
    picture(tmp_path / "c1_a.jpg")
    picture(tmp_path / "portrait.jpg")
    assert [f.kind for f in failures(Folder(tmp_path, parse_pattern(r"(?P<camera>c\d)")))] == ["no-match"]
    with pytest.raises(IndexingError, match=r"matches none of the paths in .*; the first is 'c1_a.jpg'"):
        list(Folder(tmp_path, parse_pattern(r"(?P<camera>k\d)")))


def test_what_is_nothing_to_index_is_a_sentence(tmp_path: Path, picture):
    odd = tmp_path / "archive.zip"
    odd.write_bytes(b"PK")
    for arguments, sentence in (
        ((None,), "nothing to index"),
        ((tmp_path / "nowhere",), "there is no "),
        ((odd,), "of no known kind"),
        ((picture(tmp_path / "a.jpg"),), "of no known kind"),
        ((tmp_path, odd), "is no list of a known kind"),
        ((tmp_path, tmp_path / "none.csv"), "there is no file"),
        ((odd, tmp_path / "none.csv"), "is no folder"),
        ((None, tmp_path / "none.csv", "market1501"), "give one of the two"),
    ):
        with pytest.raises(IndexingError, match=sentence):
            open_source(*arguments)


# ---- tar files


def pack(path: Path, members, mode="w"):
    """members: names with bytes, or with a TarInfo's type and target."""
    with tarfile.open(path, mode) as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if isinstance(content, bytes):
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
            else:
                info.type, info.linkname = content
                archive.addfile(info)
    return path


@pytest.mark.parametrize(
    ("suffix", "mode"), [(".tar", "w"), (".tar.gz", "w:gz"), (".tgz", "w:gz"), (".tar.xz", "w:xz")]
)
def test_a_tar_file_gives_its_pictures_in_its_order(tmp_path: Path, suffix, mode):
    path = pack(tmp_path / f"x{suffix}", [("./b.jpg", b"B"), ("a/c.png", b"C"), ("notes.txt", b"")], mode)
    source = open_source(path)
    found = list(source)
    assert [(one.facts.id, one.content) for one in found] == [("b.jpg", b"B"), ("a/c.png", b"C")]
    assert found[1].place == f"{path}:a/c.png"
    assert source.done == source.total == path.stat().st_size


def test_members_lead_nowhere_outside(tmp_path: Path):
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    path = pack(
        tmp_path / "x.tar",
        [
            ("soft.jpg", (tarfile.SYMTYPE, str(tmp_path / "secret.jpg"))),
            ("hard.jpg", (tarfile.LNKTYPE, str(tmp_path / "secret.jpg"))),
            ("pipe.jpg", (tarfile.FIFOTYPE, "")),
            ("../up.jpg", b"up"),
            ("/root.jpg", b"root"),
            ("a/../../up.jpg", b"up"),
            ("._a.jpg", b"x"),
            ("a.jpg", b"A"),
        ],
    )
    found = list(TarFile(path))
    assert [one.content for one in found if not isinstance(one, Failure)] == [b"A"]
    assert len(failures(TarFile(path))) == 3
    assert all("leads outside the archive" in failure.problem for failure in failures(TarFile(path)))


def test_a_member_that_is_too_large_is_not_read(tmp_path: Path):
    path = tmp_path / "x.tar"
    with tarfile.open(path, "w") as archive:
        info = tarfile.TarInfo("huge.jpg")
        info.size = LIMITS.bytes + 1
        archive.addfile(info, io.BytesIO(bytes(info.size)))
        archive.addfile(tarfile.TarInfo("empty.jpg"))
    assert [failure.kind for failure in failures(TarFile(path))] == ["image-too-large", "undecodable-image"]


@pytest.mark.parametrize(("suffix", "mode"), [(".tar", "w"), (".tar.gz", "w:gz")])
def test_a_tar_file_that_is_cut_off_gives_what_it_has_and_a_failure(tmp_path: Path, suffix, mode):
    members = [(f"{i}.jpg", os.urandom(700)) for i in range(20)]
    whole = pack(tmp_path / f"whole{suffix}", members, mode).read_bytes()
    cut = tmp_path / f"cut{suffix}"
    for length in range(len(whole) // 2, len(whole) // 2 + 1500, 100):
        cut.write_bytes(whole[:length])
        found = list(TarFile(cut))
        assert isinstance(found[-1], Failure)
        assert "damaged or cut off" in found[-1].problem
        assert 5 < len(ids(found)) < 20


def test_damage_in_the_middle_of_a_tar_file_is_not_taken_for_its_end(tmp_path: Path):
    path = pack(tmp_path / "x.tar", [(f"{i}.jpg", b"x" * 512) for i in range(6)])
    content = bytearray(path.read_bytes())
    content[3 * 1024 : 3 * 1024 + 512] = b"?" * 512  # the fourth header
    path.write_bytes(content)
    found = list(TarFile(path))
    assert ids(found) == ["0.jpg", "1.jpg", "2.jpg"]
    assert isinstance(found[-1], Failure)


@pytest.mark.parametrize("content", [b"", b"no tar file at all" * 100])
def test_what_is_no_tar_file_is_a_sentence(tmp_path: Path, content):
    path = tmp_path / "x.tar"
    path.write_bytes(content)
    with pytest.raises(IndexingError, match="cannot be read as a tar file"):
        list(TarFile(path))


# ---- lists


ROWS = [
    {
        "path": "a/1.jpg",
        "id": "one",
        "camera": "c1",
        "captured_at": "2024-05-01T12:30:00Z",
        "person": "007",
        "tracklet": "t1",
        "viewpoint": "side",
        "quality": "0.5",
        "metadata": '{"door": 3}',
        "colour": "red",
    },
    {"path": "a/2.jpg"},
]


def write_list(path: Path, rows):
    if path.suffix == ".csv":
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_a_list_says_all_of_its_pictures(tmp_path: Path, suffix):
    source = Manifest(write_list(tmp_path / f"list{suffix}", ROWS))
    one, two = source
    facts = one.facts
    assert one.content == tmp_path / "a/1.jpg"
    assert (facts.id, facts.camera, facts.person, facts.tracklet, facts.quality) == ("one", "c1", "007", "t1", 0.5)
    assert facts.captured_at == datetime(2024, 5, 1, 12, 30, tzinfo=UTC)
    assert facts.viewpoint == (0, 1, 0)
    assert facts.metadata == {"door": 3, "colour": "red"}
    assert two.facts.id == "a/2.jpg"
    assert (two.facts.camera, two.facts.quality, two.facts.viewpoint, two.facts.metadata) == (None, None, None, {})
    assert (source.total, source.done) == (2, 2)


def test_paths_start_where_they_are_said_to(tmp_path: Path):
    path = write_list(tmp_path / "list.jsonl", [{"path": "1.jpg"}, {"path": "/far/2.jpg"}])
    assert [one.content for one in open_source(None, path)] == [
        tmp_path / "1.jpg",
        Path("/far/2.jpg"),
    ]
    (tmp_path / "there").mkdir()
    assert [one.content for one in open_source(tmp_path / "there", path)] == [
        tmp_path / "there/1.jpg",
        Path("/far/2.jpg"),
    ]
    assert [one.content for one in open_source(path)] == [tmp_path / "1.jpg", Path("/far/2.jpg")]


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ({"path": ""}, "path is ''"),
        ({"path": 3}, "path is 3"),
        ({"path": "a\0.jpg"}, "path is"),
        ({"id": "x"}, "path is None"),
        ({"path": "a.jpg", "id": "x" * 300}, "300 bytes"),
        ({"path": "a.jpg", "camera": 3}, "camera is 3: give a text"),
        ({"path": "a.jpg", "captured_at": "noon"}, "a time is 'noon'"),
        ({"path": "a.jpg", "captured_at": "2024-05-01"}, "without a time zone"),
        ({"path": "a.jpg", "viewpoint": "above"}, "viewpoint is 'above'"),
        ({"path": "a.jpg", "viewpoint": [1, 1, 1]}, "sum to 1"),
        ({"path": "a.jpg", "quality": "good"}, "quality is 'good'"),
        ({"path": "a.jpg", "quality": 2}, "quality is 2"),
        ({"path": "a.jpg", "quality": "nan"}, "quality is nan"),
        ({"path": "a.jpg", "metadata": "{"}, "is not JSON"),
        ({"path": "a.jpg", "metadata": [1]}, "give a JSON object"),
        ({"path": "a.jpg", "metadata": {"x": 1}, "x": 2}, "rename one"),
        ({"path": "a.jpg", "person_id": "7"}, "did you mean person"),
        ([1], "no JSON object"),
    ],
)
def test_a_row_that_cannot_be_right_is_a_failure_that_names_its_line(tmp_path: Path, row, sentence):
    path = write_list(tmp_path / "list.jsonl", [{"path": "good.jpg"}, row, {"path": "other.jpg"}])
    found = list(Manifest(path))
    assert ids(found) == ["good.jpg", "other.jpg"]
    [failure] = failures(found)
    assert failure.place == f"{path}:2"
    assert sentence in failure.problem


def test_three_numbers_in_a_cell_are_a_viewpoint(tmp_path: Path):
    path = tmp_path / "list.csv"
    path.write_text('path,viewpoint\na.jpg,"0.2,0.3,0.5"\nb.jpg,0.2 0.3 0.5\n')
    assert [one.facts.viewpoint for one in Manifest(path)] == [(0.2, 0.3, 0.5)] * 2


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("l.csv", b"", "must name its columns"),
        ("l.csv", b"file,camera\n", "must name its columns"),
        ("l.csv", b"path,path\na,b\n", "a column twice"),
        ("l.csv", b"path,cammera\na,b\n", "did you mean camera"),
        ("l.csv", b"path\n", "lists no picture"),
        ("l.csv", b"path\n\xff\n", "cannot be read"),
        ("l.csv", b'path\n"a\n', "cannot be read"),
        ("l.jsonl", b"\n\n", "lists no picture"),
        ("l.txt", b"a.jpg", "is no list of a known kind"),
    ],
)
def test_a_list_that_is_none_is_a_sentence(tmp_path: Path, name, content, sentence):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(IndexingError, match=sentence):
        Manifest(tmp_path / name)


def test_a_row_with_too_many_cells_is_a_failure(tmp_path: Path):
    (tmp_path / "l.csv").write_text("path,camera\na.jpg,c1,c2\nb.jpg,c1\n")
    found = list(Manifest(tmp_path / "l.csv"))
    assert ids(found) == ["b.jpg"]
    assert "3 cells and 2 columns" in failures(found)[0].problem


# ---- Parquet


def write_parquet(path: Path, rows, **types):
    pa = pytest.importorskip("pyarrow", reason="Parquet needs pyarrow, of the extra ray")
    from pyarrow import parquet

    path.parent.mkdir(parents=True, exist_ok=True)
    columns = dict.fromkeys(name for row in rows for name in row)
    arrays = {name: pa.array([row.get(name) for row in rows], types.get(name)) for name in columns}
    parquet.write_table(pa.table(arrays), path, row_group_size=2)
    return path


def test_parquet_is_a_list_too(tmp_path: Path):
    typed = [ROWS[0] | {"captured_at": datetime(2024, 5, 1, 12, 30, tzinfo=UTC), "quality": 0.5}, ROWS[1]]
    path = write_parquet(tmp_path / "list.parquet", typed)
    listed = write_list(tmp_path / "list.jsonl", ROWS)
    for given in ((path,), (None, path), (tmp_path, path)):
        source = open_source(*given)
        assert [repr(one.facts) for one in source] == [repr(one.facts) for one in Manifest(listed)]
        assert (source.total, source.done) == (2, 2)


def test_parquet_may_hold_the_pictures_themselves(tmp_path: Path):
    rows = [{"image": b"A", "id": "a"}, {"image": b"B", "path": "b.jpg", "camera": "c1"}, {"path": "c.jpg"}]
    path = write_parquet(tmp_path / "list.parquet", [*rows, {"image": b"D"}])
    found = list(open_source(path))
    assert [(one.facts.id, one.content) for one in found[:3]] == [
        ("a", b"A"),
        ("b.jpg", b"B"),
        ("c.jpg", tmp_path / "c.jpg"),
    ]
    assert (found[1].facts.camera, found[1].facts.metadata) == ("c1", {})
    assert found[3].place == f"{path}:4"
    assert "neither an id nor a path" in found[3].problem


def test_a_folder_of_parquet_is_read_file_by_file(tmp_path: Path, picture):
    for name in ("b/part-1.parquet", "a/part-2.PARQUET", "c.parquet"):
        write_parquet(tmp_path / "list" / name, [{"path": f"{name}.jpg"}])
    write_parquet(tmp_path / "list/.hidden.parquet", [{"path": "no.jpg"}])
    (tmp_path / "list/_SUCCESS").write_bytes(b"")
    source = open_source(tmp_path / "list")
    assert ids(source) == ["a/part-2.PARQUET.jpg", "b/part-1.parquet.jpg", "c.parquet.jpg"]
    assert (source.total, source.done) == (3, 3)
    assert next(iter(open_source(None, tmp_path / "list"))).content == tmp_path / "list/a/a/part-2.PARQUET.jpg"
    assert next(iter(open_source(tmp_path, tmp_path / "list"))).content == tmp_path / "a/part-2.PARQUET.jpg"
    picture(tmp_path / "list/d.jpg")
    assert ids(open_source(tmp_path / "list")) == ["d.jpg"]


def test_damage_in_a_parquet_file_is_a_failure_and_the_next_file_goes_on(tmp_path: Path):
    rows = [{"id": f"{number:03}", "image": os.urandom(3000)} for number in range(200)]
    path = write_parquet(tmp_path / "list/a.parquet", rows)
    write_parquet(tmp_path / "list/b.parquet", [{"id": "b", "image": b"B"}])
    content = bytearray(path.read_bytes())
    content[300_000:340_000] = bytes(40_000)
    path.write_bytes(content)
    found = ids(open_source(tmp_path / "list"))
    [failure] = failures(open_source(tmp_path / "list"))
    assert found[-1] == "b"
    assert found[:-1] == [f"{number:03}" for number in range(len(found) - 1)]
    assert 0 < len(found) < 150
    assert (failure.place, failure.kind) == (str(path), "unreadable")
    assert f"damaged somewhere after row {len(found) - 1}" in failure.problem


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ({"file": "a.jpg"}, "needs a column path or a column image; it has file"),
        ({"path": "a.jpg", "cammera": "c1"}, "did you mean camera"),
        ({"path": "a.jpg", "images": b"x"}, "did you mean image"),
        ({"image": "a.jpg", "id": "a"}, "the column image is string"),
    ],
)
def test_parquet_that_is_no_list_is_a_sentence(tmp_path: Path, row, sentence):
    with pytest.raises(IndexingError, match=sentence):
        open_source(write_parquet(tmp_path / "list.parquet", [row]))


def test_what_is_no_parquet_is_a_sentence(tmp_path: Path):
    pytest.importorskip("pyarrow", reason="Parquet needs pyarrow, of the extra ray")
    (tmp_path / "l.parquet").write_bytes(b"PAR1 and no more")
    (tmp_path / "empty").mkdir()
    for given, sentence in (
        ((tmp_path / "l.parquet",), "cannot be read as Parquet"),
        ((tmp_path / "none.parquet",), "there is no file"),
        ((None, tmp_path / "empty"), "there is no file below .* ends in .parquet"),
        ((tmp_path / "l.parquet", None, "market1501"), "give one of the two"),
        ((write_parquet(tmp_path / "p/x.parquet", [{"path": "a.jpg"}]).parent, None, "market1501"), "one of the two"),
    ):
        with pytest.raises(IndexingError, match=sentence):
            open_source(*given)


def test_parquet_without_its_library_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    (tmp_path / "l.parquet").write_bytes(b"PAR1")
    with pytest.raises(IndexingError, match=r"pip install 'vantage-reid\[ray\]', or write a list as CSV"):
        open_source(tmp_path / "l.parquet")
