"""The README's words are run: every `sh` and `python` block below a line `<!-- runnable -->`."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"<!-- runnable -->\n+```(sh|python)\n(.*?)```", re.DOTALL)
BLOCKS = BLOCK.findall((ROOT / "README.md").read_text())


def test_no_runnable_mark_stands_before_anything_but_a_block_of_shell_or_python():
    assert len(BLOCKS) == (ROOT / "README.md").read_text().count("<!-- runnable -->") > 0


@pytest.mark.parametrize(("language", "text"), BLOCKS, ids=[text.splitlines()[0] for _, text in BLOCKS])
def test_a_runnable_block_runs(language, text, tmp_path):
    commands = Path(sys.executable).parent
    environment = os.environ | {"PATH": f"{commands}{os.pathsep}{os.environ['PATH']}"}
    command = ["bash", "-euo", "pipefail", "-c", text] if language == "sh" else [sys.executable, "-c", text]
    (tmp_path / "models").symlink_to(ROOT / "models")  # blocks are written as if run in the checkout
    run = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=300
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "Traceback" not in run.stderr
