import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from models import Bundle, Session, to_crops
from service.decoding import Task, decode, open_decoders
from service.gallery import GallerySettings, ModelMismatchError, NewItem
from service.indexing import (
    Embedder,
    Failure,
    FailureReport,
    Folder,
    IndexingError,
    IndexingRun,
    Manifest,
    Shard,
    Tally,
)
from service.indexing.reembed import Reembedding


@pytest.fixture
def folder(tmp_path: Path, picture) -> Path:
    for number in range(11):
        picture(tmp_path / f"pictures/c{number % 2}/{number:02}.png", number)
    return tmp_path / "pictures"


def run(engine, source, embedder, gallery="g", **options):
    failed: list[Failure] = []
    tally = IndexingRun(engine, gallery, source, embedder, decoders=0, failed=failed.append, **options)()
    return tally, failed


def vectors_of(engine, gallery="g"):
    return {item.id: item.vector for item in engine.list(gallery, vectors=True, limit=1000).items}


def test_pictures_are_found_by_the_vectors_that_the_model_gives_them(engine, embedder, folder, bundle_folder):
    tally, failed = run(engine, Folder(folder), embedder, commit_every=3)
    assert (tally, failed) == (Tally(added=11), [])
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.png"))
    session = Session(Bundle.open(bundle_folder), device="cpu")
    expected = session.embed(to_crops([Image.open(folder / name) for name in names], session.card.input)).vectors
    found = vectors_of(engine)
    assert list(found) == names  # in the order of the source
    np.testing.assert_allclose(np.stack(list(found.values())), expected, atol=2e-3)  # stored in half precision
    item = engine.get("g", names[0])
    assert item.crop_sha256 == hashlib.sha256((folder / names[0]).read_bytes()).hexdigest()
    np.testing.assert_allclose(item.viewpoint, [1 / 3] * 3, atol=1e-3)
    assert not item.has_crop


def test_a_second_run_changes_nothing(engine, embedder, folder):
    run(engine, Folder(folder), embedder)
    before = engine.info("g").change
    assert run(engine, Folder(folder), embedder) == (Tally(unchanged=11), [])
    assert engine.info("g").change == before


def test_what_is_known_is_not_decoded(engine, embedder, folder, monkeypatch):
    run(engine, Folder(folder), embedder)

    def refuse(*_):
        raise AssertionError("a picture was decoded")

    monkeypatch.setattr("service.decoding.open_crop", refuse)
    assert run(engine, Folder(folder), embedder) == (Tally(unchanged=11), [])


def test_a_changed_picture_is_replaced_and_a_new_one_added(engine, embedder, folder, picture):
    run(engine, Folder(folder), embedder)
    before = vectors_of(engine)
    picture(folder / "c0/00.png", 99)
    picture(folder / "c5/new.png", 100)
    assert run(engine, Folder(folder), embedder) == (Tally(added=1, replaced=1, unchanged=10), [])
    after = vectors_of(engine)
    assert [name for name in before if not np.array_equal(before[name], after[name])] == ["c0/00.png"]


@pytest.mark.parametrize(
    "fact",
    [
        {"camera": "c2"},
        {"captured_at": "2024-05-01T12:30:01Z"},
        {"person": "8"},
        {"tracklet": "t2"},
        {"viewpoint": "front"},
        {"quality": 0.25},
        {"metadata": {"door": 4}},
        {"further": 1},
    ],
)
def test_each_changed_fact_replaces_the_item(tmp_path, engine, embedder, picture, fact):
    picture(tmp_path / "1.png")
    row = {"path": "1.png", "camera": "c1", "captured_at": "2024-05-01T12:30:00Z", "person": "7", "tracklet": "t1"}
    row |= {"viewpoint": "side", "quality": 0.5, "metadata": {"door": 3}}
    manifest = tmp_path / "list.jsonl"
    manifest.write_text(json.dumps(row))
    assert run(engine, Manifest(manifest), embedder)[0] == Tally(added=1)
    assert run(engine, Manifest(manifest), embedder)[0] == Tally(unchanged=1)
    manifest.write_text(json.dumps(row | fact))
    assert run(engine, Manifest(manifest), embedder)[0] == Tally(replaced=1)
    assert run(engine, Manifest(manifest), embedder)[0] == Tally(unchanged=1)


def test_pictures_are_kept_where_the_gallery_keeps_them(engine, embedder, folder):
    engine.create("kept", GallerySettings.for_model(embedder.session.card, store_crops=True))
    run(engine, Folder(folder), embedder, "kept")
    assert engine.crop("kept", "c0/00.png") == (folder / "c0/00.png").read_bytes()
    assert run(engine, Folder(folder), embedder, "kept")[0] == Tally(unchanged=11)


def test_an_item_whose_picture_should_be_kept_and_is_not_is_done_again(engine, embedder, folder):
    engine.create("kept", GallerySettings.for_model(embedder.session.card, store_crops=True))
    digest = hashlib.sha256((folder / "c0/00.png").read_bytes()).hexdigest()
    vector = np.eye(6, dtype=np.float32)[0]
    engine.add("kept", [NewItem(id="c0/00.png", vector=vector, crop_sha256=digest)])
    assert run(engine, Folder(folder), embedder, "kept")[0] == Tally(added=10, replaced=1)
    assert engine.get("kept", "c0/00.png").has_crop


def test_pictures_that_cannot_be_read_are_failures_and_the_rest_goes_on(engine, embedder, folder):
    (folder / "c0/00.png").write_bytes(b"")
    (folder / "c0/02.png").write_bytes((folder / "c0/02.png").read_bytes()[:300])
    (folder / "c0/04.png").write_bytes(b"GIF89a")
    (folder / "lost.png").symlink_to(folder / "nowhere")
    (folder / "folder.png").symlink_to(folder)
    tally, failed = run(engine, Folder(folder), embedder)
    assert tally == Tally(added=8, failed=4)
    assert [(failure.id, failure.kind) for failure in failed] == [
        ("c0/00.png", "undecodable-image"),
        ("c0/02.png", "undecodable-image"),
        ("c0/04.png", "unsupported-media-type"),
        ("lost.png", "unreadable"),
    ]
    assert all(failure.place == str(folder / failure.id) for failure in failed)
    assert engine.count("g") == 8


def test_a_pipe_in_a_list_is_not_waited_for(tmp_path, engine, embedder, picture):
    picture(tmp_path / "good.png")
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "l.csv").write_text("path\npipe.png\ngood.png\n/dev/zero\n.\n")
    tally, failed = run(engine, Manifest(tmp_path / "l.csv"), embedder)
    assert tally == Tally(added=1, failed=3)
    assert {failure.kind for failure in failed} == {"unreadable"}


def test_an_id_that_comes_twice_is_a_failure_that_names_both_places(tmp_path, engine, embedder, picture):
    for name in ("a.png", "b.png"):
        picture(tmp_path / name, ord(name[0]))
    (tmp_path / "l.csv").write_text("path,id\na.png,x\nb.png,x\na.png,y\n")
    tally, [failure] = run(engine, Manifest(tmp_path / "l.csv"), embedder)
    assert tally == Tally(added=2, failed=1)
    assert failure.kind == "duplicate-id"
    assert failure.place == f"{tmp_path}/l.csv:3 (b.png)"
    assert f"{tmp_path}/l.csv:2 (a.png)" in failure.problem
    assert engine.get("g", "x").crop_sha256 == hashlib.sha256((tmp_path / "a.png").read_bytes()).hexdigest()


def test_shards_share_the_work_without_rest_or_overlap(engine, embedder, folder):
    tallies = [run(engine, Folder(folder), embedder, shard=Shard(number, 3))[0] for number in (1, 2, 3)]
    assert sum(tally.added for tally in tallies) == 11
    assert all(tally == Tally(added=tally.added) and 0 < tally.added < 11 for tally in tallies)
    assert engine.count("g") == 11


def test_the_share_of_an_id_never_changes():
    assert [next(n for n in range(1, 5) if Shard(n, 4).holds(id)) for id in ("a", "b", "c/d.jpg", "é")] == [3, 3, 2, 4]


@pytest.mark.parametrize("text", ["0/4", "5/4", "1", "1/0", "a/b", "-1/4", "1/4/2", "١/٤"])
def test_a_shard_that_is_none_is_a_sentence(text):
    with pytest.raises(IndexingError, match="write for instance 2/8"):
        Shard.parse(text)


def test_a_stop_commits_what_is_embedded_and_the_next_run_goes_on(engine, embedder, tmp_path, picture, monkeypatch):
    for number in range(60):
        picture(tmp_path / f"many/{number:02}.png", number)
    monkeypatch.setattr("service.indexing.run.CHUNK", 2)
    embed, embedded = embedder.embed, []
    monkeypatch.setattr(embedder, "embed", lambda lot: [embedded.append(len(lot)), embed(lot)][1])
    tally, _ = run(engine, Folder(tmp_path / "many"), embedder, stop=lambda: bool(engine.count("g")), commit_every=4)
    assert 4 <= tally.added < 60
    assert tally == Tally(added=sum(embedded))
    assert engine.count("g") == tally.added
    rest, _ = run(engine, Folder(tmp_path / "many"), embedder)
    assert rest == Tally(added=60 - tally.added, unchanged=tally.added)


def test_an_error_of_the_gallery_ends_the_run_and_what_was_committed_stays(engine, embedder, folder, monkeypatch):
    add, calls = engine.add, []

    def failing(name, items):
        calls.append(len(items))
        if len(calls) == 2:
            raise OSError("no space left")
        return add(name, items)

    monkeypatch.setattr(engine, "add", failing)
    with pytest.raises(OSError, match="no space left"):
        run(engine, Folder(folder), embedder, commit_every=4)
    assert calls[:2] == [4, 4]
    assert engine.count("g") in (4, 7)  # the lot after the failed one may have been under way


def test_another_model_is_refused_before_anything_is_done(engine, embedder, folder):
    settings = GallerySettings.for_model(embedder.session.card, model_sha256="0" * 64)
    engine.create("other", settings)
    with pytest.raises(ModelMismatchError, match="vantage gallery reembed other"):
        run(engine, Folder(folder), embedder, "other")


def test_erased_ids_do_not_come_back(engine, embedder, folder):
    engine.create("strict", GallerySettings.for_model(embedder.session.card, deny_erased=True))
    run(engine, Folder(folder), embedder, "strict")
    engine.delete("strict", ids=["c0/00.png"])
    assert run(engine, Folder(folder), embedder, "strict")[0] == Tally(unchanged=10, denied=1)
    assert engine.count("strict") == 10


def test_processes_decode_as_this_one_does(engine, embedder, folder):
    (folder / "c0/00.png").write_bytes(b"")
    failed: list[Failure] = []
    tally = IndexingRun(engine, "g", Folder(folder), embedder, decoders=2, failed=failed.append)()
    assert tally == Tally(added=10, failed=1)
    here = {}
    for path in sorted(folder.rglob("*.png")):
        [decoded] = decode(embedder.session.card.input, [Task(path)], True)
        here[path] = decoded
    with open_decoders(1) as pool:
        there = pool.submit(decode, embedder.session.card.input, [Task(path) for path in here], True).result()
    for one, other in zip(here.values(), there, strict=True):
        if hasattr(one, "crop"):
            np.testing.assert_array_equal(one.crop, other.crop)
            assert (one.sha256, one.content) == (other.sha256, other.content)
        else:
            assert one == other


def test_a_decoder_that_is_killed_is_a_sentence(engine, embedder, folder, monkeypatch):
    class Broken:
        def submit(self, *_):
            raise BrokenProcessPool

        def shutdown(self, **_):
            pass

    monkeypatch.setattr("service.indexing.run.open_decoders", lambda processes: Broken())
    with pytest.raises(IndexingError, match="run the same command again, with fewer --decoders"):
        run(engine, Folder(folder), embedder)


def test_decoders_end_with_the_process_that_started_them(tmp_path: Path):
    program = (
        "import os, sys, time\n"
        "from service.decoding import open_decoders\n"
        "if __name__ == '__main__':\n"
        "    print(open_decoders(1).submit(os.getpid).result(), flush=True)\n"
        "    time.sleep(600)\n"
    )
    script = tmp_path / "program.py"
    script.write_text(program)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True, env=environment) as parent:
        decoder = int(parent.stdout.readline())
        parent.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 60
    while _runs(decoder):
        assert time.monotonic() < deadline, "the decoder outlived its parent"
        os.sched_yield()


def _runs(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_the_report_has_a_line_for_each_failure_and_is_made_at_the_first(tmp_path: Path):
    path = tmp_path / "failures.jsonl"
    path.write_text("of an earlier run\n")
    with FailureReport(path) as report:
        assert not report.written
        for number in range(7):
            report.add(Failure(f"{number}.jpg", None, "no-match", "é"))
            assert len(path.read_text().splitlines()) == number + 1
    assert json.loads(path.read_text().splitlines()[6]) == {
        "place": "6.jpg",
        "id": None,
        "kind": "no-match",
        "problem": "é",
    }
    assert [failure.place for failure in report.first] == [f"{number}.jpg" for number in range(5)]
    with FailureReport(path, always=True):
        pass
    assert path.read_text() == ""
    with pytest.raises(IndexingError, match="cannot be written: No such file or directory; name another with --report"):
        FailureReport(tmp_path / "none/x.jsonl", always=True)


# ---- another model


@pytest.fixture
def other(bundle_folder: Path, tmp_path: Path) -> Embedder:
    """The same network under another hash."""
    import onnx

    model = onnx.load_from_string((bundle_folder / "model.onnx").read_bytes())
    model.doc_string = "another"
    content = model.SerializeToString()
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(content)
    card = json.loads((bundle_folder / "card.json").read_text())
    card |= {"sha256": hashlib.sha256(content).hexdigest(), "name": "another"}
    (folder / "card.json").write_text(json.dumps(card))
    return Embedder(Bundle.open(folder), device="cpu", threads=1, batch=4)


def test_reembedding_puts_another_model_in_place(engine, embedder, other, folder):
    engine.create("kept", GallerySettings.for_model(embedder.session.card, store_crops=True, k1=7))
    run(engine, Folder(folder), embedder, "kept")
    before = engine.list("kept", limit=100).items
    work = Reembedding(engine, "kept", other, decoders=0)
    assert work() == Tally(added=11)
    assert work.replaced
    assert "kept.reembed" not in engine.galleries()
    settings = engine.info("kept").settings
    assert (settings.model_name, settings.model_sha256, settings.k1) == ("another", other.session.sha256, 7)
    after = engine.list("kept", limit=100).items
    assert [(item.id, item.crop_sha256, item.has_crop) for item in after] == [
        (item.id, item.crop_sha256, True) for item in before
    ]


def test_reembedding_goes_on_where_it_was_stopped(engine, embedder, other, folder):
    engine.create("kept", GallerySettings.for_model(embedder.session.card, store_crops=True))
    run(engine, Folder(folder), embedder, "kept")
    stopped = Reembedding(engine, "kept", other, decoders=0, stop=lambda: True)
    assert stopped() == Tally()
    assert not stopped.replaced
    assert engine.info("kept").settings.model_name == "matrix"
    again = Reembedding(engine, "kept", other, decoders=0)
    assert again().done == 11
    assert again.replaced


def test_a_picture_that_cannot_be_embedded_anew_leaves_the_gallery_as_it_is(engine, embedder, other, folder):
    engine.create("kept", GallerySettings.for_model(embedder.session.card, store_crops=True))
    run(engine, Folder(folder), embedder, "kept")
    engine.add("kept", [NewItem(id="bare", vector=np.eye(6, dtype=np.float32)[0])])
    failed = []
    work = Reembedding(engine, "kept", other, decoders=0, failed=failed.append)
    assert work() == Tally(added=11, failed=1)
    assert [failure.id for failure in failed] == ["bare"]
    assert not work.replaced
    assert engine.count("kept") == 12


def test_reembedding_says_what_to_do_where_it_cannot_be_done(engine, embedder, other):
    with pytest.raises(IndexingError, match="is of this model already"):
        Reembedding(engine, "g", embedder)
    with pytest.raises(IndexingError, match=r"keeps no crops.*vantage gallery rename g\.new g --replace"):
        Reembedding(engine, "g", other)
    card = embedder.session.card
    engine.create("strict", GallerySettings.for_model(card, store_crops=True, deny_erased=True))
    with pytest.raises(IndexingError, match="a list of erased ids, which would be lost"):
        Reembedding(engine, "strict", other)
    engine.create("kept", GallerySettings.for_model(card, store_crops=True))
    engine.create("kept.reembed", GallerySettings.for_model(card))
    with pytest.raises(IndexingError, match=r"vantage gallery drop kept\.reembed"):
        Reembedding(engine, "kept", other)


def test_a_picture_that_is_not_rgb_is_embedded_like_any_other(engine, embedder, tmp_path):
    target = io.BytesIO()
    Image.new("LA", (20, 40), (90, 200)).save(target, "PNG")
    (tmp_path / "p").mkdir()
    (tmp_path / "p/grey.png").write_bytes(target.getvalue())
    assert run(engine, Folder(tmp_path / "p"), embedder)[0] == Tally(added=1)


def test_a_picture_with_metadata_is_kept_without_and_known_again(tmp_path, engine, embedder, picture):
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "ACME Phone"
    for orientation in (1, 6):
        exif[ExifTags.Base.Orientation] = orientation
        path = picture(tmp_path / f"pictures/{orientation}.png", orientation)
        with Image.open(path) as plain:
            plain.save(path.with_suffix(".jpg"), exif=exif)
        path.unlink()
    engine.create("keeping", GallerySettings.for_model(embedder.session.card, store_crops=True))
    for gallery in ("g", "keeping"):
        assert run(engine, Folder(tmp_path / "pictures"), embedder, gallery) == (Tally(added=2), [])
        before = engine.info(gallery).change
        assert run(engine, Folder(tmp_path / "pictures"), embedder, gallery) == (Tally(unchanged=2), [])
        assert engine.info(gallery).change == before
    for id in ("1.jpg", "6.jpg"):
        assert b"ACME" not in engine.crop("keeping", id)
        assert engine.get("g", id).crop_sha256 == engine.get("keeping", id).crop_sha256
    assert np.abs(vectors_of(engine)["6.jpg"] - vectors_of(engine, "keeping")["6.jpg"]).max() < 1e-6
