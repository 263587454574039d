"""The recipes of docs/adding.md work as written: what is followed here is cut out of the page itself."""

import re
from pathlib import Path

import pytest
import yaml

from gateway.tools.settings import ServerSettings
from tests.conftest import call, say

pytestmark = pytest.mark.anyio

PAGE = (Path(__file__).parent.parent / "docs" / "adding.md").read_text()


def block(language: str, after: str) -> str:
    """The first code block of a language after a heading."""
    found = re.search(rf"```{language}\n(.*?)```", PAGE[PAGE.index(after) :], re.DOTALL)
    assert found
    return found[1]


async def test_a_tool_server_is_a_file_and_a_line(start_gateway, home, monkeypatch):
    (home / "clock.py").write_text(block("python", "## A tool server"))
    monkeypatch.syspath_prepend(home)
    settings = yaml.safe_load(block("yaml", "## A tool server"))
    servers = {name: ServerSettings(**given) for name, given in settings["servers"].items()}
    (home / "agents" / "timekeeper.yaml").write_text("name: timekeeper\nmodel: scripted/one\ntools: [clock.now]\n")
    async with start_gateway([call("clock__now")], [say("noon")], servers=servers) as gateway:
        response = await gateway.openai.responses.create(model="timekeeper", input="time?")
    assert re.match(r"\d{4}-\d\d-\d\dT", response.output[0].output)


@pytest.mark.parametrize("name", ["RULES", "STRATEGIES", "DIALECTS", "STORES"])
def test_every_family_is_one_plain_dict(name):
    homes = {"RULES": "rules", "STRATEGIES": "memory", "DIALECTS": "apis", "STORES": "stores"}
    source = (Path(__file__).parent.parent / "gateway" / homes[name] / "__init__.py").read_text()
    assert re.search(rf"^{name}: dict\[", source, re.MULTILINE)
    assert name in PAGE
