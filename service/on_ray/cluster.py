"""The way to a Ray cluster, with sentences where it leads nowhere."""

import logging
import os
import socket
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any

from service.on_ray.errors import ClusterError

try:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray's, about itself
        import ray
except ImportError as error:
    raise ClusterError(f"--ray needs Ray ({error}): pip install 'vantage-reid[ray]'") from error

os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # it prints what only its programmers understand

_PATIENCE = 4.0
"""Seconds for which an address may be silent. Ray itself asks for a minute, and then ends the process."""
_GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
"""How every gRPC client begins; the fourth byte of the answer says that it is one, too."""
_SETTINGS = 4


@contextmanager
def open_cluster(address: str) -> Iterator[None]:
    """Within, this process is a driver of the cluster.

    address: HOST:PORT of its head; or "auto": the cluster in RAY_ADDRESS or the one that this machine is in, and where
    there is none, one of this machine alone that ends with the work. Where the process is a driver already, it stays.
    """
    if ray.is_initialized():
        yield
        return
    if address == "auto":
        address = os.environ.get("RAY_ADDRESS", address)
    if address != "auto":
        _check(address)
    # Only this user may look into the directory. What Ray has to say in the meantime is no result of ours.
    with tempfile.TemporaryDirectory(prefix="ray-") as own, redirect_stdout(sys.stderr):
        try:
            _join(address, own)
            yield
        finally:
            ray.shutdown()


def _join(address: str, own: str) -> None:
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        with warnings.catch_warnings(), _quiet():
            warnings.simplefilter("ignore")  # ray foretells changes of its own, and leaves files to the collector
            try:
                ray.init(address=address, **quiet)
            except ConnectionError:
                if address != "auto":
                    raise
                os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
                ray.init(
                    address="local",
                    num_cpus=len(os.sched_getaffinity(0)),
                    include_dashboard=False,
                    _temp_dir=own,
                    **quiet,
                )
    except Exception as error:  # it raises bare ones too, as when a machine is too busy to start it in time
        raise ClusterError(f"--ray {address}: {' '.join(str(error).split())}") from error


def _check(address: str) -> None:
    host, _, port = address.rpartition(":")
    if "/" in address or not host or not port.isdecimal():
        raise ClusterError(
            f"--ray is {address!r}: give auto, or HOST:PORT of the cluster's head, on a machine of the cluster "
            "(ray status tells it)"
        )
    try:
        with socket.create_connection((host.strip("[]"), int(port)), _PATIENCE) as connection:
            if "RAY_USE_TLS" in os.environ:
                return
            connection.settimeout(_PATIENCE)
            connection.sendall(_GREETING)
            answer = connection.recv(9)
    except (OSError, OverflowError) as error:
        raise ClusterError(f"there is no Ray cluster at {address}: {error}; ray status tells where one is") from error
    if len(answer) < 4 or answer[3] != _SETTINGS:
        raise ClusterError(f"what answers at {address} is no Ray cluster; ray status tells where one is")


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the lines that Ray's C++ writes to standard error at its start; what matters is raised."""
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(nowhere)
        os.close(kept)
