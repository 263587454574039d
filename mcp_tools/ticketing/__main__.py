"""`python -m mcp_tools.ticketing --preset roundup --base-url URL`: the ticketing server over stdio.

The tracker may also come from the variables that the gateway has for it: TICKETING_PRESET (`roundup` where only
TICKETING_URL is set), TICKETING_URL, TICKETING_REPOSITORY. Credentials come from the environment (TICKETING_USER,
TICKETING_PASSWORD, TICKETING_TOKEN) or from a settings file, never from the command line, where every user of the
machine could read them.
"""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import anyio
import yaml
from mcp.server.stdio import stdio_server

from mcp_tools.ticketing import create_server
from mcp_tools.ticketing.errors import SettingsError

ENVIRONMENT = {
    "preset": "TICKETING_PRESET",
    "base_url": "TICKETING_URL",
    "user": "TICKETING_USER",
    "password": "TICKETING_PASSWORD",
    "token": "TICKETING_TOKEN",
}


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m mcp_tools.ticketing", description=__doc__)
    parser.add_argument("--settings", type=Path, help="YAML file of settings; the other options win over it")
    parser.add_argument("--preset", help="a shipped preset (roundup, github) or the path of a YAML file")
    parser.add_argument("--base-url", help="address of the tracker")
    parser.add_argument("--web-url", help="where people read its tickets, if that is elsewhere")
    parser.add_argument("--data", help="directory for the record of what was made; without it, it is lost at exit")
    parser.add_argument(
        "--option", action="append", default=[], metavar="NAME=VALUE", help="what the preset asks for besides"
    )
    return parser.parse_args(arguments)


def gather(given: argparse.Namespace, environment: Mapping[str, str]) -> dict[str, Any]:
    """Settings file, then environment, then command line; the later wins."""
    settings: dict[str, Any] = {}
    if given.settings is not None:
        try:
            settings = yaml.safe_load(given.settings.read_text(encoding="utf-8")) or {}
        except (OSError, yaml.YAMLError) as error:
            raise SettingsError(f"{given.settings}: {type(error).__name__}: cannot be read as YAML") from None
        if not isinstance(settings, dict):
            raise SettingsError(f"{given.settings}: must be a mapping of settings")
    settings |= {name: environment[variable] for name, variable in ENVIRONMENT.items() if environment.get(variable)}
    chosen = {name: getattr(given, name) for name in ("preset", "base_url", "web_url", "data")}
    settings |= {name: value for name, value in chosen.items() if value is not None}
    if environment.get("TICKETING_URL"):
        settings.setdefault("preset", "roundup")
    options = dict(option.partition("=")[::2] for option in given.option)
    if repository := environment.get("TICKETING_REPOSITORY"):
        options.setdefault("repository", repository)
    if options:
        settings["options"] = dict(settings.get("options") or {}) | options
    return settings


async def serve(settings: Mapping[str, Any]) -> None:
    server = create_server(settings)
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())


def main(arguments: Sequence[str] | None = None) -> int:
    try:
        anyio.run(serve, gather(parse(arguments), os.environ))
    except SettingsError as error:
        sys.stderr.write(f"ticketing: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
