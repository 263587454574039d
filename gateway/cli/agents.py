"""`homeport agent`: check, show and describe agent documents."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import orjson
from rich.console import Console
from rich.markup import escape
from rich.syntax import Syntax
from rich.table import Table

from gateway.agents.document import agent_schema
from gateway.agents.folder import AgentFolder
from gateway.agents.load import load_agent, load_agents
from gateway.agents.positions import DocumentError, Location
from gateway.agents.spec import CONTEXT, AgentSpec, Context, ToolGrant
from gateway.agents.strict_yaml import load
from gateway.cli.needs import LackingModel, LackingTool, lacking_models, lacking_tools, tools_here
from gateway.errors import NotFound
from gateway.memory import STRATEGIES
from gateway.providers.litellm_import import LiteLLM
from gateway.settings import Settings

console = Console(highlight=False)


def validate(settings: Settings, paths: list[Path]) -> int:
    """Exit status 1 if anything is wrong. What only this installation lacks, such as a key, is a warning: the document
    may be meant for another."""
    return asyncio.run(_validate(settings, paths))


async def _validate(settings: Settings, paths: list[Path]) -> int:
    agents, problems = read(settings, paths)
    listed, unseen = await tools_here(settings, [agent for _, agent in agents])
    warnings = [f"the tools of `{name}` are not checked: {why}" for name, why in unseen.items()]
    litellm = LiteLLM()
    for path, agent in agents:
        models = await lacking_models(settings, agent, litellm)
        wrong, lacking = at_fault(path, agent, [*lacking_tools(settings, agent, listed)], models)
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
        return agents, [str(problem) for error in loaded.errors.values() for problem in error.problems]
    agents, problems = list[tuple[Path, AgentSpec]](), list[str]()
    for path in paths:
        try:
            agents.append((path, load_agent(path, settings.environment, memories=STRATEGIES)))
        except DocumentError as error:
            problems += [str(problem) for problem in error.problems]
    return agents, problems


def at_fault(
    path: Path, agent: AgentSpec, tools: Sequence[LackingTool], models: Sequence[LackingModel]
) -> tuple[list[str], list[str]]:
    """What a good document asks for in vain here: mistakes in it, and what this installation lacks."""
    data, positions = load(path)
    given: list[str | dict[str, str]] = data.get("tools") or []
    grants = [grant if isinstance(grant, str) else grant["tool"] for grant in given]
    wrong, lacking = list[str](), list[str]()
    for one in tools:
        # A name that comes from the environment does not stand there as it is.
        where = ("tools", grants.index(one.tool)) if one.tool in grants else ("tools",)
        (lacking if one.known else wrong).append(str(positions.problem(where, f"`{one.tool}`: {one.why}")))
    places = model_places(data["model"])
    unknown = [one for one in models if not one.known and one.model in places]
    wrong += [str(positions.problem(places[one.model], f"`{one.model}`: {one.why}")) for one in unknown]
    if not unknown and len(models) == len({agent.model, *agent.fallbacks}):
        lacking.append(str(positions.problem(("model",), f"`{agent.name}` cannot answer yet: {models[0].why}")))
    return wrong, lacking


def model_places(given: str | dict[str, Any]) -> dict[str, Location]:
    """Where a document's `model` has which model. One that comes from the environment does not stand there as it is."""
    if isinstance(given, str):
        return {given: ("model",)}
    fallbacks: list[str] = given.get("fallbacks") or []
    places: dict[str, Location] = {name: ("model", "fallbacks", n) for n, name in enumerate(fallbacks)}
    return {**places, given["primary"]: ("model", "primary")}


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
        "limits": f"{agent.max_steps} steps, {agent.max_tokens or 'any'} tokens, deadline {agent.deadline or 'none'}",
        "memory": agent.memory,
        "context": context(agent.context) if agent.memory == CONTEXT else "",
    }
    shown = {label: value for label, value in rows.items() if value}
    for label, value in shown.items():
        table.add_row(label, escape(value))
    console.print(table)
    if agent.tools:
        console.print(tools_of(agent, asyncio.run(tools_here(settings, [agent]))[0]))
    # To be compared and copied: in one piece, however narrow the terminal is.
    console.print(f"  [bold]{'digest'.ljust(max(map(len, shown)))}[/]    {agent.digest}", soft_wrap=True)
    console.print(Syntax(agent.instructions, "markdown", word_wrap=True))


def tools_of(agent: AgentSpec, listed: Mapping[str, Mapping[str, Any]]) -> Table:
    """What the document says of each tool, and where it says nothing of the effect, what its server does."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("tool", no_wrap=True)
    for heading in ("effect", "approval", "answer within", "calls a run"):
        table.add_column(heading)
    table.add_column("arguments", overflow="fold")
    for grant in agent.tools:
        server, _, tool = grant.tool.partition(".")
        cells = (
            grant.tool,
            effect(grant, listed.get(server, {}).get(tool)),
            grant.asks,
            span(grant.approval_timeout) if grant.asks != "never" else "",
            str(grant.per_run or "any"),
            arguments(grant.args),
        )
        table.add_row(*map(escape, cells))
    return table


def arguments(args: Mapping[str, Any]) -> str:
    """What is left of them, a line for each that is narrowed; of anything but `properties`, the schema as it is."""
    if not args:
        return "any"
    shapes: Mapping[str, Any] = args.get("properties", {})
    lines = [f"{name}: {orjson.dumps(left_of(shape)).decode()}" for name, shape in shapes.items()]
    rest = {keyword: value for keyword, value in args.items() if keyword != "properties"}
    return "\n".join([*lines, *([orjson.dumps(rest).decode()] if rest else [])])


def left_of(shape: Any) -> Any:
    """The value that a schema fixes, or the schema."""
    return cast("Mapping[str, Any]", shape).get("const", shape) if isinstance(shape, Mapping) else shape


def effect(grant: ToolGrant, tool: Any) -> str:
    """`tool` is a `gateway.tools.link.ListedTool`, or None if the server's list is not known here."""
    if tool is None:
        hint = "as its server says"
    else:
        hint = "read" if tool.read_only else "destructive" if tool.destructive else "write"
    again = grant.idempotent if grant.idempotent is not None else tool is not None and tool.idempotent
    return f"{grant.effect or hint}{', idempotent' if again else ''}"


def span(seconds: float) -> str:
    """As a document would say it."""
    unit, length = next(((u, n) for u, n in (("d", 86400), ("h", 3600), ("m", 60)) if seconds % n == 0), ("s", 1))
    return f"{seconds / length:g}{unit}"


def schema() -> None:
    console.print_json(orjson.dumps(agent_schema()).decode())


def context(kept: Context) -> str:
    """In a line what the model gets to see."""
    budget = f"{kept.budget_tokens} tokens" if kept.budget_tokens else "no budget"
    last = f"the last {kept.last} exchanges" if kept.last else "the newest exchanges"
    nearest = [f"the nearest {kept.top_k} of the older ones"] if kept.top_k else []
    summary = [f"a summary from {kept.summary_at:.0%} on"] if kept.summary_at else []
    return "; ".join([budget, last, *nearest, *summary])
