"""What the scripts that try the containers have in common: an engine, commands, and what they say."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

ROOT = Path(__file__).parents[1]
QUERY = next((ROOT / "service/demo/queries").glob("demo-0061_*.jpg"))
PATIENCE = 300  # seconds until a step is given up


class FailedError(Exception):
    """Something is not as it should be; the sentence that says what."""


def say(text: str) -> None:
    sys.stdout.write(f"docker/{Path(sys.argv[0]).name}: {text}\n")
    sys.stdout.flush()


def run(*command: str, codes: tuple[int, ...] = (0,)) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode not in codes:
        raise FailedError(f"{' '.join(command)} ended with {done.returncode}:\n{(done.stdout + done.stderr)[-4000:]}")
    return done.stdout


def find_compose() -> list[str] | None:
    """`docker compose` or `docker-compose`, and None where no engine answers or neither is there."""
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which("docker") and shutil.which(command[0]):
            checks = (["docker", "info"], [*command, "version"])
            if all(subprocess.run(check, capture_output=True, check=False).returncode == 0 for check in checks):
                return command
    return None


def take(steps: Iterable[Callable[[], str]], clear: Callable[[], None]) -> int:
    """Takes the steps, each of which says what it saw, until one fails; clears up, come what may. The exit code."""
    try:
        for step in steps:
            began = time.monotonic()
            say(f"{step()} ({time.monotonic() - began:.1f} s)")
    except (FailedError, OSError) as failed:  # an answer that does not come is an OSError
        say(f"FAILED in {step.__name__}: {failed}")
        return 1
    finally:
        clear()
    return 0
