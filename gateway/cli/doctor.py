"""`homeport doctor`: look at everything an installation needs, and say what to do about what is missing."""

import asyncio
import logging
import os
import shutil
import sys
from collections.abc import Iterator

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gateway.agents.folder import AgentFolder
from gateway.app import DISK_FLOOR
from gateway.cli.models import weights_path
from gateway.memory import STRATEGIES
from gateway.settings import DEFAULT_MODELS, Settings, make_folders
from gateway.tools.deferred import DeferredToolbox

console = Console(highlight=False)
Finding = tuple[str, bool, str]
"""What was looked at, whether it is well, and what was found or is to be done."""


def run(settings: Settings) -> int:
    """Exit status 1 if anything that is needed is missing."""
    logging.basicConfig(level=logging.ERROR)  # What the servers say of themselves is in the table.
    make_folders(settings)
    findings = [*machine(settings), *agents(settings), *asyncio.run(servers(settings)), *providers(settings)]
    table = Table("", "what", "finding", box=None, padding=(0, 1))
    for what, well, finding in findings:
        table.add_row("[green]✓[/]" if well else "[red]✗[/]", what, escape(finding))
    console.print(table)
    return 0 if all(well for _, well, _ in findings) else 1


def machine(settings: Settings) -> Iterator[Finding]:
    yield "Python", sys.version_info >= (3, 11), sys.version.split()[0]
    yield "data folder", os.access(settings.data, os.W_OK), str(settings.data.absolute())
    free = shutil.disk_usage(settings.data).free
    yield "disk", free > DISK_FLOOR, f"{free / 1e9:.1f} GB free"


def agents(settings: Settings) -> Iterator[Finding]:
    folder = AgentFolder(settings.agents, settings.environment, memories=STRATEGIES)
    yield "agents", bool(folder.agents), ", ".join(sorted(folder.agents)) or f"none in {settings.agents}"
    for error in folder.errors.values():
        yield "agent document", False, str(error)


async def servers(settings: Settings) -> list[Finding]:
    async with DeferredToolbox(settings.servers, settings.allowed_hosts, settings.client_servers) as toolbox:
        states = await toolbox.status()
        return [(f"tool server {one.name}", not one.error, one.error or f"{one.tools} tools") for one in states]


def providers(settings: Settings) -> Iterator[Finding]:
    for provider in settings.providers.values():
        yield f"provider {provider.name}", True, provider.base_url or "its usual address"
    found = [name for name in DEFAULT_MODELS if settings.environment.get(name)]
    model = settings.environment["HOMEPORT_MODEL"]
    if found or not model.startswith("local/"):
        yield "default model", True, model
    else:
        here = weights_path(settings.environment).exists()
        yield (
            "default model",
            here,
            f"{model}: " + ("ready" if here else "set a provider's key or run `homeport model pull`"),
        )
