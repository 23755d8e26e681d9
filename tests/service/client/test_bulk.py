"""Many items: lots, two requests under way, what became of each row. Both clients."""

from __future__ import annotations

import asyncio
import base64
import json
import threading

import httpx
import pytest

from service.client import AsyncClient, BadCallError, Client, NewItem, NotAdded, ServiceError


class Gallery:
    """Takes all rows but those whose id says otherwise."""

    def __init__(self):
        self.lots = []

    def __call__(self, request):
        assert request.headers["content-type"] == "application/x-ndjson"
        lot = [json.loads(line) for line in request.read().splitlines()]
        self.lots.append(lot)
        rows = []
        for number, row in enumerate(lot, 1):
            outcome = row["id"] if row["id"] in ("refused", "denied", "failed", "replaced", "unchanged") else "added"
            problem = {"type": "undecodable-image", "detail": "it is cut off"} if outcome == "failed" else None
            rows.append({"line": number, "id": row["id"], "outcome": outcome, "problem": problem})
        return httpx.Response(200, json={"counts": {}, "rows": rows})


@pytest.fixture
def gallery():
    return Gallery()


def rows(*ids, image=b"x"):
    return [NewItem(id=str(id), image=image) for id in ids]


def test_lots_have_at_most_64_rows_and_all_arrive_in_order(mocked, gallery):
    seen = []
    added = mocked(gallery).add_many("g", iter(rows(*range(150))), progress=lambda now: seen.append(now.done))
    assert sorted(len(lot) for lot in gallery.lots) == [22, 64, 64]
    assert sorted(int(row["id"]) for lot in gallery.lots for row in lot) == list(range(150))
    assert seen == [64, 128, 150]
    assert (added.added, added.done, added.not_added) == (150, 150, ())


def test_lots_have_at_most_4_mebibytes_and_a_larger_row_goes_alone(mocked, gallery):
    third, large = bytes(2**20), bytes(4 * 2**20)
    items = rows("a", "b", "c", image=third) + rows("large", image=large) + rows("d")
    mocked(gallery).add_many("g", items)
    assert sorted([row["id"] for row in lot] for lot in gallery.lots) == [["a", "b"], ["c"], ["d"], ["large"]]


def test_each_row_that_is_not_added_says_why(mocked, gallery, tmp_path):
    items = [*rows("a", "failed"), NewItem(id="lost", image=tmp_path / "lost.jpg"), *rows("refused", "denied")]
    items += [NewItem(id="odd", image=b"x", metadata={"a": object()}), *rows("replaced", "unchanged")]
    added = mocked(gallery).add_many("g", items)
    assert (added.added, added.replaced, added.unchanged, added.done) == (1, 1, 1, 8)
    assert [(row.row, row.id, row.type) for row in added.not_added] == [
        (1, "failed", "undecodable-image"),
        (2, "lost", "unreadable"),
        (3, "refused", "item-exists"),
        (4, "denied", "erased-id"),
        (5, "odd", "unreadable"),
    ]
    sentences = [row.sentence for row in added.not_added]
    assert sentences[0] == "it is cut off"
    assert "lost.jpg" in sentences[1]
    assert all(sentences)


def test_rows_of_which_none_can_be_read_send_nothing(mocked, gallery, tmp_path):
    seen = []
    items = [NewItem(id=f"{number}", image=tmp_path / "lost.jpg") for number in range(70)]
    added = mocked(gallery).add_many("g", items, progress=lambda now: seen.append(now.done))
    assert (len(added.not_added), gallery.lots, seen) == (70, [], [64, 70])
    assert added.not_added[69] == NotAdded(row=69, id="69", type="unreadable", sentence=added.not_added[0].sentence)


def test_nothing_sends_nothing(mocked, gallery):
    assert mocked(gallery).add_many("g", []).done == 0
    assert gallery.lots == []


def test_rows_carry_all_that_is_known(mocked, gallery):
    item = NewItem(id="x", image=b"picture", camera_id="c1", quality=0.5, viewpoint=(1, 0, 0), metadata={"a": [1]})
    mocked(gallery).add_many("g", [item, NewItem(id="y", embedding=(0.6, 0.8), model_sha256="0" * 64)])
    assert gallery.lots[0] == [
        {
            "id": "x",
            "image_b64": base64.b64encode(b"picture").decode(),
            "camera_id": "c1",
            "quality": 0.5,
            "viewpoint": [1, 0, 0],
            "metadata": {"a": [1]},
        },
        {"id": "y", "embedding": [0.6, 0.8], "model_sha256": "0" * 64},
    ]


def test_an_error_ends_it_and_progress_has_told_how_far_it_was(mocked, gallery, problem):
    def fills_up(request):
        return problem(507, "storage-full", "the disk is full") if len(gallery.lots) == 2 else gallery(request)

    seen, taken = [], []

    def many():
        for number in range(10_000):
            taken.append(number)
            yield NewItem(id=f"{number}", image=b"x")

    with pytest.raises(ServiceError, match="the disk is full"):
        mocked(fills_up).add_many("g", many(), progress=lambda now: seen.append(now.done))
    assert seen == [64, 128]
    assert len(taken) <= 64 * 6  # rows are taken as they are needed


def test_an_error_of_the_rows_is_the_caller_s(mocked, gallery):
    def broken():
        yield from rows(*range(64))
        raise RuntimeError("the list ends here")

    with pytest.raises(RuntimeError, match="the list ends here"):
        mocked(gallery).add_many("g", broken())


def test_a_row_that_cannot_be_right_is_refused_where_it_is_made():
    with pytest.raises(BadCallError, match="item 'x'"):
        NewItem(id="x")


def test_two_requests_are_under_way_in_threads():
    gallery, both, most, now = Gallery(), threading.Barrier(2, timeout=60), 0, 0
    lock = threading.Lock()

    def answer(request):
        nonlocal most, now
        with lock:
            now += 1
            most = max(most, now)
        both.wait()  # each waits until there is another
        with lock:
            now -= 1
            return gallery(request)

    with Client("http://there", transport=httpx.MockTransport(answer)) as client:
        assert client.add_many("g", rows(*range(6 * 64))).added == 6 * 64
    assert most == 2


def test_two_requests_are_under_way_in_an_event_loop_and_rows_may_come_asynchronously():
    gallery, most, now = Gallery(), 0, 0

    async def run():
        both = asyncio.Barrier(2)

        async def answer(request):
            nonlocal most, now
            now += 1
            most = max(most, now)
            async with asyncio.timeout(60):
                await both.wait()
            now -= 1
            return gallery(request)

        async def many():
            for row in rows(*range(6 * 64 - 1)):
                yield row

        async with AsyncClient("http://there", transport=httpx.MockTransport(answer)) as client:
            return await client.add_many("g", many())

    assert asyncio.run(run()).added == 6 * 64 - 1
    assert most == 2
