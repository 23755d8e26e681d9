"""What the Dockerfile promises, read from it; `make docker-test` builds it where there is an engine."""

import json
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docker/Dockerfile").read_text()
# One instruction a line: without comments, continued lines joined.
LINES = re.sub(r"\s*\\\n\s*", " ", re.sub(r"^#.*\n", "", TEXT, flags=re.MULTILINE)).splitlines()
INSTRUCTIONS = [tuple(line.split(maxsplit=1)) for line in LINES if line]
IGNORED = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]


def all_of(name):
    return [arguments for instruction, arguments in INSTRUCTIONS if instruction == name]


def stage(name):
    """The instructions of a stage."""
    begins = [number for number, each in enumerate(INSTRUCTIONS) if each[0] == "FROM"]
    [first] = [number for number in begins if INSTRUCTIONS[number][1].endswith(f" AS {name}")]
    return INSTRUCTIONS[first : min([number for number in begins if number > first], default=None)]


def sent(path):
    """Whether a build sees it: the last pattern that holds of it or of a folder above it decides."""
    seen = True
    for pattern in IGNORED:
        allowed, name = pattern.startswith("!"), pattern.removeprefix("!").rstrip("/")
        if name == "*" or path == name or path.startswith(f"{name}/"):
            seen = allowed
    return seen


def test_every_stage_stands_on_the_base_or_on_another_stage():
    [base] = [value for value in all_of("ARG") if value.startswith("BASE=")]
    assert re.fullmatch(r"BASE=python:3\.1[1-3]-slim-\w+", base)
    named = {"${BASE}"}
    for value in all_of("FROM"):
        image, *name = value.split(" AS ")
        assert image in named
        named |= set(name)
    assert {"serve", "train"} <= named


def test_a_build_without_a_target_gives_the_service():
    assert all_of("FROM")[-1] == "serve"


@pytest.mark.parametrize("variant", ["cpu", "gpu"])
def test_every_file_that_is_copied_is_there_and_sent(variant):
    copied = [value.replace("${VARIANT}", variant).split()[0] for value in all_of("COPY") if "--from" not in value]
    assert len(copied) >= 4
    for path in copied:
        assert (ROOT / path).exists()
        assert path == "." or sent(path)


def test_nothing_is_sent_but_what_is_built():
    assert IGNORED[0] == "*"
    metadata = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = set(metadata["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])
    wanted |= {"pyproject.toml", metadata["project"]["readme"], *metadata["project"]["license-files"]}
    wanted |= {"requirements", "docker/healthcheck.py"}
    assert {pattern.strip("!/") for pattern in IGNORED if pattern.startswith("!")} == wanted
    assert not any(sent(path) for path in (".git/config", ".env", "runs/x/last.pt", "vantage-data/keys.db", "tests/x"))


def test_everything_that_is_installed_from_elsewhere_is_locked_by_its_hash():
    installs = [each for value in all_of("RUN") for each in value.split("&&") if " install " in each and "pip" in each]
    assert len(installs) >= 3
    for each in installs:
        assert ("--require-hashes" in each) != ("--no-deps --no-index" in each)
    for name in ("serve-cpu", "serve-gpu", "train-cpu", "train-gpu", "build"):
        packages = re.split(r"^(?=\w)", (ROOT / f"requirements/{name}.txt").read_text(), flags=re.MULTILINE)
        assert all("--hash=sha256:" in each for each in packages if "==" in each)


@pytest.mark.parametrize("variant", ["cpu", "gpu"])
def test_what_serves_has_no_torch(variant):
    names = re.findall(r"^([\w-]+)==", (ROOT / f"requirements/serve-{variant}.txt").read_text(), re.MULTILINE)
    assert "fastapi" in names
    assert not {"torch", "torchvision", "timm", "pip"} & set(names)
    assert any("rm -rf /app/training " in arguments for _, arguments in stage("serve-files"))


def test_what_runs_is_nobody_important_and_takes_nothing_from_a_stage_that_builds_but_two_folders():
    [user] = [arguments for instruction, arguments in stage("base") if instruction == "USER"]
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", user)
    for name in ("serve", "train"):
        instructions = [instruction for instruction, _ in stage(name)]
        assert not {"USER", "RUN", "ADD"} & set(instructions)
        assert stage(name)[0][1].startswith("base ")
        copied = [arguments for instruction, arguments in stage(name) if arguments.startswith("--from")]
        assert copied == [f"--from={name}-files /opt/venv /opt/venv", f"--from={name}-files /app /app"]


def test_commands_are_lists_so_that_signals_arrive():
    commands = all_of("ENTRYPOINT") + all_of("CMD")
    [health] = all_of("HEALTHCHECK")
    commands.append(health.partition("CMD ")[2])
    assert len(commands) == 5
    for command in commands:
        assert all(isinstance(word, str) for word in json.loads(command))
    assert ("ENTRYPOINT", '["vantage"]') in stage("serve")
    assert ("CMD", '["serve"]') in stage("serve")
