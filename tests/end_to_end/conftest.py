"""`vantage serve` as a process of its own, asked over HTTP as anybody would ask it."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from service.access import AUDIT_FOLDER, AuditReport, AuditTrail

ROOT = Path(__file__).parents[2]
DIMENSION = 128
PATIENCE = 120.0  # seconds until a test gives up on a process


class ServiceProcess:
    """One that has started and is ready. Its log is read line by line, so that the pipe never fills."""

    def __init__(self, data: Path, **settings: object) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("VANTAGE_")}
        environment |= {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "VANTAGE_LOG_JSON": "true"}
        environment["VANTAGE_MODEL"] = "synthetic-tiny"  # small, and its scores are those that tests know
        environment |= {f"VANTAGE_{name.upper()}": str(value) for name, value in settings.items()}
        command = [sys.executable, "-m", "service", "serve", "--device", "cpu", "--port", "0", "--data", str(data)]
        self.data = data
        self.process = subprocess.Popen(
            command, cwd=data.parent, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.logged: list[dict[str, Any]] = []
        addresses: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._readers = [
            threading.Thread(target=self._read_output, args=(addresses,)),
            threading.Thread(target=self._read_log),
        ]
        for reader in self._readers:
            reader.start()
        try:
            address = addresses.get(timeout=PATIENCE)
        except queue.Empty:
            address = None
        if address is None:
            self.kill()
            raise AssertionError(f"it was never ready: {self.logged}")
        self.url = address
        self.port = int(address.rpartition(":")[2])

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=PATIENCE)

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def end(self) -> int:
        """Waits for its end, however it came to that; its exit code."""
        code = self.process.wait(PATIENCE)
        for reader in self._readers:
            reader.join()
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()
        return code

    def stop(self) -> int:
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        return self.end()

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.end()

    def requests(self) -> dict[str, int]:
        """What it answered by request id, by its own log; to be asked once it has ended."""
        return {line["request_id"]: line["status"] for line in self.logged if line.get("logger") == "vantage.access"}

    def audit(self) -> AuditReport:
        return AuditTrail(self.data / AUDIT_FOLDER).verify()

    @property
    def mebibytes(self) -> float:
        return int(self._status("VmRSS")) / 1024

    @property
    def threads(self) -> int:
        return int(self._status("Threads"))

    @property
    def open_files(self) -> int:
        return sum(1 for _ in Path(f"/proc/{self.process.pid}/fd").iterdir())

    @property
    def sockets(self) -> int:
        count = 0
        for file in Path(f"/proc/{self.process.pid}/fd").iterdir():
            with suppress(FileNotFoundError):  # closed meanwhile
                count += str(file.readlink()).startswith("socket:")
        return count

    def _status(self, name: str) -> str:
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(line for line in lines if line.startswith(f"{name}:")).split()[1]

    def _read_output(self, addresses: queue.SimpleQueue[str | None]) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            words = line.split()
            if words[:1] == ["service"]:
                addresses.put(words[1])
        addresses.put(None)

    def _read_log(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.logged.append(json.loads(line) if line.startswith("{") else {"message": line})


@dataclass(frozen=True, slots=True)
class Crowd:
    """Vectors of made-up people: shots of one are near each other. The same number gives the same vector."""

    people: int = 40

    def vector(self, number: int) -> list[float]:
        return self.array(number).tolist()

    def array(self, number: int) -> np.ndarray:
        person = np.random.default_rng(number % self.people).standard_normal(DIMENSION)
        row = person + 0.6 * np.random.default_rng((number, 1)).standard_normal(DIMENSION)
        return (row / np.linalg.norm(row)).astype(np.float32)


@pytest.fixture(scope="session")
def crowd() -> Crowd:
    return Crowd()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., ServiceProcess]]:
    """Starts `vantage serve` on the test's data directory, with settings; what is left at the end is killed."""
    started: list[ServiceProcess] = []

    def starting(**settings: object) -> ServiceProcess:
        started.append(ServiceProcess(tmp_path / "data", **settings))
        return started[-1]

    yield starting
    for service in started:
        if service.process.poll() is None:
            service.kill()
        for line in service.logged:  # pytest shows it where the test failed
            if line.get("level") in ("warning", "error", "critical"):
                print(line["message"], line.get("exception", ""), sep="\n")
