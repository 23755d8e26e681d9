"""docker/healthcheck.py against services that are ready, not ready, silent and something else."""

import contextlib
import http.server
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

CHECK = Path(__file__).parents[2] / "docker/healthcheck.py"


def check(port):
    environment = os.environ | {"VANTAGE_PORT": str(port)}
    done = subprocess.run([sys.executable, CHECK], env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


@contextlib.contextmanager
def answering(status, body):
    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status if self.path == "/readyz" else 404)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def test_one_that_is_ready_is_healthy():
    with answering(200, b'{"status": "ready"}') as port:
        assert check(port) == (0, "")


def test_one_that_is_not_says_why():
    with answering(503, b'{"detail": "the service is starting: loading the model"}') as port:
        assert check(port) == (1, "the service is starting: loading the model\n")


def test_where_nobody_listens_it_says_so():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    code, said = check(port)
    assert code == 1
    assert said.startswith("the service does not answer: ")
    assert "Traceback" not in said


@pytest.mark.parametrize("body", [b"<html>", b""])
def test_what_is_no_answer_of_ours_is_unhealthy(body):
    with answering(503, body) as port:
        code, said = check(port)
    assert code == 1
    assert "Traceback" not in said
