"""Which addresses the service may listen at."""

from __future__ import annotations

import ipaddress


def may_bind(host: str, has_keys: bool, trust_network: bool = False) -> str | None:
    """None if the service may listen at `host`, else the sentence that says why not.

    Without keys anybody who reaches the service may do anything, so only this machine may reach it. A name other than
    localhost is not looked up: what it means may change. trust_network: the operator says that no stranger reaches
    `host`, as in a container whose port is published to this machine only; nobody can tell that from inside.
    """
    if has_keys or trust_network or is_loopback(host):
        return None
    return (
        f"{host or 'every address'} can be reached from other machines, and there are no keys, so anybody could search "
        "and delete: make a key with `vantage key create --name NAME --scope admin`, or listen at 127.0.0.1"
    )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach it: 127.0.0.0/8, ::1 and localhost."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.removeprefix("[").removesuffix("]")).is_loopback
    except ValueError:
        return False
