"""`homeport doctor`: look at everything an installation needs, and say what to do about what is missing."""

import asyncio
import logging
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gateway.agents.load import LoadedAgents, load_agents
from gateway.agents.spec import AgentSpec
from gateway.app import DISK_FLOOR
from gateway.cli.needs import key_of, lacking_models, lacking_tools, model_missing
from gateway.cli.online import tried
from gateway.memory import STRATEGIES
from gateway.providers.litellm_import import LiteLLM
from gateway.settings import Settings, make_folders
from gateway.tools.deferred import DeferredToolbox

console = Console(highlight=False)
Finding = tuple[str, bool | None, str]
"""What was looked at, whether it is well (None: not, and one can do without), and what was found or is to be done."""
MARKS = {True: "[green]✓[/]", None: "[yellow]![/]", False: "[red]✗[/]"}


def run(settings: Settings, *, online: bool) -> int:
    """Exit status 1 if anything that is needed is missing. `online`: each model of the agents is asked once."""
    logging.basicConfig(level=logging.ERROR)  # What the servers say of themselves is in the table.
    make_folders(settings)
    loaded = load_agents(settings.agents, settings.environment, memories=STRATEGIES)
    statuses = asyncio.run(servers(settings))
    findings = [*machine(settings), *agents(settings, loaded)]
    findings += [(f"tool server {one.name}", not one.error, one.error or f"{len(one.tools)} tools") for one in statuses]
    listed = {one.name: one.tools for one in statuses if one.state == "ready"}
    for agent in loaded.specs.values():
        findings += tools(settings, agent, listed)
    findings += [*providers(settings), *asyncio.run(models(settings, loaded.specs.values(), online=online))]
    table = Table("", "what", "finding", box=None, padding=(0, 1))
    for what, well, finding in findings:
        table.add_row(MARKS[well], what, escape(finding))
    console.print(table)
    if not online:
        console.print("No provider was asked. `homeport doctor --online` asks each model of the agents for one word.")
    return 1 if any(well is False for _, well, _ in findings) else 0


def machine(settings: Settings) -> Iterator[Finding]:
    yield "Python", sys.version_info >= (3, 11), sys.version.split()[0]
    yield "data folder", os.access(settings.data, os.W_OK), str(settings.data.absolute())
    free = shutil.disk_usage(settings.data).free
    yield "disk", free > DISK_FLOOR, f"{free / 1e9:.1f} GB free"


def agents(settings: Settings, loaded: LoadedAgents) -> Iterator[Finding]:
    yield "agents", bool(loaded.specs), ", ".join(sorted(loaded.specs)) or f"none in {settings.agents}"
    for error in loaded.errors.values():
        for problem in error.problems:
            yield "agent document", False, str(problem)


async def servers(settings: Settings) -> Sequence[Any]:
    """Each server's `gateway.tools.mcp.ServerStatus`, after it was started and has listed its tools."""
    given = settings.servers, settings.allowed_hosts, settings.client_servers, settings.absent_servers
    async with DeferredToolbox(*given) as toolbox:
        return await toolbox.status()


def tools(settings: Settings, agent: AgentSpec, listed: Mapping[str, Sequence[str]]) -> Iterator[Finding]:
    for one in lacking_tools(settings, agent, listed):
        yield f"tool {one.tool} of {agent.name}", None if one.known else False, one.why


def providers(settings: Settings) -> Iterator[Finding]:
    for provider in settings.providers.values():
        why = model_missing(settings, f"{provider.name}/any")
        where = provider.base_url or "its usual address"
        yield f"provider {provider.name}", not why, why or f"{where}; {key_of(settings, f'{provider.name}/any')}"
    model = settings.environment["HOMEPORT_MODEL"]
    why = model_missing(settings, model)
    yield "default model", not why, f"{model}: {why or f'not tried; {key_of(settings, model)}'}"


async def models(settings: Settings, specs: Iterable[AgentSpec], *, online: bool) -> list[Finding]:
    """The models of the agents: those that cannot be asked, and how the others are."""
    litellm, findings, askable = LiteLLM(), list[Finding](), dict[str, None]()
    for agent in specs:
        names = dict.fromkeys((agent.model, *agent.fallbacks))
        lacking = {one.model: one for one in await lacking_models(settings, agent, litellm)}
        for one in lacking.values():
            spare = one.known and len(lacking) < len(names)
            findings.append((f"model of {agent.name}", None if spare else False, f"{one.model}: {one.why}"))
        askable |= {name: None for name in names if name not in lacking}
    faults = await tried(settings, askable) if online else {}
    for name in askable:
        fine = "answered" if online else f"not tried; {key_of(settings, name)}"
        findings.append((f"model {name}", not faults.get(name), faults.get(name) or fine))
    return findings
