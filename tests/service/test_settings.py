import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from service.access import Rate
from service.settings import EffectiveSetting, ServiceSettings, SettingsError, effective


@pytest.fixture(autouse=True)
def _nothing_around(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name in os.environ:
        if name.startswith("VANTAGE_"):
            monkeypatch.delenv(name)


def source_of(settings, name):
    return next(each.source for each in effective(settings) if each.name == name)


def test_without_anything_the_defaults_are_those_of_the_first_day():
    settings = ServiceSettings.load()
    assert (settings.data, settings.host, settings.port, settings.model) == (
        Path("vantage-data"),
        "127.0.0.1",
        8000,
        None,
    )
    assert {each.source for each in effective(settings)} == {"default"}
    assert settings.search_rate is None
    assert settings.audit


def test_arguments_go_before_variables_before_the_file_before_defaults(monkeypatch):
    Path("vantage.toml").write_text('port = 1\nhost = "file"\nmax_batch = 8\naudit = false\n')
    monkeypatch.setenv("VANTAGE_PORT", "2")
    monkeypatch.setenv("VANTAGE_HOST", "variable")
    settings = ServiceSettings.load(port=3, host=None, max_batch=None, max_waiting=None)
    assert (settings.port, settings.host, settings.max_batch, settings.max_waiting) == (3, "variable", 8, 256)
    assert settings.audit is False
    named = ("port", "host", "max_batch", "max_waiting", "audit")
    assert [source_of(settings, name) for name in named] == [
        "argument",
        "VANTAGE_HOST",
        "vantage.toml",
        "default",
        "vantage.toml",
    ]


def test_the_file_is_the_one_that_is_named(monkeypatch):
    Path("vantage.toml").write_text("port = 1\n")
    Path("other.toml").write_text("port = 2\n")
    Path("third.toml").write_text("port = 3\n")
    assert ServiceSettings.load().port == 1
    monkeypatch.setenv("VANTAGE_CONFIG", "other.toml")
    assert ServiceSettings.load().port == 2
    settings = ServiceSettings.load(Path("third.toml"))
    assert (settings.port, source_of(settings, "port")) == (3, "third.toml")


def test_a_settings_made_of_values_reads_nothing(monkeypatch):
    Path("vantage.toml").write_text("port = 1\n")
    monkeypatch.setenv("VANTAGE_HOST", "variable")
    settings = ServiceSettings(max_batch=4)
    assert (settings.port, settings.host, settings.max_batch) == (8000, "127.0.0.1", 4)
    assert source_of(settings, "max_batch") == "argument"
    with pytest.raises(ValidationError):
        ServiceSettings(prot=1)
    with pytest.raises(ValidationError):
        settings.port = 1


@pytest.mark.parametrize("written", ["VANTAGE_PROT", "VANTAGE_port", "vantage_port", "VANTAGE_PORTS"])
def test_an_unknown_variable_names_the_nearest_right_one(monkeypatch, written):
    monkeypatch.setenv(written, "1")
    with pytest.raises(SettingsError, match=f"variable {written} is no setting: did you mean VANTAGE_PORT"):
        ServiceSettings.load()


def test_an_unknown_name_in_the_file_names_the_nearest_right_one():
    Path("vantage.toml").write_text("max_bach = 1\n")
    with pytest.raises(SettingsError, match=r"vantage.toml: there is no setting 'max_bach': did you mean max_batch\?"):
        ServiceSettings.load()
    Path("vantage.toml").write_text("[qqqq]\nport = 1\n")
    with pytest.raises(SettingsError, match="'qqqq': `vantage settings` lists them all"):
        ServiceSettings.load()
    with pytest.raises(SettingsError, match="argument: there is no setting 'hots'"):
        ServiceSettings.load(Path(os.devnull), hots="x")


def test_an_empty_variable_is_none(monkeypatch):
    monkeypatch.setenv("VANTAGE_PORT", "")
    monkeypatch.setenv("VANTAGE_CONFIG", "")
    assert source_of(ServiceSettings.load(), "port") == "default"


def test_what_kubernetes_tells_of_a_service_called_vantage_is_no_setting(monkeypatch):
    for name, value in {
        "VANTAGE_SERVICE_HOST": "10.0.0.11",
        "VANTAGE_SERVICE_PORT": "8000",
        "VANTAGE_SERVICE_PORT_HTTP": "8000",
        "VANTAGE_PORT": "tcp://10.0.0.11:8000",
        "VANTAGE_PORT_8000_TCP": "tcp://10.0.0.11:8000",
        "VANTAGE_PORT_8000_TCP_PROTO": "tcp",
        "VANTAGE_PORT_8000_TCP_PORT": "8000",
        "VANTAGE_PORT_8000_TCP_ADDR": "10.0.0.11",
        "VANTAGE_CONSOLE_SERVICE_HOST": "10.0.0.12",
        "VANTAGE_CONSOLE_PORT": "tcp://10.0.0.12:80",
        "VANTAGE_CACHE": "of vantage-train",
    }.items():
        monkeypatch.setenv(name, value)
    assert {each.source for each in effective(ServiceSettings.load())} == {"default"}
    monkeypatch.setenv("VANTAGE_CONSOLE_PORT", "80")
    with pytest.raises(SettingsError, match="VANTAGE_CONSOLE_PORT"):
        ServiceSettings.load()


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("port", "99999", r"port is '99999' \(VANTAGE_PORT\): input should be less than or equal to 65535"),
        ("port", "http", r"port is 'http' \(VANTAGE_PORT\): input should be a valid integer"),
        ("device", "tpu", r"device is 'tpu' \(VANTAGE_DEVICE\): input should be 'auto', 'cpu' or 'cuda'"),
        ("max_top_k", "1001", "max_top_k"),
        ("max_wait_ms", "nan", "max_wait_ms"),
        ("searches_per_second", "0", "searches_per_second"),
        ("audit", "perhaps", "audit is 'perhaps'"),
    ],
)
def test_a_value_that_cannot_be_is_a_sentence_with_its_source(monkeypatch, name, value, sentence):
    monkeypatch.setenv(f"VANTAGE_{name.upper()}", value)
    with pytest.raises(SettingsError, match=sentence):
        ServiceSettings.load()


def test_values_that_contradict_one_another_are_a_sentence():
    with pytest.raises(SettingsError, match="default_deadline_ms is 10000 and max_deadline_ms is 500: the former"):
        ServiceSettings.load(max_deadline_ms=500)


def test_files_that_cannot_be_read_are_sentences(tmp_path):
    with pytest.raises(SettingsError, match=r"none.toml cannot be read \(No such file"):
        ServiceSettings.load(Path("none.toml"))
    with pytest.raises(SettingsError, match="cannot be read"):
        ServiceSettings.load(tmp_path)
    for content in (b"port = = 1", b"\xff\xfe"):
        Path("vantage.toml").write_bytes(content)
        with pytest.raises(SettingsError, match=r"vantage\.toml is no TOML"):
            ServiceSettings.load()


def test_every_setting_has_a_description_and_every_number_its_bounds():
    for each in effective(ServiceSettings()):
        assert isinstance(each, EffectiveSetting)
        assert each.description.endswith((".", "429.")), each.name
        field = ServiceSettings.model_fields[each.name]
        if field.annotation in (int, float, int | None, float | None):
            assert {type(bound).__name__[0] for bound in field.metadata} >= {"G", "L"}, each.name


def test_a_rate_is_made_of_two_settings():
    assert ServiceSettings(searches_per_second=2.5, search_burst=4).search_rate == Rate(2.5, 4)


def test_names_of_choices_may_be_written_in_capitals(monkeypatch):
    monkeypatch.setenv("VANTAGE_LOG_LEVEL", "WARNING")
    assert ServiceSettings.load().log_level == "warning"


def test_no_password_is_printed(monkeypatch):
    monkeypatch.setenv("VANTAGE_DATABASE", "postgres://vantage:hidden@db/vantage")
    monkeypatch.setenv("VANTAGE_MILVUS_TOKEN", "root:hidden")
    settings = ServiceSettings.load()
    assert settings.database_url == "postgresql+psycopg://vantage:hidden@db/vantage"
    shown = {each.name: each.value for each in effective(settings)}
    assert shown["database"] == "postgresql+psycopg://vantage:***@db/vantage"
    assert "hidden" not in repr(settings) + repr(shown)
    monkeypatch.setenv("VANTAGE_DATABASE", "mysql://vantage:hidden@db/vantage")
    with pytest.raises(SettingsError, match=r"^database \(VANTAGE_DATABASE\).*: give sqlite:///FILE, or") as refused:
        ServiceSettings.load()
    assert "hidden" not in str(refused.value)


def test_galleries_on_milvus_want_to_know_where_that_is(monkeypatch):
    monkeypatch.setenv("VANTAGE_GALLERY", "milvus")
    with pytest.raises(SettingsError, match="milvus_uri is not given: name the server"):
        ServiceSettings.load()
    monkeypatch.setenv("VANTAGE_MILVUS_URI", "http://milvus:19530")
    assert ServiceSettings.load().database_url == "sqlite:///vantage-data/vantage.sqlite"


@pytest.mark.parametrize("written", ["*", "10.0.0.1/8", "nginx", "10.0.0.1,", ""])
def test_proxies_are_addresses_and_networks(monkeypatch, written):
    monkeypatch.setenv("VANTAGE_PROXIES", written)
    if not written:  # as if it were not there
        assert ServiceSettings.load().proxies is None
        return
    with pytest.raises(SettingsError, match="is no address and no network: write such as"):
        ServiceSettings.load()
