"""`homeport import`: makes agent documents of what other places keep."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import yaml
from rich.console import Console
from rich.markup import escape

from gateway.agents.load import load_agent
from gateway.errors import InvalidRequest
from gateway.memory import STRATEGIES
from gateway.settings import Settings

console = Console(highlight=False)

PARAMS = ("temperature", "top_p", "max_output_tokens")
HEAD = ("system", "developer")
NOT_TAKEN = {"tools": "tools: name servers' tools in the document, or give functions with each request"}

Json = Mapping[str, Any]


def prompt(settings: Settings, path: Path, name: str | None) -> None:
    """Write the agent document of a saved prompt into the agents folder, and say what could not be taken over.

    The file is JSON or YAML: a prompt as OpenAI's dashboard or a response shows it (`instructions` or `messages`,
    `model`, parameters, `id`, `version`). A file of any other kind is taken as the instructions themselves. Raises
    InvalidRequest when there is nothing to take or the document is there already.
    """
    given = read(path)
    instructions, left_out = instructions_of(given)
    if not instructions:
        raise InvalidRequest(f"{path} holds neither instructions nor system messages.")
    agent = slug(name or str(given.get("name") or path.stem))
    target = settings.agents / f"{agent}.yaml"
    if target.exists():
        raise InvalidRequest(f"{target} is there already. Choose another name: --name NAME.")
    settings.agents.mkdir(parents=True, exist_ok=True)
    target.write_text(document(agent, given, instructions))
    load_agent(target, settings.environment, memories=STRATEGIES)
    console.print(f"[green]✓[/] {escape(str(target))}", soft_wrap=True)
    if (id := identity(given, "id")) is not None:
        console.print(f"  Requests with prompt id {escape(id)} are answered by it.", soft_wrap=True)
    for what in [*left_out, *(text for key, text in NOT_TAKEN.items() if given.get(key))]:
        console.print(f"[yellow]![/] not taken over: {escape(what)}", soft_wrap=True)


def read(path: Path) -> Json:
    text = path.read_text()
    try:
        loaded: object = yaml.safe_load(text) if path.suffix in (".json", ".yaml", ".yml") else None
    except yaml.YAMLError as error:
        raise InvalidRequest(f"{path} cannot be read: {error}") from None
    return cast(Json, loaded) if isinstance(loaded, dict) else {"instructions": text}


def instructions_of(given: Json) -> tuple[str, list[str]]:
    """The text, and the messages that an agent document has no place for."""
    said, left_out = list[str](), list[str]()
    for part in (given.get("instructions"), given.get("messages"), given.get("input")):
        if isinstance(part, str):
            said.append(part)
        for message in cast(Sequence[Json], part if isinstance(part, list) else ()):
            text, role = text_of(message.get("content")), str(message.get("role"))
            if role in HEAD:
                said.append(text)
            else:
                left_out.append(f"a message of the {role}: {text[:60]!r}")
    return "\n\n".join(text.strip() for text in said if text.strip()), left_out


def text_of(content: object) -> str:
    if isinstance(content, str):
        return content
    parts = cast(Sequence[Json], content if isinstance(content, list) else ())
    return "".join(str(part.get("text", "")) for part in parts)


def document(name: str, given: Json, instructions: str) -> str:
    model = str(given.get("model") or "openai/gpt-4o-mini")
    params = {key: given[key] for key in PARAMS if given.get(key) is not None}
    primary = model if "/" in model else f"openai/{model}"
    fields: dict[str, Any] = {"name": name, "model": {"primary": primary, "params": params} if params else primary}
    labels = {"prompt": identity(given, "id"), "prompt_version": identity(given, "version")}
    if any(labels.values()):
        fields["labels"] = {key: value for key, value in labels.items() if value}
    lines = "".join(f"  {line}\n" if line else "\n" for line in instructions.splitlines())
    # Not a block that dumping would choose: instructions are to be read and edited by people.
    return yaml.safe_dump(fields, sort_keys=False, allow_unicode=True) + f"instructions: |\n{lines}"


def identity(given: Json, key: str) -> str | None:
    """The prompt's own `id` or `version`, at the top or in the `prompt` of a response."""
    inner = given.get("prompt")
    value = cast(Json, inner).get(key) if isinstance(inner, dict) else given.get(key)
    return str(value) if value else None


def slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "prompt"
