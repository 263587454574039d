"""The shape of the code base is tested like any other promise. There is no exemption list."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = sorted(
    path for folder in ("gateway", "mcp_tools", "tests", "bench", "scripts") for path in (ROOT / folder).rglob("*.py")
)
PRODUCT = [path for path in FILES if path.relative_to(ROOT).parts[0] in ("gateway", "mcp_tools")]
NODE = "node_modules"


def named(paths):
    return pytest.mark.parametrize(
        "path", [path for path in paths if NODE not in path.parts], ids=lambda path: str(path.relative_to(ROOT))
    )


@named(FILES)
def test_module_fits_in_one_sitting(path):
    assert len(path.read_text().splitlines()) <= 400


@named(FILES)
def test_function_fits_on_one_screen(path):
    nodes = ast.walk(ast.parse(path.read_text()))
    functions = [node for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    assert [f.name for f in functions if f.end_lineno - f.lineno >= 60] == []


@named(PRODUCT)
def test_module_says_what_it_is(path):
    assert ast.get_docstring(ast.parse(path.read_text()))


@named(PRODUCT)
def test_only_the_entrances_read_the_environment(path):
    entrances = {"gateway/cli/main.py", "gateway/providers/litellm_import.py"}
    name = str(path.relative_to(ROOT))
    if name in entrances or path.name == "__main__.py" or "serve.py" in name:
        return
    assert "os.environ" not in path.read_text() and "getenv" not in path.read_text()


@named(PRODUCT)
def test_only_one_file_imports_litellm(path):
    """It is loaded by name, once and late, so import-linter cannot see it."""
    if path.name != "litellm_import.py":
        names = [line for line in path.read_text().splitlines() if line.startswith(("import litellm", "from litellm"))]
        assert names == []


def test_no_folder_is_a_drawer_for_everything():
    drawers = {"utils", "util", "core", "common", "helpers", "managers", "misc"}
    names = {part for path in PRODUCT for part in path.relative_to(ROOT).with_suffix("").parts}
    assert names & drawers == set()
