"""Indexing on a Ray cluster of this machine alone, held against the local run.

Workers take seconds to start, so the cluster is one for the whole file and each test one pass.
"""

import asyncio
import json
import os
import signal
from pathlib import Path

import pytest

from models import Bundle, ProviderError, Session
from service.cli import main
from service.gallery import GallerySettings
from service.gallery.embedded import EmbeddedEngine
from service.indexing import Failure, Folder, IndexingError, IndexingRun, Manifest, Tally


@pytest.fixture(scope="module")
def on_ray(ray_cluster: None) -> object:
    """`service.indexing.on_ray`, of whose cluster this process is a driver."""
    from service.indexing import on_ray

    return on_ray


@pytest.fixture
def bundle(bundle_folder: Path) -> Bundle:
    return Bundle.open(bundle_folder)


def contents(engine, gallery="g"):
    """All there is of each item, in order, but for when it was added; vectors as bytes."""
    found = []
    for item in engine.list(gallery, limit=1000, vectors=True).items:
        crop = engine.crop(gallery, item.id) if item.has_crop else None
        facts = (item.id, item.camera, item.captured_at, item.person, item.tracklet, item.quality, item.metadata)
        found.append((*facts, item.viewpoint, item.expires_at, item.crop_sha256, item.vector.tobytes(), crop))
    return found


# ---- the same as the local run


def folder_source(tmp_path, picture):
    for number in range(11):
        picture(tmp_path / f"people/{number:04}_c{number % 3 + 1}s1_{number:06}_00.png", number)
    (tmp_path / "people/0003_c1s1_000003_00.png").write_bytes(b"no picture")
    (tmp_path / "people/stranger.png").write_bytes(b"")
    return ("people", "--pattern", "market1501")


def parquet_source(tmp_path, picture):
    import pyarrow as pa
    from pyarrow import parquet

    (tmp_path / "list").mkdir()
    for part in range(2):
        images = [picture(tmp_path / "x.png", 10 * part + number).read_bytes() for number in range(5)]
        columns = {"id": [f"{part}-{number}" for number in range(5)], "image": images, "camera": ["c1", "c2", *"abc"]}
        columns["image"][3], columns["id"][4] = b"no picture", None
        parquet.write_table(pa.table(columns), tmp_path / f"list/{part}.parquet")
    return ("list",)


@pytest.mark.parametrize("source", [folder_source, parquet_source])
def test_a_cluster_makes_the_gallery_that_this_machine_makes(
    on_ray, tmp_path, picture, bundle_folder, monkeypatch, capsys, source
):
    monkeypatch.chdir(tmp_path)
    given = ["index", *source(tmp_path, picture), "--gallery", "g", "--model", str(bundle_folder), "--store-crops"]
    given += ["--batch", "4", "--commit-every", "6", "--json", "--device", "cpu"]
    outcomes = []
    for name, options in (("here", ["--decoders", "0"]), ("there", ["--ray", "auto", "--ray-workers", "1"])):
        with pytest.raises(SystemExit) as exited:
            main([*given, "--data", name, "--report", f"{name}.jsonl", *options])
        said = json.loads(capsys.readouterr().out)
        failures = sorted(Path(f"{name}.jsonl").read_text().splitlines())
        for key in ("report", "seconds", "images_per_second"):
            del said[key]
        with EmbeddedEngine.open(name) as engine:
            outcomes.append((exited.value.code, said, failures, contents(engine)))
    here, there = outcomes
    assert there == here
    assert here[0] == 3
    assert len(here[2]) == here[1]["failed"] > 1
    assert len(here[3]) == here[1]["added"] > 5


# ---- stops, deaths, and what is there already


def descendants() -> dict[int, str]:
    """Processes that this one has started, through others too, with their command lines."""
    parents, names = {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                names[int(entry.name)] = (entry / "cmdline").read_bytes().decode().replace("\0", " ").strip()
            except OSError:  # it has ended
                continue
    found = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return {pid: names[pid] for pid in found if pid in names}


def kill_workers() -> set[str]:
    """Those of the dataset; their names without what they are at."""
    killed = set()
    for pid, name in descendants().items():
        if name.startswith("ray::") and any(stage in name for stage in ("EmbedLot", "decode_lot", "ReadFeed")):
            os.kill(pid, signal.SIGKILL)
            killed.add(next(stage for stage in ("EmbedLot", "decode_lot", "ReadFeed") if stage in name))
    return killed


def test_workers_that_are_killed_and_a_stop_lose_nothing(on_ray, engine, embedder, bundle, tmp_path, picture):
    for number in range(60):
        picture(tmp_path / f"{number:02}.png", number)
    (tmp_path / "05.png").write_bytes(b"no picture")
    rows = [f"{number:02}.png,item {number},c{number % 3},2024-05-01T12:30:{number:02}Z,side" for number in range(60)]
    (tmp_path / "list.csv").write_text("\n".join(["path,id,camera,captured_at,viewpoint", *rows, "1.png,item 1,,,"]))
    killed: set[str] = set()

    def progressed(tally: Tally) -> None:
        if tally.added and not killed:
            killed.update(kill_workers())

    def run(gallery, kind, *given, **options):
        failed: list[Failure] = []
        runs.append(kind(engine, gallery, Manifest(tmp_path / "list.csv"), *given, failed=failed.append, **options))
        tally = runs[-1](progressed)
        assert len(failed) == tally.failed
        return tally, failed

    runs: list[IndexingRun] = []
    workers = on_ray.Workers.of_cluster(1)
    stop = {"batch": 2, "commit_every": 4, "stop": lambda: runs[0].tally.added >= 16}
    first, _ = run("g", on_ray.RayRun, bundle, workers, **stop)
    assert killed >= {"EmbedLot", "ReadFeed"}
    assert 16 <= first.added == engine.count("g") < 59
    rest, failed = run("g", on_ray.RayRun, bundle, workers)
    assert rest == Tally(added=59 - first.added, unchanged=first.added, failed=2)
    engine.create("local", GallerySettings.for_model(embedder.session.card))
    tally, failed_here = run("local", IndexingRun, embedder, decoders=0)
    assert tally == Tally(added=59, failed=2)
    assert sorted(failed, key=str) == sorted(failed_here, key=str)
    assert contents(engine) == contents(engine, "local")


# ---- engines that many processes may open


def test_actors_commit_where_the_engine_can_be_opened_anywhere(on_ray, tmp_path, picture, bundle):
    import ray

    class Holder:
        """An engine for everybody: an actor that has the one that there is."""

        def __init__(self, path):
            self.engine, self.committers = EmbeddedEngine.open(path), set()

        def call(self, name, caller, given, options):
            if name == "add":
                self.committers.add(caller)
            return getattr(self.engine, name)(*given, **options)

        def committed_by(self):
            return self.committers

    holder = ray.remote(num_cpus=0)(Holder).remote(tmp_path / "data")

    def opener():
        class Elsewhere:
            def __getattr__(self, name):
                return lambda *given, **options: ray.get(holder.call.remote(name, os.getpid(), given, options))

        return Elsewhere()

    engine = opener()
    engine.create("g", GallerySettings.for_model(bundle.card, store_crops=True))
    for number in range(9):
        picture(tmp_path / f"p/{number}.png", number)
    (tmp_path / "p/2.png").write_bytes(b"no picture")
    failed: list[Failure] = []
    run = on_ray.RayRun(
        engine,
        "g",
        Folder(tmp_path / "p"),
        bundle,
        on_ray.Workers.of_cluster(1),
        opener=opener,
        batch=4,
        failed=failed.append,
    )
    assert run() == Tally(added=8, failed=1)
    assert engine.count("g") == 8
    assert [failure.id for failure in failed] == ["2.png"]
    assert engine.crop("g", "3.png") == (tmp_path / "p/3.png").read_bytes()
    committers = ray.get(holder.committed_by.remote())
    assert committers
    assert os.getpid() not in committers
    engine.close()


def test_what_goes_wrong_in_a_worker_is_the_sentence_that_it_is_here(on_ray, engine, bundle, tmp_path, picture):
    picture(tmp_path / "p/1.png")
    with pytest.raises(ProviderError) as raised:
        on_ray.RayRun(engine, "g", Folder(tmp_path / "p"), bundle, on_ray.Workers.of_cluster(1), device="cuda")()
    with pytest.raises(ProviderError) as here:
        Session(bundle, "cuda")
    assert str(raised.value) == str(here.value)
    assert engine.count("g") == 0


# ---- the parts


def test_what_goes_wrong_with_the_source_ends_the_lots_and_is_raised(on_ray):
    from service.indexing.on_ray.feed import Feed
    from service.indexing.on_ray.lots import Lot

    def lots():
        yield Lot(unchanged=1)
        raise IndexingError("l.csv cannot be read")

    with pytest.raises(IndexingError, match=r"l\.csv cannot be read"), Feed(lots(), 2) as feed:  # noqa: PT012
        [task] = feed.get_read_tasks()
        assert [table.num_rows for table in task()] == [1]


def test_a_lot_is_kept_until_it_has_come_out_and_the_reader_may_begin_again(on_ray):
    from service.indexing.on_ray.feed import _Kept

    async def go():
        kept = _Kept()
        early = asyncio.create_task(kept.take(0))
        await asyncio.sleep(0)
        assert not early.done()
        await kept.put(0, b"zero", 0)
        await kept.put(1, b"one", 0)
        assert (await early, await kept.take(1), await kept.take(0)) == (b"zero", b"one", b"zero")
        await kept.put(2, b"two", 2)
        late = asyncio.create_task(kept.take(3))
        assert [await kept.take(number) for number in range(3)] == [b"", b"", b"two"]
        await kept.end(3)
        assert [await late, await kept.take(4), await kept.take(1), await kept.take(2)] == [None, None, b"", b"two"]

    asyncio.run(go())


CPUS, GPUS = {"CPU": 4.0}, {"CPU": 16.0, "GPU": 2.0}


@pytest.mark.parametrize(
    ("nodes", "asked", "expected"),
    [
        ([CPUS, CPUS], {}, (8, 8, 0.75, 0.0, 8, 0.25)),
        ([CPUS, CPUS], {"threads": 3}, (2, 2, 2.25, 0.0, 8, 0.25)),
        ([CPUS], {"sessions": 6}, (6, 4, 0.75, 0.0, 4, 0.25)),
        ([CPUS, GPUS, GPUS], {"gpus": 0.25, "decoders": 20}, (16, 16, 0.0, 0.25, 20, 1.0)),
        ([CPUS, GPUS], {}, (20, 20, 0.75, 0.0, 20, 0.25)),
    ],
)
def test_a_cluster_is_filled(on_ray, monkeypatch, nodes, asked, expected):
    dead = {"Alive": False, "Resources": {"CPU": 99.0, "GPU": 9.0}}
    monkeypatch.setattr("ray.nodes", lambda: [dead, *({"Alive": True, "Resources": node} for node in nodes)])
    assert on_ray.Workers.of_cluster(**asked) == on_ray.Workers(*expected)


@pytest.mark.parametrize(
    ("nodes", "asked", "sentence"),
    [
        ([CPUS, CPUS], {"gpus": 0.5}, "no machine of the cluster has so many: give less, or 0"),
        ([GPUS], {"gpus": 3.0}, "no machine of the cluster has so many"),
        ([CPUS, CPUS], {"threads": 5}, "no machine of the cluster has 5 CPUs: the largest offers 4"),
        ([{"GPU": 1.0}], {}, "no machine of the cluster has 1 CPUs: the largest offers 0"),
    ],
)
def test_a_cluster_that_has_not_what_is_wanted_is_a_sentence(on_ray, monkeypatch, nodes, asked, sentence):
    monkeypatch.setattr("ray.nodes", lambda: [{"Alive": True, "Resources": node} for node in nodes])
    with pytest.raises(IndexingError, match=sentence):
        on_ray.Workers.of_cluster(**asked)
