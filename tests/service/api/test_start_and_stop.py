"""From the first moment to the last: what is answered while the service starts, fails, is overloaded and stops."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading

import httpx
import pytest

from models import Session
from retrieval import RetrievalError
from service.api import create_app, starting
from service.gallery.embedded import EmbeddedEngine
from service.settings import ServiceSettings


@pytest.fixture
def gate(monkeypatch):
    """Nothing is embedded while it is shut."""
    opened = threading.Event()
    opened.set()
    embed = Session.embed

    def waiting(self, crops):
        opened.wait()
        return embed(self, crops)

    monkeypatch.setattr(Session, "embed", waiting)
    yield opened
    opened.set()


def until(condition):
    """Asks until it is so; pytest's own limit ends what never is."""
    while not condition():
        pass


def test_it_listens_at_once_and_says_why_it_is_not_ready(serve, monkeypatch):
    loading = threading.Event()
    holder = starting.ModelHolder

    def slow(*arguments, **others):
        loading.wait()
        return holder(*arguments, **others)

    monkeypatch.setattr(starting, "ModelHolder", slow)
    with serve(wait=False) as running:
        try:
            until(lambda: "loading the model" in running.client.get("/readyz").json()["detail"])
            assert running.client.get("/livez").status_code == 200
            assert running.client.get("/version").json()["model"] is None
            assert "vantage_ready 0.0" in running.client.get("/metrics").text
            for method, path in (
                ("GET", "/readyz"),
                ("GET", "/startupz"),
                ("GET", "/v1/galleries"),
                ("POST", "/v1/embed"),
            ):
                answer = running.client.request(method, path)
                assert (answer.status_code, answer.json()["type"]) == (503, "not-ready")
                assert answer.headers["Retry-After"] == "1"
                assert answer.headers["Content-Type"] == "application/problem+json"
        finally:
            loading.set()
        running.service.settled.wait()
        assert running.client.get("/readyz").status_code == 200
        assert "vantage_ready 1.0" in running.client.get("/metrics").text


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"model": "no-such-model"}, "no-such-model is not a directory"),
        ({"device": "cuda"}, "cuda"),
        ({"host": "0.0.0.0"}, "vantage key create"),
    ],
)
def test_a_start_that_fails_is_told_in_a_sentence(serve, settings, words):
    with serve(wait=False, **settings) as running:
        running.service.settled.wait()
        assert words in running.service.failure
        answer = running.client.get("/readyz")
        assert (answer.status_code, answer.json()["type"]) == (503, "not-ready")
        assert words in answer.json()["detail"]
        assert running.client.get("/livez").status_code == 200
    with EmbeddedEngine.open(running.data):  # nothing is held any more
        pass


def test_a_faiss_that_does_not_do_its_work_is_told_at_the_start(serve, monkeypatch):
    def broken(*_):
        raise RetrievalError("the self-test of the 'signs' index failed: it returned 3, which the filter leaves out")

    monkeypatch.setattr(starting, "works_here", broken)
    with serve(wait=False) as running:
        running.service.settled.wait()
        answer = running.client.get("/readyz")
        assert (answer.status_code, answer.json()["type"]) == (503, "not-ready")
        assert "which the filter leaves out" in answer.json()["detail"]


def test_a_directory_that_another_process_has_is_told_in_a_sentence(serve, tmp_path):
    with EmbeddedEngine.open(tmp_path / "data"), serve(wait=False) as running:
        running.service.settled.wait()
        assert "data" in running.service.failure
        assert running.client.get("/readyz").status_code == 503


def test_a_service_that_is_stopped_while_it_starts_lets_go_of_everything(tmp_path, monkeypatch):
    reached, loading = threading.Event(), threading.Event()
    holder = starting.ModelHolder

    def slow(*arguments, **others):
        reached.set()
        loading.wait()
        return holder(*arguments, **others)

    monkeypatch.setattr(starting, "ModelHolder", slow)
    app = create_app(ServiceSettings(data=tmp_path, model="synthetic-tiny"))

    async def start_and_stop():
        async with app.router.lifespan_context(app):
            await asyncio.to_thread(reached.wait)
            asyncio.get_running_loop().call_later(0, loading.set)

    asyncio.run(start_and_stop())
    assert app.state.service.settled.is_set()
    with EmbeddedEngine.open(tmp_path):
        pass


def test_what_is_too_much_is_refused_at_once_and_afterwards_all_is_as_before(serve, gate, many, picture):
    with serve(max_waiting=8, max_batch=4, default_deadline_ms=60_000) as running:
        running.gallery("g", people=2)
        gate.clear()

        def ask(number):
            return running.client.post("/v1/galleries/g/search", files={"image": picture(number % 2, number)})

        asked = [many.submit(ask, number) for number in range(32)]
        until(lambda: sum(future.done() for future in asked) >= 32 - 8 - 4)
        refused = [future.result() for future in asked if future.done()]
        for answer in refused:
            assert (answer.status_code, answer.json()["type"]) == (429, "queue-full")
            assert int(answer.headers["Retry-After"]) >= 1
        gate.set()
        answers = [future.result() for future in asked]
        assert {answer.status_code for answer in answers} == {200, 429}
        assert 8 <= sum(answer.status_code == 200 for answer in answers) <= 12
        metrics = running.client.get("/metrics").text
        assert "vantage_queue_depth 0.0" in metrics
        route = "/v1/galleries/{gallery}/search"
        count = sum(answer.status_code == 429 for answer in answers)
        assert f'code="429",method="POST",route="{route}"}} {count}.0' in metrics
        assert all(many.submit(ask, number).result().status_code == 200 for number in range(8))


def test_a_request_that_waits_too_long_is_given_up(serve, gate, many, picture):
    with serve() as running:
        running.gallery("g", people=1)
        gate.clear()
        form = {"image": picture(0, 2)}
        first = many.submit(running.client.post, "/v1/galleries/g/search", files=form)
        until(lambda: "vantage_queue_depth 0.0" in running.client.get("/metrics").text and _running(running))
        late = many.submit(running.client.post, "/v1/galleries/g/search", files=form, params={"deadline_ms": 1})
        until(lambda: late.done() or "vantage_queue_depth 1.0" in running.client.get("/metrics").text)
        gate.set()
        assert first.result().status_code == 200
        assert (late.result().status_code, late.result().json()["type"]) == (504, "deadline-exceeded")


def test_a_client_that_has_gone_keeps_no_place_in_the_queue(serve, gate, many, picture):
    with serve() as running:
        running.gallery("g", people=1)
        gate.clear()
        held = many.submit(running.client.post, "/v1/galleries/g/search", files={"image": picture(0, 2)})
        until(lambda: _running(running))
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(
                f"{running.url}/v1/galleries/g/search",
                files={"image": picture(0, 3)},
                timeout=httpx.Timeout(30, read=0.3),
            )
        until(lambda: 'rejected_total{reason="disconnected"} 1.0' in running.client.get("/metrics").text)
        gate.set()
        assert held.result().status_code == 200


def test_when_it_is_stopped_under_load_no_request_that_was_accepted_is_lost(serve, gate, many, picture):
    with serve() as running:
        running.gallery("g", people=2)
        gate.clear()
        searches = [
            many.submit(running.client.post, "/v1/galleries/g/search", files={"image": picture(0, number)})
            for number in range(8)
        ]
        puts = [many.submit(running.put, "g", f"new/{number}", picture(3, number)) for number in range(8)]
        # Each of them is past the door: it waits for the model or is with it.
        until(lambda: running.service.running.queue.depth + len(_batch(running)) >= 16)
        stopping = many.submit(running.stop)
        until(lambda: running.server.should_exit)
        gate.set()
        stopping.result()
        assert [future.result().status_code for future in searches] == [200] * 8
        assert [future.result().status_code for future in puts] == [201] * 8
        with pytest.raises(httpx.TransportError):
            httpx.get(f"{running.url}/livez")
    with EmbeddedEngine.open(running.data) as engine:
        assert engine.count("g") == 4 + 8


def test_what_comes_while_it_stops_is_told_so(tmp_path):
    app = create_app(ServiceSettings(data=tmp_path, model="synthetic-tiny"))

    async def run():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
            async with app.router.lifespan_context(app):
                await asyncio.to_thread(app.state.service.settled.wait)
                assert (await client.get("/readyz")).status_code == 200
            return await client.get("/readyz"), await client.get("/v1/galleries")

    for answer in asyncio.run(run()):
        assert (answer.status_code, answer.json()["type"]) == (503, "shutting-down")


def test_every_write_that_was_acknowledged_survives_a_kill_at_once(tmp_path, many, picture):
    code = (
        "import sys, uvicorn\nfrom service.api import create_app\nfrom service.settings import ServiceSettings\n"
        "app = create_app(ServiceSettings(data=sys.argv[1], threads=1, model='synthetic-tiny'))\n"
        "server = uvicorn.Server(uvicorn.Config(app, port=0, log_level='critical'))\n"
        "import threading\n"
        "def tell():\n"
        "    app.state.service.settled.wait()\n"
        "    print(server.servers[0].sockets[0].getsockname()[1], flush=True)\n"
        "threading.Thread(target=tell, daemon=True).start()\n"
        "server.run()\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    acknowledged = set()
    try:
        assert process.stdout is not None
        url = f"http://127.0.0.1:{process.stdout.readline().strip()}"
        with httpx.Client(base_url=url, timeout=60) as client:
            client.post("/v1/galleries", json={"name": "g"}).raise_for_status()

            def write(writer):
                with contextlib.suppress(httpx.HTTPError):
                    for number in range(10_000):
                        id = f"{writer}-{number}"
                        vector = [float(place == (writer * 7 + number) % 128) for place in range(128)]
                        if client.put(f"/v1/galleries/g/items/{id}", json={"embedding": vector}).status_code == 201:
                            acknowledged.add(id)

            writers = [many.submit(write, writer) for writer in range(4)]
            until(lambda: len(acknowledged) >= 20)
            os.kill(process.pid, signal.SIGKILL)
            for writer in writers:
                writer.result()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    with EmbeddedEngine.open(tmp_path) as engine:
        held = set()
        cursor = None
        while True:
            page = engine.list("g", cursor=cursor, limit=1000)
            held |= {item.id for item in page.items}
            if (cursor := page.cursor) is None:
                break
        assert acknowledged <= held
        assert len(held - acknowledged) <= 4  # those under way
        assert engine.verify("g").sound


def _running(running):
    return bool(_batch(running))


def _batch(running):
    """Requests that the queue has neither answered nor has waiting."""
    queue = running.service.running.queue
    return [request for request in list(queue._unsettled) if not request.waiting]
