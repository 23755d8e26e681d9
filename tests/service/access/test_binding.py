import pytest

from service.access import may_bind


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "::1", "[::1]", "localhost", "LocalHost"])
def test_without_keys_this_machine_alone_may_come(host):
    assert may_bind(host, has_keys=False) is None


@pytest.mark.parametrize(
    "host",
    ["0.0.0.0", "::", "", "10.0.0.1", "192.168.1.5", "fe80::1", "example.org", "127.0.0.1.evil.org", "localhost."],
)
def test_beyond_it_keys_are_wanted(host):
    sentence = may_bind(host, has_keys=False)
    assert "vantage key create" in sentence
    assert may_bind(host, has_keys=True) is None


def test_where_the_network_is_trusted_none_are():
    assert may_bind("0.0.0.0", has_keys=False, trust_network=True) is None
