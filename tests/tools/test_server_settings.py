"""How tool servers are named in the settings."""

from typing import Any

import pytest
from pydantic import ValidationError

from gateway.tools.mcp import MCPToolbox
from gateway.tools.settings import ServerSettings


@pytest.mark.parametrize(
    "given",
    [
        {"module": "mcp_tools.rag", "settings": {"data": "x"}},
        {"command": ["npx", "server"], "env": {"A": "b"}, "cwd": "/tmp"},
        {"url": "https://tools.example.com/mcp", "headers": {"authorization": "Bearer x"}, "timeout": 5},
    ],
)
def test_a_server_is_a_module_a_command_or_a_url(given: dict[str, Any]) -> None:
    assert getattr(ServerSettings.model_validate(given), ServerSettings.model_validate(given).kind)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "exactly one of"),
        ({"module": "a", "url": "http://x"}, "exactly one of"),
        ({"url": "http://x", "env": {"A": "b"}}, "`env` goes with `command`"),
        ({"url": "ftp://x"}, "url"),
        ({"module": "a", "modul": "b"}, "modul"),
        ({"module": "os; import x"}, "module"),
    ],
)
def test_anything_else_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ServerSettings.model_validate(given)


def test_secrets_are_not_shown() -> None:
    shown = repr(ServerSettings(url="http://x", headers={"authorization": "Bearer secret"}))
    assert "secret" not in shown


@pytest.mark.parametrize("name", ["a__b", "a_", "", "a.b", "x" * 40])
def test_a_name_that_could_be_mistaken_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be the name"):
        MCPToolbox({name: ServerSettings(module="x")})
