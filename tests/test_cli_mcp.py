"""`homeport mcp config`: what it prints starts a server where there is neither a PATH nor a project's folder."""

import json
import subprocess
import sys

import anyio
import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from tests.command import ROOT, environment, homeport


def printed(home, *arguments, **more):
    """Its stdout as JSON, and what it says on stderr."""
    command = [sys.executable, "-m", "gateway", "mcp", "config", *arguments]
    done = subprocess.run(command, cwd=home, env=environment(home, **more), capture_output=True, text=True, check=True)
    return json.loads(done.stdout), done.stderr


@pytest.mark.anyio
async def test_a_desktop_program_starts_the_server_with_what_is_printed(home):
    (home / "agents" / "knowledge").mkdir()
    (home / "agents" / "knowledge" / "tea.md").write_text("# Tea\n\nGreen tea is steeped at 80 degrees.\n")
    (home / "gateway.yaml").write_text("log_level: error\n")
    shown, said = await anyio.to_thread.run_sync(printed, home, "rag")
    entry = shown["mcpServers"]["homeport-rag"]
    assert "claude_desktop_config.json" in said
    assert "env" not in entry
    # A program on the desktop starts it in the root folder, with next to no environment.
    parameters = StdioServerParameters(**entry, cwd="/", env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)})
    with anyio.fail_after(60):
        async with Client(stdio_client(parameters)) as client:
            found = await client.call_tool("search", {"query": "how hot for green tea"})
    assert "80 degrees" in str(found.structured_content)
    assert (home / ".data" / "rag").is_dir()


def test_vs_code_has_a_shape_of_its_own(home):
    shown, said = printed(home, "filesystem", "--for", "vscode")
    entry = shown["servers"]["homeport-filesystem"]
    assert (entry["type"], entry["args"][-4:]) == (
        "stdio",
        ["--data", str(home / ".data"), "--agents", str(home / "agents")],
    )
    assert ".vscode/mcp.json" in said


def test_the_variables_that_the_server_needs_are_in_it_without_secrets(home):
    (home / "gateway.yaml").write_text("providers: {mine: {api_key: '{{env.MY_KEY}}'}}\n")
    tracker = {"TICKETING_URL": "http://127.0.0.1:9/", "TICKETING_USER": "ada", "TICKETING_PASSWORD": "hidden-word"}
    shown, said = printed(home, "ticketing", "--for", "cursor", **tracker, MY_KEY="hidden-key")
    assert shown["mcpServers"]["homeport-ticketing"]["env"] == {
        "TICKETING_URL": "http://127.0.0.1:9/",
        "TICKETING_USER": "ada",
        "TICKETING_PASSWORD": "FILL IN",
        "MY_KEY": "FILL IN",
    }
    assert "in place of 'FILL IN'" in said


def test_a_server_that_is_not_there_has_no_json(home):
    status, said = homeport(home, "mcp", "config", "nope")
    assert (status, "Here are: rag, filesystem" in said, "Traceback" in said) == (1, True, False), said
