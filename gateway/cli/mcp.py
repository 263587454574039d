"""`homeport mcp serve NAME`: a tool server of the settings over stdio, for Claude Desktop, Cursor and VS Code."""

import importlib

from gateway.errors import NotFound
from gateway.settings import Settings, make_folders


def serve(settings: Settings, name: str) -> None:
    """Serve until stdin closes. Nothing else may be written to stdout."""
    chosen = settings.servers.get(name)
    if chosen is None or not chosen.module:
        if why := settings.absent_servers.get(name):
            raise NotFound(f"There is no tool server {name!r}: {why}.")
        here = [name for name, server in settings.servers.items() if server.module]
        raise NotFound(f"There is no built-in tool server named {name!r} in the settings. Here are: {', '.join(here)}.")
    make_folders(settings)
    server = importlib.import_module(chosen.module).create_server(dict(chosen.settings))
    importlib.import_module("gateway.tools.stdio").serve(server)
