"""Services that share a database: what one was told all know, and what becomes of them while it is away.

Their galleries are their own here; those that are shared are tried with the engine over Milvus.
"""

import contextlib
import sys
import threading
from pathlib import Path

import httpx
import pytest

from service.access import open_home
from service.gallery import UnavailableError
from service.gallery.embedded import EmbeddedEngine
from service.settings import ServiceSettings

pytest.importorskip("sqlalchemy", reason="the extra sql is not installed")


@pytest.fixture
def replicas(serve, tmp_path, database_url):
    """Two of them."""
    with (
        serve(data=tmp_path / "one", database=database_url) as one,
        serve(data=tmp_path / "other", database=database_url) as other,
    ):
        yield one, other


def audited(url):
    with contextlib.closing(open_home(Path(), url)) as home:
        return home.trail().verify(), list(home.trail().entries())


def test_a_key_opens_all_replicas_until_one_of_them_hears_that_it_is_revoked(replicas, database_url, tmp_path):
    with contextlib.closing(open_home(Path(), database_url)) as home, contextlib.closing(home.keys()) as keys:
        key, secret = keys.create(["admin"], name="a")
        bearer = {"Authorization": f"Bearer {secret}"}
        for replica in replicas:
            while replica.client.get("/v1/jobs").status_code == 200:  # as long as it knows of no key
                pass
            assert replica.client.get("/v1/jobs", headers=bearer).status_code == 200
        keys.revoke(key.id)
        for replica in replicas:
            while (answer := replica.client.get("/v1/jobs", headers=bearer)).status_code == 200:
                pass
            assert (answer.status_code, answer.json()["type"]) == (401, "unauthenticated")
            assert "was revoked" in answer.json()["detail"]
    assert not (tmp_path / "one" / "access").exists()


def test_all_replicas_write_one_audit_log(replicas, database_url, many):
    for replica in replicas:
        replica.gallery("g", people=1)

    def ask(number):
        replica = replicas[number % 2]
        answer = replica.client.post(
            "/v1/galleries/g/search", json={"item_id": "p0/0"}, headers={"X-Request-Id": f"r-{number}"}
        )
        return answer.status_code

    assert set(many.map(ask, range(40))) == {200}
    report, entries = audited(database_url)
    assert report.sound
    assert {f"r-{number}" for number in range(40)} <= {entry.request_id for entry in entries}


def test_any_replica_says_how_far_a_job_is(replicas):
    one, other = replicas
    one.gallery("g", people=1)
    taken = one.client.post("/v1/galleries/g/verify")
    assert taken.status_code == 202
    assert other.client.get(taken.headers["Location"]).json()["id"] == taken.json()["id"]  # at once
    ended = one.job(taken)
    told = other.job(taken)
    assert (told, told["state"]) == (ended, "done")
    assert told["result"]["sound"] is True
    assert [job["id"] for job in other.client.get("/v1/jobs").json()["jobs"]] == [told["id"]]
    assert one.client.get("/v1/jobs").json() == other.client.get("/v1/jobs").json()
    assert other.client.get("/v1/jobs/nothing").status_code == 404


def test_a_job_whose_replica_was_stopped_before_it_began_has_failed(serve, tmp_path, database_url):
    let_go = threading.Event()
    with serve(data=tmp_path / "other", database=database_url) as other:
        with serve(data=tmp_path / "one", database=database_url) as one:
            jobs = one.service.running.jobs
            jobs.start("slow", None, lambda: {"waited": let_go.wait()})
            waiting = jobs.start("given up", None, dict)
            one.server.should_exit = True
            while one.service.state != "stopping" or not jobs._closed:
                pass
            let_go.set()
        told = other.client.get(f"/v1/jobs/{waiting.id}").json()
        assert (told["state"], told["problem"]["type"]) == ("failed", "shutting-down")
        states = {job["kind"]: job["state"] for job in other.client.get("/v1/jobs").json()["jobs"]}
        assert states == {"slow": "done", "given up": "failed"}


def test_a_job_of_which_nobody_could_be_told_then_is_told_later(serve, tmp_path, make_postgresql):
    server = make_postgresql()
    let_go = threading.Event()
    with (
        serve(data=tmp_path / "one", database=server.database(), audit=False) as one,
        serve(data=tmp_path / "other", database=one.service.settings.database_url, audit=False) as other,
    ):
        job = one.service.running.jobs.start("slow", None, lambda: {"waited": let_go.wait()})
        while one.service.running.jobs.get(job.id).state != "running":
            pass
        server.stop()
        let_go.set()
        while one.service.running.jobs.get(job.id).state != "done":
            pass
        server.start()
        one.service.running.jobs.tell()
        assert other.service.running.jobs.get(job.id).state == "done"


def test_while_the_database_is_away_nothing_is_done_and_everybody_can_see_why(serve, make_postgresql, picture):
    server = make_postgresql()
    url = server.database()
    with serve(database=url) as running:
        running.gallery("g", people=1)
        server.stop()
        jpeg = {"Content-Type": "image/jpeg", "X-Request-Id": "r-1"}
        answer = running.client.put("/v1/galleries/g/items/new", content=picture(2), headers=jpeg)
        assert (answer.status_code, answer.json()["type"]) == (500, "done-unrecorded")
        ready = running.client.get("/readyz")
        assert ready.status_code == 503
        assert "cannot be read or written" in ready.json()["detail"]
        assert running.client.get("/livez").status_code == 200
        for refused in (
            running.client.post("/v1/galleries/g/search", json={"item_id": "p0/0"}),
            running.put("g", "another", picture(3)),
            running.client.post("/v1/galleries", json={"name": "h"}),
            running.client.post("/v1/galleries/g/verify"),
        ):
            assert refused.status_code == 503
            assert int(refused.headers["Retry-After"]) >= 1
        assert "vantage_http_requests_total" in running.client.get("/metrics").text
        server.start()
        while running.client.get("/readyz").status_code != 200:
            pass
        assert running.client.post("/v1/galleries/g/search", json={"item_id": "p0/0"}).status_code == 200
        assert "new" in [item["id"] for item in running.client.get("/v1/galleries/g/items").json()["items"]]
        report, entries = audited(url)
        assert report.sound
        (late,) = (entry for entry in entries if entry.request_id == "r-1")
        assert (late.action, late.ids, "done_at" in late.parameters) == ("put", ("new",), True)
        assert [entry.action for entry in entries][-2:] == ["resumed", "search"]


def test_a_service_that_nobody_asks_says_that_its_keys_cannot_be_read(serve, make_postgresql, monkeypatch):
    monkeypatch.setattr("service.access.keys.BELIEVED_SECONDS", 0.2)
    monkeypatch.setattr("service.access.keys.REFRESH_SECONDS", 0.05)
    server = make_postgresql()
    with serve(database=server.database()) as running:
        server.stop()
        while (answer := running.client.get("/readyz")).status_code == 200:
            pass
        assert (answer.status_code, answer.json()["type"]) == (503, "keys-unavailable")
        server.start()
        while running.client.get("/readyz").status_code != 200:
            pass


def test_without_its_database_it_listens_and_waits_and_is_ready_by_itself(serve, make_postgresql):
    server = make_postgresql()
    url = server.database()
    server.stop()
    with serve(database=url, wait=False) as running:
        while "waiting, because" not in (answer := running.client.get("/readyz")).json()["detail"]:
            pass
        assert answer.status_code == 503
        assert "cannot be reached" in answer.json()["detail"]
        assert running.client.get("/livez").status_code == 200
        assert running.client.get("/v1/galleries").json()["type"] == "not-ready"
        server.start()
        while running.client.get("/readyz").status_code != 200:
            pass


def test_where_strangers_could_do_anything_it_waits_for_the_first_key(serve, database_url):
    with serve(database=database_url, host="0.0.0.0", wait=False) as running:
        while "waiting, because" not in (answer := running.client.get("/readyz")).json()["detail"]:
            pass
        assert "there are no keys" in answer.json()["detail"]
        assert running.client.get("/v1/galleries").status_code == 503
        with contextlib.closing(open_home(Path(), database_url)) as home, contextlib.closing(home.keys()) as keys:
            _, secret = keys.create(["admin"], name="a")
        while running.client.get("/readyz").status_code != 200:
            pass
        assert running.client.get("/v1/galleries").status_code == 401
        assert running.client.get("/v1/galleries", headers={"X-Api-Key": secret}).status_code == 200


def test_it_can_be_stopped_while_it_waits(serve):
    pytest.importorskip("psycopg", reason="the extra sql is not installed")
    with serve(database="postgresql://u@127.0.0.1:1/n", wait=False) as running:
        while "waiting, because" not in running.client.get("/readyz").json()["detail"]:
            pass
        running.stop()
        assert running.service.state == "stopping"


# ---- galleries on a server ------------------------------------------------------------------------------------------


class ElsewhereEngine:
    """The embedded engine as if it were on a server that comes and goes."""

    def __init__(self, data):
        self.engine, self.away = EmbeddedEngine.open(data), True

    def check(self):
        if self.away:
            raise UnavailableError("the Milvus server at there:19530 cannot be reached: nothing was done")

    def __getattr__(self, name):
        if name != "close":
            self.check()
        return getattr(self.engine, name)


@pytest.fixture
def elsewhere(monkeypatch, tmp_path):
    engine = ElsewhereEngine(tmp_path / "elsewhere")
    monkeypatch.setattr("service.milvus.open_milvus", lambda settings: engine)
    yield engine
    engine.engine.close()


ON_MILVUS = {"gallery": "milvus", "milvus_uri": "http://there:19530"}


def test_a_server_that_is_away_is_waited_for_told_of_and_found_again(serve, elsewhere):
    with serve(wait=False, **ON_MILVUS) as running:
        while "Milvus server at there:19530" not in (answer := running.client.get("/readyz")).json()["detail"]:
            pass
        assert (answer.status_code, answer.json()["type"]) == (503, "not-ready")
        assert running.client.get("/livez").status_code == 200
        elsewhere.away = False
        while running.client.get("/readyz").status_code != 200:
            pass
        running.client.post("/v1/galleries", json={"name": "g"}).raise_for_status()
        assert "vantage_index_items" in running.client.get("/metrics").text
        elsewhere.away = True
        search = running.client.post("/v1/galleries/g/search", json={"item_id": "x"})
        for refused in (running.client.get("/readyz"), search, running.client.get("/v1/galleries")):
            assert (refused.status_code, refused.json()["type"]) == (503, "not-ready")
            assert "cannot be reached" in refused.json()["detail"]
            assert int(refused.headers["Retry-After"]) >= 1
        assert running.client.get("/metrics").status_code == 200
        elsewhere.away = False
        assert running.client.get("/readyz").status_code == 200
        assert running.client.get("/v1/galleries/g").status_code == 200


def test_what_another_replica_made_anew_is_seen_within_seconds(serve, elsewhere, monkeypatch):
    monkeypatch.setattr("service.api.service._SHARED_KEPT_SECONDS", 0.0)
    elsewhere.away = False
    with serve(**ON_MILVUS) as running:
        running.client.post("/v1/galleries", json={"name": "g", "store_crops": True}).raise_for_status()
        running.client.get("/v1/galleries/g").raise_for_status()
        assert httpx.post(f"{running.url}/v1/galleries/g/verify").status_code == 202
        elsewhere.engine.drop("g")
        assert running.client.post("/v1/galleries/g/verify").status_code == 404


def test_the_database_of_galleries_on_a_server_is_a_file_unless_one_is_named(tmp_path):
    settings = ServiceSettings(data=tmp_path, **ON_MILVUS)
    assert settings.database_url == f"sqlite:///{tmp_path / 'vantage.sqlite'}"
    assert ServiceSettings(data=tmp_path).database_url is None
    named = ServiceSettings(database="postgresql://u:p@h/n", **ON_MILVUS)
    assert named.database_url == "postgresql+psycopg://u:p@h/n"


def test_without_the_extra_a_sentence_says_what_to_install(serve, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("service.gallery.milvus")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pymilvus", None)
    with serve(wait=False, **ON_MILVUS) as running:
        running.service.settled.wait()
        told = running.service.failure or ""
        assert "pymilvus, which is not installed: pip install 'vantage-reid[milvus,sql]'" in told
