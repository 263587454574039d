"""The shape of the code base is tested like any other promise. There is no exemption list."""

import ast
import subprocess
import sys
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
    assert [f.name for f in functions if f.end_lineno - f.lineno + 1 >= 60] == []


@named(PRODUCT)
def test_module_says_what_it_is(path):
    assert ast.get_docstring(ast.parse(path.read_text()))


def is_entrance(path):
    """Where a person or another program comes in: the command line, and whatever `python -m` starts."""
    return path.is_relative_to(ROOT / "gateway" / "cli") or path.name == "__main__.py"


ENVIRONMENT = {"environ", "environb", "getenv", "getenvb"}


def environment_reads(source):
    """The lines that look into the process's environment, by whatever name. To set a variable is not to look."""
    tree = ast.parse(source)
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    functions = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    modules = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
        if alias.name == "os"
    }

    def sets(use):
        method = parents[use]
        call = parents.get(method)
        named = isinstance(method, ast.Attribute) and method.attr == "setdefault" and isinstance(call, ast.Call)
        return named and isinstance(parents[call], ast.Expr)

    def handed_to_a_setter(use):
        call = parents[use]
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in functions):
            return False
        inner = functions[call.func.id]
        name = inner.args.args[call.args.index(use)].arg
        return all(sets(node) for node in ast.walk(inner) if isinstance(node, ast.Name) and node.id == name)

    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "os":
            found += [node.lineno for alias in node.names if alias.name in {*ENVIRONMENT, "*"}]
        elif isinstance(node, ast.Attribute) and node.attr in ENVIRONMENT:
            of_os = isinstance(node.value, ast.Name) and node.value.id in modules
            if of_os and not sets(node) and not handed_to_a_setter(node):
                found.append(node.lineno)
    return found


@pytest.mark.parametrize(
    "source",
    [
        "import os\nos.environ['A']",
        "import os\nos.getenv('A')",
        "import os as system\ndict(system.environ)",
        "from os import environ",
        "from os import getenv as look",
        "def f():\n    import os\n    return os.environ.get('A')",
        "import os\na = os.environ.setdefault('A', 'b')",
        "import os\ndef f(e):\n    return e['A']\nf(os.environ)",
    ],
)
def test_a_look_into_the_environment_is_seen_by_whatever_name(source):
    assert environment_reads(source) != []


@pytest.mark.parametrize(
    "source",
    ["'os.environ'", "environ = {}\nenviron.get('A')", "import os\nos.environ.setdefault('A', 'b')"],
)
def test_what_only_looks_like_it_is_not(source):
    assert environment_reads(source) == []


@named(PRODUCT)
def test_only_the_entrances_read_the_environment(path):
    assert is_entrance(path) or environment_reads(path.read_text()) == []


@named(PRODUCT)
def test_litellm_is_loaded_by_name_and_late(path):
    """An `import` of it, wherever it stood, would cost 2.5 s."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module]
    assert [name for name in names if name.partition(".")[0] == "litellm"] == []


def test_a_start_waits_for_no_import_that_it_can_do_without():
    code = (
        "import sys, gateway.cli.main, gateway.cli.serve\n"
        "print([m for m in ('aiohttp', 'httpx', 'mcp', 'litellm', 'onnxruntime') if m in sys.modules])"
    )
    # In a process of its own: this one has imported them all.
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_no_folder_is_a_drawer_for_everything():
    drawers = {"utils", "util", "core", "common", "helpers", "managers", "misc"}
    names = {part for path in PRODUCT for part in path.relative_to(ROOT).with_suffix("").parts}
    assert names & drawers == set()


def test_the_layout_names_every_module_of_the_gateway():
    layout = (ROOT / "docs" / "architecture.md").read_text().partition("## Layout")[2].partition("\n## ")[0]
    folder = ROOT / "gateway"
    names = {path.name for path in folder.glob("*.py")} | {
        f"{path.parent.name}/" for path in folder.glob("*/__init__.py")
    }
    assert {name for name in names - {"__init__.py"} if name not in layout.split()} == set()
