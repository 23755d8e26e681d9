"""What docker/compose.scale.yml promises, read from it; and nginx with its configuration, where it is installed."""

import re
import shutil
import subprocess
import tempfile
import threading
from contextlib import ExitStack, closing, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import create_connection, create_server, socket

import httpx
import pytest
import yaml

from service.settings import PREFIX, ServiceSettings

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docker/compose.scale.yml"
COMPOSE = yaml.safe_load(FILE.read_text())
SERVICES = COMPOSE["services"]
REPLICAS = [name for name in SERVICES if name.startswith("replica-")]
NGINX = (ROOT / "docker/nginx/nginx.conf").read_text()
PROMETHEUS = yaml.safe_load((ROOT / "docker/prometheus/scale.yml").read_text())
README = (ROOT / "docker/README.md").read_text()


def test_there_are_two_replicas_and_they_are_the_same():
    assert len(REPLICAS) == 2
    assert SERVICES[REPLICAS[0]] == SERVICES[REPLICAS[1]]


def test_compose_1_29_knows_what_stands_at_the_top():
    assert {key for key in COMPOSE if not key.startswith("x-")} == {"services", "volumes"}


def test_compose_takes_it():
    compose = shutil.which("docker-compose")
    if compose is None:
        pytest.skip("docker-compose is not installed here")
    done = subprocess.run([compose, "-f", FILE, "config", "-q"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", SERVICES)
def test_every_container_is_confined_and_reached_from_this_machine_only(name):
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "devices", "pid", "ipc", "network_mode"} & set(service)
    assert service["logging"]["options"].keys() == {"max-size", "max-file"}
    assert service["restart"] == "unless-stopped"
    for port in service.get("ports", []):
        assert re.fullmatch(r"127\.0\.0\.1:\$\{[A-Z_]+:-\d+\}:\d+", port)
    assert ("ports" in service) == (name in ("nginx", "prometheus"))


def test_every_variable_of_ours_is_a_setting_and_they_fit_together(monkeypatch):
    for name in REPLICAS:
        ours = {key: value for key, value in SERVICES[name]["environment"].items() if key.startswith(PREFIX)}
        for key, value in ours.items():
            monkeypatch.setenv(key, value)
        settings = ServiceSettings.load()
        assert settings.gallery == "milvus"
        assert settings.milvus_uri == "http://milvus:19530"
        assert settings.database_url == "postgresql+psycopg://vantage@postgresql:5432/vantage"
        assert settings.proxies is not None


def test_all_that_is_named_is_there():
    volumes = [volume for service in SERVICES.values() for volume in service["volumes"]]
    for volume in volumes:
        source = volume.split(":")[0]
        assert source in COMPOSE["volumes"] or (FILE.parent / source).exists(), source
    assert {volume.split(":")[0] for volume in volumes if not volume.startswith(".")} == set(COMPOSE["volumes"])
    for service in SERVICES.values():
        assert set(service.get("depends_on", [])) <= set(SERVICES)


def test_both_replicas_see_the_same_pictures_where_the_image_has_its_data_directory():
    assert SERVICES[REPLICAS[0]]["volumes"] == ["shared:/data"]
    assert "VANTAGE_DATA=/data" in (ROOT / "docker/Dockerfile").read_text()


def test_the_passwords_of_both_ends_are_the_same():
    assert (
        SERVICES["postgresql"]["environment"]["POSTGRES_PASSWORD"] == SERVICES[REPLICAS[0]]["environment"]["PGPASSWORD"]
    )
    for ours, theirs in (("ACCESS_KEY_ID", "USER"), ("SECRET_ACCESS_KEY", "PASSWORD")):
        assert (
            SERVICES["milvus"]["environment"][f"MINIO_{ours}"]
            == SERVICES["minio"]["environment"][f"MINIO_ROOT_{theirs}"]
        )


def test_what_is_built_elsewhere_is_pinned_to_a_version():
    for name, service in SERVICES.items():
        if name not in REPLICAS:
            assert re.fullmatch(r"[a-z./-]+:(v?\d+(\.\d+)+(-\w+)?|RELEASE\.[\dTZ-]+)", service["image"]), service[
                "image"
            ]


def test_the_image_is_built_with_what_it_needs():
    replica = SERVICES[REPLICAS[0]]
    assert replica["build"]["target"] == "serve"
    variant = replica["build"]["args"]["VARIANT"]
    names = re.findall(r"^([\w-]+)==", (ROOT / f"requirements/serve-{variant}.txt").read_text(), re.MULTILINE)
    assert {"fastapi", "onnxruntime", "faiss-cpu", "pymilvus", "sqlalchemy", "psycopg", "psycopg-binary"} <= set(names)
    assert not {"torch", "ray"} & set(names)


def test_the_readme_names_all_that_can_be_set_from_outside():
    for name in re.findall(r"\$\{(\w+)", FILE.read_text()):
        assert f"`{name}`" in README


def test_prometheus_sees_each_replica_and_what_they_stand_on():
    targets = {
        scrape["job_name"]: [target for group in scrape["static_configs"] for target in group["targets"]]
        for scrape in PROMETHEUS["scrape_configs"]
    }
    assert targets["vantage"] == [f"{name}:8000" for name in REPLICAS]  # the job that alerts name
    assert {target.split(":")[0] for job in targets.values() for target in job} == {
        *REPLICAS,
        "milvus",
        "etcd",
        "minio",
    }
    assert "--config.file=/etc/prometheus/scale.yml" in SERVICES["prometheus"]["command"]
    for rules in PROMETHEUS["rule_files"]:
        assert (ROOT / "docker/prometheus" / rules).is_file()


# ---- nginx ----------------------------------------------------------------------------------------------------------


def test_nginx_shares_out_to_all_replicas_and_takes_what_they_take():
    assert re.findall(r"server ([\w-]+:\d+)", NGINX) == [f"{name}:8000" for name in REPLICAS]
    settings = ServiceSettings()
    assert f"client_max_body_size {settings.max_body_bytes // 2**20}m; # VANTAGE_MAX_BODY_BYTES" in NGINX
    assert f"client_max_body_size {settings.max_bulk_bytes // 2**20}m; # VANTAGE_MAX_BULK_BYTES" in NGINX
    assert f"client_body_timeout {settings.body_seconds:g}s;" in NGINX
    waits = int(re.search(r"proxy_read_timeout (\d+)s; # VANTAGE_MAX_DEADLINE_MS", NGINX)[1])
    assert waits * 1000 > settings.max_deadline_ms


class Replica:
    """Answers as it is told to, and keeps what it was asked."""

    def __init__(self):
        self.status, self.asked, self.cut_off = 200, [], False
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                length = int(self.headers.get("Content-Length", 0))
                outer.asked.append((self.command, self.path, dict(self.headers), len(self.rfile.read(length))))
                if outer.cut_off:
                    self.close_connection = True
                    return
                self.send_response(outer.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = do_POST = do_PUT = do_DELETE = answer  # noqa: N815 - as the library wants them

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    @property
    def port(self):
        return self.server.server_address[1]

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def replicas():
    with closing(Replica()) as one, closing(Replica()) as other:
        yield one, other


@pytest.fixture
def balancer(replicas):
    """nginx in front of two of them, with the configuration but for addresses and folders."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        pytest.skip("nginx is not installed here")
    with create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        text = NGINX.replace("listen 8080;", f"listen 127.0.0.1:{port};").replace("/tmp/", f"{folder}/")
        for name, replica in zip(REPLICAS, replicas, strict=True):
            text = text.replace(f"{name}:8000", f"127.0.0.1:{replica.port}")
        text = text.replace("worker_processes auto;", "worker_processes 1;\nmaster_process off;")
        (Path(folder) / "nginx.conf").write_text(text)
        command = [program, "-p", folder, "-c", f"{folder}/nginx.conf", "-g", "daemon off;", "-e", "stderr"]
        process = subprocess.Popen(command, stderr=subprocess.PIPE)
        try:
            while process.poll() is None:
                with suppress(ConnectionRefusedError), create_connection(("127.0.0.1", port)):
                    break
            assert process.poll() is None, process.stderr.read().decode()
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
                yield client
        finally:
            process.terminate()
            process.wait()
            process.stderr.close()


def asked(replicas):
    return [what for replica in replicas for what in replica.asked]


def test_both_are_asked_as_the_client_asked(balancer, replicas):
    for _ in range(8):
        path = "/v1/galleries/g/items/a%2Fb"
        answer = balancer.get(path, headers={"X-Forwarded-For": "127.0.0.1", "Host": "localhost:1234"})
        assert answer.status_code == 200
    assert all(replica.asked for replica in replicas)
    for _, path, headers, _ in asked(replicas):
        assert path == "/v1/galleries/g/items/a%2Fb"
        assert headers["Host"] == "localhost:1234"
        assert headers["X-Forwarded-For"] == "127.0.0.1"  # of the test's client, by accident the same
    balancer.get("/", headers={"X-Forwarded-For": "10.9.9.9"})
    assert "10.9.9.9" not in str(asked(replicas))


@pytest.mark.parametrize("path", ["/v1/galleries/g/search", "/v1/galleries/g/search:batch", "/v1/embed"])
@pytest.mark.parametrize("fault", ["503", "cut off"])
def test_a_search_that_one_replica_did_not_answer_is_put_to_the_other(balancer, replicas, path, fault):
    bad, good = replicas
    bad.status, bad.cut_off = 503, fault == "cut off"
    answers = {balancer.post(path, content=b"picture").status_code for _ in range(6)}
    assert answers == {200}
    assert bad.asked
    assert len(good.asked) == 6


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/galleries"),
        ("POST", "/v1/galleries/g/items:delete"),
        ("POST", "/v1/galleries/g/items:batch"),
        ("POST", "/v1/galleries/g/feedback"),
    ],
)
def test_what_may_not_be_repeated_is_put_to_one_alone(balancer, replicas, method, path):
    for replica in replicas:
        replica.cut_off = True
    assert balancer.request(method, path, content=b"{}").status_code == 502
    assert len(asked(replicas)) == 1


def test_a_replica_that_is_gone_costs_nobody_an_answer(balancer, replicas):
    gone, there = replicas
    gone.close()
    for method, path in (("GET", "/v1/galleries"), ("POST", "/v1/galleries"), ("POST", "/v1/galleries/g/search")):
        for _ in range(4):
            assert balancer.request(method, path, content=b"{}").status_code == 200
    assert len(there.asked) == 12


def test_a_replica_that_does_not_even_refuse_costs_nobody_an_answer(balancer, replicas):
    """As when its machine is gone: nothing comes back, and nginx gives up after two seconds."""
    gone, there = replicas
    port = gone.port
    gone.close()
    with ExitStack() as held:
        held.enter_context(create_server(("127.0.0.1", port), backlog=0))
        for _ in range(3):  # a full queue lets nobody knock
            knocking = held.enter_context(socket())
            knocking.setblocking(False)
            knocking.connect_ex(("127.0.0.1", port))
        for method, path in (("GET", "/v1/galleries"), ("POST", "/v1/galleries"), ("POST", "/v1/galleries/g/search")):
            for _ in range(2):
                assert balancer.request(method, path, content=b"{}").status_code == 200
    assert len(there.asked) == 6


def test_bodies_have_an_end_and_metrics_are_not_passed_on(balancer, replicas):
    assert balancer.post("/v1/galleries/g/search", content=b"x" * (33 * 2**20)).status_code == 413
    assert balancer.post("/v1/galleries/g/items:batch", content=b"x" * (33 * 2**20)).status_code == 200
    assert balancer.get("/metrics").status_code == 404
    assert [size for *_, size in asked(replicas)] == [33 * 2**20]
