"""Where there are no keys: who is let in, by the address that they come from."""

import asyncio
import contextlib
import logging

import httpx
import pytest

from service.access import KEYS_FILE, KeyStore


def asked_from(address, running, **headers):
    """What a client at that address is answered; the service itself listens at loopback only."""

    async def ask():
        transport = httpx.ASGITransport(running.server.config.app, client=(address, 50000))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8000") as client:
            return await client.get("/v1/galleries", headers=headers)

    return asyncio.run(ask())


@pytest.fixture(scope="module")
def trusting(tmp_path_factory, open_service):
    with open_service(tmp_path_factory.mktemp("trusting"), trust_network=True) as running:
        yield running


def test_without_keys_another_machine_is_refused(served):
    assert asked_from("127.0.0.1", served).status_code == 200
    refused = asked_from("172.18.0.1", served)
    assert refused.status_code == 403
    assert "only this machine may ask, not 172.18.0.1" in refused.json()["detail"]


def test_where_the_network_is_trusted_it_is_let_in(trusting):
    assert asked_from("172.18.0.1", trusting).status_code == 200


@pytest.mark.parametrize("headers", [{"Host": "attacker.example"}, {"Origin": "https://attacker.example"}])
def test_but_no_page_of_another_site(trusting, headers):
    assert asked_from("172.18.0.1", trusting, **headers).status_code == 403


def test_the_log_says_so_while_there_are_no_keys(serve, caplog):
    caplog.set_level(logging.WARNING, "vantage")
    with serve(trust_network=True) as running:
        [warning] = [record for record in caplog.records if "trust_network" in record.message]
        assert warning.levelno == logging.WARNING
        data = running.data
    caplog.clear()
    with contextlib.closing(KeyStore(data / KEYS_FILE)) as keys:
        keys.create(("search",), name="reader")
    with serve(data=data, trust_network=True) as running:
        assert not [record for record in caplog.records if "trust_network" in record.message]
        assert asked_from("172.18.0.1", running).status_code == 401
