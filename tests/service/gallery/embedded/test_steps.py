"""Every step that the code reaches is written down, and the other way round."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import service.gallery.embedded
from service.gallery.embedded import steps


def reached_in_the_code() -> set[str]:
    found = set()
    for path in Path(service.gallery.embedded.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "reached":
                (argument,) = node.args
                assert isinstance(argument, ast.Constant), f"{path.name}:{node.lineno} computes the name of a step"
                found.add(argument.value)
    return found


def test_the_code_reaches_the_steps_that_are_listed_and_no_others() -> None:
    assert sorted(reached_in_the_code()) == sorted(steps.STEPS)


def test_each_step_is_listed_once_and_explained() -> None:
    assert len(set(steps.STEPS)) == len(steps.STEPS)
    assert steps.__doc__ is not None
    assert [step for step in steps.STEPS if step not in steps.__doc__] == []


def test_a_step_that_is_not_listed_is_a_mistake(watched: list[str]) -> None:
    with pytest.raises(AssertionError, match="no such step"):
        steps.reached("no such step")
    assert watched == []
