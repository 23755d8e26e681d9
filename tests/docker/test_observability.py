"""The dashboard and the alerts ask for metrics and labels that the service has, and files find each other."""

import json
import re
from pathlib import Path

import pytest
import yaml

from service.api.metrics import Metrics

DOCKER = Path(__file__).parents[2] / "docker"
SERVICES = yaml.safe_load((DOCKER.parent / "docker-compose.yml").read_text())["services"]
DASHBOARD = json.loads((DOCKER / "grafana/dashboards/vantage.json").read_text())
[SOURCE] = yaml.safe_load((DOCKER / "grafana/datasources/prometheus.yml").read_text())["datasources"]
PROMETHEUS = yaml.safe_load((DOCKER / "prometheus/prometheus.yml").read_text())
RULES = [
    rule
    for file in PROMETHEUS["rule_files"]
    for group in yaml.safe_load((DOCKER / "prometheus" / file).read_text())["groups"]
    for rule in group["rules"]
]
TARGETS = [(panel["title"], target) for panel in DASHBOARD["panels"] for target in panel["targets"]]
# What is asked, and what is written around the answers.
ASKED = [(title, target["expr"], target["legendFormat"]) for title, target in TARGETS]
ASKED += [(rule["alert"], rule["expr"], rule["annotations"]["summary"]) for rule in RULES]
OF_PROMETHEUS = {"instance", "job"}
SUFFIXES = {"counter": {"_total": ()}, "gauge": {"": ()}, "histogram": {"_bucket": ("le",), "_sum": (), "_count": ()}}


@pytest.fixture(scope="module")
def exported():
    """The labels of every series that the service gives, by its name."""
    found = {}
    # The registry tells labels only with values, which there are none of yet.
    for collector in Metrics(list).registry._collector_to_names:
        for metric in [collector] if hasattr(collector, "_labelnames") else collector.collect():
            name, kind = (metric._name, metric._type) if metric is collector else (metric.name, metric.type)
            for suffix, more in SUFFIXES[kind].items():
                found[name + suffix] = set(metric._labelnames) | set(more)
    return found


def test_the_service_exports_what_its_names_say(exported):
    assert exported["vantage_http_requests_total"] == {"route", "method", "code"}
    assert exported["vantage_http_request_duration_seconds_bucket"] == {"route", "le"}
    assert exported["vantage_index_items"] == {"gallery"}
    assert exported["vantage_ready"] == set()


@pytest.mark.parametrize(("title", "expression", "text"), ASKED, ids=[f"{title}-{text}" for title, _, text in ASKED])
def test_what_is_asked_for_is_exported(exported, title, expression, text):
    names = set(re.findall(r"vantage_\w+", expression))
    assert names or expression == 'up{job="vantage"} == 0'
    assert names <= set(exported)
    for name, selector in re.findall(r"(vantage_\w+)\{([^}]*)\}", expression):
        labels = set(re.findall(r"(\w+)\s*[=!]~?", selector))
        assert labels
        assert labels <= exported[name]
    of_all = set.union(*(exported[name] for name in names)) if names else set()
    for grouped in re.findall(r"by \(([^)]*)\)", expression):
        assert {label.strip() for label in grouped.split(",")} <= of_all | OF_PROMETHEUS
    for label in re.findall(r"\{\{ ?(?:\$labels\.)?(\w+) ?\}\}", text):
        assert label in of_all | OF_PROMETHEUS


def test_panels_do_not_lie_on_each_other_and_have_a_number_of_their_own():
    taken = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken
        assert at["x"] + at["w"] <= 24
        taken |= cells
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_every_panel_asks_the_data_source_that_is_provisioned():
    assert {target["datasource"]["uid"] for _, target in TARGETS} == {SOURCE["uid"]}
    assert {panel["datasource"]["uid"] for panel in DASHBOARD["panels"]} == {SOURCE["uid"]}
    assert {panel["datasource"]["type"] for panel in DASHBOARD["panels"]} == {SOURCE["type"]}


def test_grafana_finds_prometheus_and_the_dashboard():
    host, port = re.fullmatch(r"http://(\w+):(\d+)", SOURCE["url"]).groups()
    assert SERVICES[host]["ports"][0].endswith(f":{port}")
    mounts = dict(volume.split(":")[1::-1] for volume in SERVICES["grafana"]["volumes"])
    [provider] = yaml.safe_load((DOCKER / "grafana/dashboards/provider.yml").read_text())["providers"]
    assert mounts[provider["options"]["path"]] == "./docker/grafana/dashboards"
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == f"{provider['options']['path']}/vantage.json"
    assert mounts["/etc/grafana/provisioning/datasources"] == "./docker/grafana/datasources"


def test_prometheus_finds_the_service_and_its_configuration():
    [scraped] = PROMETHEUS["scrape_configs"]
    [target] = scraped["static_configs"][0]["targets"]
    host, _, port = target.partition(":")
    assert SERVICES[host]["ports"][0].endswith(f":{port}")
    assert scraped["job_name"] == "vantage"  # as the alerts name it
    assert "./docker/prometheus:/etc/prometheus:ro" in SERVICES["prometheus"]["volumes"]
    assert "--config.file=/etc/prometheus/prometheus.yml" in SERVICES["prometheus"]["command"]


def test_every_alert_says_what_to_look_at():
    assert len({rule["alert"] for rule in RULES}) == len(RULES) > 0
    for rule in RULES:
        assert rule["annotations"]["summary"].strip()
