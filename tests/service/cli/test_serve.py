import json
import logging
import os
import queue
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
import uuid
from pathlib import Path

import pytest

from models import ZOO, Bundle, list_bundles
from service.access import AUDIT_FOLDER, KEYS_FILE, AuditTrail, KeyStore
from service.cli.log_lines import JsonLines
from service.cli.serve import listen
from service.demo import QUERIES
from service.gallery import GallerySettings
from service.gallery.embedded import EmbeddedEngine
from service.settings import SettingsError

ROOT = Path(__file__).parents[3]
PATIENCE = 300  # seconds until a test gives up on a process; none is waited for


class Served:
    """`vantage serve` in a process of its own; its lines are read as they come."""

    def __init__(self, *arguments: object, cwd: Path, **variables: str) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("VANTAGE_")}
        environment |= {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1"} | variables
        command = [sys.executable, "-m", "service", "serve", "--device", "cpu", *map(str, arguments)]
        self.process = subprocess.Popen(
            command, cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.told: list[str] = []
        self.logged: list[str] = []
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._readers = [threading.Thread(target=self._read_output), threading.Thread(target=self._read_log)]
        for reader in self._readers:
            reader.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.end()

    def line_with(self, part: str) -> str:
        """The next line of standard output that holds `part`."""
        while True:
            line = self._lines.get(timeout=PATIENCE)
            assert line is not None, f"it ended without telling {part!r}: {self.told} {self.logged}"
            self.told.append(line)
            if part in line:
                return line

    def end(self) -> int:
        code = self.process.wait(PATIENCE)
        for reader in self._readers:
            reader.join()
        self.process.stdout.close()
        self.process.stderr.close()
        return code

    def _read_output(self) -> None:
        for line in self.process.stdout:
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    def _read_log(self) -> None:
        self.logged.extend(self.process.stderr)


@pytest.fixture(scope="module")
def demo_data(tmp_path_factory):
    """A data directory in which a service made its demo, and what that service told."""
    data = tmp_path_factory.mktemp("served") / "data"
    with Served("--demo", "--port", 0, "--data", data, cwd=ROOT) as served:
        ready = served.line_with("vantage is ready")
        curl = served.line_with("  curl ")
        served.line_with("There are no keys")
        answer = ask(curl)
        served.process.send_signal(signal.SIGTERM)
        code = served.end()
    return data, ready, curl, answer, code, served


def ask(curl: str, **variables: str) -> dict[str, object]:
    """What the printed line would do, by urllib; the file's name is from the repository's root."""
    words = [re.sub(r"\$(\w+)", lambda match: variables[match[1]], word) for word in shlex.split(curl)]
    assert words.pop(0) == "curl"
    headers, content, boundary = {}, b"", uuid.uuid4().hex
    while words[0] in ("-H", "-F"):
        option, value = words.pop(0), words.pop(0)
        if option == "-H":
            name, _, text = value.partition(": ")
            headers[name] = text
        else:
            name, _, file = value.partition("=@")
            head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="{Path(file).name}"\r\n'
            content += head.encode() + b"Content-Type: image/jpeg\r\n\r\n" + (ROOT / file).read_bytes() + b"\r\n"
    [address] = words
    content += f"--{boundary}--\r\n".encode()
    headers["Content-Type"] = f"multipart/form-data; boundary={boundary}"
    with urllib.request.urlopen(urllib.request.Request(address, content, headers), timeout=PATIENCE) as answer:
        return json.load(answer)


def test_the_demo_serves_the_line_that_it_prints_and_ends_on_sigterm(demo_data):
    _, ready, curl, answer, code, served = demo_data
    assert list_bundles()[0].name in ready
    assert "CPUExecutionProvider" in ready
    assert f"image=@{QUERIES[0].relative_to(ROOT)} http://127.0.0.1:" in curl
    assert answer["results"][0]["id"].startswith(QUERIES[0].name[:4])
    assert code == 0
    assert "Traceback" not in "".join(served.logged)
    assert not [line for line in served.logged if QUERIES[0].name in line]


def test_with_a_key_the_printed_line_wants_it_and_sigint_ends_it_as_well(demo_data, tmp_path):
    data, *_ = demo_data
    store = KeyStore(data / KEYS_FILE)
    _, secret = store.create(["search"], name="reader")
    store.close()
    # From elsewhere the crop is named by its whole path.
    with Served("--port", 0, "--data", data, cwd=tmp_path, VANTAGE_LOG_JSON="true") as served:
        curl = served.line_with("  curl ")
        assert str(QUERIES[0]) in curl
        with pytest.raises(urllib.error.HTTPError) as refused:
            ask(curl, VANTAGE_KEY="vk_wrong")
        assert refused.value.code == 401
        refused.value.close()
        assert ask(curl, VANTAGE_KEY=secret)["results"]
        served.process.send_signal(signal.SIGINT)
        assert served.end() == 0
    assert not any("There are no keys" in line for line in served.told)
    lines = [json.loads(line) for line in served.logged]
    assert [line["status"] for line in lines if line["logger"] == "vantage.access"] == [401, 200]
    assert secret not in "".join(served.logged)


@pytest.mark.parametrize(("proxies", "client"), [("10.0.0.0/8,127.0.0.1", "203.0.113.7"), ("", "127.0.0.1")])
def test_a_proxy_is_believed_whose_client_it_is_and_nobody_else_is(demo_data, tmp_path, proxies, client):
    data, *_ = demo_data
    store = KeyStore(data / KEYS_FILE)
    _, secret = store.create(["search"], name="behind a proxy")
    store.close()
    with Served("--port", 0, "--data", data, cwd=tmp_path, VANTAGE_PROXIES=proxies) as served:
        address = served.line_with("  service ").split()[-1]
        headers = {"Authorization": f"Bearer {secret}", "X-Forwarded-For": "203.0.113.7", "Content-Type": "text/plain"}
        headers["X-Request-Id"] = f"asked-through-{len(proxies)}"
        refused = urllib.request.Request(f"{address}/v1/galleries/demo", headers=headers, method="DELETE")
        with pytest.raises(urllib.error.HTTPError) as answer:
            urllib.request.urlopen(refused, timeout=PATIENCE)
        assert answer.value.code == 403
        answer.value.close()
        served.process.send_signal(signal.SIGTERM)
        assert served.end() == 0
    entries = AuditTrail(data / AUDIT_FOLDER).entries(action="refused")
    assert [entry.client for entry in entries if entry.request_id == headers["X-Request-Id"]] == [client]


def test_a_failing_start_is_a_sentence_and_exit_code_1_and_nothing_is_announced(tmp_path):
    (tmp_path / "broken").mkdir()
    with Served("--port", 0, "--model", "broken", cwd=tmp_path) as served:
        assert served.end() == 1
        assert served._lines.get() is None
    assert "card.json" in "".join(served.logged)
    assert "Traceback" not in "".join(served.logged)


def test_a_data_directory_that_another_process_has_is_a_sentence(tmp_path):
    with (
        EmbeddedEngine.open(tmp_path / "vantage-data"),
        Served("--port", 0, "--demo", cwd=tmp_path) as served,
    ):
        assert served.end() == 1
        assert served._lines.get() is None
    assert "vantage-data" in "".join(served.logged)
    assert "Traceback" not in "".join(served.logged)


def test_galleries_that_are_there_are_served_without_a_demo(tmp_path):
    card = Bundle.open(ZOO / "synthetic-tiny").card
    with EmbeddedEngine.open(tmp_path / "vantage-data") as engine:
        engine.create("own", GallerySettings.for_model(card))
    with Served("--port", 0, "--demo", cwd=tmp_path) as served:
        assert served.line_with("galleries").split() == ["galleries", "own"]
        served.line_with("There are no keys")
        served.process.send_signal(signal.SIGTERM)
        assert served.end() == 0
    assert not any("curl" in line for line in served.told)


def test_a_taken_port_is_a_sentence(vantage):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, out, err = vantage("serve", "--port", port)
    assert (code, out) == (1, "")
    assert (
        err
        == f"vantage: port {port} of 127.0.0.1 is taken by another program: stop that, or choose another with --port\n"
    )
    assert not Path("vantage-data").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--host", "0.0.0.0"), "there are no keys, so anybody could search and delete: make a key"),
        (("--host", "::"), "there are no keys"),
        (("--port", "99999"), "port is 99999"),
        (("--host", "127.0.0.1.5"), "127.0.0.1.5 can be reached from other machines"),
        (("--config", "nothing.toml"), "nothing.toml cannot be read"),
    ],
)
def test_bad_settings_are_sentences_before_anything_is_made(vantage, arguments, sentence):
    code, out, err = vantage("serve", *arguments)
    assert (code, out) == (1, "")
    assert err.startswith("vantage: ")
    assert sentence in err
    assert not Path("vantage-data").exists()


def test_an_address_that_this_machine_has_not_is_a_sentence():
    with pytest.raises(SettingsError, match=r"port 0 of 192\.0\.2\.1 cannot be listened at \(.+\): mend --host"):
        listen("192.0.2.1", 0)


def test_an_unknown_setting_in_the_environment_is_a_sentence(vantage, monkeypatch):
    monkeypatch.setenv("VANTAGE_PROT", "1")
    code, _, err = vantage("serve")
    assert code == 1
    assert "did you mean VANTAGE_PORT?" in err


def test_a_revoked_key_still_lets_the_service_listen_elsewhere_but_not_a_missing_one(vantage, tmp_path, monkeypatch):
    store = KeyStore(Path("vantage-data") / KEYS_FILE)
    key, _ = store.create(["search"], name="gone")
    store.revoke(key.id)
    store.close()
    with socket.create_server(("0.0.0.0", 0)) as taken:  # as far as the port, which is beyond the keys
        code, _, err = vantage("serve", "--host", "0.0.0.0", "--port", taken.getsockname()[1])
    assert code == 1
    assert "is taken by another program" in err


def test_in_a_trusted_network_it_listens_elsewhere_without_keys_and_says_whom_it_lets_in(tmp_path):
    with Served("--host", "0.0.0.0", "--port", 0, "--demo", cwd=tmp_path, VANTAGE_TRUST_NETWORK="true") as served:
        assert "whoever reaches the port is let in" in served.line_with("There are no keys")
        served.process.send_signal(signal.SIGTERM)
        assert served.end() == 0
    assert any("WARNING" in line and "trust_network is set" in line for line in served.logged)


def test_a_log_line_is_json_whose_fields_are_those_of_the_message():
    def line(message, **more):
        record = logging.LogRecord("vantage.access", logging.INFO, "", 0, message, (), more.get("exc_info"))
        return json.loads(JsonLines().format(record))

    assert line('{"status": 200}')["status"] == 200
    assert line("{not json")["message"] == "{not json"
    assert line("ready")["level"] == "info"
    try:
        raise KeyError("x")
    except KeyError:
        assert "KeyError" in line("failed", exc_info=sys.exc_info())["exception"]
