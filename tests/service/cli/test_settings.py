import json
import os
from pathlib import Path

import pytest
import typer

from service.cli import settings
from service.settings import ServiceSettings


@pytest.fixture
def run(capsys, tmp_path, monkeypatch):
    """The sub-command alone, in an empty folder: exit code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "250")
    for name in os.environ:
        if name.startswith("VANTAGE_"):
            monkeypatch.delenv(name)
    app = typer.Typer()
    app.add_typer(settings.app, name="settings")

    def run_(*arguments):
        code, message = 0, ""
        try:
            app(args=["settings", *map(str, arguments)], prog_name="vantage")
        except SystemExit as left:
            code = left.code or 0
        except ValueError as error:  # the outer command prints it and leaves with 1
            code, message = 1, str(error)
        printed = capsys.readouterr()
        return code, printed.out, printed.err + message

    return run_


def test_each_setting_stands_there_with_its_value_and_source(run, monkeypatch):
    Path("vantage.toml").write_text("port = 81\n")
    monkeypatch.setenv("VANTAGE_HOST", "::1")
    code, out, err = run()
    assert (code, err) == (0, "")
    rows = {line.split()[0]: line.split()[1:3] for line in out.splitlines()}
    assert set(ServiceSettings.model_fields) <= set(rows)
    assert rows["port"] == ["81", "vantage.toml"]
    assert rows["host"] == ["::1", "VANTAGE_HOST"]
    assert rows["model"] == ["none", "default"]
    assert rows["audit"] == ["true", "default"]


def test_json_is_for_programs(run, monkeypatch):
    monkeypatch.setenv("VANTAGE_DATA", "elsewhere")
    code, out, _ = run("--json")
    assert code == 0
    known = json.loads(out)
    assert list(known) == list(ServiceSettings.model_fields)
    assert known["data"] == {"value": "elsewhere", "source": "VANTAGE_DATA"}
    assert known["threads"] == {"value": None, "source": "default"}


def test_a_file_may_be_named(run):
    Path("other.toml").write_text("port = 82\n")
    assert json.loads(run("--config", "other.toml", "--json")[1])["port"] == {"value": 82, "source": "other.toml"}
    code, out, err = run("--config", "none.toml")
    assert (code, out) == (1, "")
    assert "none.toml cannot be read" in err


def test_a_wrong_setting_is_a_sentence(run, monkeypatch):
    monkeypatch.setenv("VANTAGE_PROT", "1")
    code, out, err = run()
    assert (code, out) == (1, "")
    assert "did you mean VANTAGE_PORT?" in err


def test_help_names_no_command_that_is_not_there(run):
    code, out, _ = run("--help")
    assert code == 0
    assert "COMMAND" not in out
    assert "--config" in out
