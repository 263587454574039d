"""`homeport agent`: check, show and describe agent documents."""

from pathlib import Path

import orjson
from rich.console import Console
from rich.markup import escape
from rich.syntax import Syntax
from rich.table import Table

from gateway.agents.document import agent_schema
from gateway.agents.folder import AgentFolder
from gateway.agents.load import load_agent
from gateway.agents.positions import DocumentError
from gateway.agents.spec import CONTEXT, Context
from gateway.errors import NotFound
from gateway.memory import STRATEGIES
from gateway.settings import Settings

console = Console(highlight=False)


def validate(settings: Settings, paths: list[Path]) -> int:
    """Exit status 1 if anything is wrong."""
    if not paths:
        folder = AgentFolder(settings.agents, settings.environment, memories=STRATEGIES)
        names, problems = sorted(folder.agents), [str(error) for error in folder.errors.values()]
    else:
        names, problems = list[str](), list[str]()
        for path in paths:
            try:
                names.append(load_agent(path, settings.environment, memories=STRATEGIES).name)
            except DocumentError as error:
                problems += [str(problem) for problem in error.problems]
    for name in names:
        console.print(f"[green]✓[/] {name}")
    for problem in problems:
        console.print(f"[red]✗[/] {escape(problem)}", soft_wrap=True)
    if not names and not problems:
        console.print(f"There are no agent documents in {settings.agents}.")
    return 1 if problems else 0


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
