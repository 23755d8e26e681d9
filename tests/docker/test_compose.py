"""What the compose files promise, read from them; `make docker-test` tries it with an engine."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from service.settings import PREFIX, ServiceSettings

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
ON_GPU = yaml.safe_load((ROOT / "docker/compose.gpu.yml").read_text())
SERVICES = COMPOSE["services"]
OURS = ("vantage", "index")
README = (ROOT / "docker/README.md").read_text()


def test_without_a_profile_the_service_alone_is_started():
    assert [name for name, service in SERVICES.items() if "profiles" not in service] == ["vantage"]
    assert SERVICES["vantage"]["environment"]["VANTAGE_DEMO"] == "true"


@pytest.mark.parametrize("name", SERVICES)
def test_every_port_is_published_on_this_machine_only(name):
    for port in SERVICES[name].get("ports", []):
        assert re.fullmatch(r"127\.0\.0\.1:\$\{[A-Z_]+:-\d+\}:\d+", port)


def test_the_service_is_at_port_8000_and_the_network_is_trusted_for_that_alone():
    assert SERVICES["vantage"]["ports"] == ["127.0.0.1:${SERVICE_PORT:-8000}:8000"]
    assert SERVICES["vantage"]["environment"]["VANTAGE_TRUST_NETWORK"] == "true"
    assert "network_mode" not in SERVICES["vantage"]


@pytest.mark.parametrize("name", SERVICES)
def test_every_container_is_confined(name):
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "devices", "pid", "ipc", "user"} & set(service)
    assert service["logging"]["options"].keys() == {"max-size", "max-file"}  # no log fills the disk


def test_the_data_directory_is_a_named_volume():
    dockerfile = (ROOT / "docker/Dockerfile").read_text()
    [folder] = re.findall(r"VANTAGE_DATA=(\S+)", dockerfile)
    assert f"data:{folder}" in SERVICES["vantage"]["volumes"]
    named = {volume.split(":")[0] for service in SERVICES.values() for volume in service["volumes"] if ":" in volume}
    assert {name for name in named if not name.startswith(".")} == set(COMPOSE["volumes"])


def test_both_images_are_the_same_one():
    for each in ("image", "build"):
        assert SERVICES["vantage"][each] == SERVICES["index"][each]
        assert ON_GPU["services"]["vantage"][each] == ON_GPU["services"]["index"][each]
    assert SERVICES["vantage"]["build"]["target"] == "serve"


def test_what_is_built_elsewhere_is_pinned_to_a_version():
    foreign = {name: service["image"] for name, service in SERVICES.items() if name not in OURS}
    assert set(foreign) == {"prometheus", "grafana"}
    for image in foreign.values():
        assert re.fullmatch(r"[a-z/]+:v?\d+\.\d+\.\d+", image)


def test_it_has_longer_to_stop_than_the_service_takes():
    grace = re.fullmatch(r"(\d+)s", SERVICES["vantage"]["stop_grace_period"])
    assert timedelta(seconds=int(grace[1])) >= timedelta(seconds=ServiceSettings().shutdown_seconds + 5)


def test_a_container_that_died_comes_back_and_the_one_shot_does_not():
    assert SERVICES["vantage"]["restart"] == "unless-stopped"
    assert "restart" not in SERVICES["index"]


def test_the_one_shot_waits_for_the_service_and_asks_it_from_inside():
    index = SERVICES["index"]
    assert index["network_mode"] == "service:vantage"
    assert index["depends_on"] == {"vantage": {"condition": "service_healthy"}}
    assert index["entrypoint"] == ["vantage", "index", "--server", "http://127.0.0.1:8000"]
    [pictures] = [volume for volume in index["volumes"] if isinstance(volume, dict)]
    assert pictures["read_only"] is True
    assert f"run --rm index {pictures['target']} " in README


def test_every_file_that_is_mounted_is_there():
    mounted = [volume for service in SERVICES.values() for volume in service["volumes"] if str(volume).startswith(".")]
    assert mounted
    for volume in mounted:
        source, target, mode = volume.split(":")
        assert (ROOT / source).is_dir()
        assert any((ROOT / source).iterdir())
        assert mode == "ro"
        assert target


@pytest.mark.parametrize("file", ["docker-compose.yml", "docker/compose.gpu.yml", "docker/Dockerfile"])
def test_every_variable_of_ours_is_a_setting(file):
    text = (ROOT / file).read_text()
    named = set(re.findall(rf"^[ A-Z]*({PREFIX}[A-Z_]+)[:=]", text, re.MULTILINE))
    assert named
    known = {PREFIX + name.upper() for name in ServiceSettings.model_fields}
    assert named - known <= {"VANTAGE_KEY"}


def test_the_readme_names_all_that_can_be_set_from_outside():
    text = (ROOT / "docker-compose.yml").read_text() + (ROOT / "docker/compose.gpu.yml").read_text()
    variables = re.findall(r"\$\{(\w+)", text)
    assert variables
    for name in variables:
        assert f"`{name}`" in README


def test_on_a_gpu_a_device_is_reserved_and_nothing_falls_back():
    vantage = ON_GPU["services"]["vantage"]
    [device] = vantage["deploy"]["resources"]["reservations"]["devices"]
    assert device["capabilities"] == ["gpu"]
    assert vantage["environment"] == {"VANTAGE_DEVICE": "cuda"}
    assert vantage["build"]["args"] == {"VARIANT": "gpu"}
    assert vantage["image"] != SERVICES["vantage"]["image"]


@pytest.mark.parametrize("file", [COMPOSE, ON_GPU], ids=["compose", "gpu"])
def test_compose_1_29_knows_what_stands_at_the_top(file):
    # `name`, `include` and the like came with v2, and `version` makes v2 warn.
    assert {key for key in file if not key.startswith("x-")} <= {"services", "volumes", "networks"}
