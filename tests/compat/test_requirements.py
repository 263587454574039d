"""The manifest of promises and the tests that show them name each other; what is written about them is not stale."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.compat.requirements import REQUIREMENTS

ROOT = Path(__file__).parent.parent.parent
FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef
FOLDERS = ("tests/compat/", "tests/clients/")
LISTED = {(test, one.id) for one in REQUIREMENTS for test in one.tests}
"""Tests and what they show. Some stand elsewhere, with the feature that they are about, and bear no mark."""


def marks(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
    """The ids in its `@pytest.mark.requirement(...)`."""
    for decorator in function.decorator_list:
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.requirement":
            yield from (ast.literal_eval(argument) for argument in decorator.args)


def marked() -> set[tuple[str, str]]:
    """Every test of the folders, with each id that it is marked with."""
    found = set()
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).glob("test_*.py")):
            if path == Path(__file__):
                continue
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, FUNCTIONS) and node.name.startswith("test_"):
                    test = f"{path.relative_to(ROOT).as_posix()}::{node.name}"
                    found |= {(test, id) for id in marks(node)} or {(test, "")}
    return found


def test_every_promise_names_tests_that_are_marked_with_it_and_every_marked_test_is_listed():
    assert {(test, id) for test, id in LISTED if test.startswith(FOLDERS)} == marked()


def test_every_test_that_is_named_is_there_and_none_is_left_out_of_a_run():
    for test, _ in LISTED:
        path, _, name = test.partition("::")
        body = ast.parse((ROOT / path).read_text()).body
        found = [node for node in body if isinstance(node, FUNCTIONS) and node.name == name]
        decorators = [ast.unparse(decorator) for node in found for decorator in node.decorator_list]
        assert len(found) == 1, test
        assert not [one for one in decorators if "skip" in one or "xfail" in one], test


def test_ids_are_unique_and_what_is_not_tested_says_why():
    assert len({one.id for one in REQUIREMENTS}) == len(REQUIREMENTS)
    assert [one.id for one in REQUIREMENTS if not one.tests and not one.divergence] == []


@pytest.mark.parametrize("one", [one for one in REQUIREMENTS if one.unserved], ids=lambda one: one.id)
@pytest.mark.anyio
async def test_what_is_said_not_to_be_served_is_not(start_gateway, one):
    """When it is served one day, this says that the manifest must say so."""
    async with start_gateway() as gateway:
        paths = (await gateway.http.get("/openapi.json")).json()["paths"]
    served = {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}
    assert served.isdisjoint(one.unserved)


def test_the_pages_about_it_are_not_stale():
    """`python -m scripts.compatibility` writes them anew."""
    command = [sys.executable, "-m", "scripts.compatibility", "--check"]
    checked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert checked.returncode == 0, checked.stderr
