"""Runs a command with a real Milvus server beside it: python tests/with_milvus.py PROGRAM COMMAND...

The server has free ports and a directory of its own, which is gone afterwards. The command finds its address in
VANTAGE_TEST_MILVUS_URI, and in VANTAGE_TEST_MILVUS_SERVER the program (milvus-server, of the package milvus), for tests
that start, and kill, servers themselves.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Self

PORTS = (
    "etcd",
    "etcd-peer",
    "root-coord",
    "proxy",
    "proxy-internal",
    "query-coord",
    "query-node",
    "index-coord",
    "index-node",
    "data-coord",
    "data-node",
)
# How long a question right after a write waits for it to be seen: 200 ms by default, which the tests would wait often.
TICKS = "proxy.timeTickInterval=20"
START_SECONDS = 300.0
STOP_SECONDS = 30.0


class MilvusProcess:
    """A server in a directory, which keeps its address and its data when it is killed and started again."""

    def __init__(self, program: str, directory: Path) -> None:
        self._program, self._directory = program, directory
        with ExitStack() as taken:
            sockets = [taken.enter_context(socket.socket()) for _ in PORTS]
            for one in sockets:
                one.bind(("127.0.0.1", 0))
            self._ports = {name: one.getsockname()[1] for name, one in zip(PORTS, sockets, strict=True)}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self._ports['proxy']}"

    def start(self) -> Self:
        ports = [f"--{name}-port={port}" for name, port in self._ports.items() if name != "etcd-peer"]
        self._directory.mkdir(parents=True, exist_ok=True)
        # The etcd within it has ports of its own, which are told in no other way.
        client, peer = (f"http://127.0.0.1:{self._ports[name]}" for name in ("etcd", "etcd-peer"))
        etcd = self._directory / "etcd.yaml"
        etcd.write_text(
            f"listen-client-urls: {client}\nadvertise-client-urls: {client}\nlisten-peer-urls: {peer}\n"
            f"initial-advertise-peer-urls: {peer}\ninitial-cluster: default={peer}\n"
        )
        with (self._directory / "output.log").open("ab") as output:
            # A group of its own: the program starts the real server, and does not take it along when it is killed.
            self._process = subprocess.Popen(
                [self._program, f"--data={self._directory}", f"--extra-config={TICKS}", *ports],
                stdout=output,
                stderr=output,
                env=os.environ | {"ETCD_CONFIG_PATH": str(etcd)},
                start_new_session=True,
            )
        until = time.monotonic() + START_SECONDS
        while b"Ctrl+C" not in (self._directory / "output.log").read_bytes():
            if self._process.poll() is not None or time.monotonic() > until:
                said = (self._directory / "output.log").read_text(errors="replace")[-2000:]
                self.kill()
                raise RuntimeError(f"{self._program} does not start: {said}")
            time.sleep(0.1)
        return self

    def kill(self) -> None:
        """As a loss of power does, but for the disk's cache."""
        self._signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()
            (self._directory / "output.log").unlink(missing_ok=True)

    def stand_still(self) -> None:
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._signal(signal.SIGCONT)

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_SECONDS)
        self.kill()

    def _signal(self, number: int) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)


def main() -> int:
    program, *command = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="milvus-", ignore_cleanup_errors=True) as directory:
        server = MilvusProcess(str(Path(program).absolute()), Path(directory))
        try:
            server.start()
            environment = os.environ | {
                "VANTAGE_TEST_MILVUS_URI": server.uri,
                "VANTAGE_TEST_MILVUS_SERVER": str(Path(program).absolute()),
            }
            return subprocess.run(command, env=environment, check=False).returncode
        finally:
            server.stop()


if __name__ == "__main__":
    sys.exit(main())
