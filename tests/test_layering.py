"""Who may import whom. `models` and `retrieval` are the ground floor, `training` and `service` stand on both."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OURS = {"models", "retrieval", "training", "service"}
MAY_IMPORT = {
    "models": set(),
    "retrieval": set(),
    "training": {"models", "retrieval"},
    "service": {"models", "retrieval"},
}


def imported(file):
    """The top-level names of everything a file imports, wherever in the file the import stands."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} line {node.lineno}: imports here are absolute"
            yield str(node.module).partition(".")[0]


@pytest.mark.parametrize("package", sorted(MAY_IMPORT))
def test_a_package_imports_only_what_stands_below_it(package):
    files = list((ROOT / package).rglob("*.py"))
    assert files
    for file in files:
        wrong = set(imported(file)) & OURS - {package} - MAY_IMPORT[package]
        assert not wrong, f"{file.relative_to(ROOT)} imports {wrong}"


@pytest.mark.parametrize("package", ["models", "retrieval", "service"])
def test_what_serves_never_names_torch(package):
    for file in (ROOT / package).rglob("*.py"):
        names = set(imported(file)) & {"torch", "torchvision", "timm"}
        assert not names, f"{file.relative_to(ROOT)} imports {names}"


def test_a_fresh_interpreter_with_all_of_the_service_in_it_holds_no_torch():
    modules = sorted(
        ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for package in ("models", "retrieval", "service")
        for file in (ROOT / package).rglob("*.py")
        if file.name != "__main__.py"
    )
    code = (
        f"import importlib, sys\nfor name in {modules!r}: importlib.import_module(name)\nprint('torch' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == "False"
