"""`homeport agent`: check, show and describe agent documents."""

from pathlib import Path

import orjson
from rich.console import Console
from rich.markup import escape
from rich.syntax import Syntax
from rich.table import Table

from gateway.agents.document import agent_schema
from gateway.agents.folder import AgentFolder
from gateway.agents.load import load_agent, load_agents
from gateway.agents.positions import DocumentError
from gateway.agents.spec import CONTEXT, AgentSpec, Context
from gateway.agents.strict_yaml import load
from gateway.cli.needs import lacking_tools, mute
from gateway.errors import NotFound
from gateway.memory import STRATEGIES
from gateway.settings import Settings

console = Console(highlight=False)


def validate(settings: Settings, paths: list[Path]) -> int:
    """Exit status 1 if anything is wrong. What only this installation lacks, such as a key, is a warning: the document
    may be meant for another."""
    agents, problems = read(settings, paths)
    warnings: list[str] = []
    for path, agent in agents:
        wrong, lacking = at_fault(settings, path, agent)
        problems += wrong
        warnings += lacking
        if not wrong:
            console.print(f"[green]✓[/] {agent.name}")
    for warning in warnings:
        console.print(f"[yellow]![/] {escape(warning)}", soft_wrap=True)
    for problem in problems:
        console.print(f"[red]✗[/] {escape(problem)}", soft_wrap=True)
    if not agents and not problems:
        console.print(f"There are no agent documents in {settings.agents}.")
    return 1 if problems else 0


def read(settings: Settings, paths: list[Path]) -> tuple[list[tuple[Path, AgentSpec]], list[str]]:
    """The agents of these documents, or of the agents folder, and what is wrong with the others."""
    if not paths:
        loaded = load_agents(settings.agents, settings.environment, memories=STRATEGIES)
        agents = [(loaded.documents[name], agent) for name, agent in sorted(loaded.specs.items())]
        return agents, [str(error) for error in loaded.errors.values()]
    agents, problems = list[tuple[Path, AgentSpec]](), list[str]()
    for path in paths:
        try:
            agents.append((path, load_agent(path, settings.environment, memories=STRATEGIES)))
        except DocumentError as error:
            problems += [str(problem) for problem in error.problems]
    return agents, problems


def at_fault(settings: Settings, path: Path, agent: AgentSpec) -> tuple[list[str], list[str]]:
    """What a good document asks for in vain here: mistakes in it, and what this installation lacks."""
    data, positions = load(path)
    given: list[str | dict[str, str]] = data.get("tools") or []
    grants = [grant if isinstance(grant, str) else grant["tool"] for grant in given]
    wrong, lacking = list[str](), list[str]()
    for one in lacking_tools(settings, agent):
        # A name that comes from the environment does not stand there as it is.
        where = ("tools", grants.index(one.tool)) if one.tool in grants else ("tools",)
        (lacking if one.known else wrong).append(str(positions.problem(where, f"`{one.tool}`: {one.why}")))
    if why := mute(settings, agent):
        lacking.append(str(positions.problem(("model",), f"`{agent.name}` cannot answer yet: {why}")))
    return wrong, lacking


def show(settings: Settings, name: str) -> None:
    folder = AgentFolder(settings.agents, settings.environment, memories=STRATEGIES)
    if (agent := folder.agents.get(name)) is None:
        raise NotFound(f"There is no agent named {name!r}. Here are: {', '.join(sorted(folder.agents)) or 'none'}.")
    table = Table(show_header=False, box=None, padding=(0, 2))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    rows = {
        "name": agent.name,
        "description": agent.description,
        "model": agent.model,
        "fallbacks": ", ".join(agent.fallbacks),
        "params": orjson.dumps(dict(agent.params)).decode() if agent.params else "",
        "tools": "\n".join(grant.tool for grant in agent.tools),
        "limits": f"{agent.max_steps} steps, {agent.max_tokens or 'any'} tokens, deadline {agent.deadline or 'none'}",
        "memory": agent.memory,
        "context": context(agent.context) if agent.memory == CONTEXT else "",
    }
    shown = {label: value for label, value in rows.items() if value}
    for label, value in shown.items():
        table.add_row(label, escape(value))
    console.print(table)
    # To be compared and copied: in one piece, however narrow the terminal is.
    console.print(f"  [bold]{'digest'.ljust(max(map(len, shown)))}[/]    {agent.digest}", soft_wrap=True)
    console.print(Syntax(agent.instructions, "markdown", word_wrap=True))


def schema() -> None:
    console.print_json(orjson.dumps(agent_schema()).decode())


def context(kept: Context) -> str:
    """In a line what the model gets to see."""
    budget = f"{kept.budget_tokens} tokens" if kept.budget_tokens else "no budget"
    last = f"the last {kept.last} exchanges" if kept.last else "the newest exchanges"
    nearest = [f"the nearest {kept.top_k} of the older ones"] if kept.top_k else []
    summary = [f"a summary from {kept.summary_at:.0%} on"] if kept.summary_at else []
    return "; ".join([budget, last, *nearest, *summary])
