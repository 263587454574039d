"""`homeport mcp`: a tool server of the settings over stdio, and the JSON with which other programs start it."""

import importlib
import sys
from collections.abc import Mapping
from pathlib import Path

import orjson
from rich.console import Console

from gateway.agents.variables import VARIABLE
from gateway.cli.hosts import Host
from gateway.errors import NotFound
from gateway.settings import Settings, config_path, make_folders
from gateway.tools.settings import ServerSettings

notes = Console(stderr=True, highlight=False)


FILES = {
    Host.CLAUDE: "claude_desktop_config.json (in Claude Desktop: Settings, Developer, Edit Config)",
    Host.CURSOR: "~/.cursor/mcp.json, or .cursor/mcp.json of a project",
    Host.VSCODE: ".vscode/mcp.json of a workspace (or run `MCP: Open User Configuration`)",
}
"""Where they keep what is printed, as their manuals say."""
TRACKER = ("TICKETING_PRESET", "TICKETING_URL", "TICKETING_REPOSITORY", "TICKETING_USER")
SECRETS = ("TICKETING_PASSWORD", "TICKETING_TOKEN")
TO_FILL_IN = "FILL IN"


def serve(settings: Settings, name: str) -> None:
    """Serve until stdin closes. Nothing else may be written to stdout."""
    chosen = bundled(settings, name)
    make_folders(settings)
    server = importlib.import_module(chosen.module).create_server(dict(chosen.settings))
    importlib.import_module("gateway.tools.stdio").serve(server)


def show_config(settings: Settings, config: Path | None, name: str, host: Host) -> None:
    """JSON on stdout, to be pasted; where it goes on stderr. Such a program has neither this PATH nor this folder nor
    these variables, so all paths are absolute and the variables are in it. What may be secret is left to be filled in.
    """
    bundled(settings, name)
    command = [str(program)] if (program := Path(sys.executable).with_name("homeport")).exists() else []
    command = command or [sys.executable, "-m", "gateway"]
    file = config_path(settings.environment, config).absolute()
    folders = ["--data", str(settings.data.absolute()), "--agents", str(settings.agents.absolute())]
    given = ["--config", str(file)] if file.exists() else []
    entry: dict[str, object] = {"command": command[0], "args": [*command[1:], "mcp", "serve", name, *folders, *given]}
    if env := needed(settings.environment, name, file):
        entry["env"] = env
    label = f"homeport-{name}"
    shown = {"servers": {label: {"type": "stdio", **entry}}} if host is Host.VSCODE else {"mcpServers": {label: entry}}
    sys.stdout.write(orjson.dumps(shown, option=orjson.OPT_INDENT_2).decode() + "\n")
    notes.print(f"This goes into {FILES[host]}.", style="dim", soft_wrap=True)
    if TO_FILL_IN in env.values():
        notes.print(f"Write the values in place of {TO_FILL_IN!r}.", style="yellow")


def needed(environ: Mapping[str, str], name: str, file: Path) -> dict[str, str]:
    """The variables without which the server would not start there, with the values of those that are no secrets."""
    text = file.read_text() if file.exists() else ""
    tracker = (*TRACKER, *SECRETS) if name == "ticketing" else ()
    names = [*tracker, *(found[1] for found in VARIABLE.finditer(text))]
    return {one: environ[one] if one in TRACKER else TO_FILL_IN for one in dict.fromkeys(names) if environ.get(one)}


def bundled(settings: Settings, name: str) -> ServerSettings:
    """A server that runs in a process of ours. Raises NotFound."""
    chosen = settings.servers.get(name)
    if chosen is None or not chosen.module:
        if why := settings.absent_servers.get(name):
            raise NotFound(f"There is no tool server {name!r}: {why}.")
        here = [name for name, server in settings.servers.items() if server.module]
        raise NotFound(f"There is no built-in tool server named {name!r} in the settings. Here are: {', '.join(here)}.")
    return chosen
