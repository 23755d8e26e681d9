"""The service at work in this process: told where to find it once it is ready, stopped by a signal."""

from __future__ import annotations

import asyncio
import math
import os
import signal
import socket
from pathlib import Path

import typer
import uvicorn

from service.api.app import create_app
from service.api.service import Service
from service.cli.connections import ImpatientProtocol
from service.demo import GALLERY, QUERIES
from service.gallery import roll_call
from service.settings import ServiceSettings

# A client that asks now and then keeps its connection, one that has gone does not keep it for long.
_KEEP_ALIVE_SECONDS = 30
_BACKLOG = 1024
_WILDCARDS = {"0.0.0.0": "localhost", "::": "localhost"}


def run(settings: ServiceSettings, listening: socket.socket) -> int:
    """Serves at a bound socket until SIGINT or SIGTERM; the exit code, which is 0 then and 1 if it could not start."""
    app = create_app(settings)
    server = _Server(
        uvicorn.Config(
            app,
            http=ImpatientProtocol,
            loop="uvloop",
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,  # requests are logged where their routes and ids are known
            server_header=False,
            proxy_headers=settings.proxies is not None,
            forwarded_allow_ips=settings.proxies or "",
            backlog=_BACKLOG,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=math.ceil(settings.shutdown_seconds),
        ),
        app.state.service,
        _address(settings.host, listening),
    )
    # When it has stopped, uvicorn gives the signal on to whoever handled it before: it has done its work then.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, server.stop)
    server.run([listening])
    return 1 if server.service.state == "failed" or not server.started else 0


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, service: Service, address: str) -> None:
        super().__init__(config)
        self.service, self.address = service, address

    def stop(self, *_: object) -> None:
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._announcing = asyncio.create_task(self._announce())

    async def _announce(self) -> None:
        await asyncio.to_thread(self.service.settled.wait)
        if self.service.state == "ready":
            typer.echo(await asyncio.to_thread(announcement, self.service, self.address))
        elif self.service.state == "failed":  # the log has said why
            self.stop()


def announcement(service: Service, address: str) -> str:
    """Where the service is to be found, and a first question to it."""
    running = service.running
    has_keys = running.keys.has_keys
    galleries = {info.name: info for info in roll_call(running.engine)[0]}
    lines = [
        f"vantage is ready: model {running.holder.name} on {running.holder.provider}",
        f"  its terms {running.holder.current.card.licence.weights}",
        f"  service   {address}",
        f"  console   {address}/",
        f"  API docs  {address}/docs",
        f"  galleries {', '.join(galleries) or 'none yet: vantage index makes one, and so does the API'}",
    ]
    if (
        GALLERY in galleries
        and galleries[GALLERY].settings.model_sha256 == running.holder.sha256
        and QUERIES[0].is_file()
    ):
        key = '-H "Authorization: Bearer $VANTAGE_KEY" ' if has_keys else ""
        lines += ["", "Who is this? Ask with a crop that is not in the gallery:", ""]
        lines += [f"  curl {key}-F image=@{_near(QUERIES[0])} {address}/v1/galleries/{GALLERY}/search", ""]
    if not has_keys:
        let_in = "whoever reaches the port" if service.settings.trust_network else "only this machine"
        lines += [f"There are no keys: {let_in} is let in, and may do anything. vantage key create makes one."]
    return "\n".join(lines)


def _address(host: str, listening: socket.socket) -> str:
    port = listening.getsockname()[1]
    named = _WILDCARDS.get(host, host)
    return f"http://{f'[{named}]' if ':' in named else named}:{port}"


def _near(path: Path) -> str:
    """The path from here, where it lies below; quoted for a shell where it must be."""
    import shlex

    here = Path.cwd()
    return shlex.quote(os.fspath(path.relative_to(here) if path.is_relative_to(here) else path))
