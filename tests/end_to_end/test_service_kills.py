"""A service is killed, or told to stop, while clients write, delete and search; what they were told must hold.

SERVICE_KILLS sets how often it is killed (`make soak`).
"""

from __future__ import annotations

import io
import json
import os
import random
import signal
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import httpx
import numpy as np
from PIL import Image

from service.access import AUDIT_FOLDER, AuditTrail

KILLS = int(os.environ.get("SERVICE_KILLS", "4"))
WRITERS = 4
SEARCHERS = 2
IDS = 30  # of each writer
GALLERY = "/v1/galleries/g"


def picture_of(version: int) -> bytes:
    """What is stored of a version can be told from the version alone."""
    file = io.BytesIO()
    pixels = np.random.default_rng(version).integers(0, 256, (64, 32, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, "JPEG")
    return file.getvalue()


def has_picture(version: int) -> bool:
    return version % 3 == 0


@dataclass
class Story:
    """What a writer was told. Its ids are its own, so what is done to each comes one after another.

    under_way: what the request would make of its ids that nobody answered, None meaning deleted.
    """

    versions: dict[str, int] = field(default_factory=dict)
    under_way: dict[str, int | None] = field(default_factory=dict)
    acknowledged: list[str] = field(default_factory=list)

    def settle(self, there: dict[str, int]) -> None:
        """What nobody answered was done wholly or not at all; `there` says which."""
        before = {id: self.versions.get(id) for id in self.under_way}
        now = {id: there.get(id) for id in self.under_way}
        assert now in (before, self.under_way)
        for id, version in now.items():
            self.versions.pop(id, None)
            if version is not None:
                self.versions[id] = version
        self.under_way = {}


class Writer:
    """Writes and deletes until the service is gone; every request bears an id of its own."""

    def __init__(self, number: int, crowd: Any) -> None:
        self.number, self.crowd, self.story = number, crowd, Story()
        self.random = random.Random(number)
        self.version = number

    def work(self, client: httpx.Client, answered: Any) -> None:
        while True:
            kind = self.random.choices(["put", "bulk", "delete", "delete by filter"], [8, 2, 3, 1])[0]
            request_id = uuid.uuid4().hex
            try:
                answer = self._do(kind, client, {"X-Request-Id": request_id})
            except httpx.TransportError:
                return
            if answer.status_code == 503:
                assert answer.json()["type"] == "shutting-down"
                self.story.under_way = {}
                return
            assert answer.is_success or answer.status_code == 404, answer.text
            self._take(answer, kind)
            if answer.is_success:
                self.story.acknowledged.append(request_id)
            answered()

    def _do(self, kind: str, client: httpx.Client, headers: dict[str, str]) -> httpx.Response:
        ids = self.random.sample([f"w{self.number}/{place}" for place in range(IDS)], 8 if kind == "bulk" else 1)
        if kind == "delete":
            self.story.under_way = dict.fromkeys(ids)
            return client.delete(f"{GALLERY}/items/{ids[0].replace('/', '%2F')}", headers=headers)
        if kind == "delete by filter":
            person = self._person(self.random.randrange(5))
            gone = [id for id, version in self.story.versions.items() if self._person(version) == person]
            self.story.under_way = dict.fromkeys(gone)
            return client.post(f"{GALLERY}/items:delete", json={"filter": {"persons": [person]}}, headers=headers)
        bodies = {}
        for id in ids:
            self.version += WRITERS
            bodies[id] = self._facts(self.version)
        self.story.under_way = {id: facts["metadata"]["version"] for id, facts in bodies.items()}
        if kind == "put":
            facts, version = bodies[ids[0]], self.version
            path = f"{GALLERY}/items/{ids[0].replace('/', '%2F')}"
            if has_picture(version):
                files = {"image": picture_of(version), "item": (None, json.dumps(facts))}
                return client.put(path, files=files, headers=headers)
            return client.put(path, json=facts | {"embedding": self.crowd.vector(version)}, headers=headers)
        rows = [
            {"id": id, "embedding": self.crowd.vector(facts["metadata"]["version"])} | facts
            for id, facts in bodies.items()
        ]
        for row in rows:  # of a bulk request only vectors
            row["metadata"] = row["metadata"] | {"picture": False}
        lines = "\n".join(json.dumps(row) for row in rows)
        headers = headers | {"Content-Type": "application/x-ndjson"}
        return client.post(f"{GALLERY}/items:batch", content=lines, headers=headers)

    def _facts(self, version: int) -> dict[str, Any]:
        metadata = {"version": version, "picture": has_picture(version)}
        return {"camera_id": f"c{version % 3}", "person": self._person(version), "metadata": metadata}

    def _person(self, version: int) -> str:
        return f"w{self.number}-{version % 5}"

    def _take(self, answer: httpx.Response, kind: str) -> None:
        if kind == "bulk":
            assert {row["outcome"] for row in answer.json()["rows"]} <= {"added", "replaced"}
        elif kind == "delete by filter":
            assert set(answer.json()["ids"]) == set(self.story.under_way)
        elif kind == "delete":
            (id,) = self.story.under_way
            assert answer.is_success == (id in self.story.versions)
        for id, version in self.story.under_way.items():
            self.story.versions.pop(id, None)
            if version is not None:
                self.story.versions[id] = version
        self.story.under_way = {}


def search(client: httpx.Client, crowd: Any, seed: int) -> None:
    """Searches until the service is gone; each answer is whole and within its filter."""
    rng = random.Random(seed)
    while True:
        asked = {
            "embedding": crowd.vector(rng.randrange(1000)),
            "top_k": 50,
            "rerank": rng.choice(["off", "online"]),
            "filter": {"camera_ids": ["c1", "c2"]},
        }
        try:
            answer = client.post(f"{GALLERY}/search", json=asked)
        except httpx.TransportError:
            return
        if answer.status_code == 503:
            return
        assert answer.status_code == 200, answer.text
        results = answer.json()["results"]
        assert {result["camera_id"] for result in results} <= {"c1", "c2"}
        assert len({result["id"] for result in results}) == len(results)


def everything(client: httpx.Client) -> dict[str, dict[str, Any]]:
    items, cursor = {}, None
    while True:
        page = client.get(
            f"{GALLERY}/items", params={"limit": 1000, "vectors": "true"} | ({"cursor": cursor} if cursor else {})
        )
        assert page.status_code == 200, page.text
        items |= {item["id"]: item for item in page.json()["items"]}
        if (cursor := page.json()["cursor"]) is None:
            return items


def holds_what_was_acknowledged(client: httpx.Client, writers: list[Writer], crowd: Any) -> None:
    items = everything(client)
    there = {id: item["metadata"]["version"] for id, item in items.items()}
    for writer in writers:
        writer.story.settle({id: version for id, version in there.items() if id.startswith(f"w{writer.number}/")})
    known = {id: version for writer in writers for id, version in writer.story.versions.items()}
    assert there == known
    vectors = {}
    for id, item in items.items():
        version = item["metadata"]["version"]
        assert item["camera_id"] == f"c{version % 3}"
        vectors[id] = np.array(item["embedding"])
        if item["metadata"]["picture"]:
            assert client.get(item["crop_url"]).content == picture_of(version)
        else:
            assert np.abs(vectors[id] - crowd.array(version)).max() < 1e-3
    for exact in (True, False):
        probe = crowd.array(7)
        asked = {"embedding": probe.tolist(), "top_k": 1000, "rerank": "off", "exact": exact}
        found = [result["id"] for result in client.post(f"{GALLERY}/search", json=asked).json()["results"]]
        assert sorted(found) == sorted(known)
        if found:
            similarity = np.stack([vectors[id] for id in found]) @ probe
            assert np.diff(similarity).max(initial=-1) < 1e-3
    job = client.post(f"{GALLERY}/verify").headers["Location"]
    while (told := client.get(job).json())["state"] in ("waiting", "running"):
        pass
    assert told["state"] == "done", told
    assert told["result"]["sound"], told["result"]["findings"]


def make_gallery(client: httpx.Client) -> None:
    client.post("/v1/galleries", json={"name": "g", "store_crops": True}).raise_for_status()


def test_killed_under_load_it_has_everything_that_was_acknowledged_and_nothing_that_was_deleted(start, crowd):
    rng = random.Random(0)
    writers = [Writer(number, crowd) for number in range(WRITERS)]
    with ThreadPoolExecutor(WRITERS + SEARCHERS) as pool:
        for turn in range(KILLS + 1):
            service = start(max_waiting=64)
            with service.client() as client:
                if turn == 0:
                    make_gallery(client)
                else:
                    holds_what_was_acknowledged(client, writers, crowd)
                    report = service.audit()
                    assert report.sound, report.findings
                if turn == KILLS:
                    break
                left, enough, lock = rng.choice([1, 5, 20, 60]), threading.Event(), threading.Lock()

                def answered(left=[left], enough=enough, lock=lock):  # noqa: B006 - each turn has its own
                    with lock:
                        left[0] -= 1
                        if left[0] <= 0:
                            enough.set()

                working = [pool.submit(writer.work, client, answered) for writer in writers]
                working += [pool.submit(search, client, crowd, turn * 10 + one) for one in range(SEARCHERS)]
                enough.wait(300)
                delay = threading.Timer(rng.uniform(0, 0.03), service.kill)  # at any point of what is under way
                delay.start()
                for one in working:
                    one.result()
                delay.join()
    recorded = {entry.request_id for entry in AuditTrail(service.data / AUDIT_FOLDER).entries()}
    acknowledged = {request for writer in writers for request in writer.story.acknowledged}
    assert acknowledged
    assert acknowledged <= recorded
    assert service.stop() == 0


def test_told_to_stop_under_load_it_answers_all_that_it_has_taken_in(start, crowd):
    service = start()
    writers = [Writer(number, crowd) for number in range(WRITERS)]
    told: dict[str, int] = {}
    some, enough = threading.Semaphore(0), 60

    def note(answer: httpx.Response) -> None:
        answer.read()  # whole, or an error of the transport
        told[answer.headers["X-Request-Id"]] = answer.status_code

    with service.client() as client, ThreadPoolExecutor(WRITERS + SEARCHERS) as pool:
        client.event_hooks["response"] = [note]
        make_gallery(client)
        working = [pool.submit(writer.work, client, some.release) for writer in writers]
        working += [pool.submit(search, client, crowd, one) for one in range(SEARCHERS)]
        for _ in range(enough):
            assert some.acquire(timeout=300)
        service.signal(signal.SIGTERM)
        for one in working:
            one.result()
    assert service.end() == 0
    assert len(told) > enough
    assert service.requests() == told  # by its own log it took in nothing else, and answered nothing else
    assert service.audit().sound
    again = start()
    with again.client() as client:
        unanswered = [dict(writer.story.under_way) for writer in writers]
        before = [dict(writer.story.versions) for writer in writers]
        holds_what_was_acknowledged(client, writers, crowd)
        # What nobody answered was never taken in.
        for writer, versions, under_way in zip(writers, before, unanswered, strict=True):
            assert {id: writer.story.versions.get(id) for id in under_way} == {id: versions.get(id) for id in under_way}
    assert again.stop() == 0
