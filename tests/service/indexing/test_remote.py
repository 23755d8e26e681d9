"""Indexing into a service that runs, over real HTTP."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import uvicorn

from models import Bundle, Session, to_crop
from service.api.app import create_app
from service.client import Client, UnreachableError
from service.gallery import Probe, Search
from service.indexing import Failure, IndexingError, RemoteRun, Shard, open_source
from service.settings import ServiceSettings

Pictures = Callable[..., Path]


@dataclass(frozen=True)
class Running:
    url: str
    app: object
    client: Client


@pytest.fixture
def service(bundle_folder: Path, tmp_path: Path) -> Iterator[Running]:
    settings = ServiceSettings(data=tmp_path / "data", model=str(bundle_folder), device="cpu", audit=False)
    app = create_app(settings)
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    app.state.service.settled.wait()
    with Client(url) as client:
        yield Running(url, app, client)
    server.should_exit = True
    thread.join()
    listening.close()


@pytest.fixture
def pictures(tmp_path: Path, picture: Pictures) -> Path:
    folder = tmp_path / "pictures"
    for person in range(3):
        for camera in range(2):
            picture(folder / f"c{camera}" / f"{person}.png", seed=10 * person + camera)
    return folder


PATTERN = r"(?P<camera>c[0-9])/(?P<person>[0-9])"


def index(service: Running, folder: Path, **how: object) -> tuple[RemoteRun, list[Failure]]:
    failures: list[Failure] = []
    source = open_source(folder, None, PATTERN)
    run = RemoteRun(service.client, "g", source, failed=failures.append, **how)  # type: ignore[arg-type]
    run()
    return run, failures


def engine_of(service: Running):
    return service.app.state.service.running.engine


def test_pictures_arrive_as_if_indexed_there(service: Running, pictures: Path, bundle_folder: Path) -> None:
    run, failures = index(service, pictures, store_crops=True)
    assert (run.tally.added, run.tally.done, run.count, failures) == (6, 6, 6, [])
    engine = engine_of(service)
    item = engine.get("g", "c1/2.png", vector=True)
    assert (item.camera, item.person, item.has_crop) == ("c1", "2", True)
    content = (pictures / "c1" / "2.png").read_bytes()
    assert engine.crop("g", "c1/2.png") == content
    bundle = Bundle.open(bundle_folder)
    from models import Crops
    from service.images import open_image

    crop = to_crop(open_image(content), bundle.card.input)
    vector = Session(bundle, device="cpu").embed(Crops.stack([crop])).vectors[0]
    assert np.abs(item.vector - vector).max() < 1e-3
    assert engine.search("g", Search(probe=Probe(vectors=vector), k=1)).hits[0].item.id == "c1/2.png"


def test_again_changes_nothing_and_what_changed_is_replaced(
    service: Running, pictures: Path, picture: Pictures
) -> None:
    index(service, pictures)
    change = engine_of(service).info("g").change
    run, _ = index(service, pictures)
    assert (run.tally.unchanged, run.tally.done) == (6, 6)
    assert engine_of(service).info("g").change == change
    picture(pictures / "c0" / "0.png", seed=99)
    picture(pictures / "c1" / "9.png", seed=98)
    run, _ = index(service, pictures)
    assert (run.tally.unchanged, run.tally.replaced, run.tally.added) == (5, 1, 1)


def test_what_cannot_be_read_is_told_and_the_rest_goes_on(service: Running, pictures: Path) -> None:
    (pictures / "c0" / "7.png").write_bytes(b"no picture")
    (pictures / "c0" / "8.png").write_bytes(b"")
    run, failures = index(service, pictures)
    assert (run.tally.added, run.tally.failed) == (6, 2)
    assert sorted((failure.id, failure.kind) for failure in failures) == [
        ("c0/7.png", "unsupported-media-type"),
        ("c0/8.png", "undecodable-image"),
    ]
    assert all("c0" in failure.place for failure in failures)


def test_shards_share_the_work(service: Running, pictures: Path) -> None:
    done = [index(service, pictures, shard=Shard(number, 3))[0].tally.added for number in (1, 2, 3)]
    assert sum(done) == 6
    assert engine_of(service).count("g") == 6


def test_many_go_in_several_requests(service: Running, tmp_path: Path, picture: Pictures) -> None:
    for number in range(150):
        picture(tmp_path / "many" / "c0" / f"{number}.png", seed=number)
    run = RemoteRun(service.client, "g", open_source(tmp_path / "many", None, None))
    seen: list[int] = []
    run(lambda tally: seen.append(tally.added))
    assert run.count == 150
    assert seen[0] == 64
    assert seen[-1] == 150


def test_a_gallery_without_crops_stays_so(service: Running, pictures: Path) -> None:
    index(service, pictures)
    with pytest.raises(IndexingError, match="was made without crops"):
        index(service, pictures, store_crops=True)


def test_where_nobody_answers_a_sentence_says_so(pictures: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with (
        Client(f"http://127.0.0.1:{port}", patience=0) as client,
        pytest.raises(UnreachableError, match=f"127.0.0.1:{port} does not answer"),
    ):
        RemoteRun(client, "g", open_source(pictures, None, PATTERN))


def test_ids_that_were_erased_are_counted_apart(service: Running, pictures: Path) -> None:
    service.client.create("g", deny_erased=True)
    index(service, pictures)
    service.client.delete("g", ids=["c0/0.png", "c1/2.png"])
    run, failures = index(service, pictures)
    assert (run.tally.denied, run.tally.unchanged, run.tally.failed, failures) == (2, 4, 0, [])
