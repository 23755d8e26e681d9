"""The manifests in docker/kubernetes: against the schemas of Kubernetes, where they are installed, and one another."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

from service.cli import app
from service.settings import PREFIX, ServiceSettings

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docker/kubernetes"
FILES = sorted(FOLDER.glob("*.yaml"))
OBJECTS = [(file.name, each) for file in FILES for each in yaml.safe_load_all(file.read_text())]
VERSIONS = ("1.30", "1.34")


def one(kind):
    [found] = [each for _, each in OBJECTS if each["kind"] == kind]
    return found


def pods():
    return [
        (each["kind"], each["spec"]["template"]["spec"]) for _, each in OBJECTS if each["kind"] in ("Deployment", "Job")
    ]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("file", "manifest"), OBJECTS, ids=[f"{file}-{each['kind']}" for file, each in OBJECTS])
def test_every_manifest_is_as_kubernetes_wants_it(file, manifest, version):
    validator = pytest.importorskip("kubernetes_validate", reason="the schemas of Kubernetes are not installed")
    validator.validate(manifest, version, strict=True)


def test_the_kinds_that_are_promised_are_there():
    kinds = {each["kind"] for _, each in OBJECTS}
    assert kinds == {
        "ConfigMap",
        "Deployment",
        "HorizontalPodAutoscaler",
        "Job",
        "NetworkPolicy",
        "PersistentVolumeClaim",
        "PodDisruptionBudget",
        "Secret",
        "Service",
    }


def test_every_variable_is_a_setting_and_they_fit_together(monkeypatch):
    given = one("ConfigMap")["data"] | one("Secret")["stringData"]
    for name, value in given.items():
        assert isinstance(value, str)
        monkeypatch.setenv(name, value)
        assert name.startswith(PREFIX) or name == "PGPASSWORD"
    settings = ServiceSettings.load()
    assert (settings.gallery, settings.milvus_uri) == ("milvus", "http://milvus:19530")
    assert settings.database_url.startswith("postgresql+psycopg://")
    # What is secret is among the secrets.
    for name in one("ConfigMap")["data"]:
        assert "SecretStr" not in str(ServiceSettings.model_fields[name.removeprefix(PREFIX).lower()].annotation)
    for _, pod in pods():
        [container] = pod["containers"]
        assert container["envFrom"] == [{"configMapRef": {"name": "vantage"}}, {"secretRef": {"name": "vantage"}}]


def test_whoever_selects_pods_selects_those_that_there_are():
    deployment = one("Deployment")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    selectors = [
        deployment["spec"]["selector"]["matchLabels"],
        one("Service")["spec"]["selector"],
        one("PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        *(
            each["labelSelector"]["matchLabels"]
            for each in deployment["spec"]["template"]["spec"]["topologySpreadConstraints"]
        ),
    ]
    indexing = one("Job")["spec"]["template"]["metadata"]["labels"]
    for selector in selectors:
        assert selector.items() <= labels.items()
        assert not selector.items() <= indexing.items()  # no request ever goes to a pod that indexes
    everybody = one("NetworkPolicy")["spec"]["podSelector"]["matchLabels"]
    assert everybody.items() <= labels.items()
    assert everybody.items() <= indexing.items()


def test_probes_ask_for_what_there_is():
    [container] = dict(pods())["Deployment"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    paths = {name: container[name]["httpGet"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert {name: probe["path"] for name, probe in paths.items()} == {
        # Starting may wait for Milvus for ever, and a new process would wait too.
        "startupProbe": "/livez",
        "livenessProbe": "/livez",
        "readinessProbe": "/readyz",
    }
    assert {probe["port"] for probe in paths.values()} == {"http"}
    assert ports["http"] == ServiceSettings().port
    assert one("Service")["spec"]["ports"][0]["targetPort"] == "http"


def test_a_pod_has_longer_to_stop_than_the_service_takes():
    pod = dict(pods())["Deployment"]
    [pause] = pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][1:]
    shutdown = float(one("ConfigMap")["data"]["VANTAGE_SHUTDOWN_SECONDS"])
    assert pod["terminationGracePeriodSeconds"] >= int(pause) + shutdown + 5


@pytest.mark.parametrize(("kind", "pod"), pods())
def test_every_pod_is_confined_and_mounts_what_there_is(kind, pod):
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    [user] = re.findall(r"USER (\d+):", (ROOT / "docker/Dockerfile").read_text())
    assert pod["securityContext"]["runAsUser"] == pod["securityContext"]["fsGroup"] == int(user)
    [container] = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["resources"]["limits"]["memory"]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert set(mounts) == set(volumes)
    data = one("ConfigMap")["data"]
    for setting in ("VANTAGE_CROPS", "VANTAGE_SNAPSHOTS"):
        assert data[setting].startswith(f"{mounts['shared']}/")
    assert volumes["shared"]["persistentVolumeClaim"]["claimName"] == one("PersistentVolumeClaim")["metadata"]["name"]
    assert mounts["data"] == "/data"


def test_it_grows_with_what_waits_for_the_model():
    from service.api.metrics import Metrics

    autoscaler = one("HorizontalPodAutoscaler")
    target = autoscaler["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", one("Deployment")["metadata"]["name"])
    [metric] = autoscaler["spec"]["metrics"]
    name = metric["pods"]["metric"]["name"]
    assert f"\n{name} " in Metrics(list).text().decode()
    assert f"'{name}{{" in (FOLDER / "vantage.yaml").read_text()  # the rule of the adapter
    assert autoscaler["spec"]["minReplicas"] >= 2
    assert "replicas" not in one("Deployment")["spec"]


def test_each_pod_of_the_job_takes_another_share():
    job = one("Job")["spec"]
    [container] = job["template"]["spec"]["containers"]
    assert job["completionMode"] == "Indexed"
    assert job["completions"] == job["parallelism"]
    [line] = container["args"]
    assert f'--shard "$((JOB_COMPLETION_INDEX + 1))/{job["completions"]}"' in line
    words = shlex.split(line.partition("||")[0])
    assert words[:2] == ["vantage", "index"]
    import typer

    options = {name for each in typer.main.get_command(app).commands["index"].params for name in each.opts}
    assert {word for word in words if word.startswith("--")} <= options


def test_nothing_secret_is_in_a_file_that_is_to_be_filled_in_elsewhere():
    assert not (FOLDER / "secrets.yaml").exists()
    for name, value in one("Secret")["stringData"].items():
        assert name == "VANTAGE_DATABASE" or "change-me" in value
