"""`vantage serve`: the HTTP service, until it is told to stop."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from service.cli.opening import MODEL_HELP
from service.cli.settings import ConfigOption, SetData

if TYPE_CHECKING:
    from service.settings import ServiceSettings


def serve(
    config: ConfigOption = None,
    host: Annotated[
        str | None,
        typer.Option(help="The address to listen at; beyond this machine, keys are wanted.", show_default="127.0.0.1"),
    ] = None,
    port: Annotated[
        int | None, typer.Option(help="The port to listen at; 0 takes any that is free.", show_default="8000")
    ] = None,
    data: SetData = None,
    model: Annotated[
        str | None, typer.Option(metavar="MODEL", help=MODEL_HELP, show_default="the first that comes with vantage")
    ] = None,
    device: Annotated[
        Literal["auto", "cpu", "cuda"] | None,
        typer.Option(help="Where the model runs; cuda never falls back.", show_default="auto"),
    ] = None,
    demo: Annotated[
        bool | None,
        typer.Option(
            "--demo/--no-demo",
            help="Whether a data directory without galleries gets one of rendered people.",
            show_default="no-demo",
        ),
    ] = None,
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"] | None,
        typer.Option(help="What is logged, from here up.", show_default="info"),
    ] = None,
) -> None:
    """Serve galleries over HTTP, until SIGINT or SIGTERM: what was taken in is then finished.

    `vantage settings` prints these settings and all others, which stand in a file or in the environment.

    It is one process: it alone writes the data directory, and its threads keep every core busy. Any number of them
    share galleries on a Milvus server, and keys, audit log and jobs in a database, behind something that shares out
    what comes.
    """
    from service.cli.log_lines import configure_log
    from service.settings import ServiceSettings

    settings = ServiceSettings.load(
        config, host=host, port=port, data=data, model=model, device=device, demo=demo, log_level=log_level
    )
    _check_access(settings)
    configure_log(settings.log_level, settings.log_json)
    with listen(settings.host, settings.port) as listening:
        from service.cli.serving import run
        from service.heap import keep_little

        keep_little()
        code = run(settings, listening)
    raise typer.Exit(code)


def listen(host: str, port: int) -> socket.socket:
    """A socket bound to that address, so that one in use is known before anything is loaded."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
        except BaseException:
            bound.close()
            raise
    except OSError as error:
        raise _unusable(host, port, error) from error
    return bound


def _unusable(host: str, port: int, error: OSError) -> ValueError:
    import errno

    from service.settings import SettingsError

    where = f"port {port} of {host}"
    if isinstance(error, socket.gaierror):
        return SettingsError(f"{host!r} is no address of this machine ({error.strerror}): mend --host")
    if error.errno == errno.EADDRINUSE:
        return SettingsError(f"{where} is taken by another program: stop that, or choose another with --port")
    if error.errno == errno.EACCES:
        return SettingsError(f"{where} is for the system's own programs: choose one from 1024 up with --port")
    return SettingsError(f"{where} cannot be listened at ({error.strerror}): mend --host")


def _check_access(settings: ServiceSettings) -> None:
    """Refuses to listen where strangers could do anything, before anything listens.

    Keys in a database are seen to at the start proper: it may be away just now, and until then nobody is let in.
    """
    from contextlib import closing

    from service.access import KEYS_FILE, AccessError, KeyStore, may_bind

    if settings.database_url is not None:
        return
    file: Path = settings.data / KEYS_FILE
    has_keys = False
    if file.is_file():
        with closing(KeyStore(file)) as keys:
            has_keys = keys.has_keys
    if (refusal := may_bind(settings.host, has_keys, settings.trust_network)) is not None:
        raise AccessError(refusal)
