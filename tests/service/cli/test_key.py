import contextlib
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import typer

from service.access import KEYS_FILE, KeyStore, open_home
from service.cli import key


@pytest.fixture
def run(capsys, tmp_path, monkeypatch):
    """The sub-command alone, in an empty folder: exit code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "250")
    for name in os.environ:
        if name.startswith("VANTAGE_"):
            monkeypatch.delenv(name)
    app = typer.Typer()
    app.add_typer(key.app, name="key")

    def run_(*arguments):
        code, message = 0, ""
        try:
            app(args=["key", *map(str, arguments)], prog_name="vantage")
        except SystemExit as left:
            code = left.code or 0
        except ValueError as error:  # the outer command prints it and leaves with 1
            code, message = 1, str(error)
        printed = capsys.readouterr()
        return code, printed.out, printed.err + message

    return run_


def test_create_prints_the_secret_alone_and_a_sentence_beside_it(run):
    code, out, err = run("create", "--name", "Gate 3", "--scope", "search,ingest", "--scope", "delete", "-g", "g")
    assert code == 0
    secret = out.strip()
    assert "is shown only now" in err
    assert secret.split("_")[2] not in err
    store = KeyStore(Path("vantage-data") / KEYS_FILE)
    known = store.authenticate(secret)
    store.close()
    assert (known.name, known.scopes, known.galleries) == ("Gate 3", ("search", "ingest", "delete"), ("g",))
    assert known.id in err


def test_the_least_is_the_default(run):
    made = json.loads(run("create", "--name", "a", "--json")[1])
    assert made["key"]["scopes"] == ["search"]
    assert (made["key"]["galleries"], made["key"]["expires_at"], made["key"]["rate"]) == (None, None, None)
    assert made["secret"].startswith(f"vk_{made['key']['id']}_")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90d", None),
        ("12h", None),
        ("2126-01-31", datetime(2126, 1, 31, tzinfo=UTC)),
        ("2126-01-31T12:00:00+02:00", datetime(2126, 1, 31, 10, tzinfo=UTC)),
    ],
)
def test_expires(run, text, expected):
    before = datetime.now(UTC)
    code, out, _ = run("create", "--name", "a", "--expires", text, "--json")
    assert code == 0
    at = datetime.fromisoformat(json.loads(out)["key"]["expires_at"])
    if expected is None:
        expected = before + (timedelta(days=90) if text == "90d" else timedelta(hours=12))
        assert timedelta(0) <= at - expected < timedelta(minutes=10)
    else:
        assert at == expected


def test_rates(run):
    assert json.loads(run("create", "--name", "a", "--rate", 2.5, "--json")[1])["key"]["rate"] == {
        "per_second": 2.5,
        "burst": 25,
    }
    made = json.loads(run("create", "--name", "a", "--rate", 2, "--burst", 3, "--json")[1])
    assert made["key"]["rate"] == {"per_second": 2, "burst": 3}
    assert run("create", "--name", "a", "--burst", 3)[0] == 2


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("--name", "a", "--scope", "read"), 1, "'read' is no scope"),
        (("--name", ""), 1, "a key's name is ''"),
        (("--name", "a", "--gallery", "A"), 1, "a gallery cannot be called 'A'"),
        (("--name", "a", "--expires", "2020-01-01"), 1, "which is over"),
        (("--name", "a", "--expires", "soon"), 2, "write 90d, 12h"),
        (("--name", "a", "--expires", "999999d"), 0, ""),
        (("--name", "a", "--rate", "0"), 1, "a rate is 0 a second"),
        ((), 2, "--name"),
    ],
)
def test_what_cannot_be_made_is_a_sentence(run, arguments, code, sentence):
    left, out, err = run("create", *arguments)
    assert left == code
    assert sentence in err
    assert bool(out) == (code == 0)


def test_list_and_revoke(run):
    id = json.loads(run("create", "--name", "old kiosk", "--purpose", "Lost children", "--json")[1])["key"]["id"]
    run("create", "--name", "new kiosk", "--expires", "90d")
    code, out, err = run("revoke", id)
    assert (code, err) == (0, "")
    assert f"key {id} of old kiosk is revoked since" in out
    code, out, err = run("list")
    assert (code, err) == (0, "")
    assert [("revoked" in line, "live" in line) for line in out.splitlines()[1:]] == [(True, False), (False, True)]
    assert "Lost children" in out
    listed = json.loads(run("list", "--json")[1])
    assert [each["state"] for each in listed] == ["revoked", "live"]
    assert not {"secret", "sha256"} & set(listed[0])
    assert json.loads(run("revoke", id, "--json")[1])["revoked_at"] == listed[0]["revoked_at"]
    assert run("revoke", "00000000")[0] == 1


def test_the_data_directory_is_the_one_a_service_would_use(run, monkeypatch):
    Path("vantage.toml").write_text('data = "of-file"\n')
    run("create", "--name", "a")
    assert (Path("of-file") / KEYS_FILE).is_file()
    monkeypatch.setenv("VANTAGE_DATA", "of-variable")
    run("create", "--name", "a")
    assert (Path("of-variable") / KEYS_FILE).is_file()
    run("create", "--name", "a", "--data", "of-option")
    assert (Path("of-option") / KEYS_FILE).is_file()
    assert not Path("vantage-data").exists()


def test_without_a_data_directory_there_is_a_sentence_and_none_is_made(run):
    for command in (("list",), ("revoke", "12345678")):
        code, out, err = run(*command)
        assert (code, out) == (1, "")
        assert "there is no data directory vantage-data" in err
    assert not Path("vantage-data").exists()


def test_an_empty_store_says_what_that_means(run):
    Path("vantage-data").mkdir()
    code, out, _ = run("list")
    assert code == 0
    assert "from this machine only" in out


@pytest.fixture
def in_a_database(monkeypatch, database_url):
    monkeypatch.setenv("VANTAGE_DATABASE", database_url)
    return database_url


def test_keys_in_a_database(run, in_a_database):
    made = json.loads(run("create", "--name", "a", "--json")[1])
    (listed,) = json.loads(run("list", "--json")[1])
    assert (listed["id"], listed["state"]) == (made["key"]["id"], "live")
    assert run("revoke", made["key"]["id"])[0] == 0
    (listed,) = json.loads(run("list", "--json")[1])
    assert listed["state"] == "revoked"
    assert not Path("vantage-data").exists()


def test_keys_of_a_data_directory_are_taken_over_into_a_database(run, monkeypatch, database_url):
    secret = run("create", "--name", "a")[1].strip()
    monkeypatch.setenv("VANTAGE_DATABASE", database_url)
    assert json.loads(run("list", "--json")[1]) == []
    assert "1 keys were taken over" in run("adopt", "vantage-data")[1]
    assert "0 keys were taken over" in run("adopt", "vantage-data")[1]
    with contextlib.closing(open_home(Path(), database_url)) as home, contextlib.closing(home.keys()) as keys:
        assert keys.authenticate(secret).name == "a"
    code, _, err = run("adopt", "nowhere")
    assert code == 1
    assert "there are no keys in nowhere" in err


def test_a_database_that_is_not_there_is_a_sentence(run, monkeypatch):
    pytest.importorskip("psycopg", reason="the extra sql is not installed")
    monkeypatch.setenv("VANTAGE_DATABASE", "postgresql://u:hidden@127.0.0.1:1/n")
    code, _, err = run("list")
    assert code == 1
    assert "postgresql+psycopg://u:***@127.0.0.1:1/n cannot be reached" in err
