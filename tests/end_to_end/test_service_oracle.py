"""Many clients write, replace, delete, filter and search at once; each answer must be one that could be given.

SERVICE_SECONDS sets for how long (`make soak`). Everything is noted with the times between which it happened, and
checked afterwards: what somebody read must have been written, and not certainly undone before the read began; what
certainly was there all the while must be in an answer that it belongs into.
"""

from __future__ import annotations

import json
import os
import random
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
import numpy as np
import pytest

from retrieval import ReciprocalGraph
from service.gallery import GallerySettings

SECONDS = float(os.environ.get("SERVICE_SECONDS", "8"))
CLIENTS = 8
IDS = [f"cam/{number:03}" for number in range(120)]
GALLERY = "/v1/galleries/g"
CLOSE = 2e-3  # between similarities: databases hold vectors in half precision
FOREVER = float("inf")
OPERATIONS = {
    "put": 10,
    "put if new": 2,
    "put for a while": 2,
    "bulk": 2,
    "delete": 5,
    "delete by filter": 1,
    "dry run": 1,
    "get": 4,
    "page": 3,
    "search": 10,
    "re-ranked": 6,
    "by item": 3,
    "grouped": 2,
}


@dataclass(frozen=True, slots=True)
class Write:
    """Of one id, at some instant between two times: a version, or None for gone."""

    start: float
    end: float
    version: int | None


@dataclass(frozen=True, slots=True)
class Answer:
    """What was asked, when, and what came; `check` raises if that cannot be."""

    start: float
    end: float
    check: Callable[[float, float], None]


@dataclass
class History:
    writes: dict[str, list[Write]] = field(default_factory=lambda: {id: [] for id in IDS})
    expiry: dict[int, float] = field(default_factory=dict)
    answers: list[Answer] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    versions: int = 0

    def next_version(self) -> int:
        with self.lock:
            self.versions += 1
            return self.versions

    def wrote(self, start: float, end: float, versions: dict[str, int | None]) -> None:
        with self.lock:
            for id, version in versions.items():
                self.writes[id].append(Write(start, end, version))

    def answered(self, start: float, end: float, check: Callable[[float, float], None]) -> None:
        with self.lock:
            self.answers.append(Answer(start, end, check))

    def possible(self, id: str, start: float, end: float, *, expired: bool = False) -> set[int | None]:
        """What a read between these times may see. expired: also what nobody finds any more but may still be there."""
        begun = [Write(-FOREVER, -FOREVER, None), *(write for write in self.writes[id] if write.start < end)]
        latest = max(write.start for write in begun if write.end < start)
        seen: set[int | None] = set()
        for version in {write.version for write in begun if write.end >= latest}:
            gone_at = FOREVER if version is None else self.expiry.get(version, FOREVER)
            if gone_at > start or expired:
                seen.add(version)
            if gone_at <= end:
                seen.add(None)
        return seen

    def certain(self, start: float, end: float) -> dict[str, int]:
        """What was there all the while."""
        only = {id: self.possible(id, start, end) for id in IDS}
        return {id: version for id, (version, *more) in only.items() if not more and version is not None}


def camera(version: int) -> str:
    return f"c{version % 3}"


def person(version: int) -> str:
    return f"p{version % 7}"


class Client:
    def __init__(self, number: int, client: httpx.Client, history: History, crowd: Any) -> None:
        self.random, self.client, self.history, self.crowd = random.Random(number), client, history, crowd

    def work(self, until: float) -> None:
        kinds, weights = list(OPERATIONS), list(OPERATIONS.values())
        while time.time() < until:
            kind = self.random.choices(kinds, weights)[0]
            getattr(self, kind.replace(" ", "_").replace("-", "_"))()

    # ---- writes ------------------------------------------------------------------------------------------------------

    def put(self) -> None:
        self._put({}, None)

    def put_if_new(self) -> None:
        self._put({"If-None-Match": "*"}, None)

    def put_for_a_while(self) -> None:
        self._put({}, time.time() + self.random.uniform(0.05, 1))

    def _put(self, headers: dict[str, str], expires_at: float | None) -> None:
        id, version = self.random.choice(IDS), self.history.next_version()
        facts = self._facts(version)
        if expires_at is not None:
            moment = datetime.fromtimestamp(expires_at, UTC)
            self.history.expiry[version] = moment.timestamp()
            facts["expires_at"] = moment.isoformat()
        start, answer, end = self._ask("PUT", f"{GALLERY}/items/{id.replace('/', '%2F')}", facts, headers=headers)
        assert answer.status_code in ((201, 412) if headers else (200, 201)), answer.text
        if answer.status_code != 412:
            self.history.wrote(start, end, {id: version})
        self._existed(id, start, end, answer.status_code != 201, besides=version)

    def bulk(self) -> None:
        versions: dict[str, int | None] = {id: self.history.next_version() for id in self.random.sample(IDS, 5)}
        rows = [{"id": id} | self._facts(version) for id, version in versions.items() if version is not None]
        start = time.time()
        headers = {"Content-Type": "application/x-ndjson"}
        content = "\n".join(json.dumps(row) for row in rows)
        answer = self.client.post(f"{GALLERY}/items:batch", content=content, headers=headers)
        assert {row["outcome"] for row in answer.json()["rows"]} <= {"added", "replaced"}, answer.text
        self.history.wrote(start, time.time(), versions)

    def delete(self) -> None:
        id = self.random.choice(IDS)
        start, answer, end = self._ask("DELETE", f"{GALLERY}/items/{id.replace('/', '%2F')}")
        assert answer.status_code in (204, 404), answer.text
        if answer.status_code == 204:
            self.history.wrote(start, end, {id: None})
        self._existed(id, start, end, answer.status_code == 204, besides=None)

    def delete_by_filter(self) -> None:
        self._delete_by_filter(dry_run=False)

    def dry_run(self) -> None:
        self._delete_by_filter(dry_run=True)

    def _delete_by_filter(self, *, dry_run: bool) -> None:
        who = f"p{self.random.randrange(7)}"
        body = {"filter": {"persons": [who]}, "dry_run": dry_run}
        start, answer, end = self._ask("POST", f"{GALLERY}/items:delete", body)
        assert answer.status_code == 200, answer.text
        gone = answer.json()["ids"]
        if not dry_run:
            self.history.wrote(start, end, dict.fromkeys(gone))

        def check(start: float, end: float) -> None:
            for id in gone:
                seen = self.history.possible(id, start, end)
                assert any(version is not None and person(version) == who for version in seen), (id, who, seen)
            there = {id for id, version in self._certain_but_for(start, end, gone).items() if person(version) == who}
            assert there <= set(gone)

        self.history.answered(start, end, check)

    def _certain_but_for(self, start: float, end: float, gone: Iterable[str]) -> dict[str, int]:
        """Without those that this very request deleted: it alone could have made them uncertain."""
        return {id: version for id, version in self.history.certain(start, end).items() if id not in set(gone)}

    def _existed(self, id: str, start: float, end: float, existed: bool, besides: int | None) -> None:
        """Whether there was an item before the write is as it may have been."""

        def check(start: float, end: float) -> None:
            seen = self.history.possible(id, start, end, expired=True)
            if existed:
                assert seen - {None, besides}, (id, seen)
            elif besides is not None:  # it was put where nothing was: by others' deletes, or at first
                assert None in seen or len(seen) == 1 or any(v in self.history.expiry for v in seen if v), (id, seen)
            else:
                assert None in seen, (id, seen)

        self.history.answered(start, end, check)

    # ---- reads -------------------------------------------------------------------------------------------------------

    def get(self) -> None:
        id = self.random.choice(IDS)
        start, answer, end = self._ask("GET", f"{GALLERY}/items/{id.replace('/', '%2F')}?vector=true")
        found = self._version(answer.json()) if answer.status_code == 200 else None
        assert answer.status_code in (200, 404), answer.text

        def check(start: float, end: float) -> None:
            assert found in self.history.possible(id, start, end)

        self.history.answered(start, end, check)

    def page(self) -> None:
        """All pages of a filter; each page is of its own time, all of them of the time of all."""
        wanted, cursor, pages = f"c{self.random.randrange(3)}", "", []
        while True:
            start, answer, end = self._ask("GET", f"{GALLERY}/items?camera={wanted}&limit=25&vectors=true{cursor}")
            assert answer.status_code == 200, answer.text
            found = [(item["id"], self._version(item)) for item in answer.json()["items"]]
            pages.append((start, end, found))
            if answer.json()["cursor"] is None:
                break
            cursor = f"&cursor={answer.json()['cursor']}"

        def check(start: float, end: float) -> None:
            for since, until, found in pages:
                for id, version in found:
                    assert camera(version) == wanted
                    assert version in self.history.possible(id, since, until)
            there = {id for id, version in self.history.certain(start, end).items() if camera(version) == wanted}
            assert there <= {id for _, _, found in pages for id, _ in found}

        self.history.answered(pages[0][0], pages[-1][1], check)

    def search(self) -> None:
        self._search({"rerank": "off", "exact": self.random.random() < 0.5})

    def re_ranked(self) -> None:
        self._search({"rerank": self.random.choice(["online", "local"]), "explain": True})

    def grouped(self) -> None:
        self._search({"group_by": self.random.choice(["person", "camera"]), "max_per_group": 2})

    def by_item(self) -> None:
        id = self.random.choice(IDS)
        start, answer, end = self._ask("POST", f"{GALLERY}/search", {"item_id": id, "top_k": 200})
        assert answer.status_code in (200, 404), answer.text
        if answer.status_code == 404:
            self.history.answered(start, end, lambda s, e: _require(None in self.history.possible(id, s, e)))
            return
        assert id not in {result["id"] for result in answer.json()["results"]}
        self._found(answer.json(), start, end, None, None, lambda version: True, exclude=id)

    def _search(self, how: dict[str, Any]) -> None:
        cameras = self.random.choice([None, ["c0"], ["c1", "c2"], ["nowhere"]])
        number = self.random.randrange(1000)
        asked = {"embedding": self.crowd.vector(number), "top_k": self.random.choice([1, 10, 200])} | how
        if cameras is not None:
            asked["filter"] = {"camera_ids": cameras}
        start, answer, end = self._ask("POST", f"{GALLERY}/search", asked)
        assert answer.status_code == 200, answer.text
        plain = how.get("rerank") == "off"
        self._found(
            answer.json(),
            start,
            end,
            self.crowd.array(number),
            how.get("group_by"),
            lambda version: cameras is None or camera(version) in cameras,
            nearest=plain,
        )

    def _found(
        self,
        answer: dict[str, Any],
        start: float,
        end: float,
        probe: np.ndarray | None,
        group: str | None,
        fits: Callable[[int], bool],
        *,
        nearest: bool = False,
        exclude: str | None = None,
    ) -> None:
        """nearest: whether results are ordered by nearness alone."""
        results, wanted, candidates = answer["results"], answer["requested"], answer["filtered_candidates"]
        hits = {result["id"]: self._version(result) for result in results}
        assert len(hits) == len(results), "an item stands there twice"
        assert [result["rank"] for result in results] == list(range(1, len(results) + 1))
        scores = {result["id"]: result["score"] for result in results}

        def check(start: float, end: float) -> None:
            for id, version in hits.items():
                assert version in self.history.possible(id, start, end), (id, version)
                assert fits(version)
                if probe is not None:
                    assert abs(scores[id] - self.crowd.array(version) @ probe) < CLOSE
            there = {id: version for id, version in self.history.certain(start, end).items() if fits(version)}
            there.pop(exclude or "", None)
            if group is not None:
                of = person if group == "person" else camera
                counts = [of(version) for version in hits.values()]
                assert max(map(counts.count, counts), default=0) <= 2
            elif len(hits) < wanted:
                assert set(there) <= set(hits)
                assert answer["exhausted"]
            elif nearest and probe is not None:
                last = min(scores.values())
                nearer = {id for id, version in there.items() if self.crowd.array(version) @ probe > last + CLOSE}
                assert nearer <= set(hits)
            if candidates is not None:
                perhaps = [self.history.possible(id, start, end) for id in IDS]
                most = sum(any(version is not None and fits(version) for version in seen) for seen in perhaps)
                assert len(there) <= candidates <= most

        if nearest:
            assert list(scores.values()) == sorted(scores.values(), reverse=True)
        self.history.answered(start, end, check)

    # ---- asking ------------------------------------------------------------------------------------------------------

    def _ask(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[float, httpx.Response, float]:
        start = time.time()
        answer = self.client.request(method, path, json=body, headers=headers)
        return start, answer, time.time()

    def _facts(self, version: int) -> dict[str, Any]:
        return {
            "embedding": self.crowd.vector(version),
            "camera_id": camera(version),
            "person": person(version),
            "metadata": {"version": version},
        }

    def _version(self, item: dict[str, Any]) -> int:
        """Which version an item is; all that is told of it must be that version's."""
        version = int(item["metadata"]["version"])
        assert (item["camera_id"], item["person"]) == (camera(version), person(version))
        if "embedding" in item:
            assert np.abs(np.array(item["embedding"]) - self.crowd.array(version)).max() < 1e-3
        return version


def _require(so: bool) -> None:
    assert so


def all_agrees(client: httpx.Client, history: History, crowd: Any) -> dict[str, int]:
    """At rest: everything that can be asked gives the same items, those that brute force gives, in its order."""
    while time.time() <= max(history.expiry.values(), default=0):
        assert client.get("/livez").status_code == 200
    page = client.get(f"{GALLERY}/items?limit=1000&vectors=true").json()
    assert page["cursor"] is None
    now = time.time()
    there = {item["id"]: item["metadata"]["version"] for item in page["items"]}
    for id in IDS:
        assert there.get(id) in history.possible(id, now, now)
    for id in set(IDS) - set(there):  # what has expired is purged by and by, and is somebody's neighbour until then
        assert client.delete(f"{GALLERY}/items/{id.replace('/', '%2F')}").status_code in (204, 404)
    vectors = np.stack([np.array(item["embedding"], np.float32) for item in page["items"]])
    ids = [item["id"] for item in page["items"]]
    while (index := client.get(GALLERY).json()["index"])["stale"] or index["graph"] != "ready":
        pass  # neighbour lists are made anew in a quiet moment
    assert client.get(GALLERY).json()["count"] == len(there)
    settings = GallerySettings(model_name="m", model_sha256="0" * 64, dimension=vectors.shape[1])
    graph = ReciprocalGraph.build(vectors, settings=settings.reranking)
    for number in range(5):
        probe = crowd.array(number)
        asked = {"embedding": probe.tolist(), "top_k": 1000, "exact": True}
        plain = client.post(f"{GALLERY}/search", json=asked | {"rerank": "off"}).json()["results"]
        similarity = vectors.astype(np.float64) @ probe
        assert sorted(result["id"] for result in plain) == sorted(there)
        told = np.array([similarity[ids.index(result["id"])] for result in plain])
        assert np.diff(told).max() < 1e-6
        ranked = client.post(f"{GALLERY}/search", json=asked | {"rerank": "online", "top_k": 10}).json()
        assert ranked["rerank"]["applied"]
        expected = graph.rank(probe[None], 10)
        distances = [result["distance_reranked"] for result in ranked["results"]]
        assert distances == pytest.approx(expected.reranked[0].tolist(), abs=CLOSE)
    return there


def test_whatever_many_clients_do_at_once_every_answer_is_one_that_could_be_given(start, crowd):
    service, history = start(), History()
    with service.client() as client, ThreadPoolExecutor(CLIENTS) as pool:
        client.post("/v1/galleries", json={"name": "g"}).raise_for_status()
        until = time.time() + SECONDS
        clients = [Client(number, client, history, crowd) for number in range(CLIENTS)]
        for working in [pool.submit(one.work, until) for one in clients]:
            working.result()
        jobs = [client.post(f"{GALLERY}/{job}").headers["Location"] for job in ("snapshots", "compact", "verify")]
        assert len(history.answers) > 20 * SECONDS / 8
        for answer in history.answers:
            answer.check(answer.start, answer.end)
        there = all_agrees(client, history, crowd)
        for job in jobs:
            while (told := client.get(job).json())["state"] in ("waiting", "running"):
                pass
            assert told["state"] == "done", told
        assert told["result"]["sound"], told
    assert service.stop() == 0
    assert service.audit().sound
    assert 500 not in service.requests().values()
    again = start()
    with again.client() as client:
        assert all_agrees(client, history, crowd) == there
